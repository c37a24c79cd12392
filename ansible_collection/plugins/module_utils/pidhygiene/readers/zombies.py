# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zombies by the parent that does not reap them: how many, whose, how old, born when; and why the parent does not reap.

A zombie's age is known in one look, by the scheduler's clock. Where the kernel does not show it, the suspects get a second look.
A healthy host never waits.
"""

from typing import Dict, Iterable, List, Optional, Sequence, Tuple, TypeVar

from ..host import Host, HostError, Missing, OutOfTime
from ..model import Gap
from ..record import NamedTuple
from .processes import Command, Process, ProcessTable, parse_stat, parse_status, read_command, sample
from .scheduler_clock import SchedulerClock

SIGCHLD = 17
SUSPECT = 5  # zombies under one parent from which on the parent is looked at closely
AGES_READ = 60  # zombies of one parent whose age is read, spread over their start times
FIRST_WAIT_S, WAITED_AT_MOST_S = 0.2, 5.0  # second look, only where ages cannot be read


class Reaping(NamedTuple):
    """What a parent does about SIGCHLD, over all its threads, and what holds it up."""

    state: str
    ignored: bool
    caught: bool
    blocked: bool  # in every thread that could be looked at
    pending: bool
    wait_channel: str


class Brood(NamedTuple):
    """The zombies of one parent. Counts are of zombies that the parent could reap; traced ones stand apart."""

    parent: Process
    parent_command: Command
    zombies: int
    persistent: int  # of them: dead for at least PERSISTENT_S, extrapolated from the sample where one was taken
    ages: Tuple[float, ...]  # seconds dead, of the sampled ones whose age the kernel tells
    programs: Tuple[Tuple[str, int], ...]  # command name to count, most first
    users: Tuple[Tuple[int, int], ...]  # uid to count, most first
    births: Tuple[float, ...]  # seconds since boot at which each was started, sorted
    unwaitable: int  # exit signal is not SIGCHLD: a plain wait() never returns them
    examples: Tuple[int, ...]  # pids
    reaping: Optional[Reaping]  # None for parents with few zombies, or when it could not be read

    @property
    def oldest_s(self) -> Optional[float]:
        """Longest time dead; None when it cannot be known."""
        return max(self.ages) if self.ages else None

    def dead_for(self, seconds: float) -> int:
        """How many have been dead for at least that long, extrapolated from the sample; 0 when no age is known."""
        return extrapolated(self.ages, seconds, self.zombies)


class Traced(NamedTuple):
    zombie: Process
    tracer: Optional[Process]
    tracer_pid: int
    tracer_command: Optional[Command]
    tracer_uid: Optional[int]
    dead_s: Optional[float]


class Zombies(NamedTuple):
    broods: Tuple[Brood, ...]  # most zombies first
    traced: Tuple[Traced, ...]
    leaders: Tuple[Process, ...]  # main thread ended, process alive
    total: int  # reapable zombies on the host
    waited_s: float
    ages_from: str  # "sched", "second look" or "nothing"
    gaps: Tuple[Gap, ...]


PERSISTENT_S = 5.0
AGE_STEPS_S = (60, 600, 3600)


def read(host: Host, table: ProcessTable) -> Zombies:
    """Never raises."""
    gaps: List[Gap] = []
    groups = table.zombies_by_parent()
    samples = {pid: sample(group, AGES_READ) for pid, group in groups.items()}
    clock = SchedulerClock(host, table)
    ages: Dict[int, float] = {}
    for sampled in samples.values():
        for process in sampled:
            age = clock.dead_for(process)
            if age is not None:
                ages[process.pid] = age
    waited = 0.0
    confirmed: Dict[int, bool] = {}
    ageless = [pid for pid, group in groups.items() if len(group) >= SUSPECT and not any(process.pid in ages for process in samples[pid])]
    if ageless:
        waited, confirmed = _second_look(host, [process for pid in ageless for process in samples[pid]], gaps)
    traced_pids = {pid for pid, status in table.status.items() if status.tracer}
    broods = []
    for parent_pid, group in groups.items():
        own = [process for process in group if process.pid not in traced_pids]
        parent = table.processes.get(parent_pid)
        if own and parent is not None:
            broods.append(_brood(host, table, parent, own, ages, confirmed))
    broods.sort(key=lambda brood: (-brood.zombies, brood.parent.pid))
    return Zombies(
        tuple(broods),
        tuple(_traced(host, table, table.processes[pid], ages) for pid in sorted(traced_pids) if table.processes[pid].zombie),
        tuple(process for process in table.processes.values() if process.state == "Z" and process.threads > 1),
        sum(brood.zombies for brood in broods), waited, "sched" if ages else ("second look" if confirmed else "nothing"), tuple(gaps),
    )


def extrapolated(ages: Sequence[float], seconds: float, total: int) -> int:
    """Of this many, those that are at least that old, judged by the ages of a sample."""
    return int(round(sum(1 for age in ages if age >= seconds) * total / float(len(ages)))) if ages else 0


def _brood(
    host: Host, table: ProcessTable, parent: Process, group: List[Process], ages: Dict[int, float], confirmed: Dict[int, bool]
) -> Brood:
    sampled = sample(group, AGES_READ)
    known = [ages[process.pid] for process in sampled if process.pid in ages]
    if known:
        persistent = extrapolated(known, PERSISTENT_S, len(group))
    else:
        seen = [confirmed.get(process.pid, False) for process in sampled]
        persistent = int(round(sum(seen) * len(group) / float(len(seen)))) if seen else 0
    uids = [table.status[p.pid].uid if p.pid in table.status else table.owners.get(p.pid, -1) for p in group]
    ticks = float(table.machine.ticks_per_second)
    return Brood(
        parent=parent,
        parent_command=read_command(host, parent),
        zombies=len(group),
        persistent=persistent,
        ages=tuple(known),
        programs=_most_first(process.comm for process in group),
        users=_most_first(uid for uid in uids if uid >= 0),
        births=tuple(process.start / ticks for process in group),
        unwaitable=sum(1 for process in group if process.exit_signal != SIGCHLD),
        examples=tuple(process.pid for process in sample(group, 5)),
        reaping=read_reaping(host, parent) if len(group) >= SUSPECT else None,
    )


Counted = TypeVar("Counted", int, str)


def _most_first(values: Iterable[Counted]) -> Tuple[Tuple[Counted, int], ...]:
    counts: Dict[Counted, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0]))))


def _traced(host: Host, table: ProcessTable, zombie: Process, ages: Dict[int, float]) -> Traced:
    tracer_pid = table.status[zombie.pid].tracer
    tracer = table.processes.get(tracer_pid)
    status = table.status.get(tracer_pid)
    return Traced(
        zombie, tracer, tracer_pid, read_command(host, tracer) if tracer else None, status.uid if status else None, ages.get(zombie.pid)
    )


def _second_look(host: Host, suspects: List[Process], gaps: List[Gap]) -> Tuple[float, Dict[int, bool]]:
    """Which of them are the same zombie after waiting; stops early when none is left."""
    waited, wait = 0.0, FIRST_WAIT_S
    alive = {process.pid: process for process in suspects}
    while waited < WAITED_AT_MOST_S and alive:
        try:
            host.look_again_after(wait)
        except OutOfTime as error:
            gaps.append(Gap("second look at zombies", error.reason))
            return waited, {}
        waited += wait
        alive = {pid: process for pid, process in alive.items() if _same_zombie(host, process)}
        wait = WAITED_AT_MOST_S - waited
    return waited, {pid: True for pid in alive}


def _same_zombie(host: Host, process: Process) -> bool:
    try:
        again = parse_stat(host.read("/proc/%d/stat" % process.pid))
    except (HostError, ValueError):
        return False
    return again.state == "Z" and again.start == process.start and again.ppid == process.ppid


def read_reaping(host: Host, parent: Process) -> Optional[Reaping]:
    """Signal masks are per thread for blocking, per process for handling (kernel/signal.c)."""
    bit = 1 << (SIGCHLD - 1)
    base = "/proc/%d/task" % parent.pid
    try:
        threads = [parse_status(host.read("%s/%s/status" % (base, name))) for name in host.list(base)[:64]]
        channel = _wait_channel(host, parent.pid)
    except (HostError, ValueError):
        return None
    if not threads:
        return None
    return Reaping(
        parent.state, any(each.ignored & bit for each in threads), any(each.caught & bit for each in threads),
        all(each.blocked & bit for each in threads), any(each.pending & bit for each in threads), channel,
    )


def _wait_channel(host: Host, pid: int) -> str:
    try:
        return host.read_text("/proc/%d/wchan" % pid).strip("\0 \n0")
    except Missing:
        return ""
