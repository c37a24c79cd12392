# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-006: repairs must not take the majority of a quorum group away."""

from __future__ import annotations

from collections.abc import Iterator

from pidhygiene.model import HIGH, INFO, SEVERITY_INFO, UNKNOWN, WARN
from pidhygiene.policy import Policy

from . import voters
from .judging import GRAVE, Judge, fleet_rule, mapping, noun, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost


@fleet_rule("PH-FLT-006")
class QuorumGate(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.hosts: dict[str, tuple[str, ...]] = {}
        self.away: dict[str, str] = {}  # host → why it does not count
        self.waiting: dict[str, dict[str, list[str]]] = {}  # host → unit or "" → rules whose remedy disturbs it

    def take(self, host: FleetHost) -> None:
        self.hosts[host.name] = host.groups
        if host.outcome != AUDITED:
            self.away[host.name] = host.outcome
            return
        for finding in host.findings:
            remedy = mapping(finding.get("remedy"))
            if finding.get("status") in GRAVE and remedy.get("disruptive") is True:
                given = mapping(remedy.get("parameters"))
                named = given.get("units") or given.get("unit") or ""
                for unit in [named] if isinstance(named, str) else named:
                    self.waiting.setdefault(host.name, {}).setdefault(text(unit), []).append(text(finding.get("rule")))

    def findings(self) -> Iterator[FleetFinding]:
        for group in voters.groups(self.policy, self.hosts):
            yield from self._lost(group)
            waiting = {host: sorted({rule for unit, rules in self.waiting.get(host, {}).items() for rule in rules
                                     if not group.units or not unit or unit in group.units}) for host in group.hosts}
            acting = [host for host in group.hosts if waiting[host]]
            away = [host for host in group.hosts if host in self.away or host not in self.hosts]
            allowed = max(0, group.spare - len(away))
            if len(acting) > allowed or acting and not group.gated:
                yield self._gate(group, acting, away, allowed, waiting)

    def _lost(self, group: voters.Voters) -> Iterator[FleetFinding]:
        away = [host for host in group.hosts if host in self.away or host not in self.hosts]
        if len(away) > group.spare:
            yield self.finding(
                UNKNOWN, HIGH, "%s: majority" % group.name,
                "%s has %s, and %s could not be audited: nobody knows whether its majority is up; look at them before anything is repaired." % (
                    group.name, noun(group.size, "voter"), some(away)), away,
                [FleetEvidence(host, "run", self.away.get(host, "was never audited")) for host in away])

    def _gate(self, group: voters.Voters, acting: list[str], away: list[str], allowed: int, waiting: dict[str, list[str]]) -> FleetFinding:
        message = "%s of the %d voters of %s wait for repairs that restart something, and %s: " % (
            some(acting), group.size, group.name, ("with %s away none may be taken down" if not allowed else "with %s away only %d may be down")
            % ((some(away),) if not allowed else (some(away), allowed)) if away else "at most %d may be down" % allowed)
        message += "no plan does more than %s at a time" % ("one" if allowed else "the missing ones, alone and first")
        if not group.gated:
            message += "; the tag alone binds no plan: name the group in the policy (quorum_groups)"
        status, severity = (WARN, HIGH) if not group.gated or not allowed else (INFO, SEVERITY_INFO)
        return self.finding(status, severity, group.name, message + ".", acting,
                            [FleetEvidence(host, "findings", ", ".join(waiting[host])) for host in acting])

    def silent_because(self) -> str:
        return "" if voters.groups(self.policy, self.hosts) else "neither the policy (quorum_groups) nor a tag (quorum=3) names voters"
