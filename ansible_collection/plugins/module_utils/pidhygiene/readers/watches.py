# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inotify instances per user: bounded by fs.inotify.max_user_instances, and counted nowhere but in the descriptors themselves."""

from typing import Dict, List, Optional, Set, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple
from .process_details import Details
from .processes import ProcessTable

DESCRIPTORS_LOOKED_AT = 20000  # of the whole host; a readlink each


class Watches(NamedTuple):
    inotify_instances: Dict[int, int]  # real uid to instances; one that is inherited counts once where it can be told
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, details: Details) -> Watches:
    """Never raises. Processes with the fewest descriptors first, so that one giant does not cost all others."""
    instances: Dict[int, int] = {}
    gaps = list(details.gaps_of("fd"))
    left = DESCRIPTORS_LOOKED_AT
    order = sorted((detail.open_files or 0, pid) for pid, detail in details.of.items() if detail.open_files is not None)
    for open_files, pid in order:
        status, process = table.status.get(pid), table.processes.get(pid)
        if status is None or process is None or process.state == "D":
            continue
        if open_files > left:
            gaps.append(Gap("/proc/%d/fd" % pid, "more descriptors than are looked at for inotify instances"))
            continue
        left -= open_files
        found = _instances(host, pid, gaps)
        if found:
            inherited = _instances(host, process.ppid, []) if process.ppid in details.of and _same_user(table, pid, process.ppid) else set()
            own = len((found or set()) - (inherited or set()))
            if own:
                instances[status.uid] = instances.get(status.uid, 0) + own
    return Watches(instances, tuple(gaps))


def _same_user(table: ProcessTable, one: int, other: int) -> bool:
    first, second = table.status.get(one), table.status.get(other)
    return first is not None and second is not None and first.uid == second.uid


def _instances(host: Host, pid: int, gaps: List[Gap]) -> Optional[Set[str]]:
    """Descriptor numbers that are inotify instances: a forked child holds its parent's under the same number."""
    base = "/proc/%d/fd" % pid
    try:
        names = host.list(base)
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(base, error.reason))
        return None
    found = set()
    for name in names:
        try:
            if host.readlink("%s/%s" % (base, name)) == "anon_inode:inotify":
                found.add(name)
        except HostError:
            continue
    return found
