# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a report comes from: the store, or one report folder, which remembers nothing before its last run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from ..fleet import results
from ..fleet.judging import moment
from ..fleet.model import FleetFinding, FleetHost
from ..render import folder as folders
from ..store.rows import FindingHistory, RuleCount, Run, Sample

THIS_RUN = 1


class Source(Protocol):
    """The part of the store that a report asks."""

    def runs(self) -> list[Run]: ...

    def hosts(self, run_id: int, names: Sequence[str] | None = None, lean: bool = False) -> Iterator[FleetHost]: ...

    def finding_history(self, until: float | None = None, names: Sequence[str] | None = None) -> Iterator[FindingHistory]: ...

    def last_audits(self, names: Sequence[str], until: float) -> Iterator[FleetHost]: ...

    def judgement(self, run_id: int) -> list[FleetFinding] | None: ...

    def fleet_history(self, until: float) -> Mapping[str, float]: ...

    def policies(self, digests: Iterable[str]) -> Mapping[str, Mapping[str, Any]]: ...

    def rule_counts(self) -> Iterator[RuleCount]: ...

    def series(self, names: Sequence[str] | None = None, since: float | None = None, least_share: float = 0.0) -> Iterator[Sample]: ...


class FolderSource:
    """One run: the last of a report folder. Errors of its methods: OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told = folders.harmless(folders.run(folder) or {})

    def runs(self) -> list[Run]:
        outcomes: dict[str, int] = {}
        statuses: dict[str, int] = {}
        times = []
        for host in self.hosts(THIS_RUN):
            outcomes[host.outcome] = outcomes.get(host.outcome, 0) + 1
            if host.outcome == folders.AUDITED:
                statuses[host.status] = statuses.get(host.status, 0) + 1
            if host.received is not None:
                times.append(host.received)
        started, ended = (moment(self._told.get(name)) for name in ("started_at", "ended_at"))
        targeted = len(self._told["hosts"]) if self._told else None
        first, last = min(times, default=0.0), max(times, default=0.0)
        return [
            Run(
                THIS_RUN,
                self._folder.resolve().name,
                "reported" if self._told else "named",
                started or first,
                ended or last,
                str(self._told.get("by", "")),
                str(self._told.get("engine_version", "")),
                str(self._told.get("inventory_digest", "")),
                targeted,
                outcomes,
                statuses,
            )
        ]

    def hosts(self, run_id: int, names: Sequence[str] | None = None, lean: bool = False) -> Iterator[FleetHost]:
        if not self._told:
            for entry in folders.entries(self._folder):
                if names is None or entry.host in names:
                    yield _fleet_host(entry)
            return
        for name in sorted(self._told["hosts"]):
            if names is None or name in names:
                found = folders.entry(self._folder, name)
                yield (
                    _fleet_host(found)
                    if found is not None
                    else FleetHost(name, folders.NOT_RECORDED, message="no answer of it was recorded", next_step="run the audit again with --limit %s" % name)
                )

    def finding_history(self, until: float | None = None, names: Sequence[str] | None = None) -> Iterator[FindingHistory]:
        return iter(())

    def last_audits(self, names: Sequence[str], until: float) -> Iterator[FleetHost]:
        return iter(())

    def judgement(self, run_id: int) -> list[FleetFinding] | None:
        return None

    def fleet_history(self, until: float) -> Mapping[str, float]:
        return {}

    def policies(self, digests: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        return {}

    def rule_counts(self) -> Iterator[RuleCount]:
        return iter(())

    def series(self, names: Sequence[str] | None = None, since: float | None = None, least_share: float = 0.0) -> Iterator[Sample]:
        return iter(())


def _fleet_host(entry: folders.Entry) -> FleetHost:
    """``received``: when its file was written; the time that an attempt tells is the controller's as well."""
    host = results.of_document(entry.document, entry.host)
    if host.outcome != folders.AUDITED:
        return replace(host, at=host.received, received=_written(entry.path))
    return replace(host, received=_written(entry.path), sha256=_digest(entry.path))


def _written(path: Path) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
