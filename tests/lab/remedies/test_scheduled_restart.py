"""scheduled_restart: the seed's weekly line of cron becomes a timer with an owner, and comes back when it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..auditing import PLACE, awaited, check, install, of_rule
from ..test_zombies_live import wait_for
from .doors import Door, everything, unchanged
from .test_faults import APPLY

AGENT = Path(__file__).resolve().parents[1] / "leaking_agent.py"
SERVICE = "[Service]\nTasksMax=infinity\nExecStart=/usr/bin/python3 /opt/agent.py 40 65534 0\n[Install]\nWantedBy=multi-user.target\n"
TABLE = "# by hand, ask Jo\nMAILTO=root\n0 14 * * 6 systemctl restart agent\n5 5 * * * /usr/bin/true\n"
LINE = "/var/spool/cron/crontabs/root:3"
OWN = "pidhygiene-restart-agent"
FILES = f"ls -d /etc/systemd/system/{OWN}.* /etc/systemd/system/timers.target.wants/{OWN}.* 2>/dev/null || true"


def prepared(door: Door) -> None:
    """The agent leaks, and root's crontab hides it once a week."""
    host = door.host
    host.push(AGENT, "/opt/agent.py")
    host.write("/etc/systemd/system/agent.service", SERVICE)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--now", "agent.service"])
    host.write("/var/spool/cron/crontabs/root", TABLE, 0o600)
    wait_for(host, "/run/leaked", 60)


def zombies_of(door: Door, parent: int) -> int:
    return door.host.run(["ps", "-eo", "ppid=,stat="]).stdout.count(f"{parent} Z")


def hidden_leak(door: Door) -> dict[str, Any]:
    """The finding, once the zombies are old enough to count as lasting."""
    found: dict[str, Any] = of_rule(awaited(door.host, ["PH-ZMB-007"], "--rule", "PH-ZMB-007"), "PH-ZMB-007")[0]
    return found


def told(door: Door, rule: str) -> list[str]:
    return [each["message"] for each in of_rule(check(door.host), rule) if "agent" in each["message"]]


def test_the_weekly_line_becomes_a_timer_with_an_owner(door: Door) -> None:
    prepared(door)
    host = door.host
    finding = hidden_leak(door)
    assert finding["remedy"]["state"] == "scheduled_restart"
    assert finding["remedy"]["parameters"] == {"unit": "agent.service", "take_over": LINE}
    assert told(door, "PH-SYS-007")
    wanted = dict(finding["remedy"]["parameters"], owner="backup team", reason="ticket 4711")

    before = everything(host)
    looked = door.look("scheduled_restart", **wanted)
    assert looked.ok and looked.changed and "OnCalendar=Sat *-*-* 14:00:00\n" in looked.differences[f"/etc/systemd/system/{OWN}.timer"][1], looked
    unchanged(host, before)

    applied = door.apply("scheduled_restart", **wanted)
    assert applied.ok and applied.changed and applied.differences == looked.differences, applied.message
    assert "the next restart is due at" in applied.message.lower()
    assert host.read("/var/spool/cron/crontabs/root") == TABLE.replace("0 14", "# pidhygiene scheduled_restart of agent.service: 0 14")
    assert host.run(["stat", "-c", "%a %U %G", "/var/spool/cron/crontabs/root"]).stdout == "600 root root\n"
    assert f"{OWN}.timer" in host.run(["systemctl", "list-timers", "--no-pager"]).stdout
    assert host.run(["systemctl", "is-enabled", f"{OWN}.timer"]).stdout == "enabled\n"

    before = everything(host)
    again = door.apply("scheduled_restart", **wanted)
    assert again.ok and not again.changed and not again.differences, again
    unchanged(host, before)

    agent = host.pid_of("agent")
    assert zombies_of(door, agent) == 40
    host.run(["systemctl", "start", f"{OWN}.service"])
    assert host.pid_of("agent") not in (0, agent) and zombies_of(door, agent) == 0
    assert "owner: backup team; because: ticket 4711" in host.run(["journalctl", "--no-pager", "-u", f"{OWN}.service"]).stdout
    assert told(door, "PH-ZMB-007") == [] and told(door, "PH-SYS-007") == []

    host.reboot()
    assert host.run(["systemctl", "is-active", f"{OWN}.timer"]).stdout == "active\n"
    assert told(door, "PH-ZMB-007") == [] and told(door, "PH-SYS-007") == []

    gone = door.apply("scheduled_restart", unit="agent.service", state="absent")
    assert gone.ok and gone.changed, gone
    assert host.read("/var/spool/cron/crontabs/root") == TABLE and host.shell(FILES) == ""
    assert host.run(["systemctl", "show", "--value", "-p", "ActiveState,LoadState", f"{OWN}.timer"]).stdout.split() == ["not-found", "inactive"]
    assert host.failed_units() == []
    assert not door.apply("scheduled_restart", unit="agent.service", state="absent").changed


def test_refused_or_failed_nothing_is_left_behind(door: Door) -> None:
    prepared(door)
    host = door.host
    host.write("/etc/cron.d/more", "1 1 * * * root /opt/backup && systemctl restart agent\n2 2 * * * root systemctl restart cron\n")
    host.write(f"/etc/systemd/system/{OWN}.timer.d/mine.conf", "[Timer]\nOnCalendar=\n")  # so that systemd has no time left and refuses it
    host.run(["systemctl", "daemon-reload"])
    before = everything(host)
    for parameters, words in (
        ({"unit": "nobody.service", "calendar": "daily"}, "there is no unit"),
        ({"unit": "ssh.service", "calendar": "daily"}, "restart_protected"),
        ({"unit": "agent.service", "calendar": "daily", "owner": "me\nExecStart=/bin/false"}, "control character"),
        ({"unit": "agent.service", "take_over": "/etc/cron.d/more:1"}, "does more than restart"),
    ):
        answer = door.apply("scheduled_restart", **parameters)
        assert not answer.ok and words in answer.message, (parameters, answer)
    unchanged(host, before)
    failed = door.apply("scheduled_restart", unit="agent.service", take_over=LINE)
    assert not failed.ok and "systemd does not take" in failed.message and "old state is back" in failed.message, failed
    assert host.read("/var/spool/cron/crontabs/root") == TABLE and host.shell(FILES) == f"/etc/systemd/system/{OWN}.timer.d"
    assert host.failed_units() == []


def test_killed_in_the_middle_somebody_still_restarts_the_agent(new_host) -> None:
    """At no moment are the line of cron and the timer both gone; the next run finishes what the killed one began."""
    host = new_host("faults", packages=("strace",))
    install(host)
    host.write("/opt/apply.py", APPLY)
    host.write("/etc/systemd/system/agent.service", "[Service]\nExecStart=/usr/bin/sleep 1000000\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "agent.service"])
    host.write(LINE[:-2], TABLE, 0o600)

    def applied(*before: str, **parameters: str) -> str:
        return host.run([*before, "env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", "scheduled_restart",
                         json.dumps({"unit": "agent.service", **parameters})], check=False).stdout

    def cron_and_timer() -> tuple[bool, bool]:
        return "\n0 14" in host.read(LINE[:-2]), host.run(["systemctl", "is-active", f"{OWN}.timer"], check=False).stdout == "active\n"

    seen: set[tuple[bool, bool]] = set()
    killed = 0
    for call, number in [("rename", each) for each in range(1, 5)] + [("unlink", each) for each in range(1, 6)] + [("symlink", 1)]:
        killing = ("strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")
        killed += applied(*killing, take_over=LINE) != "changed\n"
        seen.add(cron_and_timer())
        assert applied(take_over=LINE) in ("changed\n", "same\n") and cron_and_timer() == (False, True)
        killed += applied(*killing, state="absent") != "changed\n"
        seen.add(cron_and_timer())
        assert applied(state="absent") in ("changed\n", "same\n") and host.read(LINE[:-2]) == TABLE and host.shell(FILES) == "", (call, number)
        assert cron_and_timer() == (True, False) and host.failed_units() == []
    assert killed > 10 and seen == {(True, False), (True, True), (False, True)}, (killed, seen)
    assert host.run(["find", "/etc/systemd/system", "/var/spool/cron", "-name", "*.pidhygiene-new"]).stdout == ""
