# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit inside a container cannot judge: limits of the machine around it. Full from inside is full; free from inside proves nothing.

Not everything is hidden: kernel.threads-max has no namespace and /proc/loadavg counts the tasks of the whole machine (fs/proc/loadavg.c),
unless something is mounted over it. Pure: from evidence and policy to verdicts.
"""

from typing import Any, Iterator, List

from .model import Gap, NotApplicable, Unknown, Verdict
from .readers.kernel_budgets import OWN_PID_MAX, kernel_before

REASON = "outer limits cannot be seen from inside a container"
WATCHED = "limits outside of this container are watched outside (policy: outer_limits_watched)"


def tasks(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """threads-max, and how much of it is used."""
    if evidence.has("visibility") and evidence.visibility.virtual_load:
        yield from _told(policy, ["/proc/loadavg"])


def numbers(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Process numbers: one is taken in every pid namespace up to the first (kernel/pid.c alloc_pid)."""
    if evidence.has("visibility") and evidence.visibility.initial_pid_namespace is False:
        if evidence.visibility.virtual_load or not kernel_before(evidence.budgets.release, OWN_PID_MAX):
            yield from _told(policy, ["/proc/self/ns/pid"])


def groups(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """Groups above the one that this cgroup namespace, or this mount, shows as the top."""
    if evidence.has("visibility") and evidence.visibility.top_groups is False:
        yield from _told(policy, ["/proc/self/ns/cgroup"])


def users(evidence: Any, policy: Any, limited: bool) -> Iterator[Verdict]:
    """RLIMIT_NPROC counts a user's tasks in all pid namespaces, and charges a user namespace's tasks to its creator as well (kernel/ucount.c).

    ``limited``: whether any user here has a limit. Without one only the creator's can bind.
    """
    if not evidence.has("visibility"):
        return
    sources: List[str] = []
    if evidence.visibility.initial_pid_namespace is False and limited:
        sources.append("/proc/self/ns/pid")
    if evidence.visibility.initial_user_namespace is False:
        sources.append("/proc/self/ns/user")
    if sources:
        yield from _told(policy, sources)


def _told(policy: Any, sources: List[str]) -> Iterator[Verdict]:
    if policy["outer_limits_watched"]:
        yield NotApplicable(WATCHED)
    else:
        yield Unknown(tuple(Gap(source, REASON) for source in sources))
