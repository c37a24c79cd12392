# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is news since the run before: for people, who want to hear nothing when there is none, and for programs, one event for each cause.

An event has a key that stays the same over runs and hosts, so that whoever receives it knows it again. Nothing is told as fixed that was only
not looked at.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..fleet.changes import EXPIRING_DAYS, FIXED, NEW, REGRESSED, UNJUDGED, WORSE, Change, Changes, WaiverDue
from ..fleet.judging import stable
from ..fleet.model import FAILED, NOT_RECORDED, UNREACHABLE
from .gather import TITLES as TITLES_OF_RULES
from .view import Cause, Report

NEWS, ALL = "news", "all"
IS_NEW, STILL, IS_FIXED = "new", "still", "fixed"
SILENT = stable("hosts that were not audited")
TITLES = {REGRESSED: "Came back", NEW: "New", WORSE: "Worse", UNJUDGED: "Not judged any more (not fixed)", FIXED: "Fixed"}
MOST_HOSTS = 5  # named in a line
MOST_NAMES = 100  # of hosts in one event


@dataclass(frozen=True)
class Event:
    """One cause in one run."""

    key: str
    status: str  # IS_NEW, STILL or IS_FIXED
    reason: str  # why it is told: new, worse, regressed, fixed …; of what is only still there, nothing
    rule: str
    title: str
    what: str
    finding: str  # status of the finding: fail, warn, unknown
    severity: str
    message: str
    hosts: tuple[str, ...]  # on which it holds now
    changed: Mapping[str, tuple[str, ...]]  # hosts by what happened there
    first_at: float | None
    groups: tuple[str, ...]
    ticket: str

    def plain(self) -> dict[str, Any]:
        return {
            "key": self.key, "status": self.status, "reason": self.reason, "rule": self.rule, "title": self.title, "what": self.what, "finding": self.finding,
            "severity": self.severity, "message": self.message, "host_count": len(self.hosts), "hosts": list(self.hosts[:MOST_NAMES]),
            "changed": {kind: {"host_count": len(names), "hosts": list(names[:MOST_NAMES])} for kind, names in self.changed.items()},
            "first_at": self.first_at, "groups": list(self.groups), "ticket": self.ticket,
        }


def events(report: Report, which: str = NEWS) -> list[Event]:
    """``which``: ALL tells what is still there as well. Of a first run everything is new."""
    changed: dict[str, dict[str, Change]] = {}
    for change in report.changes.changes if report.changes is not None else ():
        changed.setdefault(change.key, {})[change.kind] = change
    known = report.changes.known if report.changes is not None else {}
    made = [_now(cause, changed.get(cause.key, {}), cause.key in known) for cause in report.causes]
    here = {cause.key for cause in report.causes}
    if report.changes is not None:
        made.extend(_past(key, changed.get(key, {}), report.changes) for key in sorted(known.keys() - here))
        told = _told_of_silence(report.changes)
        made = [each for each in made if not _repeats(each.rule, each.what, [name for names in each.changed.values() for name in names], told)]
    made.extend(_silence(report))
    return [each for each in made if which == ALL or each.reason]


def _told_of_silence(found: Changes) -> frozenset[str]:
    return frozenset(each.host for each in found.not_audited) | frozenset(found.audited_again)


def _repeats(rule: str, what: str, hosts: Sequence[str], told: frozenset[str]) -> bool:
    """Whether this says once more that hosts fell silent, or were audited again. Of hosts that never answered, only the rule tells."""
    return rule == "PH-FLT-008" and what in (UNREACHABLE, FAILED, NOT_RECORDED) and bool(hosts) and told.issuperset(hosts)


def _now(cause: Cause, kinds: Mapping[str, Change], known: bool) -> Event:
    reason = next((kind for kind in (REGRESSED, NEW, WORSE, FIXED, UNJUDGED) if kind in kinds), "" if known else NEW)
    return Event(cause.key, STILL if known else IS_NEW, reason, cause.rule, cause.title, cause.what, cause.status, cause.severity, cause.example, cause.names,
                 {kind: change.hosts for kind, change in kinds.items()}, cause.first_at, cause.groups, cause.ticket)


def _past(key: str, kinds: Mapping[str, Change], found: Changes) -> Event:
    """The run before had it, and no host has it in force now."""
    if key in found.unseen or UNJUDGED in kinds:
        status, reason = STILL, "nobody could look" if FIXED in kinds or UNJUDGED in kinds else ""
    elif FIXED in kinds:
        status, reason = IS_FIXED, "no rule finds it any more"
    elif key in found.gone:
        status, reason = IS_FIXED, "its hosts left the inventory"
    else:
        status, reason = IS_FIXED, "accepted by a waiver"
    rule, subject = found.known[key]
    status_then = next((change.status for change in kinds.values()), "")
    changed = {kind: change.hosts for kind, change in kinds.items()}
    return Event(key, status, reason, rule, TITLES_OF_RULES.get(rule, ""), subject, status_then, "", "", (), changed, None, (), "")


def _silence(report: Report) -> Iterator[Event]:
    """Hosts that were not audited, together: nobody knows how they are."""
    if report.changes is None:
        silent: tuple[str, ...] = ()
        again: tuple[str, ...] = ()
        before = 0
    else:
        silent, again = tuple(each.host for each in report.changes.not_audited), report.changes.audited_again
        before = report.changes.silent_before
    names = tuple(row.name for row in report.hosts if not row.audited)
    now = report.not_audited
    if not now and not before and not silent:
        return
    status = (STILL if before else IS_NEW) if now or silent else IS_FIXED
    reason = "fell silent" if silent or now and not before else "audited again" if again or not now else ""
    message = "%d of %d hosts were not audited: look at them, each has a next step in the report." % (now, report.expected) if now else (
        "Every host of the run was audited%s." % ("" if not silent else "; some that the run before audited were not targeted"))
    changed = {kind: hosts for kind, hosts in (("fell silent", silent), ("audited again", again)) if hosts}
    yield Event(SILENT, status, reason, "", "Hosts that were not audited", "hosts", "unknown", "HIGH", message, names, changed, None, (), "")


# -- for people ----------------------------------------------------------------------------------------------------------


def lines(found: Changes, waivers: tuple[WaiverDue, ...]) -> Iterator[str]:
    """What changed, a title and a line for each cause. Nothing: nothing did."""
    told = _told_of_silence(found)
    for kind, title in TITLES.items():
        changes = [change for change in found.of(kind) if not _repeats(change.rule, change.what, change.hosts, told)]
        if changes:
            yield "%s:" % title
            for change in changes:
                yield from _lines(change)
    if found.not_audited:
        yield "Not audited any more:"
        yield from ("  %s (%s): %s; %s" % (each.host, each.outcome, each.message, each.next_step) for each in found.not_audited)
    for names, title in ((found.audited_again, "Audited again"), (found.joined, "Joined")):
        if names:
            yield "%s: %s" % (title, _some(names))
    for expired, title in ((True, "Waivers that have expired"), (False, "Waivers that expire within %d days" % EXPIRING_DAYS)):
        due = [each for each in waivers if each.expired == expired]
        if due:
            yield "%s:" % title
            yield from ("  %s %s, %s: %s (%s)" % (
                each.expires, each.rule, each.owner, each.justification, _some(each.hosts) if each.hosts else "nothing needs it") for each in due)


def _lines(change: Change) -> Iterator[str]:
    yield "  %-7s %s %s on %s" % (change.status, change.rule, change.what, _some(change.hosts)) + (":" if change.example else "")
    if change.example:
        yield "          %s" % change.example


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MOST_HOSTS]) + (" and %d more" % (len(names) - MOST_HOSTS) if len(names) > MOST_HOSTS else "")


def fresh(waivers: tuple[WaiverDue, ...], before: datetime.date, today: datetime.date) -> tuple[WaiverDue, ...]:
    """Told once when they are about to expire, and once when they have, not every night between."""

    def stage(expires: str, day: datetime.date) -> int:
        return (expires <= (day + datetime.timedelta(days=EXPIRING_DAYS)).isoformat()) + (expires < day.isoformat())

    return tuple(each for each in waivers if stage(each.expires, today) != stage(each.expires, before))


def digest(report: Report) -> list[str]:
    """Lines for a journal or a mail; none when there is no news. Of a first run all is new."""
    if report.changes is None or report.before is None:
        causes = ("  %-7s %s %s on %s" % (cause.status, cause.rule, cause.what, _some(cause.names)) for cause in report.causes)
        return ["First run: %s." % _counted(report), *causes]
    day, before = (datetime.datetime.fromtimestamp(at, datetime.timezone.utc).date() for at in (report.now, report.before.started_at))
    return list(lines(report.changes, fresh(report.changes.waivers, before, day)))


def _counted(report: Report) -> str:
    causes = "%d cause%s" % (len(report.causes), "" if len(report.causes) == 1 else "s")
    return "%s on %d of %d hosts audited" % (causes, report.audited, report.expected)
