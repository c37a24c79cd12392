# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls: what the policy maps rules to (CIS, PCI, ISO …), else families of rules. Unknown is not pass, and nobody is called compliant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ..fleet.model import AUDITED, FleetHost
from .source import Source
from .view import Control, Report, in_force

PASS, FAIL, UNKNOWN, NOT_AUDITED, WAIVED, NOT_APPLICABLE = "pass", "fail", "unknown", "not audited", "waived", "n/a"
MOST_WAIVERS = 3
FAILS = ("fail", "warn")


def family(rule: str) -> str:
    """PH-ZMB-001: PH-ZMB"""
    return rule.rpartition("-")[0] or rule


class Counting:
    def __init__(self, mapping: Mapping[str, Sequence[str]]) -> None:
        self.mapped = bool(mapping)
        self._controls: dict[str, Control] = {}
        self._rules: dict[str, set[str]] = {}
        self._waivers: dict[str, set[str]] = {}
        self._missing = 0
        self._ids = lru_cache(maxsize=4096)(lambda rule: tuple(mapping.get(rule, ())) if mapping else (family(rule),))
        for rule, ids in mapping.items():
            for each in ids:
                self._rules.setdefault(each, set()).add(rule)

    def of_rule(self, rule: str) -> tuple[str, ...]:
        return self._ids(rule)

    def of_host(self, host: FleetHost) -> dict[str, str]:
        """What each control says on this host: the gravest of its rules; waived where only waived findings fail."""
        found: dict[str, str] = {}
        if host.outcome != AUDITED:
            return dict.fromkeys(self._rules, NOT_AUDITED)
        waived = {str(each.get("rule")) for each in host.findings if each.get("status") in FAILS and not in_force(each)}
        failing = {str(each.get("rule")) for each in host.findings if each.get("status") in FAILS and in_force(each)}
        for rule, status in host.rules.items():
            word = FAIL if rule in failing else WAIVED if rule in waived else UNKNOWN if status == UNKNOWN else NOT_APPLICABLE if status == "n/a" else (
                FAIL if status in FAILS and not waived else PASS)
            for each in self._ids(rule):
                if each not in found or ORDER[word] < ORDER[found[each]]:
                    found[each] = word
                if not self.mapped:
                    self._rules.setdefault(each, set()).add(rule)
        for each in self._rules:
            found.setdefault(each, UNKNOWN if self.mapped else NOT_APPLICABLE)  # no rule of it ran
        return found

    def take(self, host: FleetHost) -> None:
        if host.outcome != AUDITED:
            self._missing += 1
            return
        for each, word in self.of_host(host).items():
            control = self._controls.get(each)
            if control is None:
                control = self._controls[each] = Control(each, ())
            name = ATTRIBUTE[word]
            setattr(control, name, getattr(control, name) + 1)
        for finding in host.findings:
            waiver = finding.get("waiver")
            if isinstance(waiver, Mapping) and not waiver.get("expired"):
                for each in self._ids(str(finding.get("rule"))):
                    self._waivers.setdefault(each, set()).add("%s until %s" % (waiver.get("owner"), waiver.get("expires")))

    def result(self, more_missing: int) -> list[Control]:
        for name in self._rules:
            self._controls.setdefault(name, Control(name, ()))
        for name, control in self._controls.items():
            control.rules = tuple(sorted(self._rules.get(name, ())))
            control.not_audited = self._missing + more_missing
            control.waivers = tuple(sorted(self._waivers.get(name, ())))[:MOST_WAIVERS]
        return sorted(self._controls.values(), key=lambda control: control.id)


ORDER = {FAIL: 0, UNKNOWN: 1, WAIVED: 2, PASS: 3, NOT_APPLICABLE: 4, NOT_AUDITED: 5}
ATTRIBUTE = {PASS: "passed", FAIL: "failed", UNKNOWN: "unknown", WAIVED: "waived", NOT_APPLICABLE: "not_applicable", NOT_AUDITED: "not_audited"}


def trend(report: Report, source: Source) -> None:
    """For each control and run, hosts on which its worst rule fails."""
    runs = [run.id for run in report.runs]
    if len(runs) < 2 or report.chosen:
        return
    failing: dict[tuple[int, str], int] = {}
    for row in source.rule_counts():
        if row.status in FAILS:
            failing[row.run_id, row.rule] = failing.get((row.run_id, row.rule), 0) + row.hosts
    for control in report.controls:
        control.trend = tuple(max((failing.get((run, rule), 0) for rule in control.rules), default=0) for run in runs)
