# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a beacon is told to watch, and what it may do about it: one table, checked whole. Nothing here raises, whatever it is given."""

from typing import Any, Callable, Dict, List, Optional, Tuple

from .readers import unit_files
from .record import NamedTuple

FULL = 0.95  # of a limit: the threshold of relief, and of PH-SYS-004 that fails
KINDS = ("service", "slice", "scope")


class Relief(NamedTuple):
    """What may be done without asking. All off: nothing."""

    tasks_max: bool = False  # of the watched units
    pid_max: bool = False
    restart: Tuple[str, ...] = ()  # units that may be stopped, and started when their zombies are reaped, while they leak

    @property
    def allowed(self) -> bool:
        return self.tasks_max or self.pid_max or bool(self.restart)


class Settings(NamedTuple):
    units: Tuple[str, ...] = ()
    threshold: float = 0.80  # used part of a limit that is told
    ancestors: bool = False  # whether the groups that a unit is in are watched, too: slices
    relief: Relief = Relief()

    @property
    def full(self) -> float:
        """Used part of a limit that is told once more, and from which on relief is due."""
        return max(self.threshold, FULL)


Taken = Tuple[Any, str]  # a value, and what is wrong with it


def checked(config: Any) -> Tuple[Settings, Tuple[str, ...]]:
    """The settings and every mistake in them. ``config``: a list of mappings, as beacons are configured."""
    if not isinstance(config, (list, tuple)):
        return Settings(), ("the configuration of a beacon is a list of settings, not %s" % _kind(config),)
    values: Dict[str, Any] = {}
    mistakes: List[str] = []
    for item in config:
        if isinstance(item, dict):
            values.update((str(name), value) for name, value in item.items())
        else:
            mistakes.append("each setting is a mapping, as units: [a.service], not %s" % _kind(item))
    found: Dict[str, Any] = {}
    for name in sorted(values):
        take = _SETTINGS.get(name)
        value, wrong = take(values[name]) if take is not None else (None, "is no setting; known are %s" % ", ".join(sorted(_OURS)))
        if wrong:
            mistakes.append("%s %s" % (name, wrong))
        elif name in _OURS:
            found[name] = value
    return (Settings(**found) if not mistakes else Settings()), tuple(mistakes)


def _units(value: Any) -> Taken:
    if not isinstance(value, (list, tuple)):
        return None, "must be a list of units, not %s" % _kind(value)
    for each in value:
        if not isinstance(each, str) or unit_files.kind_of(each) not in (unit_files.PLAIN, unit_files.INSTANCE) or unit_files.type_of(each) not in KINDS:
            return None, "must name services, slices or scopes with their type, as nginx.service, not %.60r" % (each,)
    return tuple(value), ""


def _threshold(value: Any) -> Taken:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 100:
        return None, "is a percentage of the limit: a number from 1 to 100, not %.60r" % (value,)
    return value / 100.0, ""


def _flag(value: Any) -> Taken:
    return value, "" if isinstance(value, bool) else "must be true or false, not %s" % _kind(value)


def _seconds(value: Any) -> Taken:
    """Salt itself compares it with numbers, and all beacons stand still when that fails."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    return value, "" if usable else "is a number of seconds above 0, not %.60r" % (value,)


def _relief(value: Any) -> Taken:
    if isinstance(value, bool):
        return Relief(value, value), ""
    if not isinstance(value, dict):
        return None, "must be off, on, or a mapping of tasks_max, pid_max and restart, not %s" % _kind(value)
    found: Dict[str, Any] = {}
    for name in sorted(value, key=str):
        if name in ("tasks_max", "pid_max"):
            found[name], wrong = _flag(value[name])
        elif name == "restart":
            found[name], wrong = _units(value[name])
        else:
            return None, "has no setting %.60r; known are pid_max, restart, tasks_max" % (name,)
        if wrong:
            return None, "%s %s" % (name, wrong)
    return Relief(**found), ""


def _anything(value: Any) -> Taken:
    return value, ""


def _kind(value: Any) -> str:
    return "nothing" if value is None else {"dict": "a mapping", "list": "a list", "str": "text", "bool": "true or false"}.get(type(value).__name__, "a number")


_OURS: Dict[str, Optional[Callable[[Any], Taken]]] = {"units": _units, "threshold": _threshold, "ancestors": _flag, "relief": _relief}
_SETTINGS = dict(_OURS, interval=_seconds, enabled=_flag, disable_during_state_run=_flag, run_once=_flag, beacon_module=_anything, _beacon_name=_anything)
