# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes as a report shows them: on which hosts, since when, whether somebody knows of them. What makes findings one cause is in fleet/causes.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..fleet.causes import Keys, what
from ..fleet.model import FleetFinding
from .history import History
from .view import GRAVE, Cause, HostRow, Report, rank

MOST_GROUPS = 12


class Group:
    """One cause while hosts pass by."""

    __slots__ = ("example", "hosts", "key", "prints", "severity", "status")

    def __init__(self, key: str, finding: Mapping[str, Any]) -> None:
        self.key = key
        self.hosts: list[int] = []  # places in Report.hosts
        self.prints: set[str] = set()
        self.example = finding
        self.status, self.severity = str(finding.get("status")), str(finding.get("severity"))

    def add(self, place: int, finding: Mapping[str, Any]) -> None:
        if not self.hosts or self.hosts[-1] != place:
            self.hosts.append(place)
        self.prints.add(str(finding.get("fingerprint")))
        status, severity = str(finding.get("status")), str(finding.get("severity"))
        if rank(status, severity) < rank(self.status, self.severity):
            self.status, self.severity, self.example = status, severity, finding


class Grouping:
    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}
        self._keys = Keys()

    def add(self, place: int, finding: Mapping[str, Any]) -> None:
        key = self._keys.of(finding)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, finding)
        group.add(place, finding)

    def causes(self, hosts: Sequence[HostRow], history: History) -> list[Cause]:
        return [_cause(group, hosts, history) for group in self._groups.values()]


def _cause(group: Group, hosts: Sequence[HostRow], history: History) -> Cause:
    example, remedy = group.example, group.example.get("remedy")
    found = Cause(
        group.key,
        str(example.get("rule")),
        str(example.get("title", "")),
        what(example),
        group.status,
        group.severity,
        str(example.get("message", "")),
        remedy if isinstance(remedy, Mapping) else None,
        group.hosts,
        tuple(hosts[place].name for place in group.hosts),
    )
    found.first_at = history.first_at(found.rule, group.prints)
    found.new = history.is_new(found.first_at)
    return found


def ranked(report: Report, of_hosts: list[Cause], tickets: Mapping[str, str], history: History) -> list[Cause]:
    """Those of hosts and those of the whole fleet; gravest first, among equals those on most hosts."""
    where = {row.name: place for place, row in enumerate(report.hosts)}
    found = of_hosts + [_of_fleet(finding, where, history) for finding in report.fleet if finding.status in GRAVE]
    for cause in found:
        groups = {group: None for place in cause.hosts for group in report.hosts[place].groups if "=" not in group}
        cause.groups = tuple(sorted(groups))[:MOST_GROUPS]
        cause.ticket = str(tickets.get(cause.key) or tickets.get(cause.rule, ""))
    return sorted(found, key=lambda cause: (rank(cause.status, cause.severity), -len(cause.names), cause.rule, cause.key))


def _of_fleet(finding: FleetFinding, where: Mapping[str, int], history: History) -> Cause:
    first = history.fleet_first_at(finding.fingerprint)
    return Cause(
        finding.fingerprint,
        finding.rule,
        finding.title,
        finding.subject,
        finding.status,
        finding.severity,
        finding.message,
        finding.remedy,
        [where[name] for name in finding.hosts if name in where],
        finding.hosts,
        first_at=first,
        new=history.is_new(first),
        evidence=tuple((seen.host, seen.source, seen.value) for seen in finding.evidence),
    )
