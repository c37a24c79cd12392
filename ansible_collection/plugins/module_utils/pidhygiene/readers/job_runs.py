# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that cron has running now: the shells it started, with the command that each was given."""

from typing import List, Tuple

from ..host import Host
from ..model import Gap
from ..record import NamedTuple
from .cron import COMMANDS, Cron
from .processes import Process, ProcessTable, read_command
from .scheduler_clock import SchedulerClock

STUCK_S = 10.0


class Run(NamedTuple):
    process: Process  # the shell
    command: str  # after its -c


class JobRuns(NamedTuple):
    runs: Tuple[Run, ...]
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, cron: Cron) -> JobRuns:
    """Never raises. A child of cron that became the job's shell has another name than cron; its parent kept the name."""
    runs: List[Run] = []
    gaps: List[Gap] = []
    if not cron.daemons:
        return JobRuns((), ())
    clock = SchedulerClock(host, table)
    for process in table.live():
        parent = table.processes.get(process.ppid)
        if parent is None or parent.comm.lower() not in COMMANDS or process.comm.lower() in COMMANDS:
            continue
        if process.state == "D":
            idle = clock.idle_for(process.pid)
            if idle is None or idle >= STUCK_S:  # a job that reads its disk is in this state for a moment, and not what piles up
                gaps.append(Gap("/proc/%d/cmdline" % process.pid, "not read: the task is in state D"))
            continue
        arguments = read_command(host, process).arguments
        if len(arguments) >= 3 and arguments[1] == "-c":
            runs.append(Run(process, arguments[2]))
    return JobRuns(tuple(runs), tuple(gaps))
