# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What later reports need of this one: its policy, what it found over the fleet, and which run was told last."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pidhygiene.policy import Policy

from ..store import Store, StoreError
from .output import Output
from .view import Report

LONGEST = 1000  # characters of the name of a run


class Keeping:
    """In the store. Whoever may only read makes reports as well; the next one who may write keeps it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def policy(self, policy: Policy) -> None:
        with contextlib.suppress(StoreError):
            self._store.keep_policy(policy)

    def judgement(self, report: Report, policy: Policy | None) -> None:
        """What was found over the fleet of the last run, unless that is long ago: every host would count as stale."""
        if report.chosen or report.now - report.run.ended_at > 2 * float((policy or Policy())["fleet.interval"]):
            return
        with contextlib.suppress(StoreError):
            if report.run.id == self._store.runs()[-1].id:
                self._store.keep_judgement(report.run.id, report.fleet)


def last_told(path: Path | None) -> str:
    """The name of the run that news, mail and webhook told last; empty: none. Errors: OSError."""
    if path is None or not path.exists():
        return ""
    return path.read_text(encoding="utf-8", errors="replace").strip()[:LONGEST]


def remember(path: Path, name: str) -> None:
    output = Output(str(path))
    output.stream.write(name + "\n")
    output.keep()
