# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers over time: tasks, zombies by parent, headroom of users and units with the limit that binds."""

from typing import Any, Dict, List, Optional

from . import headroom, leak
from .text import shown

SOURCES = ("processes", "budgets", "details", "cgroups", "zombies", "user_namespaces")
MOST = 20  # rows of each kind


def collect(evidence: Any) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    if evidence.has("budgets"):
        found["tasks"] = evidence.budgets.tasks
        found["budgets"] = {
            name: row for name, row in (
                ("threads-max", _budget(headroom.all_threads(evidence))),
                ("pid_max", _budget(headroom.pid_numbers(evidence)) if evidence.has("processes") else None),
            ) if row
        }
    if evidence.has("zombies"):
        found["zombies"] = _zombies(evidence)
    if evidence.has("processes") and evidence.has("details") and evidence.has("budgets"):
        found["users"] = _users(evidence)
        found["groups"] = _groups(evidence)
    return found


def _budget(budget: Optional[headroom.Budget]) -> Optional[Dict[str, Any]]:
    if budget is None:
        return None
    return {"kind": budget.kind, "holder": shown(budget.holder), "used": budget.used, "limit": budget.limit}


def _zombies(evidence: Any) -> Dict[str, Any]:
    rows: List[Dict[str, Any]] = []
    for brood in evidence.zombies.broods[:MOST]:
        detail = evidence.details.of.get(brood.parent.pid) if evidence.has("details") else None
        rate = leak.of_brood(evidence, brood)
        rows.append({
            "parent": shown(brood.parent_command.program), "pid": brood.parent.pid, "unit": detail.unit_label if detail else None,
            "count": brood.zombies, "persistent": brood.persistent,
            "oldest_s": None if brood.oldest_s is None else round(brood.oldest_s, 1),
            "parent_age_s": round(evidence.processes.age(brood.parent), 1), "leak_per_day": None if rate is None else round(rate.per_day, 1),
        })
    return {"total": evidence.zombies.total, "by_parent": rows}


def _users(evidence: Any) -> List[Dict[str, Any]]:
    """The users with the most tasks, each with the tightest limit that one of his processes runs under."""
    counts = headroom.user_tasks(evidence)
    rows = []
    for uid in sorted(counts, key=lambda each: (-counts[each].tasks, each))[:MOST]:
        budgets = [
            headroom.binding(headroom.of_process(evidence, pid, counts))
            for pid, status in sorted(evidence.processes.status.items()) if status.uid == uid and pid in evidence.details.of
        ][:50] if evidence.has("cgroups") else []
        tightest = headroom.binding([budget for budget in budgets if budget is not None])
        rows.append({"uid": uid, "tasks": counts[uid].tasks, "zombies": counts[uid].zombies, "hidden": counts[uid].hidden,
                     "binding": _budget(tightest)})
    return rows


def _groups(evidence: Any) -> List[Dict[str, Any]]:
    """The fullest limited cgroups."""
    if not evidence.has("cgroups"):
        return []
    budgets = [
        headroom.group_budgets(evidence, path)[0] for path in sorted(evidence.cgroups.groups)
        if headroom.group_budgets(evidence, path) and headroom.group_budgets(evidence, path)[0].holder == path
    ]
    budgets.sort(key=lambda budget: (-budget.share, budget.holder))
    return [row for row in (_budget(budget) for budget in budgets[:MOST]) if row]
