# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nagios: one line with performance data, and the exit status of a plugin."""

from __future__ import annotations

from . import urgency, wording
from .safe import line
from .view import Report
from .writer import Format, Writer

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = {OK: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL", UNKNOWN: "UNKNOWN"}


def status(report: Report) -> int:
    if not report.audited:
        return UNKNOWN
    statuses = {finding.status for finding in report.fleet}
    if any(each.now and each.forks for each in report.urgent) or report.with_status("fail") or "fail" in statuses:
        return CRITICAL
    if report.with_status("warn") or "warn" in statuses or report.not_audited or report.stale:
        return WARNING
    return UNKNOWN if report.with_status("unknown") else OK


def text(report: Report) -> str:
    now = len({each.host for each in report.urgent if each.now and each.forks})
    soon = len({each.host for each in report.urgent if urgency.soon(each, report.now)})
    top = report.expected
    numbers = (
        ("refusing_forks", now, "", "0"),
        ("within_72h", soon, "0", ""),
        ("fail", report.with_status("fail"), "", "0"),
        ("warn", report.with_status("warn"), "0", ""),
        ("unknown", report.with_status("unknown"), "", ""),
        ("not_audited", report.not_audited, "0", ""),
        ("stale", report.stale, "0", ""),
    )
    performance = " ".join("%s=%d;%s;%s;0;%d" % (name, value, warning, critical, top) for name, value, warning, critical in numbers)
    worst = report.causes[0] if report.causes else None
    said = wording.verdict(report) + ("; worst: %s %s on %s" % (worst.rule, worst.what, wording.count(len(worst.names), "host")) if worst else "")
    return "PIDHYGIENE %s - %s | %s\n" % (WORDS[status(report)], line(said, 300).replace("|", "/"), performance)


class Nagios(Writer):
    def finish(self, report: Report) -> None:
        self.write(text(report))


FORMAT = Format("nagios", Nagios)
