# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worth an event: a threshold that is crossed, what relief did or why it refused, and the end of it. Not what lasts.

Whoever carries the event away may need a thread for it (Salt does), and loses it where none can start. So what is told while our own
budgets are used up counts as not told yet, and is told again until there is room.
"""

from typing import Any, Callable, Dict, List, Optional, Tuple

from . import watch
from .document import plain_finding
from .host import Host
from .model import INFO, SEVERITY_INFO
from .record import NamedTuple
from .watch_settings import Settings

REACHED, OVER = "reached", "over"
NEAR, FULL = 1, 2  # grades of a level
BACK = 0.95  # of the threshold: below that it is over, so that one task more or less is no news
ROOM = 2  # tasks: so many must be free for an event to leave
TRY_AGAIN_S = 60.0  # after relief that was refused or failed


class Outcome(NamedTuple):
    """What relief did about one level."""

    kind: str  # done, refused, failed
    message: str
    changes: Tuple[Tuple[str, str, str], ...] = ()  # what, before, after

    def plain(self) -> Dict[str, Any]:
        return {"state": self.kind, "message": self.message,
                "changes": [{"what": what, "before": before, "after": after} for what, before, after in self.changes]}


Relieve = Callable[[watch.Level], Optional[Outcome]]


def news(host: Host, settings: Settings, memory: Dict[str, Any], relieve: Optional[Relieve] = None) -> List[Dict[str, Any]]:
    """One pass: the events, each {"state", "finding", "relief"}. Never raises for what the host has.

    ``memory`` is plain data, changed in place: {"told": level to what was told of it}, which outlives the process if the caller keeps it, and
    "places", "tries" and "unsent", which do not need to. ``relieve`` is called with every level that is full, and may change the host.
    """
    places = memory.setdefault("places", {})
    seen = watch.look(host, settings, places)
    memory["gaps"] = seen.gaps
    outcomes = {level.key: outcome for level in seen.levels for outcome in [_relieved(host, settings, memory, level, relieve)] if outcome is not None}
    free = _free(watch.look(host, settings, places) if any(each.kind == "done" for each in outcomes.values()) else seen)
    events = [event for level in seen.levels for event in _of_level(settings, memory, level, outcomes.get(level.key), free >= ROOM)]
    present = set(seen.unseen).union(level.key for level in seen.levels)
    for key in [key for key in memory.setdefault("told", {}) if key not in present and (seen.located or not key.startswith("/"))]:
        events.append(_vanished(memory["told"].pop(key)))
    return events


def usable(told: Any) -> Dict[str, Any]:
    """Rows of "told" that were kept, as far as they are in the form that is expected here."""
    if not isinstance(told, dict):
        return {}
    return {
        str(key): row for key, row in told.items()
        if isinstance(row, dict) and row.get("grade") in (NEAR, FULL)
        and isinstance(row.get("finding"), dict) and isinstance(row["finding"].get("subject"), dict)
    }


def _free(seen: watch.Look) -> int:
    """Tasks that we could still start."""
    return min([level.budget.free for level in seen.levels if level.ours], default=ROOM)


def _relieved(host: Host, settings: Settings, memory: Dict[str, Any], level: watch.Level, relieve: Optional[Relieve]) -> Optional[Outcome]:
    """What was done about a full level; tried again after a while only, as to find out what to do is not cheap."""
    tries = memory.setdefault("tries", {})
    now = host.clock().boot
    if relieve is None or level.share < settings.full or now < tries.get(level.key, 0.0):
        return None
    outcome = relieve(level)
    if outcome is not None:
        tries[level.key] = now + TRY_AGAIN_S
    return outcome


def _of_level(settings: Settings, memory: Dict[str, Any], level: watch.Level, outcome: Optional[Outcome], room: bool) -> List[Dict[str, Any]]:
    told, unsent = memory.setdefault("told", {}), memory.setdefault("unsent", {})
    before = told.get(level.key, {})
    grade = FULL if level.share >= settings.full else NEAR if level.share >= settings.threshold else 0
    relief = outcome.plain() if outcome is not None else unsent.pop(level.key, None)
    known = relief is not None and relief["state"] == "refused" and before.get("relief") == "refused"
    if grade > before.get("grade", 0) or (relief is not None and not known):
        found = plain_finding(level.rule, watch.finding(level, settings))
        if room:
            told[level.key] = {"grade": max(grade, before.get("grade", 0)), "finding": found, "relief": relief["state"] if relief else before.get("relief", "")}
        elif relief is not None:
            unsent[level.key] = relief
        return [{"state": REACHED, "finding": found, "relief": relief}]
    if before and level.share < BACK * settings.threshold:
        del told[level.key]
        memory.setdefault("tries", {}).pop(level.key, None)
        return [{"state": OVER, "finding": plain_finding(level.rule, watch.over(level)), "relief": None}]
    return []


def _vanished(before: Dict[str, Any]) -> Dict[str, Any]:
    """The group is no longer there, or has no limit any more."""
    found = dict(before["finding"], status=INFO, severity=SEVERITY_INFO, evidence=[], binding=None)
    found["message"] = "%s has no limit of tasks now, or does not run." % found["subject"].get("id")
    return {"state": OVER, "finding": found, "relief": None}
