# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own budgets: how many tasks, numbers, maps, keys and watches there may be, and how many there are.

Sources: Documentation/admin-guide/sysctl/kernel.rst, vm.rst, fs.rst; proc_loadavg(5); proc_key-users(5).
A budget that this kernel does not have is None; one that could not be read is None *and* a gap.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host
from ..model import Gap
from ..record import NamedTuple
from . import with_gaps

OWN_PID_MAX = (6, 14)  # the first kernel whose pid namespaces each have a pid_max of their own, and the outer ones apply too (kernel/pid.c alloc_pid)
RESERVED_PIDS = 300  # kernel/pid.c: after the first wrap, numbers below this are not handed out again


class KeyUser(NamedTuple):
    uid: int
    keys: int
    maximum: int


class KernelBudgets(NamedTuple):
    tasks: Optional[int]  # all tasks of the machine, threads and zombies included (fourth field of /proc/loadavg)
    pid_max: Optional[int]
    threads_max: Optional[int]
    max_map_count: Optional[int]
    overcommit: Optional[int]  # 2: fork fails with ENOMEM at the commit limit
    committed_kib: Optional[int]
    commit_limit_kib: Optional[int]
    memory_kib: Optional[int]
    nr_open: Optional[int]
    files_open: Optional[int]
    files_max: Optional[int]
    aio: Optional[int]
    aio_max: Optional[int]
    inotify_instances_max: Optional[int]  # per user
    key_users: Tuple[KeyUser, ...]
    release: str
    gaps: Tuple[Gap, ...]


def read(host: Host) -> KernelBudgets:
    """Never raises."""
    gaps: List[Gap] = []

    def number(path: str, field: int = 0, least: int = 0) -> Optional[int]:
        text = with_gaps.text(host, path, gaps)
        if text is None:
            return None
        try:
            value = int(text.split()[field])
        except (ValueError, IndexError):
            value = -1
        if value >= least:
            return value
        gaps.append(Gap(path, "not a number that the kernel gives"))
        return None

    memory = _memory(with_gaps.text(host, "/proc/meminfo", gaps) or "")
    return KernelBudgets(
        tasks=_all_tasks(host, gaps),
        pid_max=number("/proc/sys/kernel/pid_max", least=1),
        threads_max=number("/proc/sys/kernel/threads-max", least=1),
        max_map_count=number("/proc/sys/vm/max_map_count"),
        overcommit=number("/proc/sys/vm/overcommit_memory"),
        committed_kib=memory.get("Committed_AS"),
        commit_limit_kib=memory.get("CommitLimit"),
        memory_kib=memory.get("MemTotal"),
        nr_open=number("/proc/sys/fs/nr_open"),
        files_open=number("/proc/sys/fs/file-nr"),
        files_max=number("/proc/sys/fs/file-nr", 2),
        aio=number("/proc/sys/fs/aio-nr"),
        aio_max=number("/proc/sys/fs/aio-max-nr"),
        inotify_instances_max=number("/proc/sys/fs/inotify/max_user_instances"),
        key_users=parse_key_users(with_gaps.text(host, "/proc/key-users", gaps) or ""),
        release=(with_gaps.text(host, "/proc/sys/kernel/osrelease", gaps) or "").strip(),
        gaps=tuple(gaps),
    )


def parse_key_users(text: str) -> Tuple[KeyUser, ...]:
    """Lines "uid: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes" (security/keys/proc.c); odd lines are passed over."""
    found = []
    for line in text.splitlines():
        uid, colon, rest = line.partition(":")
        field = rest.split()
        if colon and len(field) >= 3 and "/" in field[2]:
            used, maximum = field[2].split("/", 1)
            if uid.strip().isdigit() and used.isdigit() and maximum.isdigit():
                found.append(KeyUser(int(uid), int(used), int(maximum)))
    return tuple(found)


def _all_tasks(host: Host, gaps: List[Gap]) -> Optional[int]:
    text = with_gaps.text(host, "/proc/loadavg", gaps) or ""
    try:
        return int(text.split()[3].split("/")[1])
    except (IndexError, ValueError):
        if text:
            gaps.append(Gap("/proc/loadavg", "not in the form of proc_loadavg(5)"))
        return None


def _memory(text: str) -> Dict[str, int]:
    found: Dict[str, int] = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        if colon and rest.split() and rest.split()[0].isdigit():
            found[name] = int(rest.split()[0])
    return found


def kernel_before(release: str, version: Tuple[int, int]) -> bool:
    """Whether a release as "6.1.0-30-amd64" is older; False where it cannot be read."""
    parts = release.split("-")[0].split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return False
    return (int(parts[0]), int(parts[1])) < version
