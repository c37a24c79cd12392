# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks in other user namespaces: charged to the user that created the namespace, invisible as his in a sum over /proc.

Since Linux 5.14 every task is charged to the creator of each enclosing user namespace (kernel/ucount.c inc_rlimit_ucounts),
so a rootless container eats its user's RLIMIT_NPROC although its tasks carry other uids.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError
from ..model import Gap
from ..record import NamedTuple
from .process_details import Details
from .processes import ProcessTable


OWN = "/proc/self/ns/user"


class UserNamespace(NamedTuple):
    link: str  # "user:[4026532201]"
    owner: Optional[int]  # uid in our namespace; None when it cannot be told
    members: Tuple[int, ...]  # pids
    tasks: Dict[int, int]  # real uid (as we see it) to tasks, threads included, zombies as well


class UserNamespaces(NamedTuple):
    others: Tuple[UserNamespace, ...]
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, details: Details) -> UserNamespaces:
    """Every user namespace other than our own that a live process is in. Never raises."""
    gaps: List[Gap] = []
    members: Dict[str, List[int]] = {}
    for pid, detail in details.of.items():
        if detail.user_namespace is not None and detail.user_namespace != details.own_user_namespace:
            members.setdefault(detail.user_namespace, []).append(pid)
    if members and details.own_user_namespace is None:
        return UserNamespaces((), (Gap(OWN, "which processes are in our own user namespace cannot be told"),))
    found = []
    for link in sorted(members):
        pids = sorted(members[link])
        owner: Optional[int] = None
        reason = ""
        for pid in pids:
            try:
                owner = host.namespace_owner("/proc/%d/ns/user" % pid)
                break
            except HostError as error:
                reason = error.reason
        else:
            gaps.append(Gap("/proc/%d/ns/user" % pids[0], "owner of the user namespace: " + reason))
        found.append(UserNamespace(link, owner, tuple(pids), _tasks(table, pids)))
    return UserNamespaces(tuple(found), tuple(gaps))


def _tasks(table: ProcessTable, pids: List[int]) -> Dict[int, int]:
    """Zombies are counted with their parent's namespace: their own link would cost a look each."""
    tasks: Dict[int, int] = {}
    for pid in pids:
        status, process = table.status.get(pid), table.processes.get(pid)
        if status is None or process is None:
            continue
        tasks[status.uid] = tasks.get(status.uid, 0) + process.threads
        for child_pid in table.children.get(pid, []):
            child = table.processes.get(child_pid)
            if child is not None and child.zombie:
                child_status = table.status.get(child_pid)
                uid = child_status.uid if child_status else table.owners.get(child_pid, status.uid)
                tasks[uid] = tasks.get(uid, 0) + 1
    return tasks
