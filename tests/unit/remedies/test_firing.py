"""When jobs run next: against a look at every single minute, in zones with and without summer time."""

from __future__ import annotations

import calendar
import random
import time
from datetime import date

import pytest
from zone_files import BERLIN, NEW_YORK, SHANGHAI, UTC

from pidhygiene.readers.calendar_syntax import parse as parse_calendar
from pidhygiene.readers.crontab import DEBIAN, parse_schedule
from pidhygiene.readers.zone_info import TzFile, parse
from pidhygiene.remedies.firing import AGAIN, SKIPPED, lost_or_doubled, moment_of, next_firing, shown_moment

ZONES = {"utc": parse(UTC), "berlin": parse(BERLIN), "shanghai": parse(SHANGHAI), "new york": parse(NEW_YORK)}


def at(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M"))


def by_minutes(when: str, zone: TzFile, now: int, days: int) -> int | None:
    """What a cron that looks at its clock every minute does."""
    schedule = parse_schedule(when, DEBIAN)
    for moment in range(now - now % 60 + 60, now + days * 86400, 60):
        local = time.gmtime(moment + zone.shift(moment))
        if local.tm_min in schedule.minutes and local.tm_hour in schedule.hours and schedule.on(date(*local[:3])):
            return moment
    return None


def test_the_next_firing_is_that_of_a_cron_that_looks_every_minute() -> None:
    dice = random.Random(7)
    for _case in range(300):
        when = " ".join((str(dice.randrange(60)), dice.choice(["*", "4", "14", "*/6", "9-17"]), dice.choice(["*", "*", "15"]), "*", dice.choice(["*", "1-5", "6"])))
        zone = ZONES[dice.choice(sorted(ZONES))]
        now = at("2026-05-01 00:00") + dice.randrange(100 * 86400)  # no change of clocks here: those have their own test
        expected = by_minutes(when, zone, now, 12)
        if expected is not None:
            assert next_firing(parse_schedule(when, DEBIAN), zone, now) == expected, (when, now)


@pytest.mark.parametrize(("local", "moment"), [
    ("2026-03-29 01:59", "2026-03-29 00:59"), ("2026-03-29 03:00", "2026-03-29 01:00"), ("2026-03-29 02:30", "2026-03-29 01:30"),  # the gap
    ("2026-10-25 02:30", "2026-10-25 00:30"), ("2026-10-25 03:00", "2026-10-25 02:00"),  # twice: the first one
])
def test_moments_around_changes_of_the_clock(local: str, moment: str) -> None:
    assert moment_of(at(local), ZONES["berlin"]) == at(moment)


def test_what_never_fires_and_what_fires_in_leap_years() -> None:
    now = at("2026-11-28 12:00")
    assert next_firing(parse_schedule("0 0 30 2 *", DEBIAN), ZONES["utc"], now) is None
    assert next_firing(parse_schedule("0 0 29 2 *", DEBIAN), ZONES["utc"], now) == at("2028-02-29 00:00")
    assert shown_moment(None, ZONES["utc"]) == "never"
    assert shown_moment(at("2026-11-28 18:30"), ZONES["shanghai"]) == "2026-11-29 02:30 CST (28. 18:30 UTC)"


def test_calendar_events_are_reckoned_alike() -> None:
    now = at("2026-11-28 12:00")
    assert next_firing(parse_calendar("Sat *-*-* 14:00"), ZONES["shanghai"], now) == at("2026-12-05 06:00")
    assert next_firing(parse_calendar("Sun *-*~1..7 03:10"), ZONES["berlin"], now) == at("2026-11-29 02:10")
    assert lost_or_doubled(parse_calendar("14:00"), ZONES["utc"], ZONES["shanghai"], now) == SKIPPED


@pytest.mark.parametrize(("when", "old", "new", "expected"), [
    ("0 14 * * *", "utc", "shanghai", SKIPPED),  # from 12:00 to 20:00
    ("0 9 * * *", "utc", "shanghai", ""),
    ("0 20 * * *", "utc", "shanghai", SKIPPED),
    ("0 14 * * *", "shanghai", "utc", AGAIN),
    ("0 12 * * *", "shanghai", "utc", ""),  # due right now, by either clock once
    ("0 14 * * 1", "shanghai", "utc", ""),  # 2026-11-28 is a Saturday
    ("5 * * * *", "utc", "shanghai", ""),
    ("0 14 * * *", "utc", "utc", ""),
])
def test_what_the_jump_does_to_a_job(when: str, old: str, new: str, expected: str) -> None:
    assert lost_or_doubled(parse_schedule(when, DEBIAN), ZONES[old], ZONES[new], at("2026-11-28 12:00")) == expected
