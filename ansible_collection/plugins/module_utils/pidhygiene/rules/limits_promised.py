# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-LIM, part two: what limits.conf and shells promise, and who does not get it."""

import fnmatch
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from .. import headroom, sessions, wording
from ..model import (
    FAIL, HIGH, INFO, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, UNLIMITED, WARN,
    Finding, Gap, NotApplicable, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..of_users import by_vendor
from ..readers.limits_conf import GROUP, HARD, LIMIT, RLIMITS, SOFT, USER, Line, class_of
from ..readers.pam_stack import ALWAYS, NEVER, REFUSED, SOMETIMES
from ..record import NamedTuple
from ..text import shown

NEARLY = 0.05  # of a promise: less than this missing is rounding (65535 and 65536)
PAM_LIMITS = "pam_limits.so"


def _pair(limits: Tuple[int, int]) -> str:
    return "%s:%s" % (wording.limit(limits[0]), wording.limit(limits[1]))


def _unit_value(soft: int, hard: int) -> str:
    """As LimitX= wants it."""
    words = ["infinity" if value == UNLIMITED else "%d" % value for value in (soft, hard)]
    return words[0] if soft == hard else ":".join(words)


def _services(evidence: Any) -> Iterator[Tuple[Any, Any]]:
    """Unit and what its main process runs under, of every service that has one."""
    for unit in sorted(evidence.units.units.values()):
        detail = evidence.details.of.get(unit.main_pid) if unit.main_pid else None
        if detail is not None and detail.limits:
            yield unit, detail


def _runs_pam_limits(evidence: Any, unit: Any) -> bool:
    stack = evidence.pam_stacks.of(unit.pam_name) if unit.pam_name else None
    return stack is not None and stack.calls(PAM_LIMITS) != NEVER


# -- PH-LIM-003 --------------------------------------------------------------------------------------------------


@rule(
    "PH-LIM-003", "limits.conf promises what the service does not get", HIGH, "the classic error: limits.conf is for logins",
    ("limits_conf", "pam_stacks", "units", "users", "processes", "details"), ("budgets", "user_namespaces", "supervision"),
)
def promise_not_kept(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Services of units, daemons of init scripts, programs of supervisord: none of them opens a session."""
    gaps = sessions.config_gaps(evidence) + evidence.details.gaps_of("limits", "cgroup")
    if gaps:
        yield Unknown(gaps)
    if evidence.limits_conf.flavour is None:
        return
    meant_for_all: List[_Broken] = []
    for served in _served(evidence):
        account = sessions.account_of(evidence, served.user)
        if account is None:
            if evidence.limits_conf.lines and not evidence.users.complete:
                yield Unknown((Gap("user %s of %s" % (shown(served.user), served.name), "users of a directory are not looked up"),))
            continue
        if _any_match(account.name, policy["limits.interactive_only"]):
            yield Passed()
            continue
        broken = list(_broken_promises(evidence, served, account))
        for promise in broken:
            if promise.own:
                yield _promise_finding(evidence, promise)
        meant_for_all.extend(promise for promise in broken if not promise.own)
        if not broken:
            yield Passed()
    if meant_for_all:
        yield _promise_to_all(meant_for_all)


class _Served(NamedTuple):
    """A process that a manager started under a user of its own, without a session."""

    name: str  # "db.service", "worker of supervisor.service"
    unit: str  # where its limits are to be set
    user: str
    pid: int
    cure: str  # what must be said there beside the limit; empty: nothing


def _served(evidence: Any) -> Iterator[_Served]:
    for unit, _detail in _services(evidence):
        if unit.user not in ("", "root", "0") and not _runs_pam_limits(evidence, unit):
            yield _Served(unit.id, unit.id, unit.user, unit.main_pid, "")
    daemons: Dict[str, _Served] = {}  # of each init script the oldest that is not root's
    scripts = {unit.id for unit in _script_units(evidence).values() if not unit.user and not unit.main_pid}
    for process in sorted(evidence.processes.live(), key=lambda each: (each.start, each.pid)):
        detail = evidence.details.of.get(process.pid)
        user = _own_user(evidence, process.pid)
        if detail is not None and detail.limits and detail.unit in scripts and process.ppid == 1 and user and not _by_hand(detail):
            daemons.setdefault(detail.unit, _Served(detail.unit, detail.unit, user, process.pid, ""))
    yield from (daemons[name] for name in sorted(daemons))
    for pid, label in sorted(evidence.supervision.managed.items() if evidence.has("supervision") else ()):
        detail = evidence.details.of.get(pid)
        user = _own_user(evidence, pid)
        if detail is not None and detail.limits and detail.unit and user:
            yield _Served("%s of %s" % (shown(label.name or evidence.processes.processes[pid].comm), detail.unit), detail.unit, user, pid,
                          ", and minfds and minprocs in supervisord.conf")


def _own_user(evidence: Any, pid: int) -> str:
    """Name of the real uid; empty for root, and for what a container runs."""
    status = evidence.processes.status.get(pid)
    if status is None or status.uid == 0 or len(status.ns_pids) > 1:
        return ""
    user = evidence.users.by_uid.get(status.uid)
    return user.name if user is not None else "%d" % status.uid


class _Broken(NamedTuple):
    served: _Served
    uid: int
    item: str
    line: Line  # that promises
    promised: Tuple[int, int]
    running: Tuple[int, int]
    own: bool  # the line speaks of this user or his group, not of everybody


def _broken_promises(evidence: Any, served: _Served, account: Any) -> Iterator[_Broken]:
    """A running limit above the promise keeps it."""
    detail = evidence.details.of[served.pid]
    session = sessions.of_user(evidence, account)
    for item in RLIMITS:
        half = 0 if (item, SOFT) in session.winners else 1
        line = session.winners.get((item, (SOFT, HARD)[half]))
        if line is None or item not in detail.limits or detail.limits[item][half] >= session.limits[item][half]:
            continue
        strength = class_of(line, account, evidence.limits_conf.flavour)
        yield _Broken(served, account.uid, item, line, session.limits[item], detail.limits[item], strength in (USER, GROUP))


def _promise_finding(evidence: Any, promise: _Broken) -> Finding:
    half = 0 if promise.line.type != HARD else 1
    served = promise.served
    wanted, running = promise.promised[half], promise.running[half]
    used = _used(evidence, promise)
    nearly = wanted != UNLIMITED and running >= (1 - NEARLY) * wanted
    failing = used is not None and used >= 0.5 * running
    status = INFO if nearly else FAIL if failing else WARN
    return Finding(
        status, {FAIL: HIGH, WARN: MED, INFO: SEVERITY_INFO}[status], Subject("unit", served.name, "%s|%s" % (served.name, promise.item)),
        "%s runs with %s %s%s, while %s promises user %s %s: limits.conf is for logins only; set Limit%s=%s in %s%s." % (
            served.name, promise.item, wording.limit(running), " (%d used)" % used if used is not None and failing else "",
            shown(promise.line.place), shown(served.user), wording.limit(wanted), promise.item.upper(), _unit_value(*promise.promised),
            "the unit" if served.name == served.unit else served.unit, served.cure),
        evidence=(sessions.seen(promise.line), Seen("/proc/%d/limits" % served.pid, "%s %s" % (promise.item, _pair(promise.running)))),
        binding="%s of %s: %d of %d" % (promise.item, served.name, used, running) if used is not None and failing else None,
        remedy=Remedy("unit_limits", (("unit", served.unit), (promise.item, _unit_value(*promise.promised))), disruptive=True),
        references=("man:pam_limits(8)", "https://github.com/systemd/systemd/issues/1884"),
    )


def _used(evidence: Any, promise: _Broken) -> Optional[int]:
    if promise.item == "nofile":
        detail = evidence.details.of[promise.served.pid]
        files: Optional[int] = detail.open_files
        return files
    if promise.item == "nproc":
        counted = headroom.user_tasks(evidence).get(promise.uid)
        return counted.tasks if counted is not None else None
    return None


def _promise_to_all(promises: List[_Broken]) -> Finding:
    lines = {promise.line.place: promise.line for promise in promises}
    names = sorted({promise.served.name for promise in promises})
    return Finding(
        INFO, SEVERITY_INFO, Subject("file", sorted(lines)[0], "limits.conf|*"),
        "What limits.conf sets for everybody does not reach %s (%s): services take their limits from their units." % (
            wording.noun(len(names), "service"), wording.listed(names)),
        evidence=tuple(sessions.seen(lines[place]) for place in sorted(lines))[:5],
        references=("man:pam_limits(8)",),
    )


def _any_match(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


# -- PH-LIM-004 --------------------------------------------------------------------------------------------------


@rule(
    "PH-LIM-004", "Boot start and hand restart give different limits", HIGH, "the fault vanishes when somebody looks into it",
    ("shell_limits", "units", "processes", "details"), ("users", "user_namespaces"),
)
def hand_start_differs(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """A profile's ulimit reaches what is started from a shell. Only init scripts can be: systemd starts its own units alike at any time."""
    shell = evidence.shell_limits
    if shell.gaps:
        yield Unknown(shell.gaps)
    judged = 0
    for name, pids in sorted(_daemons_of_scripts(evidence).items()):
        for pid in pids:
            judged += 1
            finding = _from_a_shell(evidence, name, pid) or _booted_with_less(evidence, name, pid)
            if finding is not None:
                yield finding
            else:
                yield Passed()
    if shell.profiles:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("file", shell.profiles[0].place, "ulimit in profiles"),
            "Root's shells set limits (%s): what is started from a shell differs from what boots; put limits of services into their units." % (
                wording.listed(sorted({line.place for line in shell.profiles}))),
            evidence=tuple(Seen(line.place, "ulimit: %s %s" % (line.item, wording.limit(line.value))) for line in shell.profiles[:5]),
        )
    elif not judged and not shell.gaps:
        yield Passed()


def _daemons_of_scripts(evidence: Any) -> Dict[str, List[int]]:
    """Init script to its daemon: in the unit that systemd made of it, or under its name and without a terminal anywhere else."""
    units = {name: unit.id for name, unit in _script_units(evidence).items()}
    names = set(units) | set(evidence.shell_limits.scripts)
    found: Dict[str, List[int]] = {}
    for process in evidence.processes.live():
        detail = evidence.details.of.get(process.pid)
        if detail is None or not detail.limits or process.kernel_thread:
            continue
        parent = evidence.processes.processes.get(process.ppid)
        leader = process.ppid == 1 or parent is None or parent.comm != process.comm
        for name in names:
            ours = detail.unit == units.get(name) if name in units and detail.unit else False
            if leader and (ours or (process.comm == name[:15] and process.tty == 0)):
                found.setdefault(name, []).append(process.pid)
    return {name: pids[:1] for name, pids in found.items()}


def _script_units(evidence: Any) -> Dict[str, Any]:
    found = {}
    for unit in evidence.units.units.values():
        if unit.source_path and "/init.d/" in unit.source_path:
            found[unit.source_path.rpartition("/")[2]] = unit
    return found


def _by_hand(detail: Any) -> bool:
    return detail.login_uid is not None or (detail.unit or "").startswith("session-")


def _from_a_shell(evidence: Any, name: str, pid: int) -> Optional[Finding]:
    """It runs with exactly what a profile gives, or was started by hand with something else than its unit would get."""
    detail = evidence.details.of[pid]
    if not _by_hand(detail):
        return None
    boot = _at_boot(evidence, name)
    for line in evidence.shell_limits.profiles:
        running = detail.limits.get(line.item)
        if running is not None and running[0 if line.soft else 1] == line.value and not _set_by_script(evidence, name, line.item) \
                and boot.get(line.item, (None, None))[0 if line.soft else 1] != line.value:
            return _hand_finding(evidence, name, pid, line.item, boot, FAIL, "which %s gives to shells" % shown(line.place), line)
    for item in ("nofile", "nproc"):
        if item in boot and item in detail.limits and boot[item][0] != detail.limits[item][0] and not _set_by_script(evidence, name, item):
            return _hand_finding(evidence, name, pid, item, boot, WARN, "as it was started from a login", None)
    return None


def _at_boot(evidence: Any, name: str) -> Dict[str, Tuple[int, int]]:
    """What the next boot gives it: its unit's limits, else those of process 1; empty when neither is known."""
    unit = _script_units(evidence).get(name)
    limits = {item: (limit[0], limit[1]) for item, limit in unit.limits.items()} if unit is not None else {}
    return limits or dict(evidence.details.manager_limits or {})


def _set_by_script(evidence: Any, name: str, item: str) -> bool:
    lines = evidence.shell_limits.scripts.get(name, ()) + evidence.shell_limits.boot
    return any(line.item == item for line in lines)


def _hand_finding(
    evidence: Any, name: str, pid: int, item: str, boot: Dict[str, Tuple[int, int]], status: str, why: str, line: Optional[Any]
) -> Finding:
    running = evidence.details.of[pid].limits[item]
    unit = _script_units(evidence).get(name)
    seen = [Seen("/proc/%d/limits" % pid, "%s %s" % (item, _pair(running))), Seen("/proc/%d/loginuid" % pid, "started from a login")]
    if line is not None:
        seen.insert(0, Seen(line.place, "ulimit: %s %s" % (item, wording.limit(line.value))))
    return Finding(
        status, HIGH if status == FAIL else MED, Subject("unit", unit.id if unit else name, "%s|%s|by hand" % (name, item)),
        "%s (%d) runs with %s %s, %s; the next boot starts it with %s: set Limit%s=%s in %s and restart it with systemctl." % (
            shown(name), pid, item, _pair(running), why, _pair(boot[item]) if item in boot else "something else", item.upper(),
            _unit_value(*running), unit.id if unit else "its unit"),
        evidence=tuple(seen),
        remedy=Remedy("unit_limits", (("unit", unit.id if unit else name + ".service"), (item, _unit_value(*running))), disruptive=True),
    )


def _booted_with_less(evidence: Any, name: str, pid: int) -> Optional[Finding]:
    """A profile gives more than it boots with, and it needs it: half of its limit is in use."""
    detail = evidence.details.of[pid]
    for line in evidence.shell_limits.profiles:
        running = detail.limits.get(line.item)
        half = 0 if line.soft else 1
        if running is None or running[half] >= line.value or _set_by_script(evidence, name, line.item) or _by_hand(detail):
            continue
        used = _used_by(evidence, pid, line.item)
        if used is None or used < 0.5 * running[half]:
            continue
        unit = _script_units(evidence).get(name)
        return Finding(
            FAIL, HIGH, Subject("unit", unit.id if unit else name, "%s|%s|at boot" % (name, line.item)),
            "%s (%d) booted with %s %s and uses %d, while %s gives %s to whoever restarts it by hand: set Limit%s=%s in %s." % (
                shown(name), pid, line.item, _pair(running), used, shown(line.place), wording.limit(line.value), line.item.upper(),
                _unit_value(line.value, line.value), unit.id if unit else "its unit"),
            evidence=(Seen(line.place, "ulimit: %s %s" % (line.item, wording.limit(line.value))),
                      Seen("/proc/%d/limits" % pid, "%s %s" % (line.item, _pair(running)))),
            binding="%s of %s: %d of %d" % (line.item, shown(name), used, running[half]),
            remedy=Remedy("unit_limits", (("unit", unit.id if unit else name + ".service"), (line.item, _unit_value(line.value, line.value))), disruptive=True),
        )
    return None


def _used_by(evidence: Any, pid: int, item: str) -> Optional[int]:
    if item == "nofile":
        files: Optional[int] = evidence.details.of[pid].open_files
        return files
    status = evidence.processes.status.get(pid)
    if item == "nproc" and status is not None and status.uid != 0:
        counted = headroom.user_tasks(evidence).get(status.uid)
        return counted.tasks if counted is not None else None
    return None


# -- PH-LIM-009 --------------------------------------------------------------------------------------------------


@rule(
    "PH-LIM-009", "Login path without pam_limits", MED, "limits differ from one way in to the other",
    ("limits_conf", "pam_stacks", "users"),
)
def path_without_pam_limits(evidence: Any, policy: Any) -> Iterator[Verdict]:
    active = [line for line in evidence.limits_conf.lines if line.makes == LIMIT and line.item in RLIMITS]
    gaps = sessions.config_gaps(evidence)
    if not active:
        if gaps:
            yield Unknown(gaps)
        else:
            yield NotApplicable("limits.conf and limits.d set no limit")
        return
    if evidence.users.complete and not [user for user in sessions.logins(evidence) if user.uid != 0]:
        yield NotApplicable("nobody but root can log in")
        return
    if evidence.pam_stacks.gaps:
        yield Unknown(evidence.pam_stacks.gaps)
    for name in sorted(evidence.pam_stacks.stacks):
        stack = evidence.pam_stacks.stacks[name]
        calls = stack.calls(PAM_LIMITS)
        if not stack.path or stack.gaps or calls == REFUSED:
            continue
        if name == "sshd" and evidence.pam_stacks.sshd_uses_pam is False:
            yield _path_finding("sshd", "sshd_config", "UsePAM is not yes", "set UsePAM yes in /etc/ssh/sshd_config", active, WARN)
        elif calls == NEVER and _opens_logins(name):
            yield _path_finding(name, stack.path, "its session stack has no pam_limits", "add \"session required pam_limits.so\"", active, WARN,
                                Remedy("pam_limits_entry", (("service", name),)))
        elif calls == SOMETIMES:
            yield _path_finding(name, stack.path, "a control in its stack can pass over pam_limits", "look at the lines before it", active, INFO)
        else:
            yield Passed()


def _opens_logins(service: str) -> bool:
    """Ways in that people and their jobs take; services of units are PH-LIM-010's."""
    return service in ("sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron", "crond", "atd", "systemd-user")


def _path_finding(service: str, source: str, what: str, advice: str, active: Sequence[Line], status: str, remedy: Optional[Remedy] = None) -> Finding:
    return Finding(
        status, MED if status == WARN else SEVERITY_INFO, Subject("file", source, "pam|" + service),
        "Sessions of %s do not get what limits.conf sets (%s, \"%s\"), because %s; %s." % (
            service, shown(active[0].place), sessions.text_of(active[0]), what, advice) if status == WARN else
        "Sessions of %s get what limits.conf sets only sometimes: %s; %s." % (service, what, advice),
        evidence=(Seen(source, what), sessions.seen(active[0])), remedy=remedy, references=("man:pam_limits(8)",),
    )


# -- PH-LIM-010 --------------------------------------------------------------------------------------------------


@rule(
    "PH-LIM-010", "PAM overrides unit limits", MED, "LimitX= of the unit is ignored, or changes with the next release of Debian",
    ("limits_conf", "pam_stacks", "units", "users", "details", "processes"), ("budgets",),
)
def pam_overrides_unit(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """A unit with User= and PAMName= opens a session after systemd has set its limits: pam_limits has the last word."""
    if not evidence.units.manager.present:
        yield NotApplicable("systemd does not run here")
        return
    gaps = evidence.units.gaps + evidence.details.gaps_of("limits")
    if gaps:
        yield Unknown(gaps)
    for unit, detail in _services(evidence):
        set_items = [item for item in RLIMITS if _set_by_administrator(unit, item)]
        if unit.pam_name and unit.user and set_items:
            yield from _overridden(evidence, unit, detail, set_items)
        elif evidence.limits_conf.flavour is not None and evidence.limits_conf.flavour.resets and set_items and _opens_sessions(evidence, unit):
            yield _reset_away(evidence, unit, set_items)
        else:
            yield Passed()


def _set_by_administrator(unit: Any, item: str) -> bool:
    setting = unit.limit_set_in(item)
    return setting is not None and not by_vendor(setting.file)


def _overridden(evidence: Any, unit: Any, detail: Any, items: Sequence[str]) -> Iterator[Verdict]:
    stack = evidence.pam_stacks.of(unit.pam_name)
    calls = stack.calls(PAM_LIMITS) if stack is not None else NEVER
    if calls not in (ALWAYS, SOMETIMES):
        if stack is not None and stack.gaps:
            yield Unknown(stack.gaps)
        else:
            yield Passed()
        return
    gaps = sessions.config_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    for item in items:
        wanted = unit.limit_set_in(item).meaning
        running = detail.limits.get(item)
        if running is None or running == (wanted.soft, wanted.hard) or _capped(evidence, item, wanted, running):
            yield Passed()
        else:
            yield _override_finding(evidence, unit, item, running, stack)


def _capped(evidence: Any, item: str, wanted: Any, running: Tuple[int, int]) -> bool:
    """Process 1 itself may not go higher (a container): that is said once for the host, not here."""
    most = (evidence.details.manager_limits or {}).get(item, (UNLIMITED, UNLIMITED))[1]
    return running == (min(wanted.soft, most), min(wanted.hard, most))


def _override_finding(evidence: Any, unit: Any, item: str, running: Tuple[int, int], stack: Any) -> Finding:
    setting = unit.limit_set_in(item)
    wanted = (setting.meaning.soft, setting.meaning.hard)
    line, expected = _said_by_pam(evidence, unit, item, wanted, stack)
    if line is not None:
        why = "%s, \"%s\", wins" % (shown(line.place), sessions.text_of(line))
    elif expected is not None and evidence.limits_conf.flavour.resets:
        why = "this release of pam_limits resets every session to the limits of process 1"
    else:
        why = "PAM runs after systemd has set the limits"
    explained = expected == running
    place = "%s:%d" % (setting.file, setting.line)
    seen = [Seen(place, "Limit%s=%s" % (item.upper(), setting.value)), Seen("/proc/%d/limits" % unit.main_pid, "%s %s" % (item, _pair(running)))]
    user = unit.user if not unit.user.isdigit() else ":" + unit.user
    return Finding(
        FAIL if explained else WARN, MED, Subject("unit", unit.id, "%s|%s|pam" % (unit.id, item)),
        "%s runs with %s %s although %s sets %s, because it opens a session of %s and %s; write \"%s - %s %s\" into limits.d." % (
            unit.id, item, _pair(running), shown(place), _pair(wanted), shown(unit.pam_name), why, shown(user), item, _in_units_of_limits_conf(item, wanted)),
        evidence=tuple(seen + ([sessions.seen(line)] if line is not None else [])), confidence="high" if explained else MEDIUM_CONFIDENCE,
        remedy=Remedy("pam_limits_line", (("domain", user), ("type", "-"), ("item", item), ("value", _in_units_of_limits_conf(item, wanted)))),
        references=("man:systemd.exec(5)", "man:pam_limits(8)"),
    )


def _in_units_of_limits_conf(item: str, limits: Tuple[int, int]) -> str:
    if limits[1] == UNLIMITED:
        return "unlimited"
    if item == "nice":
        return "%d" % (20 - limits[1])
    return "%d" % (limits[1] // (60 if item == "cpu" else 1024 if item in ("fsize", "data", "stack", "core", "rss", "memlock", "as") else 1))


def _said_by_pam(evidence: Any, unit: Any, item: str, wanted: Tuple[int, int], stack: Any) -> Tuple[Optional[Line], Optional[Tuple[int, int]]]:
    """The line that sets the item for the unit's session, and what the session gets; None for what cannot be told."""
    account = sessions.account_of(evidence, unit.user)
    if account is None or evidence.limits_conf.flavour is None:
        return None, None
    arguments = stack.arguments(PAM_LIMITS)
    session = sessions.of_user(evidence, account, arguments[-1] if arguments else (), {item: wanted})
    line = session.winners.get((item, SOFT)) or session.winners.get((item, HARD))
    return line, session.limits.get(item)


def _opens_sessions(evidence: Any, unit: Any) -> bool:
    """Daemons whose children are PAM sessions, by the unit's name."""
    name = unit.id.partition(".")[0].partition("@")[0]
    return name in ("ssh", "sshd", "cron", "crond", "atd", "getty", "serial-getty")


def _reset_away(evidence: Any, unit: Any, items: Sequence[str]) -> Finding:
    places = sorted({"%s:%d" % (unit.limit_set_in(item).file, unit.limit_set_in(item).line) for item in items})
    return Finding(
        INFO, SEVERITY_INFO, Subject("unit", unit.id, unit.id + "|reset"),
        "Limits of %s (%s) do not reach its sessions, because this release resets them to those of process 1; from pam 1.7.0 (Debian 13) on they do: "
        "write what sessions need into limits.d." % (unit.id, wording.listed(list(items))),
        evidence=tuple(Seen(place, "set for the daemon") for place in places[:5]), references=("Debian bug 995236",),
    )
