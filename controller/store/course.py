# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of a result that are looked at over time, and how they lie in the store: the names of budgets once for many runs, the numbers in each.

A history of a whole fleet so costs no look at everything that each result measured.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from .packing import compact
from .rows import Brood, Headroom

Shape = Sequence[Sequence[Any]]  # kinds, holders and limits of the budgets: three columns


# Millions of them in a history: Headroom._make counts the members of each again.
_headroom = cast(Callable[[tuple[str, str, int, int]], Headroom], functools.partial(tuple.__new__, Headroom))


def split(measures: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """What stays the same from run to run, and what does not."""
    found = list(headroom(measures))
    shape = [[each.kind for each in found], [each.holder for each in found], [each.limit for each in found]]
    return compact(shape), compact([[each.used for each in found], list(broods(measures))])


def joined(shape: Shape, course: bytes, least_share: float) -> tuple[tuple[Brood, ...], tuple[Headroom, ...]]:
    used, rows = json.loads(course.decode("ascii"))
    kinds, holders, limits = shape
    budgets = map(_headroom, zip(kinds, holders, used, limits, strict=True))
    return tuple(map(Brood._make, rows)), tuple(each for each in budgets if each.used >= least_share * each.limit) if least_share else tuple(budgets)


def broods(measures: Mapping[str, Any]) -> Iterator[Brood]:
    zombies = measures.get("zombies")
    for row in _dicts(zombies.get("by_parent") if isinstance(zombies, dict) else None):
        yield Brood(_text(row.get("parent")), _text(row.get("unit")), _count(row.get("pid")), _count(row.get("count")), _count(row.get("persistent")),
                    _number(row.get("oldest_s")), _number(row.get("parent_age_s")), _number(row.get("leak_per_day")))


def headroom(measures: Mapping[str, Any], least_share: float = 0.0) -> Iterator[Headroom]:
    budgets = measures.get("budgets")
    seen = set()
    for row in (*_dicts([budgets[name] for name in sorted(budgets)] if isinstance(budgets, dict) else None), *_dicts(measures.get("groups")),
                *_dicts([row.get("binding") for row in _dicts(measures.get("users"))])):
        used, limit = _count(row.get("used")), _count(row.get("limit"))
        if limit <= 0 or used < least_share * limit:
            continue
        found = Headroom(_text(row.get("kind")), _text(row.get("holder")), used, limit)
        if found[:2] not in seen:
            seen.add(found[:2])
            yield found


def _dicts(rows: Any) -> list[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
