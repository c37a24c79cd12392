# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long ago a task last ran: for a zombie, how long it has been dead; for one in state D, how long it has been stuck.

``se.exec_start`` in /proc/PID/sched is the scheduler's clock at the task's last run and stays readable after exit
(kernel/sched/debug.c proc_sched_show_task). Each processor has a clock of its own, which leaves out stolen and interrupt time
(kernel/sched/core.c update_rq_clock_task): on a crowded virtual machine two of them are hours apart after months. So a task is
compared with those that ran on the same processor only. The last of them to run tells what its clock shows at least: an age is
told too low rather than too high.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError
from .processes import Process, ProcessTable, parse_stat

LOOKED_AT = 40  # tasks per processor; kernel threads are bound to theirs and run every few seconds
ASLEEP = "SDITt"  # a task that waits for its turn may have been moved to another processor since it ran


class SchedulerClock:
    """Reads nothing until it is asked; then once per processor."""

    def __init__(self, host: Host, table: ProcessTable) -> None:
        self._host = host
        self._table = table
        self._now: Dict[int, Optional[float]] = {}
        self._own: Optional[Tuple[int, float]] = None
        self._tasks: Dict[int, List[Process]] = {}

    def dead_for(self, zombie: Process) -> Optional[float]:
        """Seconds; None where the kernel does not tell. A zombie's processor is final."""
        now = self._now_on(zombie.processor)
        return None if now is None else _since(now, self._last_run(zombie.pid))  # not read where there is nothing to compare it with

    def idle_for(self, pid: int) -> Optional[float]:
        """Seconds since the task ran; None where the kernel does not tell, or it runs."""
        seen = self._resting(pid)
        return None if seen is None else _since(self._now_on(seen[0]), seen[1])

    def _now_on(self, processor: int) -> Optional[float]:
        if not self._now:
            self._own = self._ourselves()
            for process in self._table.processes.values():
                if process.state in ASLEEP:
                    self._tasks.setdefault(process.processor, []).append(process)
        if processor not in self._now:
            own = self._own
            self._now[processor] = own[1] if own is not None and own[0] == processor else self._latest(processor)
        return self._now[processor]

    def _ourselves(self) -> Optional[Tuple[int, float]]:
        """Where we run, and what the clock shows there. None when we are moved too often, or cannot see."""
        for _attempt in range(3):
            try:
                before = parse_stat(self._host.read("/proc/self/stat"))
                shown = last_run(self._host.read("/proc/self/sched"))
                if shown is None or before.state != "R":  # a thread beside the main one asks
                    return None
                if parse_stat(self._host.read("/proc/self/stat")).processor == before.processor:
                    return before.processor, shown
            except (HostError, ValueError):
                return None
        return None

    def _latest(self, processor: int) -> Optional[float]:
        tasks = sorted(self._tasks.get(processor, ()), key=lambda each: (not each.comm.startswith("kworker"), -each.cpu_ticks, each.pid))
        shown = [(last, task.pid) for task in tasks[:LOOKED_AT] for last in [self._last_run(task.pid)] if last is not None]
        for _last, pid in sorted(shown, reverse=True):
            seen = self._resting(pid)
            if seen is not None and seen[0] == processor:
                return seen[1]
        return None

    def _last_run(self, pid: int) -> Optional[float]:
        try:
            return last_run(self._host.read("/proc/%d/sched" % pid))
        except HostError:
            return None

    def _resting(self, pid: int) -> Optional[Tuple[int, float]]:
        """Processor of a task that sleeps, and when it ran there last; None when it runs meanwhile."""
        before = self._last_run(pid)
        try:
            seen = parse_stat(self._host.read("/proc/%d/stat" % pid))
        except (HostError, ValueError):
            return None
        if before is None or seen.state not in ASLEEP or self._last_run(pid) != before:
            return None
        return seen.processor, before


def _since(now: Optional[float], last: Optional[float]) -> Optional[float]:
    return None if now is None or last is None else max(0.0, now - last)


def last_run(data: bytes) -> Optional[float]:
    """``se.exec_start`` in seconds. Milliseconds and nanoseconds stand as "123.456789" (kernel/sched/debug.c SPLIT_NS)."""
    for line in data.split(b"\n"):
        if line.startswith(b"se.exec_start"):
            try:
                return float(line.rpartition(b":")[2]) / 1000.0
            except ValueError:
                return None
    return None
