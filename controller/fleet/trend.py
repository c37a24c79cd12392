# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a count grows, from few and noisy points: the median of the slopes between all pairs (Theil, Sen), with Sen's interval. Pure.

One wild point in four does not move the median, where it would turn a line of least squares.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

Z90 = 1.645  # of the normal distribution: nine in ten
MOST_POINTS = 120  # the latest; pairs grow with the square
LEAST_TO_SPLIT, LEAST_TAIL = 7, 3  # points
SPLIT_F = 8.0  # how much better two lines must fit than one; the best of many splits always fits a little better


class Point(NamedTuple):
    at: float  # days
    value: float


class Line(NamedTuple):
    slope: float  # a day
    low: float  # nine in ten times the true slope lies between
    high: float
    level: float  # at the last point, smoothed
    spread: float  # half of what the points scatter around the line


def theil_sen(segments: Sequence[Sequence[Point]]) -> Line | None:
    """Of points that grow alike but begin anew, as after a restart: slopes are taken within a segment only, the level from the last one."""
    slopes: list[float] = []
    variance = 0.0  # of Kendall's S, which tells how many slopes may lie on the wrong side of the true one
    for segment in segments:
        points = segment[-MOST_POINTS:]
        slopes.extend((later.value - earlier.value) / (later.at - earlier.at)
                      for place, later in enumerate(points) for earlier in points[:place] if later.at > earlier.at)
        variance += len(points) * (len(points) - 1) * (2 * len(points) + 5) / 18
    if not slopes:
        return None
    slopes.sort()
    slope = statistics.median(slopes)
    aside = Z90 * math.sqrt(variance)
    low = slopes[max(0, math.floor((len(slopes) - aside) / 2))]
    high = slopes[min(len(slopes) - 1, math.ceil((len(slopes) + aside) / 2))]
    recent = segments[-1][-MOST_POINTS:]
    last = recent[-1].at
    here = [point.value + slope * (last - point.at) for point in recent]
    level = statistics.median(here[-9:])
    return Line(slope, low, high, level, statistics.median(abs(each - level) for each in here))


def tail(points: Sequence[Point]) -> Sequence[Point]:
    """The points since the growth last changed its pace: a leak that began later, a pool that is full, a jump."""
    points = points[-MOST_POINTS:]
    while len(points) >= LEAST_TO_SPLIT:
        place = _split(points)
        if place is None:
            break
        points = points[place:]
    return points


def _split(points: Sequence[Point]) -> int | None:
    """Where the second of two lines of least squares begins, when they fit far better than one."""
    sums = _Sums(points)
    number = len(points)
    whole = sums.error(0, number)
    if whole <= 0.25 * number:  # half a process: rounding
        return None
    error, place = min((sums.error(0, place) + sums.error(place, number), place) for place in range(2, number - LEAST_TAIL + 1))
    return place if (whole - error) / 3 > SPLIT_F * max(error, 0.05 * number) / (number - 5 if number > 5 else 1) else None


class _Sums:
    """Running sums: the error of a line through any stretch of points in one step."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._rows = [(0.0, 0.0, 0.0, 0.0, 0.0)]
        for at, count in points:
            at, count = at - points[0].at, count - points[0].value
            before = self._rows[-1]
            self._rows.append((before[0] + at, before[1] + count, before[2] + at * at, before[3] + at * count, before[4] + count * count))

    def error(self, begin: int, end: int) -> float:
        """The sum of the squared distances from the line of least squares."""
        number = end - begin
        at, count, square, product, counts = (after - before for after, before in zip(self._rows[end], self._rows[begin], strict=True))
        across, joint, along = square - at * at / number, product - at * count / number, counts - count * count / number
        return max(0.0, along - (joint * joint / across if across > 0 else 0.0))


def in_order(times: Sequence[float]) -> list[int]:
    """Places of the longest run of rising times: what a clock that jumped and came back said in between is left out."""
    best: list[int] = []  # place of the last of the best run of each length
    before: list[int] = []
    for place, time in enumerate(times):
        low, high = 0, len(best)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if times[best[middle]] < time else (low, middle)
        before.append(best[low - 1] if low else -1)
        best[low:low + 1] = [place]
    found: list[int] = []
    place = best[-1] if best else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]
