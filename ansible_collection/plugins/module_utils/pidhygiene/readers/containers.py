# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers: process trees with a pid namespace of their own, what runs them, their init and what it does about SIGTERM.

The namespace and its init are told by NSpid (fs/proc/array.c task_state), the runtime and the id by the names that runtimes give
their cgroups. Image and workload are not in /proc: the init's program and arguments stand for them.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from .process_details import Details
from .processes import Command, Process, ProcessTable, parse_status, read_command

SIGTERM = 1 << 14
THREADS_READ = 64

POD = pattern(r"kubepods|/pod[0-9a-f]{8}[-_]")

# Names of cgroups, outermost match first: (runtime, pattern with the id). A path of kubepods may name no runtime at all.
NAMES = (
    ("docker", pattern(r"/docker[-/]([0-9a-f]{64})(?:\.scope)?(?=/|$)")),
    ("containerd", pattern(r"/(?:[^/]*:)?cri-containerd[-:]([0-9a-f]{64})(?:\.scope)?(?=/|$)")),
    ("cri-o", pattern(r"/crio-([0-9a-f]{64})(?:\.scope)?(?=/|$)")),
    ("podman", pattern(r"/libpod-([0-9a-f]{64})(?:\.scope)?(?=/|$)")),
    ("nspawn", pattern(r"/systemd-nspawn@([^/]+)\.service(?=/|$)")),
    ("nspawn", pattern(r"/machine-([^/]+)\.scope(?=/|$)")),
    ("lxc", pattern(r"/lxc(?:\.payload[./]|/)([^/]+)(?=/|$)")),
    ("kubernetes", pattern(r"/kubepods[^/]*(?:/[^/]+)*/([0-9a-f]{64})(?=/|$)")),
    ("containerd", pattern(r"/(?:default|moby|k8s\.io)/([0-9a-f]{64})(?=/|$)")),
)


class Signals(NamedTuple):
    """What the init does about SIGTERM, over all its threads."""

    caught: bool
    blocked: bool  # in a thread at least: it is read from a signal descriptor or waited for
    ignored: bool
    waited_for: bool  # a thread is in sigtimedwait(2): the kernel shows what it waits for as not blocked meanwhile (kernel/signal.c do_sigtimedwait)


class Container(NamedTuple):
    init: Process
    command: Command
    runtime: str  # docker, containerd, cri-o, podman, nspawn, lxc, kubernetes; empty: a pid namespace that no runtime's name tells
    id: str  # as the runtime calls it; empty where none does
    group: str  # path of the init in the hierarchy of the pids controller
    members: Tuple[int, ...]  # pids, the init among them
    signals: Optional[Signals]  # None: not readable

    @property
    def known(self) -> bool:
        return bool(self.runtime)


class Containers(NamedTuple):
    containers: Tuple[Container, ...]
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, details: Details) -> Containers:
    """Every pid namespace below our own whose init lives. Never raises."""
    gaps: List[Gap] = []
    inits: List[Process] = []
    by_namespace: Dict[str, List[int]] = {}
    for pid, status in table.status.items():
        process = table.processes.get(pid)
        if process is None or process.zombie or len(status.ns_pids) < 2:
            continue
        if status.ns_pids[-1] == 1:
            inits.append(process)
        detail = details.of.get(pid)
        if detail is not None and detail.pid_namespace is not None:
            by_namespace.setdefault(detail.pid_namespace, []).append(pid)
    found = []
    for init in sorted(inits, key=lambda each: (each.start, each.pid)):
        detail = details.of.get(init.pid)
        if detail is None:
            continue  # it has gone, or its groups are among the gaps of the details
        members = by_namespace.get(detail.pid_namespace, [init.pid]) if detail.pid_namespace else _descendants(table, init.pid)
        runtime, name = identify(detail.pids_group)
        if not runtime:
            runtime, name = identify(detail.unit_group)
        found.append(Container(
            init, read_command(host, init), runtime, name, detail.pids_group, tuple(sorted(members)), _signals(host, init.pid, gaps)))
    return Containers(tuple(found), tuple(gaps))


def identify(path: str) -> Tuple[str, str]:
    """Runtime and id by the name of a cgroup; both empty when no runtime names its groups like that."""
    best: Tuple[int, str, str] = (len(path) + 1, "", "")
    for runtime, name in NAMES:
        match = name.search(path)
        if match and match.start(1) < best[0]:
            best = (match.start(1), runtime, match.group(1))
    return best[1], best[2]


def is_pod(path: str) -> bool:
    """Whether a kubelet made this group."""
    return bool(POD.search(path))


def _signals(host: Host, pid: int, gaps: List[Gap]) -> Optional[Signals]:
    base = "/proc/%d/task" % pid
    try:
        names = host.list(base)[:THREADS_READ]
        threads = [parse_status(host.read("%s/%s/status" % (base, name))) for name in names]
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        return None
    except ValueError:
        gaps.append(Gap(base, "not in the form of proc_pid_status(5)"))
        return None
    return Signals(
        any(each.caught & SIGTERM for each in threads), any(each.blocked & SIGTERM for each in threads),
        any(each.ignored & SIGTERM for each in threads), any(_waits_for_signals(host, "%s/%s" % (base, name)) for name in names),
    ) if threads else None


def _waits_for_signals(host: Host, thread: str) -> bool:
    try:
        return "sigtimedwait" in host.read_text(thread + "/wchan")
    except HostError:
        return False


def _descendants(table: ProcessTable, pid: int) -> List[int]:
    found, waiting = [pid], [pid]
    while waiting:
        for child in table.children.get(waiting.pop(), ()):
            if not table.processes[child].zombie and child not in found:
                found.append(child)
                waiting.append(child)
    return found
