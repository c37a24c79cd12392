# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet compares, also when all is well: every PH-FLT rule is computed from these alone.

Values are provenance and configuration; numbers that move belong to measures.py. A healthy host's facts stay small:
units that run with nothing but the manager's defaults are left out, and the defaults stand once.
"""

from typing import Any, Dict

from . import facts_time, reboots, restarts, wording
from .digest import sha256
from .text import shown

SOURCES = ("automatic_reboot", "budgets", "cron", "details", "identity", "packages", "processes", "time_sync", "time_zone", "units", "user_units", "users")
COMPARED = ("nproc", "nofile", "memlock")  # running limits told for every unit with a process
MOST_UNITS = 400
MOST_RESTARTS = 100


def collect(evidence: Any) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    if evidence.has("budgets"):
        found["kernel"] = {"pid_max": evidence.budgets.pid_max, "threads_max": evidence.budgets.threads_max}
    if evidence.has("packages"):
        found["packages"] = {name: shown(version) for name, version in sorted(evidence.packages.versions.items())}
    if evidence.has("identity"):
        found["identity"] = {"ssh_host_keys": evidence.identity.ssh_host_keys, "salt_minion_id": shown(evidence.identity.salt_minion_id)}
    found["restarts"] = [
        {"unit": shown(each.unit), "when": shown(each.when), "randomized": shown(each.randomized), "source": shown(each.source)}
        for each in restarts.scheduled(evidence)[:MOST_RESTARTS]
    ]
    found["reboots"] = [
        {"when": shown(each.when), "randomized": shown(each.randomized), "delay_min": each.delay_min, "source": shown(each.source)}
        for each in list(reboots.scheduled(evidence))[:MOST_RESTARTS]
    ]
    if evidence.has("details"):
        found["pid1_limits"] = _running(evidence.details.manager_limits)
    if evidence.has("units") and evidence.units.manager.present:
        found["systemd"] = _manager(evidence)
        found["units"] = _units(evidence)
    if evidence.has("time_zone"):
        found["time"] = facts_time.time_zone_facts(evidence)
    return found


def _running(limits: Any) -> Dict[str, str]:
    if not limits:
        return {}
    return {item: "%s:%s" % tuple(wording.limit(value) for value in limits[item]) for item in COMPARED if item in limits}


def _manager(evidence: Any) -> Dict[str, Any]:
    manager = evidence.units.manager
    return {
        "version": shown(manager.version),
        "defaults": {key: _setting(setting) for key, setting in sorted(manager.defaults.items()) if setting.file},
        "default_tasks_max": manager.tasks_max,
    }


def _setting(setting: Any) -> Dict[str, str]:
    return {"value": shown(setting.value), "file": shown(setting.file)}


def _units(evidence: Any) -> Dict[str, Any]:
    """Per unit what is configured (with its file) and what its main process runs with, where that is more than the defaults."""
    found: Dict[str, Any] = {}
    usual = _usual(evidence)
    for name in sorted(evidence.units.units)[: 10 * MOST_UNITS]:
        unit = evidence.units.units[name]
        row: Dict[str, Any] = {}
        configured = {
            key: _setting(setting) for key, setting in sorted(unit.configured.items())
            if setting.file and (key.startswith("Limit") or key in ("TasksMax", "KillMode"))
        }
        if configured:
            row["configured"] = configured
        detail = evidence.details.of.get(unit.main_pid) if unit.main_pid and evidence.has("details") else None
        running = _running(detail.limits) if detail is not None else {}
        if running and running != usual:
            row["running"] = running
        if row and (configured or running):
            found[name] = row
        if len(found) >= MOST_UNITS:
            break
    return found


def voter_units(evidence: Any, groups: Dict[str, Any]) -> Dict[str, Dict[str, str]]:
    """The units by which a host counts as a voter of its quorum groups, as the policy names them, of those that systemd knows here."""
    if not evidence.has("units"):
        return {}
    wanted = {unit for group in groups.values() for unit in group.get("units", ())}
    return {name: {"id": unit.id, "state": unit.active_state or ""}
            for _id, unit in sorted(evidence.units.units.items()) for name in sorted(wanted & set(unit.names))}


def _usual(evidence: Any) -> Dict[str, str]:
    """The running limits that most units have."""
    counts: Dict[str, int] = {}
    seen: Dict[str, Dict[str, str]] = {}
    for unit in evidence.units.units.values():
        detail = evidence.details.of.get(unit.main_pid) if unit.main_pid and evidence.has("details") else None
        running = _running(detail.limits) if detail is not None else {}
        key = repr(sorted(running.items()))
        counts[key] = counts.get(key, 0) + 1
        seen[key] = running
    return seen[max(counts, key=lambda key: (counts[key], key))] if counts else {}


def digest(text: str) -> str:
    """A short stable hash, for comparing without telling."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
