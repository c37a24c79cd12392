"""reap, dedupe, restart, reboot and sessions: what they refuse before they look at anybody, and what they say of a host that needs none of it."""

from __future__ import annotations

import calendar
import time

import pytest
from simulated import NOW, SimulatedHost

from pidhygiene.host import HostError
from pidhygiene.remedies import apply, reboot
from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import Refused

LEAK = 700


def leaking(zombies: int = 200, unit: str = "backup.service", state: str = "S") -> SimulatedHost:
    group = "/system.slice/" + unit
    host = SimulatedHost().unit(unit, MainPID=LEAK, ControlGroup=group).process(LEAK, 1, "backup", cgroup=group, start=4000.0, state=state)
    for pid in range(1000, 1000 + zombies):
        host.process(pid, LEAK, "ora", "Z", uid=500, dead=3000.0)
    return host


def look(remedy: str, host: SimulatedHost | None = None, **given: object) -> apply.Report:
    return apply.look(BY_NAME[remedy], given, host or SimulatedHost())


@pytest.mark.parametrize(("remedy", "given", "why"), [
    ("reap", {"mode": "detach"}, "tracer is missing"), ("reap", {"mode": "continue"}, "parent is missing"), ("reap", {"parent": 5}, "unit is missing"),
    ("reap", {"parent": 5, "unit": "../x.service"}, "unit|name"), ("reap", {"mode": "kill"}, "must be one of"),
    ("restart", {}, "no unit is given"), ("restart", {"units": ["a b.service"]}, "name"), ("restart", {"how": "hard"}, "must be one of"),
])
def test_mistakes_are_refused_with_the_next_step(remedy, given, why):
    with pytest.raises((Refused, HostError), match=why):
        look(remedy, **given)


def test_a_parent_that_has_no_zombies_needs_nothing():
    assert look("reap", parent=1, unit="x.service").notes == ("process 1 has no zombies now",)
    assert look("reap", mode="detach", tracer=4).notes == ("process 4 traces no zombie now",)


def test_a_restart_is_shown_for_the_unit_that_the_parent_belongs_to():
    report = look("reap", leaking(), parent=LEAK, unit="backup.service")
    assert report.changed and "backup.service" in report.differences[0].what
    with pytest.raises(Refused, match="belongs to backup.service now, not to other.service"):
        look("reap", leaking(), parent=LEAK, unit="other.service")
    with pytest.raises(Refused, match="waits in the kernel"):
        look("reap", leaking(state="D"), parent=LEAK, unit="backup.service")
    with pytest.raises(Refused, match="without being told so"):
        look("reap", leaking(unit="postgresql.service"), parent=LEAK, unit="postgresql.service")


def test_only_a_stopped_parent_is_continued():
    with pytest.raises(Refused, match="is not stopped"):
        look("reap", leaking(), mode="continue", parent=LEAK)
    (change,) = look("reap", leaking(state="T"), mode="continue", parent=LEAK).differences
    assert "backup" in change.what


def test_where_no_process_can_start_the_unit_is_stopped_first():
    host = leaking(400).file("/proc/sys/kernel/pid_max", "710\n")
    (change,) = look("reap", host, parent=LEAK, unit="backup.service").differences
    assert change.after == "stopped, its zombies reaped, started"


def test_nothing_is_restarted_that_no_finding_asks_for():
    report = look("restart", units=["nginx.service"])
    assert not report.changed and report.notes == ("no finding asks for a restart of nginx.service now",)
    assert look("restart", how="daemon-reload").notes == ("systemd has read all its files",)


@pytest.mark.parametrize(("when", "minutes"), [("+30", 30), ("+0", 1)])
def test_minutes_from_now(when, minutes):
    assert reboot.moment(when, NOW) == NOW + 60 * minutes


@pytest.mark.parametrize(("when", "why"), [("soon", "when must be"), ("25:00", "when must be"), ("2001-01-01T00:00:00Z", "is past"), ("+99999", "too far away")])
def test_no_time_for_a_reboot(when, why):
    with pytest.raises(Refused, match=why):
        reboot.moment(when, NOW)


def test_the_next_time_of_the_day_and_a_date():
    at = time.localtime(reboot.moment("03:30", NOW))
    assert (at.tm_hour, at.tm_min) == (3, 30) and 0 < reboot.moment("03:30", NOW) - NOW <= 25 * 3600
    date = time.strftime("%Y-%m-%dT02:30:00Z", time.gmtime(NOW + 3 * 86400))
    assert reboot.moment(date, NOW) == calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ"))
