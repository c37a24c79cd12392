# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a parent leaks zombies, and when that will refuse a fork. Pure."""

from typing import Any, NamedTuple, Optional, Sequence

from . import marks
from .readers.zombies import Brood

SAME_AGE = 0.25  # the oldest zombie must have been started in this first part of the parent's life
WINDOWS = 3  # equal parts of the time since the oldest birth, each of which must hold births


class Leak(NamedTuple):
    per_day: float
    source: str  # "start times of its zombies" or "marks of the last audit"


def of_brood(evidence: Any, brood: Brood) -> Optional[Leak]:
    """The rate of an unbounded leak, or None: bounded, too recent, or not to be told.

    Two independent ways, and only when they can be trusted: the marks of the last audit show growth of the same parent;
    or the start times of its zombies reach back to the parent's own start and fill at least three equal windows.
    Batch reapers, pools and sawtooths fail both.
    """
    remembered = _from_marks(evidence, brood)
    if remembered is not None:
        return remembered
    table = evidence.processes
    parent_born = brood.parent.start / float(table.machine.ticks_per_second)
    return _from_births(brood.births, parent_born, table.clock.boot)


def _from_marks(evidence: Any, brood: Brood) -> Optional[Leak]:
    elapsed = marks.seconds_since(evidence)
    if elapsed is None or elapsed < 60:
        return None
    before = evidence.previous.get("zombies", {}).get(marks.identity(brood.parent))
    if before is None or brood.persistent <= before:
        return None
    return Leak((brood.persistent - before) * 86400.0 / elapsed, "marks of the last audit")


def _from_births(births: Sequence[float], parent_born: float, now: float) -> Optional[Leak]:
    if len(births) < WINDOWS * 2:
        return None
    life, span = now - parent_born, now - births[0]
    if life <= 0 or span < 60 or births[0] - parent_born > SAME_AGE * life:
        return None
    filled = {min(WINDOWS - 1, int((birth - births[0]) * WINDOWS / span)) for birth in births}
    if len(filled) < WINDOWS:
        return None
    return Leak(len(births) * 86400.0 / span, "start times of its zombies")


def days_left(free: int, leak: Leak) -> float:
    return max(0, free) / leak.per_day if leak.per_day > 0 else float("inf")
