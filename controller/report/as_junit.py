# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""junit: a suite for each host, a case for each rule, for the test page of a continuous integration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ..fleet.model import AUDITED, FleetHost
from .safe import xml
from .view import GATING, Report, in_force
from .writer import Format, Writer

MOST_WITH_PASSES = 500  # hosts, beyond which the rules that passed are one case a host
GRAVE = ("fail", "warn")


class Junit(Writer):
    def begin(self) -> None:
        self.gating = GATING[self.context.fail_on] or ("fail",)
        self.write('<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="pidhygiene">\n')

    def take(self, host: FleetHost) -> None:
        if host.outcome != AUDITED:
            self._suite(
                host.name,
                [
                    _case(
                        host.name,
                        host.outcome,
                        "<error message=%s type=%s>%s</error>" % (_attribute(host.message), _attribute(host.outcome), _text(host.next_step)),
                    )
                ],
                errors=1,
            )
            return
        said: dict[str, list[Mapping[str, Any]]] = {}
        for finding in host.findings:
            said.setdefault(str(finding.get("rule")), []).append(finding)
        cases = []
        failures = skipped = errors = passed = 0
        for rule in sorted({*host.rules, *said}):
            findings = [each for each in said.get(rule, ()) if in_force(each)]
            failing = [each for each in findings if each.get("status") in self.gating and each.get("status") != "unknown"]
            unknown = [each for each in findings if each.get("status") == "unknown"]
            status = host.rules.get(rule, "")
            if failing:
                failures += 1
                cases.append(
                    _case(
                        host.name,
                        rule,
                        "".join(
                            "<failure message=%s type=%s>%s</failure>"
                            % (_attribute(each.get("message")), _attribute("%s %s" % (each.get("status"), each.get("severity"))), _text(_evidence(each)))
                            for each in failing
                        ),
                    )
                )
            elif unknown or status == "unknown":
                words = _attribute("unknown: %s" % (unknown[0].get("message") if unknown else "it could not be judged"))
                if "unknown" in self.gating:
                    errors += 1
                    cases.append(_case(host.name, rule, '<error message=%s type="unknown"/>' % words))
                else:
                    skipped += 1
                    cases.append(_case(host.name, rule, "<skipped message=%s/>" % words))
            elif status == "n/a":
                skipped += 1
                cases.append(_case(host.name, rule, '<skipped message="not applicable"/>'))
            elif said.get(rule) and not findings:
                skipped += 1
                cases.append(_case(host.name, rule, "<skipped message=%s/>" % _attribute("waived: %s" % said[rule][0].get("message"))))
            else:
                passed += 1
                told = "\n".join("%s: %s" % (each.get("status"), each.get("message")) for each in findings)
                if told or (self.context.run.targeted or sum(self.context.run.outcomes.values())) <= MOST_WITH_PASSES:
                    passed -= 1
                    cases.append(_case(host.name, rule, "<system-out>%s</system-out>" % _text(told) if told else ""))
        if passed:
            cases.append(_case(host.name, "%d rules that passed" % passed, ""))
        self._suite(host.name, cases, failures, errors, skipped)

    def _suite(self, name: str, cases: list[str], failures: int = 0, errors: int = 0, skipped: int = 0) -> None:
        self.write(
            '<testsuite name=%s tests="%d" failures="%d" errors="%d" skipped="%d">\n%s</testsuite>\n'
            % (_attribute(name), len(cases), failures, errors, skipped, "".join(cases))
        )

    def finish(self, report: Report) -> None:
        found = [each for each in report.fleet if each.status in GRAVE]
        cases = []
        for each in found:
            words = "<%s message=%s type=%s>%s</%s>"
            kind = "failure" if each.status in self.gating else "system-out"
            inside = (
                words % (kind, _attribute(each.message), _attribute("%s %s" % (each.status, each.severity)), _text("\n".join(each.hosts[:100])), kind)
                if kind == "failure"
                else ("<system-out>%s</system-out>" % _text("%s: %s" % (each.status, each.message)))
            )
            cases.append(_case("the whole fleet", "%s %s" % (each.rule, each.subject), inside))
        if cases:
            self._suite("the whole fleet", cases, sum(each.status in self.gating for each in found))
        self.write("</testsuites>\n")


def _case(host: str, name: str, inside: str) -> str:
    return "<testcase classname=%s name=%s%s\n" % (_attribute(host), _attribute(name), ">%s</testcase>" % inside if inside else "/>")


def _evidence(finding: Mapping[str, Any]) -> str:
    return "\n".join("%s: %s" % (each.get("source"), each.get("value")) for each in finding.get("evidence") or () if isinstance(each, Mapping))


def _attribute(text: Any) -> str:
    return quoteattr(xml(text))


def _text(text: Any) -> str:
    return escape(xml(text))


FORMAT = Format("junit", Junit, True)
