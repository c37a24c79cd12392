# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the clock is kept right, and by whom.

Synchronised means a maximum error below 16 s, as for timedatectl: the flag STA_UNSYNC alone says nothing, because chronyd without
its ``rtcsync`` directive leaves it set on purpose. The kernel lets the error grow by 500 ppm, so that it is lost after nine hours.
"""

from typing import List, Optional, Tuple

from ..host import ClockState, Host, HostError, Missing, OutOfTime
from ..model import Gap
from ..record import NamedTuple
from .processes import ProcessTable, read_command
from .visibility import INITIAL_PID_NAMESPACE, INITIAL_USER_NAMESPACE

MOST_ERROR_US = 16000000  # NTP_PHASE_LIMIT, include/linux/timex.h
DAEMONS = {
    "chronyd": "chronyd", "ntpd": "ntpd", "systemd-timesyn": "systemd-timesyncd", "openntpd": "openntpd", "phc2sys": "phc2sys",
}  # command name (15 characters) to what people call it
AGENTS = {"vmtoolsd": "VMware Tools", "VBoxService": "VirtualBox Guest Additions", "xe-daemon": "XenServer tools", "prl_tools_servic": "Parallels Tools"}


class TimeDaemon(NamedTuple):
    name: str
    pid: int
    program: str


class TimeSync(NamedTuple):
    state: Optional[ClockState]  # None: could not be asked
    daemons: Tuple[TimeDaemon, ...]  # that discipline this clock
    agents: Tuple[str, ...]  # of a hypervisor: some set the clock of a guest, none tells the kernel that it is right
    shared: str  # why the clock is not ours to keep (a container), or empty
    gaps: Tuple[Gap, ...]

    @property
    def synchronised(self) -> Optional[bool]:
        return self.state.maxerror_us < MOST_ERROR_US if self.state is not None else None


def read(host: Host, table: ProcessTable) -> TimeSync:
    """Never raises but OutOfTime."""
    gaps: List[Gap] = []
    state: Optional[ClockState] = None
    try:
        state = host.clock_state()
    except OutOfTime:
        raise
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
    agents = sorted({AGENTS[process.comm[:16]] for process in table.live() if process.comm[:16] in AGENTS})
    return TimeSync(state, tuple(_daemons(host, table)), tuple(agents), _shared(host), tuple(gaps))


def _daemons(host: Host, table: ProcessTable) -> List[TimeDaemon]:
    """Not their helper children, not those of containers, not those told to leave the clock alone."""
    own = table.status.get(table.machine.own_pid)
    depth = len(own.ns_pids) if own else 1
    found = []
    for process in sorted(table.live(), key=lambda each: each.pid):
        parent, status = table.processes.get(process.ppid), table.status.get(process.pid)
        if process.comm not in DAEMONS or (parent is not None and parent.comm == process.comm):
            continue
        if status is not None and len(status.ns_pids) > depth:
            continue
        command = read_command(host, process)
        if process.comm == "chronyd" and "-x" in command.arguments or process.comm == "phc2sys" and "ntpshm" in command.arguments:
            continue
        found.append(TimeDaemon(DAEMONS[process.comm], process.pid, command.program))
    return found


def _shared(host: Host) -> str:
    """A container has no clock of its own (but offsets of CLOCK_MONOTONIC): its host's is judged there."""
    for name, initial in (("user", INITIAL_USER_NAMESPACE), ("pid", INITIAL_PID_NAMESPACE)):
        try:
            if host.readlink("/proc/self/ns/" + name) != initial:
                return "in a %s namespace: the clock is kept by the machine around it" % name
        except OutOfTime:
            raise
        except Missing:
            continue  # a kernel without such namespaces
        except HostError:
            return ""
    return ""
