# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""text: at most twenty lines, for a mail."""

from __future__ import annotations

from collections.abc import Iterator

from ..fleet.changes import FIXED, NEW, REGRESSED, WORSE
from . import urgency, wording
from .safe import line
from .view import Report
from .writer import Format, Writer

MOST_LINES = 20
WIDTH = 100
MOST_URGENT, MOST_CAUSES = 5, 8


def lines(report: Report) -> list[str]:
    return [line(each, WIDTH) for each in _lines(report)][:MOST_LINES]


def _lines(report: Report) -> Iterator[str]:
    yield "%s: %s." % (report.title, wording.verdict(report))
    yield " · ".join(words for words, _strong in wording.scope(report))
    yield " · ".join(wording.about(report))
    for each in report.urgent[:MOST_URGENT]:
        when = ("refuses forks now" if each.forks else "full now") if each.now else "full about %s" % wording.when(each.forecast.at, "UTC") if each.forecast else "no date"
        yield "  %s: %s, %s%s (%s)" % (each.host, when, each.binding, "; %s" % each.action if each.action else "", each.owner or "no owner")
    if len(report.urgent) > MOST_URGENT:
        yield "  … and %d more near a limit, %d of them within 72 h" % (
            len(report.urgent) - MOST_URGENT, sum(urgency.soon(each, report.now) for each in report.urgent[MOST_URGENT:]))
    for cause in report.causes[:MOST_CAUSES]:
        yield "%s %s %s on %s%s%s: %s" % (cause.status.upper(), cause.rule, cause.what, wording.count(len(cause.names), "host"), ", new" if cause.new else "",
                                          ", %s" % cause.ticket if cause.ticket else "", cause.example)
    if len(report.causes) > MOST_CAUSES:
        yield "… and %d more causes; the page has them all." % (len(report.causes) - MOST_CAUSES)
    if report.changes is not None:
        yield "Since the run before: %s; %s; %s." % (
            ", ".join("%d %s" % (sum(len(each.hosts) for each in report.changes.of(kind)), kind) for kind in (NEW, REGRESSED, WORSE, FIXED)),
            "%d fell silent" % len(report.changes.not_audited), "%d waivers expired or expiring" % len(report.changes.waivers))
    if report.controls_mapped:
        failing = [control for control in report.controls if control.failed]
        yield "Controls: %d of %d fail on a host%s" % (len(failing), len(report.controls), ": " + ", ".join("%s (%d)" % (each.id, each.failed) for each in failing[:6]) if failing else ".")


class Text(Writer):
    def finish(self, report: Report) -> None:
        self.write("\n".join(lines(report)) + "\n")


FORMAT = Format("text", "at most twenty lines, for a mail or a chat", Text)
