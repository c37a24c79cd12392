# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls as a report shows them: those of the policy, or families of rules where it maps none. What a control says on a host is said in fleet/controls.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pidhygiene.policy import Policy
from pidhygiene.rules.catalogue import RULES

from ..fleet import catalogue
from ..fleet.controls import OUTCOMES, controls, share
from ..fleet.model import FleetHost
from ..fleet.waivers import Ruling
from .source import Source
from .view import Report

IDS = tuple(rule.id for rule in RULES) + tuple(rule.id for rule in catalogue.RULES)
FAILS = ("fail", "warn")


def family(rule: str) -> str:
    """PH-ZMB-001: PH-ZMB"""
    return rule.rpartition("-")[0] or rule


def mapping_of(policy: Policy) -> Policy:
    """The policy; without a mapping, one that maps each rule to its family."""
    return policy if policy["controls"] else Policy({"controls": {rule: [family(rule)] for rule in IDS}})


def judge(report: Report, hosts: Sequence[FleetHost], policy: Policy, rulings: Sequence[Ruling]) -> None:
    """Fills in controls and states. ``hosts``: as Report.hosts, with rules and with findings that are grave or waived."""
    report.controls_mapped = bool(policy["controls"])
    numbers = {host.name: place for place, host in enumerate(hosts)}
    words = {word: place for place, word in enumerate(OUTCOMES)}

    def tell(host: FleetHost, control: str, outcome: str) -> None:
        states = report.states.get(control)
        if states is None:
            states = report.states[control] = bytearray(len(hosts))
        states[numbers[host.name]] = words[outcome]

    report.controls = controls(hosts, mapping_of(policy), (*IDS, *report.rules), rulings, report.fleet_rules, tell)


def by_group(report: Report, most: int) -> tuple[list[str], dict[str, list[str]]]:
    """The largest groups, and for each control the share of their hosts without a deviation, as words; n/a where it applies to none."""
    sizes: dict[str, int] = {}
    for row in report.hosts:
        for group in row.groups:
            if "=" not in group:
                sizes[group] = sizes.get(group, 0) + 1
    groups = sorted(sizes, key=lambda group: (-sizes[group], group))[:most]
    return groups, {control.id: [_share(control.groups.get(group, {})) for group in groups] for control in report.controls}


def _share(hosts: Mapping[str, int]) -> str:
    found = share(hosts)
    return "n/a" if found is None else "100 %" if found == 1 else "%.1f %%" % min(99.9, 100 * found)  # one host of ten thousand is not rounded away


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
        report.trends[control.id] = tuple(max((failing.get((run, rule), 0) for rule in control.rules), default=0) for run in runs)
