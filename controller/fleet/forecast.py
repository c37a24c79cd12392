# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host will refuse a fork, when, and because of whom: from one audit where it suffices, else from the history. Pure.

A date is given only where it is honest: the growth has lasted, goes on, and is not looked at ten times further ahead than it was seen.
Everything else is bounded, too recent, or ended in time by restarts, and says so.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from . import episodes, trend
from .episodes import BOOT, REAPED, RESTART, Episode, Seen
from .trend import Line, Point

if TYPE_CHECKING:
    from ..store.rows import Sample
    from .model import FleetHost

LEAK, RESTARTED, BOUNDED, RECENT = "leak", "ended by restarts", "bounded", "recent"
HISTORY, ONE_AUDIT = "history", "one audit"
LEAST_POINTS, LEAST_DAYS = 4, 1.0  # of a growth that gets a date
STRAIGHT_POINTS, STRAIGHT = 3, 2.0  # fewer suffice where no step was more than twice another
LOOSE_POINTS, LOOSE_DAYS = 7, 5.0  # the same for a budget that grows without zombies: load comes and goes by day and week
FURTHEST = 10.0  # times the time it was seen
LEAST_COUNT = 5  # fewer zombies are nothing to speak of
SLOWING = 0.35  # the second half of a growth against its first: a pool that fills up
OUTGROWN = 1.5  # times the highest and longest of earlier teeth: it is reaped no more
FAR_OUTGROWN = 4.0  # times the highest, whatever the time: a handful that came and went before
PART_OF_LIMIT = 0.1  # that a growth without zombies must have taken
CHARGED = 0.5  # of the growth of the zombies that a budget must show to be theirs
UNSEEN = 0.5  # of what a budget's other users usually have: audits come once a night, load comes by day
MODEL = 0.1  # of the time that is left: nothing grows along a line for ever
EARLIER = 4  # earlier episodes that lend their slopes
SHORTEST_S = 600.0  # between two restarts: what leaks faster must be mended
LONGEST_DAYS = 3650.0
MACHINE_WIDE = ("pid_max", "threads-max")
_LEAKS = ("PH-ZMB-001", "PH-ZMB-002")
_BINDING = re.compile(r"(?s)(.+?) of (.*): (-?\d{1,15}) of (\d{1,15})\Z")
DAY_S = 86400.0


class Budget(Protocol):
    """As ``Headroom`` of the store."""

    @property
    def kind(self) -> str: ...
    @property
    def holder(self) -> str: ...
    @property
    def used(self) -> int: ...
    @property
    def limit(self) -> int: ...


class _Named(NamedTuple):
    kind: str
    holder: str
    used: int
    limit: int


@dataclass(frozen=True)
class Rate:
    """Processes a day; nine in ten times the truth lies between low and high."""

    per_day: float
    low: float
    high: float
    source: str  # HISTORY or ONE_AUDIT
    points: int = 1
    days: float = 0.0  # for which it was seen


@dataclass(frozen=True)
class Exhaustion:
    """When one budget will be full. Seconds since the epoch, UTC."""

    kind: str
    holder: str
    used: int
    limit: int
    at: float
    earliest: float
    latest: float | None  # None: perhaps never
    restart_every_s: float | None = None  # at most half of the time in which all that a restart frees is used up


@dataclass(frozen=True)
class Outlook:
    """What one program does to one host."""

    host: str
    program: str  # "" where a budget fills without zombies: who fills it is not told by counts
    unit: str
    verdict: str
    why: str
    count: int  # of zombies, or of what the budget holds
    rate: Rate | None = None
    exhaustions: tuple[Exhaustion, ...] = ()  # the soonest first: that one binds

    @property
    def binding(self) -> Exhaustion | None:
        return self.exhaustions[0] if self.exhaustions else None

    @property
    def restart_every_s(self) -> float | None:
        """What suffices for every budget that has a date; None where a restart would have to come too often."""
        wanted = [each.restart_every_s for each in self.exhaustions]
        return None if not wanted or None in wanted else min(each for each in wanted if each is not None)


@dataclass(frozen=True)
class Leaking:
    """One program, over the fleet."""

    program: str
    hosts: tuple[str, ...]
    per_day: float  # the median host's
    highest: float
    worst_host: str


def fleet(series: Iterable[Sample], now: float, hosts: Iterable[FleetHost] = ()) -> Iterator[Outlook]:
    """Of a series sorted by host, as the store gives it; ``hosts`` of the last run, in the same order, tell of budgets that only findings name."""
    found = _Beside(hosts)
    for host, samples in groupby(series, key=lambda sample: sample.host):
        yield from of_host(list(samples), now, found.findings(host))


class _Beside:
    """The findings of a host, from a second stream that is sorted alike."""

    def __init__(self, hosts: Iterable[FleetHost]) -> None:
        self._hosts = iter(hosts)
        self._at = next(self._hosts, None)

    def findings(self, host: str) -> Sequence[Mapping[str, Any]]:
        while self._at is not None and self._at.name < host:
            self._at = next(self._hosts, None)
        return self._at.findings if self._at is not None and self._at.name == host else ()


def by_program(outlooks: Iterable[Outlook]) -> list[Leaking]:
    """The programs that leak anywhere, on most hosts first."""
    rates: dict[str, list[tuple[float, str]]] = {}
    for each in outlooks:
        if each.program and each.rate is not None and each.verdict in (LEAK, RESTARTED):
            rates.setdefault(each.program, []).append((each.rate.per_day, each.host))
    found = [Leaking(program, tuple(sorted({host for _rate, host in rows})), statistics.median(rate for rate, _host in rows), *max(rows))
             for program, rows in rates.items()]
    return sorted(found, key=lambda leaking: (-len(leaking.hosts), leaking.program))


def of_host(samples: Sequence[Sample], now: float, findings: Sequence[Mapping[str, Any]] = ()) -> list[Outlook]:
    """What threatens one host, the soonest first. ``samples`` in the order of their runs; ``now`` is the controller's time."""
    known = [sample for sample in samples if sample.at <= now + DAY_S]  # a clock that is ahead
    known = [known[place] for place in trend.in_order([sample.at for sample in known])]
    if not known:
        return []
    found = [each for program, unit in _programs(known) for each in _program(known, program, unit, now, findings)]
    leaking = {(row.kind, row.holder) for each in found for row in each.exhaustions}
    found.extend(each for row in known[-1].headroom if (row.kind, row.holder) not in leaking for each in _budget(known, row, now))
    return sorted(found, key=lambda each: (each.binding.at if each.binding else math.inf, -each.count, each.program, each.unit))


def _programs(samples: Sequence[Sample]) -> list[tuple[str, str]]:
    """Parents of zombies that the last audit saw."""
    return sorted({(brood.parent, brood.unit) for brood in samples[-1].broods if brood.persistent})


def _program(samples: Sequence[Sample], program: str, unit: str, now: float, findings: Sequence[Mapping[str, Any]]) -> Iterator[Outlook]:
    seen = [_seen(sample, program, unit) for sample in samples]
    count = int(seen[-1].value)
    if count < LEAST_COUNT:
        return
    history = episodes.cut(seen)
    verdict, why, rate, level = _judged(history, LEAST_POINTS, LEAST_DAYS)
    told = _told(samples[-1], program, unit)
    if told is not None and (rate is None or rate.days < LEAST_DAYS) and verdict not in (BOUNDED,):
        verdict, why, rate, level = LEAK, "the start times of its zombies reach back evenly to its own", told, float(count)
    outlook = Outlook(samples[-1].host, program, unit, verdict, why, count, rate)
    if rate is None:
        yield outlook
        return
    limits = [*samples[-1].headroom, *_only_in_findings(findings, program, samples[-1].headroom)]
    dates = [_date(samples, seen, row, rate, level, now) for row in limits if _charged(samples, seen, row, rate, unit, findings, program)]
    yield _honest(replace(outlook, exhaustions=tuple(sorted((each for each in dates if each is not None), key=lambda each: each.at))), history, now)


def _seen(sample: Sample, program: str, unit: str) -> Seen:
    """All parents of one program and unit together."""
    broods = [brood for brood in sample.broods if (brood.parent, brood.unit) == (program, unit)]
    ages = [brood.parent_age_s for brood in broods if brood.parent_age_s is not None]
    return Seen(sample.at, float(sum(brood.persistent for brood in broods)), sample.boot_id, frozenset(brood.pid for brood in broods),
                sample.at - max(ages) if ages else None)


def _told(sample: Sample, program: str, unit: str) -> Rate | None:
    """What the last audit could tell alone: births of zombies are as good as random, so their number is known to its own square root."""
    rows = [brood for brood in sample.broods if (brood.parent, brood.unit) == (program, unit) and brood.leak_per_day]
    per_day = sum(brood.leak_per_day or 0.0 for brood in rows)
    births = sum(brood.persistent for brood in rows)
    if per_day <= 0 or births < LEAST_COUNT:
        return None
    wide = min(0.9, trend.Z90 / math.sqrt(births) + 0.05)
    return Rate(per_day, per_day * (1 - wide), per_day * (1 + wide), ONE_AUDIT, 1, births / per_day)


def _judged(history: Sequence[Episode], least_points: int, least_days: float) -> tuple[str, str, Rate | None, float]:
    """Verdict, reason, rate, and the smoothed count now."""
    current = history[-1]
    level = current.points[-1].value
    teeth = [episode for episode in history[:-1] if episode.ended == REAPED]
    if teeth and not _outgrown(current, teeth):
        return BOUNDED, "it was reaped %s before, and is not larger or older than then" % _times(len(teeth)), None, level
    points = trend.tail(current.points)
    days = points[-1].at - points[0].at
    if days >= least_days and (len(points) >= least_points or least_points == LEAST_POINTS and _straight(points)):
        return _of_line(points, trend.theil_sen([points]), len(points), days)
    if len(current.points) > len(points):
        return RECENT, "its pace changed %s ago" % _days(days), None, level
    return _lent(history, points)


def _straight(points: Sequence[Point]) -> bool:
    steps = [(later.value - earlier.value) / (later.at - earlier.at) for earlier, later in zip(points, points[1:], strict=False)]
    return len(points) >= STRAIGHT_POINTS and min(steps) > 0 and max(steps) <= STRAIGHT * min(steps)


def _of_line(points: Sequence[Point], line: Line | None, number: int, days: float) -> tuple[str, str, Rate | None, float]:
    if line is not None and line.low <= 0 and points[-1].value - line.level > max(LEAST_COUNT, 4 * line.spread):
        return RECENT, "it has grown since the last audit", None, points[-1].value
    if line is None or line.slope <= 0 or line.low <= 0 or line.slope * days <= 2 * line.spread:
        return BOUNDED, "it does not grow, or no more than it comes and goes", None, points[-1].value
    if _slows(points, line):
        return BOUNDED, "its growth slows down", None, line.level
    return LEAK, "it has grown for %s, in %d audits" % (_days(days), number), Rate(line.slope, line.low, line.high, HISTORY, number, days), line.level


def _slows(points: Sequence[Point], line: Line) -> bool:
    if len(points) < 2 * LEAST_POINTS - 2:
        return False
    late = trend.theil_sen([points[len(points) // 2 - 1:]])
    early = trend.theil_sen([points[: len(points) // 2 + 1]])
    return late is not None and early is not None and late.slope < SLOWING * max(early.slope, line.slope)


def _lent(history: Sequence[Episode], points: Sequence[Point]) -> tuple[str, str, Rate | None, float]:
    """The current episode is short: after a restart, a leak goes on as it did before."""
    level = points[-1].value
    days = points[-1].at - points[0].at
    earlier = [episode for episode in history[:-1] if episode.ended in (RESTART, BOOT)][-EARLIER:]
    line = trend.theil_sen([*(trend.tail(episode.points) for episode in earlier), points])
    seen_for = sum(episode.points[-1].at - episode.points[0].at for episode in earlier) + days
    number = sum(len(episode.points) for episode in earlier) + len(points)
    if not earlier or line is None or number < LEAST_POINTS or seen_for < LEAST_DAYS:
        return RECENT, "it was seen for %s only, in %s" % (_days(days), _audits(len(points))), None, level
    if line.low <= 0 or days > 0 and level - points[0].value < 0.3 * line.slope * days:
        return RECENT, "it began anew %s ago" % _days(days), None, level
    return LEAK, "it grows as before its last %s" % earlier[-1].ended, Rate(line.slope, line.low, line.high, HISTORY, number, seen_for), level


def _outgrown(current: Episode, teeth: Sequence[Episode]) -> bool:
    higher = current.height / max(1.0, *(tooth.height for tooth in teeth))
    return higher > FAR_OUTGROWN or higher > OUTGROWN and current.days > OUTGROWN * max(tooth.days for tooth in teeth)


def _honest(outlook: Outlook, history: Sequence[Episode], now: float) -> Outlook:
    """No date further ahead than ten times the growth was seen; and what restarts end in time is no alarm."""
    rate = outlook.rate
    if rate is None:
        return outlook
    restarts = [episode for episode in history[:-1] if episode.ended in (RESTART, BOOT)]
    if outlook.exhaustions and len(restarts) >= 2:
        longest = max(episode.days for episode in restarts[-EARLIER:])
        begun, first = history[-1].points[0].at, outlook.exhaustions[0].at
        if now / DAY_S - begun < OUTGROWN * longest and first > now and first / DAY_S - begun > OUTGROWN * longest:
            return replace(outlook, verdict=RESTARTED, why="%s; so far it was restarted after %s at most, before the limit" % (outlook.why, _days(longest)))
    furthest = now + FURTHEST * max(rate.days, LEAST_DAYS) * DAY_S
    dates = tuple(each for each in outlook.exhaustions if each.at <= furthest)
    why = outlook.why if dates else outlook.why + "; it would take longer than can be told from %s" % _days(rate.days)
    return replace(outlook, exhaustions=dates, why=why)


def _charged(samples: Sequence[Sample], seen: Sequence[Seen], row: Budget, rate: Rate, unit: str, findings: Sequence[Mapping[str, Any]],
             program: str) -> bool:
    """Whether these zombies eat that budget: the machine's always, their unit's, the one that a finding names, and one that grew as they did."""
    if row.kind in MACHINE_WIDE or unit and unit in row.holder.split("/"):
        return True
    if any((kind, holder) == (row.kind, row.holder) for kind, holder, _used, _limit in _named(findings, program)):
        return True
    pairs = [(each.at / DAY_S, each.value, used) for sample, each in zip(samples, seen, strict=True) for used in _used(sample, row)]
    grown = [(later[1] - earlier[1], later[2] - earlier[2]) for earlier, later in zip(pairs, pairs[1:], strict=False) if later[1] > earlier[1]]
    zombies = sum(first for first, _second in grown)
    return len(grown) >= LEAST_POINTS - 1 and zombies >= LEAST_COUNT and sum(second for _first, second in grown) >= CHARGED * zombies


def _used(sample: Sample, row: Budget) -> list[int]:
    return [each.used for each in sample.headroom if (each.kind, each.holder, each.limit) == (row.kind, row.holder, row.limit)]


def _date(samples: Sequence[Sample], seen: Sequence[Seen], row: Budget, rate: Rate, level: float, now: float) -> Exhaustion | None:
    """What the budget's other users have counts as on their busier nights: on such a day it is full."""
    beside = sorted(used - each.value for sample, each in list(zip(samples, seen, strict=True))[-14:] for used in _used(sample, row))
    if not beside:
        beside = [row.used - seen[-1].value]
    usual, busy, quiet = (beside[min(len(beside) - 1, int(part * len(beside)))] for part in (0.5, 0.9, 0.1))
    free = row.limit - max(row.used, busy + level)
    unseen = UNSEEN * max(0.0, usual)
    return _dated(row, (free - unseen, free, row.limit - quiet - level + unseen / 2), row.limit - max(0.0, busy), rate, samples[-1].at, now)


def _dated(row: Budget, free: tuple[float, float, float], room: float, rate: Rate, seen_at: float, now: float) -> Exhaustion | None:
    """``free``: at the least, most likely, at the most; ``room``: what a restart leaves free."""
    if row.used >= row.limit:
        return Exhaustion(row.kind, row.holder, row.used, row.limit, now, now, now, _interval(room, rate))
    days = max(0.0, free[1]) / rate.per_day
    if days > LONGEST_DAYS:
        return None
    earliest = (1 - MODEL) * max(0.0, free[0]) / rate.high
    latest = (1 + MODEL) * max(0.0, free[2]) / rate.low if rate.low * LONGEST_DAYS > free[2] else None
    return Exhaustion(
        row.kind, row.holder, row.used, row.limit, max(now, seen_at + days * DAY_S), max(now, seen_at + min(days, earliest) * DAY_S),
        None if latest is None else max(now, seen_at + max(days, latest) * DAY_S), _interval(room, rate))


def _interval(room: float, rate: Rate) -> float | None:
    """Whole hours, or minutes where it is short."""
    seconds = max(0.0, room) / rate.high * DAY_S / 2
    whole = seconds - seconds % (3600 if seconds >= 7200 else 60)
    return whole if whole >= SHORTEST_S else None


def _budget(samples: Sequence[Sample], row: Budget, now: float) -> Iterator[Outlook]:
    """A budget that grows without zombies: threads, sessions, tasks that are stuck. Asks for more, as load grows by day and week."""
    host = samples[-1].host
    if row.used >= row.limit:
        full = Exhaustion(row.kind, row.holder, row.used, row.limit, now, now, now)
        yield Outlook(host, "", _unit_of(row), LEAK, "it is full now", row.used, None, (full,))
        return
    seen = [Seen(sample.at, float(used), sample.boot_id) for sample in samples for used in _used(sample, row)]
    if len(seen) < LOOSE_POINTS:
        return
    history = episodes.cut(seen)
    verdict, why, rate, level = _judged(history, LOOSE_POINTS, LOOSE_DAYS)
    if verdict != LEAK or rate is None or rate.points < LOOSE_POINTS or rate.per_day * rate.days < PART_OF_LIMIT * row.limit:
        return
    free = row.limit - level
    unseen = UNSEEN * history[-1].points[0].value
    date = _dated(row, (free - unseen, free, free + unseen / 2), row.limit - history[-1].points[0].value, rate, samples[-1].at, now)
    outlook = Outlook(host, "", _unit_of(row), LEAK, why, row.used, rate, () if date is None else (date,))
    outlook = _honest(outlook, history, now)
    if outlook.exhaustions:
        yield outlook


def _unit_of(row: Budget) -> str:
    last = row.holder.rstrip("/").rpartition("/")[2]
    return last if last.endswith((".service", ".scope", ".slice")) else ""


def _named(findings: Sequence[Mapping[str, Any]], program: str) -> Iterator[tuple[str, str, int, int]]:
    """Budgets that findings about leaks of this program name as binding."""
    name = program.rpartition("/")[2]
    for finding in findings:
        subject = finding.get("subject")
        about = str(subject.get("id", "")) if isinstance(subject, Mapping) else ""
        told = _BINDING.match(str(finding.get("binding") or "")) if finding.get("rule") in _LEAKS and name and name in about else None
        if told:
            yield told.group(1), told.group(2), int(told.group(3)), int(told.group(4))


def _only_in_findings(findings: Sequence[Mapping[str, Any]], program: str, headroom: Sequence[Budget]) -> list[Budget]:
    measured = {(row.kind, row.holder) for row in headroom}
    return [_Named(*each) for each in dict.fromkeys(_named(findings, program)) if each[:2] not in measured and each[3] > 0]


def _days(days: float) -> str:
    hours = days * 24
    return "%.1f days" % days if days >= 2 else "%d hour%s" % (round(hours), "" if round(hours) == 1 else "s")


def _times(number: int) -> str:
    return "once" if number == 1 else "%d times" % number


def _audits(number: int) -> str:
    return "one audit" if number == 1 else "%d audits" % number
