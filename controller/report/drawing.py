# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small drawings, as SVG inside the page: the trend, the fleet over the offsets of the world, a line of numbers. All words go through markupsafe."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from ..store.rows import Run
from .view import Report
from .wording import day, number
from .zones import Zone

WIDTH, HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 112, 14, 26
LINES = (("fail", "fail"), ("warn", "warn"), ("unknown", "unknown"), ("missing", "not audited"))


def spark(values: Sequence[float], width: int = 88, height: int = 20) -> Markup:
    """The course of a number; nothing when there is no course."""
    if len(values) < 2:
        return Markup("")
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = (width - 4) / (len(values) - 1)
    points = " ".join(
        "%.1f,%.1f" % (2 + place * step, height - 3 - (value - low) / span * (height - 6) if high > low else height / 2) for place, value in enumerate(values)
    )
    said = "from %s to %s over %d runs" % (number(int(values[0])), number(int(values[-1])), len(values))
    return Markup('<svg class="spark" viewBox="0 0 %d %d" role="img" aria-label="%s"><polyline class="line" points="%s"/></svg>') % (
        width,
        height,
        said,
        points,
    )


def missing_of(run: Run) -> int:
    return max(run.targeted or 0, sum(run.outcomes.values())) - run.outcomes.get("audited", 0)


def trend(report: Report) -> Markup:
    """Hosts by status over the runs. Lines differ by dashes and by their word, not by colour alone."""
    runs = report.runs
    if len(runs) < 2 or report.chosen:
        return Markup("")
    values = {"missing": [missing_of(run) for run in runs], **{name: [run.statuses.get(name, 0) for run in runs] for name, _word in LINES[:3]}}
    top = _round_up(max(max(each) for each in values.values()))
    first, last = runs[0].started_at, runs[-1].started_at
    across = [LEFT + (run.started_at - first) / ((last - first) or 1.0) * (WIDTH - LEFT - RIGHT) for run in runs]

    def height(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        Markup('<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="Hosts by status over %d runs; the table below has the numbers">')
        % (WIDTH, HEIGHT, len(runs))
    ]
    for share in (0, 0.5, 1):
        level = height(top * share)
        parts.append(
            Markup('<path class="axis" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>')
            % (LEFT, level, WIDTH - RIGHT, LEFT - 8, level + 4, number(int(top * share)))
        )
    for place in {0, len(runs) // 2, len(runs) - 1}:
        parts.append(Markup('<text x="%.1f" y="%d" text-anchor="middle">%s</text>') % (across[place], HEIGHT - 8, day(runs[place].started_at)))
    labels: list[float] = []
    for name, word in sorted(LINES, key=lambda line: -values[line[0]][-1]):
        if not any(values[name]):
            continue
        points = " ".join("%.1f,%.1f" % (x, height(value)) for x, value in zip(across, values[name], strict=True))
        level = max([height(values[name][-1]) + 4, *(each + 14 for each in labels[-1:])])
        labels.append(level)
        parts.append(
            Markup('<polyline class="line of-%s" points="%s"/><text class="%s" x="%d" y="%.1f">%s %s</text>')
            % (name, points, name, WIDTH - RIGHT + 8, level, number(values[name][-1]), word)
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _round_up(value: float) -> float:
    """The next number that a scale may end with."""
    if value <= 4:
        return 4
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 4.0, 6.0, 8.0, 10.0) if step * power >= value)


def world(zones: Sequence[Zone]) -> Markup:
    """Offsets from west to east, a column for each in which hosts live; its height is the square root of their number."""
    by_offset: dict[int, list[Zone]] = {}
    for zone in zones:
        if zone.offset_s is not None:
            by_offset.setdefault(zone.offset_s, []).append(zone)
    if not by_offset:
        return Markup("")
    most = max(sum(len(zone.hosts) for zone in here) for here in by_offset.values())
    height, base = 190, 150

    def across(hours: float) -> float:
        return 24 + (hours + 12) / 26 * (WIDTH - 48)

    parts = [
        Markup('<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="Hosts over the offsets from UTC; the table below has the zones">')
        % (WIDTH, height),
        Markup('<path class="axis" d="M%.1f %dH%.1f"/>') % (across(-12), base, across(14)),
    ]
    for hours in range(-12, 15, 2):
        parts.append(
            Markup('<path class="axis" d="M%.1f %dv5"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>')
            % (across(hours), base, across(hours), base + 18, "UTC" if hours == 0 else "%s%d" % ("−" if hours < 0 else "+", abs(hours)))
        )
    last_end = [-1.0, -1.0]
    for offset, here in sorted(by_offset.items()):
        hosts = sum(len(zone.hosts) for zone in here)
        tall = max(4.0, 88 * math.sqrt(hosts / most))
        x = across(offset / 3600)
        biggest = max(here, key=lambda zone: len(zone.hosts)).name
        words = "%s %s%s" % (number(hosts), biggest[:32], " +%d" % (len(here) - 1) if len(here) > 1 else "")
        wide = 6.4 * len(words)
        start = min(max(4.0, x - wide / 2), WIDTH - wide - 4)
        lane = 0 if start > last_end[0] + 6 else 1
        level = (34 if lane == 0 else 16) + (base - 34 - 88 - 8)
        last_end[lane] = start + wide
        parts.append(
            Markup(
                '<path class="axis" d="M%.1f %.1fV%.1f"/><rect class="column" x="%.1f" y="%.1f" width="14" height="%.1f" rx="1"/>'
                '<text class="strong" x="%.1f" y="%.1f">%s</text>'
            )
            % (x, level + 4, base - tall, x - 7, base - tall, tall, start, level, words)
        )
    return Markup("").join([*parts, Markup("</svg>")])
