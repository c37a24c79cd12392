# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""text: at most twenty lines, for a mail."""

from __future__ import annotations

from collections.abc import Iterator

from ..fleet.changes import FIXED, NEW, REGRESSED, WORSE
from . import urgency, wording
from .safe import line
from .view import Report, Urgent
from .writer import Format, Writer

MOST_LINES = 20
WIDTH = 140
MOST_URGENT = 5


def lines(report: Report) -> list[str]:
    """Causes get the lines that the rest leaves."""
    head, tail = list(_head(report)), list(_tail(report))
    causes = list(_causes(report, MOST_LINES - len(head) - len(tail)))
    return [line(each, WIDTH) for each in (*head, *causes, *tail)]


def _head(report: Report) -> Iterator[str]:
    yield "%s: %s." % (report.title, wording.verdict(report))
    yield " · ".join(words for words, _strong in wording.scope(report))
    yield " · ".join(wording.about(report))
    for each in report.urgent[:MOST_URGENT]:
        yield "%s: %s, %s%s (%s)" % (each.host, _when(each), each.binding, "; %s" % each.action if each.action else "", each.owner or "no owner")
    rest = report.urgent[MOST_URGENT:]
    if rest:
        yield "… and %d more near a limit, %d of them within 72 h" % (len(rest), sum(urgency.soon(each, report.now) for each in rest))


def _when(each: Urgent) -> str:
    if each.now:
        return "refuses forks now" if each.forks else "full now"
    return "full about %s" % wording.when(each.forecast.at, "UTC") if each.forecast else "no date"


def _causes(report: Report, most: int) -> Iterator[str]:
    shown = report.causes if len(report.causes) <= most else report.causes[: most - 1]
    for cause in shown:
        known = "%s%s" % (", new" if cause.new else "", ", %s" % cause.ticket if cause.ticket else "")
        yield "%s %s %s on %s%s: %s" % (cause.status.upper(), cause.rule, cause.what, wording.count(len(cause.names), "host"), known, cause.example)
    if len(report.causes) > len(shown):
        yield "… and %d more causes; the page has them all." % (len(report.causes) - len(shown))


def _tail(report: Report) -> Iterator[str]:
    if report.changes is not None:
        counts = ", ".join("%d %s" % (sum(len(each.hosts) for each in report.changes.of(kind)), kind) for kind in (NEW, REGRESSED, WORSE, FIXED))
        yield "Since the run before: %s; %d hosts fell silent; %d waivers expired or expiring." % (
            counts,
            len(report.changes.not_audited),
            len(report.changes.waivers),
        )
    if report.policy_change is not None:
        yield "Since the run before: %s." % report.policy_change.words
    if report.controls_mapped:
        failing = [control for control in report.controls if control.hosts["fail"]]
        named = ": " + ", ".join("%s (%d)" % (each.id, each.hosts["fail"]) for each in failing[:6]) if failing else ""
        yield "Controls: %d of %d fail on a host%s." % (len(failing), len(report.controls), named)


class Text(Writer):
    def finish(self, report: Report) -> None:
        self.write("\n".join(lines(report)) + "\n")


FORMAT = Format("text", Text)
