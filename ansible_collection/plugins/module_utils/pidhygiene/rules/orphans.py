# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-ORP: programs that run without the one who should keep them, twice, or under a wrong number."""

from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from .. import of_users, wording
from ..model import (
    FAIL,
    HIGH,
    HIGH_CONFIDENCE,
    INFO,
    LOW,
    MED,
    MEDIUM_CONFIDENCE,
    SEVERITY_INFO,
    WARN,
    Finding,
    Gap,
    NotApplicable,
    Passed,
    Remedy,
    Seen,
    Subject,
    Unknown,
    Verdict,
    rule,
)
from ..readers.processes import Command
from ..readers.supervision import Instance, PidFile, Stray
from ..text import shown

NEEDS = ("processes", "supervision")
USES = ("details", "users", "units", "user_units", "clock")
CLOCK_TOLERANCE_S = 10.0  # the wall clock may have been stepped since boot
SETTLED_S = 600.0  # uptime before which pidfiles are not judged
DAEMON_S = 3600.0  # age from which something in a session is more than a job in progress
OF_SESSIONS = frozenset(  # programs that outlive or serve a login by design
    "tmux tmux: screen SCREEN zellij abduco dtach mosh-server ssh-agent gpg-agent dbus-daemon dbus-launch sshd sftp-server at-spi-bus-launcher".split())


def _environment_gaps(evidence: Any) -> Tuple[Gap, ...]:
    return tuple(gap for gap in evidence.supervision.gaps if gap.source.endswith("/environ"))


def _programs(stray: Stray) -> str:
    label = stray.label
    return "%s:%s" % (label.group or label.name, label.name) if label is not None and label.name else ""


@rule(
    "PH-ORP-001", "Supervised tree leaked", HIGH, "the program runs twice: what it does is done twice", NEEDS, USES,
)
def supervised_tree_leaked(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """A helper that a supervised agent sent into the background has its own session, or no counterpart that is still supervised."""
    gaps = _environment_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    supervision = evidence.supervision
    if not supervision.supervisors and not any(stray.label and stray.label.enabled for stray in supervision.strays):
        yield NotApplicable("no supervisord, and nothing that one has started")
        return
    yield Passed(len(supervision.managed))
    grouped: Dict[Tuple[int, int], List[Stray]] = {}
    for stray in supervision.strays:
        grouped.setdefault((stray.process.session, stray.process.pgrp), []).append(stray)
    for key in sorted(grouped):
        yield _judge_tree(evidence, grouped[key])


def _judge_tree(evidence: Any, strays: List[Stray]) -> Verdict:
    root = next((stray for stray in strays if stray.label and stray.label.enabled), strays[0])
    told = root.label is not None and root.label.enabled
    twin = twin_of(evidence, root)
    if twin is not None:
        return _leaked(evidence, root, strays, twin, HIGH_CONFIDENCE if told else MEDIUM_CONFIDENCE)
    if told and not evidence.supervision.supervisors:
        return _unsupervised(evidence, root, strays)
    return Passed()


def twin_of(evidence: Any, stray: Stray) -> Optional[int]:
    """The supervised process in its place now: of the same program of supervisord and younger, or of the same command and user."""
    supervision, table = evidence.supervision, evidence.processes
    status = table.status.get(stray.process.pid)
    command = supervision.commands[stray.process.pid]
    for pid in sorted(supervision.managed):
        label, other = supervision.managed[pid], table.status.get(pid)
        same_name = bool(stray.label and stray.label.name) and stray.label == label
        younger = table.processes[pid].start >= stray.process.start
        same_command = len(command.arguments) > 0 and command == supervision.commands[pid] and bool(
            status and other and status.uid == other.uid)
        if same_command or (same_name and younger):
            return int(pid)
    return None


def _leaked(evidence: Any, root: Stray, strays: List[Stray], twin: int, confidence: str) -> Finding:
    table = evidence.processes
    pids = sorted({pid for stray in strays for pid in stray.tree})
    command = evidence.supervision.commands[root.process.pid]
    name = _programs(root) or wording.base_name(command.program)
    supervisor = table.processes[twin].ppid
    return Finding(
        FAIL, HIGH, Subject("process", "%s (%d)" % (name, root.process.pid), "leaked|" + name),
        "%s (%d) runs outside supervisord with %s (pids %s), while supervisord (%d) runs it again as %d: end the old tree, and set "
        "stopasgroup and killasgroup for the program." % (
            shown(name), root.process.pid, wording.noun(len(pids), "process", "processes"), ", ".join(map(str, pids[:10])), supervisor, twin),
        evidence=tuple(Seen("/proc/%d/stat" % pid, "started %s ago, parent %d, group %d, session %d" % (
            wording.duration(table.age(table.processes[pid])), table.processes[pid].ppid, table.processes[pid].pgrp,
            table.processes[pid].session)) for pid in pids[:5]) + (
            Seen("/proc/%d/cmdline" % root.process.pid, wording.command_line(command.program, command.arguments)),
            Seen("/proc/%d/stat" % twin, "child of supervisord, started %s ago" % wording.duration(table.age(table.processes[twin])))),
        confidence=confidence,
        remedy=Remedy("dedupe", (("keep", twin), ("end", ",".join(map(str, pids)))), disruptive=True),
        references=("man:setsid(2)", "Supervisor/supervisor#99"),
    )


def _unsupervised(evidence: Any, root: Stray, strays: List[Stray]) -> Finding:
    pids = sorted({pid for stray in strays for pid in stray.tree})
    name = _programs(root)
    return Finding(
        WARN, MED, Subject("process", "%s (%d)" % (name, root.process.pid), "leaked|" + name),
        "%s (%d) was started by a supervisord that has gone, and runs on with %s: nobody restarts it, and the next supervisord will start "
        "a second one; end it before." % (shown(name), root.process.pid, wording.noun(len(pids), "process", "processes")),
        evidence=(
            Seen("/proc/%d/environ" % root.process.pid, "SUPERVISOR_ENABLED=1"),
            Seen("/proc/%d/stat" % root.process.pid, "session %d, whose leader has gone" % root.process.session)),
        references=("man:setsid(2)", "Supervisor/supervisor#99"),
    )


@rule(
    "PH-ORP-002", "Duplicate service instances", HIGH, "two of them work on the same data", NEEDS + ("units",), USES,
)
def duplicate_instances(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """The same command of the same user in the same place, kept by a unit or supervisord once, and once by nobody."""
    unplaced = tuple(
        Gap("/proc/%d/cwd" % each.process.pid, "working directory or mount namespace of a look-alike could not be read")
        for alike in evidence.supervision.instances for each in alike if not (each.place and each.root))
    if unplaced:
        yield Unknown(unplaced)
    yield Passed(len(evidence.supervision.managed) or 1)
    for kept, loose in _duplicates(evidence):
        yield _duplicate(evidence, policy, kept, loose)


def _duplicates(evidence: Any) -> Iterator[Tuple[Instance, List[Instance]]]:
    """Pairs of the one that is kept and those that are not. Two that are both kept are meant."""
    leaving = _descended_from_kept(evidence)
    for alike in evidence.supervision.instances:
        for kept in [each for each in alike if each.keeper][:1]:
            loose = [each for each in alike if not each.keeper and each.place and each.root and each.process.pid not in leaving
                     and (each.place, each.root) == (kept.place, kept.root)]
            if loose:
                yield kept, loose


def _descended_from_kept(evidence: Any) -> List[int]:
    """Fresh copies on their way to become something else: a fork that has not executed yet."""
    table = evidence.processes
    return [each.process.pid for alike in evidence.supervision.instances for each in alike if table.age(each.process) < CLOCK_TOLERANCE_S]


def _duplicate(evidence: Any, policy: Any, kept: Instance, loose: List[Instance]) -> Finding:
    command = evidence.supervision.commands[kept.process.pid]
    name = wording.base_name(command.program)
    pids = ", ".join(str(each.process.pid) for each in loose)
    singleton = kept.keeper in policy["units.singletons"]
    return Finding(
        FAIL if singleton else WARN, HIGH if singleton else MED, Subject("unit", kept.keeper, kept.keeper + "|duplicate|" + name),
        "%s keeps %s (%d) running, and the same command runs beside it without a keeper (%s): end the one that nobody keeps, "
        "unless both are meant." % (shown(kept.keeper), shown(name), kept.process.pid, pids),
        evidence=tuple(Seen("/proc/%d/cmdline" % each.process.pid, "%s; parent %d, started %s ago" % (
            wording.command_line(command.program, command.arguments), each.process.ppid,
            wording.duration(evidence.processes.age(each.process)))) for each in [kept] + loose[:4]),
        confidence=MEDIUM_CONFIDENCE,
        remedy=Remedy("dedupe", (("keep", kept.process.pid), ("end", pids.replace(" ", ""))), disruptive=True),
        references=("man:daemon(7)", "Supervisor/supervisor#99"),
    )


@rule(
    "PH-ORP-003", "Pidfile lies", MED, "a stop or reload by pidfile hits nobody, or a stranger", NEEDS + ("units",), USES,
)
def pidfile_lies(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """PIDFile= of active units only: elsewhere, files outlive their programs by custom."""
    gaps = evidence.units.gaps + tuple(gap for gap in evidence.supervision.gaps if not gap.source.endswith("/environ"))
    if gaps:
        yield Unknown(gaps)
    if not evidence.units.manager.present:
        yield NotApplicable("systemd does not run this machine")
        return
    yield from of_users.unseen(evidence)
    if evidence.processes.clock.boot < SETTLED_S:
        yield NotApplicable("the host has booted less than ten minutes ago")
        return
    for file in evidence.supervision.pid_files:
        lie = _lie(evidence, file)
        if lie is None:
            yield Passed()
        else:
            yield _handing_over(file) if _names_a_successor(evidence, file) else _lying(evidence, file, lie)


def _lie(evidence: Any, file: PidFile) -> Optional[str]:
    """How the rest of the sentence goes, or None. What was written or started a moment ago is on its way."""
    table, unit = evidence.processes, file.unit
    if table.clock.wall - file.written < CLOCK_TOLERANCE_S:
        return None
    if file.pid is None:
        return "holds no number"
    process = table.processes.get(file.pid)
    if process is None:
        return "names %d, which does not exist" % file.pid
    if process.zombie:
        return "names %d, which is a zombie" % file.pid
    if unit.main_pid == file.pid:
        return None
    if wording.of_user(evidence, unit.id):  # which of its processes is the main one, his manager knows
        return None if wording.unit_of(evidence, file.pid) == unit.id else "names %d (%s), which is none of its processes" % (file.pid, shown(process.comm))
    if table.started_at(process) > file.written + CLOCK_TOLERANCE_S:
        return "names %d, which is %s by now: the number was given again" % (file.pid, shown(process.comm))
    if unit.main_pid and unit.main_pid in table.processes and table.age(table.processes[unit.main_pid]) > CLOCK_TOLERANCE_S:
        return "names %d (%s), but the main process is %d" % (file.pid, shown(process.comm), unit.main_pid)
    return None


def _names_a_successor(evidence: Any, file: PidFile) -> bool:
    """A child of the main process that runs the same program in the same unit: nginx and others replace their binary this way."""
    table = evidence.processes
    named, main = table.processes.get(file.pid), table.processes.get(file.unit.main_pid)
    return bool(named is not None and main is not None and not named.zombie and named.comm == main.comm and named.ppid == main.pid
                and wording.unit_of(evidence, named.pid) == file.unit.id)


def _handing_over(file: PidFile) -> Finding:
    return Finding(
        INFO, SEVERITY_INFO, Subject("unit", file.unit.id, file.unit.id + "|handover"),
        "%s of %s names %d, which the main process %d has started to take over from it: end the old one (kill -QUIT) when the new one has proved itself." % (
            shown(file.path), shown(file.unit.id), file.pid or 0, file.unit.main_pid or 0),
        evidence=(Seen(shown(file.path), "%s" % file.pid), Seen("systemd", "MainPID=%s of %s" % (file.unit.main_pid, shown(file.unit.id)))),
    )


def _lying(evidence: Any, file: PidFile, lie: str) -> Finding:
    name, main = wording.unit_name(evidence, file.unit.id), file.unit.main_pid or 0
    of_user = wording.of_user(evidence, file.unit.id)
    failing = lie.endswith("zombie")
    return Finding(
        FAIL if failing else WARN, HIGH if failing else MED, Subject("unit", file.unit.id, file.unit.id + "|pidfile"),
        "%s of %s %s; %s, and drop PIDFile= where its Type= needs none." % (
            shown(file.path), shown(name), lie, wording.restart_of(evidence, file.unit.id) if of_user else "restart the unit"),
        evidence=(
            Seen(shown(file.path), "%s" % ("no number" if file.pid is None else file.pid)),
            Seen("/proc/*/cgroup", "%d is the first process of %s" % (main, shown(name))) if of_user else
            Seen("systemd", "MainPID=%s of %s" % (main, shown(name)))),
        remedy=Remedy("restart", wording.unit_parameters(evidence, file.unit.id), disruptive=True),
        references=("man:systemd.service(5)",),
    )


@rule(
    "PH-ORP-004", "supervisord configured to leak", MED, "a program that is stopped leaves its children behind", NEEDS, USES,
)
def supervisor_leaves_children(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """killasgroup=false is the default, and harmless for a single process: it warns where something was left behind."""
    if evidence.supervision.configuration_gaps:
        yield Unknown(evidence.supervision.configuration_gaps)
    if not evidence.supervision.supervisors:
        yield NotApplicable("no supervisord runs here")
        return
    several, leaking = _programs_of_several(evidence), _programs_that_leaked(evidence)
    quiet: List[Any] = []
    for configuration in evidence.supervision.configurations:
        for program in configuration.programs:
            if program.kill_as_group or program.name not in several:
                yield Passed()
            elif program.name in leaking:
                yield _leaves_children(program)
            else:
                quiet.append(program)
    if quiet:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "supervisord without killasgroup"),
            "supervisord kills the first process alone of %s, which run several: set stopasgroup and killasgroup for them." % (
                wording.listed([program.name for program in quiet])),
            evidence=tuple(Seen(shown(program.file), "%s: killasgroup is not set" % shown(program.name)) for program in quiet[:10]),
            references=("Supervisor/supervisor#1650",),
        )


def _programs_of_several(evidence: Any) -> Set[str]:
    """Names of programs whose process has live children. A process name may differ: then its group has the program's name."""
    table, supervision = evidence.processes, evidence.supervision
    return {
        name for pid, label in supervision.managed.items() for name in (label.group, label.name)
        if any(not table.processes[child].zombie for child in table.children.get(pid, ()))
    }


def _programs_that_leaked(evidence: Any) -> Set[str]:
    """By the label of what is left, or of what stands in its place."""
    supervision = evidence.supervision
    twins = [(stray, twin_of(evidence, stray)) for stray in supervision.strays]
    return {
        name for stray, twin in twins if twin is not None
        for label in (stray.label, supervision.managed[twin]) if label is not None for name in (label.group, label.name)
    }


def _leaves_children(program: Any) -> Finding:
    return Finding(
        WARN, MED, Subject("file", "%s [%s]" % (program.file, program.name)),
        "supervisord has left processes of %s behind, because it kills the first one alone: set stopasgroup=true and killasgroup=true in %s." % (
            shown(program.name), shown(program.file)),
        evidence=(Seen(shown(program.file), "stopasgroup=%s, killasgroup=%s" % (
            str(program.stop_as_group).lower(), str(program.kill_as_group).lower())),),
        references=("Supervisor/supervisor#1650",),
    )


@rule(
    "PH-ORP-005", "Unit members not descended from its main process", MED, "an old generation works beside the new one",
    ("processes", "details", "units", "leftovers"), ("users", "user_units"),
)
def members_not_descended(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Where KillMode= leaves them on purpose, PH-SYS-006 tells it. A drained old generation and unlike helpers are left alone."""
    gaps = evidence.units.gaps + evidence.details.gaps_of("cgroup")
    if gaps:
        yield Unknown(gaps)
    if not evidence.units.manager.present:
        yield NotApplicable("systemd does not run this machine")
        return
    yield from of_users.unseen(evidence)
    yield Passed()
    for survivor in evidence.leftovers.survivors:
        current = {survivor.commands[pid] for pid in survivor.members if pid in survivor.commands and survivor.commands[pid].arguments}
        old = [pid for pid in survivor.left if survivor.commands.get(pid) in current
               and evidence.processes.age(evidence.processes.processes[survivor.unit.main_pid]) > policy["units.drain_time"]]
        if old:
            yield _old_generation(evidence, survivor, old)


def _old_generation(evidence: Any, survivor: Any, old: List[int]) -> Finding:
    unit, table = survivor.unit, evidence.processes
    name = wording.base_name(survivor.commands[old[0]].program)
    return Finding(
        FAIL, MED, Subject("unit", unit.id, unit.id + "|old generation"),
        "%s runs %s twice: %s (%s) from before its main process %d, which started %s ago; end the old generation." % (
            shown(wording.unit_name(evidence, unit.id)), shown(name), wording.noun(len(old), "process is", "processes are"),
            ", ".join(map(str, old[:10])), unit.main_pid,
            wording.duration(table.age(table.processes[unit.main_pid]))),
        evidence=tuple(Seen("/proc/%d/cmdline" % pid, "%s, started %s ago" % (
            wording.command_line(survivor.commands[pid].program, survivor.commands[pid].arguments),
            wording.duration(table.age(table.processes[pid])))) for pid in old[:5]),
        confidence=MEDIUM_CONFIDENCE,
        remedy=Remedy("dedupe", (("keep", unit.main_pid), ("end", ",".join(map(str, old)))), disruptive=True),
        references=("man:systemd.kill(5)",),
    )


@rule(
    "PH-ORP-006", "Daemon outside any unit", LOW, "it is lost at the next boot, and runs with the limits of a login",
    ("processes", "details", "units", "supervision"), ("users",),
)
def daemon_outside_units(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Started by hand in a login and left to PID 1. What runs as the user who logged in may be his job: information."""
    gaps = evidence.details.gaps_of("cgroup", "loginuid")
    if gaps:
        yield Unknown(gaps)
    if not evidence.units.manager.present:
        yield NotApplicable("systemd does not run this machine")
        return
    own: List[str] = []
    blind = {int(gap.source.split("/")[2]) for gap in gaps if gap.source.startswith("/proc/") and gap.source.split("/")[2].isdigit()}
    for process in sorted(evidence.processes.live()):
        if process.pid in blind or not _left_by_a_login(evidence, process):
            continue
        detail, status = evidence.details.of[process.pid], evidence.processes.status.get(process.pid)
        if status is None:
            continue
        if status.uid == detail.login_uid:
            own.append("%s (%d)" % (process.comm, process.pid))
        else:
            yield _by_hand(evidence, process, status.uid, detail)
    if own:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "jobs of logins"),
            "%s outside of any unit, as the user who logged in: %s; a daemon among them needs a unit to survive the next boot." % (
                wording.noun(len(own), "process runs", "processes run"), wording.listed(own)),
            evidence=(Seen("/proc/*/cgroup", wording.listed(own, 20)),),
        )
    yield Passed()


def _left_by_a_login(evidence: Any, process: Any) -> bool:
    detail = evidence.details.of.get(process.pid)
    if detail is None or detail.login_uid is None or process.ppid != 1 or process.tty or process.comm in OF_SESSIONS:
        return False
    in_session = detail.unit is not None and detail.unit.startswith("session-") and detail.unit.endswith(".scope")
    return bool((in_session or detail.unit_group == "/") and evidence.processes.age(process) > DAEMON_S)


def _by_hand(evidence: Any, process: Any, uid: int, detail: Any) -> Finding:
    user = wording.user_name(evidence, uid)
    return Finding(
        WARN, LOW, Subject("process", "%s (%d)" % (process.comm, process.pid), "by hand|%s|%s" % (process.comm, user)),
        "%s (%d) of user %s was started by hand from a login of %s %s ago and belongs to no unit: it is lost at the next boot; give it a unit "
        "and start it through that." % (shown(process.comm), process.pid, shown(user), shown(wording.user_name(evidence, detail.login_uid)),
                                        wording.duration(evidence.processes.age(process))),
        evidence=(
            Seen("/proc/%d/cgroup" % process.pid, shown(detail.unit_group)),
            Seen("/proc/%d/loginuid" % process.pid, "%d" % detail.login_uid)),
        confidence=MEDIUM_CONFIDENCE,
        references=("man:systemd-run(1)",),
    )


@rule(
    "PH-ORP-007", "Salt answers twice", HIGH, "every state is applied twice on this host", NEEDS + ("units",), USES,
)
def salt_answers_twice(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """The local cause. "already deleted from tracker" is printed by the salt command on the master, and stands in no log."""
    gaps = _environment_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    if not any(process.comm.startswith("salt-minion") or _is_minion(evidence, process.pid) for process in evidence.processes.live()):
        yield NotApplicable("no salt-minion is known to run here")
        return
    twice = [(stray.process.pid, twin) for stray in evidence.supervision.strays
             for twin in [twin_of(evidence, stray)] if twin is not None and _is_minion(evidence, twin)]
    twice += [(each.process.pid, kept.process.pid) for kept, loose in _duplicates(evidence) if _is_minion(evidence, kept.process.pid)
              for each in loose]
    yield Passed()
    if twice:
        old, new = ", ".join(str(pid) for pid in sorted({pair[0] for pair in twice})), sorted({pair[1] for pair in twice})[0]
        yield Finding(
            FAIL, HIGH, Subject("host", "salt-minion"),
            "Two salt-minions run here: %d is kept running, %s is left over and may answer each job as well; end the old one." % (new, old),
            evidence=tuple(Seen("/proc/%d/cmdline" % pid, wording.command_line(*evidence.supervision.commands[pid])) for pid in
                           sorted({pid for pair in twice for pid in pair})[:5]),
            references=("saltstack/salt#45728",),
        )


def _is_minion(evidence: Any, pid: int) -> bool:
    command: Optional[Command] = evidence.supervision.commands.get(pid)
    return command is not None and "salt-minion" in [each.rsplit("/", 1)[-1] for each in command.arguments[:3]]
