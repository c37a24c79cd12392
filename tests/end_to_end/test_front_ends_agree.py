"""One host, one policy, one snapshot: Ansible, Salt and the command line give the same result, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doors import AUDIT, BIN, REPOSITORY, Run, inventory, local, result_of, succeeded
from lab.host import LabHost
from pidhygiene.__main__ import canonical

POLICY = {"headroom": {"warn": 0.01}, "waivers": [{"rule": "PH-PID-003", "justification": "known", "owner": "ops", "expires": "2099-12-31"}]}


def by_command_line(command: Run, folder: Path) -> str:
    (folder / "policy.json").write_text(json.dumps(POLICY))
    return succeeded(command("check", "--snapshot", "snapshot.json.gz", "--policy", "policy.json", "--tag", "web", "--format", "json", "--fail-on", "never")).stdout


def by_salt(run: Run, folder: Path) -> str:
    (folder / "pillar").mkdir()
    (folder / "pillar/top.sls").write_text("base: {'*': [policy]}\n")
    (folder / "pillar/policy.sls").write_text(json.dumps({"pidhygiene": POLICY}))
    (folder / "minion").write_text("root_dir: %s\npillar_roots: {base: [%s]}\n" % (folder, folder / "pillar"))
    done = succeeded(run(BIN / "salt-call", "--local", "--config-dir", folder, "-m", REPOSITORY / "salt_modules", "--out", "json", "--log-level", "error",
                         "pidhygiene.check", "full=True", "tags=web", "snapshot_file=%s" % (folder / "snapshot.json.gz")))
    return canonical(json.loads(done.stdout)["local"])


def by_ansible(playbook: Run, folder: Path) -> str:
    """The file that audit_info writes, through a playbook of the operator's own."""
    (folder / "play.yml").write_text(json.dumps([{"hosts": "web", "gather_facts": False, "tasks": [{"pidhygiene.host.audit_info": {
        "policy": POLICY, "snapshot": str(folder / "snapshot.json.gz"), "report_dir": "pidhygiene-report"}}]}]))
    succeeded(playbook("-i", inventory(folder, "[web]", local("one")), "play.yml", ANSIBLE_COLLECTIONS_PATH=str(REPOSITORY / "playbooks/collections")))
    return (folder / "pidhygiene-report/results/one.json").read_text()


def assert_all_agree(run: Run, playbook: Run, command: Run, folder: Path) -> None:
    expected = by_command_line(command, folder)
    assert by_salt(run, folder) == expected
    assert by_ansible(playbook, folder) == expected
    result = json.loads(expected)
    assert result["audit"]["errors"] == [] and result["host"]["tags"] == ["web"]
    assert [finding for finding in result["findings"] if finding["waiver"]] or not [each for each in result["findings"] if each["rule"] == "PH-PID-003"]


def test_on_a_snapshot_of_this_machine(run: Run, playbook: Run, command: Run, tmp_path: Path) -> None:
    succeeded(command("snapshot", "snapshot.json.gz"))
    assert_all_agree(run, playbook, command, tmp_path)


@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_on_a_snapshot_of_a_real_host(run: Run, playbook: Run, command: Run, tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    host: LabHost = request.getfixturevalue(name)
    host.push(REPOSITORY / "ansible_collection/plugins/module_utils/pidhygiene", "/run/engine/pidhygiene")
    host.run(["env", "PYTHONPATH=/run/engine", "PYTHONDONTWRITEBYTECODE=1", "python3", "-m", "pidhygiene", "snapshot", "/run/snapshot.json.gz"])
    (tmp_path / "snapshot.json.gz").write_bytes((host.root / "run/snapshot.json.gz").read_bytes())
    host.run(["rm", "-r", "/run/engine", "/run/snapshot.json.gz"])
    assert_all_agree(run, playbook, command, tmp_path)
    assert json.loads(by_command_line(command, tmp_path))["host"]["init"] == "systemd"


def test_live_they_agree_on_all_that_does_not_move(run: Run, playbook: Run, command: Run, tmp_path: Path) -> None:
    """Without audit (what the audit cost), measures and marks (what moves between two looks)."""
    succeeded(playbook(AUDIT))
    (tmp_path / "minion").write_text("root_dir: %s\n" % tmp_path)
    salt = succeeded(run(BIN / "salt-call", "--local", "--config-dir", tmp_path, "-m", REPOSITORY / "salt_modules", "--out", "json", "--log-level", "error",
                         "pidhygiene.check", "full=True"))
    line = json.loads(succeeded(command("check", "--format", "json", "--fail-on", "never")).stdout)
    names = [[row["rule"] for row in each["rules"]] for each in (line, json.loads(salt.stdout)["local"], result_of(tmp_path))]
    assert names[0] == names[1] == names[2]
    assert line["host"] == json.loads(salt.stdout)["local"]["host"] == result_of(tmp_path)["host"]
    assert line["facts"] == json.loads(salt.stdout)["local"]["facts"] == result_of(tmp_path)["facts"]
