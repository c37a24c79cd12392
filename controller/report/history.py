# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Since when each finding is known, asked once of the store."""

from __future__ import annotations

from collections.abc import Iterable

from ..fleet.model import FleetFinding
from ..store.rows import Run
from .source import Source


class History:
    """``before``: the run before; None: there is nothing to compare with."""

    def __init__(self, source: Source, run: Run, before: Run | None) -> None:
        self.run = run
        self.before = before
        self._first: dict[tuple[str, str], float] = {}
        self.seen_earlier: set[tuple[str, str]] = set()  # host, fingerprint: found in a run before the run before
        if before is not None:
            for row in source.finding_history(until=run.started_at):
                key = (row.rule, row.fingerprint)
                if row.first_at < self._first.get(key, float("inf")):
                    self._first[key] = row.first_at
                if row.first_at < before.started_at:
                    self.seen_earlier.add((row.host, row.fingerprint))
        self._fleet: dict[str, float] = {} if before is None else dict(source.fleet_history(run.started_at))
        self.fleet_earlier = {each for each, first in self._fleet.items() if before is not None and first < before.started_at}

    def learn_fleet(self, findings: Iterable[FleetFinding]) -> None:
        """What was found over the fleet of the run before, which may be kept nowhere."""
        for each in findings:
            if self.before is not None and self._fleet.get(each.fingerprint, float("inf")) > self.before.started_at:
                self._fleet[each.fingerprint] = self.before.started_at

    def fleet_first_at(self, fingerprint: str) -> float | None:
        """The same of what was found over the fleet: as far back as reports were made run by run."""
        return self._fleet.get(fingerprint)

    def is_new(self, first_at: float | None) -> bool | None:
        """None: there is nothing to compare with."""
        return None if self.before is None else first_at is None or first_at >= self.run.started_at

    def first_at(self, rule: str, prints: Iterable[str]) -> float | None:
        """When a run first found one of these; seconds since the epoch."""
        return min((self._first[rule, each] for each in prints if (rule, each) in self._first), default=None)
