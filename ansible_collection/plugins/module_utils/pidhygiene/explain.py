# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``explain RULE|unit|user|PID``: what will refuse the next fork, where each limit comes from, and what a rule is about.

Pure but for gathering the evidence; the answer is plain data, rendered by the front ends.
"""

from typing import Any, Dict, List, Optional, Tuple

from . import explain_process, headroom, of_users, outside, sessions, wording
from .evidence import Evidence, gather
from .explain_process import Way, name_of
from .host import Host
from .model import UNLIMITED, Rule
from .readers import cgroups
from .readers.kernel_budgets import RESERVED_PIDS
from .readers.processes import Command, read_command
from .record import NamedTuple
from .rules.catalogue import RULES
from .text import shown

SOURCES = (
    "processes", "details", "cgroups", "budgets", "user_namespaces", "users", "units", "zombies", "visibility", "limits_conf", "user_units",
) + explain_process.SOURCES
ITEMS = ("nproc", "nofile", "memlock", "core", "stack")  # shown with their origin


class NothingToExplain(Exception):
    """No rule, unit, user or process of that name."""


class Step(NamedTuple):
    """One limit on the way of the next fork."""

    limit: str
    used: int
    maximum: int
    source: str  # where the number was read
    origin: str  # who set it, as far as can be told


class Origin(NamedTuple):
    item: str
    soft: int
    hard: int
    origin: str


class Explanation(NamedTuple):
    subject: str
    about: Tuple[str, ...]  # sentences
    chain: Tuple[Step, ...]  # in the kernel's order
    limits: Tuple[Origin, ...]
    verdict: str
    unseen: Tuple[str, ...]  # what could not be known, and why
    ways: Tuple[Way, ...] = ()  # for what should not stay as it is: what helps, and what does not

    def plain(self) -> Dict[str, Any]:
        return {
            "subject": self.subject, "about": list(self.about), "verdict": self.verdict, "unseen": list(self.unseen),
            "ways": [dict(way._asdict()) for way in self.ways],
            "chain": [dict(step._asdict()) for step in self.chain], "limits": [dict(origin._asdict()) for origin in self.limits],
        }


def explain(host: Host, what: str) -> Explanation:
    """Errors: NothingToExplain."""
    found = next((rule for rule in RULES if rule.id == what.upper()), None)
    if found is not None:
        return explain_rule(found)
    evidence = gather(host, SOURCES)
    if what.isdigit():
        return _explain_pid(host, evidence, int(what))
    if "." in what and evidence.has("units") and evidence.units.get(what) is not None:
        return _explain_unit(host, evidence, evidence.units.get(what))
    name = what[len("user:"):] if what.startswith("user:") else what
    user = evidence.users.by_name.get(name) if evidence.has("users") else None
    if user is not None and not what.endswith((".service", ".scope", ".slice")):
        return _explain_user(host, evidence, user.uid)
    if evidence.has("units"):
        unit = evidence.units.get(what) or evidence.units.get(what + ".service")
        if unit is not None:
            return _explain_unit(host, evidence, unit)
    raise NothingToExplain("%s is no rule, no process, no user of /etc/passwd and no loaded unit of this host" % shown(what))


def explain_rule(rule: Rule) -> Explanation:
    return Explanation(
        "%s  %s" % (rule.id, rule.title),
        ("At worst %s, because: %s." % (rule.severity, rule.because), "It is judged from: %s." % ", ".join(rule.needs),
         "When it stays silent, and how to fix what it finds: pidhygiene rules show %s" % rule.id), (), (), "", (),
    )


def _explain_pid(host: Host, evidence: Evidence, pid: int) -> Explanation:
    process = evidence.processes.processes.get(pid)
    if process is None:
        raise NothingToExplain("there is no process %d" % pid)
    command = read_command(host, process)
    subject = "%s (%d)" % (shown(wording.base_name(command.program)), pid)
    account = explain_process.of(host, evidence, pid)
    if process.zombie:
        return Explanation(subject, account.about, tuple(_steps(evidence, process.ppid)), (), account.verdict, _unseen(evidence), account.ways)
    about = [_what_it_is(evidence, pid, command)] + list(account.about)
    if process.state == "Z":
        about.append("Its main thread has ended, %s: it is alive, no zombie." % wording.noun(process.threads - 1, "thread runs", "threads run"))
    answer = _chain(host, evidence, pid, subject, about)
    return answer._replace(ways=account.ways, verdict=" ".join(filter(None, (account.verdict, answer.verdict))))


def _what_it_is(evidence: Evidence, pid: int, command: Command) -> str:
    process, status = evidence.processes.processes[pid], evidence.processes.status.get(pid)
    unit = wording.unit_of(evidence, pid)
    return "%s, user %s, %s%s, started %s ago by %s." % (
        wording.command_line(command.program, command.arguments), wording.user_name(evidence, status.uid) if status else "?",
        "unit " + wording.unit_name(evidence, unit) if unit else "in no unit", ", %s" % wording.noun(process.threads, "thread") if process.threads > 1 else "",
        wording.duration(evidence.processes.age(process)), name_of(evidence, process.ppid))


def _chain(host: Host, evidence: Evidence, pid: int, subject: str, about: List[str]) -> Explanation:
    steps = _steps(evidence, pid)
    if headroom.exempt_from_nproc(evidence, pid):
        about.append("RLIMIT_NPROC does not bind it: root and holders of CAP_SYS_RESOURCE or CAP_SYS_ADMIN are exempt.")
    return Explanation(subject, tuple(about), tuple(steps), tuple(_origins(evidence, pid)), _verdict(steps), _unseen(evidence))


def _verdict(steps: List[Step]) -> str:
    if not steps:
        return "No limit that could be read refuses its next fork."
    first = min(steps, key=lambda step: step.maximum - step.used)
    free = first.maximum - first.used
    if free <= 0:
        return "Its next fork is refused now by %s (%d of %d)." % (first.limit, first.used, first.maximum)
    return "The first to refuse is %s: room for %d more (%d of %d)." % (first.limit, free, first.used, first.maximum)


def _steps(evidence: Evidence, pid: int) -> List[Step]:
    return [
        Step("%s of %s" % (budget.kind, _holder(evidence, budget)), budget.used, budget.limit, budget.source, _budget_origin(evidence, pid, budget))
        for budget in headroom.of_process(evidence, pid)
    ]


def _holder(evidence: Evidence, budget: headroom.Budget) -> str:
    if budget.kind == "RLIMIT_NPROC":
        return "user " + wording.user_name(evidence, int(budget.holder.split()[1]))
    return shown(budget.holder)


def _budget_origin(evidence: Evidence, pid: int, budget: headroom.Budget) -> str:
    if budget.kind == "RLIMIT_NPROC":
        return limit_origin(evidence, pid, "nproc")
    if budget.kind == "pids.max":
        return _group_origin(evidence, budget.holder)
    if budget.kind == "threads-max":
        return "kernel.threads-max (by default from the size of memory)"
    return "kernel.pid_max, less %d reserved numbers" % RESERVED_PIDS


def _group_origin(evidence: Evidence, path: str) -> str:
    name, label = path.rsplit("/", 1)[-1], cgroups.user_unit_of(path)
    setting = of_users.tasks_max(evidence, label) if label else None
    if setting is not None:
        return "%s=%s in %s:%d" % (setting.key, shown(setting.value), shown(setting.file), setting.line)
    unit = evidence.units.get(name) if evidence.has("units") and not label else None
    if unit is None:
        return "set by whoever made this group"
    _meaning, setting = evidence.units.configured_tasks_max(unit)
    if setting is None:
        return "systemd's DefaultTasksMax (15 %)"
    return "%s=%s in %s:%d" % (setting.key, shown(setting.value), setting.file, setting.line)


def limit_origin(evidence: Evidence, pid: int, item: str) -> str:
    """Who gave this process its soft limit: its unit, the manager's default, a session on the way, or PID 1."""
    own = _pair(evidence, pid, item)
    if own is None:
        return "could not be read"
    first = pid
    for ancestor in evidence.processes.ancestors(pid):
        if _pair(evidence, ancestor, item) != own:
            break
        first = ancestor
    if first == 1:
        return "inherited from PID 1"
    unit_name = wording.unit_of(evidence, first)
    unit = evidence.units.get(unit_name) if unit_name and evidence.has("units") else None
    if unit is not None:
        setting = unit.limit_set_in(item)
        if setting is not None and unit.limits.get(item) is not None and tuple(unit.limits[item])[:2] == own:
            return "%s=%s in %s:%d" % (setting.key, shown(setting.value), setting.file, setting.line)
        if item in unit.limits and tuple(unit.limits[item])[:2] == own:
            default = evidence.units.manager.defaults.get("DefaultLimit" + item.upper())
            if default is not None and default.file:
                return "%s=%s in %s:%d" % (default.key, shown(default.value), default.file, default.line)
            return "systemd's default for %s" % unit.id
    of_user = evidence.user_units.units.get(unit_name) if unit_name and evidence.has("user_units") else None
    setting = of_user.configured.get("Limit" + item.upper()) if of_user is not None else None
    if setting is not None and setting.meaning is not None and tuple(setting.meaning)[:2] == own:
        return "%s=%s in %s:%d" % (setting.key, shown(setting.value), shown(setting.file), setting.line)
    promised = _from_session(evidence, first, item, own)
    if promised:
        return promised
    parent = evidence.processes.processes[first].ppid
    before = _pair(evidence, parent, item)
    return "set when %s was started by %s%s" % (
        name_of(evidence, first), name_of(evidence, parent), ", which has %s" % wording.limit(before[0]) if before else "")


def _from_session(evidence: Evidence, pid: int, item: str, own: Tuple[int, int]) -> str:
    """The line of limits.conf that gives just this to sessions of its user, or nothing."""
    status = evidence.processes.status.get(pid)
    if status is None or not evidence.has("limits_conf") or not evidence.has("users") or evidence.limits_conf.flavour is None:
        return ""
    account = sessions.account_of(evidence, str(status.uid))
    session = sessions.of_user(evidence, account) if account is not None else None
    line = session.winners.get((item, "soft")) if session is not None else None
    if session is None or line is None or session.limits[item][0] != own[0]:
        return ""
    return '"%s" in %s, by pam_limits when its session began' % (sessions.text_of(line), line.place)


def _pair(evidence: Evidence, pid: int, item: str) -> Optional[Tuple[int, int]]:
    detail = evidence.details.of.get(pid)
    if detail is None or not detail.limits:
        return None
    pair: Optional[Tuple[int, int]] = detail.limits.get(item)
    return pair


def _origins(evidence: Evidence, pid: int) -> List[Origin]:
    found = []
    for item in ITEMS:
        pair = _pair(evidence, pid, item)
        if pair is not None:
            found.append(Origin(item, pair[0], pair[1], limit_origin(evidence, pid, item)))
    return found


def _explain_unit(host: Host, evidence: Evidence, unit: Any) -> Explanation:
    members = [pid for pid, detail in evidence.details.of.items() if detail.unit == unit.id]
    about = ["%s is %s; %s in it; files: %s." % (
        unit.id, unit.active_state or "known from its processes", wording.noun(len(members), "process", "processes"), ", ".join(unit.files) or "none")]
    for setting in (unit.limit_set_in(item) for item in ITEMS):
        if setting is not None:
            about.append("%s=%s in %s:%d." % (setting.key, shown(setting.value), setting.file, setting.line))
    if not members:
        return Explanation(unit.id, tuple(about), (), (), "No process runs in it.", _unseen(evidence))
    main = unit.main_pid if unit.main_pid in evidence.details.of else min(members)
    about.append("What follows is for %s." % name_of(evidence, main))
    return _chain(host, evidence, main, unit.id, about)


def _explain_user(host: Host, evidence: Evidence, uid: int) -> Explanation:
    counts = headroom.user_tasks(evidence)
    mine = counts.get(uid)
    name = wording.user_name(evidence, uid)
    if mine is None:
        return Explanation("user " + name, ("User %s runs nothing." % name,), (), (), "", _unseen(evidence))
    about = ["User %s has %d tasks, %d of them zombies%s." % (
        name, mine.tasks, mine.zombies, ", %d in user namespaces of his" % mine.hidden if mine.hidden else "")]
    pids = [pid for pid, status in evidence.processes.status.items() if status.uid == uid and pid in evidence.details.of]
    if not pids:
        return Explanation("user " + name, tuple(about), (), (), "", _unseen(evidence))
    tightest = min(pids, key=lambda pid: (_room(evidence, pid, counts), pid))
    about.append("What follows is for %s, which has the least room of his processes." % name_of(evidence, tightest))
    return _chain(host, evidence, tightest, "user " + name, about)


def _room(evidence: Evidence, pid: int, counts: Dict[int, headroom.UserTasks]) -> int:
    first = headroom.binding(headroom.of_process(evidence, pid, counts))
    return first.free if first else UNLIMITED


def _unseen(evidence: Evidence) -> Tuple[str, ...]:
    unseen = sorted("%s: %s" % (name, shown(error.reason)) for name, error in evidence.unseen.items())
    if evidence.has("visibility") and evidence.visibility.inside:
        unseen.append(outside.REASON)
    return tuple(unseen)
