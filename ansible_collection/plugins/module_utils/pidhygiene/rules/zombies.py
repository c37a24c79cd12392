# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-ZMB: zombies, who does not reap them, and what they will exhaust."""

import fnmatch
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import headroom, leak, marks, of_users, outside, restarts, wording
from ..model import (
    CRIT,
    FAIL,
    HIGH,
    INFO,
    LOW,
    LOW_CONFIDENCE,
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
from ..readers.zombies import AGE_STEPS_S, Brood, Reaping
from ..restarts import SHORTEST_S
from ..text import masked, shown

NEEDS = ("processes", "zombies", "details", "clock")
USES = ("cgroups", "budgets", "users", "user_namespaces", "boot_id")


@rule(
    "PH-ZMB-001", "Persistent zombies under one parent", CRIT,
    "they exhaust user, cgroup and PID budgets of services that have nothing to do with them", NEEDS, USES,
)
def persistent_zombies(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _gaps(evidence)
    for brood in evidence.zombies.broods:
        grade = _grade(evidence, policy, brood)
        if grade is None:
            yield Passed()
        else:
            yield _brood_finding(evidence, brood, grade[0], grade[1])


def _gaps(evidence: Any) -> List[Verdict]:
    return [Unknown(evidence.zombies.gaps)] if evidence.zombies.gaps else []


def _grade(evidence: Any, policy: Any, brood: Brood) -> Optional[Tuple[str, str]]:
    """Status and severity, or None when this many are nothing to speak of."""
    many = brood.persistent >= policy["zombies.warn"]
    old = brood.dead_for(policy["zombies.old_after"])
    few_but_growing = old >= policy["zombies.warn_growing"] and leak.of_brood(evidence, brood) is not None
    if not many and not few_but_growing:
        return None
    if evidence.processes.age(brood.parent) < policy["zombies.young_parent"]:
        return INFO, SEVERITY_INFO
    budget = _tightest(evidence, brood)
    if budget is not None and budget.share >= policy["headroom.fail"] and brood.persistent >= policy["zombies.fail_share"] * budget.limit:
        return FAIL, CRIT
    if brood.persistent >= policy["zombies.fail"]:
        return FAIL, HIGH
    if budget is not None and brood.persistent >= policy["zombies.fail_share"] * budget.limit:
        return FAIL, HIGH
    return WARN, MED


def charged_budgets(evidence: Any, brood: Brood) -> List[headroom.Budget]:
    """The limits that these zombies eat: those of their users' processes, of the parent's cgroups, of the machine."""
    counts = headroom.user_tasks(evidence)
    found: List[headroom.Budget] = []
    main_uid = brood.users[0][0] if brood.users else None
    if main_uid is not None and main_uid in counts:
        limits = headroom.soft_nproc(evidence).get(main_uid)
        if limits:  # the lowest is refused first
            soft = min(limits)
            found.append(headroom.Budget(
                "RLIMIT_NPROC", wording.user_name(evidence, main_uid), counts[main_uid].tasks, soft, "/proc/%d/limits" % limits[soft][0]))
    detail = evidence.details.of.get(brood.parent.pid)
    if detail is not None and evidence.has("cgroups"):
        found.extend(headroom.group_budgets(evidence, detail.pids_group))
    if evidence.has("budgets"):
        found.extend(budget for budget in (headroom.all_threads(evidence), headroom.pid_numbers(evidence)) if budget is not None)
    return found


def _tightest(evidence: Any, brood: Brood) -> Optional[headroom.Budget]:
    return headroom.binding(charged_budgets(evidence, brood))


def _brood_finding(evidence: Any, brood: Brood, status: str, severity: str) -> Finding:
    pid = brood.parent.pid
    unit = wording.unit_of(evidence, pid)
    budget = _tightest(evidence, brood)
    rate = leak.of_brood(evidence, brood)
    subject = wording.process_subject(evidence, pid, brood.parent_command.program)
    owner = wording.user_name(evidence, brood.users[0][0]) if brood.users else "?"
    parts = ["%s has not reaped %s" % (shown(subject.id), wording.noun(brood.zombies, "zombie"))]
    parts[0] += " of user %s (%s)" % (owner, wording.counted(brood.programs))
    if brood.oldest_s is not None:
        parts.append("the oldest for %s" % wording.duration(brood.oldest_s))
    if budget is not None:
        parts.append("%s (%s)" % (budget.text(), wording.percent(budget.share)))
    if rate is not None:
        parts.append("growing by %.0f a day" % rate.per_day)
        if budget is not None:
            parts.append("full %s" % wording.ahead(leak.days_left(budget.free, rate)))
    return Finding(
        status, severity, subject,
        "%s; %s." % (", ".join(parts), _cure(evidence, brood, unit)),
        evidence=(
            Seen("/proc/%d/stat" % pid, "state %s, parent %d" % (brood.parent.state, brood.parent.ppid)),
            Seen("/proc/*/stat", "%d zombies with ppid %d, for example %s" % (brood.zombies, pid, ", ".join(map(str, brood.examples)))),
            Seen("/proc/%d/cmdline" % pid, wording.command_line(brood.parent_command.program, brood.parent_command.arguments)),
            Seen("/proc/*/sched", _ages(brood)),
        ),
        binding=budget.text() if budget else None,
        confidence="high" if brood.oldest_s is not None else MEDIUM_CONFIDENCE,
        remedy=_continued(brood) or wording.parent_restarted(evidence, pid),
        references=("man:wait(2)", "kernel/exit.c release_task"),
    )


def _ages(brood: Brood) -> str:
    if not brood.ages:
        return "not told by this kernel; second look: %d persist" % brood.persistent
    return ", ".join("%d dead for at least %s" % (brood.dead_for(step), wording.duration(step)) for step in AGE_STEPS_S)


def _continued(brood: Brood) -> Optional[Remedy]:
    """For a parent that was stopped by a signal; one that a tracer holds (state t) does not go on by SIGCONT."""
    return Remedy("reap", (("mode", "continue"), ("parent", brood.parent.pid))) if brood.parent.state == "T" else None


def _cure(evidence: Any, brood: Brood, unit: Optional[str]) -> str:
    if brood.parent.state == "D":
        return "its parent is stuck in the kernel: a restart will hang, mend what it waits for first"
    if brood.parent.state in "Tt":
        return "continue the stopped parent (kill -CONT %d)" % brood.parent.pid
    if brood.parent.pid == 1:
        return "PID 1 must reap them (systemctl daemon-reexec)"
    whom = wording.restart_of(evidence, unit) if unit else "restart that program"
    return "%s and have the leak fixed by its vendor" % whom


@rule("PH-ZMB-002", "Zombie growth will hit a limit", HIGH, "an outage that can be forecast", NEEDS, USES)
def growth_hits_a_limit(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _gaps(evidence)
    if evidence.zombies.broods and not marks.same_boot(evidence):
        yield NotApplicable("growth between audits needs marks of an earlier audit of this boot; start times are used alone")
    for brood in evidence.zombies.broods:
        rate = leak.of_brood(evidence, brood)
        budget = _tightest(evidence, brood)
        if rate is None or budget is None or brood.persistent < policy["zombies.warn_growing"]:
            yield Passed()
            continue
        days = leak.days_left(budget.free, rate)
        if days >= policy["zombies.exhaustion_warn"]:
            yield Passed()
            yield from outside.groups(evidence, policy)
            continue
        failing = days < policy["zombies.exhaustion_fail"]
        subject = wording.process_subject(evidence, brood.parent.pid, brood.parent_command.program)
        yield Finding(
            FAIL if failing else WARN, HIGH if failing else MED, subject,
            "%s leaks %.0f zombies a day (from the %s): %s, full %s; restart it before then, at least every %s." % (
                shown(subject.id), rate.per_day, rate.source, budget.text(), wording.ahead(days),
                wording.duration(_safe_interval(budget, brood, rate))),
            evidence=(
                Seen("/proc/*/stat", "%d zombies started between %.0f s and %.0f s after boot" % (
                    brood.zombies, brood.births[0], brood.births[-1])),
                Seen(budget.source, "%d of %d" % (budget.used, budget.limit)),
            ),
            binding=budget.text(),
            confidence=MEDIUM_CONFIDENCE,
            remedy=_on_schedule(evidence, wording.unit_of(evidence, brood.parent.pid), _safe_interval(budget, brood, rate)),
        )


@rule(
    "PH-ZMB-003", "Main thread exited, process alive", SEVERITY_INFO, "must not be counted or killed as a zombie",
    ("processes", "zombies"), ("details", "users"),
)
def leader_exited(evidence: Any, policy: Any) -> Iterator[Verdict]:
    for process in evidence.zombies.leaders:
        subject = wording.process_subject(evidence, process.pid, process.comm)
        yield Finding(
            INFO, SEVERITY_INFO, subject,
            "%s looks like a zombie, but %s still %s: it is alive, do not kill it for a zombie." % (
                shown(subject.id), wording.noun(process.threads - 1, "thread"), "runs" if process.threads == 2 else "run"),
            evidence=(Seen("/proc/%d/stat" % process.pid, "state Z, num_threads %d" % process.threads),),
        )


@rule(
    "PH-ZMB-004", "Zombie held by a tracer", MED, "the parent cannot reap it, and the wrong party gets the blame",
    ("processes", "zombies"), ("details", "users"),
)
def held_by_tracer(evidence: Any, policy: Any) -> Iterator[Verdict]:
    for traced in evidence.zombies.traced:
        if traced.dead_s is not None and traced.dead_s < 5.0:
            yield Passed()
            continue
        name = wording.base_name(traced.tracer_command.program) if traced.tracer_command else "?"
        interactive = traced.tracer is not None and traced.tracer.tty != 0
        yield Finding(
            INFO if interactive else WARN, SEVERITY_INFO if interactive else MED,
            wording.process_subject(evidence, traced.zombie.pid, traced.zombie.comm),
            "Zombie %s (%d) cannot be reaped by its parent %d, because %s (%d) traces it; detach or end the tracer." % (
                shown(traced.zombie.comm), traced.zombie.pid, traced.zombie.ppid, shown(name), traced.tracer_pid),
            evidence=(
                Seen("/proc/%d/status" % traced.zombie.pid, "TracerPid %d" % traced.tracer_pid),
                Seen("/proc/%d/cmdline" % traced.tracer_pid, wording.command_line(
                    traced.tracer_command.program, traced.tracer_command.arguments) if traced.tracer_command else "gone"),
            ),
            remedy=Remedy("reap", (("mode", "detach"), ("tracer", traced.tracer_pid)), disruptive=True),
        )


@rule("PH-ZMB-005", "Why the parent does not reap", MED, "it selects the remedy that works", NEEDS, USES)
def why_not_reaped(evidence: Any, policy: Any) -> Iterator[Verdict]:
    for brood in evidence.zombies.broods:
        grade = _grade(evidence, policy, brood)
        if grade is None or grade[0] == INFO:
            yield Passed()
            continue
        subject = wording.process_subject(evidence, brood.parent.pid, brood.parent_command.program)
        if brood.reaping is None:
            yield Unknown((Gap("/proc/%d/task/*/status" % brood.parent.pid, "signal handling of a zombie's parent could not be read"),))
            continue
        cause, hangs = diagnose(brood, brood.reaping)
        yield Finding(
            WARN if hangs else INFO, HIGH if hangs else LOW, subject, "%s %s." % (shown(subject.id), cause),
            evidence=(Seen("/proc/%d/task/*/status" % brood.parent.pid, _signals(brood.reaping)),),
            confidence=MEDIUM_CONFIDENCE if not hangs else "high",
            remedy=_continued(brood),
            references=("man:sigaction(2)", "kernel/signal.c do_notify_parent"),
        )


def diagnose(brood: Brood, reaping: Reaping) -> Tuple[str, bool]:
    """What keeps the parent from reaping, as the rest of a sentence, and whether a restart of it would hang."""
    if reaping.state == "D":
        return "is stuck in the kernel (%s): a restart will hang, mend what it waits for" % (shown(reaping.wait_channel) or "state D"), True
    if reaping.state in "Tt":
        return "is stopped: continue it with kill -CONT, then it can reap", False
    if brood.unwaitable * 2 > brood.zombies:
        return "was told of its children by another signal than SIGCHLD: a plain wait() never returns them, only __WALL does", False
    if reaping.ignored:
        return "ignores SIGCHLD now, but did not when its children ended: only its end clears them", False
    if reaping.blocked and reaping.pending:
        return "blocks SIGCHLD and has one pending: its event loop is stuck or never reads its signal descriptor", False
    if not reaping.caught and not reaping.blocked:
        return "neither handles SIGCHLD nor waits for its children: it never reaps them", False
    if reaping.caught:
        return "handles SIGCHLD but loses children: one signal can stand for many, its handler must wait in a loop", False
    return "waits for SIGCHLD with the signal blocked and does not collect every child", False


def _signals(reaping: Reaping) -> str:
    words = [name for name, flag in (
        ("ignored", reaping.ignored), ("caught", reaping.caught), ("blocked", reaping.blocked), ("pending", reaping.pending)) if flag]
    return "state %s; SIGCHLD %s" % (reaping.state, ", ".join(words) or "neither ignored, caught nor blocked")


@rule("PH-ZMB-006", "An init that does not reap", CRIT, "on a host, everything orphaned leaks for ever", NEEDS, USES)
def init_does_not_reap(evidence: Any, policy: Any) -> Iterator[Verdict]:
    for brood in evidence.zombies.broods:
        if brood.parent.pid != 1:
            continue
        patience = policy["zombies.init_patience"]
        lasting = brood.dead_for(patience) if brood.ages else brood.persistent
        growing = brood.dead_for(policy["zombies.old_after"]) >= policy["zombies.warn_growing"] and leak.of_brood(evidence, brood) is not None
        if lasting < policy["zombies.warn"] and not growing:
            yield Passed()
            continue
        yield Finding(
            FAIL, CRIT, Subject("process", "PID 1 (%s)" % shown(brood.parent.comm), "pid1|" + brood.parent.comm),
            "PID 1 (%s) has not reaped %s for over %s: nothing that is orphaned here will ever go away; "
            "run systemctl daemon-reexec where it is systemd, else plan a reboot." % (
                shown(brood.parent.comm), wording.noun(lasting, "zombie"), wording.duration(patience if brood.ages else 5)),
            evidence=(Seen("/proc/*/stat", "%d zombies with ppid 1, for example %s" % (
                brood.zombies, ", ".join(map(str, brood.examples)))),),
            remedy=Remedy("reboot", (), disruptive=True),  # when, people say
        )


def _safe_interval(budget: Any, brood: Brood, rate: Any) -> float:
    """Seconds: half of the time in which the emptied limit fills."""
    return float(86400 * max(budget.limit - budget.used + brood.persistent, 0) / rate.per_day / 2)


def _on_schedule(evidence: Any, unit: Optional[str], interval_s: float, instead_of: str = "") -> Optional[Remedy]:
    """A restart in time, with an owner; none for what is no service of the system, or leaks so fast that it must be mended or stopped."""
    if not unit or not unit.endswith(".service") or len(wording.unit_parameters(evidence, unit)) > 1 or 0 < interval_s < SHORTEST_S:
        return None
    parameters: List[Tuple[str, Any]] = [("unit", unit)]
    if interval_s:
        parameters.append(("interval", int(interval_s)))
    if instead_of:
        parameters.append(("take_over", instead_of))
    return Remedy("scheduled_restart", tuple(parameters), disruptive=True) if len(parameters) > 1 else None


@rule(
    "PH-ZMB-007", "Periodic restart hides a leak", MED, "the next change of load breaks it",
    NEEDS + ("cron",), USES + ("units", "user_units"),
)
def restart_hides_leak(evidence: Any, policy: Any) -> Iterator[Verdict]:
    leaking: Dict[str, Brood] = {}
    for brood in evidence.zombies.broods:
        if brood.persistent >= policy["zombies.warn_growing"]:
            for name in _service_names(evidence, brood):
                leaking.setdefault(name, brood)
    if evidence.cron.gaps:
        yield Unknown(evidence.cron.gaps)
    gaps = evidence.details.gaps_of("cgroup") + (evidence.units.gaps if evidence.has("units") else ())
    if leaking and gaps:
        yield Unknown(gaps)
    if leaking:
        yield from of_users.unseen(evidence)
    for restart in restarts.scheduled(evidence):
        hidden = leaking.get(_without_suffix(restart.service))
        yield Passed() if hidden is None else _hidden_leak(evidence, policy, restart, hidden)


def _without_suffix(service: str) -> str:
    """VRTSralus.init, as vendors name their scripts in /etc/init.d → VRTSralus."""
    for suffix in (".service", ".init"):
        service = service[: -len(suffix)] if service.endswith(suffix) else service
    return service


def _service_names(evidence: Any, brood: Brood) -> List[str]:
    names = {wording.base_name(brood.parent_command.program), brood.parent.comm}
    unit = wording.unit_of(evidence, brood.parent.pid)
    if unit:
        names.add(unit.rsplit(".", 1)[0])
    return sorted(names)


def _hidden_leak(evidence: Any, policy: Any, restart: Any, brood: Brood) -> Verdict:
    """Whoever owns the restart knows of the leak; that it comes too late he may not know."""
    budget = _tightest(evidence, brood)
    rate = leak.of_brood(evidence, brood)
    unit, interval_s = wording.unit_of(evidence, brood.parent.pid), 0.0
    every = " every %s" % wording.duration(restart.interval_s) if restart.interval_s is not None else ""
    job, service = shown(wording.unit_name(evidence, restart.job)), shown(wording.unit_name(evidence, restart.service))
    status, message = WARN, "%s restarts %s%s to hide a leak of zombies" % (
        "RuntimeMaxSec=" if restart.job == restart.service else job, service, every)
    if budget is not None and rate is not None:
        days = (budget.limit - budget.used + brood.persistent) / rate.per_day
        message += ": at %.0f a day the limit (%s) is reached in %s" % (rate.per_day, budget.text(), wording.duration(86400 * days))
        if restart.interval_s is not None and restart.interval_s > 0.5 * 86400 * days:
            status, message = FAIL, message + ", less than twice the interval"
            interval_s = _safe_interval(budget, brood, rate)
    names = (restart.service, restart.unit, _without_suffix(restart.service) + ".service", restart.unit.rpartition("/")[2])
    if status == WARN and (restart.owner or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in policy["restarts.owned"])):
        return Passed()
    return Finding(
        status, HIGH if status == FAIL else MED, Subject("job", "%s: %s" % (restart.job, restart.service)),
        message + "; have the leak fixed, and until then restart by threshold.",
        evidence=(Seen(restart.source, masked(restart.line)),) + ((Seen(restart.source, restart.when),) if restart.when else ()),
        confidence=MEDIUM_CONFIDENCE if rate else LOW_CONFIDENCE,
        remedy=_on_schedule(evidence, unit, interval_s, restart.job if restart.job == restart.source else ""),  # a line of cron
    )
