"""time_zone: the seed's host, with two zones at once, lives in one again, and its jobs run by that clock."""

from __future__ import annotations

import pytest

from ..auditing import check, install, of_rule, only
from .doors import Ansible, Door, everything, unchanged

Z = "/usr/share/zoneinfo/"
DAEMON = "[Service]\nExecStart=/usr/local/sbin/{} 1000000\n[Install]\nWantedBy=multi-user.target\n"
WAIT = "for i in $(seq 1500); do test -e /root/fired && exit 0; sleep 0.1; done; exit 1"


def prepared(door: Door) -> None:
    """F05: the file says Etc/UTC, the link became a copy of Asia/Shanghai; a log daemon and a database run."""
    host = door.host
    for unit, program in (("rsyslog", "rsyslogd"), ("mysql", "mysqld")):
        host.run(["cp", "/usr/bin/sleep", f"/usr/local/sbin/{program}"])
        host.write(f"/etc/systemd/system/{unit}.service", DAEMON.format(program))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--now", "rsyslog.service", "mysql.service"])
    host.shell(f"echo Etc/UTC > /etc/timezone; rm /etc/localtime; cp {Z}Asia/Shanghai /etc/localtime")


def witness(host, zone: str) -> None:
    """A job that is due in the next minute by the clock of the zone, and once more in the one after."""
    minutes = host.shell(f"for ahead in 60 120; do TZ={zone} date -d @$(($(date +%s) + ahead)) '+%M %H'; done").splitlines()
    host.write("/etc/cron.d/witness", "".join(f"{each} * * * root touch /root/fired\n" for each in minutes))


def zone_deviations(door: Door) -> list[str]:
    result = check(door.host)
    return [each["message"] for rule in ("PH-TZ-001", "PH-TZ-002", "PH-TZ-003", "PH-TZ-006") for each in of_rule(result, rule)
            if each["status"] in ("warn", "fail", "unknown")]


def test_one_zone_for_the_host_and_its_jobs(door: Door) -> None:
    prepared(door)
    host = door.host
    found = check(host)
    wanted = {"name": "Asia/Shanghai"}
    assert only(found, "PH-TZ-001", "fail")["remedy"] == {"state": "time_zone", "parameters": wanted, "disruptive": False}
    assert only(found, "PH-TZ-002", "warn")["remedy"]["parameters"] == wanted
    log, database = host.pid_of("rsyslog"), host.pid_of("mysql")

    before = everything(host)
    looked = door.look("time_zone", **wanted)
    assert looked.ok and looked.changed and looked.differences["/etc/localtime"][1] == "-> ../usr/share/zoneinfo/Asia/Shanghai"
    unchanged(host, before)

    applied = door.apply("time_zone", **wanted)
    assert applied.ok and applied.changed and applied.differences == looked.differences, applied.message
    assert f"in the zone of their start: mysqld ({database}, mysql.service)" in applied.message
    assert host.run(["readlink", "/etc/localtime"]).stdout == "../usr/share/zoneinfo/Asia/Shanghai\n"
    assert host.read("/etc/timezone") == "Asia/Shanghai\n"
    assert host.run(["timedatectl", "show", "--value", "-p", "Timezone"]).stdout == "Asia/Shanghai\n"
    assert host.pid_of("rsyslog") not in (0, log) and host.pid_of("mysql") == database
    assert zone_deviations(door) == []

    before = everything(host)
    again = door.apply("time_zone", **wanted)
    assert again.ok and not again.changed and not again.differences, again
    unchanged(host, before)

    witness(host, "Asia/Shanghai")  # that cron runs it is waited for in test_seeds.py, and cronie below
    other = door.look("time_zone", name="Europe/Berlin")
    assert "/etc/cron.d/witness:1 (touch /root/fired) runs next at" in other.message and " instead of " in other.message
    assert "imer apt-daily.timer (*-*-* 6,18:00) runs next at" in other.message, other.message

    host.reboot()
    assert zone_deviations(door) == [] and host.shell("date +%Z") == "CST"
    back = door.apply("time_zone", name="UTC")
    assert back.ok and back.changed and host.shell("date +%Z; cat /etc/timezone; readlink /etc/localtime") == "UTC\nEtc/UTC\n../usr/share/zoneinfo/Etc/UTC"


def test_a_daemon_that_a_killed_run_left_in_the_old_zone_is_found(door: Door) -> None:
    prepared(door)
    host = door.host
    database = host.pid_of("mysql")
    applied = door.apply("time_zone", name="Asia/Tokyo", restart="none")
    assert applied.ok and applied.changed and "rsyslogd" in applied.message, applied
    log = host.pid_of("rsyslog")
    host.shell("sleep 1.1; ln -sf ../usr/share/zoneinfo/Asia/Tokyo /etc/new; mv -T /etc/new /etc/localtime")
    applied = door.apply("time_zone", name="Asia/Tokyo")
    assert applied.ok and list(applied.differences) == ["processes of rsyslog.service"], applied
    assert host.pid_of("rsyslog") not in (0, log) and host.pid_of("mysql") == database
    assert not door.apply("time_zone", name="Asia/Tokyo").changed


def test_what_is_no_zone_or_not_ours_is_refused_and_changes_nothing(door: Door) -> None:
    prepared(door)
    host = door.host
    before = everything(host)
    for parameters, words in (
        ({"name": "Europe/Nowhere"}, "there is no zone"),
    ):
        answer = door.apply("time_zone", **parameters)
        assert not answer.ok and words in answer.message, (parameters, answer)
    host.run(["mount", "--bind", Z + "Asia/Tokyo", "/etc/localtime"])
    assert "mounted into this machine" in door.apply("time_zone", name="Europe/Berlin").message
    host.run(["umount", "/etc/localtime"])
    host.write("/run/.containerenv", "")
    assert "this is a container" in door.apply("time_zone", name="Europe/Berlin").message
    unchanged(host, before)


@pytest.fixture
def cronie(new_host) -> Door:
    host = new_host(suite="trixie", packages=("cronie",))
    install(host)
    return Ansible(host)


def test_cronie_really_starts_jobs_by_the_new_clock(cronie: Door) -> None:
    """S1d: this cron keeps the zone of its start, and a restart that left the old process in place changed nothing."""
    host = cronie.host
    unit = host.shell("systemctl list-units --no-legend --type=service 'cron*' | awk '{print $1}' | head -n 1")
    first = host.pid_of(unit)
    applied = cronie.apply("time_zone", name="Asia/Shanghai")
    assert applied.ok and f"processes of {unit}" in applied.differences, applied
    assert host.pid_of(unit) not in (0, first) and host.run(["test", "-e", f"/proc/{first}"], check=False).returncode
    assert host.run(["test", "-e", "/etc/timezone"], check=False).returncode, "trixie has no such file, and needs none"
    witness(host, "Asia/Shanghai")
    assert not cronie.apply("time_zone", name="Asia/Shanghai").changed
    host.shell(WAIT, timeout=200)
