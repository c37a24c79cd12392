# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What many results say together, in the order in which a report tells it: scope, now and next, causes, hosts.

Nothing is judged here: statuses come from the rules. One result is looked at, at a time, so that the
documents of ten thousand hosts never stand in memory together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import folder as folders
from .folder import ATTEMPT, AUDITED, NOT_RECORDED, Entry

STATUSES = ("fail", "warn", "unknown", "info", "n/a", "pass")  # gravest first
GATING = {"fail": ("fail",), "warn": ("fail", "warn"), "unknown": ("fail", "warn", "unknown"), "never": ()}
SEVERITIES = ("CRIT", "HIGH", "MED", "LOW", "INFO")
SHOWN_CAUSES = ("fail", "warn", "unknown")


@dataclass(frozen=True)
class Urgent:
    """One host that is at a limit, or near one."""

    host: str
    status: str
    severity: str
    binding: str
    message: str


@dataclass
class Cause:
    """One rule, on all hosts on which it says something."""

    rule: str
    title: str
    status: str
    severity: str
    hosts: list[str] = field(default_factory=list)
    findings: int = 0
    example: str = ""
    reason: str = ""  # of what is unknown: why it could not be judged


@dataclass
class HostLine:
    name: str
    outcome: str
    path: Path
    status: str = "pass"  # gravest in force
    counts: dict[str, int] = field(default_factory=dict)  # findings in force by status
    waived: int = 0
    about: str = ""
    at: str = ""
    partial: bool = False
    errors: tuple[str, ...] = ()
    message: str = ""  # why it was not audited
    next_step: str = ""


@dataclass
class Overview:
    hosts: list[HostLine] = field(default_factory=list)
    causes: dict[tuple[str, str], Cause] = field(default_factory=dict)
    urgent: list[Urgent] = field(default_factory=list)
    policies: dict[str, int] = field(default_factory=dict)
    engines: dict[str, int] = field(default_factory=dict)
    rules: dict[str, dict[str, int]] = field(default_factory=dict)  # every rule that ran: hosts by status
    started: str = ""
    ended: str = ""
    by: str = ""
    others: int = 0  # hosts in the folder that the run did not target
    waived: int = 0

    def outcome(self, name: str) -> list[HostLine]:
        return [host for host in self.hosts if host.outcome == name]

    @property
    def audited(self) -> list[HostLine]:
        return self.outcome(AUDITED)

    @property
    def not_audited(self) -> list[HostLine]:
        return [host for host in self.hosts if host.outcome != AUDITED]

    @property
    def partial(self) -> int:
        return sum(host.partial for host in self.hosts)

    def with_status(self, status: str) -> list[HostLine]:
        return [host for host in self.audited if host.status == status]

    def ranked_causes(self) -> list[Cause]:
        """The gravest first; among equals, the one on most hosts."""
        return sorted(self.causes.values(), key=lambda cause: (rank(cause.status, cause.severity), -len(cause.hosts), cause.rule))

    def ranked_hosts(self) -> list[HostLine]:
        """Not audited first: what is not known can be the worst."""
        return sorted(self.hosts, key=lambda host: (host.outcome == AUDITED, _place(STATUSES, host.status), -host.counts.get(host.status, 0), host.name))

    def gated(self, fail_on: str) -> list[HostLine]:
        """Hosts with a finding in force at or above this status."""
        return [host for host in self.audited if any(host.counts.get(status) for status in GATING[fail_on])]


def of_folder(folder: Path) -> Overview:
    """Of the folder's last run, or of all its files when it holds no run. Errors: OSError."""
    run = folders.run(folder)
    if run is None:
        return of_entries(folders.entries(folder))
    return of_run(folder, run)


def of_run(folder: Path, run: dict[str, Any]) -> Overview:
    """Of the hosts that one run targeted, whether they answered or not."""
    overview = of_entries(_targeted(folder, run))
    overview.by = str(run.get("by", ""))
    overview.started = str(run.get("started_at", "")) or overview.started
    overview.ended = str(run.get("ended_at", "")) or overview.ended
    targeted = {folders.file_name(host) for host in run["hosts"]}
    overview.others = sum(path.name not in targeted for path in (folder / folders.RESULTS).glob("*.json"))
    return overview


def _targeted(folder: Path, run: dict[str, Any]) -> Iterator[Entry]:
    for host in sorted(run["hosts"]):
        row = run["hosts"][host]
        outcome = row.get("outcome") if isinstance(row, dict) else None
        found = folders.entry(folder, host) if outcome in (AUDITED, folders.UNREACHABLE, folders.FAILED) else None
        yield found or Entry(host, folder, folders.attempt(
            host, NOT_RECORDED, "", "the run ended without an answer of this host", "run the audit again with --limit %s" % host))


def of_entries(entries: Iterable[Entry]) -> Overview:
    overview = Overview()
    for entry in entries:
        if entry.document["schema"] == ATTEMPT:
            overview.hosts.append(_unaudited(entry))
        else:
            _add(overview, entry)
    overview.urgent.sort(key=lambda urgent: (rank(urgent.status, urgent.severity), urgent.host, urgent.message))
    return overview


def _unaudited(entry: Entry) -> HostLine:
    said = entry.document
    return HostLine(
        entry.host, str(said.get("outcome", folders.FAILED)), entry.path, status="unknown", at=str(said.get("at", "")),
        message=str(said.get("message", "")), next_step=str(said.get("next_step", "")))


def _add(overview: Overview, entry: Entry) -> None:
    result = entry.document
    audit = result["audit"]
    host = HostLine(
        entry.host, AUDITED, entry.path, about=about(result), at=str(audit.get("started_at", "")), partial=audit.get("visibility") != "full",
        errors=tuple(str(error) for error in _list(audit.get("errors"))))
    seen: dict[tuple[str, str], Cause] = {}
    for finding in result["findings"]:
        if not in_force(finding):
            host.waived += 1
            continue
        status = finding["status"]
        host.counts[status] = host.counts.get(status, 0) + 1
        if status in SHOWN_CAUSES:
            cause = overview.causes.setdefault((finding["rule"], status), Cause(finding["rule"], finding["title"], status, finding["severity"]))
            cause.findings += 1
            cause.example = cause.example or finding["message"]
            if status == "unknown":
                cause.reason = cause.reason or str(finding["subject"]["id"])
            cause.severity = min(cause.severity, finding["severity"], key=lambda severity: _place(SEVERITIES, severity))
            seen[finding["rule"], status] = cause
        if finding.get("binding") and status in ("fail", "warn"):
            overview.urgent.append(Urgent(entry.host, status, finding["severity"], str(finding["binding"]), finding["message"]))
    for cause in seen.values():
        cause.hosts.append(entry.host)
    host.status = status_of(result)
    overview.hosts.append(host)
    overview.waived += host.waived
    for row in result["rules"]:
        statuses = overview.rules.setdefault(str(row.get("rule")), {})
        statuses[str(row.get("status"))] = statuses.get(str(row.get("status")), 0) + 1
    for table, name in ((overview.policies, "policy_digest"), (overview.engines, "engine_version")):
        table[str(audit.get(name))] = table.get(str(audit.get(name)), 0) + 1
    overview.started = min(overview.started or host.at, host.at)
    overview.ended = max(overview.ended, host.at)


def in_force(finding: dict[str, Any]) -> bool:
    """Not waived, or the waiver has expired (``in_force`` of the engine's document.py)."""
    waiver = finding.get("waiver")
    return waiver is None or bool(waiver.get("expired"))


def status_of(result: dict[str, Any]) -> str:
    """The gravest status among the findings in force."""
    found = (finding["status"] for finding in result["findings"] if in_force(finding))
    return min(found, key=lambda status: _place(STATUSES, status), default="pass")


def rank(status: str, severity: str) -> tuple[int, int]:
    """Gravest first."""
    return _place(STATUSES, status), _place(SEVERITIES, severity)


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)


def about(result: dict[str, Any]) -> str:
    """Distribution, kernel and control groups in a few words."""
    host = result["host"]
    distro = host.get("distro") if isinstance(host.get("distro"), dict) else {}
    words = [str(distro.get("id", "")), str(distro.get("version", ""))]
    parts = [" ".join(word for word in words if word), str(host.get("kernel", "")), "cgroup %s" % host.get("cgroup", "?")]
    return " · ".join(part for part in parts if part)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
