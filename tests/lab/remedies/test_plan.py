"""From an audit to a reviewed plan to a repaired host, as an operator does it: audit.yml, plan, remediate.yml; and the same plan through Salt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..auditing import check, of_rule
from ..host import LabHost
from .doors import BIN, REPOSITORY, Door, everything, unchanged

SERVICE = "[Service]\nUser=oracle\nExecStart=/usr/bin/sleep 1000000\n[Install]\nWantedBy=multi-user.target\n"
ENGINE = REPOSITORY / "ansible_collection/plugins/module_utils"


def broken(host: LabHost) -> None:
    host.run(["useradd", "-m", "oracle"])
    host.write("/etc/systemd/system/db.service", SERVICE)
    host.write("/etc/security/limits.d/oracle.conf", "oracle - nofile 4321\noracle - core 77\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--now", "db.service"])


def playbook(folder: Path, host: LabHost, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = (f"{host.name} ansible_host={host.address} ansible_port={host.port} ansible_user=root ansible_python_interpreter=/usr/bin/python3 "
            f"ansible_ssh_private_key_file={host.key} ansible_ssh_common_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlMaster=no'\n")
    (folder / "hosts").write_text(line)
    return subprocess.run([BIN / "ansible-playbook", "-i", folder / "hosts", REPOSITORY / "playbooks" / name, *arguments], cwd=folder, text=True,
                          env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=600)


def environment() -> dict[str, str]:
    return dict({key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}, LC_ALL="C.UTF-8", ANSIBLE_NOCOLOR="1")


def planned(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "controller", "plan", folder / "pidhygiene-report", "-o", folder / "plan.yml", *arguments],
                          cwd=REPOSITORY, env=dict(os.environ, PYTHONPATH=str(ENGINE)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = yaml.safe_load((folder / "plan.yml").read_text())
    return document


def deviations(host: LabHost, rule: str) -> list[str]:
    return [finding["message"] for finding in of_rule(check(host), rule) if finding["status"] in ("warn", "fail")]


def audited(folder: Path, host: LabHost) -> None:
    done = playbook(folder, host, "audit.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("door", ["ansible"], indirect=True)
def test_audit_plan_remediate(door: Door, tmp_path: Path) -> None:
    host = door.host
    broken(host)
    audited(tmp_path, host)
    plan = planned(tmp_path, "--rule", "PH-LIM-003", "--ticket", "CHG-4711")
    entry = plan["hosts"][host.name]
    assert plan["ticket"] == "CHG-4711" and [step["remedy"] for step in entry["steps"]] == ["unit_limits"]
    assert entry["steps"][0]["parameters"] == {"unit": "db.service", "limits": {"core": "78848", "nofile": "4321"}}, "one restart for two limits"

    before = everything(host)
    looked = playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/plan.yml", "--check", "--diff")
    assert looked.returncode == 0 and "LimitNOFILE=4321" in looked.stdout and "changed=1" in looked.stdout, looked.stdout + looked.stderr
    unchanged(host, before)

    applied = playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/plan.yml")
    assert applied.returncode == 0 and "changed=1" in applied.stdout, applied.stdout + applied.stderr
    assert deviations(host, "PH-LIM-003") == []
    again = playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/plan.yml")
    assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout

    for change, words in (
        ({"expires": "2020-01-01T00:00:00Z"}, "holds for a day"), ({"created": "2090-01-01T00:00:00Z", "expires": "2090-01-02T00:00:00Z"}, "from the future"),
        ({"schema": "pidhygiene.plan/9"}, "must be pidhygiene.plan/1"),
    ):
        (tmp_path / "other.yml").write_text(yaml.safe_dump(dict(plan, **change)))
        refused = playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/other.yml")
        assert refused.returncode != 0 and words in refused.stdout, refused.stdout
    edited = json.loads(json.dumps(plan))
    edited["hosts"][host.name]["steps"][0]["parameters"]["limits"]["nofile"] = "1"
    (tmp_path / "other.yml").write_text(yaml.safe_dump(edited))
    assert "not those that were planned" in playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/other.yml").stdout
    host.reboot()
    assert "another boot" in playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/plan.yml").stdout
    assert deviations(host, "PH-LIM-003") == []


@pytest.mark.parametrize("door", ["salt"], indirect=True)
def test_the_same_plan_through_salt(door: Door, tmp_path: Path) -> None:
    host = door.host
    broken(host)
    audited(tmp_path, host)
    planned(tmp_path, "--rule", "PH-LIM-003")
    host.write("/root/plan.yml", (tmp_path / "plan.yml").read_text())
    before = everything(host)
    wanted = {"name": "/root/plan.yml", "host": host.name}
    looked = door.look("plan_applied", **wanted)
    assert looked.ok and looked.changed and "would change" in looked.message, looked
    unchanged(host, before)
    applied = door.apply("plan_applied", **wanted)
    assert applied.ok and applied.changed and "unit_limits: applied" in applied.message, applied
    assert deviations(host, "PH-LIM-003") == []
    assert not door.apply("plan_applied", **wanted).changed
    nothing = door.apply("plan_applied", name="/root/plan.yml", host="somebody-else")
    assert nothing.ok and not nothing.changed and "nothing of this minion" in nothing.message
