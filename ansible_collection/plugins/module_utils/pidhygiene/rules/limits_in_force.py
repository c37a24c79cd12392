# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-LIM, part one: limits in force, and what has come near them."""

from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from .. import headroom, marks, of_users, outside, sessions, wording
from ..model import (
    CRIT, FAIL, HIGH, HIGH_CONFIDENCE, INFO, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, UNLIMITED, WARN,
    Finding, Gap, NotApplicable, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..readers.kernel_budgets import kernel_before
from ..readers.unit_files import LIMIT_KEYS
from ..readers.user_namespaces import OWN
from ..readers.user_units import uid_of
from ..text import shown


def _limit_gaps(evidence: Any) -> List[Verdict]:
    gaps = evidence.details.gaps_of("limits")
    return [Unknown(gaps)] if gaps else []


@rule(
    "PH-LIM-001", "User close to RLIMIT_NPROC", CRIT, "su, ssh and exec fail with EAGAIN",
    ("processes", "details", "user_namespaces"), ("users", "zombies", "limits_conf", "budgets", "visibility"),
)
def user_close_to_nproc(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Count and limit are judged apart: the count is the user's, the limit that of each forking process. Above 100 % is legal."""
    yield from _limit_gaps(evidence)
    yield from _session_gaps(evidence)
    if any(gap.source == OWN for gap in evidence.user_namespaces.gaps):
        yield Unknown(evidence.user_namespaces.gaps)
    counts = headroom.user_tasks(evidence)
    in_force = headroom.soft_nproc(evidence)
    any_limit = False
    for uid in sorted(counts):
        shared = in_force.get(uid, {})
        limits = {soft: _shared_limit(soft, pids) for soft, pids in shared.items()}
        session = _next_session(evidence, uid)
        if session is not None:
            limits.setdefault(session[0], session[1])
        any_limit = any_limit or bool(limits)
        if limits and counts[uid].uncertain:
            yield Unknown(evidence.user_namespaces.gaps)
        for soft, source in sorted(limits.items()):
            if counts[uid].tasks < policy["headroom.warn"] * soft:
                yield Passed()
            else:
                yield _nproc_finding(evidence, policy, uid, counts[uid], soft, source, shared.get(soft, []))
    yield from outside.users(evidence, policy, any_limit)


def _shared_limit(soft: int, pids: List[int]) -> Seen:
    return Seen("/proc/%d/limits" % min(pids), "Max processes %d (soft), shared by %s" % (soft, wording.noun(len(pids), "process", "processes")))


def _session_gaps(evidence: Any) -> List[Verdict]:
    """What the next session of a user would get cannot be told without these."""
    gaps = evidence.gaps_of_unseen("limits_conf", "users")
    gaps += sessions.config_gaps(evidence) if evidence.has("limits_conf") else ()
    gaps += evidence.users.gaps if evidence.has("users") else ()
    return [Unknown(gaps)] if gaps else []


def _next_session(evidence: Any, uid: int) -> Optional[Tuple[int, Seen]]:
    """Soft NPROC that limits.conf gives the user's next session, and the line. A line for everybody counts only where the user can log in."""
    if uid == 0 or not evidence.has("limits_conf") or not evidence.has("users") or evidence.limits_conf.flavour is None:
        return None
    user = evidence.users.by_uid.get(uid)
    account = evidence.users.account(user.name) if user is not None else None
    if account is None:
        return None
    session = sessions.of_user(evidence, account)
    line = session.winners.get(("nproc", "soft"))
    soft = session.limits["nproc"][0]
    if not session.opened or line is None or not headroom.FORKS_NEVER < soft < UNLIMITED:
        return None
    if line.domain == "*" and user not in sessions.logins(evidence):
        return None
    return soft, sessions.seen(line)


def _nproc_finding(evidence: Any, policy: Any, uid: int, counted: headroom.UserTasks, soft: int, source: Seen, pids: List[int]) -> Finding:
    share = counted.tasks / float(soft)
    failing = share >= policy["headroom.fail"]
    name = wording.user_name(evidence, uid)
    why = "%d are zombies%s" % (counted.zombies, _of_parent(evidence, uid)) if counted.zombies * 2 > counted.tasks else ""
    if counted.hidden:
        why = (why + "; " if why else "") + "%d run in user namespaces that this user created" % counted.hidden
    cure = "restart what leaks them" if counted.zombies * 2 > counted.tasks else "end what piles up, or raise the limit"
    return Finding(
        FAIL if failing else WARN, CRIT if failing else HIGH, Subject("user", name, "%s|%d" % (name, soft)),
        "User %s has %d tasks of %d allowed (%s)%s; %s." % (
            name, counted.tasks, soft, wording.percent(share), ": " + why if why else "", cure),
        evidence=(
            Seen("/proc/*/status", "%d tasks with real uid %d, threads and zombies included" % (counted.tasks, uid)),
            source,
        ),
        binding="RLIMIT_NPROC of %s: %d of %d" % (name, counted.tasks, soft),
        remedy=_more_processes(evidence, uid, 2 * max(soft, counted.tasks), pids) if counted.zombies * 2 <= counted.tasks else None,
        references=("man:getrlimit(2)", "kernel/fork.c copy_process"),
    )


def _more_processes(evidence: Any, uid: int, enough: int, pids: List[int]) -> Optional[Remedy]:
    """Where the limit comes from: the one service whose processes have it, or the user's logins."""
    units = {wording.unit_of(evidence, pid) or "" for pid in pids}
    services = sorted(unit for unit in units if unit.endswith(".service") and not unit.startswith("user@"))
    if len(units) == 1 and services:
        return Remedy("unit_limits", (("unit", services[0]), ("nproc", enough)), disruptive=True)
    user = evidence.users.by_uid.get(uid) if evidence.has("users") else None
    if services or uid == 0 or user is None or not evidence.has("limits_conf") or evidence.limits_conf.flavour is None:
        return None
    hard = sessions.of_user(evidence, evidence.users.account(user.name)).limits["nproc"][1]
    return Remedy("pam_limits_line", (("domain", user.name), ("type", "soft" if hard >= enough else "-"), ("item", "nproc"), ("value", "%d" % enough)))


def _of_parent(evidence: Any, uid: int) -> str:
    if evidence.has("zombies"):
        for brood in evidence.zombies.broods:
            if brood.users and brood.users[0][0] == uid:
                return " of %s (%d)" % (shown(wording.base_name(brood.parent_command.program)), brood.parent.pid)
    return ""


@rule(
    "PH-LIM-002", "Tasks charged to a user but invisible as his", MED, "sums over /proc count too few",
    ("processes", "details", "user_namespaces", "budgets"), ("users", "limits_conf"),
)
def invisible_tasks(evidence: Any, policy: Any) -> Iterator[Verdict]:
    if kernel_before(evidence.budgets.release, (5, 14)):
        yield NotApplicable("kernels before 5.14 charge tasks to their own user only")
        return
    if evidence.user_namespaces.gaps:
        yield Unknown(evidence.user_namespaces.gaps)
    yield from _limit_gaps(evidence)
    for uid, counted in sorted(headroom.user_tasks(evidence).items()):
        if not counted.hidden:
            continue
        share = counted.hidden / float(counted.tasks)
        initial = headroom.in_initial_user_namespace(evidence, None)
        if (uid == 0 and initial) or share <= policy["headroom.hidden_share"] or counted.hidden < 5:
            yield Passed()
            continue
        lowest = min(_limits_of_creator(evidence, uid), default=None)
        pressed = lowest is not None and counted.tasks >= policy["headroom.warn"] * lowest
        name = wording.user_name(evidence, uid)
        yield Finding(
            WARN if pressed else INFO, MED if pressed else SEVERITY_INFO, Subject("user", name, "hidden|" + name),
            "User %s is charged %d tasks that carry other uids, because this user created their user namespaces (%s of %d%s): "
            "count them before setting a limit, or give the containers an account of their own." % (
                name, counted.hidden, wording.percent(share), counted.tasks, ", and %d are allowed" % lowest if pressed and lowest is not None else ""),
            evidence=tuple(
                Seen("/proc/%d/ns/user" % namespace.members[0], "%s, owner uid %s, %d tasks" % (
                    namespace.link, namespace.owner, sum(namespace.tasks.values())))
                for namespace in evidence.user_namespaces.others if namespace.owner == uid)[:5],
            references=("kernel/ucount.c inc_rlimit_ucounts",),
        )


def _limits_of_creator(evidence: Any, uid: int) -> Set[int]:
    """Soft limits that the sum is held against: of his own processes, of his next session, and of the tasks in his namespaces.

    The kernel keeps the creator's limit with the namespace (create_user_ns, set_userns_rlimit_max); its tasks have inherited the same value.
    """
    found = set(headroom.soft_nproc(evidence).get(uid, {}))
    session = _next_session(evidence, uid)
    if session is not None:
        found.add(session[0])
    for namespace in evidence.user_namespaces.others:
        if namespace.owner == uid:
            found.update(soft for soft in (_soft(evidence, pid) for pid in namespace.members) if soft is not None)
    return {soft for soft in found if headroom.FORKS_NEVER < soft < UNLIMITED}


@rule(
    "PH-LIM-005", "Unit limit set but not in force", HIGH, "a change is pending that nobody sees, and the next restart makes it",
    ("units", "processes", "details"), ("budgets", "users", "user_namespaces", "user_units"),
)
def unit_limit_not_in_force(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Only limits that the unit sets itself, and only where its file is newer than the process: what a program sets for itself is its right."""
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable("systemd does not run this machine")
        return
    if units.gaps or not units.manager.answers:
        yield Unknown(units.gaps or (Gap("systemd", "the manager does not answer"),))
    yield from _limit_gaps(evidence)
    capped: List[str] = []
    for unit in sorted(units.units.values()):
        detail = evidence.details.of.get(unit.main_pid)
        if detail is None or not detail.limits or unit.pam_name:
            continue  # with PAMName= the session's limits come last: PH-LIM-010
        for item in sorted(detail.limits):
            setting = unit.limit_set_in(item)
            if setting is None or _as_configured(evidence, item, setting.meaning, detail.limits[item]):
                yield Passed()
            elif _capped(evidence, item, setting.meaning, detail.limits[item]):
                capped.append("%s %s" % (unit.id, setting.key))
            elif _newer_than_process(evidence, unit, setting):
                yield _not_in_force(evidence, policy, unit, item, setting, detail)
            else:
                yield Passed()
    if capped:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "capped by the manager", "manager cap"),
            "PID 1 itself has a lower cap than %s for (%s): units run with what PID 1 has." % (
                wording.noun(len(capped), "unit limit asks", "unit limits ask"), ", ".join(capped[:3]) + (" …" if len(capped) > 3 else "")),
            evidence=(Seen("/proc/1/limits", ", ".join(
                "%s %s" % (item, wording.limit(evidence.details.manager_limits[item][1])) for item in ("nofile", "nproc", "memlock")
                if item in evidence.details.manager_limits)),),
        )
    yield from _of_users(evidence)


def _of_users(evidence: Any) -> Iterator[Verdict]:
    """A user's manager cannot raise a limit above its own, and says nothing (src/basic/rlimit-util.c setrlimit_closest)."""
    if not evidence.has("user_units"):
        return
    yield from of_users.unseen(evidence)
    for label in sorted(evidence.user_units.units):
        unit = evidence.user_units.units[label]
        running, above = (_limits_of(evidence, pid) for pid in (unit.main_pid, evidence.user_units.managers.get(uid_of(label))))
        for key, item in LIMIT_KEYS.items():
            setting = unit.configured.get(key)
            if setting is None or setting.meaning is None or item not in running:
                continue
            file, started = evidence.user_units.files.get(setting.file), evidence.processes.started_at(evidence.processes.processes[unit.main_pid])
            capped = item in above and setting.meaning.hard > above[item][1] and running[item][1] == above[item][1]
            if _as_configured(evidence, item, setting.meaning, running[item]) or not (capped or (file is not None and file.ctime > started + 2)):
                yield Passed()
                continue
            why = "which its manager cannot go above (it has %s itself)" % wording.limit(above[item][1]) if capped else "which was written after it started"
            yield Finding(
                INFO if capped else WARN, SEVERITY_INFO if capped else MED, Subject("unit", label, "%s|%s" % (label, key)),
                "%s runs with %s %s:%s, but its file says %s=%s, %s; %s." % (
                    wording.unit_name(evidence, label), item, wording.limit(running[item][0]), wording.limit(running[item][1]), key, shown(setting.value), why,
                    "raise %s of user@.service first" % key if capped else wording.restart_of(evidence, label)),
                evidence=(
                    Seen("/proc/%d/limits" % unit.main_pid, "%s %s:%s" % (item, wording.limit(running[item][0]), wording.limit(running[item][1]))),
                    Seen("%s:%d" % (shown(setting.file), setting.line), "%s=%s" % (key, shown(setting.value))),
                ),
                remedy=None if capped else Remedy("restart", wording.unit_parameters(evidence, label), disruptive=True),
                references=("man:systemd.exec(5)",),
            )


def _limits_of(evidence: Any, pid: Optional[int]) -> Dict[str, Tuple[int, int]]:
    detail = evidence.details.of.get(pid)
    return (detail.limits or {}) if detail is not None else {}


def _as_configured(evidence: Any, item: str, wanted: Any, running: Tuple[int, int]) -> bool:
    """The hard limit is as set; the soft one may be anything up to it, programs raise it."""
    hard = wanted.hard
    if item == "nofile" and evidence.has("budgets") and evidence.budgets.nr_open:
        hard = min(hard, evidence.budgets.nr_open)  # src/basic/rlimit-util.c: infinity means the kernel's largest
    return bool(running[1] == hard and running[0] >= min(wanted.soft, hard))


def _capped(evidence: Any, item: str, wanted: Any, running: Tuple[int, int]) -> bool:
    cap = (evidence.details.manager_limits or {}).get(item)
    return cap is not None and wanted.hard > cap[1] and running[1] == cap[1]


def _newer_than_process(evidence: Any, unit: Any, setting: Any) -> bool:
    file = evidence.units.files.get(setting.file)
    process = evidence.processes.processes.get(unit.main_pid)
    return file is not None and process is not None and file.ctime > evidence.processes.started_at(process) + 2


def _not_in_force(evidence: Any, policy: Any, unit: Any, item: str, setting: Any, detail: Any) -> Finding:
    soft, hard = detail.limits[item]
    used = _used(evidence, unit.main_pid, item, detail)
    pressed = hard < setting.meaning.hard and used is not None and soft < UNLIMITED and used >= policy["headroom.warn"] * soft
    return Finding(
        FAIL if pressed else WARN, HIGH if pressed else MED, Subject("unit", unit.id, "%s|%s" % (unit.id, setting.key)),
        "%s runs with %s %s:%s, but %s=%s was written to %s:%d after it started%s; restart it, or set the limit of the running process." % (
            unit.id, item, wording.limit(soft), wording.limit(hard), setting.key, shown(setting.value), setting.file, setting.line,
            ", and it uses %d" % used if pressed and used is not None else ""),
        evidence=(Seen("/proc/%d/limits" % unit.main_pid, "%s %s:%s" % (item, wording.limit(soft), wording.limit(hard))),
                  Seen("%s:%d" % (setting.file, setting.line), "%s=%s" % (setting.key, setting.value))),
        remedy=Remedy("restart", (("unit", unit.id),), disruptive=True),
        references=("man:systemd.exec(5)",),
    )


def _used(evidence: Any, pid: int, item: str, detail: Any) -> Optional[int]:
    if item == "nofile":
        files: Optional[int] = detail.open_files
        return files
    status = evidence.processes.status.get(pid)
    if item == "nproc" and status is not None:
        counted = headroom.user_tasks(evidence).get(status.uid)
        return counted.tasks if counted else None
    return None


@rule(
    "PH-LIM-006", "Open files near soft NOFILE", HIGH, "accept, open and pipe fail with EMFILE",
    ("processes", "details"), ("users", "boot_id", "fork_failures", "units", "budgets"),
)
def open_files_near_limit(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _above_nr_open(evidence)
    gaps = evidence.details.gaps_of("fd", "limits")
    if gaps:
        yield Unknown(gaps)
    near = False
    for pid, detail in sorted(evidence.details.of.items()):
        if not detail.limits or detail.open_files is None or pid not in evidence.processes.processes:
            continue
        soft, hard = detail.limits.get("nofile", (UNLIMITED, UNLIMITED))
        if soft < policy["open_files.ignore_below"] or soft == UNLIMITED or detail.open_files < policy["open_files.warn"] * soft:
            yield Passed()
            continue
        yield _open_files_finding(evidence, policy, pid, detail, soft, hard)
        near = True
    log = evidence.fork_failures if evidence.has("fork_failures") else None
    if near and log is not None and log.gaps:
        yield Unknown(log.gaps)
    elif near and log is not None and not log.complete:
        yield NotApplicable("only the newest entries of the log were looked through for refused descriptors")


def _above_nr_open(evidence: Any) -> Iterator[Finding]:
    """infinity is how vendors spell "as much as there is"; a number above the kernel's largest is somebody's mistake."""
    largest = evidence.budgets.nr_open if evidence.has("budgets") else None
    if not largest or not evidence.has("units"):
        return
    places: Dict[Tuple[str, int, str], List[str]] = {}
    default = evidence.units.manager.defaults.get("DefaultLimitNOFILE")
    settings = [("every unit without its own", default)] if default is not None and default.meaning is not None else []
    settings.extend((unit.id, unit.limit_set_in("nofile")) for unit in sorted(evidence.units.units.values()))
    for who, setting in settings:
        if setting is not None and setting.file and largest < setting.meaning.hard < UNLIMITED and not of_users.by_vendor(setting.file):
            places.setdefault((setting.file, setting.line, "%s=%s" % (setting.key, setting.value)), []).append(who)
    for (file, line, text), whom in sorted(places.items()):
        place = "%s:%d" % (file, line)
        yield Finding(
            INFO, SEVERITY_INFO, Subject("file", place, "%s|nr_open" % file),
            "%s (%s) asks for more than fs.nr_open (%d), which the kernel refuses to everybody: %s gets what PID 1 may give; write at most "
            "that, or raise fs.nr_open first." % (shown(place), shown(text), largest, wording.listed(whom, 3)),
            evidence=(Seen(place, text), Seen("/proc/sys/fs/nr_open", "%d" % largest)), references=("man:systemd.exec(5)", "kernel/sys.c do_prlimit"),
        )


def _of_user_unit(evidence: Any, unit: Optional[str]) -> str:
    """The subject of a process has no unit in it; whose manager it is must be told."""
    return " of %s" % wording.unit_name(evidence, unit) if unit and wording.of_user(evidence, unit) else ""


def _open_files_finding(evidence: Any, policy: Any, pid: int, detail: Any, soft: int, hard: int) -> Finding:
    """A pool that sits near its limit by design neither grows nor is refused: only these make it more than information."""
    process = evidence.processes.processes[pid]
    share = detail.open_files / float(soft)
    full = policy["open_files.fail"]
    before = evidence.previous.get("open_files", {}).get(marks.identity(process)) if marks.same_boot(evidence) else None
    growing = before is not None and detail.open_files > before
    refused = _files_refused(evidence, pid, process)
    status = WARN if growing or refused else INFO
    if share >= full and (refused or (growing and before is not None and before >= full * soft)):
        status = FAIL
    subject, unit = wording.process_subject(evidence, pid, process.comm), wording.unit_of(evidence, pid)
    return Finding(
        status, {FAIL: HIGH, WARN: MED}.get(status, SEVERITY_INFO), subject._replace(key="files|" + subject.key),
        "%s%s has %d open files of %d allowed (%s%s)%s; find the leak, or give its unit LimitNOFILE=." % (
            shown(subject.id), _of_user_unit(evidence, unit), detail.open_files, soft, wording.percent(share),
            ", %d more than at the last audit" % (detail.open_files - before) if growing and before is not None else "",
            ", and the log tells that more were refused" if refused else ""),
        evidence=(Seen("/proc/%d/fd" % pid, "%d descriptors" % detail.open_files),
                  Seen("/proc/%d/limits" % pid, "Max open files %s:%s" % (wording.limit(soft), wording.limit(hard))))
        + tuple(Seen(evidence.fork_failures.source, each.message) for each in refused[:3]),
        binding="RLIMIT_NOFILE of %s: %d of %d" % (shown(subject.id), detail.open_files, soft),
        confidence=MEDIUM_CONFIDENCE if status == INFO else HIGH_CONFIDENCE,
        remedy=Remedy("unit_limits", wording.unit_parameters(evidence, unit) + (("nofile", "%d:%s" % (2 * soft, wording.limit(hard))),)),
    )


def _files_refused(evidence: Any, pid: int, process: Any) -> List[Any]:
    """What the last day's log says of EMFILE in this process, or in its service: one that was restarted since fills up again."""
    if not evidence.has("fork_failures"):
        return []
    unit = wording.unit_of(evidence, pid) or ""
    born = evidence.processes.started_at(process) - 2
    return [
        each for each in evidence.fork_failures.files_refused
        if (unit.endswith(".service") and each.unit == unit)
        or (each.pid == pid and (each.at >= born if each.at is not None else each.program.startswith(process.comm)))
    ]


@rule(
    "PH-LIM-011", "Root daemon that setuids into a full user", HIGH, "status=203/EXEC, or children that die in silence",
    ("processes", "details", "user_namespaces"), ("users", "visibility"),
)
def setuid_into_full_user(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _limit_gaps(evidence)
    counts = headroom.user_tasks(evidence)
    tightest = {uid: min(limits) for uid, limits in headroom.soft_nproc(evidence).items()}
    any_limit = False
    for parent_pid, uid in sorted(_setuid_children(evidence)):
        counted = counts.get(uid)
        soft = _soft(evidence, parent_pid)
        if counted is None or soft is None:
            continue
        any_limit = any_limit or soft != UNLIMITED
        subject = wording.process_subject(evidence, parent_pid, evidence.processes.processes[parent_pid].comm)
        name = wording.user_name(evidence, uid)
        if soft != UNLIMITED and counted.tasks >= (1 - policy["headroom.setuid_margin"]) * soft:
            yield Finding(
                FAIL, HIGH, subject._replace(key="setuid|%s|%s" % (subject.key, name)),
                "%s starts processes of user %s under its own limit of %d, and %s has %d tasks: the next one fails at exec (status 203/EXEC); "
                "bring down the count, or raise LimitNPROC of its unit." % (shown(subject.id), name, soft, name, counted.tasks),
                evidence=(Seen("/proc/%d/limits" % parent_pid, "Max processes %d (soft)" % soft),
                          Seen("/proc/*/status", "%d tasks with real uid %d" % (counted.tasks, uid))),
                binding="RLIMIT_NPROC of %s for %s: %d of %d" % (shown(subject.id), name, counted.tasks, soft),
            )
        elif uid in tightest and counted.tasks > tightest[uid] and soft > tightest[uid]:
            yield Finding(
                INFO, SEVERITY_INFO, subject._replace(key="setuid|%s|%s" % (subject.key, name)),
                "%s can push user %s past the limit of %s's own sessions (%d): its children run under its limit (%s); bound its unit with TasksMax." % (
                    shown(subject.id), name, name, tightest[uid], wording.limit(soft)),
                evidence=(Seen("/proc/%d/limits" % parent_pid, "Max processes %s (soft)" % wording.limit(soft)),),
            )
        else:
            yield Passed()
    yield from outside.users(evidence, policy, any_limit)


def _setuid_children(evidence: Any) -> Iterator[Tuple[int, int]]:
    """(root parent, uid of its children) for every pair; PID 1 and containers' roots apart, which start services with limits of their own."""
    seen = set()
    table, details = evidence.processes, evidence.details.of
    for process in table.processes.values():
        status = table.status.get(process.pid)
        uid = status.uid if status else table.owners.get(process.pid)
        parent = table.status.get(process.ppid)
        if not uid or parent is None or parent.uid != 0 or process.ppid == 1 or process.ppid not in details:
            continue
        if (process.ppid, uid) not in seen:
            seen.add((process.ppid, uid))
            yield process.ppid, uid


def _soft(evidence: Any, pid: int) -> Optional[int]:
    detail = evidence.details.of.get(pid)
    if detail is None or not detail.limits:
        return None
    soft: int = detail.limits.get("nproc", (UNLIMITED, UNLIMITED))[0]
    return soft


@rule(
    "PH-LIM-012", "The log tells of failed forks", HIGH, "it is failing already",
    ("fork_failures", "clock"), ("boot_id", "cgroups", "processes", "details", "budgets"),
)
def forks_failed_in_log(evidence: Any, policy: Any) -> Iterator[Verdict]:
    log = evidence.fork_failures
    if log.gaps:
        yield Unknown(log.gaps)
    if not log.complete:
        yield NotApplicable("only the newest entries of the log were looked through")
    first_run = not evidence.previous
    since = evidence.previous.get("wall", 0) if evidence.previous else 0
    by_place: Dict[str, List[Any]] = {}
    for failure in log.failures:
        if failure.at is None or failure.at > since:
            by_place.setdefault(failure.cgroup or failure.unit or failure.program or "this host", []).append(failure)
    if not by_place and not log.gaps:
        yield Passed()
    for place, failures in sorted(by_place.items()):
        pod = any(word in place for word in ("kubepods", "docker", "libpod", "crio-"))
        status = INFO if first_run else WARN if pod or len(failures) < 3 else FAIL
        yield Finding(
            status, {FAIL: HIGH, WARN: MED}.get(status, SEVERITY_INFO), Subject("unit", place),
            "%s could not start a process or thread %s %s (%s); see which limit binds it: %s." % (
                shown(place).capitalize() if place == "this host" else shown(place), wording.noun(len(failures), "time"),
                "in the last day" if first_run else "since the last audit", log.source, _which(failures, place)),
            evidence=tuple(Seen(log.source, failure.message) for failure in failures[:5]),
            confidence=MEDIUM_CONFIDENCE,
        )


def _which(failures: List[Any], place: str) -> str:
    if any(failure.cgroup for failure in failures):
        return "the pids controller refused it (TasksMax or pids.max of %s or a group above)" % shown(place)
    if any(failure.out_of_memory for failure in failures):
        return "it was memory (ENOMEM), not NPROC"
    return "pidhygiene explain %s" % shown(place)
