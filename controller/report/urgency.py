# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Now and next: hosts that refuse to start a process, and those that soon will; then those near a limit without a date."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..fleet.model import FleetHost
from ..fleet import forecast
from ..fleet.causes import what
from . import remedy
from .source import Source
from .view import Forecast, HostRow, Limit, Report, Urgent, rank

MOST_LOOKED_AT = 200  # hosts whose history is read
NEAR = 0.5  # of a limit
FURTHEST_S = 14 * 86400.0  # of a date that no rule has an opinion on
SOON_S = 72 * 3600.0
REFUSES_PROCESSES = ("RLIMIT_NPROC", "nproc", "pids.max", "pid_max", "kernel.pid_max", "threads-max", "kernel.threads-max", "vm.max_map_count", "CommitLimit")
BINDING = re.compile(r"^(?P<kind>\S+)(?: of (?P<holder>.*?))?: (?P<used>\d{1,18}) of (?P<limit>\d{1,18})(?: \w+)?$", re.DOTALL)
OWNER = "owner="  # a tag of the host


def parsed(binding: str) -> Limit | None:
    """ "RLIMIT_NPROC of uid 500: 18451 of 16384\""""
    found = BINDING.match(binding)
    return Limit(found["kind"], found["holder"] or "this machine", int(found["used"]), int(found["limit"])) if found else None


def add(report: Report, host: FleetHost, finding: Mapping[str, Any]) -> Limit | None:
    """The limit that the finding is about, where it says one."""
    binding = str(finding["binding"])
    limit = parsed(binding)
    kind = limit.kind if limit else binding.split(" ", 1)[0].rstrip(":")
    full = limit is not None and limit.used >= limit.limit
    report.urgent.append(
        Urgent(
            host.name,
            str(finding.get("status")),
            str(finding.get("severity")),
            binding,
            limit,
            filled_by(host, finding),
            full and finding.get("status") == "fail",
            kind in REFUSES_PROCESSES,
            None,
            remedy.in_short(finding) or remedy.last_words(str(finding.get("message", ""))),
            owner_of(host.groups),
            report.hosts[-1].zone,
            str(finding.get("rule")),
            str(finding.get("message", "")),
        )
    )
    return limit


def filled_by(host: FleetHost, finding: Mapping[str, Any]) -> str:
    """The program that holds most zombies, when they are a tenth of the limit; else what the finding is about."""
    limit = parsed(str(finding["binding"]))
    zombies = host.measures.get("zombies")
    rows = zombies.get("by_parent") if isinstance(zombies, Mapping) else None
    most: tuple[int, str] = (0, "")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("count"), int):
            most = max(
                most,
                (
                    row["count"],
                    "%s zombies of %s%s"
                    % ("{:,}".format(row["count"]), str(row.get("parent", "")).rsplit("/", 1)[-1], " in %s" % row["unit"] if row.get("unit") else ""),
                ),
            )
    if limit is not None and 10 * most[0] >= limit.limit:
        return most[1]
    return what(finding)


def owner_of(groups: Sequence[str]) -> str:
    """Who is told by a tag of the host; else its groups, which is who to ask."""
    for group in groups:
        if group.startswith(OWNER):
            return group[len(OWNER) :]
    return ", ".join(group for group in groups[:2] if "=" not in group)


def first(each: Urgent) -> tuple[Any, ...]:
    """Refused now; then by time; then what has no date, by gravity and fullness."""
    when = each.forecast.earliest if each.forecast else float("inf")
    return not (each.now and each.forks), not each.now, when, rank(each.status, each.severity), -(each.limit.share if each.limit else 0.0), each.host


def soon(each: Urgent, now: float) -> bool:
    return not each.now and each.forecast is not None and each.forecast.earliest <= now + SOON_S


def look_ahead(report: Report, source: Source, now: float) -> None:
    """Gives dates where history allows one, adds hosts of which only history tells, and the course of the tasks."""
    names = _suspects(report)
    if len(report.runs) < 2 or not names:
        return
    runs = {run.id for run in report.runs}
    rows = {row.name: row for row in report.hosts}
    by_host: dict[str, list[int]] = {}
    for number, each in enumerate(report.urgent):
        by_host.setdefault(each.host, []).append(number)
    outlooks = []
    for host, samples in groupby(source.series(names), key=lambda sample: sample.host):
        known = [sample for sample in samples if sample.run_id in runs]
        course = tuple(float(sample.tasks) for sample in known if sample.tasks is not None)[-60:]
        if host in by_host and len(course) > 2:
            report.sparks[host] = course
        row = rows[host]
        findings = [report.texts[text] for text in row.texts if text >= 0]
        for outlook in forecast.of_host(known, now, findings):
            outlooks.append(outlook)
            for date in outlook.exhaustions:
                _date(report, row, outlook, date, by_host.get(host, ()), now)
    report.leaking = forecast.by_program(outlooks)


def _suspects(report: Report) -> list[str]:
    """Hosts whose history is worth a look: what is urgent, then those that hold zombies or are half full."""
    found = dict.fromkeys(each.host for each in report.urgent)
    others = [
        row for row in report.hosts if row.audited and ((row.zombies or 0) >= forecast.LEAST_COUNT or row.tightest is not None and row.tightest.share >= NEAR)
    ]
    others.sort(key=lambda row: (-(row.tightest.share if row.tightest else 0.0), -(row.zombies or 0), row.name))
    found.update(dict.fromkeys(row.name for row in others))
    return list(found)[:MOST_LOOKED_AT]


def _date(report: Report, row: HostRow, outlook: forecast.Outlook, date: forecast.Exhaustion, known: Sequence[int], now: float) -> None:
    when = Forecast(date.at, date.earliest, date.latest)
    for number in known:
        each = report.urgent[number]
        if each.limit is not None and (each.limit.kind, each.limit.holder) == (date.kind, date.holder):
            if not each.now:
                report.urgent[number] = replace(each, forecast=when, filled_by=each.filled_by if not outlook.program else _leak(outlook))
            return
    if date.used >= date.limit or date.at > now + FURTHEST_S or date is not outlook.binding:
        return  # what is full and no rule minds is a cap that does its work
    limit = Limit(date.kind, date.holder, date.used, date.limit)
    action = "restart %s" % (outlook.unit or outlook.program.rpartition("/")[2] or "what grows")
    if date.restart_every_s is not None:
        action += "; at least every %s until it is mended" % _duration(date.restart_every_s)
    report.urgent.append(
        Urgent(
            row.name,
            "warn",
            "MED" if date.earliest > now + SOON_S else "HIGH",
            "%s of %s: %d of %d" % limit,
            limit,
            _leak(outlook),
            False,
            date.kind in REFUSES_PROCESSES,
            when,
            action,
            owner_of(row.groups),
            row.zone,
            "forecast",
            outlook.why,
        )
    )


def _leak(outlook: forecast.Outlook) -> str:
    name = outlook.program.rpartition("/")[2]
    if not name:
        return outlook.unit or "%d tasks" % outlook.count
    rate = ", %s a day" % "{:,.0f}".format(outlook.rate.per_day) if outlook.rate else ""
    return "%s zombies of %s%s%s" % ("{:,}".format(outlook.count), name, " in %s" % outlook.unit if outlook.unit else "", rate)


def _duration(seconds: float) -> str:
    return "%d min" % (seconds // 60) if seconds < 7200 else "%d h" % (seconds // 3600) if seconds < 72 * 3600 else "%d days" % (seconds // 86400)
