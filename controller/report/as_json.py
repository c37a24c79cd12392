# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""json: the first screen and a line for each host as one document, pidhygiene.report/1."""

from __future__ import annotations

from typing import Any

from ..fleet.controls import share
from . import wording
from .safe import dumped
from .view import STATUSES, HostRow, Report
from .writer import Format, Writer

SCHEMA = "pidhygiene.report/1"


def head(report: Report) -> dict[str, Any]:
    run = report.run
    return {
        "schema": SCHEMA,
        "title": report.title,
        "verdict": wording.verdict(report),
        "made_at": report.now,
        "run": {"name": run.name, "started_at": run.started_at, "ended_at": run.ended_at, "by": run.by, "inventory_digest": run.inventory_digest},
        "scope": {
            "expected": report.expected,
            "audited": report.audited,
            "not_audited": report.not_audited,
            "outcomes": report.outcomes,
            "stale": report.stale,
            "partial": report.partial,
            "policies": report.policies,
            "engines": report.engines,
            "chosen": report.chosen,
        },
        "statuses": report.statuses,
        "now_and_next": [
            {
                "host": each.host,
                "status": each.status,
                "severity": each.severity,
                "rule": each.rule,
                "binding": each.binding,
                "limit": each.limit._asdict() if each.limit else None,
                "filled_by": each.filled_by,
                "refuses_now": each.now,
                "forks": each.forks,
                "forecast": each.forecast._asdict() if each.forecast else None,
                "action": each.action,
                "owner": each.owner,
                "message": each.message,
            }
            for each in report.urgent
        ],
        "causes": [
            {
                "key": cause.key,
                "rule": cause.rule,
                "title": cause.title,
                "what": cause.what,
                "status": cause.status,
                "severity": cause.severity,
                "example": cause.example,
                "remedy": cause.remedy,
                "hosts": list(cause.names),
                "groups": list(cause.groups),
                "first_at": cause.first_at,
                "new": cause.new,
                "ticket": cause.ticket,
            }
            for cause in report.causes
        ],
        "changes": {**report.changes.plain(), "since": report.before.name} if report.changes is not None and report.before is not None else None,
        "policy_change": policy_change(report),
        "controls": [
            {
                "id": control.id,
                "rules": list(control.rules),
                "hosts": dict(control.hosts),
                "groups": {group: dict(counts) for group, counts in control.groups.items()},
                "waived": [
                    {"owner": each.owner, "expires": each.expires, "justification": each.justification, "hosts": list(each.hosts)} for each in control.waived
                ],
                "share": share(control.hosts),
                "trend": list(report.trends.get(control.id, ())),
            }
            for control in report.controls
        ],
        "leaking": [
            {"program": each.program, "hosts": list(each.hosts), "per_day": each.per_day, "highest": each.highest, "worst_host": each.worst_host}
            for each in report.leaking
        ],
        "rules": report.rules,
    }


def policy_change(report: Report) -> dict[str, Any] | None:
    """None: the same policies as in the run before, or there is none."""
    found = report.policy_change
    if found is None:
        return None
    return {"old": found.old, "new": found.new, "difference": list(found.lines), "not_kept": list(found.not_kept), "others": list(found.others)}


def row(host: HostRow) -> dict[str, Any]:
    return {
        "name": host.name,
        "outcome": host.outcome,
        "status": host.status,
        "groups": list(host.groups),
        "findings": dict(zip(STATUSES, host.counts, strict=False)),
        "waived": host.waived,
        "at": host.at,
        "zone": host.zone,
        "system": host.system,
        "kernel": host.kernel,
        "partial": host.partial,
        "stale": host.stale,
        "tasks": host.tasks,
        "zombies": host.zombies,
        "tightest_limit": host.tightest._asdict() if host.tightest else None,
        "message": host.message,
        "next_step": host.next_step,
        "sha256": host.sha256,
    }


class Json(Writer):
    def finish(self, report: Report) -> None:
        self.write(dumped(head(report))[:-1] + ',"hosts":[')
        for place, host in enumerate(report.hosts):
            self.write((",\n" if place else "\n") + dumped(row(host)))
        self.write("]}\n")


FORMAT = Format("json", Json)
