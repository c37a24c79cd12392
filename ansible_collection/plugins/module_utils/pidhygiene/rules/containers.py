# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-CTR: containers whose init does not reap, whose budget of tasks runs out, or that have none."""

from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

from .. import headroom, leak, outside, wording
from ..model import (
    CRIT,
    FAIL,
    HIGH,
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
    Seen,
    Subject,
    Unknown,
    Verdict,
    rule,
)
from ..readers.containers import Container
from ..readers.zombies import Brood
from ..record import NamedTuple
from ..text import shown
from .zombies import charged_budgets

NEEDS = ("processes", "details", "containers", "zombies")
USES = ("cgroups", "budgets", "users", "user_namespaces", "boot_id", "clock", "visibility")
NO_CONTAINER = "no container runs here: no pid namespace below our own has a living init"
REAPERS = frozenset(  # programs that reap what they adopt: they get a minute, as they may be busy
    "tini tini-static docker-init catatonit podman-init dumb-init systemd init s6-svscan runit runsvdir bash".split())
SHELLS = frozenset("sh bash dash ash busybox".split())
PROBES = 6  # zombies at least, before their start times are called regular


def name_of(container: Container) -> str:
    return "%s container %s" % (container.runtime, container.id[:12]) if container.known else "the pid namespace of %s (%d)" % (
        wording.base_name(container.command.program), container.init.pid)


def _subject(container: Container) -> Subject:
    """Ids change with every container; runtime and what it runs stay. A machine that has a name keeps it."""
    named = container.id if container.runtime in ("nspawn", "lxc") else ""
    return Subject("container", name_of(container), "|".join((container.runtime, named) + container.command.arguments[:4])[:200]
                   or container.command.program)


def _proof(container: Container) -> Tuple[Seen, ...]:
    pid = container.init.pid
    return (
        Seen("/proc/%d/cmdline" % pid, wording.command_line(container.command.program, container.command.arguments)),
        Seen("/proc/%d/cgroup" % pid, shown(container.group)),
    )


def _brood(evidence: Any, container: Container) -> Optional[Brood]:
    return next((brood for brood in evidence.zombies.broods if brood.parent.pid == container.init.pid), None)


def _zombies(evidence: Any, container: Container) -> int:
    """Of its init and of every other member."""
    members = set(container.members)
    return sum(brood.zombies for brood in evidence.zombies.broods if brood.parent.pid in members)


@rule(
    "PH-CTR-001", "Container init does not reap", CRIT,
    "everything that is orphaned in the container stays, until it can start nothing any more", NEEDS, USES,
)
def init_does_not_reap(evidence: Any, policy: Any) -> Iterator[Verdict]:
    gaps = evidence.details.gaps_of("cgroup") + evidence.zombies.gaps
    if gaps:
        yield Unknown(gaps)
    if not evidence.containers.containers:
        yield NotApplicable(NO_CONTAINER)
    for container in evidence.containers.containers:
        brood = _brood(evidence, container)
        grade = _grade(evidence, policy, container, brood) if brood is not None else None
        if brood is None or grade is None:
            yield Passed()
        else:
            yield _not_reaping(evidence, container, brood, grade)


def _grade(evidence: Any, policy: Any, container: Container, brood: Brood) -> Optional[Tuple[str, str]]:
    """Status and severity, or None: an init that reaps is given a minute for it, and a handful that does not grow is left alone."""
    reaps = wording.base_name(container.command.program) in REAPERS
    lasting = brood.dead_for(policy["zombies.init_patience"]) if reaps and brood.ages else brood.persistent
    growing = brood.dead_for(policy["zombies.old_after"]) >= policy["zombies.warn_growing"] and leak.of_brood(evidence, brood) is not None
    if lasting < policy["zombies.warn"] and not growing:
        return None
    budget = headroom.binding(_group_budgets(evidence, container))
    large = budget is not None and lasting >= policy["zombies.fail_share"] * budget.limit
    if budget is not None and large and budget.share >= policy["headroom.fail"]:
        return FAIL, CRIT
    return (FAIL, HIGH) if large or lasting >= policy["zombies.fail"] else (WARN, MED)


def _group_budgets(evidence: Any, container: Container) -> List[headroom.Budget]:
    return headroom.group_budgets(evidence, container.group) if evidence.has("cgroups") else []


def _not_reaping(evidence: Any, container: Container, brood: Brood, grade: Tuple[str, str]) -> Finding:
    subject, pid = _subject(container), container.init.pid
    budget = headroom.binding(_group_budgets(evidence, container))
    parts = ["%s: its init %s (%d) has not reaped %s (%s)" % (
        shown(subject.id), shown(wording.base_name(container.command.program)), pid, wording.noun(brood.zombies, "zombie"),
        wording.counted(brood.programs))]
    if brood.oldest_s is not None:
        parts.append("the oldest for %s" % wording.duration(brood.oldest_s))
    if budget is not None:
        parts.append("%s (%s)" % (shown(budget.text()), wording.percent(budget.share)))
    return Finding(
        grade[0], grade[1], subject,
        "%s; recreate it with an init that reaps (--init, tini as entry point, or shareProcessNamespace)." % ", ".join(parts),
        evidence=_proof(container) + (
            Seen("/proc/%d/status" % pid, "NSpid ends in 1: it is the init of its pid namespace"),
            Seen("/proc/*/stat", "%d zombies with ppid %d, for example %s" % (brood.zombies, pid, ", ".join(map(str, brood.examples)))),
        ),
        binding=shown(budget.text()) if budget else None,
        confidence="high" if brood.oldest_s is not None else MEDIUM_CONFIDENCE,
        references=("man:pid_namespaces(7)", "krallin/tini#8"),
    )


class Use(NamedTuple):
    group: Any
    containers: List[Container]

    @property
    def share(self) -> float:
        return float(self.group.current) / float(self.group.maximum)


@rule(
    "PH-CTR-002", "Container close to its limit of tasks", CRIT,
    "nothing can be started in it, not even a shell to look", NEEDS + ("cgroups",), USES,
)
def pids_budget(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """The container's own limit and those of the pod and slices around it; a limit that many share is told once."""
    gaps = evidence.details.gaps_of("cgroup") + _limit_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    if not evidence.containers.containers:
        yield NotApplicable(NO_CONTAINER)
    else:
        yield from outside.groups(evidence, policy)
    uses: Dict[str, Use] = {}
    for container in evidence.containers.containers:
        tightest = evidence.cgroups.tightest(container.group)
        if tightest is None or tightest.maximum < policy["tasks.ignore_below"]:
            yield Passed()
        else:
            uses.setdefault(tightest.path, Use(tightest, [])).containers.append(container)
    for path in sorted(uses):
        yield Passed() if uses[path].share < policy["headroom.warn"] else _full(evidence, policy, uses[path])


def _limit_gaps(evidence: Any) -> Tuple[Gap, ...]:
    """What could not be read of the groups around containers; other groups are of no concern here."""
    around: Set[str] = set()
    mount = evidence.cgroups.hierarchy.pids_mount or ""
    for container in evidence.containers.containers:
        parts = container.group.strip("/").split("/")
        around.update("/" + "/".join(parts[:length]) for length in range(1, len(parts) + 1))
    return tuple(
        gap for gap in evidence.cgroups.gaps
        if gap.source in around or gap.source == "/proc/self/mountinfo" or gap.source[len(mount):].rpartition("/")[0] in around)


def _full(evidence: Any, policy: Any, use: Use) -> Finding:
    group, failing = use.group, use.share >= policy["headroom.fail"]
    container = max(use.containers, key=lambda each: (_zombies(evidence, each), len(each.members), -each.init.pid))
    subject = _subject(container)
    zombies = sum(_zombies(evidence, each) for each in use.containers)
    many = zombies * 2 > group.current
    severity = (CRIT if use.share >= 1 else HIGH) if failing else MED
    others = " with %s" % wording.noun(len(use.containers) - 1, "other container") if len(use.containers) > 1 else ""
    return Finding(
        FAIL if failing else WARN, severity, subject,
        "%s%s has %d tasks of %d allowed by %s (%s), %s of them zombies; %s." % (
            shown(subject.id), others, group.current, group.maximum, shown(group.path), wording.percent(use.share), zombies or "none",
            "recreate it with an init that reaps, raising the limit only buys time" if many else
            "raise its limit of pids if this many are meant"),
        evidence=_proof(container) + (
            Seen("%s%s/pids.max" % (evidence.cgroups.hierarchy.pids_mount or "", shown(group.path)), "%d" % group.maximum),
            Seen("%s%s/pids.current" % (evidence.cgroups.hierarchy.pids_mount or "", shown(group.path)), "%d" % group.current),
        ),
        binding="pids.max of %s: %d of %d" % (shown(group.path), group.current, group.maximum),
        references=("kernel/cgroup/pids.c",),
    )


@rule(
    "PH-CTR-003", "No limit of tasks around a container", LOW, "one container can use up the tasks of the host",
    NEEDS + ("cgroups",), USES,
)
def no_pids_limit(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Docker's default, so information, and once for the host."""
    gaps = evidence.details.gaps_of("cgroup") + _limit_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    known = [container for container in evidence.containers.containers if container.known]
    if not known:
        yield NotApplicable("no container of a known runtime runs here")
    open_ended = [each for each in known if evidence.cgroups.chain(each.group) and evidence.cgroups.tightest(each.group) is None]
    blind = [each for each in known if not evidence.cgroups.chain(each.group)]
    if blind and not gaps:
        yield Unknown(tuple(Gap(each.group, "no limit file of the pids controller can be seen for this group") for each in blind))
    yield Passed(len(known) - len(open_ended) - len(blind))
    hidden = list(outside.groups(evidence, policy)) if open_ended else []
    yield from hidden
    if open_ended and not hidden:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "containers without a limit of tasks"),
            "%s without any limit of tasks (%s): each can use up those of the host; set --pids-limit, podPidsLimit or TasksMax= of their slice." % (
                wording.noun(len(open_ended), "container runs", "containers run"), wording.listed([name_of(each) for each in open_ended], 3)),
            evidence=tuple(Seen("%s%s/pids.max" % (evidence.cgroups.hierarchy.pids_mount or "", shown(each.group)), "max, up to the root")
                           for each in open_ended[:5]),
            references=("kernel/cgroup/pids.c",),
        )


@rule(
    "PH-CTR-004", "Container init passes over SIGTERM", MED, "every stop takes ten seconds and ends in a SIGKILL: data can be lost",
    NEEDS, USES + ("stop_kills",),
)
def init_passes_over_sigterm(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Common in images, so information, once for each workload: the kernel drops signals that an init does not handle."""
    gaps = evidence.details.gaps_of("cgroup") + evidence.containers.gaps
    if gaps:
        yield Unknown(gaps)
    known = [container for container in evidence.containers.containers if container.known]
    yield from _killed_at_stop(evidence, known)
    if not known:
        yield NotApplicable("no container of a known runtime runs here")
    alike: Dict[str, List[Container]] = {}
    for container in known:
        if container.signals is None:
            continue
        if _handles_sigterm(container):
            yield Passed()
        else:
            alike.setdefault(_subject(container).key, []).append(container)
    for key in sorted(alike):
        yield _passes_over(alike[key])


def _killed_at_stop(evidence: Any, known: List[Container]) -> Iterator[Verdict]:
    """A container that was restarted keeps its id; of others nothing but the id is left to name them by."""
    if not evidence.has("stop_kills"):
        return
    log = evidence.stop_kills
    if known and log.gaps:
        yield Unknown(log.gaps)
    by_id = {container.id: container for container in known if container.runtime == "docker"}
    of_workload: Dict[str, List[Any]] = {}
    subjects: Dict[str, Subject] = {}
    for killed in log.killed:
        container = by_id.get(killed.container) if killed.runtime == "docker" else None
        subject = _subject(container) if container is not None else Subject("host", "containers killed at stop", "killed at stop|" + killed.runtime)
        subjects.setdefault(subject.key, subject)
        of_workload.setdefault(subject.key, []).append(killed)
    for key in sorted(of_workload):
        yield _killed(subjects[key], of_workload[key])


def _killed(subject: Subject, killed: List[Any]) -> Finding:
    names = sorted({each.container[:12] if each.runtime == "docker" else each.container for each in killed})
    whom = shown(subject.id) if subject.type == "container" else "%s of %s (%s)" % (
        wording.noun(len(names), "container"), killed[0].runtime, wording.listed(names, 3))
    return Finding(
        WARN, MED, subject._replace(key="stop|" + subject.key),
        "%s %s killed at a stop %s in the last day, after %s: let the init handle SIGTERM, or give the stop as long as it needs (--stop-timeout)." % (
            whom, "was" if len(names) == 1 else "were", wording.noun(len(killed), "time"), wording.duration(max(each.waited_s for each in killed))),
        evidence=tuple(Seen("log", shown(each.message)) for each in killed[:3]), references=("man:docker-stop(1)", "man:pid_namespaces(7)"),
    )


def _handles_sigterm(container: Container) -> bool:
    """Small inits wait for every signal; what they wait for looks unblocked, and only root sees that they wait."""
    signals = container.signals
    return wording.base_name(container.command.program) in REAPERS - SHELLS or bool(
        signals and (signals.caught or signals.blocked or signals.waited_for))


def _passes_over(alike: List[Container]) -> Finding:
    container = alike[0]
    program = wording.base_name(container.command.program)
    subject = _subject(container)
    more = " (and %s alike)" % wording.noun(len(alike) - 1, "other") if len(alike) > 1 else ""
    return Finding(
        INFO, SEVERITY_INFO, subject,
        "%s%s: its init %s (%d) has no handler for SIGTERM, so a stop ends in SIGKILL; %s." % (
            shown(subject.id), more, shown(program), container.init.pid,
            "let the entry point exec the program" if program in SHELLS else "run it under an init (--init), or let it handle the signal"),
        evidence=_proof(container) + (Seen("/proc/%d/task/*/status" % container.init.pid, "SIGTERM neither in SigCgt nor in SigBlk"),),
        references=("man:pid_namespaces(7)",),
    )


@rule(
    "PH-CTR-005", "A probe leaks a zombie at each run", HIGH, "the container dies on schedule", NEEDS, USES,
)
def probes_accumulate(evidence: Any, policy: Any) -> Iterator[Verdict]:
    gaps = evidence.details.gaps_of("cgroup") + evidence.zombies.gaps
    if gaps:
        yield Unknown(gaps)
    if not evidence.containers.containers:
        yield NotApplicable(NO_CONTAINER)
    for container in evidence.containers.containers:
        brood = _brood(evidence, container)
        interval = _interval(brood, evidence.processes.clock.boot) if brood is not None else None
        if brood is None or interval is None or brood.persistent < policy["zombies.warn_growing"]:
            yield Passed()
        else:
            yield _probe(evidence, policy, container, brood, interval)


def _interval(brood: Brood, now: float) -> Optional[float]:
    """Seconds between the births of its zombies where these are regular, of one program, and still going on."""
    if len(brood.births) < PROBES or brood.programs[0][1] < 0.9 * brood.zombies:
        return None
    gaps = sorted(after - before for before, after in zip(brood.births, brood.births[1:]))
    middle = gaps[len(gaps) // 2]
    regular = sum(1 for gap in gaps if abs(gap - middle) <= 0.25 * middle)
    if middle < 1.0 or regular < 0.8 * len(gaps) or now - brood.births[-1] > 3 * middle:
        return None
    return (brood.births[-1] - brood.births[0]) / (len(brood.births) - 1)


def _probe(evidence: Any, policy: Any, container: Container, brood: Brood, interval: float) -> Finding:
    subject = _subject(container)
    budget = headroom.binding(charged_budgets(evidence, brood))
    days = max(0, budget.free) * interval / 86400.0 if budget is not None else float("inf")
    failing = days < policy["zombies.exhaustion_fail"]
    full = ", %s is full %s" % (shown(budget.text()), wording.ahead(days)) if budget is not None else ""
    return Finding(
        FAIL if failing else WARN, HIGH if failing else MED, subject,
        "%s leaks one zombie %s every %s (%d so far)%s; give it an init that reaps (--init), and the probe a time-out of its own." % (
            shown(subject.id), shown(brood.programs[0][0]), wording.duration(interval), brood.zombies, full),
        evidence=_proof(container) + (
            Seen("/proc/*/stat", "%d zombies %s of %d, started from %.0f s to %.0f s after boot" % (
                brood.programs[0][1], shown(brood.programs[0][0]), container.init.pid, brood.births[0], brood.births[-1])),
        ),
        binding=shown(budget.text()) if budget else None,
        confidence=MEDIUM_CONFIDENCE,
        references=("man:pid_namespaces(7)", "moby/moby#47583"),
    )
