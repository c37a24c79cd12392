"""The four seeds on one host, from the audit over the plan to the repaired host: two of them through Salt, three through Ansible."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ..auditing import POLICY, check, install, of_rule
from ..host import LabHost
from ..test_salt_on_hosts import salted  # noqa: F401  the tree with Salt in it
from ..test_supervised_trees import minions, supervise, wait_for_minions
from .doors import ADAPTERS, SALT_CALL, SALT_CONFIG, Salt
from .test_plan import audited, planned, playbook
from .test_time_zone_remedy import WAIT, Z, witness

AGENT = Path(__file__).resolve().parents[1] / "leaking_agent.py"
PER_SECOND = 7  # zombies, for as long as the story takes: within hours no process of the user can start
BACKUP = ("[Service]\nUser=oracle\nTasksMax=infinity\nExecStart=/usr/bin/python3 /opt/agent.py %d {uid} 600\n[Install]\nWantedBy=multi-user.target\n"
          % (600 * PER_SECOND))
DATABASE = "[Service]\nUser=oracle\nExecStart=/usr/bin/sleep 1000000\n[Install]\nWantedBy=multi-user.target\n"
TABLE = "MAILTO=root\n0 14 * * 6 systemctl restart backup\n"
CRONTAB = "/var/spool/cron/crontabs/root"


@pytest.fixture
def host(new_host, salted) -> LabHost:  # noqa: F811
    host = new_host._stack.enter_context(LabHost.boot(salted, "seeds"))
    new_host.hosts.append(host)
    install(host)
    return host


def leaking_backup(host: LabHost) -> None:
    """Its user is limited in limits.conf, which no service reads; root's crontab hides the leak."""
    host.shell("useradd -m oracle; mkdir -p /etc/security/limits.d")
    host.push(AGENT, "/opt/agent.py")
    host.write("/etc/security/limits.d/oracle.conf", "oracle - nofile 4321\n")
    host.write("/etc/systemd/system/backup.service", BACKUP.format(uid=host.shell("id -u oracle")))
    host.write("/etc/systemd/system/db.service", DATABASE)
    host.write(CRONTAB, TABLE, 0o600)
    host.shell("systemctl daemon-reload; systemctl enable --now backup.service db.service")


def two_zones(host: LabHost) -> None:
    host.shell(f"echo Etc/UTC > /etc/timezone; rm /etc/localtime; cp {Z}Asia/Shanghai /etc/localtime")


def leaked_tree(host: LabHost) -> tuple[list[int], list[int]]:
    """The minions that supervisord has lost, and those that it keeps."""
    lost = supervise(host, "RestartSec=1")
    host.run(["kill", "-KILL", str(host.pid_of("supervisor"))])
    return lost, [pid for pid in wait_for_minions(host, 6) if pid not in lost]


def replaced_bus(host: LabHost) -> None:
    for path in ("/usr/bin/dbus-daemon", "/lib/systemd/systemd-logind"):
        host.shell(f"cp -p {path} {path}.new; mv {path}.new {path}")


def through_salt(host: LabHost, folder: Path, *rules: str) -> tuple[dict[str, Any], str]:
    """The plan, and what became of it."""
    door = Salt(host)
    said = host.run(["python3", "-c", SALT_CALL, "--local", "-c", SALT_CONFIG, "-m", ADAPTERS, "--out", "json", "--log-level", "quiet", "pidhygiene.check",
                     "full=True", f"policy={json.dumps(POLICY)}"], timeout=300).stdout
    (folder / "pidhygiene-report").mkdir(parents=True)
    (folder / f"pidhygiene-report/{host.name}.json").write_text(json.dumps(json.loads(said[said.index("{"):])["local"]))
    plan = planned(folder, *(f"--rule={rule}" for rule in rules))
    host.write("/root/plan.yml", (folder / "plan.yml").read_text())
    answer = door.apply("plan_applied", name="/root/plan.yml", host=host.name)
    assert answer.ok and answer.changed, answer
    return plan["hosts"][host.name], answer.message


def bad(host: LabHost, *rules: str) -> list[str]:
    found = check(host, *(f"--rule={rule}" for rule in rules))
    return [f"{rule} {each['message']}" for rule in rules for each in of_rule(found, rule) if each["status"] in ("warn", "fail")]


def limit(host: LabHost, unit: str, name: str) -> list[str]:
    rows = host.read(f"/proc/{host.pid_of(unit)}/limits").splitlines()
    return next(row[len(name):].split()[:2] for row in rows if row.startswith(name))


def test_every_seed_is_repaired_by_a_plan(host: LabHost, tmp_path: Path) -> None:
    leaking_backup(host)
    two_zones(host)
    lost, kept = leaked_tree(host)
    replaced_bus(host)
    bus, logind = host.pid_of("dbus"), host.pid_of("systemd-logind")

    # Through Salt: one zone, by which cron's jobs run, and one tree of minions.
    entry, said = through_salt(host, tmp_path / "salt", "PH-TZ-00[1-3]", "PH-ORP-001", "PH-DEL-00[45]")
    assert [step["remedy"] for step in entry["steps"]] == ["time_zone", "dedupe", "dedupe"], entry  # supervisord kept two programs
    assert "time_zone: applied" in said and "dedupe: applied" in said
    witness(host, "Asia/Shanghai")
    assert host.shell("cat /etc/timezone; readlink /etc/localtime") == f"Asia/Shanghai\n..{Z}Asia/Shanghai"
    assert sorted(minions(host)) == sorted(kept) and not set(kept) & set(lost)

    # The bus and its first client wait for a reboot: a plan does not touch them.
    left = {each["rule"]: each["why"] for each in entry["left"]}
    assert "systemd-logind.service is not restarted on a running host" in left["PH-DEL-005"], left
    assert "a reboot needs a time" in left["PH-DEL-004"], left

    # Meanwhile the job comes at its hour, and the leak gets old enough to have a rate.
    host.shell(WAIT, timeout=200)
    deadline = time.monotonic() + 120
    while not [each for each in of_rule(check(host, "--rule", "PH-ZMB-007"), "PH-ZMB-007") if each["status"] == "fail"]:
        assert time.monotonic() < deadline, of_rule(check(host), "PH-ZMB-007")
        time.sleep(1)

    # Through Ansible: the limits that were promised, and a restart in time in place of the weekly one.
    audited(tmp_path, host)
    entry = planned(tmp_path, "--rule", "PH-LIM-003", "--rule", "PH-ZMB-007", "--owner", "backup team", "--ticket", "CHG-4711")["hosts"][host.name]
    steps = {(step["remedy"], step["parameters"]["unit"]): step["parameters"] for step in entry["steps"]}
    assert set(steps) == {("unit_limits", "backup.service"), ("unit_limits", "db.service"), ("scheduled_restart", "backup.service")}
    assert steps["unit_limits", "backup.service"]["limits"] == {"nofile": "4321"} == steps["unit_limits", "db.service"]["limits"]
    schedule = steps["scheduled_restart", "backup.service"]
    half = int(limit(host, "backup", "Max processes")[0]) / PER_SECOND / 2  # of the time in which the leak fills what its user may start
    assert schedule["take_over"] == f"{CRONTAB}:2" and 0.7 * half < schedule["interval"] < 1.7 * half, (schedule, half)
    done = playbook(tmp_path, host, "remediate.yml", "-e", f"plan={tmp_path}/plan.yml")
    assert done.returncode == 0 and "changed=1" in done.stdout, done.stdout + done.stderr

    for unit in ("backup", "db"):
        assert limit(host, unit, "Max open files") == ["4321", "4321"]
    assert host.read(CRONTAB) == TABLE.replace("0 14", "# pidhygiene scheduled_restart of backup.service: 0 14")
    timer = host.shell("systemctl show pidhygiene-restart-backup.timer -p ActiveState,TimersMonotonic")
    assert "ActiveState=active" in timer and "OnUnitActiveUSec" in timer, timer
    audited(tmp_path, host)
    assert bad(host, "PH-LIM-003", "PH-ZMB-007", "PH-TZ-001", "PH-TZ-002", "PH-ORP-001") == []
    assert (host.pid_of("dbus"), host.pid_of("systemd-logind")) == (bus, logind)
