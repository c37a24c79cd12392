# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's units: what the manager runs them with (over the bus), and what the files say it would (our own search).

Services, slices and timers. Where the bus does not answer, units are those that have processes, their files are read all the same,
and what only the manager knows is None. Infinity is model.UNLIMITED everywhere.
"""

from typing import Any, Dict, Iterable, List, Optional, Tuple

from ..bus import IDLE
from ..host import Host, HostError, Missing
from ..model import UNLIMITED, Gap
from ..record import NamedTuple
from . import cgroups, unit_syntax
from .unit_files import LIMIT_KEYS, LOAD_PATH, TABLES, Definition, Ineffective, Search, Setting, UnitFile, kind_of, type_of

PATTERNS = ("*.service", "*.slice", "*.timer")
_LIMIT_PROPERTIES = tuple(key + half for key in sorted(LIMIT_KEYS) for half in ("", "Soft"))
MANAGER_PROPERTIES = ("Version", "UnitPath", "DefaultTasksMax") + tuple("Default" + name for name in _LIMIT_PROPERTIES)
UNIT_PROPERTIES = (
    "Id", "Names", "LoadState", "ActiveState", "SubState", "FragmentPath", "SourcePath", "DropInPaths", "NeedDaemonReload", "Transient",
    "MainPID", "ControlGroup", "User", "PAMName", "Slice", "Delegate", "KillMode", "Type", "Restart", "NRestarts", "PIDFile",
    "RuntimeMaxUSec", "ExecMainStartTimestamp", "ExecMainStartTimestampMonotonic", "ActiveEnterTimestamp",
    "ActiveEnterTimestampMonotonic", "TasksMax", "TasksCurrent",
) + _LIMIT_PROPERTIES
MOST_ASKED = 500  # units that are asked for everything
# Asked of every unit that runs something; the rest is in its files, unless these are newer than the manager's reading of them
QUICK_PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "NeedDaemonReload", "TasksMax")
SAMPLED = 16  # units with settings in /etc that are asked for everything all the same, so that our search can be checked (PH-OBS-004)
LAST_LOAD = "/run/systemd/systemd-units-load"  # touched at boot and at every reload (src/core/manager.c manager_ready)

Limit = unit_syntax.Limit
TasksMax = unit_syntax.TasksMax


class Unit(NamedTuple):
    id: str
    names: Tuple[str, ...]  # with aliases
    load_state: Optional[str]  # loaded, masked, bad-setting, error; None without the bus
    active_state: Optional[str]
    sub_state: Optional[str]
    main_pid: Optional[int]  # None: it has none, or nobody could tell
    control_group: Optional[str]  # path in systemd's hierarchy; None when there is none
    fragment: Optional[str]  # as the manager loaded it; as the files have it without the bus
    source_path: Optional[str]  # the script behind a generated unit, as /etc/init.d/X
    drop_ins: Tuple[str, ...]  # as the manager loaded them, masks included
    need_daemon_reload: Optional[bool]
    transient: bool
    user: str  # empty: root
    pam_name: str
    slice: str
    delegate: bool
    kill_mode: str
    type: str
    restart: str
    n_restarts: Optional[int]
    pid_file: str
    runtime_max_us: int  # UNLIMITED: none
    exec_main_start_us: Optional[int]  # CLOCK_MONOTONIC; this and the next five only where ``complete``
    exec_main_start_wall: Optional[float]  # seconds since the epoch; of users' units the start of their present run
    active_enter_us: Optional[int]  # CLOCK_MONOTONIC
    active_enter_wall: Optional[float]
    limits: Dict[str, Limit]  # item (nproc, nofile …) to what the manager sets at the next start; empty without the bus
    tasks_max: Optional[int]  # as the manager shows it: shares are computed when asked, pids.max holds the value of the last reload
    tasks_current: Optional[int]
    configured: Dict[str, Setting]  # by key (LimitNPROC, TasksMax, User …): what the files say, where, and what lost
    ineffective: Tuple[Ineffective, ...]
    files: Tuple[str, ...]  # fragment and drop-ins as they are found now
    complete: bool  # the manager told everything; else configuration is from the files, which it has not seen change since it read them

    @property
    def running(self) -> bool:
        """Has processes, as far as can be told."""
        return self.active_state in (None, "active", "reloading", "deactivating", "activating") and self.control_group is not None

    def limit_set_in(self, item: str) -> Optional[Setting]:
        """The assignment of Limit<ITEM>= in force, None where the unit takes the manager's default."""
        setting = self.configured.get("Limit" + item.upper())
        return setting if setting is not None and setting.meaning is not None else None


class Timer(NamedTuple):
    id: str
    active: Optional[bool]
    unit: str  # that it starts
    schedule: Tuple[str, ...]  # as OnCalendar=weekly
    randomized: str  # RandomizedDelaySec= as written
    commands: Tuple[str, ...]  # ExecStart= lines of that unit
    file: str  # that says so
    scheduled_in: str  # the file of its OnCalendar=, which may be a drop-in; empty without one


class Manager(NamedTuple):
    present: bool  # systemd runs this machine
    answers: bool  # over the bus
    version: str
    load_path: Tuple[str, ...]
    last_load: Optional[float]  # seconds since the epoch: boot or the last daemon-reload
    defaults: Dict[str, Setting]  # by key (DefaultLimitNOFILE, DefaultTasksMax)
    ineffective: Tuple[Ineffective, ...]
    files: Tuple[str, ...]  # system.conf and its drop-ins
    limits: Dict[str, Limit]  # item to DefaultLimit*= as the manager has it; empty without the bus
    tasks_max: Optional[int]  # DefaultTasksMax= as the manager has it
    machine_tasks: Optional[int]  # what a share of TasksMax= is a share of


class Units(NamedTuple):
    manager: Manager
    units: Dict[str, Unit]
    timers: Tuple[Timer, ...]
    files: Dict[str, UnitFile]  # every file that was read
    gaps: Tuple[Gap, ...]

    def get(self, name: str) -> Optional[Unit]:
        """By any of its names."""
        found = self.units.get(name)
        return found or next((unit for unit in self.units.values() if name in unit.names), None)

    def default_tasks_max(self) -> TasksMax:
        """What a unit without TasksMax= gets (slices get none)."""
        setting = self.manager.defaults.get("DefaultTasksMax")
        if setting is None or not setting.file:
            return unit_syntax.DEFAULT_TASKS_MAX
        return setting.meaning if isinstance(setting.meaning, unit_syntax.TasksMax) else unit_syntax.NO_TASKS_MAX

    def configured_tasks_max(self, unit: Unit) -> Tuple[TasksMax, Optional[Setting]]:
        """What the files say now, and the assignment it comes from (None: systemd's own default)."""
        setting = unit.configured.get("TasksMax")
        if setting is not None and isinstance(setting.meaning, unit_syntax.TasksMax):
            return setting.meaning, setting
        reset = setting is not None and bool(setting.file)
        if unit.id.endswith(".slice") and not reset:
            return unit_syntax.NO_TASKS_MAX, None
        default = self.manager.defaults.get("DefaultTasksMax")
        return self.default_tasks_max(), default if default is not None and default.file else None


class Answer(NamedTuple):
    """What the manager told of itself."""

    properties: Dict[str, Any]
    error: Optional[HostError]  # why it told nothing


def ask(host: Host) -> Answer:
    """Asks the manager for itself and for its units; it works on the latter while other sources are read. Never raises."""
    try:
        answered = host.manager_properties(MANAGER_PROPERTIES)
    except HostError as error:
        return Answer({}, error)
    host.expect_unit_properties(PATTERNS, QUICK_PROPERTIES)
    return Answer(answered, None)


def read(host: Host, unit_groups: Iterable[str], asked: Optional[Answer] = None) -> Units:
    """``unit_groups``: the paths in systemd's hierarchy that have processes; ``asked``: what ``ask`` returned. Never raises."""
    gaps: List[Gap] = []
    shown: Dict[str, Dict[str, Any]] = {}
    answered, unanswered = asked or ask(host)
    answers = False
    try:
        if unanswered is not None:
            raise unanswered
        shown = host.unit_properties(PATTERNS, QUICK_PROPERTIES)
        answers = True
    except HostError as error:
        if not _is_present(host):
            return Units(Manager(False, False, "", (), None, {}, (), (), {}, None, None), {}, (), {}, ())
        gaps.append(Gap("systemd", error.reason))
    load_path = tuple(_strings(answered.get("UnitPath"))) or LOAD_PATH
    search = Search(host, load_path)
    groups = _groups_by_unit(unit_groups)
    names = [name for name in sorted(shown if answers else groups) if kind_of(name) and type_of(name) in TABLES]
    definitions = {name: search.definition(name, _strings(shown.get(name, {}).get("Names"))) for name in names}
    last_load = _last_load(host, gaps)
    complete = _ask_everything(host, _worth_asking(shown, definitions, search, last_load), gaps)
    manager = _manager(host, answered, answers, load_path, last_load, search)
    units: Dict[str, Unit] = {}
    timers: List[Timer] = []
    for name in names:
        if type_of(name) == "timer":
            timers.append(timer_of(name, shown.get(name), definitions[name], search))
        elif name in complete:
            units[name] = _from_bus(name, complete[name], definitions[name])
        elif name in shown:
            units[name] = unit_from_files(definitions[name]._replace(id=name), groups.get(name), shown[name], manager.limits)
        else:
            units[definitions[name].id] = unit_from_files(definitions[name], groups[name])
    return Units(manager, units, tuple(timers), search.files, tuple(gaps + search.gaps))


def _is_present(host: Host) -> bool:
    """sd_booted(3). Where that cannot be told, it counts as present: nothing passes, because it does not answer."""
    try:
        return host.exists("/run/systemd/system")
    except HostError:
        return True


def _groups_by_unit(paths: Iterable[str]) -> Dict[str, str]:
    """Services and slices that hold processes, with their group."""
    found: Dict[str, str] = {}
    for path in sorted(paths):
        unit = cgroups.unit_of(path)
        at = ""
        for part in path.split("/"):
            if not part:
                continue
            at += "/" + part
            name = part[1:] if part.startswith("_") else part
            if kind_of(name) and (name.endswith(".slice") or (name == unit and name.endswith(".service"))):
                found.setdefault(name, at)
            if name == unit:
                break
    return found


# -- the manager -------------------------------------------------------------------------------------------------


def _last_load(host: Host, gaps: List[Gap]) -> Optional[float]:
    try:
        return host.stat(LAST_LOAD).mtime
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(LAST_LOAD, error.reason))
        return None


def _worth_asking(
    shown: Dict[str, Dict[str, Any]], definitions: Dict[str, Definition], search: Search, last_load: Optional[float]
) -> List[str]:
    """Units of which the files do not tell what the manager has: they changed since it read them, are not found, hold specifiers (%i)."""
    names, sample = [], 0
    for name in sorted(definitions):
        if name not in shown or type_of(name) == "timer":
            continue
        definition, files = definitions[name], _files(definitions[name])
        if any(path in search.files and (last_load is None or search.files[path].ctime > last_load) for path in files):
            names.append(name)
        elif type_of(name) != "service" or shown[name].get("SubState") in IDLE:
            continue  # its state and its files are all there is to know
        elif definition.fragment is None or definition.fragment.startswith("/run/") or any(
                "%" in setting.value for key, setting in definition.settings.items() if key in ("User", "PAMName", "PIDFile")):
            names.append(name)
        elif sample < SAMPLED and any(setting.file.startswith("/etc/") for setting in definition.settings.values()):
            names.append(name)
            sample += 1
    return names[:MOST_ASKED]


def _ask_everything(host: Host, names: List[str], gaps: List[Gap]) -> Dict[str, Dict[str, Any]]:
    if not names:
        return {}
    try:
        found = host.unit_properties(names, UNIT_PROPERTIES)
    except HostError as error:
        gaps.append(Gap("systemd", error.reason))
        return {}
    return {name: properties for name, properties in found.items() if name in names}


def _manager(
    host: Host, answered: Dict[str, Any], answers: bool, load_path: Tuple[str, ...], last_load: Optional[float], search: Search
) -> Manager:
    before = set(search.files)
    defaults, ineffective = search.manager_settings()
    return Manager(
        present=True, answers=answers, version=str(answered.get("Version", "")), load_path=load_path, last_load=last_load,
        defaults=defaults, ineffective=ineffective, files=tuple(sorted(set(search.files) - before)),
        limits=_limits(answered, "Default"), tasks_max=_whole(answered.get("DefaultTasksMax")), machine_tasks=_machine_tasks(host),
    )


def _machine_tasks(host: Host) -> Optional[int]:
    """src/basic/limits-util.c system_tasks_max. A root group has a limit only inside a cgroup namespace."""
    limits = []
    for path, less in (("/proc/sys/kernel/threads-max", 0), ("/proc/sys/kernel/pid_max", 1)):
        try:
            limits.append(int(host.read(path)) - less)
        except (HostError, ValueError):
            return None
    for path in ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        try:
            limits.append(cgroups.parse_count(host.read(path)))
        except (HostError, ValueError):
            pass
    return min(limits)


# -- units -------------------------------------------------------------------------------------------------------


def _from_bus(name: str, known: Dict[str, Any], definition: Definition) -> Unit:
    return Unit(
        id=name,
        names=tuple(sorted(set(_strings(known.get("Names"))) | set(definition.names) | {name})),
        load_state=_string(known.get("LoadState")) or None,
        active_state=_string(known.get("ActiveState")) or None,
        sub_state=_string(known.get("SubState")) or None,
        main_pid=_whole(known.get("MainPID")) or None,
        control_group=_string(known.get("ControlGroup")) or None,
        fragment=_string(known.get("FragmentPath")) or None,
        source_path=_string(known.get("SourcePath")) or None,
        drop_ins=tuple(_strings(known.get("DropInPaths"))),
        need_daemon_reload=bool(known["NeedDaemonReload"]) if "NeedDaemonReload" in known else None,
        transient=bool(known.get("Transient")),
        user=_string(known.get("User")),
        pam_name=_string(known.get("PAMName")),
        slice=_string(known.get("Slice")),
        delegate=bool(known.get("Delegate")),
        kill_mode=_string(known.get("KillMode")),
        type=_string(known.get("Type")),
        restart=_string(known.get("Restart")),
        n_restarts=_whole(known.get("NRestarts")),
        pid_file=_string(known.get("PIDFile")),
        runtime_max_us=UNLIMITED if _whole(known.get("RuntimeMaxUSec")) is None else _whole(known.get("RuntimeMaxUSec")) or 0,
        exec_main_start_us=_whole(known.get("ExecMainStartTimestampMonotonic")) or None,
        exec_main_start_wall=_wall(known.get("ExecMainStartTimestamp")),
        active_enter_us=_whole(known.get("ActiveEnterTimestampMonotonic")) or None,
        active_enter_wall=_wall(known.get("ActiveEnterTimestamp")),
        limits=_limits(known),
        tasks_max=_whole(known.get("TasksMax")),
        tasks_current=_known_count(known.get("TasksCurrent")),
        configured=definition.settings,
        ineffective=definition.ineffective,
        files=_files(definition),
        complete=True,
    )


def _limits(known: Dict[str, Any], prefix: str = "") -> Dict[str, Limit]:
    found = {}
    for key, item in LIMIT_KEYS.items():
        hard = _whole(known.get(prefix + key))
        soft = _whole(known.get(prefix + key + "Soft"))
        if hard is not None:
            found[item] = Limit(hard if soft is None else soft, hard)  # before systemd 229 there is one value for both
    return found


def unit_from_files(
    definition: Definition, group: Optional[str], told: Optional[Dict[str, Any]] = None, defaults: Optional[Dict[str, Limit]] = None
) -> Unit:
    """For a unit of which the manager tells nothing, or its state and what is not in its files. Specifiers (%i …) stay as they are."""
    said, known = definition.settings, told or {}
    parent = (group or "").rpartition("/")[0].rpartition("/")[2]
    return Unit(
        id=definition.id,
        names=definition.names,
        load_state=_string(known.get("LoadState")) or None,
        active_state=_string(known.get("ActiveState")) or None,
        sub_state=_string(known.get("SubState")) or None,
        main_pid=_whole(known.get("MainPID")) or None,
        control_group=group,
        fragment=definition.fragment,
        source_path=_said(said, "SourcePath", "") or None,
        drop_ins=definition.drop_ins,
        need_daemon_reload=bool(known["NeedDaemonReload"]) if "NeedDaemonReload" in known else None,
        transient=bool(definition.fragment and definition.fragment.startswith("/run/systemd/transient/")),
        user=_said(said, "User", ""),
        pam_name=_said(said, "PAMName", ""),
        slice=parent if parent.endswith(".slice") else _said(said, "Slice", ""),
        delegate=bool(said["Delegate"].meaning) if "Delegate" in said else False,
        kill_mode=_said(said, "KillMode", "control-group"),
        type=_said(said, "Type", ""),
        restart=_said(said, "Restart", "no"),
        n_restarts=_whole(known.get("NRestarts")),
        pid_file=_said(said, "PIDFile", ""),
        runtime_max_us=_meaning(said, "RuntimeMaxSec", UNLIMITED),
        exec_main_start_us=None,
        exec_main_start_wall=None,
        active_enter_us=None,
        active_enter_wall=None,
        limits=_configured_limits(said, defaults or {}) if "MainPID" in known else {},
        tasks_max=_whole(known.get("TasksMax")),
        tasks_current=None,
        configured=said,
        ineffective=definition.ineffective,
        files=_files(definition),
        complete=False,
    )


def _configured_limits(said: Dict[str, Setting], defaults: Dict[str, Limit]) -> Dict[str, Limit]:
    """What the manager sets, from files that it has read: as tests/lab/test_units.py shows for every value."""
    found = dict(defaults)
    for key, item in LIMIT_KEYS.items():
        setting = said.get(key)
        if setting is not None and setting.meaning is not None:
            found[item] = setting.meaning
    return found


def _said(settings: Dict[str, Setting], key: str, default: str) -> str:
    setting = settings.get(key)
    return str(setting.meaning) if setting is not None and setting.meaning is not None else default


def _meaning(settings: Dict[str, Setting], key: str, default: int) -> int:
    setting = settings.get(key)
    return int(setting.meaning) if setting is not None and setting.meaning is not None else default


def _files(definition: Definition) -> Tuple[str, ...]:
    return ((definition.fragment,) if definition.fragment else ()) + definition.drop_ins


def timer_of(name: str, known: Optional[Dict[str, Any]], definition: Definition, search: Search) -> Timer:
    unit = _said(definition.settings, "Unit", "") or name[: -len(".timer")] + ".service"
    commands: List[str] = []
    if type_of(unit) == "service" and kind_of(unit):
        setting = search.definition(unit).settings.get("ExecStart")
        commands = setting.meaning or [] if setting is not None else []
    schedule = [
        "%s=%s" % (key, text) for key in sorted(definition.settings) if key.startswith("On")
        for text in definition.settings[key].meaning or []
    ]
    return Timer(
        name, known.get("ActiveState") == "active" if known else None, unit, tuple(schedule),
        _said(definition.settings, "RandomizedDelaySec", ""), tuple(commands), definition.fragment or "",
        definition.settings["OnCalendar"].file if "OnCalendar" in definition.settings else "",
    )


# -- values from the bus, which may be anything --------------------------------------------------------------------


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strings(value: Any) -> List[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _whole(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _known_count(value: Any) -> Optional[int]:
    number = _whole(value)
    return None if number == UNLIMITED else number  # "[not set]"


def _wall(value: Any) -> Optional[float]:
    number = _whole(value)
    return number / 1e6 if number else None
