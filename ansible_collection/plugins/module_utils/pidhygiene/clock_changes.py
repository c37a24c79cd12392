# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of jobs when the clocks of their zone are put forward or back. Pure.

Three ways of scheduling, each as the program really does it (tests/lab/test_clock_changes.py runs the daemons over the change):

* cron, Debian's and cronie (main loop of cron.c): a change below three hours is noticed. What stands at fixed times is made up for when
  clocks go forward and not repeated when they go back. What begins with a star in minute or hour goes by the clock: skipped, or twice.
* cronie with CRON_TZ (find_jobs): goes by the clock of that zone, fixed or not. And while *cron's own* zone repeats an hour, fixed jobs of
  all other zones do not run at all.
* systemd (find_next of calendarspec.c): a time that does not exist is skipped, one that exists twice runs at the first; what runs many
  times a day rests while the hour is repeated.
"""

from datetime import date
from typing import Callable, List, Sequence, Tuple

from .readers.zone_info import YEAR, Zone
from .record import NamedTuple

SKIPPED, TWICE, LATE, RESTS = "skipped", "twice", "late", "rests"
DAY, MINUTE = 86400, 60
_EPOCH = date(1970, 1, 1).toordinal()
JUMP = 180  # minutes; a larger difference from the minute that cron expects next is a clock that was set
OFTEN = 24  # runs a day


class Change(NamedTuple):
    """Clocks are put from ``before`` to ``after`` seconds east of UTC."""

    moment: int  # seconds since the epoch
    before: int
    after: int
    season: bool  # whether summer time begins or ends with it: what some programs go by

    @property
    def forward(self) -> bool:
        return self.after > self.before

    @property
    def length(self) -> int:
        return abs(self.after - self.before)

    @property
    def noticed(self) -> bool:
        """Whether cron takes it for a change of season."""
        return self.length // MINUTE + (1 if self.forward else -1) <= JUMP

    @property
    def start(self) -> int:
        """The first second, by the wall clock, that does not exist or exists twice; as seconds since 1970-01-01 on that wall."""
        return self.moment + min(self.before, self.after)

    @property
    def end(self) -> int:
        return self.moment + max(self.before, self.after)


class Schedule(NamedTuple):
    on: Callable[[date], bool]
    times: Sequence[int]  # minutes of the day, sorted

    def between(self, start: int, end: int) -> List[int]:
        """The runs from start to before end, in seconds of the wall clock."""
        found: List[int] = []
        for day in range(start // DAY, (end - 1) // DAY + 1):
            if self.on(date.fromordinal(_EPOCH + day)):
                found.extend(moment for moment in (day * DAY + minute * MINUTE for minute in self.times) if start <= moment < end)
        return found

    @property
    def longest_pause(self) -> int:
        """Seconds between two runs on days that follow each other."""
        pauses = [later - earlier for earlier, later in zip(self.times, self.times[1:])]
        return MINUTE * max(pauses + [1440 - self.times[-1] + self.times[0]])


class Effect(NamedTuple):
    kind: str
    change: Change
    runs: Tuple[int, ...]  # by the wall clock
    elsewhere: bool = False  # the change is of cron's zone, not of the job's


def of_zone(zone: Zone, now: float) -> List[Change]:
    """Of the next twelve months."""
    found = []
    for moment in sorted(set(zone.changes(int(now), int(now) + YEAR))):
        (before, summer, _name), (after, summer_then, _other) = zone.at(moment - 1), zone.at(moment)
        if before != after:
            found.append(Change(moment, before, after, summer != summer_then))
    return found


def under_cron(schedule: Schedule, star: bool, changes: Sequence[Change]) -> List[Effect]:
    """``star``: minute or hour are written with a star at the beginning."""
    found = []
    for change in changes:
        runs = schedule.between(change.start, change.end)
        by_the_clock = star or not change.noticed
        if not runs:
            continue
        if not by_the_clock:
            if change.forward:
                found.append(Effect(LATE, change, tuple(runs)))
        elif change.forward and _missed(schedule, change, runs):
            found.append(Effect(SKIPPED, change, tuple(runs)))
        elif not change.forward and not (star and _fills_the_hour(schedule, change)):
            found.append(Effect(TWICE, change, tuple(runs)))
    return found


def under_cron_zone(schedule: Schedule, star: bool, changes: Sequence[Change], own: Sequence[Change], zone: Zone) -> List[Effect]:
    """cronie's CRON_TZ: ``changes`` are those of the job's zone, ``own`` those of cron's."""
    found = []
    repeated = [] if star else [change for change in own if not change.forward and change.noticed]  # no fixed job runs then
    for change in changes:
        runs = schedule.between(change.start, change.end)
        once = any(each.moment == change.moment for each in repeated) or (star and _fills_the_hour(schedule, change))
        if runs and change.forward and _missed(schedule, change, runs):
            found.append(Effect(SKIPPED, change, tuple(runs)))
        elif runs and not change.forward and not once:
            found.append(Effect(TWICE, change, tuple(runs)))
    moments = {change.moment for change in changes}
    for change in repeated:
        shift = zone.at(change.moment)[0]
        runs = schedule.between(change.moment + shift, change.moment + change.length + shift)
        if runs and change.moment not in moments:
            found.append(Effect(SKIPPED, change, tuple(runs), True))
    return found


def under_systemd(schedule: Schedule, changes: Sequence[Change]) -> List[Effect]:
    found = []
    for change in changes:
        runs = schedule.between(change.start, change.end)
        if runs and change.forward and _missed(schedule, change, runs):
            found.append(Effect(SKIPPED, change, tuple(runs)))
        elif runs and not change.forward and len(schedule.times) >= OFTEN:
            found.append(Effect(RESTS, change, tuple(runs)))
    return found


def _missed(schedule: Schedule, change: Change, runs: Sequence[int]) -> bool:
    """An hourly job misses nothing when an hour does not exist. Others do: all runs of the day are gone, or the pause is longer than ever."""
    first, last = runs[0] // DAY, runs[-1] // DAY
    if len(schedule.between(first * DAY, (last + 1) * DAY)) == len(runs):
        return True
    earlier = schedule.between(change.start - DAY, change.start)
    later = schedule.between(change.end, change.end + DAY)
    return not earlier or not later or later[0] - earlier[-1] - change.length > schedule.longest_pause


def _fills_the_hour(schedule: Schedule, change: Change) -> bool:
    """It runs right before or right after as well, so that the repeated hour only goes on as it was."""
    return bool(schedule.between(change.start - change.length, change.start) or schedule.between(change.end, change.end + change.length))


def clock(wall: int) -> str:
    """02:30"""
    return "%02d:%02d" % (wall % DAY // 3600, wall % 3600 // MINUTE)


def day(wall: int) -> str:
    """2027-03-28"""
    return date.fromordinal(_EPOCH + wall // DAY).isoformat()


def told(change: Change) -> str:
    """from 02:00 to 03:00"""
    before, after = change.moment + change.before, change.moment + change.after
    return "from %s to %s" % (clock(before), clock(after))
