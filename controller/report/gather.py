# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over the hosts of a run. Of each a line is kept; what many say alike is kept once, and no more of it than a page can hold."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pidhygiene.policy import Policy
from pidhygiene.rules.catalogue import RULES

from ..fleet import catalogue
from ..fleet.changes import Changes, changes, with_fleet
from ..fleet.judging import mapping
from ..fleet.model import AUDITED, FleetHost
from ..fleet.waivers import apply
from ..store.rows import Run
from . import causes, controls, policies, urgency
from .history import History
from .source import Source
from .view import GRAVE, STATUSES, HostRow, Limit, Report, in_force

MOST_TEXTS = 60_000  # of findings that differ; each some hundred bytes
MOST_HARMLESS = 4_000  # of these, for findings that ask for nothing

# Ours; what a host calls a rule is only shown where we do not know it.
TITLES = {**{rule.id: rule.title for rule in RULES}, **{rule.id: rule.title for rule in catalogue.RULES}}

Taker = Callable[[FleetHost], None]


@dataclass(frozen=True)
class Choice:
    """Which hosts a report is about: patterns, any of each kind; empty: all."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def takes(self, host: FleetHost) -> bool:
        return (not self.hosts or any(fnmatch.fnmatchcase(host.name, pattern) for pattern in self.hosts)) and (
            not self.groups or any(fnmatch.fnmatchcase(group, pattern) for group in host.groups for pattern in self.groups)
        )

    @property
    def words(self) -> str:
        return ", ".join([*("host %s" % each for each in self.hosts), *("group %s" % each for each in self.groups)])


@dataclass(frozen=True)
class Wishes:
    title: str = "pidhygiene"
    tickets: Mapping[str, str] = field(default_factory=dict)  # rule, or key of a cause → ticket
    choice: Choice = field(default_factory=Choice)
    policy: Policy | None = None
    since: str = ""  # name of the run to compare with, where it is not the run before


def gather(source: Source, run: Run, now: float, wishes: Wishes, takers: Iterable[Taker] = ()) -> Report:
    """The report of this run; ``takers`` are given each host as it passes by. ``now``: what ages are measured from."""
    runs = [each for each in source.runs() if each.started_at <= run.started_at]
    policy = wishes.policy or Policy()
    report, history = _compared(source, run, runs, now, wishes, policy, tuple(takers))
    report.causes = causes.ranked(report, report.causes, wishes.tickets, history)
    report.policy_change = policies.change(report.policies_before, report.policies, source)
    controls.trend(report, source)
    urgency.look_ahead(report, source, now)
    report.urgent.sort(key=urgency.first)
    return report


def between(source: Source, old: Run, new: Run, now: float, policy: Policy | None) -> Changes:
    """What changed, as a report of the new run says it, with the old one as the run before."""
    report, _history = _compared(source, new, [old, new], now, Wishes(policy=policy), policy or Policy(), ())
    assert report.changes is not None
    return report.changes


def _compared(source: Source, run: Run, runs: list[Run], now: float, wishes: Wishes, policy: Policy, takers: tuple[Taker, ...]) -> tuple[Report, History]:
    """The hosts of the run, judged, and compared with the run before. ``runs``: up to this one. Causes stand there as hosts say them."""
    report = Report(wishes.title, run, now, runs=runs[-400:], chosen=wishes.choice.words)
    keeping = _Keeping(report, float(policy["fleet.interval"]))

    def flow() -> Iterator[FleetHost]:
        for host in source.hosts(run.id):
            if wishes.choice.takes(host):
                keeping.take(host)
                for taker in takers:
                    taker(host)
                yield host

    judged = catalogue.judge(flow(), policy, now)
    keeping.end()
    rulings = apply(judged.findings, policy, judged.groups, _day(now), judged.own_names)
    report.fleet, report.fleet_rules = tuple(each.finding for each in rulings if each.in_force), judged.rules
    report.fleet_waived = tuple(each for each in rulings if not each.in_force)
    controls.judge(report, report.lean, policy, rulings)
    report.before = next((each for each in runs[:-1] if each.name == wishes.since), runs[-2] if len(runs) > 1 else None)
    history = History(source, run, report.before)
    if report.before is not None:
        _compare(report, source, wishes.choice, policy, history)
    report.causes = keeping.grouping.causes(report.hosts, history)
    return report, history


def _compare(report: Report, source: Source, choice: Choice, policy: Policy, history: History) -> None:
    """Against the run before. What was found over its fleet is kept where a report of it was made; else it is judged again, as of its end."""
    before = report.before
    assert before is not None
    kept = source.judgement(before.id) if not report.chosen else None
    judging = catalogue.begin(policy, before.ended_at)

    def flow() -> Iterator[FleetHost]:
        for host in source.hosts(before.id, lean=kept is not None):
            if choice.takes(host):
                if host.outcome == AUDITED:
                    _tally(report.policies_before, host.audit.get("policy_digest"))
                if kept is None:
                    judging.take(host)
                yield host

    found = changes(flow(), iter(report.lean), _day(report.now), history.seen_earlier, policy, lambda names: source.last_audits(names, before.started_at))
    if kept is None:
        judged = judging.end()
        kept = [each.finding for each in apply(judged.findings, policy, judged.groups, _day(before.ended_at), judged.own_names) if each.in_force]
    history.learn_fleet(kept)
    report.changes = with_fleet(found, kept, report.fleet, {row.name for row in report.hosts if row.audited},
                                {each.finding.fingerprint for each in report.fleet_waived}, history.fleet_earlier)


def _day(moment: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).date()


def _tally(table: dict[str, int], said: Any) -> None:
    word = str(said or "unknown")
    table[word] = table.get(word, 0) + 1


class _Keeping:
    """What is kept of the hosts that pass by."""

    def __init__(self, report: Report, interval_s: float) -> None:
        self.report = report
        self.interval_s = interval_s
        self.grouping = causes.Grouping()
        self._known: dict[int, int] = {}  # id of a text → its place; texts are kept, so that ids stay theirs
        self._alike: dict[tuple[str, ...], int] = {}
        self._statuses: dict[int, list[Any]] = {}  # statuses of rules, which hosts share, and on how many hosts; kept, so that ids stay theirs
        self._harmless = 0
        self._words: dict[Any, Any] = {}

    def _once(self, value: Any) -> Any:
        return self._words.setdefault(value, value)

    def take(self, host: FleetHost) -> None:
        report = self.report
        report.outcomes[host.outcome] = report.outcomes.get(host.outcome, 0) + 1
        row = HostRow(
            host.name,
            host.outcome,
            host.status,
            self._once(host.groups),
            at=host.at,
            received=host.received,
            message=host.message,
            next_step=host.next_step,
            sha256=host.sha256,
        )
        seen = host.at if host.at is not None and host.received is not None and abs(host.at - host.received) < 30 * 86400 else host.received
        row.stale = host.outcome == AUDITED and seen is not None and report.now - seen > 2 * self.interval_s
        report.stale += row.stale
        place = len(report.hosts)
        report.hosts.append(row)
        told = tuple(each for each in host.findings if each.get("status") in GRAVE or each.get("waiver"))
        report.lean.append(
            FleetHost(host.name, host.outcome, groups=row.groups, findings=told, rules=host.rules, message=host.message, next_step=host.next_step)
        )
        if host.outcome != AUDITED:
            return
        report.statuses[host.status] = report.statuses.get(host.status, 0) + 1
        self._about(row, host)
        known = self._statuses.setdefault(id(host.rules), [host.rules, 0])
        known[1] += 1
        counts = dict.fromkeys(STATUSES, 0)
        texts = []
        marks = []
        for finding in host.findings:
            status = str(finding.get("status"))
            text = self._text(finding, status)
            texts.append(text)
            marks.append((str(finding.get("rule")), status))
            if not in_force(finding):
                row.waived += 1
                continue
            counts[status if status in counts else "unknown"] += 1
            if status in GRAVE:
                self.grouping.add(place, finding)
                if finding.get("binding") and status != "unknown":
                    limit = urgency.add(report, host, finding)
                    if limit is not None and (row.tightest is None or limit.share > row.tightest.share):
                        row.tightest = limit
        row.counts = self._once(tuple(counts.values()))
        row.texts = self._once(tuple(texts))
        row.marks = self._once(tuple(sorted(set(marks))))

    def end(self) -> None:
        for rules, hosts in self._statuses.values():
            for rule, status in rules.items():
                counted = self.report.rules.setdefault(rule, {})
                counted[status] = counted.get(status, 0) + hosts

    def _about(self, row: HostRow, host: FleetHost) -> None:
        audit, about, measures = host.audit, host.host, host.measures
        distro = mapping(about.get("distro"))
        row.system = self._once(("%s %s" % (distro.get("id") or "", distro.get("version") or "")).strip())
        row.kernel = self._once(str(about.get("kernel") or ""))
        row.partial = audit.get("visibility") != "full"
        self.report.partial += row.partial
        errors = audit.get("errors")
        row.errors = tuple(str(each) for each in errors[:5]) if isinstance(errors, list) else ()
        zone = mapping(mapping(host.facts.get("time")).get("zone"))
        name = zone.get("name")
        row.zone = self._once(str(name) if name else "UTC" if zone.get("localtime") == "missing" else "")
        tasks, zombies = measures.get("tasks"), mapping(measures.get("zombies")).get("total")
        row.tasks = tasks if isinstance(tasks, int) else None
        row.zombies = zombies if isinstance(zombies, int) else None
        row.tightest = tightest(measures)
        _tally(self.report.policies, audit.get("policy_digest"))
        _tally(self.report.engines, audit.get("engine_version"))

    def _text(self, finding: Mapping[str, Any], status: str) -> int:
        """The place of its text; -1: there are too many."""
        known = self._known.get(id(finding))
        if known is not None:
            return known
        report = self.report
        key = (
            str(finding.get("rule")),
            status,
            str(finding.get("message")),
            str(finding.get("fingerprint")),
            str(finding.get("evidence")),
            str(finding.get("remedy")),
            str(finding.get("waiver")),
        )
        known = self._alike.get(key)
        if known is None:
            harmless = status not in GRAVE
            if len(report.texts) >= MOST_TEXTS or harmless and self._harmless >= MOST_HARMLESS:
                return -1
            self._harmless += harmless
            known = self._alike[key] = len(report.texts)
            report.texts.append(finding)
            if key[0] not in report.titles:
                report.titles[key[0]] = TITLES.get(key[0]) or str(finding.get("title", ""))
            self._known[id(finding)] = known  # this very object is kept
        return known


def tightest(measures: Mapping[str, Any]) -> Limit | None:
    """The fullest of the budgets that the measures tell of."""
    budgets, groups, users = measures.get("budgets"), measures.get("groups"), measures.get("users")
    rows = [*budgets.values()] if isinstance(budgets, Mapping) else []
    if isinstance(groups, list):
        rows.extend(groups)
    if isinstance(users, list):
        rows.extend(each.get("binding") for each in users if isinstance(each, Mapping))
    share, fullest = -1.0, None
    for row in rows:
        if isinstance(row, Mapping):
            used, limit = row.get("used"), row.get("limit")
            if isinstance(used, int) and isinstance(limit, int) and limit > 0 and used > share * limit:
                share, fullest = used / limit, row
    return Limit(str(fullest.get("kind")), str(fullest.get("holder")), int(fullest["used"]), int(fullest["limit"])) if fullest is not None else None
