# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between two runs: new, worse, fixed, come back; hosts that fell silent; waivers that run out.

Nothing is called fixed that was only not looked at: neither on a host that was not audited, nor by a rule that could not judge.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pidhygiene.model import NOT_APPLICABLE, STATUSES, UNKNOWN
from pidhygiene.policy import Policy

from .causes import rank, is_waived, key_of, what
from .judging import GRAVE, text
from .model import AUDITED, FleetFinding, FleetHost

NEW, WORSE, FIXED, REGRESSED, UNJUDGED = "new", "worse", "fixed", "regressed", "not judged any more"
KINDS = (REGRESSED, NEW, WORSE, UNJUDGED, FIXED)
EXPIRING_DAYS = 14
Seen = tuple[str, str]  # host, fingerprint of the finding


@dataclass(frozen=True)
class Change:
    """What happened to one cause, on all hosts on which it did."""

    kind: str
    key: str  # of the cause
    rule: str
    what: str
    status: str  # the gravest now; of what is fixed, before
    hosts: tuple[str, ...]
    example: str


@dataclass(frozen=True)
class WaiverDue:
    rule: str
    owner: str
    justification: str
    expires: str
    expired: bool
    hosts: tuple[str, ...]  # whose findings it accepts, or did; none when it accepts nothing any more


@dataclass(frozen=True)
class Silent:
    host: str
    outcome: str
    message: str
    next_step: str


@dataclass(frozen=True)
class Changes:
    changes: tuple[Change, ...]
    not_audited: tuple[Silent, ...]  # audited in the run before
    audited_again: tuple[str, ...]
    joined: tuple[str, ...]  # hosts that the run before did not know
    waivers: tuple[WaiverDue, ...]  # expired first
    known: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # key of each cause that the run before had → rule, what
    unseen: frozenset[str] = frozenset()  # those of hosts that this run did not audit
    gone: frozenset[str] = frozenset()  # those of hosts that it did not even target
    silent_before: int = 0  # hosts that the run before did not audit

    def of(self, kind: str) -> list[Change]:
        return [change for change in self.changes if change.kind == kind]

    @property
    def news(self) -> bool:
        """Whether somebody should look."""
        return bool(any(change.kind in (NEW, WORSE, REGRESSED) for change in self.changes) or self.not_audited or any(each.expired for each in self.waivers))

    def plain(self) -> dict[str, Any]:
        return {
            "schema": "pidhygiene.changes/1",
            "changes": [{**asdict(each), "hosts": list(each.hosts)} for each in self.changes],
            "not_audited": [asdict(each) for each in self.not_audited], "audited_again": list(self.audited_again), "joined": list(self.joined),
            "waivers": [{**asdict(each), "hosts": list(each.hosts)} for each in self.waivers],
        }


@dataclass(frozen=True)
class _Was:
    audited: bool
    findings: Mapping[str, tuple[str, str, str, str]]  # fingerprint → status, rule, cause, what
    harmless: frozenset[str] = frozenset()  # fingerprints of what was there and asked for nothing, or was accepted

    @property
    def causes(self) -> set[str]:
        return {cause for _status, _rule, cause, _what in self.findings.values()}


def changes(previous: Iterable[FleetHost], hosts: Iterable[FleetHost], today: datetime.date, fixed_before: Container[Seen] = (),
            policy: Policy | None = None, last_audits: Callable[[Sequence[str]], Iterable[FleetHost]] = lambda names: ()) -> Changes:
    """``fixed_before``: findings that earlier runs had and ``previous`` had not; one of them is no news, but a regression.

    ``last_audits``: of hosts that ``previous`` did not audit, how they were when they last were: what they had then is no news when they are back.
    Of the previous run the fingerprints of what was wrong stay in memory, of this one nothing. ``policy``: its waivers that nobody needs today are told, too.
    """
    told: dict[Any, Any] = {}  # one tuple for one cause, on however many hosts
    before = {host.name: _was(host, host.outcome == AUDITED, told) for host in previous}
    for host in last_audits([name for name, was in before.items() if not was.audited]):
        before[host.name] = _was(host, False, told)
    known = {cause: (rule, subject) for was in before.values() for _status, rule, cause, subject in was.findings.values()}
    silent_before = sum(not was.audited for was in before.values())
    unseen: set[str] = set()
    gone: set[str] = set()
    collected = _Collected()
    silent, again, joined = [], [], []
    waivers = _Waivers(today)
    for host in hosts:
        was = before.pop(host.name, None)
        if host.outcome != AUDITED:
            if was is not None:
                unseen |= was.causes
                if was.audited:
                    silent.append(Silent(host.name, host.outcome, host.message, host.next_step))
            continue
        if was is None:
            joined.append(host.name)
        elif not was.audited:
            again.append(host.name)
        waivers.take(host)
        collected.compare(host, was, fixed_before)
    for name, was in before.items():
        gone |= was.causes
        if was.audited:
            silent.append(Silent(name, "not targeted", "the run knows nothing of it", "look whether it left the inventory on purpose"))
    return Changes(collected.changes(), tuple(sorted(silent, key=lambda each: each.host)), tuple(sorted(again)), tuple(sorted(joined)), waivers.due(policy),
                   known, frozenset(unseen), frozenset(gone), silent_before)


def _was(host: FleetHost, audited: bool, told: dict[Any, Any]) -> _Was:
    grave = _grave(host)
    harmless = frozenset({text(each.get("fingerprint")) for each in host.findings} - grave.keys())
    return _Was(audited, {print_: (text(each.get("status")), *told.setdefault(_cause(each), _cause(each))) for print_, each in grave.items()},
                told.setdefault(harmless, harmless))


def _grave(host: FleetHost) -> dict[str, Mapping[str, Any]]:
    """What is in force and wrong, by fingerprint; the gravest of each."""
    found: dict[str, Mapping[str, Any]] = {}
    for finding in host.findings if host.outcome == AUDITED else ():
        if finding.get("status") in GRAVE and not is_waived(finding):
            key = text(finding.get("fingerprint"))
            if key not in found or rank(STATUSES, text(finding["status"])) > rank(STATUSES, text(found[key]["status"])):
                found[key] = finding
    return found


def _cause(finding: Mapping[str, Any]) -> tuple[str, str, str]:
    return text(finding.get("rule")), key_of(finding), what(finding)


class _Collected:
    def __init__(self) -> None:
        self.found: dict[tuple[str, str], list[Any]] = {}  # (kind, cause) → rule, what, status, hosts, example

    def compare(self, host: FleetHost, was: _Was | None, fixed_before: Container[Seen]) -> None:
        now = _grave(host)
        accepted = {text(each.get("fingerprint")) for each in host.findings if is_waived(each)}
        for print_, finding in now.items():
            rule, key, subject = _cause(finding)
            status = text(finding["status"])
            old = was.findings.get(print_) if was is not None else None
            if old is None:
                kind = REGRESSED if (host.name, print_) in fixed_before and (was is None or print_ not in was.harmless) else NEW
            elif rank(STATUSES, status) > rank(STATUSES, old[0]):
                kind = WORSE
            else:
                continue
            self._add(kind, key, rule, subject, status, host.name, text(finding.get("message")))
        for print_, (status, rule, key, subject) in (was.findings if was is not None else {}).items():
            if print_ not in now and print_ not in accepted:
                judged = host.rules.get(rule, UNKNOWN) not in (UNKNOWN, NOT_APPLICABLE) or status == UNKNOWN
                self._add(FIXED if judged else UNJUDGED, key, rule, subject, status, host.name, "")

    def _add(self, kind: str, key: str, rule: str, subject: str, status: str, host: str, example: str) -> None:
        row = self.found.setdefault((kind, key), [rule, subject, status, {}, example])
        row[3][host] = None
        if rank(STATUSES, status) > rank(STATUSES, row[2]):
            row[2], row[4] = status, example

    def changes(self) -> tuple[Change, ...]:
        made = [Change(kind, key, rule, subject, status, tuple(sorted(hosts)), example)
                for (kind, key), (rule, subject, status, hosts, example) in self.found.items()]
        return _ordered(made)


def _ordered(made: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(made, key=lambda each: (KINDS.index(each.kind), -rank(STATUSES, each.status), -len(each.hosts), each.rule, each.what)))


class _Waivers:
    def __init__(self, today: datetime.date) -> None:
        self.today = today
        self.found: dict[tuple[str, str, str, str], dict[str, None]] = {}

    def take(self, host: FleetHost) -> None:
        for finding in host.findings:
            waiver = finding.get("waiver")
            if isinstance(waiver, Mapping) and self._is_due(text(waiver.get("expires"))):
                key = text(finding.get("rule")), text(waiver.get("owner")), text(waiver.get("justification")), text(waiver.get("expires"))
                self.found.setdefault(key, {})[host.name] = None

    def _is_due(self, expires: str) -> bool:
        return expires <= (self.today + datetime.timedelta(days=EXPIRING_DAYS)).isoformat()

    def due(self, policy: Policy | None) -> tuple[WaiverDue, ...]:
        used = {(owner, justification, expires) for _rule, owner, justification, expires in self.found}
        for waiver in policy.waivers() if policy is not None else ():
            if self._is_due(waiver.expires) and (waiver.owner, waiver.justification, waiver.expires) not in used:
                self.found.setdefault((waiver.rule, waiver.owner, waiver.justification, waiver.expires), {})
        today = self.today.isoformat()
        made = [WaiverDue(rule, owner, justification, expires, expires < today, tuple(sorted(hosts)))
                for (rule, owner, justification, expires), hosts in self.found.items()]
        return tuple(sorted(made, key=lambda each: (each.expires, each.rule, each.owner)))


def seen(hosts: Iterable[FleetHost]) -> set[Seen]:
    """What these hosts had, for ``fixed_before``: of all earlier runs, without what the previous one still has."""
    return {(host.name, print_) for host in hosts for print_ in _grave(host)}


def of_fleet(previous: Iterable[FleetFinding], findings: Iterable[FleetFinding], audited: Container[str],
             accepted: Container[str] = (), fixed_before: Container[str] = ()) -> list[Change]:
    """The same of what was found over the fleet. ``audited``: hosts of this run; ``accepted``: fingerprints of what is waived now; ``fixed_before``: of what
    earlier runs had and the previous had not.

    One that named hosts which nobody looked at now is not called fixed; a finding that holds on more hosts than before is new there.
    """
    before = {each.fingerprint: each for each in previous if each.status in GRAVE}
    made = []
    for each in findings:
        if each.status not in GRAVE:
            continue
        was = before.pop(each.fingerprint, None)
        added = tuple(host for host in each.hosts if was is None or host not in was.hosts)
        if was is None:
            made.append(_of_fleet(REGRESSED if each.fingerprint in fixed_before else NEW, each, each.hosts))
        elif rank(STATUSES, each.status) > rank(STATUSES, was.status):
            made.append(_of_fleet(WORSE, each, each.hosts))
        elif added:
            made.append(_of_fleet(NEW, each, added))
    for was in before.values():
        if was.fingerprint not in accepted:
            made.append(_of_fleet(FIXED if all(host in audited for host in was.hosts) else UNJUDGED, was, was.hosts))
    return made


def _of_fleet(kind: str, finding: FleetFinding, hosts: tuple[str, ...]) -> Change:
    return Change(kind, finding.fingerprint, finding.rule, finding.subject, finding.status, hosts, "" if kind in (FIXED, UNJUDGED) else finding.message)


def with_fleet(found: Changes, previous: Sequence[FleetFinding], findings: Sequence[FleetFinding], audited: Container[str],
               accepted: Container[str] = (), fixed_before: Container[str] = ()) -> Changes:
    """Changes of hosts and of the fleet, in one order."""
    return replace(found, changes=_ordered((*found.changes, *of_fleet(previous, findings, audited, accepted, fixed_before))),
                   known={**found.known, **{each.fingerprint: (each.rule, each.subject) for each in previous if each.status in GRAVE}})
