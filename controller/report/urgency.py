# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Now and next: hosts that refuse to start a process, and those that soon will; then those near a limit without a date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..fleet.model import FleetHost
from ..fleet.causes import what
from . import remedy
from .source import Source
from .view import Limit, Report, Urgent, rank

MOST_LOOKED_AT = 400  # hosts whose history is read
NEAR = 0.5  # of a limit
SOON_S = 72 * 3600.0
REFUSES_PROCESSES = ("RLIMIT_NPROC", "nproc", "pids.max", "pid_max", "kernel.pid_max", "threads-max", "kernel.threads-max", "vm.max_map_count", "CommitLimit")
BINDING = re.compile(r"^(?P<kind>\S+)(?: of (?P<holder>.*?))?: (?P<used>\d{1,18}) of (?P<limit>\d{1,18})(?: \w+)?$", re.DOTALL)
OWNER = "owner="  # a tag of the host


def parsed(binding: str) -> Limit | None:
    """"RLIMIT_NPROC of uid 500: 18451 of 16384\""""
    found = BINDING.match(binding)
    return Limit(found["kind"], found["holder"] or "this machine", int(found["used"]), int(found["limit"])) if found else None


def add(report: Report, host: FleetHost, finding: Mapping[str, Any]) -> Limit | None:
    """The limit that the finding is about, where it says one."""
    binding = str(finding["binding"])
    limit = parsed(binding)
    kind = limit.kind if limit else binding.split(" ", 1)[0].rstrip(":")
    full = limit is not None and limit.used >= limit.limit
    report.urgent.append(Urgent(
        host.name, str(finding.get("status")), str(finding.get("severity")), binding, limit, filled_by(host, finding), full and finding.get("status") == "fail",
        kind in REFUSES_PROCESSES, None, remedy.in_short(finding) or remedy.last_words(str(finding.get("message", ""))), owner(host), report.hosts[-1].zone,
        str(finding.get("rule")), str(finding.get("message", ""))))
    return limit


def filled_by(host: FleetHost, finding: Mapping[str, Any]) -> str:
    """The program that holds most zombies, when they are a tenth of the limit; else what the finding is about."""
    limit = parsed(str(finding["binding"]))
    zombies = host.measures.get("zombies")
    rows = zombies.get("by_parent") if isinstance(zombies, Mapping) else None
    most: tuple[int, str] = (0, "")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("count"), int):
            most = max(most, (row["count"], "%s zombies of %s%s" % (
                "{:,}".format(row["count"]), str(row.get("parent", "")).rsplit("/", 1)[-1], " in %s" % row["unit"] if row.get("unit") else "")))
    if limit is not None and 10 * most[0] >= limit.limit:
        return most[1]
    return what(finding)


def owner(host: FleetHost) -> str:
    """Who is told by a tag of the host; else its groups, which is who to ask."""
    for group in host.groups:
        if group.startswith(OWNER):
            return group[len(OWNER):]
    return ", ".join(group for group in host.groups[:2] if "=" not in group)


def first(each: Urgent) -> tuple[Any, ...]:
    """Refused now; then by time; then what has no date, by gravity and fullness."""
    when = each.forecast.earliest if each.forecast else float("inf")
    return not (each.now and each.forks), not each.now, when, rank(each.status, each.severity), -(each.limit.share if each.limit else 0.0), each.host


def soon(each: Urgent, now: float) -> bool:
    return not each.now and each.forecast is not None and each.forecast.earliest <= now + SOON_S


def look_ahead(report: Report, source: Source, now: float) -> None:
    """Gives dates where history allows one, and the course of the tasks."""
    names = list(dict.fromkeys(each.host for each in report.urgent))[:MOST_LOOKED_AT]
    if len(report.runs) < 2 or not names:
        return
    courses: dict[str, list[float]] = {}
    for sample in source.series(names, least_share=NEAR):
        if sample.tasks is not None:
            courses.setdefault(sample.host, []).append(float(sample.tasks))
    report.sparks = {host: tuple(course[-60:]) for host, course in courses.items() if len(course) > 2}
