# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-SYS: what systemd was told, what it understood, and what is in force."""

import fnmatch
import re
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

from .. import headroom, marks, of_users, outside, pending, restarts, wording
from ..model import (
    FAIL, HIGH, HIGH_CONFIDENCE, INFO, LOW, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, UNLIMITED, WARN,
    Finding, Gap, NotApplicable, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..readers import cgroups
from ..readers.unit_files import LATER_FILE, LIMIT_KEYS, SHADOWED, Ineffective, Setting, kind_of
from ..of_users import by_vendor
from ..text import masked, shown

NO_SYSTEMD = "systemd does not run here"
NEEDS_MARKS = "needs marks of an earlier audit"
PIDS_MAX_LIMIT = 4194304  # kernel/cgroup/pids.c: from here on a limit is none, and systemd's write of it fails


def _bus_gaps(evidence: Any) -> Tuple[Gap, ...]:
    return tuple(gap for gap in evidence.units.gaps if gap.source == "systemd")


def _names(evidence: Any, ids: Iterable[str], most: int = 5) -> str:
    listed = sorted(wording.unit_name(evidence, each) for each in ids)
    text = ", ".join(shown(each, 80) for each in listed[:most])
    return text + (" and %d more" % (len(listed) - most) if len(listed) > most else "")


# -- PH-SYS-001 --------------------------------------------------------------------------------------------------


@rule(
    "PH-SYS-001", "Ineffective or misused Limit* line", HIGH, "the administrator believes it is set",
    ("units",), ("users", "user_units", "hierarchy"),
)
def ineffective_limit_line(evidence: Any, policy: Any) -> Iterator[Verdict]:
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable(NO_SYSTEMD)
        return
    if units.gaps:
        yield Unknown(units.gaps)
    yield from of_users.unseen(evidence)
    affected: Dict[Ineffective, List[Any]] = {line: [] for line in units.manager.ineffective}
    everyone = of_users.units(evidence)
    for unit in everyone:
        for line in unit.ineffective:
            affected.setdefault(line, []).append(unit)
    for line in sorted(affected):
        if not by_vendor(line.file):
            yield _ineffective(evidence, line, affected[line])
    nproc = list(_misused_nproc(evidence, everyone))
    yield from nproc
    yield Passed(max(0, len(everyone) - len(nproc) - sum(1 for unit in everyone if unit.ineffective)))


def _ineffective(evidence: Any, line: Ineffective, units: List[Any]) -> Finding:
    corrected = bool(units) and all(_set_later(unit.configured.get(line.key), line) for unit in units)
    place = line.file if not line.line else "%s:%d" % (line.file, line.line)
    whom = _names(evidence, [unit.id for unit in units]) if units else "every unit"
    message = "%s has no effect on %s: %s %s; " % (shown(place), whom, shown(_without_secret(line)), shown(line.why))
    better = _correction(line)
    if corrected:
        message += "a later file sets %s, so delete the line." % line.key
    elif better:
        message += "write %s=%s." % (line.key, better)
    else:
        message += "correct it or delete it."
    remedy = None
    if better and units and line.key in LIMIT_KEYS:
        remedy = Remedy("unit_limits", wording.unit_parameters(evidence, units[0].id) + ((LIMIT_KEYS[line.key], better),))
    return Finding(
        INFO if corrected else FAIL, SEVERITY_INFO if corrected else HIGH,
        Subject("file", place, "%s|%s" % (line.file, line.key or line.text)), message,
        evidence=(Seen(place, _without_secret(line)),) + tuple(
            Seen(unit.configured[line.key].file, "%s=%s is in force" % (line.key, unit.configured[line.key].value))
            for unit in units[:1] if line.key in unit.configured and unit.configured[line.key].file),
        remedy=remedy, references=("man:systemd.exec(5)", "man:systemd.unit(5)"),
    )


def _without_secret(line: Ineffective) -> str:
    return masked(line.text)


def _set_later(setting: Optional[Setting], line: Ineffective) -> bool:
    """Somebody noticed: an assignment of an administrator that is read after this line is in force."""
    if setting is None or not setting.file or by_vendor(setting.file):
        return False
    if setting.file == line.file:
        return setting.line > line.line
    return ".d/" in setting.file and setting.file.rsplit("/", 1)[-1] > line.file.rsplit("/", 1)[-1]


def _correction(line: Ineffective) -> str:
    """What was probably meant, as systemd wants it."""
    value = line.text.partition("=")[2].strip()
    if line.key not in LIMIT_KEYS:
        return ""
    if value.lower() in ("unlimited", "-1", "max"):
        return "infinity"
    suffixed = re.match(r"([0-9]+) *([KMGkmg])i?[Bb]?\Z", value)
    if suffixed:
        return "%d" % (int(suffixed.group(1)) * 1024 ** (" kmg".index(suffixed.group(2).lower())))
    reversed_halves = re.match(r"([0-9]+):([0-9]+)\Z", value)
    if reversed_halves and int(reversed_halves.group(1)) > int(reversed_halves.group(2)):
        return "%s:%s" % (reversed_halves.group(2), reversed_halves.group(1))
    return ""


def _misused_nproc(evidence: Any, units: List[Any]) -> Iterator[Finding]:
    """RLIMIT_NPROC counts the user's tasks everywhere, so a unit cannot be limited with it.

    Users' managers are given the pids controller in the unified hierarchy only: elsewhere TasksMax= does nothing in their units.
    """
    tasks_max_works = evidence.has("hierarchy") and evidence.hierarchy.mode == "v2"
    by_user: Dict[str, List[Any]] = {}
    for unit in units:
        if unit.id.endswith(".service") and unit.running:
            by_user.setdefault(unit.user or "root", []).append(unit)
    for unit in units:
        setting = unit.limit_set_in("nproc")
        if setting is None or by_vendor(setting.file) or setting.meaning.soft == UNLIMITED or (
                wording.of_user(evidence, unit.id) and not tasks_max_works):
            continue
        user = unit.user or "root"
        others = [other.id for other in by_user.get(user, ()) if other.id != unit.id]
        if user in ("root", "0"):
            why = "root is exempt from it"
        elif others:
            why = "it counts all tasks of user %s, those of %s too" % (shown(user), _names(evidence, others, 3))
        else:
            continue
        yield Finding(
            WARN, MED, Subject("unit", unit.id, unit.id + "|LimitNPROC"),
            "%s sets LimitNPROC=%s, which does not limit this unit: %s; set TasksMax instead." % (
                wording.unit_name(evidence, unit.id), shown(setting.value), why),
            evidence=(Seen("%s:%d" % (setting.file, setting.line), "LimitNPROC=%s" % setting.value), Seen("User", user)),
            remedy=Remedy("unit_limits", wording.unit_parameters(evidence, unit.id) + (("tasks", setting.meaning.soft),)),
            references=("man:getrlimit(2)",),
        )


# -- PH-SYS-002 --------------------------------------------------------------------------------------------------


@rule("PH-SYS-002", "Drop-in loses by precedence", MED, "a setting is silently without effect", ("units",), ("users", "user_units"))
def drop_in_loses(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Layers (10-, 20-, 30-) are meant: an older file that loses to a newer one of the administrator is silent."""
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable(NO_SYSTEMD)
        return
    if units.gaps:
        yield Unknown(units.gaps)
    yield from of_users.unseen(evidence)
    lost: Dict[Tuple[str, int, str], List[Tuple[Any, Any, Setting]]] = {}
    everyone = of_users.units(evidence)
    for unit in everyone:
        for setting in unit.configured.values():
            for loser in setting.losers:
                if _matters(evidence, unit, loser, setting):
                    lost.setdefault((loser.file, loser.line, setting.key), []).append((unit, loser, setting))
    for place in sorted(lost):
        yield _lost_setting(evidence, lost[place])
    yield Passed(len(everyone))


def _matters(evidence: Any, unit: Any, loser: Any, winner: Setting) -> bool:
    own = loser.file.startswith("/etc/") if wording.of_user(evidence, unit.id) is None else not by_vendor(loser.file)
    if loser.why not in (LATER_FILE, SHADOWED) or not own or loser.value == winner.value:
        return False
    if loser.why == SHADOWED and of_users.file(evidence, unit, loser.by) is None:  # a link to /dev/null: a mask is meant
        return False
    by = winner.file or loser.by
    if by_vendor(by) or "/service.d/" in by:
        return True
    newer = of_users.file(evidence, unit, loser.file), of_users.file(evidence, unit, by)
    return newer[0] is not None and newer[1] is not None and newer[0].mtime > newer[1].mtime


def _lost_setting(evidence: Any, cases: List[Tuple[Any, Any, Setting]]) -> Finding:
    unit, loser, winner = cases[0]
    place = "%s:%d" % (loser.file, loser.line)
    if loser.why == SHADOWED:
        why = "the file is not read, because %s has the same name and comes first" % shown(loser.by)
        advice = "rename it to zz-%s in the exact-name directory" % shown(loser.file.rsplit("/", 1)[-1])
    else:
        why = "%s is read later" % shown(winner.file)
        advice = "rename it so that it sorts last (zz-)"
    now = "%s=%s is in force" % (winner.key, winner.value) if winner.file else "nothing else sets it"
    return Finding(
        WARN, MED, Subject("file", place, "%s|%s" % (loser.file, winner.key)),
        "%s=%s in %s has no effect on %s: %s and %s; %s." % (
            winner.key, shown(loser.value), shown(place), _names(evidence, [case[0].id for case in cases]), why, shown(now), advice),
        evidence=(Seen(place, "%s=%s" % (winner.key, loser.value)),) + (
            (Seen("%s:%d" % (winner.file, winner.line), "%s=%s" % (winner.key, winner.value)),) if winner.file else ()),
        remedy=_limit_remedy(evidence, unit, winner.key, loser.value), references=("man:systemd.unit(5)",),
    )


def _limit_remedy(evidence: Any, unit: Any, key: str, value: str) -> Optional[Remedy]:
    item = "tasks" if key == "TasksMax" else LIMIT_KEYS.get(key)
    return Remedy("unit_limits", wording.unit_parameters(evidence, unit.id) + ((item, value),)) if item and value else None


# -- PH-SYS-003 --------------------------------------------------------------------------------------------------


@rule("PH-SYS-003", "Pending daemon-reload", MED, "the next restart changes behaviour unexpectedly", ("units",), ("boot_id", "users", "user_units"))
def pending_reload(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """systemd's own answer misses system.conf and files with an old time stamp: there, what the files say is compared with what it has."""
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable(NO_SYSTEMD)
        return
    if units.gaps:
        yield Unknown(units.gaps)
    yield from _unread_of_users(evidence)
    if not units.manager.answers:
        return
    told = [unit for unit in units.units.values() if unit.need_daemon_reload]
    if told:
        yield _reload_finding(
            evidence, "needed", ["%s: NeedDaemonReload" % unit.id for unit in told], [unit.id for unit in told], WARN, HIGH_CONFIDENCE,
            "systemd itself says so", _live_changes(units, told))
    unseen = [unit for unit in units.units.values() if not unit.need_daemon_reload and pending.files_differ(units, unit)]
    defaults = pending.changed_defaults(units)
    if unseen or defaults:
        yield _reload_finding(
            evidence, "unseen", ["%s: %s" % (unit.id, text) for unit in unseen for text in pending.files_differ(units, unit)] + defaults,
            [unit.id for unit in unseen] or ["every unit that starts"], WARN, MEDIUM_CONFIDENCE,
            "the files say other values than the manager has, and systemd does not notice", _live_changes(units, unseen))
    yield from _changed_since_marks(evidence, {unit.id for unit in told + unseen})
    yield Passed(len(units.units) - len(told) - len(unseen))


def _unread_of_users(evidence: Any) -> Iterator[Verdict]:
    """What their managers have is not asked: files that are newer than all that can have made them read those again."""
    yield from of_users.unseen(evidence)
    waiting: Dict[str, List[Tuple[Any, Tuple[str, ...]]]] = {}
    for unit in sorted(evidence.user_units.units.values()) if evidence.has("user_units") else ():
        paths = of_users.unread(evidence, unit)
        if paths:
            waiting.setdefault(unit.user, []).append((unit, paths))
        else:
            yield Passed()
    for user in sorted(waiting):
        yield Finding(
            WARN, MED, Subject("user", user, "daemon-reload|" + user),
            "Files of %s changed after the last start and the last reload; look at the changes, then run systemctl --user daemon-reload as user %s." % (
                _names(evidence, [unit.id for unit, _paths in waiting[user]]), shown(user)),
            evidence=tuple(Seen(path, "written after %s was started, and after any reload" % wording.unit_name(evidence, unit.id))
                           for unit, paths in waiting[user] for path in paths)[:10],
            confidence=MEDIUM_CONFIDENCE, references=("man:systemctl(1)",),
        )


def _reload_finding(
    evidence: Any, key: str, seen: List[str], ids: List[str], status: str, confidence: str, why: str, live: List[str]
) -> Finding:
    more = "; the reload changes at once: %s" % ", ".join(live[:3]) if live else ""
    return Finding(
        status, MED, Subject("host", "daemon-reload", "daemon-reload|" + key),
        "Files of %s changed since systemd read them (%s)%s; look at the changes, then run systemctl daemon-reload." % (
            _names(evidence, ids), why, shown(more)),
        evidence=tuple(Seen("systemd", each) for each in sorted(seen)[:10]), confidence=confidence,
        remedy=Remedy("restart", (("unit", "systemd"), ("how", "daemon-reload"))), references=("man:systemctl(1)",),
    )


def _live_changes(units: Any, changed: List[Any]) -> List[str]:
    """TasksMax= takes effect with the reload, without any restart."""
    found = []
    for unit in changed:
        if unit.tasks_max is None or units.manager.machine_tasks is None:
            continue
        wanted = units.configured_tasks_max(unit)[0].resolve(units.manager.machine_tasks)
        if wanted != unit.tasks_max:
            found.append("TasksMax of %s from %s to %s" % (unit.id, _tasks(unit.tasks_max), _tasks(wanted)))
    return found


def _tasks(value: int) -> str:
    return "infinity" if value == UNLIMITED else "%d" % value


def _changed_since_marks(evidence: Any, known: Set[str]) -> Iterator[Verdict]:
    units = evidence.units
    before = evidence.previous.get("unit_files") if evidence.previous else None
    if not isinstance(before, dict):
        yield NotApplicable("changes of content under an old time stamp: " + NEEDS_MARKS)
        return
    changed = sorted(
        path for path, file in units.files.items()
        if path in before and before[path] != file.digest and units.manager.last_load is not None
        and file.ctime > units.manager.last_load >= file.mtime)
    for path in changed:
        owners = [unit.id for unit in units.units.values() if path in unit.files and unit.id not in known]
        if owners:
            yield _reload_finding(
                evidence, "content|" + path, [path], owners, WARN, MEDIUM_CONFIDENCE,
                "%s has other content than at the last audit and an old time stamp" % path, [])


# -- PH-SYS-004 --------------------------------------------------------------------------------------------------


@rule(
    "PH-SYS-004", "TasksMax pressure", HIGH, "the unit cannot fork",
    ("cgroups", "details", "processes"), ("units", "users", "user_units", "zombies", "visibility"),
)
def tasks_max_pressure(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Judged at the group that has the limit: one full slice is one finding, however many units are in it."""
    gaps = headroom.group_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    yield from outside.groups(evidence, policy)
    for path in sorted(evidence.cgroups.groups):
        group = evidence.cgroups.groups[path]
        if group.maximum == UNLIMITED or group.maximum < policy["tasks.ignore_below"]:
            yield Passed()
        elif group.current < policy["headroom.warn"] * group.maximum:
            yield Passed()
        else:
            yield _pressure(evidence, policy, group)


def _pressure(evidence: Any, policy: Any, group: Any) -> Finding:
    share = group.current / float(group.maximum)
    of_user = cgroups.user_unit_of(group.path)
    name = of_user or group.path.rsplit("/", 1)[-1] or "this container"
    pod = _is_pod(group.path)
    failing = share >= policy["headroom.fail"] and not pod
    below = group.path.rstrip("/") + "/"
    members = [pid for pid, detail in evidence.details.of.items() if detail.pids_group == group.path or detail.pids_group.startswith(below)]
    live = sum(max(1, evidence.processes.processes[pid].threads) for pid in members if pid in evidence.processes.processes)
    zombies = max(0, group.current - live)
    reap = zombies * 2 > group.current
    source, tasks_max = _origin(evidence, name)
    cure = "restart what does not reap them" if reap else "end what piles up, or raise TasksMax"
    mount = evidence.cgroups.hierarchy.pids_mount or ""
    return Finding(
        FAIL if failing else WARN, HIGH if failing else MED,
        Subject("unit", name, _stable(name)) if "." in name else Subject("cgroup", group.path),
        "%s has %d tasks of %d allowed (%s)%s: %s%s; %s." % (
            shown(wording.unit_name(evidence, name)), group.current, group.maximum, wording.percent(share), _set_by(source, tasks_max),
            "%d of them are zombies not yet reaped, " % zombies if zombies else "", _fillers(evidence, members), cure),
        evidence=(
            Seen(mount + group.path.rstrip("/") + "/pids.current", "%d" % group.current),
            Seen(mount + group.path.rstrip("/") + "/pids.max", "%d" % group.maximum),
            Seen("/proc/*/cgroup", "%s in live processes" % wording.noun(live, "task")),
        ) + ((Seen(source, tasks_max),) if source else ()),
        binding="pids.max of %s: %d of %d" % (group.path, group.current, group.maximum),
        remedy=_reaped(evidence, members) if reap else wording.more_tasks(evidence, group.path, 2 * group.maximum),
        references=("man:systemd.resource-control(5)",),
    )


def _reaped(evidence: Any, members: List[int]) -> Optional[Remedy]:
    """The service of the one restarted that has the most zombies."""
    parents = [(brood.zombies, brood.parent.pid) for brood in evidence.zombies.broods if brood.parent.pid in members] if evidence.has("zombies") else []
    return wording.parent_restarted(evidence, max(parents)[1]) if parents else None


def _is_pod(path: str) -> bool:
    """A container at its own cap is the limit doing its work."""
    return any(word in path for word in ("kubepods", "/docker-", "/docker/", "libpod", "crio-", "/machine.slice/"))


def _stable(name: str) -> str:
    """session-12.scope is another one tomorrow."""
    return re.sub(r"\Asession-c?[0-9]+\.scope\Z", "session.scope", name)


def _origin(evidence: Any, name: str) -> Tuple[str, str]:
    """Where the unit's TasksMax comes from: file and line, and the text."""
    setting = of_users.tasks_max(evidence, name)
    if setting is not None:
        return "%s:%d" % (setting.file, setting.line), "%s=%s" % (setting.key, setting.value)
    if not evidence.has("units"):
        return "", ""
    unit = evidence.units.units.get(name)
    if unit is None:
        return "", ""
    tasks_max, setting = evidence.units.configured_tasks_max(unit)
    if setting is not None:
        return "%s:%d" % (setting.file, setting.line), "%s=%s" % (setting.key, setting.value)
    return "", "" if tasks_max.tasks == UNLIMITED else "systemd's default of %s" % tasks_max.text()


def _set_by(source: str, text: str) -> str:
    if source:
        return ", %s in %s" % (shown(text), shown(source))
    return ", %s" % text if text else ""


def _fillers(evidence: Any, members: List[int]) -> str:
    """The programs with most tasks."""
    tasks: Dict[str, int] = {}
    for pid in members:
        process = evidence.processes.processes.get(pid)
        if process is not None:
            tasks[process.comm] = tasks.get(process.comm, 0) + max(1, process.threads)
    ranked = sorted(tasks.items(), key=lambda each: (-each[1], each[0]))
    return "most live tasks are " + wording.counted(ranked) if ranked else "no live process is in it"


# -- PH-SYS-005 --------------------------------------------------------------------------------------------------


@rule(
    "PH-SYS-005", "Kernel pids.max differs from configuration", MED, "the limit in force is not the one that is shown",
    ("units", "cgroups", "processes", "details"), ("users", "user_units"),
)
def pids_max_differs(evidence: Any, policy: Any) -> Iterator[Verdict]:
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable(NO_SYSTEMD)
        return
    gaps = _bus_gaps(evidence) + evidence.details.gaps_of("cgroup")
    if gaps:
        yield Unknown(gaps)
    mount = evidence.cgroups.hierarchy.pids_mount
    if mount is None:
        yield NotApplicable("no pids controller is mounted: TasksMax= has no effect")
        return
    judged = 0
    for unit in sorted(units.units.values()):
        if not unit.control_group or unit.control_group == "/" or unit.delegate or unit.tasks_max is None or unit.load_state != "loaded":
            continue  # the group that a container sees as its root is the business of what made the container
        group = evidence.cgroups.groups.get(unit.control_group)
        unread = tuple(gap for gap in evidence.cgroups.gaps if (gap.source + "/").startswith(mount + unit.control_group + "/"))
        judged += 1 if group is not None or unread else 0
        if unread:
            yield Unknown(unread)
        elif group is not None:
            yield Passed() if _same_tasks(group.maximum, unit.tasks_max) else _differing(evidence, unit, group)
    yield from _pids_max_of_users(evidence)
    if units.manager.answers and not judged:
        yield NotApplicable("the pids controller is not in use for units here: TasksMax= has no effect")


def _pids_max_of_users(evidence: Any) -> Iterator[Verdict]:
    """Only what their files set: the default of a user's manager may be another one."""
    yield from of_users.unseen(evidence)
    machine = evidence.units.manager.machine_tasks
    found = sorted(evidence.user_units.units.values()) if evidence.has("user_units") else []
    if found and machine is None:
        yield Unknown((Gap("/proc/sys/kernel/pid_max", "what a share of all tasks is cannot be told"),))
        return
    unread = tuple(gap for gap in evidence.cgroups.gaps if "/user@" in gap.source)
    if found and unread:
        yield Unknown(unread)
    for unit in found:
        setting = of_users.tasks_max(evidence, unit.id)
        group = evidence.cgroups.groups.get(unit.control_group)
        if setting is None or group is None or unit.delegate or of_users.unread(evidence, unit):
            continue  # files that wait for a reload: PH-SYS-003
        wanted, mount = setting.meaning.resolve(machine), evidence.cgroups.hierarchy.pids_mount or ""
        if _same_tasks(group.maximum, wanted):
            yield Passed()
            continue
        place, user = "%s:%d" % (setting.file, setting.line), shown(unit.user)
        yield Finding(
            WARN, MED, Subject("unit", unit.id, unit.id + "|pids.max"),
            "%s may have %s tasks in the kernel, but TasksMax=%s in %s means %s: the file is newer, or the kernel's value was written by hand; "
            "run systemctl --user daemon-reload as user %s, which writes the configured value." % (
                wording.unit_name(evidence, unit.id), _tasks(group.maximum), shown(setting.value), shown(place), _tasks(wanted), user),
            evidence=(Seen(mount + group.path + "/pids.max", _tasks(group.maximum)), Seen(place, "TasksMax=%s" % setting.value)),
            confidence=MEDIUM_CONFIDENCE, references=("man:systemd.resource-control(5)",),
        )


def _same_tasks(one: int, other: int) -> bool:
    return one == other or (one >= PIDS_MAX_LIMIT and other >= PIDS_MAX_LIMIT)


def _differing(evidence: Any, unit: Any, group: Any) -> Finding:
    configured, setting = evidence.units.configured_tasks_max(unit)
    source = "%s:%d" % (setting.file, setting.line) if setting is not None else "systemd's default"
    why = "a share of what the machine allowed at the last reload" if configured.tasks is None else "written by hand, or by another manager"
    mount = evidence.cgroups.hierarchy.pids_mount or ""
    return Finding(
        WARN, MED, Subject("unit", unit.id, unit.id + "|pids.max"),
        "%s may have %s tasks in the kernel, but TasksMax is shown as %s (%s, %s): the kernel's value looks like %s; "
        "run systemctl daemon-reload, which writes the configured value." % (
            unit.id, _tasks(group.maximum), _tasks(unit.tasks_max), configured.text(), shown(source), why),
        evidence=(Seen(mount + group.path + "/pids.max", _tasks(group.maximum)), Seen("systemd TasksMax", _tasks(unit.tasks_max)),
                  Seen(source, "TasksMax=%s" % configured.text())),
        remedy=Remedy("restart", (("unit", "systemd"), ("how", "daemon-reload"))), references=("man:systemd.resource-control(5)",),
    )


# -- PH-SYS-006 --------------------------------------------------------------------------------------------------


@rule(
    "PH-SYS-006", "KillMode leaves processes behind", HIGH, "duplicates after a crash or restart",
    ("units", "leftovers", "processes", "details"), ("users", "user_units"),
)
def kill_mode_leaves_processes(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Many vendors ship KillMode=process: that alone is information, real leftovers warn, leftovers that run twice fail.

    In units of users' managers a vendor's KillMode= spares what people started from their desktop: there, only what runs twice counts.
    """
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable(NO_SYSTEMD)
        return
    gaps = _bus_gaps(evidence) + evidence.details.gaps_of("cgroup")
    if gaps:
        yield Unknown(gaps)
    yield from of_users.unseen(evidence)
    quiet = []
    for leaving in evidence.leftovers.units:
        twice = _running_twice(leaving)
        meant = not twice and wording.of_user(evidence, leaving.unit.id) and by_vendor(_kill_mode_source(leaving.unit))
        if leaving.left and not meant and not _allowed(leaving.unit.id, policy["units.leftovers_allowed"]):
            yield _left_behind(evidence, leaving, twice)
        else:
            quiet.append(leaving.unit)
    if quiet:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "KillMode"),
            "%s stop without their children (KillMode=%s): what these started survives a restart; nothing unwanted is left over now." % (
                _names(evidence, [unit.id for unit in quiet]), " or ".join(sorted({unit.kill_mode for unit in quiet}))),
            evidence=tuple(Seen(_kill_mode_source(unit), "%s: KillMode=%s" % (unit.id, unit.kill_mode)) for unit in quiet[:10]),
            references=("man:systemd.kill(5)",),
        )
    yield Passed(len(of_users.units(evidence)) - len(evidence.leftovers.units))


def _allowed(unit: str, patterns: Iterable[str]) -> bool:
    """Units of users by their own name, or with the way to them."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in (unit, unit.rpartition("/")[2]))


def _kill_mode_source(unit: Any) -> str:
    setting = unit.configured.get("KillMode")
    return "%s:%d" % (setting.file, setting.line) if setting is not None and setting.file else "systemd"


def _running_twice(leaving: Any) -> List[int]:
    """Those left over whose program a present member runs with the same arguments."""
    current = {leaving.commands[pid] for pid in leaving.members if pid in leaving.commands}
    return [pid for pid in leaving.left if pid in leaving.commands and leaving.commands[pid].arguments and leaving.commands[pid] in current]


def _left_behind(evidence: Any, leaving: Any, twice: List[int]) -> Finding:
    unit, table = leaving.unit, evidence.processes
    programs: Dict[str, int] = {}
    for pid in leaving.left:
        programs[table.processes[pid].comm] = programs.get(table.processes[pid].comm, 0) + 1
    ranked = sorted(programs.items(), key=lambda each: (-each[1], each[0]))
    started = table.processes[unit.main_pid].start
    return Finding(
        FAIL if twice else WARN, HIGH if twice else MED, Subject("unit", unit.id, unit.id + "|leftovers"),
        "%s has %s from before its last start (%s, up to %s old), because KillMode=%s leaves children behind%s; "
        "end the old ones, and set KillMode=mixed where the unit's jobs need not survive a restart." % (
            wording.unit_name(evidence, unit.id), wording.noun(len(leaving.left), "process", "processes"), wording.counted(ranked),
            wording.duration(table.age(table.processes[leaving.left[0]])), unit.kill_mode,
            ": %s now runs twice" % shown(", ".join(sorted({wording.base_name(leaving.commands[pid].program) for pid in twice}))) if twice else ""),
        evidence=tuple(Seen("/proc/%d/stat" % pid, "%s, started %s before the main process %d" % (
            _command(leaving, pid, table), wording.duration((started - table.processes[pid].start) / float(table.machine.ticks_per_second)),
            unit.main_pid)) for pid in leaving.left[:5]) + (Seen(_kill_mode_source(unit), "KillMode=%s" % unit.kill_mode),),
        confidence=MEDIUM_CONFIDENCE,
        remedy=Remedy("dedupe", (("keep", unit.main_pid), ("end", ",".join(map(str, twice)))), disruptive=True) if twice else None,
        references=("man:systemd.kill(5)",),
    )


def _command(leaving: Any, pid: int, table: Any) -> str:
    command = leaving.commands.get(pid)
    return wording.command_line(command.program, command.arguments) if command else str(table.processes[pid].comm)


# -- PH-SYS-007 --------------------------------------------------------------------------------------------------


@rule(
    "PH-SYS-007", "Restarts nobody chose", MED, "a crash loop or a forgotten timer looks like a healthy service",
    ("units",), ("boot_id", "cron", "users", "user_units"),
)
def restarts_nobody_chose(evidence: Any, policy: Any) -> Iterator[Verdict]:
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable(NO_SYSTEMD)
        yield from _scheduled(evidence, policy)
        return
    if units.gaps:
        yield Unknown(units.gaps)
    yield from of_users.unseen(evidence)
    if evidence.has("user_units") and evidence.user_units.units:
        yield NotApplicable("restart counts of users' units: only their managers know them, who are not asked")
    before = evidence.previous.get("restarts") if marks.same_boot(evidence) else None
    if not isinstance(before, dict):
        yield NotApplicable("growth of restart counts " + NEEDS_MARKS)
        before = None
    for unit in sorted(units.units.values()):
        if not unit.n_restarts or _owned(unit.id, policy) or "getty" in unit.id.split("@")[0]:
            yield Passed()  # a getty ends with every logout
        else:
            yield _restarted(unit, before, policy)
    yield from _scheduled(evidence, policy)


def _scheduled(evidence: Any, policy: Any) -> Iterator[Verdict]:
    for restart in restarts.scheduled(evidence):
        if not restart.owner and not _owned(restart.service, policy):
            yield _inventory(evidence, restart)


def _restarted(unit: Any, before: Optional[Dict[str, int]], policy: Any) -> Verdict:
    since = unit.n_restarts - before.get(unit.id, 0) if before is not None else 0
    rising = since >= policy["restarts.warn"]
    if not rising and unit.n_restarts < policy["restarts.warn"]:
        return Passed()
    when = "%d times" % unit.n_restarts
    if rising:
        when = "%d times since the last audit (%d in all)" % (since, unit.n_restarts)
    return Finding(
        WARN if rising else INFO, MED if rising else SEVERITY_INFO, Subject("unit", unit.id, unit.id + "|NRestarts"),
        "%s was restarted by systemd %s (Restart=%s): it ends by itself; read journalctl -u %s, or name it in restarts.owned." % (
            unit.id, when, shown(unit.restart), unit.id),
        evidence=(Seen("systemd NRestarts", "%d" % unit.n_restarts),),
        references=("man:systemd.service(5)",),
    )


def _owned(service: str, policy: Any) -> bool:
    unit = service if kind_of(service) else service + ".service"
    return _allowed(service, policy["restarts.owned"]) or _allowed(unit, policy["restarts.owned"])


def _inventory(evidence: Any, restart: Any) -> Finding:
    return Finding(
        INFO, LOW, Subject("job", "%s: %s" % (restart.job, restart.unit)),
        "%s restarts %s on schedule, and no owner is named in restarts.owned; name one, or find out what the restart hides." % (
            shown(restart.how), shown(wording.unit_name(evidence, restart.unit))),
        evidence=(Seen(restart.source, masked(restart.line)),), confidence=MEDIUM_CONFIDENCE,
    )
