# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of users' managers beside those of the system, for rules that judge both. Pure."""

from typing import Any, Iterator, List, Optional, Sequence, Tuple

from .model import Gap, NotApplicable, Unknown, Verdict
from .pattern import pattern
from .readers.unit_syntax import TasksMax
from .readers.user_units import uid_of

VENDOR = ("/usr/lib/", "/lib/", "/usr/share/", "/run/systemd/generator", "/run/systemd/transient/")  # nobody here wrote what stands there
_MADE = pattern(r"/run/user/\d+/systemd/(generator|transient/)")
TOLERANCE_S = 2.0  # of the times of files and processes


def by_vendor(path: str) -> bool:
    return path.startswith(VENDOR) or bool(_MADE.match(path))


def units(evidence: Any) -> List[Any]:
    return sorted(evidence.units.units.values()) + (sorted(evidence.user_units.units.values()) if evidence.has("user_units") else [])


def timers(evidence: Any) -> List[Any]:
    return list(evidence.units.timers) + (list(evidence.user_units.timers) if evidence.has("user_units") else [])


def file(evidence: Any, unit: Any, path: str) -> Optional[Any]:
    """What was read of a file of this unit."""
    source = evidence.units if uid_of(unit.id) is None else evidence.user_units
    return source.files.get(path)


def unread_of_system(evidence: Any, timers_alone: bool = False) -> Tuple[Gap, ...]:
    """What is not known of the system's units."""
    return _unread(evidence.units.gaps, timers_alone) if evidence.has("units") else ()


def _unread(gaps: Sequence[Gap], timers_alone: bool) -> Tuple[Gap, ...]:
    return tuple(gap for gap in gaps if not (timers_alone and (".service" in gap.source or ".slice" in gap.source)))


def unseen(evidence: Any, timers_alone: bool = False) -> Iterator[Verdict]:
    """What is not known of users' units."""
    if evidence.has("user_units"):
        gaps = _unread(evidence.user_units.gaps, timers_alone)
        if gaps:
            yield Unknown(gaps)
        for reason in evidence.user_units.not_read:
            yield NotApplicable(reason)


def tasks_max(evidence: Any, label: str) -> Optional[Any]:
    """The TasksMax= that the files of a user's unit set."""
    unit = evidence.user_units.units.get(label) if evidence.has("user_units") else None
    setting = unit.configured.get("TasksMax") if unit is not None else None
    return setting if setting is not None and isinstance(setting.meaning, TasksMax) else None


def unread(evidence: Any, unit: Any) -> Tuple[str, ...]:
    """Files written after the unit's start and after the last reload that its manager can have done: it has older ones."""
    found = evidence.user_units
    reload, start = found.last_load.get(uid_of(unit.id)), unit.exec_main_start_wall
    if reload is None or (start is None and not unit.id.endswith(".slice")):
        return ()
    known = max(reload, start or 0.0) + TOLERANCE_S
    return tuple(path for path in unit.files if not by_vendor(path) and path in found.files
                 and min(found.files[path].mtime, found.files[path].ctime) > known)
