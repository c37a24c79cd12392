# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls: what a rule means to an auditor, by the policy's ``controls`` (rule → ids of CIS, PCI, ISO …).

A control on a host is as its worst rule is. Nothing here is ever called compliant: rules say what they found, and on how many hosts nobody looked.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pidhygiene.model import FAIL, INFO, PASS, UNKNOWN, WARN
from pidhygiene.policy import Policy

from .causes import is_waived
from .judging import RuleRow, groups_of, mapping, noun, text
from .model import AUDITED, FleetHost
from .waivers import Ruling

PASSED, FAILED, UNSEEN, NOT_AUDITED, WAIVED, NOT_APPLICABLE = "pass", "fail", "unknown", "not audited", "waived", "n/a"
OUTCOMES = (PASSED, FAILED, UNSEEN, NOT_AUDITED, WAIVED, NOT_APPLICABLE)
GRAVEST = (FAILED, UNSEEN, WAIVED, PASSED, NOT_APPLICABLE)
_BARE = {PASS: PASSED, INFO: PASSED, "n/a": NOT_APPLICABLE, FAIL: FAILED, WARN: FAILED}  # what the status of a rule means alone
FAMILY = "PH-FLT-"  # rules over a fleet: no host has them in its result


@dataclass(frozen=True)
class Accepted:
    """By whom a deviation is accepted, until when."""

    owner: str
    expires: str
    justification: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Control:
    id: str
    rules: tuple[str, ...]
    hosts: Mapping[str, int]  # outcome → hosts
    groups: Mapping[str, Mapping[str, int]]  # the same for each group
    failing: tuple[str, ...]
    waived: tuple[Accepted, ...]
    not_audited: tuple[str, ...]


def share(hosts: Mapping[str, int]) -> float | None:
    """Of the hosts that the control applies to, those without a deviation; None when there are none. Waived, unknown and not audited are no pass."""
    judged = sum(hosts.get(outcome, 0) for outcome in (PASSED, FAILED, UNSEEN, WAIVED, NOT_AUDITED))
    return hosts.get(PASSED, 0) / judged if judged else None


@dataclass
class _Counting:
    hosts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    waived: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)

    def add(self, host: FleetHost, outcome: str) -> None:
        self.hosts[outcome] += 1
        for group in groups_of(host):
            counts = self.groups.setdefault(group, dict.fromkeys(OUTCOMES, 0))
            counts[outcome] += 1
        if outcome == FAILED:
            self.failing.append(host.name)
        elif outcome == NOT_AUDITED:
            self.missing.append(host.name)


def mapped(policy: Policy, rules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Control → rules. The policy names rules or patterns of them; a rule that no host ran stands there too, if it is named in full."""
    known = sorted(set(rules))
    found: dict[str, set[str]] = {}
    for pattern, ids in policy["controls"].items():
        named = {rule for rule in known if fnmatch.fnmatchcase(rule, pattern)} or ({pattern} if not any(char in pattern for char in "*?[") else set())
        for each in ids:
            found.setdefault(each, set()).update(named)
    return {control: tuple(sorted(named)) for control, named in sorted(found.items())}


def controls(hosts: Iterable[FleetHost], policy: Policy, rules: Iterable[str], fleet: Sequence[Ruling] = (),
             judged: Sequence[RuleRow] = (), tell: Callable[[FleetHost, str, str], None] | None = None) -> list[Control]:
    """One row for each control of the policy.

    ``rules``: ids of all rules there are, the fleet's with them. ``fleet``: what those found, with its waivers; ``judged``: which of them ran.
    ``tell`` is given each host with each control and its outcome.
    """
    by_control = mapped(policy, rules)
    counting = {control: _Counting() for control in by_control}
    by_host = _of_hosts(fleet)
    of_fleet: dict[str, set[str]] = {}
    for rule, name in by_host:
        of_fleet.setdefault(name, set()).add(rule)
    # Where no finding speaks of a control. Hosts share their statuses; they are kept, so that ids stay theirs.
    bares: dict[tuple[str, int], tuple[Mapping[str, str], str]] = {}
    ran = {row.rule: "n/a" if row.reason else PASS for row in judged}  # a host that no finding names is well
    for host in hosts:
        findings: dict[str, list[Mapping[str, Any]]] = {}
        for finding in host.findings if host.outcome == AUDITED else ():
            findings.setdefault(text(finding.get("rule")), []).append(finding)
        for control, named in by_control.items():
            if host.outcome != AUDITED:
                counting[control].add(host, NOT_AUDITED)
                if tell:
                    tell(host, control, NOT_AUDITED)
                continue
            told = findings.keys() | of_fleet.get(host.name, ())
            bare = bares.get((control, id(host.rules))) if told.isdisjoint(named) else None
            if bare is not None:
                outcome = bare[1]
            else:
                statuses = {rule: ran.get(rule, UNKNOWN) if rule.startswith(FAMILY) else host.rules.get(rule, UNKNOWN) for rule in named}
                outcomes = [_of_rule(host, rule, statuses[rule], findings.get(rule, ()), by_host, counting[control]) for rule in named]
                outcome = min(outcomes, key=GRAVEST.index, default=NOT_APPLICABLE)
                if told.isdisjoint(named):
                    bares[control, id(host.rules)] = host.rules, outcome
            counting[control].add(host, outcome)
            if tell:
                tell(host, control, outcome)
    return [Control(
        control, by_control[control], each.hosts, dict(sorted(each.groups.items())), tuple(sorted(each.failing)),
        tuple(Accepted(*key, tuple(sorted(set(names)))) for key, names in sorted(each.waived.items())), tuple(sorted(each.missing)),
    ) for control, each in counting.items()]


def _of_hosts(fleet: Sequence[Ruling]) -> dict[tuple[str, str], list[Ruling]]:
    found: dict[tuple[str, str], list[Ruling]] = {}
    for ruling in fleet:
        for host in ruling.finding.hosts:
            found.setdefault((ruling.finding.rule, host), []).append(ruling)
    return found


def _of_rule(host: FleetHost, rule: str, status: str, findings: Sequence[Mapping[str, Any]], fleet: Mapping[tuple[str, str], list[Ruling]],
             counting: _Counting) -> str:
    """What one rule means for one host. ``status``: as the rule ended there; unknown when nobody looked, whatever else is well."""
    told: list[tuple[str, tuple[str, str, str] | None]] = []  # status, and who accepts it
    for ruling in fleet.get((rule, host.name), ()):
        waiver = ruling.waiver
        told.append((ruling.finding.status, None if waiver is None or ruling.expired else (waiver.owner, waiver.expires, waiver.justification)))
    for finding in findings:
        waiver_ = mapping(finding.get("waiver"))
        told.append((text(finding.get("status")),
                     (text(waiver_.get("owner")), text(waiver_.get("expires")), text(waiver_.get("justification"))) if is_waived(finding) else None))
    grave = [(each, accepted) for each, accepted in told if each in (FAIL, WARN, UNKNOWN)]
    for _each, accepted in grave:
        if accepted is not None:
            counting.waived.setdefault(accepted, []).append(host.name)
    in_force = {each for each, accepted in grave if accepted is None}
    if in_force:
        return FAILED if in_force & {FAIL, WARN} else UNSEEN
    if grave:
        return WAIVED
    return _BARE.get(status, UNSEEN)


def sentence(found: Sequence[Control]) -> str:
    """"no deviation found in 12 checks; 38 hosts not audited". What nobody looked at is never left out."""
    deviating = [control for control in found if control.hosts[FAILED]]
    failing = {host for control in deviating for host in control.failing}
    missing = {host for control in found for host in control.not_audited}
    unseen = sum(1 for control in found if control.hosts[UNSEEN])
    waived = {host for control in found for each in control.waived for host in each.hosts}
    if not found:
        return "no control is mapped: the policy has no controls"
    parts = ["deviations in %d of %s on %s" % (len(deviating), noun(len(found), "check"), noun(len(failing), "host")) if deviating
             else "no deviation found in %s" % noun(len(found), "check")]
    if unseen:
        parts.append("%d could not be judged everywhere" % unseen)
    if waived:
        parts.append("deviations accepted on %s" % noun(len(waived), "host"))
    if missing:
        parts.append("%s not audited" % noun(len(missing), "host"))
    return "; ".join(parts)
