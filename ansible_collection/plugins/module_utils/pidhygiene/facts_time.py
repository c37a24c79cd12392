# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time in the result document: what the fleet compares, and what one audit remembers of the zone for the next."""

from typing import Any, Dict, List, Optional

from .readers import zone_info
from .readers.zone_database import SAME_BYTES

FACTS_SOURCES = ("time_zone", "cron", "packages", "clock", "time_sync")
MARKS_SOURCES = ("time_zone", "clock")
MOST_LINES = 500  # crontab lines of one host
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
    """One row for each job: where it stands and its hash, so that a fleet is compared without anybody's commands."""
    rows = [
        {"table": table.path, "user": job.user or table.user, "hash": job.digest[:16]} for table in cron.tables for job in table.table.jobs
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
    """For the next audit: the content and the identity of /etc/localtime, and the offsets that it means for more than a year."""
    if not evidence.has("time_zone") or not evidence.has("clock"):
        return {}
    localtime, now = evidence.time_zone.localtime, int(evidence.clock.wall)
    found: Dict[str, Any] = {
        "name": zone_name(localtime),
        "digest": localtime.digest,
        "offsets": [list(pair) for pair in zone_info.offsets(localtime.in_force, now, now + REMEMBERED)],
        "seen_at": now,
    }
    if localtime.target is not None:
        found["file"] = [localtime.target.dev, localtime.target.ino, int(localtime.target.mtime)]
    return found


def remembered_offset(marks: Dict[str, Any], moment: float) -> Optional[int]:
    """The offset that the zone of the last audit gives at this moment; None when it is too long ago, or the marks say nothing."""
    offsets = marks.get("offsets")
    if not isinstance(offsets, list) or not offsets or moment > float(marks.get("seen_at", 0)) + REMEMBERED:
        return None
    shift: Optional[int] = None
    for since, seconds in offsets:
        if since <= moment:
            shift = int(seconds)
    return shift
