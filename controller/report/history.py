# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Since when each finding is known, asked once of the store."""

from __future__ import annotations

from collections.abc import Iterable

from ..store.rows import Run
from .source import Source


class History:
    """``before``: the run before; None: there is nothing to compare with."""

    def __init__(self, source: Source, run: Run, before: Run | None) -> None:
        self.run = run
        self.before = before
        self._first: dict[tuple[str, str], float] = {}
        self.seen_earlier: set[tuple[str, str]] = set()  # host, fingerprint: found in an earlier run than this one
        if before is not None:
            for row in source.finding_history(until=run.started_at):
                key = (row.rule, row.fingerprint)
                if row.first_at < self._first.get(key, float("inf")):
                    self._first[key] = row.first_at
                if row.first_at < run.started_at:
                    self.seen_earlier.add((row.host, row.fingerprint))

    def first_at(self, rule: str, prints: Iterable[str]) -> float | None:
        """When a run first found one of these; seconds since the epoch."""
        return min((self._first[rule, each] for each in prints if (rule, each) in self._first), default=None)
