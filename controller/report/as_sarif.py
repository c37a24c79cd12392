# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sarif: SARIF 2.1.0, for code scanning pages. Findings that warn or fail are results; waived ones are suppressed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..fleet.model import FleetHost
from .safe import dumped, seen
from .view import Report
from .writer import Format, Writer

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"fail": "error", "warn": "warning", "unknown": "note"}
SEVERITY = {"CRIT": "9.5", "HIGH": "8.0", "MED": "5.5", "LOW": "3.0", "INFO": "0.0"}
MOST_RESULTS = 25_000  # of one run that readers of SARIF take


class Sarif(Writer):
    def begin(self) -> None:
        self.number = 0
        self.left = 0
        self.rules: dict[str, int] = {}
        self.titles: list[tuple[str, str, str]] = []
        self.write('{"$schema":%s,"version":"2.1.0","runs":[{"results":[' % dumped(SCHEMA))

    def take(self, host: FleetHost) -> None:
        for finding in host.findings:
            level = LEVELS.get(str(finding.get("status")))
            if level:
                subject = finding.get("subject")
                evidence = [each for each in finding.get("evidence") or () if isinstance(each, Mapping)]
                self._result(
                    str(finding.get("rule")),
                    str(finding.get("title", "")),
                    str(finding.get("severity")),
                    level,
                    str(finding.get("message") or finding.get("rule")),
                    host.name,
                    str(evidence[0].get("source", "")) if evidence else "",
                    str(subject.get("id", "")) if isinstance(subject, Mapping) else "",
                    "%s/%s" % (host.name, finding.get("fingerprint")),
                    finding.get("waiver"),
                )

    def _result(self, rule: str, title: str, severity: str, level: str, message: str, host: str, source: str, subject: str, print_: str, waiver: Any) -> None:
        if self.number >= MOST_RESULTS:
            self.left += 1
            return
        if rule not in self.rules:
            self.rules[rule] = len(self.rules)
            self.titles.append((rule, title, severity))
        result: dict[str, Any] = {
            "ruleId": rule,
            "ruleIndex": self.rules[rule],
            "level": level,
            "message": {"text": seen(message) or rule},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "%s/%s" % (quote(host, safe="", errors="replace"), quote(source.lstrip("/"), safe="/", errors="replace"))}
                    },
                    "logicalLocations": [{"fullyQualifiedName": seen("%s/%s" % (host, subject)), "kind": "host"}],
                }
            ],
            "partialFingerprints": {"pidhygiene/1": seen(print_)},
        }
        if isinstance(waiver, Mapping) and not waiver.get("expired"):
            result["suppressions"] = [
                {
                    "kind": "external",
                    "status": "accepted",
                    "justification": seen("%s (%s until %s)" % (waiver.get("justification"), waiver.get("owner"), waiver.get("expires"))),
                }
            ]
        self.write(("," if self.number else "") + "\n" + dumped(result))
        self.number += 1

    def finish(self, report: Report) -> None:
        for each in report.fleet:
            if each.status in LEVELS:
                self._result(each.rule, each.title, each.severity, LEVELS[each.status], each.message, "fleet", "", each.subject, each.fingerprint, None)
        rules = [
            {
                "id": rule,
                "name": rule,
                "shortDescription": {"text": seen(report.titles.get(rule) or title) or rule},
                "properties": {"security-severity": SEVERITY.get(severity, "0.0")},
            }
            for rule, title, severity in self.titles
        ]
        notes = [
            {"level": "warning", "message": {"text": "%s: %s %s" % (row.name, row.outcome, seen(row.message))}} for row in report.hosts if not row.audited
        ][:1000]
        if self.left:
            notes.append(
                {"level": "warning", "message": {"text": "%d results are left out: readers take no more than %d; ndjson has all" % (self.left, MOST_RESULTS)}}
            )
        tool = {"driver": {"name": "pidhygiene", "version": next(iter(sorted(report.engines)), "0"), "rules": rules}}
        done = {"executionSuccessful": report.not_audited == 0, "toolExecutionNotifications": notes}
        self.write('\n],"tool":%s,"invocations":[%s]}]}\n' % (dumped(tool), dumped(done)))


FORMAT = Format("sarif", Sarif, True)
