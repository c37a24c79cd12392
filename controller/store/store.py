# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store as the rest of the controller sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from pidhygiene.policy import Policy
from sqlalchemy import Connection, Engine

from ..fleet.model import FleetFinding, FleetHost
from . import judgements, opening, reading, retention
from .intake import Account, Intake
from .retention import Pruned
from .rows import FindingHistory, RuleCount, Run, Sample


class Store:
    """Opened by URL or file name; errors of all methods: StoreUnavailable, StoreError. A context manager."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str = opening.DEFAULT) -> Store:
        """Makes the tables, or brings them to this version. Errors: StoreTooNew, StoreUnavailable, StoreError."""
        address = opening.url_of(url)
        engine = opening.engine_of(address)
        try:
            with opening.speaking(address):
                opening.migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def place(self) -> str:
        """For messages; without a password."""
        return opening.shown(self._engine.url)

    def intake(self, run: str | None = None, progress: Callable[[Account], None] | None = None, now: Callable[[], float] = time.time) -> Intake:
        """What takes results in. ``run``: the name of the run they belong to where no run.json says."""
        return Intake(self._engine, run, progress, now)

    def prune(self, keep_s: float, keep_documents_s: float | None = None, now: float | None = None) -> Pruned:
        """Delete runs that ended longer ago, and their documents earlier if that is wanted."""
        with opening.speaking(self._engine.url):
            return retention.prune(self._engine, time.time() if now is None else now, keep_s, keep_documents_s)

    def runs(self) -> list[Run]:
        """All, in the order of time."""
        with self._asking() as connection:
            return reading.all_runs(connection)

    def run(self, wanted: int | str) -> Run:
        """By number or name. Errors: NoSuchRun."""
        with self._asking() as connection:
            return reading.run(connection, wanted)

    def last_run(self, group: str | None = None) -> Run | None:
        """The latest; with a group, the latest in which a host of that group was audited."""
        with self._asking() as connection:
            return reading.last_run(connection, group)

    def hosts(self, run_id: int, names: Sequence[str] | None = None, lean: bool = False) -> Iterator[FleetHost]:
        """The hosts of a run sorted by name, targeted ones that were not audited too; a few hundred in memory. Parts may be shared: do not change them.

        ``lean``: without facts, measures and what the audit says of itself, except by which policy it was: that is most of the work.
        """
        with opening.speaking(self._engine.url):
            yield from reading.fleet(self._engine, run_id, names, lean)

    def last_audits(self, names: Sequence[str], until: float) -> Iterator[FleetHost]:
        """These hosts as they were when they were last audited, in a run that started no later than ``until``; who never was is left out."""
        with opening.speaking(self._engine.url):
            yield from reading.last_audits(self._engine, names, until)

    def finding_history(self, until: float | None = None, names: Sequence[str] | None = None) -> Iterator[FindingHistory]:
        """When each finding of each host was first and last found, in runs that started no later than ``until``; sorted by host, rule, fingerprint."""
        with opening.speaking(self._engine.url):
            yield from reading.finding_history(self._engine, until, names)

    def rule_counts(self) -> Iterator[RuleCount]:
        """Per run in the order of time: audited hosts by rule and status."""
        with opening.speaking(self._engine.url):
            yield from reading.rule_counts(self._engine)

    def series(self, names: Sequence[str] | None = None, since: float | None = None, least_share: float = 0.0) -> Iterator[Sample]:
        """Measures over time, sorted by host, then time. Name the hosts where few are of interest; least_share: leave out budgets that are emptier."""
        with opening.speaking(self._engine.url):
            yield from reading.series(self._engine, names, since, least_share)

    def keep_policy(self, policy: Policy) -> None:
        """Its text, once for each digest."""
        with opening.speaking(self._engine.url):
            judgements.keep_policy(self._engine, policy, time.time())

    def policies(self, digests: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """The documents that are kept of these digests."""
        with self._asking() as connection:
            return judgements.policies_of(connection, sorted(set(digests)))

    def keep_judgement(self, run_id: int, findings: Sequence[FleetFinding]) -> None:
        """What was found over the fleet in that run, instead of what is kept of it."""
        with opening.speaking(self._engine.url):
            judgements.keep(self._engine, run_id, findings)

    def judgement(self, run_id: int) -> list[FleetFinding] | None:
        """What was found over the fleet in that run; None: nobody judged it."""
        with self._asking() as connection:
            return judgements.of_run(connection, run_id)

    def fleet_history(self, until: float) -> Mapping[str, float]:
        """Fingerprint of each grave finding over the fleet → when the first run that had it started, of those that started no later than ``until``."""
        with self._asking() as connection:
            return judgements.history(connection, until)

    def document(self, host: str, run_id: int) -> dict[str, Any]:
        """The result, or the attempt, as it was received: hostile text, other than what hosts() gives. Errors: NotKept."""
        with self._asking() as connection:
            return reading.document(connection, host, run_id)

    def raw_document(self, host: str, run_id: int) -> bytes:
        """The same as bytes; FleetHost.sha256 is theirs. Errors: NotKept."""
        with self._asking() as connection:
            return reading.raw_document(connection, host, run_id)

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        with opening.speaking(self._engine.url), self._engine.connect() as connection:
            yield connection
