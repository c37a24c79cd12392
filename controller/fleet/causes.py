# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cause is one line, on however many hosts: findings of hosts, grouped by rule and by what makes them one.

What makes them one is the program, package, unit or file; never a pid, a line number, the name of a session or of a container.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pidhygiene.model import SEVERITIES, STATUSES

from .judging import GRAVE, groups_of, mapping, stable, text
from .model import AUDITED, FleetHost

_PASSING = (
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"), "*"),  # ids of containers and boots
    (re.compile(r" \(\d+(?:, \d+)*\)"), ""),  # pids
    (re.compile(r"(?<=/)\d+(?=/|$)"), "*"),  # /proc/4711
    (re.compile(r":\d+\b"), ""),  # line numbers
    (re.compile(r"\bsession-[a-z]?\d+\.scope"), "session-*.scope"),
    (re.compile(r"\b(user|user-runtime-dir)@\d+\.service"), r"\1@*.service"),
    (re.compile(r"\buser-\d+\.slice"), "user-*.slice"),
    (re.compile(r"\brun-[ru]?[0-9a-f]+\.(service|scope)"), r"run-*.\1"),
)


def what(finding: Mapping[str, Any]) -> str:
    """The subject of a finding without what passes: beremote (8102) → beremote."""
    found = text(mapping(finding.get("subject")).get("id"))
    if text(finding.get("rule")) == "PH-DEL-007":
        return "reboot"  # its subject names the running kernel, which differs
    for pattern, instead in _PASSING:
        found = pattern.sub(instead, found)
    return found


def key_of(finding: Mapping[str, Any]) -> str:
    """The same over runs and hosts."""
    return stable(text(finding.get("rule")), text(mapping(finding.get("subject")).get("type")), what(finding))


class Keys:
    """key_of, asked once for each subject: hosts have theirs in common."""

    MOST = 100_000

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], str] = {}

    def of(self, finding: Mapping[str, Any]) -> str:
        subject = mapping(finding.get("subject"))
        short = text(finding.get("rule")), text(subject.get("type")), text(subject.get("id"))
        key = self._known.get(short)
        if key is None:
            key = key_of(finding)
            if len(self._known) < self.MOST:
                self._known[short] = key
        return key


def is_waived(finding: Mapping[str, Any]) -> bool:
    waiver = finding.get("waiver")
    return isinstance(waiver, Mapping) and waiver.get("expired") is not True


@dataclass(frozen=True)
class Cause:
    key: str  # stable over runs
    rule: str
    title: str
    what: str
    status: str  # the gravest in force; of a cause that is waived everywhere, the gravest
    severity: str
    hosts: tuple[str, ...]  # in force, sorted
    waived: tuple[str, ...]  # hosts on which somebody accepts it
    groups: Mapping[str, int]  # hosts in force by group
    example: str  # what the host with the gravest finding says
    example_host: str
    remedy: Mapping[str, Any] | None


class _Growing:
    def __init__(self, finding: Mapping[str, Any]) -> None:
        self.rule, self.title, self.what = text(finding.get("rule")), text(finding.get("title")), what(finding)
        self.hosts: dict[str, None] = {}
        self.waived: dict[str, None] = {}
        self.groups: dict[str, int] = {}
        self.worst = (-1, -1, -1)
        self.example, self.example_host, self.status, self.severity = "", "", "", ""
        self.remedy: Mapping[str, Any] | None = None

    def add(self, host: FleetHost, finding: Mapping[str, Any]) -> None:
        waived = is_waived(finding)
        if waived:
            self.waived[host.name] = None
        elif host.name not in self.hosts:
            self.hosts[host.name] = None
            for group in groups_of(host):
                self.groups[group] = self.groups.get(group, 0) + 1
        status, severity = text(finding.get("status")), text(finding.get("severity"))
        place = (int(not waived), rank(STATUSES, status), rank(SEVERITIES, severity))
        if place > self.worst:
            self.worst, self.status, self.severity = place, status, severity
            self.example, self.example_host = text(finding.get("message")), host.name
            remedy = finding.get("remedy")
            self.remedy = remedy if isinstance(remedy, Mapping) else None


def rank(order: tuple[str, ...], word: str) -> int:
    return order.index(word) if word in order else -1


def causes(hosts: Iterable[FleetHost], statuses: Container[str] = GRAVE) -> list[Cause]:
    """Gravest first, then by how many hosts have it. ``statuses``: of findings that count."""
    growing: dict[str, _Growing] = {}
    keys = Keys()
    for host in hosts:
        if host.outcome != AUDITED:
            continue
        for finding in host.findings:
            if finding.get("status") not in statuses:
                continue
            key = keys.of(finding)
            if key not in growing:
                growing[key] = _Growing(finding)
            growing[key].add(host, finding)
    found = [
        Cause(key, each.rule, each.title, each.what, each.status, each.severity, tuple(sorted(each.hosts)),
              tuple(sorted(each.waived.keys() - each.hosts.keys())), dict(sorted(each.groups.items())), each.example, each.example_host, each.remedy)
        for key, each in growing.items()
    ]
    return sorted(found, key=lambda each: (
        not each.hosts, -rank(STATUSES, each.status), -rank(SEVERITIES, each.severity), -len(each.hosts), each.rule, each.what))
