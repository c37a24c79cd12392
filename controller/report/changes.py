# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed against the run before: from when each finding was first and last seen, and a look at the earlier run where that does not tell."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..store.rows import Run
from .source import Source
from .view import GRAVE, Change, Changes, HostRow, Report, in_force

DAY_FORM = "%Y-%m-%d"


class History:
    """The history of what is found, as far as a report needs it."""

    def __init__(self, source: Source, run: Run, before: Run | None, hosts: Mapping[str, HostRow]) -> None:
        self.before = before
        self.run = run
        self._first: dict[tuple[str, str], float] = {}
        self.new: list[tuple[str, str, str]] = []  # host, rule, fingerprint
        self.perhaps_regressed: list[tuple[str, str, str]] = []  # was away at some time
        self.gone: dict[str, set[tuple[str, str]]] = {}  # by host: what was there before and is not now
        if before is None:
            return
        order = {each.id: number for number, each in enumerate(source.runs())}
        for row in source.finding_history(until=run.started_at):
            key = (row.rule, row.fingerprint)
            first = self._first.get(key)
            if first is None or row.first_at < first:
                self._first[key] = row.first_at
            host = hosts.get(row.host)
            if host is None or not host.audited:
                continue
            if row.last_run == run.id:
                if row.first_run == run.id:
                    self.new.append((row.host, *key))
                elif row.runs <= order.get(row.last_run, 0) - order.get(row.first_run, 0):
                    self.perhaps_regressed.append((row.host, *key))
            elif row.last_run == before.id:
                self.gone.setdefault(row.host, set()).add(key)

    def first_at(self, rule: str, mark: str) -> float | None:
        return self._first.get((rule, mark))


def of(report: Report, history: History, source: Source, found: Mapping[str, Mapping[tuple[str, str], int]]) -> Changes:
    """Sorted by host. ``found``: what is grave and in force on each host now, with its text."""
    changes = Changes(history.before)
    if history.before is None:
        return changes
    new = set(history.new)
    wanted = {host for host, _rule, _mark in (*history.new, *history.perhaps_regressed) if host in found} | set(history.gone)
    earlier: dict[str, dict[tuple[str, str], Change]] = {}
    for host in source.hosts(history.before.id, sorted(wanted)) if wanted else ():
        said = str(host.audit.get("policy_digest") or "unknown")
        report.policies_before[said] = report.policies_before.get(said, 0) + 1
        if host.outcome == "audited":
            earlier[host.name] = {
                (str(each.get("rule")), str(each.get("fingerprint"))): Change(host.name, str(each.get("rule")), str(each.get("status")), str(each.get("message")))
                for each in host.findings if each.get("status") in GRAVE and in_force(each)}
    for name in sorted(wanted):
        before, now = earlier.get(name), found.get(name, {})
        if before is None:
            changes.hosts_new.append(name)
            continue
        for key in now:
            if key not in before:
                text = report.texts[now[key]] if now[key] >= 0 else {}
                change = Change(name, key[0], str(text.get("status", "")), str(text.get("message", "")))
                (changes.new if (name, *key) in new else changes.regressed).append(change)
        changes.fixed.extend(change for key, change in before.items() if key not in now and key in history.gone.get(name, ()))
    return changes


def expires_by(day: str, moment: float) -> bool:
    """Whether a waiver of this last day has ended at that moment; unreadable days have."""
    try:
        time.strptime(day[:10], DAY_FORM)
    except ValueError:
        return True
    return day[:10] <= time.strftime(DAY_FORM, time.gmtime(moment))
