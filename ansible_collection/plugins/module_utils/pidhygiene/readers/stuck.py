# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks in uninterruptible sleep, and since when: dead NFS servers and disks pile them up."""

from typing import List, Optional, Tuple

from ..host import Host, HostError
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import mounts
from .processes import Process, ProcessTable
from .scheduler_clock import SchedulerClock

LOOKED_AT = 200
_NUMBERED = (
    (pattern(r"session-[^.]+\.scope\Z"), "sessions"), (pattern(r"run-[^.]+\.(?=(?:service|scope)\Z)"), "run-*."),
    (pattern(r"@[^.]*\.(?=service\Z)"), "@."),
)


class StuckTask(NamedTuple):
    process: Process
    idle_s: Optional[float]  # since it last ran; None when the kernel does not tell
    wait_channel: str


class Stuck(NamedTuple):
    tasks: Tuple[StuckTask, ...]  # every live user process in state D, at most LOOKED_AT of them in detail
    servers: Tuple[mounts.Server, ...]  # mounts that tasks may wait for; empty where no task is stuck
    gaps: Tuple[Gap, ...]


def alike(unit: str) -> str:
    """What units have in common that differ in a number only: each login, each run of a template has one of its own."""
    for number, common in _NUMBERED:
        unit = number.sub(common, unit)
    return unit


def read(host: Host, table: ProcessTable) -> Stuck:
    """Touches nothing of a stuck task that could block: only stat, sched and wchan; and no mount. Never raises."""
    tasks: List[StuckTask] = []
    gaps: List[Gap] = []
    clock = SchedulerClock(host, table)
    stuck = [process for process in table.live() if process.state == "D"]
    for process in stuck[:LOOKED_AT]:
        channel = ""
        try:
            channel = host.read_text("/proc/%d/wchan" % process.pid).strip("\0 \n")
        except HostError:
            pass  # only a hint
        idle = clock.idle_for(process.pid)
        if idle is None and table.age(process) >= 60:
            gaps.append(Gap("/proc/%d/sched" % process.pid, "the kernel does not tell since when a task is stuck"))
        tasks.append(StuckTask(process, idle, "" if channel == "0" else channel))
    return Stuck(tuple(tasks), _servers(host, gaps) if tasks else (), tuple(gaps))


def _servers(host: Host, gaps: List[Gap]) -> Tuple[mounts.Server, ...]:
    try:
        return mounts.servers(host)
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        return ()
