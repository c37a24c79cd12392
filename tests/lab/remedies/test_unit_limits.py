"""unit_limits: the daemon whose limits.conf entry did nothing really has the limit (the classic error of the seed), and what is refused."""

from __future__ import annotations

from ..auditing import check, of_rule, only
from .doors import Door, answers, everything, unchanged

SERVICE = "[Service]\nUser=oracle\nExecStart=/usr/bin/sleep 1000000\n[Install]\nWantedBy=multi-user.target\n"
PROMISE = "oracle - nofile 4321\n"
DROP_IN = "/etc/systemd/system/db.service.d/zz-pidhygiene.conf"


def prepared(door: Door) -> None:
    """As the incident was: limits.conf promises, the unit does not know of it."""
    host = door.host
    host.run(["useradd", "-m", "oracle"])
    host.write("/etc/systemd/system/db.service", SERVICE)
    host.write("/etc/security/limits.d/oracle.conf", PROMISE)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--now", "db.service"])


def open_files(door: Door) -> list[str]:
    limits = door.host.run(["cat", f"/proc/{door.host.pid_of('db')}/limits"]).stdout
    return next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))


def test_the_classic_error_is_repaired(door: Door) -> None:
    prepared(door)
    host = door.host
    first = everything(host)
    remedy = only(check(host), "PH-LIM-003", "warn")["remedy"]
    assert remedy["state"] == "unit_limits" and remedy["parameters"] == {"unit": "db.service", "nofile": "4321"}

    wanted = {"unit": "db.service", "limits": {"nofile": "4321:4321"}}
    before = everything(host)
    looked = door.look("unit_limits", **wanted)
    assert looked.ok and looked.changed and "LimitNOFILE=4321:4321" in looked.differences[DROP_IN][1]
    unchanged(host, before)

    applied = door.apply("unit_limits", **wanted)
    assert applied.ok and applied.changed and applied.differences == looked.differences, applied.message
    assert open_files(door) == ["4321", "4321"]
    assert not [each for each in of_rule(check(host), "PH-LIM-003") if each["status"] in ("warn", "fail")]

    before = everything(host)
    again = door.apply("unit_limits", **wanted)
    assert again.ok and not again.changed and not again.differences
    unchanged(host, before)

    host.reboot()
    assert open_files(door) == ["4321", "4321"]
    assert not [each for each in of_rule(check(host), "PH-LIM-003") if each["status"] in ("warn", "fail")]

    gone = door.apply("unit_limits", unit="db.service", state="absent")
    assert gone.ok and gone.changed
    assert set(everything(host)["files"]) >= set(first["files"]) and host.run(["test", "-e", DROP_IN], check=False).returncode
    assert open_files(door) != ["4321", "4321"]
    assert not door.apply("unit_limits", unit="db.service", state="absent").changed


def test_tasks_max_is_in_force_at_once_and_nothing_is_restarted(door: Door) -> None:
    prepared(door)
    host = door.host
    pid = host.pid_of("db")
    applied = door.apply("unit_limits", unit="db.service", limits={"tasks": "123"})
    assert applied.ok and applied.changed, applied.message
    assert host.pid_of("db") == pid
    assert host.run(["cat", "/sys/fs/cgroup/pids/system.slice/db.service/pids.max"]).stdout.strip() == "123"


def test_what_does_harm_is_refused_and_changes_nothing(door: Door) -> None:
    prepared(door)
    host = door.host
    host.write("/etc/systemd/system/other.service", SERVICE)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "other.service"])
    before = everything(host)
    cases = (
        ({"unit": "db.service", "limits": {"nofile": "2000000"}}, "above fs.nr_open"),
        ({"unit": "db.service", "limits": {"core": "unlimited"}}, "systemd spells it infinity"),
        ({"unit": "db.service", "limits": {"nproc": "16k"}}, "suffix"),
        ({"unit": "db.service", "limits": {"nofile": "9:8"}}, "soft limit above the hard one"),
        ({"unit": "db.service", "limits": {"tasks": "1"}}, "less than twice"),
        ({"unit": "nobody-knows-me.service", "limits": {"nofile": "100"}}, "there is no unit"),
        ({"unit": "salt-minion.service", "kill_mode": "mixed"}, "upgrade that a minion"),
        ({"unit": "ssh.service", "limits": {"core": "0"}}, "restart_protected"),
    )
    for (parameters, words), said in zip(cases, answers(host, "unit_limits", [given for given, _words in cases]), strict=True):
        assert said.startswith("Refused") and words in said, (parameters, said)
    for remedy, parameters, words in (  # one of each kind, as it comes through the door
        ("unit_limits", {"unit": "../../passwd.service", "limits": {"nofile": "100"}}, "must not hold"),
        ("unit_limits", {"unit": "a%n.service", "limits": {"nofile": "100"}}, "must not hold"),
        ("unit_limits", {"unit": "a\x1b[31m.service", "limits": {"nofile": "100"}}, "control character"),
        ("unit_limits", {"unit": "db.service", "limits": {"nofile": "100\nExecStart=/bin/false"}}, "control character"),
        ("pam_limits_line", {"domain": "or'acle", "type": "-", "item": "nofile", "value": "100"}, "must not hold"),
        ("scheduled_restart", {"unit": "db.service", "calendar": "daily\nExecStart=/bin/false"}, "control character"),
    ):
        answer = door.apply(remedy, **parameters)
        assert not answer.ok and words in answer.message and "\x1b" not in answer.message, (parameters, answer)
    unchanged(host, before)
    host.write("/etc/systemd/system/other.service", SERVICE.replace("[Install]", "LimitCORE=5\n[Install]"))
    pending = door.apply("unit_limits", unit="db.service", limits={"core": "0"})
    assert not pending.ok and "other.service: LimitCORE=5" in pending.message, pending


def test_a_service_that_does_not_come_back_gets_its_old_limits_back(door: Door) -> None:
    prepared(door)
    host = door.host
    host.write("/etc/systemd/system/db.service", SERVICE.replace("ExecStart=/usr/bin/sleep", "ExecStart=/bin/sh -c 'test $(ulimit -n) != 77 && exec sleep' x")
               .replace("exec sleep' x 1000000", "exec sleep 1000000'"))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "restart", "db.service"])
    answer = door.apply("unit_limits", unit="db.service", limits={"nofile": "77"})
    assert not answer.ok and "did not come back" in answer.message and "old state is back" in answer.message, answer
    assert host.run(["test", "-e", DROP_IN], check=False).returncode
    assert open_files(door)[0] != "77"
