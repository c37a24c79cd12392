# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one audit remembers for the next one of the same host: ``audit(host, policy, previous=marks)``.

Marks hold identities (pid and start time, inode of a cgroup) so that nothing is compared with a stranger of the same number.
"""

from typing import Any, Dict, List, Optional, Tuple

from . import facts_time
from .model import UNLIMITED
from .readers.stuck import alike
from .text import shown

SOURCES = ("boot_id", "clock", "processes", "details", "zombies", "cgroups", "stuck", "units")
VERSION = 1
MOST = 200  # rows of each kind
APART_S, MOST_POINTS = 6 * 3600.0, 9  # of a history of zombies: two days


def usable(previous: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    """The marks, or None when there are none that this engine understands."""
    if not isinstance(previous, dict) or previous.get("version") != VERSION:
        return None
    return previous


def collect(evidence: Any) -> Dict[str, Any]:
    found: Dict[str, Any] = {"version": VERSION}
    if evidence.has("boot_id"):
        found["boot_id"] = evidence.boot_id
    if evidence.has("clock"):
        found["wall"] = round(evidence.clock.wall, 3)
        found["boot"] = round(evidence.clock.boot, 3)
    if evidence.has("zombies"):
        found["zombies"] = {
            identity(brood.parent): brood.persistent for brood in evidence.zombies.broods[:MOST] if brood.persistent
        }
        found["zombie_history"] = {
            identity(brood.parent): _watched(evidence, brood) for brood in evidence.zombies.broods[:MOST] if brood.persistent
        }
    if evidence.has("details") and evidence.has("processes"):
        found["open_files"] = _open_files(evidence)
    if evidence.has("time_zone"):
        found["time_zone"] = facts_time.time_zone_marks(evidence)
    if evidence.has("stuck"):
        found["stuck"] = _stuck(evidence)
    if evidence.has("units"):
        found["restarts"] = {unit.id: unit.n_restarts for unit in sorted(evidence.units.units.values())[:MOST] if unit.n_restarts}
        found["unit_files"] = {path: file.digest for path, file in sorted(evidence.units.files.items())[:MOST] if path.startswith("/etc/")}
    if evidence.has("cgroups"):
        found["refused"] = {
            "%s#%d" % (path, group.inode): group.refused
            for path, group in sorted(evidence.cgroups.groups.items())[:MOST] if group.refused
        }
    return found


def _watched(evidence: Any, brood: Any) -> List[List[float]]:
    """Moments and counts, thinned: frequent audits must not shorten what is remembered."""
    points = [[moment, count] for moment, count in zombie_history(evidence, brood.parent)]
    now = round(evidence.processes.clock.boot, 3)
    if not points or now - points[-1][0] >= APART_S:
        points.append([now, brood.persistent])
    return points[-MOST_POINTS:]


def zombie_history(evidence: Any, parent: Any) -> List[Tuple[float, int]]:
    """(seconds since boot, persistent zombies) of this very parent as earlier audits of this boot saw them, oldest first."""
    rows = evidence.previous.get("zombie_history") if same_boot(evidence) else None
    points = rows.get(identity(parent)) if isinstance(rows, dict) else None
    return [(row[0], row[1]) for row in points if isinstance(row, (list, tuple)) and len(row) == 2
            and all(isinstance(each, (int, float)) for each in row)] if isinstance(points, list) else []


def _open_files(evidence: Any) -> Dict[str, int]:
    """Descriptors of the processes that use at least half of their limit."""
    found = {}
    for pid, detail in sorted(evidence.details.of.items()):
        process = evidence.processes.processes.get(pid)
        soft = detail.limits.get("nofile", (UNLIMITED, UNLIMITED))[0] if detail.limits else UNLIMITED
        if process is not None and detail.open_files is not None and soft != UNLIMITED and detail.open_files * 2 >= soft:
            found[identity(process)] = detail.open_files
    return dict(sorted(found.items())[:MOST])


def _stuck(evidence: Any) -> Dict[str, int]:
    """Tasks in state D by command and unit."""
    found: Dict[str, int] = {}
    for task in evidence.stuck.tasks:
        detail = evidence.details.of.get(task.process.pid) if evidence.has("details") else None
        key = "%s|%s" % (shown(task.process.comm), alike((detail.unit_label if detail else None) or ""))
        found[key] = found.get(key, 0) + 1
    return dict(sorted(found.items())[:MOST])


def identity(process: Any) -> str:
    """Stable while the process lives, within one boot: pid and start time."""
    return "%d@%d" % (process.pid, process.start)


def same_boot(evidence: Any) -> bool:
    """Whether the marks are of this boot, so that pids, start times and counters may be compared."""
    previous = evidence.previous
    return bool(previous and evidence.has("boot_id") and evidence.boot_id and previous.get("boot_id") == evidence.boot_id)


def seconds_since(evidence: Any) -> Optional[float]:
    """Time between the marks and this audit, on the clock that nobody sets; None without marks of this boot."""
    return evidence.clock.boot - evidence.previous["boot"] if same_boot(evidence) else None
