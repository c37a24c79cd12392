# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time in the result document: what the fleet compares, and what one audit remembers of the zone for the next."""

from typing import Any, Dict, List, Optional, Tuple

from .readers import zone_info
from .readers.crontab import digest
from .readers.zone_database import SAME_BYTES
from .text import shown

FACTS_SOURCES = ("time_zone", "cron", "packages", "clock", "time_sync")
MARKS_SOURCES = ("time_zone", "clock")
MOST_LINES = 200  # crontab lines of one host; a healthy result has 20 KB in all
REMEMBERED = 400 * 86400  # seconds ahead for which the offsets of today's zone are kept


def time_zone_facts(evidence: Any) -> Dict[str, Any]:
    """Zone and its sources, release of the zone database, cron and the hashes of its lines, who keeps the clock."""
    found: Dict[str, Any] = {}
    if evidence.has("time_zone"):
        zone = evidence.time_zone
        found["zone"] = {
            "name": zone_name(zone.localtime),
            "localtime": zone.localtime.kind,
            "digest": zone.localtime.digest,
            "sources": {each.path: each.text for each in zone.named},
            "hardware_clock": zone.hardware_clock,
            "database": zone.database,
        }
        if evidence.has("clock"):
            found["zone"]["offset_s"] = zone.localtime.in_force.shift(int(evidence.clock.wall))
    if evidence.has("cron"):
        found["cron"] = {
            "implementation": evidence.cron.implementation,
            "version": evidence.cron.version,
            "running": bool(evidence.cron.daemons),
            "lines": _lines(evidence.cron),
        }
    if evidence.has("time_sync"):
        found["time_daemons"] = sorted({daemon.name for daemon in evidence.time_sync.daemons})
    return found


def _lines(cron: Any) -> List[Dict[str, str]]:
    """One row for each job: where it stands, when it runs, and hashes of the line and of its command, to compare a fleet without anybody's commands."""
    rows = [
        {"table": table.path, "user": job.user or table.user, "hash": job.digest[:16], "when": shown(job.when),
         "job": digest("", job.user or table.user, job.command)[:16]} for table in cron.tables for job in table.table.jobs
    ]
    return sorted(rows, key=lambda row: (row["table"], row["user"], row["hash"]))[:MOST_LINES]


def zone_name(localtime: Any) -> Optional[str]:
    """The canonical zone of /etc/localtime: by its link, or by what the copy was found to be; None when nobody can tell."""
    match = localtime.match
    if match is not None and (not localtime.canonical or is_covered(localtime)):
        return str(match.names[0])
    return localtime.canonical or None


def is_covered(localtime: Any) -> bool:
    """Whether something is mounted over the zone that the link names, and its content is that of another one."""
    match = localtime.match
    return bool(localtime.mounts and localtime.name and match and match.kind == SAME_BYTES and localtime.canonical not in match.names)


def time_zone_marks(evidence: Any) -> Dict[str, Any]:
    """For the next audit: content and identity of /etc/localtime, the offsets it means for more than a year, and its last change of hours."""
    if not evidence.has("time_zone") or not evidence.has("clock"):
        return {}
    localtime, now = evidence.time_zone.localtime, int(evidence.clock.wall)
    found: Dict[str, Any] = {
        "name": zone_name(localtime),
        "digest": localtime.digest,
        "offsets": [[since, shift, int(localtime.in_force.at(since)[1])] for since, shift in zone_info.offsets(localtime.in_force, now, now + REMEMBERED)],
        "seen_at": now,
        "changed": localtime.own.ctime if localtime.own is not None else None,
        "before": None,
    }
    if localtime.target is not None:
        found["file"] = [localtime.target.dev, localtime.target.ino, int(localtime.target.mtime)]
    marks = previous_marks(evidence)
    if marks:
        if hours_changed(evidence, marks):
            found.update(changed=localtime.changed, before=marks["offsets"])
        else:
            found.update(changed=marks.get("changed"), before=marks.get("before"))
    return found


def previous_marks(evidence: Any) -> Dict[str, Any]:
    """What the last audit remembered of the zone; empty when there was none."""
    found = (evidence.previous or {}).get("time_zone")
    return found if isinstance(found, dict) and _usable(found.get("offsets")) else {}


def _usable(offsets: Any) -> bool:
    return isinstance(offsets, list) and bool(offsets) and all(
        isinstance(each, (list, tuple)) and len(each) == 3 and all(isinstance(number, int) for number in each) for each in offsets)


def hours_changed(evidence: Any, marks: Dict[str, Any]) -> bool:
    """Whether the zone of the last audit and today's show different hours, now or in the year ahead. New bytes alone are no change."""
    localtime, now = evidence.time_zone.localtime, int(evidence.clock.wall)
    if marks.get("digest") == localtime.digest:
        return False
    end = int(marks.get("seen_at", 0)) + REMEMBERED
    moments = [now] + [each[0] for each in marks["offsets"]] + list(localtime.in_force.changes(now, end))
    return any(
        now <= moment < end and remembered(marks["offsets"], moment)[0] != localtime.in_force.shift(moment) for moment in moments
    ) or now >= end


def remembered(offsets: Any, moment: float) -> Tuple[int, bool]:
    """Offset and summer time at this moment, by a list of [since, seconds, summer]."""
    found = offsets[0]
    for each in offsets:
        if each[0] <= moment:
            found = each
    return int(found[1]), bool(found[2])
