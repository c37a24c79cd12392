# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks in uninterruptible sleep, and since when: dead NFS servers and disks pile them up."""

from typing import List, NamedTuple, Optional, Tuple

from ..host import Host, HostError
from ..model import Gap
from .processes import Process, ProcessTable
from .zombies import idle_for

LOOKED_AT = 200


class StuckTask(NamedTuple):
    process: Process
    idle_s: Optional[float]  # since it last ran; None when the kernel does not tell
    wait_channel: str


class Stuck(NamedTuple):
    tasks: Tuple[StuckTask, ...]  # every live user process in state D, at most LOOKED_AT of them in detail
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable) -> Stuck:
    """Touches nothing of a stuck task that could block: only stat, sched and wchan. Never raises."""
    tasks: List[StuckTask] = []
    gaps: List[Gap] = []
    stuck = [process for process in table.live() if process.state == "D"]
    for process in stuck[:LOOKED_AT]:
        channel = ""
        try:
            channel = host.read_text("/proc/%d/wchan" % process.pid).strip("\0 \n")
        except HostError:
            pass  # only a hint
        idle = idle_for(host, process.pid)
        if idle is None and table.age(process) >= 60:
            gaps.append(Gap("/proc/%d/sched" % process.pid, "the kernel does not tell since when a task is stuck"))
        tasks.append(StuckTask(process, idle, "" if channel == "0" else channel))
    return Stuck(tuple(tasks), tuple(gaps))
