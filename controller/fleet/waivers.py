# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers over findings of a fleet. A host's own findings are waived where it is audited; one about many hosts is waived for those that a waiver names.

A waiver's host is the name by which a host calls itself (host.name of its result), here as where hosts waive their own findings; of one that was not
audited, which tells no name, it is the inventory's. Waived stays visible; what is left of a finding, and what was waived until yesterday, is in force.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pidhygiene.policy import Policy, Waiver

from .model import FleetFinding


@dataclass(frozen=True)
class Ruling:
    """One finding, or the part of it that is on these hosts, and who accepts it."""

    finding: FleetFinding
    waiver: Waiver | None = None
    expired: bool = False

    @property
    def in_force(self) -> bool:
        return self.waiver is None or self.expired


def apply(findings: Iterable[FleetFinding], policy: Policy, groups: Mapping[str, Sequence[str]], today: datetime.date,
          own_names: Mapping[str, str] | None = None) -> list[Ruling]:
    """``groups``: tags of the hosts that findings name; ``own_names``: of hosts that call themselves otherwise than findings call them.

    A finding that is waived on some of its hosts becomes two, with one fingerprint.
    """
    waivers = policy.waivers()
    day = today.isoformat()
    found = []
    for finding in findings:
        left: list[str] = []
        taken: dict[int, list[str]] = {}
        for host in finding.hosts:
            number = _first(waivers, finding, (own_names or {}).get(host, host), groups.get(host, ()), day)
            if number is None:
                left.append(host)
            else:
                taken.setdefault(number, []).append(host)
        if left or not finding.hosts:
            found.append(Ruling(_part(finding, left)))
        for number, hosts in sorted(taken.items()):
            found.append(Ruling(_part(finding, hosts), waivers[number], waivers[number].expires < day))
    return found


def _first(waivers: Sequence[Waiver], finding: FleetFinding, host: str, tags: Sequence[str], day: str) -> int | None:
    """One that holds goes before one that has expired."""
    fitting = [number for number, waiver in enumerate(waivers) if waiver.matches(finding.rule, finding.subject, host, tags)]
    return min(fitting, key=lambda number: (waivers[number].expires < day, number), default=None)


def _part(finding: FleetFinding, hosts: Sequence[str]) -> FleetFinding:
    if len(hosts) == len(finding.hosts):
        return finding
    return replace(finding, hosts=tuple(hosts), evidence=tuple(each for each in finding.evidence if each.host in hosts or each.host not in finding.hosts))
