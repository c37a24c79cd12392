# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every live process runs under: its groups, its limits, its namespaces, its open files.

/proc/PID/limits is fs/proc/base.c proc_pid_limits: fixed columns, because the names hold blanks.
Above MANY processes, a sample of each (group, user) stands for the rest: a host in trouble must still be answered quickly.
"""

from functools import lru_cache
from typing import Dict, Iterable, List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import UNLIMITED, Gap
from ..record import NamedTuple
from . import cgroups
from .processes import Process, ProcessTable

MANY = 3000  # live processes
SAMPLED = 20  # of each (group, user), above MANY
NO_LOGIN = 4294967295  # /proc/PID/loginuid of a process that no login started

ITEMS = {
    b"Max cpu time": "cpu", b"Max file size": "fsize", b"Max data size": "data", b"Max stack size": "stack",
    b"Max core file size": "core", b"Max resident set": "rss", b"Max processes": "nproc", b"Max open files": "nofile",
    b"Max locked memory": "memlock", b"Max address space": "as", b"Max file locks": "locks",
    b"Max pending signals": "sigpending", b"Max msgqueue size": "msgqueue", b"Max nice priority": "nice",
    b"Max realtime priority": "rtprio", b"Max realtime timeout": "rttime",
}

Limits = Dict[str, Tuple[int, int]]  # item to (soft, hard); UNLIMITED is infinity; units as the kernel prints them


class Detail(NamedTuple):
    pids_group: str  # path in the hierarchy that has the pids controller
    unit_group: str  # path in systemd's hierarchy
    limits: Optional[Limits]
    open_files: Optional[int]
    pid_namespace: Optional[str]  # as "pid:[4026531836]"
    user_namespace: Optional[str]
    login_uid: Optional[int]  # None: never logged in, or not told

    @property
    def unit(self) -> Optional[str]:
        return cgroups.unit_of(self.unit_group)

    @property
    def unit_label(self) -> Optional[str]:
        """The same, but for units of users' managers with the way to them: user@1001.service/app.slice/web.service."""
        return cgroups.user_unit_of(self.unit_group) or self.unit


class Details(NamedTuple):
    of: Dict[int, Detail]
    own_pid_namespace: Optional[str]
    own_user_namespace: Optional[str]
    manager_limits: Optional[Limits]  # of PID 1: what everything inherits
    sampled: bool
    gaps: Tuple[Gap, ...]

    def gaps_of(self, *files: str) -> Tuple[Gap, ...]:
        """Those of these files of any process, as "cgroup" for /proc/PID/cgroup."""
        return tuple(gap for gap in self.gaps if gap.source.rpartition("/")[2] in files)


def read(host: Host, table: ProcessTable, hierarchy: cgroups.Hierarchy) -> Details:
    """Never raises; a process that has gone is left out, anything else unread is a gap."""
    gaps: List[Gap] = []
    found: Dict[int, Detail] = {}
    live = list(table.live())
    sampled = len(live) > MANY
    seen: Dict[Tuple[str, int], int] = {}
    for process in live:
        try:
            groups = cgroups.parse_membership(host.read_text("/proc/%d/cgroup" % process.pid))
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(error.path, error.reason))
            groups = {}
        pids_group = cgroups.pids_path(groups, hierarchy.mode)
        if sampled:
            status = table.status.get(process.pid)
            kind = (pids_group, status.uid if status else -1)
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] > SAMPLED:
                found[process.pid] = Detail(pids_group, cgroups.unit_path(groups, hierarchy.mode), None, None, None, None, None)
                continue
        found[process.pid] = _read_one(host, process, pids_group, cgroups.unit_path(groups, hierarchy.mode), gaps)
    return Details(
        found, _link(host, "/proc/self/ns/pid"), _link(host, "/proc/self/ns/user"), _limits(host, 1, gaps), sampled, tuple(gaps)
    )


@lru_cache(maxsize=128)  # most processes of a host have the limits of their neighbours
def parse_limits(data: bytes) -> Limits:
    """Errors: ValueError. Empty when the task is past release. The answer is shared: do not change it."""
    limits: Limits = {}
    for line in data.split(b"\n")[1:]:
        item = ITEMS.get(line[0:25].rstrip())
        if item is not None:
            limits[item] = (_value(line[26:46]), _value(line[47:67]))
    return limits


def _value(column: bytes) -> int:
    text = column.strip()
    return UNLIMITED if text == b"unlimited" else int(text)


def _read_one(host: Host, process: Process, pids_group: str, unit_group: str, gaps: List[Gap]) -> Detail:
    base = "/proc/%d" % process.pid
    return Detail(
        pids_group, unit_group, _limits(host, process.pid, gaps), _open_files(host, base, gaps),
        _link(host, base + "/ns/pid"), _link(host, base + "/ns/user"), _login_uid(host, base, gaps),
    )


def _limits(host: Host, pid: int, gaps: List[Gap]) -> Optional[Limits]:
    path = "/proc/%d/limits" % pid
    try:
        return parse_limits(host.read(path)) or None
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(path, error.reason))
    except ValueError:
        gaps.append(Gap(path, "not in the form of proc_pid_limits(5)"))
    return None


def _open_files(host: Host, base: str, gaps: List[Gap]) -> Optional[int]:
    """Since Linux 6.2 the size of /proc/PID/fd is the number of open descriptors (fs/proc/fd.c proc_readfd_count); before, it is 0."""
    try:
        return host.stat(base + "/fd").size or len(host.list(base + "/fd"))
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(base + "/fd", error.reason))
        return None


def _link(host: Host, path: str) -> Optional[str]:
    try:
        return host.readlink(path)
    except HostError:
        return None


def _login_uid(host: Host, base: str, gaps: List[Gap]) -> Optional[int]:
    try:
        uid = int(host.read(base + "/loginuid"))
    except (Missing, ValueError):  # a kernel without audit has none
        return None
    except HostError as error:
        gaps.append(Gap(base + "/loginuid", error.reason))
        return None
    return None if uid == NO_LOGIN else uid


def group_paths(table: ProcessTable, details: Details) -> Iterable[str]:
    """The pids groups that hold a live process. Those of the auditor's own ancestry count only where this namespace shows them."""
    own = [table.machine.own_pid] + table.ancestors(table.machine.own_pid)
    return {detail.pids_group for pid, detail in details.of.items() if pid not in own or not detail.pids_group.startswith("/..")}
