# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of one count, cut where it began anew: at a reboot, at a restart of who holds it, and where somebody did reap. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .trend import Point

BOOT, RESTART, REAPED, NOW = "reboot", "restart", "reaped", ""
FELL_SHARE, FELL_LEAST = 0.25, 5.0  # less is the coming and going of the day
SAME_START_S = 120.0  # two audits tell the start of one process to this


class Seen(NamedTuple):
    """One count, as one audit saw it."""

    at: float  # seconds since the epoch
    value: float
    boot: str
    holders: frozenset[int] = frozenset()  # pids of the parents; of a budget: none
    started: float | None = None  # when the oldest of them started, where it is known


class Episode(NamedTuple):
    points: tuple[Point, ...]
    ended: str  # BOOT, RESTART, REAPED, or NOW: it goes on
    until: float  # days: when the next one began, or the last point

    @property
    def days(self) -> float:
        return self.until - self.points[0].at

    @property
    def height(self) -> float:
        return max(point.value for point in self.points)


def cut(seen: Sequence[Seen]) -> list[Episode]:
    """In the order of time; the last one goes on."""
    found: list[Episode] = []
    points: list[Point] = []
    for place, each in enumerate(seen):
        if place:
            why = _anew(seen, place, max(point.value for point in points[-3:]))
            if why:
                found.append(Episode(tuple(points), why, each.at / 86400))
                points = []
        points.append(Point(each.at / 86400, each.value))
    if points:
        found.append(Episode(tuple(points), NOW, points[-1].at))
    return found


def _anew(seen: Sequence[Seen], place: int, before: float) -> str:
    last, this = seen[place - 1], seen[place]
    if last.boot and this.boot and last.boot != this.boot:
        return BOOT
    if this.holders and last.holders:
        same = bool(this.holders & last.holders) and not _restarted(last, this)
        if not same:
            return RESTART
    if before - this.value <= max(FELL_LEAST, FELL_SHARE * before):
        return NOW
    if this.holders or not last.holders:
        return REAPED
    later = next((each for each in seen[place + 1:] if each.holders), None)  # none left: the next to come tells whether it is another one
    return REAPED if later is not None and later.holders & last.holders and not _restarted(last, later) else RESTART


def _restarted(last: Seen, this: Seen) -> bool:
    """The pid is the same, the process is not."""
    return last.started is not None and this.started is not None and this.started - last.started > SAME_START_S and this.started > last.at
