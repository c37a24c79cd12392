# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which limit refuses the next fork: every budget a process is charged to, and the one with the least room.

The candidates and what they count are those of kernel/fork.c copy_process, kernel/cgroup/pids.c and kernel/pid.c alloc_pid.
Pure: from evidence to budgets.
"""

from typing import Any, Dict, List, Optional, Set, Tuple

from .model import UNLIMITED, Gap
from .readers.kernel_budgets import OWN_PID_MAX, RESERVED_PIDS, kernel_before
from .readers.visibility import INITIAL_PID_NAMESPACE, INITIAL_USER_NAMESPACE
from .record import NamedTuple

FORKS_NEVER = 1  # a soft NPROC of 0 or 1 is a sandbox (sshd's pre-auth child), not a budget
CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 1 << 21, 1 << 24  # include/uapi/linux/capability.h


class Budget(NamedTuple):
    kind: str  # RLIMIT_NPROC, pids.max, threads-max, pid_max
    holder: str  # who shares it: "uid 500", a cgroup path, "this machine"
    used: int  # tasks
    limit: int  # tasks
    source: str  # where the limit was read

    @property
    def free(self) -> int:
        return self.limit - self.used

    @property
    def share(self) -> float:
        """Used part of the limit; above 1.0 is legal for RLIMIT_NPROC, whose limit belongs to the caller and whose count to the user."""
        return self.used / float(self.limit) if self.limit > 0 else float("inf")

    def text(self) -> str:
        return "%s of %s: %d of %d" % (self.kind, self.holder, self.used, self.limit)


class UserTasks(NamedTuple):
    tasks: int  # charged to the user in our user namespace: threads and zombies, hidden ones included
    zombies: int
    hidden: int  # in user namespaces that the user created
    uncertain: bool  # there are namespaces whose owner could not be told


def user_tasks(evidence: Any) -> Dict[int, UserTasks]:
    """Real uid to what is charged to it. Tasks of other user namespaces count for the creator of the namespace."""
    counts: Dict[int, UserTasks] = evidence.once(_count_by_user)
    return counts


def _count_by_user(evidence: Any) -> Dict[int, UserTasks]:
    table = evidence.processes
    foreign: Set[int] = set()
    hidden: Dict[int, int] = {}
    uncertain = False
    if evidence.has("user_namespaces"):
        for namespace in evidence.user_namespaces.others:
            foreign.update(namespace.members)
            if namespace.owner is None:
                uncertain = True
            else:
                hidden[namespace.owner] = hidden.get(namespace.owner, 0) + sum(namespace.tasks.values())
    tasks: Dict[int, int] = {}
    zombies: Dict[int, int] = {}
    for process in table.processes.values():
        if process.kernel_thread or process.pid in foreign or (process.zombie and process.ppid in foreign):
            continue
        status = table.status.get(process.pid)
        uid = status.uid if status else table.owners.get(process.pid)
        if uid is None:
            continue
        tasks[uid] = tasks.get(uid, 0) + max(1, process.threads)
        if process.zombie:
            zombies[uid] = zombies.get(uid, 0) + 1
    return {
        uid: UserTasks(tasks.get(uid, 0) + hidden.get(uid, 0), zombies.get(uid, 0), hidden.get(uid, 0), uncertain)
        for uid in set(tasks) | set(hidden)
    }


def soft_nproc(evidence: Any) -> Dict[int, Dict[int, List[int]]]:
    """Real uid to soft RLIMIT_NPROC to the pids that run with it; the exempt, the unlimited and the sandboxed are left out."""
    found: Dict[int, Dict[int, List[int]]] = evidence.once(_soft_nproc)
    return found


def _soft_nproc(evidence: Any) -> Dict[int, Dict[int, List[int]]]:
    found: Dict[int, Dict[int, List[int]]] = {}
    for pid, detail in evidence.details.of.items():
        status = evidence.processes.status.get(pid)
        if status is None or not detail.limits or exempt_from_nproc(evidence, pid):
            continue
        soft = detail.limits.get("nproc", (UNLIMITED, UNLIMITED))[0]
        if FORKS_NEVER < soft < UNLIMITED:
            found.setdefault(status.uid, {}).setdefault(soft, []).append(pid)
    return found


def exempt_from_nproc(evidence: Any, pid: int) -> bool:
    """uid 0 and holders of two capabilities are, but only in the initial user namespace: "root" in a container is not."""
    status, detail = evidence.processes.status.get(pid), evidence.details.of.get(pid)
    if status is None or detail is None or not in_initial_user_namespace(evidence, detail.user_namespace):
        return False
    return status.uid == 0 or bool(status.capabilities & (CAP_SYS_ADMIN | CAP_SYS_RESOURCE))


def in_initial_user_namespace(evidence: Any, link: Optional[str]) -> bool:
    """A link that may not be read (a process of another user) is taken for our own namespace: then only root could tell."""
    return (link or evidence.details.own_user_namespace or INITIAL_USER_NAMESPACE) == INITIAL_USER_NAMESPACE


def pid_numbers(evidence: Any) -> Optional[Budget]:
    """Numbers of our own pid namespace: of the whole machine, or of the container we are in."""
    budget: Optional[Budget] = evidence.once(_count_pid_numbers)
    return budget


def _count_pid_numbers(evidence: Any) -> Optional[Budget]:
    budgets = evidence.budgets
    if budgets.pid_max is None:
        return None
    own = evidence.details.own_pid_namespace if evidence.has("details") else None
    visible = sum(max(1, process.threads) for process in evidence.processes.processes.values())
    whole = own in (None, INITIAL_PID_NAMESPACE) or kernel_before(budgets.release, OWN_PID_MAX)  # then one pid_max counts for all namespaces
    used = max(visible, budgets.tasks or 0) if whole else visible
    holder = "this machine" if whole else "this pid namespace"
    return Budget("pid_max", holder, used, budgets.pid_max - RESERVED_PIDS, "/proc/sys/kernel/pid_max")


def all_threads(evidence: Any) -> Optional[Budget]:
    budgets = evidence.budgets
    if budgets.threads_max is None or budgets.tasks is None:
        return None
    return Budget("threads-max", "this machine", budgets.tasks, budgets.threads_max, "/proc/sys/kernel/threads-max")


def threads_for_memory(evidence: Any) -> Optional[int]:
    """As many tasks as the kernel itself would allow for the memory there is: their stacks take an eighth of it (kernel/fork.c set_max_threads)."""
    if not evidence.budgets.memory_kib:
        return None
    machine = evidence.processes.machine
    stack = max(16, machine.page_size // 1024) if machine.word_bits == 64 else 8  # KiB, THREAD_SIZE
    return int(evidence.budgets.memory_kib // (8 * stack))


def group_gaps(evidence: Any) -> Tuple[Gap, ...]:
    """What could not be read of groups with a limit, and of who is in which: a group that nobody is seen in is not looked at."""
    return tuple(evidence.cgroups.gaps) + tuple(evidence.details.gaps_of("cgroup"))


def group_budgets(evidence: Any, path: str) -> List[Budget]:
    """Every limited group from this one up to the root, innermost first."""
    mount = evidence.cgroups.hierarchy.pids_mount or ""
    return [
        Budget("pids.max", group.path, group.current, group.maximum, mount + group.path.rstrip("/") + "/pids.max")
        for group in evidence.cgroups.chain(path) if group.maximum != UNLIMITED
    ]


def of_process(evidence: Any, pid: int, counts: Optional[Dict[int, UserTasks]] = None) -> List[Budget]:
    """What the next fork of this process is checked against, in the kernel's order; limits that are infinite are left out."""
    found: List[Budget] = []
    status, detail = evidence.processes.status.get(pid), evidence.details.of.get(pid)
    if status is not None and detail is not None and detail.limits and not exempt_from_nproc(evidence, pid):
        soft = detail.limits.get("nproc", (UNLIMITED, UNLIMITED))[0]
        mine = (counts or user_tasks(evidence)).get(status.uid)
        if soft != UNLIMITED and mine is not None:
            found.append(Budget("RLIMIT_NPROC", "uid %d" % status.uid, mine.tasks, soft, "/proc/%d/limits" % pid))
    threads = all_threads(evidence)
    if threads is not None:
        found.append(threads)
    if detail is not None and evidence.has("cgroups"):
        found.extend(group_budgets(evidence, detail.pids_group))
    numbers = pid_numbers(evidence)
    if numbers is not None:
        found.append(numbers)
    return found


def binding(budgets: List[Budget]) -> Optional[Budget]:
    """The budget with the least room; None when nothing limits."""
    return min(budgets, key=lambda budget: budget.free) if budgets else None
