# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over a fleet: every rule takes each host and keeps what it compares; when all have passed by, it says what it found.

Whatever a host says may be of any type: ``mapping``, ``rows``, ``text``, ``whole`` and ``moment`` read it, and what is no such thing is not there.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pidhygiene.fleet_rules import BY_ID
from pidhygiene.model import FAIL, PASS, SEVERITIES, STATUSES, UNKNOWN, WARN
from pidhygiene.policy import Policy

from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

LONGEST_TIME = 100  # characters
MOST_EVIDENCE = 20  # lines of one finding
UNGROUPED = ""  # the group of hosts that are in none
GRAVE = (UNKNOWN, WARN, FAIL)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, (list, tuple)) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def moment(value: Any) -> float | None:
    """Of an RFC 3339 time, seconds since the epoch; None when it is none."""
    try:
        found = datetime.datetime.fromisoformat(text(value)[:LONGEST_TIME])
        return (found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def release(host: FleetHost) -> str:
    """"debian 12"; only hosts of one are compared in what a distribution ships."""
    told = mapping(host.host.get("distro"))
    return ("%s %s" % (text(told.get("id")), text(told.get("version")))).strip()


def groups_of(host: FleetHost) -> tuple[str, ...]:
    """Without the words that only say how many vote."""
    return tuple(group for group in host.groups if "=" not in group) or (UNGROUPED,)


def group_name(group: str) -> str:
    return group or "hosts without a group"


def some(names: Sequence[str], most: int = 3) -> str:
    """web1, web2, web3 and 4 more"""
    listed = ", ".join(names[:most])
    return listed + " and %d more" % (len(names) - most) if len(names) > most else listed


def noun(count: int, one: str, many: str = "") -> str:
    return "%d %s" % (count, one if count == 1 else many or one + "s")


def stable(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:16]


class Judge:
    """What one rule has seen so far. ``take`` gets every host once, in any order; ``findings`` is asked once, at the end."""

    rule: FleetRule

    def __init__(self, policy: Policy, now: float) -> None:
        self.policy = policy
        self.now = now  # seconds since the epoch

    def take(self, host: FleetHost) -> None:
        raise NotImplementedError

    def findings(self) -> Iterator[FleetFinding]:
        raise NotImplementedError

    def silent_because(self) -> str:
        """Why the rule could not apply to this fleet; empty when it could."""
        return ""

    def finding(self, status: str, severity: str, subject: str, message: str, hosts: Iterable[str], evidence: Sequence[FleetEvidence] = (),
                remedy: Mapping[str, Any] | None = None, key: str = "") -> FleetFinding:
        """``key``: what stays the same over runs, where the subject does not."""
        return FleetFinding(self.rule.id, self.rule.title, status, severity, subject, message, tuple(sorted(set(hosts))), tuple(evidence[:MOST_EVIDENCE]),
                            remedy, stable(self.rule.id, key or subject))


@dataclass(frozen=True)
class FleetRule:
    id: str
    title: str
    severity: str  # of the worst case
    because: str
    judge: Callable[[Policy, float], Judge]


def fleet_rule(id: str) -> Callable[[type[Judge]], type[Judge]]:
    """Stands above a judge. Title and severity stand in the engine's list, so that every door names the same rules."""
    named = BY_ID[id]

    def declare(judge: type[Judge]) -> type[Judge]:
        judge.rule = FleetRule(id, named.title, named.severity, named.because, judge)
        return judge

    return declare


@dataclass(frozen=True)
class RuleRow:
    """Every rule that ran, so that silence is never mistaken for health."""

    rule: str
    status: str
    findings: int
    reason: str = ""  # of n/a


@dataclass(frozen=True)
class FleetJudgement:
    findings: tuple[FleetFinding, ...]  # gravest first
    rules: tuple[RuleRow, ...]
    hosts: int
    not_audited: int
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of each host, for waivers and reports
    own_names: Mapping[str, str] = field(default_factory=dict)  # of hosts that call themselves otherwise than the inventory does


class Judging:
    """All rules over all hosts, in one pass of somebody else. ``now``: the moment that ages are measured from, seconds since the epoch."""

    def __init__(self, policy: Policy, now: float, rules: Sequence[FleetRule]) -> None:
        self._judges = [rule.judge(policy, now) for rule in rules]
        self._groups: dict[str, tuple[str, ...]] = {}
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._own_names: dict[str, str] = {}
        self._missing = 0

    def take(self, host: FleetHost) -> None:
        self._groups[host.name] = self._known.setdefault(host.groups, host.groups)
        own = text(host.host.get("name"))
        if own and own != host.name:
            self._own_names[host.name] = own
        self._missing += host.outcome != AUDITED
        for each in self._judges:
            each.take(host)

    def end(self) -> FleetJudgement:
        """Asked once, when all have passed by."""
        found: list[FleetFinding] = []
        table = []
        for each in self._judges:
            own = list(each.findings())
            found.extend(own)
            reason = "" if own else each.silent_because()
            status = max((finding.status for finding in own), key=STATUSES.index, default="n/a" if reason else PASS)
            table.append(RuleRow(each.rule.id, status, len(own), reason))
        found.sort(key=gravest_first)
        return FleetJudgement(tuple(found), tuple(table), len(self._groups), self._missing, self._groups, self._own_names)


def judge(hosts: Iterable[FleetHost], policy: Policy, now: float, rules: Sequence[FleetRule]) -> FleetJudgement:
    """The same over hosts that are at hand."""
    judging = Judging(policy, now, rules)
    for host in hosts:
        judging.take(host)
    return judging.end()


def gravest_first(finding: FleetFinding) -> tuple[int, int, str, str]:
    return -STATUSES.index(finding.status), -SEVERITIES.index(finding.severity), finding.rule, finding.subject
