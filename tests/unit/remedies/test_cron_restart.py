"""A scheduled restart where there is no systemd: what cron is told, and what it cannot be told."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SimulatedHost

from pidhygiene import restarts
from pidhygiene.evidence import gather
from pidhygiene.readers.calendar_syntax import parse as parse_calendar
from pidhygiene.readers.crontab import CRONIE, DEBIAN, parse, parse_schedule
from pidhygiene.remedies import apply, cron_restart, scheduled_restart
from pidhygiene.remedies.model import Refused, checked

SCRIPT = cron_restart.Script("/etc/init.d/agent", True)


@pytest.mark.parametrize(("text", "fields"), [
    ("Sat 14:00", "0 14 * * 6"), ("daily", "0 0 * * *"), ("hourly", "0 * * * *"), ("Mon..Fri *-*-* 09,17:30", "30 9,17 * * 1,2,3,4,5"),
    ("*-*-01 03:05", "5 3 1 * *"), ("Sun 00/6:15", "15 0,6,12,18 * * 0"), ("*-01,07-15 04:00", "0 4 15 1,7 *"),
])
def test_a_calendar_as_cron_says_it(text, fields):
    assert cron_restart.by_calendar(text, parse_calendar(text)) == fields


@pytest.mark.parametrize("text", ["2027-*-* 03:00", "*-*~01 03:00", "Mon *-*-01..07 03:00"])
def test_what_cron_cannot_say_is_refused(text):
    with pytest.raises(Refused, match="cron cannot say that"):
        cron_restart.by_calendar(text, parse_calendar(text))


@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.sampled_from(["Sat 14:00", "daily", "Mon..Fri *-*-* 09,17:30", "*-*-01 03:05", "*-02-29 01:01", "Sun 00/6:15"]))
def test_cron_fires_on_the_days_and_at_the_times_of_the_calendar(day, text):
    event, schedule = parse_calendar(text), parse_schedule(cron_restart.by_calendar(text, parse_calendar(text)), DEBIAN)
    assert schedule.on(day) == event.on(day) and tuple(schedule.times) == event.times


@given(st.sampled_from(["0 14 * * 6", "5 3 1 * *", "5 3 1 * 5", "*/20 * * * *", "1,2 3-5 1-7 * 0", "* * 31 12 *"]), st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_a_line_that_is_taken_over_keeps_its_times(line, day):
    before = parse_schedule(line, DEBIAN)
    after = parse_schedule(cron_restart.by_line(before), DEBIAN)
    assert after.times == before.times and after.on(day) == before.on(day)


@given(st.integers(600, 40 * 86400), st.integers(0, 7 * 86400 - 1))
def test_two_restarts_are_never_further_apart_than_the_interval(interval, offset):
    schedule = parse_schedule(cron_restart.by_interval(interval, offset), CRONIE)
    start = date(2026, 11, 1)
    moments = [datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
               for day in (start + timedelta(days=number) for number in range(150)) if schedule.on(day) for minute in schedule.times]
    gaps = {(after - before).total_seconds() for before, after in itertools.pairwise(moments)}
    assert max(gaps) <= interval and (interval > 7 * 86400 or max(gaps) * 2 > interval)


def test_the_table_is_read_by_cron_as_one_job_that_restarts_the_service():
    text = cron_restart.text("agent.service", "0 14 * * 6", SCRIPT, "backup team", "ticket 4711", 90)
    for dialect in (DEBIAN, CRONIE):
        table = parse(text, True, dialect)
        assert len(table.jobs) == 1 and table.jobs[0].user == "root" and table.jobs[0].when == "0 14 * * 6"
        assert table.jobs[0].command == (
            "sleep 90; flock -n /etc/cron.d/pidhygiene-restart-agent sh -c '/etc/init.d/agent status >/dev/null 2>&1 && "
            "{ echo \"Scheduled restart of agent.service; owner: backup team; because: ticket 4711\"; /etc/init.d/agent restart; } 2>&1 | logger -t pidhygiene'")


@pytest.mark.parametrize(("text", "tells"), [
    ("case \"$1\" in\n  start|stop) ;;\n  status)\n", True), ("case $1 in\n start) ;;\n restart|status) x;;\n", True), ("status() {\n", True),
    ("case \"$1\" in start) ;; esac\n# prints no status of it\n", False),
])
def test_whether_the_script_can_tell_that_the_service_runs(text, tells):
    assert cron_restart.script_of(SimulatedHost().file("/etc/init.d/agent", text), "agent.service") == ("/etc/init.d/agent", tells)


def test_the_script_of_the_first_incident_is_found_by_the_name_that_its_vendor_gave_it():
    host = SimulatedHost().file("/etc/init.d/VRTSralus.init", "status)\n")
    assert cron_restart.script_of(host, "VRTSralus.service").path == "/etc/init.d/VRTSralus.init"


def test_no_script_no_name_that_cron_reads_and_quotes_are_refused():
    with pytest.raises(Refused, match="nobody could restart agent.service"):
        cron_restart.script_of(SimulatedHost(), "agent.service")
    with pytest.raises(Refused, match="cron passes over"):
        cron_restart.path_of("a.b.service")
    with pytest.raises(Refused, match="must not hold"):
        cron_restart.text("agent.service", "0 0 * * *", SCRIPT, "Jo's team", "", 0)


def without_systemd() -> SimulatedHost:
    host = SimulatedHost().file("/etc/init.d/agent", "case $1 in start|stop|restart|status) ;; esac\nstatus)\n").file("/etc/machine-id", "0" * 32 + "\n")
    host.remove("/run/systemd/system")
    host.file("/usr/sbin/cron", "x").file("/var/lib/dpkg/status", "Package: cron\nStatus: install ok installed\nVersion: 3.0pl1-162\n\n")
    host.file("/etc/crontab", "0 14 * * 6 root /etc/init.d/agent restart\n")
    return host


def proposed(host: SimulatedHost, **given: object):
    return apply.look(scheduled_restart.REMEDY, dict({"unit": "agent.service"}, **given), host)


def test_a_host_without_systemd_is_looked_at_like_one_that_has_it():
    host = without_systemd()
    report = proposed(host, calendar="Sat 14:00", owner="backup team", spread_s=600)
    (table,) = report.differences
    assert table.what == "/etc/cron.d/pidhygiene-restart-agent" and "0 14 * * 6 root sleep" in table.after and "owner: backup team" in table.after
    assert any("no systemd here" in note for note in report.notes)
    assert " */2 * * root" in proposed(host, interval=2 * 86400).differences[0].after
    assert proposed(host, state="absent").changed is False
    assert scheduled_restart.verify(host, checked(scheduled_restart.REMEDY, {"unit": "agent.service", "calendar": "daily"})) == [
        "cron does not read /etc/cron.d/pidhygiene-restart-agent"]
    assert scheduled_restart.verify(host, checked(scheduled_restart.REMEDY, {"unit": "agent.service", "state": "absent"})) == []


@pytest.mark.parametrize(("given", "why"), [
    ({"calendar": "daily", "unit": "other.service"}, "nobody could restart"), ({"calendar": "2027-*-* 03:00"}, "cron cannot say that"),
    ({"calendar": "daily UTC"}, "names a zone"), ({"take_over": "/etc/crontab:9"}, "there is no line"), ({}, "neither calendar nor interval"),
    ({"calendar": "daily", "interval": 3600}, "which of them"), ({"interval": 5}, "shorter than"), ({"calendar": "nonsense"}, "nothing that systemd reads"),
    ({"calendar": "daily", "owner": "a\nb"}, "control character"), ({"calendar": "daily", "spread_s": 90000}, "spread_s"),
    ({"calendar": "daily", "unit": "postgresql.service"}, "without being told so"), ({"calendar": "daily", "unit": "../x.service"}, "must not hold"),
])
def test_what_is_refused_without_systemd(given, why):
    with pytest.raises(Refused, match=why):
        proposed(without_systemd(), **given)


def test_a_table_that_cron_reads_is_in_force_and_an_owner_is_known():
    host = without_systemd()
    host.file(cron_restart.path_of("agent.service"), cron_restart.text("agent.service", "0 14 * * 6", SCRIPT, "backup team", "", 0))
    assert scheduled_restart.verify(host, checked(scheduled_restart.REMEDY, {"unit": "agent.service", "calendar": "Sat 14:00"})) == []
    assert scheduled_restart.verify(host, checked(scheduled_restart.REMEDY, {"unit": "agent.service", "state": "absent"})) == [
        "/etc/cron.d/pidhygiene-restart-agent is still there"]
    evidence = gather(host, ("cron", "units"))
    owners = {each.source.rpartition(":")[0]: each.owner for each in restarts.scheduled(evidence)}
    assert owners["/etc/cron.d/pidhygiene-restart-agent"] == "backup team" and owners["/etc/crontab"] == ""
