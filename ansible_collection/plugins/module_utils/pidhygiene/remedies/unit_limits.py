# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""unit_limits: resource limits, TasksMax= and KillMode= of a unit, as a drop-in, and in force for what runs.

Vendor files are not touched: everything stands in one drop-in that sorts last. TasksMax= takes effect with the reload; limits and
KillMode= with the next start (limits) or the next stop.
"""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import headroom, pending, sessions, wording
from ..evidence import gather
from ..host import Host, HostError
from ..model import UNLIMITED
from ..readers import unit_files
from ..readers.pam_stack import NEVER
from ..readers.unit_syntax import LIMITS, BadValue, Limit, parse_limit, parse_tasks_max
from ..record import NamedTuple
from . import manager
from .crowded import refuse_crowded
from .files import PutFile
from .model import Parameter, Proposal, Refused, Remedy, Step, clean
from .protected import refuse_protected
from .running import ProcessLimit

PRESENT, ABSENT = "present", "absent"
RESTART, NEXT_START, RUNNING = "restart", "next_start", "running"
KILL_MODES = ("control-group", "mixed", "process")
SOURCES = ("units", "details", "processes", "cgroups", "budgets", "users", "user_namespaces", "pam_stacks", "limits_conf", "clock")
PROPERTIES = ("Id", "LoadState", "ActiveState", "MainPID", "ControlGroup", "TasksMax", "KillMode", "User", "PAMName", "Type", "NeedDaemonReload",
              "DropInPaths", "FragmentPath") + tuple(key + half for key in unit_files.LIMIT_KEYS for half in ("", "Soft"))
HEADER = "# Written by pidhygiene (unit_limits): it will be written again, so change the remedy, not this file.\n"
PARAMETERS = (
    Parameter("unit", "text", "The unit, with its type, as nginx.service or user-1000.slice.", required=True),
    Parameter("limits", "map", "Limit (nofile, nproc, memlock, core ...) to value: N, soft:hard or infinity; tasks to TasksMax=."),
    Parameter("kill_mode", "choice", "What systemd ends when the unit stops.", choices=KILL_MODES),
    Parameter("apply", "choice", "How processes that run get the limits: restart the unit, leave them until its next start, or change them while they run.",
              default=RESTART, choices=(RESTART, NEXT_START, RUNNING)),
    Parameter("restart_protected", "flag", "Restart it although it is a database, a container engine, sshd or the like.", default=False),
    Parameter("accept_pending", "flag", "Reload systemd although files of others wait for a reload, too.", default=False),
    Parameter("state", "choice", "absent takes away what this remedy has set: the named limits, or all of them.", default=PRESENT, choices=(PRESENT, ABSENT)),
)


class Wanted(NamedTuple):
    unit: str
    path: str  # of the drop-in
    lines: Tuple[Tuple[str, str], ...]  # all assignments that the drop-in shall hold, key and value
    touched: Tuple[str, ...]  # keys that the caller speaks of


# -- what is wanted ------------------------------------------------------------------------------------------------


def unit_name(text: str) -> str:
    """Errors: Refused for what is no name of a unit that can have limits."""
    clean("unit", text, ("/", "..", "%"))
    kind = unit_files.kind_of(text)
    if kind not in (unit_files.PLAIN, unit_files.INSTANCE):
        raise Refused("%r is no name of a unit; write it with its type, as nginx.service%s" % (
            text, ", and a template with its instance" if kind == unit_files.TEMPLATE else ""))
    if unit_files.type_of(text) not in ("service", "slice"):
        raise Refused("%s: limits of services and slices can be set, not of a %s" % (text, unit_files.type_of(text)))
    return text


def assignments(given: Dict[str, Any]) -> Iterator[Tuple[str, str]]:
    """Keys and values as they stand in a unit file. Errors: Refused, with the item and what is wrong with its value."""
    is_slice = given["unit"].endswith(".slice")
    for item in sorted(given["limits"] or {}, key=str):
        value = clean(str(item), str(given["limits"][item]).strip(), ("\\", "#", ";"))
        try:
            if item == "tasks":
                parse_tasks_max(value)
            elif is_slice:
                raise Refused("%s is a slice: only tasks can be limited there, not %s" % (given["unit"], item))
            elif item not in LIMITS:
                raise Refused("there is no limit %r; known are %s, tasks" % (item, ", ".join(sorted(LIMITS))))
            else:
                parse_limit(item, value)
        except BadValue as error:
            raise Refused("%s=%s %s" % (item, value, error))
        yield "TasksMax" if item == "tasks" else "Limit" + item.upper(), value
    if given["kill_mode"]:
        if is_slice:
            raise Refused("a slice has no kill_mode")
        if given["kill_mode"] == "mixed" and given["unit"].startswith("salt-minion"):
            raise Refused("KillMode=mixed would end the upgrade that a minion starts for itself; leave it as it is")
        yield "KillMode", given["kill_mode"]


def in_file(text: Optional[str]) -> Dict[str, str]:
    """The assignments in our drop-in as it is."""
    found = {}
    for line in (text or "").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";", "[")):
            found[key.strip()] = value.strip()
    return found


def _wanted(given: Dict[str, Any], unit: str, before: Optional[str]) -> Wanted:
    spoken = dict(assignments(given))
    lines = in_file(before)
    if given["state"] == PRESENT:
        lines.update(spoken)
        touched = sorted(spoken)
    else:
        touched = sorted(set(spoken or lines) & set(lines))
        for key in touched:
            del lines[key]
    return Wanted(unit, drop_in_path(unit), tuple(sorted(lines.items())), tuple(touched))


def drop_in_path(unit: str) -> str:
    return "/etc/systemd/system/%s.d/zz-pidhygiene.conf" % unit


def _text(wanted: Wanted) -> Optional[str]:
    if not wanted.lines:
        return None
    section = unit_files.type_of(wanted.unit).capitalize()
    return HEADER + "[%s]\n" % section + "".join("%s=%s\n" % pair for pair in wanted.lines)


# -- what would do harm ----------------------------------------------------------------------------------------------


def _refuse_harm(evidence: Any, given: Dict[str, Any], wanted: Wanted, seen: Dict[str, Any]) -> None:
    group = seen.get("ControlGroup") or ""
    members = [pid for pid, detail in evidence.details.of.items() if group and (detail.unit_group + "/").startswith(group + "/")]
    for key, value in wanted.lines:
        if key not in wanted.touched:
            continue
        if key == "TasksMax":
            _refuse_few_tasks(evidence, group, value, wanted.unit)
        elif key in unit_files.LIMIT_KEYS:
            item = unit_files.LIMIT_KEYS[key]
            limit = parse_limit(item, value)
            _refuse_beyond_kernel(evidence, item, limit)
            _refuse_too_low(evidence, item, limit, members, wanted.unit)
            _refuse_overruled_by_pam(evidence, item, limit, seen, wanted.unit)


def _refuse_few_tasks(evidence: Any, group: str, value: str, unit: str) -> None:
    now = evidence.cgroups.groups.get(group)
    machine = evidence.units.manager.machine_tasks
    tasks = parse_tasks_max(value)
    if now is None or (tasks.tasks is None and machine is None):
        return
    wanted = tasks.resolve(machine or 0)
    used = max(now.current, now.peak or 0)
    if wanted < now.maximum and wanted < 2 * used:
        raise Refused("%s has or had %d tasks: TasksMax=%s is less than twice of that; it would soon be refused a fork" % (unit, used, value))


def _refuse_beyond_kernel(evidence: Any, item: str, limit: Limit) -> None:
    most = sessions.nr_open(evidence)
    if item == "nofile" and limit.hard != UNLIMITED and limit.hard > most:
        raise Refused("nofile %d is above fs.nr_open (%d): the kernel would refuse it, and the unit would not start; raise fs.nr_open first" % (
            limit.hard, most))
    capped = (evidence.details.manager_limits or {}).get(item)
    manager_status = evidence.processes.status.get(1)
    if capped is not None and manager_status is not None and not manager_status.capabilities & headroom.CAP_SYS_RESOURCE and limit.hard > capped[1]:
        raise Refused("systemd itself runs with a hard limit of %s for %s here, and may not raise it (no CAP_SYS_RESOURCE): a container or virtual "
                      "machine set it; raise it there" % (wording.limit(capped[1]), item))


def _refuse_too_low(evidence: Any, item: str, limit: Limit, members: List[int], unit: str) -> None:
    running = [evidence.details.of[pid].limits[item][0] for pid in members if evidence.details.of[pid].limits and item in evidence.details.of[pid].limits]
    if not running or limit.soft >= max(running):
        return
    used = 0
    if item == "nofile":
        used = max(evidence.details.of[pid].open_files or 0 for pid in members)
    elif item == "nproc":
        counts = headroom.user_tasks(evidence)
        used = max(counts[evidence.processes.status[pid].uid].tasks for pid in members if pid in evidence.processes.status)
    if limit.soft < 2 * used:
        raise Refused("%s uses %d of its limit %s now: %d is less than twice of that" % (unit, used, item, limit.soft))


def _refuse_overruled_by_pam(evidence: Any, item: str, limit: Limit, seen: Dict[str, Any], unit: str) -> None:
    """A unit with PAMName= opens a session after systemd has set its limits."""
    stack = evidence.pam_stacks.of(seen["PAMName"]) if seen.get("PAMName") else None
    if stack is None or stack.calls("pam_limits.so") == NEVER or evidence.limits_conf.flavour is None:
        return
    account = sessions.account_of(evidence, seen.get("User") or "root")
    if account is None:
        return
    session = sessions.of_user(evidence, account, (stack.arguments("pam_limits.so") or ((),))[0], {item: (limit.soft, limit.hard)})
    if tuple(session.limits.get(item, limit)) != tuple(limit):
        raise Refused("%s opens a PAM session (%s), and pam_limits sets %s to %s there whatever the unit says: use pam_limits_line for %s" % (
            unit, seen["PAMName"], item, ":".join(wording.limit(each) for each in session.limits[item]), account.name))


def _refuse_pending(evidence: Any, given: Dict[str, Any], wanted: Wanted) -> None:
    waiting = pending.of_others(evidence.units, wanted.path)
    if waiting and not given["accept_pending"]:
        raise Refused("a daemon-reload would also bring what others have changed (%s): look at it, reload systemd yourself, or set accept_pending" % (
            wording.listed(waiting)))


# -- the remedy ------------------------------------------------------------------------------------------------------


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    unit_name(given["unit"])
    tuple(assignments(given))  # mistakes before anything is read
    if given["state"] == PRESENT and not given["limits"] and not given["kill_mode"]:
        raise Refused("neither limits nor kill_mode is given: there is nothing to set")
    evidence = gather(host, SOURCES)
    if not evidence.has("units") or not evidence.units.manager.answers:
        raise Refused("systemd does not answer on this host: nothing can be set that it would take")
    seen = manager.properties(PROPERTIES, given["unit"])
    unit = str(seen.get("Id") or given["unit"])
    file = PutFile(drop_in_path(unit), None)
    wanted = _wanted(given, unit, file.before.text)
    file.text = _text(wanted)
    if given["state"] == PRESENT:
        refuse_unusable(unit, seen)
        _refuse_harm(evidence, given, wanted, seen)
    return _proposal(evidence, given, wanted, seen, file)


def refuse_unusable(unit: str, seen: Dict[str, Any]) -> None:
    """Errors: Refused for what systemd has not, or does not start."""
    state = seen.get("LoadState")
    if state == "not-found":
        raise Refused("there is no unit %s on this host; systemctl list-unit-files shows those that are" % unit)
    if state == "masked":
        raise Refused("%s is masked: systemd does not start it; unmask it first, if it should run" % unit)
    if state != "loaded":
        raise Refused("systemd cannot load %s (%s): systemctl status %s says why" % (unit, state, unit))


def _proposal(evidence: Any, given: Dict[str, Any], wanted: Wanted, seen: Dict[str, Any], file: PutFile) -> Proposal:
    steps: List[Step] = []
    notes: List[str] = []
    if file.needed:
        steps.append(file)
    if file.needed or _not_loaded(seen, wanted, given):
        _refuse_pending(evidence, given, wanted)
        refuse_crowded(evidence)
        steps.append(manager.Reload())
    limits = [key for key in wanted.touched if key in unit_files.LIMIT_KEYS]
    main = seen.get("MainPID") or 0
    stale = main and limits and (file.needed or _not_running(evidence, main, seen, wanted, limits))
    if not stale:
        return Proposal(tuple(steps), tuple(notes))
    if given["apply"] == NEXT_START:
        notes.append("%s keeps its limits until it is started again" % wanted.unit)
    elif given["apply"] == RUNNING:
        steps.extend(_while_running(evidence, wanted, seen))
    else:
        refuse_protected(wanted.unit, given["restart_protected"], "apply: next_start")
        steps.append(manager.Restart(wanted.unit, "limits are set when a process starts"))
    return Proposal(tuple(steps), tuple(notes))


def _meaning(wanted: Wanted) -> Dict[str, Limit]:
    return {unit_files.LIMIT_KEYS[key]: parse_limit(unit_files.LIMIT_KEYS[key], value) for key, value in wanted.lines if key in unit_files.LIMIT_KEYS}


def _not_loaded(seen: Dict[str, Any], wanted: Wanted, given: Dict[str, Any]) -> bool:
    """The file is as it shall be, and the manager has not read it: an earlier run was ended before."""
    there = wanted.path in (seen.get("DropInPaths") or [])
    return bool(seen.get("NeedDaemonReload")) and bool(wanted.touched) or there != bool(wanted.lines) or bool(_differing(seen, wanted))


def _differing(seen: Dict[str, Any], wanted: Wanted) -> List[str]:
    """Keys of ours that the manager has otherwise."""
    lines = dict(wanted.lines)
    found = []
    for key in wanted.touched:
        if key in unit_files.LIMIT_KEYS and key in lines:
            limit = parse_limit(unit_files.LIMIT_KEYS[key], lines[key])
            if not _same(key, limit, Limit(seen.get(key + "Soft", -1), seen.get(key, -1))):
                found.append(key)
        elif key == "KillMode" and key in lines and seen.get(key) != lines[key]:
            found.append(key)
        elif key == "TasksMax" and key in lines:
            tasks = parse_tasks_max(lines[key]).tasks
            if tasks is not None and seen.get(key) != tasks:
                found.append(key)
    return found


def _same(key: str, wanted: Limit, seen: Limit) -> bool:
    """systemd shows infinity of NOFILE as what the kernel allows (rlimit-util.c)."""
    return wanted == seen or (key == "LimitNOFILE" and wanted.hard == UNLIMITED and seen.hard not in (-1, 0))


def _not_running(evidence: Any, main: int, seen: Dict[str, Any], wanted: Wanted, keys: List[str]) -> List[str]:
    """Items that the main process has otherwise than the unit says. A program may raise its soft limit up to the hard one itself."""
    detail = evidence.details.of.get(main)
    if detail is None or not detail.limits:
        return []
    lines = dict(wanted.lines)
    found = []
    for key in keys:
        item = unit_files.LIMIT_KEYS[key]
        limit = parse_limit(item, lines[key]) if key in lines else Limit(seen.get(key + "Soft", -1), seen.get(key, -1))
        running = detail.limits.get(item)
        if running is not None and not (running[1] == limit.hard and limit.soft <= running[0]) and not (limit.hard == UNLIMITED and item == "nofile"):
            found.append(item)
    return found


def _while_running(evidence: Any, wanted: Wanted, seen: Dict[str, Any]) -> Iterator[Step]:
    group = seen.get("ControlGroup") or ""
    for pid, detail in sorted(evidence.details.of.items()):
        if not group or not (detail.unit_group + "/").startswith(group + "/") or not detail.limits:
            continue
        for item, limit in sorted(_meaning(wanted).items()):
            before = detail.limits.get(item)
            if before is not None and tuple(before) != tuple(limit) and "Limit" + item.upper() in wanted.touched:
                yield ProcessLimit(evidence.processes.processes[pid], item, Limit(*before), limit)


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """Read back from the manager, from /proc and from the group, not from the file."""
    seen = manager.properties(PROPERTIES, given["unit"])
    unit = str(seen.get("Id") or given["unit"])
    wanted = _wanted(given, unit, PutFile(drop_in_path(unit), None).before.text)
    problems = ["%s of %s is otherwise in systemd: a drop-in that sorts later wins (%s)" % (key, unit, ", ".join(seen.get("DropInPaths") or []) or "none")
                for key in _differing(seen, wanted)]
    problems.extend(_group_differs(host, seen, wanted))
    main = seen.get("MainPID") or 0
    if main and given["apply"] != NEXT_START:
        evidence = gather(host, ("details", "processes"))
        keys = [key for key in wanted.touched if key in unit_files.LIMIT_KEYS]
        for item in _not_running(evidence, main, seen, wanted, keys):
            now = evidence.details.of[main].limits[item]
            problems.append("the main process %d of %s runs with %s %s" % (main, unit, item, ":".join(wording.limit(each) for each in now)))
    return problems


def _group_differs(host: Host, seen: Dict[str, Any], wanted: Wanted) -> Iterator[str]:
    """TasksMax= as the kernel has it."""
    tasks = dict(wanted.lines).get("TasksMax") if "TasksMax" in wanted.touched else None
    group = seen.get("ControlGroup")
    if tasks is None or not group:
        return
    evidence = gather(host, ("hierarchy",))
    number = parse_tasks_max(tasks).tasks
    mount = evidence.hierarchy.pids_mount if evidence.has("hierarchy") else None
    if number is None or not mount:
        return
    try:
        text = host.read_text("%s%s/pids.max" % (mount, group)).strip()
    except HostError:
        return  # no pids controller for this unit: the manager's own answer has to do
    if text != ("max" if number == UNLIMITED else str(number)):
        yield "%s holds %s" % (mount + group + "/pids.max", text)


REMEDY = Remedy("unit_limits", "Limits, TasksMax= and KillMode= of a unit", PARAMETERS, propose, verify)
