# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a parent leaks zombies, and when that will refuse a fork. Pure."""

import bisect
from typing import Any, Optional, Sequence

from . import marks
from .readers.zombies import Brood
from .record import NamedTuple

SAME_AGE = 0.25  # the oldest zombie must have been started in this first part of the parent's life
WINDOWS = 3  # equal parts of the time that is looked at, each of which must hold births


HISTORY_S = 86400.0  # that audits must have watched it for: reapers that come once a night are no rare sight


class Leak(NamedTuple):
    per_day: float
    source: str  # "start times of its zombies" or "marks of earlier audits"


def of_brood(evidence: Any, brood: Brood) -> Optional[Leak]:
    """The rate of an unbounded leak, or None: bounded, too recent, or not to be told.

    Two independent ways, and both want births in three equal windows. Either these reach back to the parent's own start; or three
    audits or more, over a day or more, have seen that none of the same parent's zombies ever went away.
    Batch reapers, pools and sawtooths fail both, on whichever two points of a tooth one looks.
    """
    table = evidence.processes
    now, parent_born = table.clock.boot, brood.parent.start / float(table.machine.ticks_per_second)
    births = brood.births
    if len(births) >= WINDOWS * 2 and births[0] - parent_born <= SAME_AGE * (now - parent_born) and _fills_windows(births, births[0], now):
        return Leak(len(births) * 86400.0 / (now - births[0]), "start times of its zombies")
    return _from_marks(evidence, brood, now)


def _from_marks(evidence: Any, brood: Brood, now: float) -> Optional[Leak]:
    points = marks.zombie_history(evidence, brood.parent)
    if len(points) < 2 or now - points[0][0] < HISTORY_S:
        return None
    since, before = points[0]
    gone = any(bisect.bisect_right(brood.births, moment) < count for moment, count in points)
    if gone or brood.persistent <= before or not _fills_windows(brood.births, since, now):
        return None
    return Leak((brood.persistent - before) * 86400.0 / (now - since), "marks of earlier audits")


def _fills_windows(births: Sequence[float], since: float, now: float) -> bool:
    span = now - since
    return span >= 60 and len({min(WINDOWS - 1, int((birth - since) * WINDOWS / span)) for birth in births if birth >= since}) == WINDOWS


def days_left(free: int, leak: Leak) -> float:
    return max(0, free) / leak.per_day if leak.per_day > 0 else float("inf")
