# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes: what is found on many hosts for one reason is one line. A fingerprint names no host, so that it is the key of a cause."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..fleet.model import FleetFinding, FleetHost
from .view import Cause, Report, rank

if TYPE_CHECKING:
    from .changes import History

MOST_GROUPS = 12


class Group:
    """The hosts of one cause while they pass by."""

    __slots__ = ("example", "hosts", "severity", "status")

    def __init__(self, finding: Mapping[str, Any]) -> None:
        self.hosts: list[int] = []
        self.example = finding
        self.status, self.severity = str(finding.get("status")), str(finding.get("severity"))

    def add(self, place: int, finding: Mapping[str, Any], status: str) -> None:
        if not self.hosts or self.hosts[-1] != place:
            self.hosts.append(place)
        severity = str(finding.get("severity"))
        if rank(status, severity) < rank(self.status, self.severity):
            self.status, self.severity, self.example = status, severity, finding


def over_the_fleet(hosts: Iterable[FleetHost], policy: Any, now: float) -> tuple[FleetFinding, ...]:
    """What the rules of the fleet say; hosts pass by once."""
    for _host in hosts:
        pass
    return ()


def of(report: Report, groups: Mapping[tuple[str, str], Group], history: History, tickets: Mapping[str, str]) -> list[Cause]:
    """Gravest first; among equals, those on most hosts."""
    found = []
    for (rule, mark), group in groups.items():
        example = group.example
        key = "%s/%s" % (rule, mark)
        cause = Cause(key, rule, str(example.get("title", "")), group.status, group.severity, str(example.get("message", "")),
                      example.get("remedy") if isinstance(example.get("remedy"), Mapping) else None, group.hosts)
        cause.names = tuple(report.hosts[place].name for place in group.hosts)
        cause.first_at = history.first_at(rule, mark)
        found.append(cause)
    where = {row.name: place for place, row in enumerate(report.hosts)}
    for finding in report.fleet:
        if finding.status not in ("fail", "warn", "unknown"):
            continue
        cause = Cause("%s/%s" % (finding.rule, finding.fingerprint), finding.rule, finding.title, finding.status, finding.severity, finding.message, finding.remedy,
                      [where[name] for name in finding.hosts if name in where], finding.hosts)
        cause.evidence = tuple((seen.host, seen.source, seen.value) for seen in finding.evidence)
        found.append(cause)
    for cause in found:
        cause.groups = tuple(sorted({group for place in cause.hosts for group in report.hosts[place].groups if "=" not in group}))[:MOST_GROUPS]
        if history.before is not None and not cause.evidence:
            cause.new = cause.first_at is None or cause.first_at >= report.run.started_at
        cause.ticket = tickets.get(cause.key) or tickets.get(cause.rule, "")
    found.sort(key=lambda cause: (rank(cause.status, cause.severity), -len(cause.names), cause.rule, cause.key))
    return found


PROCESS = re.compile(r" \(\d+\)$")


def subject(finding: Mapping[str, Any]) -> str:
    """Of what a finding speaks, without the pid that is another one on each host."""
    about = finding.get("subject")
    return PROCESS.sub("", str(about.get("id", ""))) if isinstance(about, Mapping) else ""
