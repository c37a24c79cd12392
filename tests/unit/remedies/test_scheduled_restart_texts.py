"""scheduled_restart: what is written, which lines of cron are taken over and how they come back, what is refused."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SimulatedHost
from zone_files import with_zones

from pidhygiene.readers.calendar_syntax import parse as parse_calendar
from pidhygiene.readers.cron import SYSTEM, USER, Crontab
from pidhygiene.readers.crontab import CRONIE, DEBIAN, parse, parse_schedule
from pidhygiene.readers.unit_syntax import parse as parse_unit
from pidhygiene.remedies import cron_lines, scheduled_restart
from pidhygiene.remedies.cron_lines import calendars, given_back, is_alone, lines, restarts_only, set_aside, wanted
from pidhygiene.remedies.model import Refused, checked
from pidhygiene.remedies.scheduled_restart import Schedule, checked_calendar, offset_of, own_name, service_text, timer_text

UNIT = "agent.service"


def parameters(**more: Any) -> dict[str, Any]:
    return checked(scheduled_restart.REMEDY, dict({"unit": UNIT, "calendar": "daily"}, **more))


# -- lines of cron ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "alone"), [
    ("systemctl restart agent", True), ("/usr/bin/systemctl --quiet try-restart agent.service >/dev/null 2>&1", True), ("service agent restart", True),
    ("/sbin/service agent condrestart > /var/log/x", True), ("/etc/init.d/VRTSralus.init restart", True), ("/etc/rc.d/init.d/agent restart &>/dev/null", True),
    ("cd /x && systemctl restart agent", False), ("systemctl restart agent; rm x", False), ("systemctl restart agent | mail me", False),
    ("sleep 5; service agent restart", False), ("systemctl restart agent $(cat x)", False), ("systemctl restart agent other", False),
    ("sh -c 'systemctl restart agent'", False), ("echo systemctl restart agent", False),
])
def test_a_command_that_is_the_restart_and_nothing_else(command: str, alone: bool) -> None:
    assert is_alone(command) is alone


def tables(text: str, path: str = "/etc/crontab", kind: str = SYSTEM) -> tuple[list[Crontab], dict[str, str]]:
    return [Crontab(path, kind, "", SimulatedHost().file(path, text).stat(path), parse(text, kind != USER, DEBIAN), "")], {path: text}


TABLE = "# x\nMAILTO=root\n0 14 * * 6\troot  /etc/init.d/agent.init restart\n1 1 * * * root systemctl restart nginx\n2 2 * * * root true\n"


def test_lines_by_place_and_by_text() -> None:
    found = list(lines(*tables(TABLE), UNIT))
    assert [(line.number, line.services, line.taken) for line in found] == [(3, ["agent.init"], False), (4, ["nginx"], False)]
    assert [line.number for line in wanted(found, "/etc/crontab:3")] == [3] == [line.number for line in wanted(found, "0 14 * * 6 root /etc/init.d/agent.init restart")]
    assert wanted(found, "/etc/crontab:5") == [] == wanted(found, "/etc/passwd:3")
    assert [restarts_only(line, UNIT) for line in found] == [True, False]


def test_a_line_that_is_set_aside_is_no_job_is_found_again_and_comes_back() -> None:
    after = set_aside(TABLE, 3, UNIT)
    assert after.split("\n")[2].startswith("# pidhygiene scheduled_restart of agent.service: 0 14 * * 6\troot  ") and len(after.split("\n")) == len(TABLE.split("\n"))
    assert [job.line for job in parse(after, True, DEBIAN).jobs] == [4, 5]
    line = next(iter(lines(*tables(after), UNIT)))
    assert line.taken and line.number == 3 and line.services == ["agent.init"] and line.schedule == parse_schedule("0 14 * * 6", DEBIAN)
    assert given_back(after, UNIT) == TABLE and given_back(after, "other.service") == after


@given(st.lists(st.text(alphabet="#* 0agent.serv:\t", max_size=30), min_size=1, max_size=6), st.data())
def test_setting_aside_and_giving_back_loses_nothing(rows: list[str], data: Any) -> None:
    text = "\n".join(rows)
    assert given_back(set_aside(text, data.draw(st.integers(1, len(rows))), UNIT), UNIT) == text


WORDS = ("*", "0", "5,7", "*/15", "1-5", "2-10/4", "0-6", "1-31")


@pytest.mark.parametrize("dialect", [DEBIAN, CRONIE])
def test_calendar_events_fire_on_the_minutes_on_which_cron_does(dialect: str) -> None:
    dice = random.Random(11)
    tried = 0
    while tried < 400:
        when = " ".join((dice.choice(("0", "*/20", "*", "7,8")), dice.choice(("14", "*", "*/5", "9-17")), dice.choice(WORDS[:5] + ("1-31", "31")),
                         dice.choice(("*", "2", "1-6")), dice.choice(WORDS[:1] + ("6", "0", "7", "1-5", "0-6", "sat,sun", "*/2"))))
        try:
            schedule = parse_schedule(when, dialect)
        except ValueError:
            continue
        if schedule.never:
            continue
        tried += 1
        events = [parse_calendar(text) for text in calendars(schedule)]
        for day in (date(2026, 1, 1) + timedelta(days=number) for number in range(0, 365)):
            times = {minute for event in events if event.on(day) for minute in event.times}
            assert times == (set(schedule.times) if schedule.on(day) else set()), (when, calendars(schedule), day)


# -- unit files ------------------------------------------------------------------------------------------------------


def assignments(text: str, section: str) -> list[tuple[str, str, str]]:
    return [(each.section, each.key, each.value) for each in parse_unit(text, ("Unit", section, "Install")).assignments]


def test_the_service() -> None:
    assert assignments(service_text(UNIT, "backup team", "it's ticket 4711", "/usr/bin/systemctl"), "Service") == [
        ("Unit", "Description", "Scheduled restart of agent.service"), ("Service", "Type", "oneshot"),
        ("Service", "ExecStart", "-/bin/echo \"Scheduled restart of agent.service; owner: backup team; because: it's ticket 4711\""),
        ("Service", "ExecStart", "/usr/bin/systemctl try-restart -- agent.service")]
    assert "-- a\\\\x2db.service\n" in service_text("a\\x2db.service", "", "", "/bin/systemctl")
    assert "ExecStartPre=/bin/sleep 77\n" in service_text(UNIT, "", "", "/bin/systemctl", 77)


@pytest.mark.parametrize(("schedule", "fixed", "rows"), [
    (Schedule(("Sat 14:00",), 0, 0, 0), True, ["OnCalendar=Sat 14:00", "AccuracySec=1s"]),
    (Schedule(("daily",), 0, 900, 77), True, ["OnCalendar=daily", "RandomizedDelaySec=900", "FixedRandomDelay=yes", "AccuracySec=1s"]),
    (Schedule(("daily",), 0, 900, 77), False, ["OnCalendar=daily", "AccuracySec=1s"]),
    (Schedule((), 7200, 900, 77), True, ["OnActiveSec=7123", "OnUnitActiveSec=7200", "AccuracySec=1s"]),
    (Schedule((), 7200, 80000, 79999), True, ["OnActiveSec=3600", "OnUnitActiveSec=7200", "AccuracySec=1s"]),
])
def test_the_timer(schedule: Schedule, fixed: bool, rows: list[str]) -> None:
    found = assignments(timer_text(UNIT, schedule, fixed), "Timer")
    assert ["%s=%s" % each[1:] for each in found if each[0] == "Timer"] == rows
    assert ("Install", "WantedBy", "timers.target") in found and not any(key == "Persistent" for _section, key, _value in found)


def test_the_offset_stays_and_differs_between_hosts() -> None:
    one, other = SimulatedHost(), SimulatedHost().file("/etc/machine-id", "f" * 32 + "\n")
    assert offset_of(one, UNIT, 86400) == offset_of(one, UNIT, 86400) != offset_of(other, UNIT, 86400)
    assert offset_of(one, UNIT, 0) == 0 and all(0 <= offset_of(one, "%d.service" % each, 3) <= 3 for each in range(50))


def test_names_of_its_units() -> None:
    assert (own_name(UNIT), own_name("a@b.service")) == ("pidhygiene-restart-agent", "pidhygiene-restart-a@b")


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["daily", "Sat 14:00", "Mon..Fri *-*-* 09,17:00/15", "*-*~1 05:00", "Sat 14:00 Europe/Berlin", "Sat 14:00 UTC", " Sat   14:00 "])
def test_calendars_that_are_taken(text: str) -> None:
    assert checked_calendar(with_zones(SimulatedHost()), text)[0] == " ".join(text.split())


@pytest.mark.parametrize("text", [
    "0 14 * * 6", "Sat 25:00", "tomorrow", "", "@1795400000", "Sat 14:00 Europe/Nowhere", "Sat 14:00\nExecStart=/bin/false", "daily\nOnCalendar=x", "Sat 14:00 %i", "Sam 14:00",
    "Sat 14:00 # x", "Persistent=yes", "a\x1b[31m",
])
def test_calendars_that_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        checked_calendar(with_zones(SimulatedHost()), text)


@pytest.mark.parametrize(("more", "words"), [
    ({"unit": "agent"}, "no name of a service"), ({"unit": "a.timer"}, "no name of a service"), ({"unit": "a@.service"}, "no name of a service"),
    ({"unit": "../a.service"}, "must not hold"), ({"unit": "a%i.service"}, "must not hold"), ({"unit": "a\n.service"}, "control character"),
    ({"unit": "pidhygiene-restart-x.service"}, "is itself"),
    ({"interval": 7200}, "both given"), ({"calendar": None}, "say when"), ({"calendar": None, "interval": 599}, "shorter than 600"),
    ({"spread_s": -1}, "spread_s"), ({"spread_s": 86401}, "spread_s"),
    ({"owner": 'x" y'}, "must not hold"), ({"owner": "$HOME"}, "must not hold"), ({"reason": "100 %"}, "must not hold"), ({"reason": "x\\"}, "must not hold"),
    ({"reason": "x; owner: somebody else"}, "must not hold"), ({"owner": "x" * 201}, "longer than"),
])
def test_mistakes_are_named_before_anything_is_read(more: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        scheduled_restart.propose(None, parameters(**more))  # type: ignore[arg-type]


def test_the_mark_says_which_unit() -> None:
    assert cron_lines.MARK % UNIT == "# pidhygiene scheduled_restart of agent.service: "
