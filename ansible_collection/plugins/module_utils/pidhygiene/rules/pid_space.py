# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-PID: the machine's own budgets: tasks, numbers, and whatever else refuses a fork or a thread."""

import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .. import headroom, marks, outside, wording
from ..model import (
    CRIT,
    FAIL,
    HIGH,
    INFO,
    LOW,
    MED,
    MEDIUM_CONFIDENCE,
    SEVERITY_INFO,
    WARN,
    Finding,
    Gap,
    NotApplicable,
    Passed,
    Remedy,
    Seen,
    Subject,
    Unknown,
    Verdict,
    rule,
)
from ..readers.mounts import CONNECTIONS
from ..readers.stuck import alike
from ..readers.sysctl_files import Configured
from ..text import shown

SMALL_PID_MAX = 32768
STACK = 16384  # bytes of one kernel stack, THREAD_SIZE, on 64 bits with small pages
INT_MAX = 2 ** 31 - 1
THIS_HOST = Subject("host", "this host", "host")


def _top_consumer(evidence: Any) -> str:
    """The parent of most zombies, or the user with most tasks: where the room went."""
    if evidence.has("zombies") and evidence.zombies.broods and evidence.zombies.broods[0].zombies >= 100:
        brood = evidence.zombies.broods[0]
        return "%d are zombies of %s (%d)" % (brood.zombies, shown(wording.base_name(brood.parent_command.program)), brood.parent.pid)
    counts = headroom.user_tasks(evidence)
    if not counts:
        return "no user's tasks could be counted"
    uid = max(counts, key=lambda each: (counts[each].tasks, -each))
    return "user %s has %d of them" % (wording.user_name(evidence, uid), counts[uid].tasks)


@rule(
    "PH-PID-001", "System near threads-max", CRIT, "no process of the whole host can fork",
    ("budgets", "processes"), ("zombies", "users", "user_namespaces", "details", "visibility"),
)
def near_threads_max(evidence: Any, policy: Any) -> Iterator[Verdict]:
    budget = headroom.all_threads(evidence)
    if budget is None:
        yield Unknown(evidence.budgets.gaps or (Gap("/proc/sys/kernel/threads-max", "does not exist"),))
        return
    yield from outside.tasks(evidence, policy)
    if budget.share < policy["headroom.warn"]:
        yield Passed()
        return
    failing = budget.share >= policy["headroom.fail"]
    yield Finding(
        FAIL if failing else WARN, CRIT if failing else HIGH, THIS_HOST,
        "This host has %d tasks of %d allowed by threads-max (%s): %s; end what piles up, raise kernel.threads-max only after a look at memory." % (
            budget.used, budget.limit, wording.percent(budget.share), _top_consumer(evidence)),
        evidence=(Seen("/proc/loadavg", "%d tasks" % budget.used), Seen(budget.source, "%d" % budget.limit)),
        binding=budget.text(),
        remedy=_more_threads(evidence, budget.limit),
    )


def _more_threads(evidence: Any, now: int) -> Optional[Remedy]:
    """As many as there is memory for; None where there is none for more."""
    most = headroom.threads_for_memory(evidence)
    return _kernel_limit("kernel.threads-max", min(2 * now, most)) if most is not None and most > now else None


def _kernel_limit(name: str, value: int) -> Remedy:
    return Remedy("kernel_limits", (("values", {name: value}),))


@rule(
    "PH-PID-002", "PID numbers nearly used", CRIT, "no process of the whole host can fork",
    ("budgets", "processes", "details"), ("zombies", "users", "user_namespaces", "visibility"),
)
def pid_numbers_nearly_used(evidence: Any, policy: Any) -> Iterator[Verdict]:
    budget = headroom.pid_numbers(evidence)
    if budget is None:
        yield Unknown(evidence.budgets.gaps or (Gap("/proc/sys/kernel/pid_max", "does not exist"),))
        return
    yield from outside.numbers(evidence, policy)
    small = evidence.budgets.pid_max <= SMALL_PID_MAX
    warn = policy["headroom.small_pid_max_warn"] if small else policy["headroom.warn"]
    fail = policy["headroom.small_pid_max_fail"] if small else policy["headroom.fail"]
    if budget.share < warn:
        yield Passed()
        return
    failing = budget.share >= fail
    yield Finding(
        FAIL if failing else WARN, CRIT if failing else HIGH, Subject("host", budget.holder, budget.holder),
        "%s has used %d of %d process numbers (%s; pid_max %d): %s; %s." % (
            budget.holder.capitalize(), budget.used, budget.limit, wording.percent(budget.share), evidence.budgets.pid_max,
            _top_consumer(evidence), _pid_max_advice(evidence)),
        evidence=(Seen("/proc/loadavg", "%d tasks" % budget.used), Seen(budget.source, "%d" % evidence.budgets.pid_max)),
        binding=budget.text(),
        remedy=_kernel_limit("kernel.pid_max", 4194304) if evidence.processes.machine.word_bits == 64 else None,
    )


def _pid_max_advice(evidence: Any) -> str:
    if evidence.processes.machine.word_bits == 64 and evidence.budgets.pid_max < 4194304:
        return "end what piles up, then raise kernel.pid_max (up to 4194304)"
    return "end what piles up"


@rule(
    "PH-PID-003", "pid_max or threads-max low or not persisted", MED, "the next load or the next boot meets a limit nobody chose",
    ("budgets", "processes", "sysctl_files"), ("tuned",),
)
def kernel_limits_low(evidence: Any, policy: Any) -> Iterator[Verdict]:
    budgets = evidence.budgets
    if budgets.pid_max is None or budgets.threads_max is None:
        yield Unknown(budgets.gaps or (Gap("/proc/sys/kernel/pid_max", "does not exist"),))
        return
    gaps = evidence.sysctl_files.gaps + (evidence.tuned.gaps if _tuned_runs(evidence) else ())
    if gaps:
        yield Unknown(gaps)
    if evidence.processes.machine.word_bits == 64 and budgets.pid_max < 65536 and not policy["sixteen_bit_pids"]:
        used = (budgets.tasks or 0) / float(budgets.pid_max)
        yield Finding(
            WARN if used > 0.25 else INFO, MED if used > 0.25 else SEVERITY_INFO, Subject("host", "kernel.pid_max"),
            "kernel.pid_max is %d, the small default, and %d numbers are in use (%s); set 4194304 in /etc/sysctl.d." % (
                budgets.pid_max, budgets.tasks or 0, wording.percent(used)),
            evidence=(Seen("/proc/sys/kernel/pid_max", "%d" % budgets.pid_max),),
            remedy=_kernel_limit("kernel.pid_max", 4194304),
        )
    else:
        yield Passed()
    for name, running in (("kernel.pid_max", budgets.pid_max), ("kernel.threads-max", budgets.threads_max)):
        yield _persisted(evidence, name, running)
    if evidence.processes.machine.word_bits == 64:
        yield _threads_of_memory(evidence)


def _tuned_runs(evidence: Any) -> bool:
    return evidence.has("tuned") and any(process.comm == "tuned" for process in evidence.processes.live())


def _configured(evidence: Any, name: str) -> Optional[Configured]:
    """By sysctl.d or the active profile of tuned, which /etc and /run overrule, unless tuned was told otherwise."""
    configured: Optional[Configured] = evidence.sysctl_files.values.get(name)
    value, file = evidence.tuned.values.get(name, ("", "")) if _tuned_runs(evidence) else ("", "")
    if value.isdigit() and (configured is None or evidence.tuned.overrules or not configured.source.startswith(("/etc/", "/run/"))):
        return Configured(value, file)
    return configured


def _threads_of_memory(evidence: Any) -> Verdict:
    """The kernel takes an eighth of its memory for stacks (kernel/fork.c set_max_threads), at boot: memory that came later is not counted."""
    budgets = evidence.budgets
    if budgets.memory_kib is None:
        return Unknown(tuple(gap for gap in budgets.gaps if gap.source == "/proc/meminfo") or (Gap("/proc/meminfo", "MemTotal is not told"),))
    usual = budgets.memory_kib * 1024 // (8 * max(STACK, evidence.processes.machine.page_size))
    configured = _configured(evidence, "kernel.threads-max")
    if 2 * budgets.threads_max >= usual or (configured is not None and configured.value == str(budgets.threads_max)):
        return Passed()
    used = (budgets.tasks or 0) / float(budgets.threads_max)
    return Finding(
        WARN if used > 0.25 else INFO, MED if used > 0.25 else SEVERITY_INFO, Subject("host", "kernel.threads-max", "kernel.threads-max|memory"),
        "kernel.threads-max is %d, where the kernel would choose %d for this memory, no file sets it, and %d tasks run (%s): was memory added, "
        "or the value lowered by hand? Set what is meant in /etc/sysctl.d." % (
            budgets.threads_max, usual, budgets.tasks or 0, wording.percent(used)),
        evidence=(Seen("/proc/sys/kernel/threads-max", "%d" % budgets.threads_max), Seen("/proc/meminfo", "MemTotal %d kB" % budgets.memory_kib)),
        remedy=Remedy("kernel_limits", (("kernel.threads-max", usual),)), references=("kernel/fork.c set_max_threads",),
    )


def _persisted(evidence: Any, name: str, running: int) -> Verdict:
    """A vendor's file that was not applied is no wish of anybody here; a file of the administrator is."""
    configured = _configured(evidence, name)
    if configured is None or configured.value == str(running):
        return Passed()
    wished = configured.source.startswith(("/etc/", "/run/"))
    return Finding(
        WARN if wished else INFO, MED if wished else SEVERITY_INFO, Subject("host", name, name + "|persisted"),
        "%s runs with %d, but %s says %s: the next boot may change it; apply the file or correct it." % (
            name, running, shown(configured.source), shown(configured.value)),
        evidence=(Seen("/proc/sys/" + name.replace(".", "/"), "%d" % running), Seen(configured.source, configured.value)),
        remedy=_kernel_limit(name, int(configured.value)) if re.match(r"[0-9]{1,10}\Z", configured.value) else None,
    )


@rule(
    "PH-PID-004", "Binding-limit report", SEVERITY_INFO, "answers what will refuse the next fork",
    ("processes", "details", "cgroups", "budgets"), ("users", "user_namespaces", "visibility"),
)
def binding_limits(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """The numbers stand in ``measures``; findings only for the units large enough that somebody wonders."""
    largest: Dict[str, Tuple[int, int]] = {}
    tasks: Dict[str, int] = {}
    for pid, detail in evidence.details.of.items():
        if detail.unit is not None:
            threads = evidence.processes.processes[pid].threads
            tasks[detail.unit] = tasks.get(detail.unit, 0) + threads
            if threads > largest.get(detail.unit, (0, 0))[0]:
                largest[detail.unit] = (threads, pid)
    gaps = headroom.group_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    yield from outside.groups(evidence, policy)
    yield from outside.numbers(evidence, policy)
    counts = headroom.user_tasks(evidence)
    for unit in sorted(tasks):
        if tasks[unit] < policy["headroom.report_tasks"]:
            yield Passed()
            continue
        budgets = headroom.of_process(evidence, largest[unit][1], counts)
        first = headroom.binding(budgets)
        yield Finding(
            INFO, SEVERITY_INFO, Subject("unit", unit),
            "%s has %d tasks; the next fork is refused first by %s." % (unit, tasks[unit], first.text() if first else "nothing: no limit is set"),
            evidence=tuple(Seen(budget.source, "%d of %d" % (budget.used, budget.limit)) for budget in budgets),
            binding=first.text() if first else None,
        )


@rule(
    "PH-PID-005", "Fork rejections counted by cgroups", HIGH, "a fork was refused since the last audit",
    ("cgroups", "details", "clock", "processes"), ("boot_id", "visibility"),
)
def forks_rejected(evidence: Any, policy: Any) -> Iterator[Verdict]:
    gaps = headroom.group_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    yield from outside.groups(evidence, policy)  # from Linux 6.11 on, a refusal is counted where the limit is
    known = evidence.previous.get("refused", {}) if marks.same_boot(evidence) else None
    if known is None:
        yield NotApplicable("what happened since the last audit needs its marks; counts of the whole boot are information")
    for path in sorted(evidence.cgroups.groups):
        group = evidence.cgroups.groups[path]
        if not group.refused:
            yield Passed()
            continue
        before = known.get("%s#%d" % (path, group.inode), 0) if known is not None else group.refused
        since = group.refused - before
        if known is not None and since <= 0:
            yield Passed()
            continue
        yield _rejections(evidence, path, group, since if known is not None else None)


def _rejections(evidence: Any, path: str, group: Any, since: Optional[int]) -> Finding:
    limiting = evidence.cgroups.tightest(path)
    where = "%s allows %d" % (limiting.path, limiting.maximum) if limiting else "the group that limited it is gone"
    pod = "kubepods" in path or "docker" in path or "libpod" in path
    if since is None:
        status, severity, count = INFO, SEVERITY_INFO, "%d forks since it was created" % group.refused
    else:
        status, severity = (WARN, MED) if pod else (FAIL, HIGH)
        count = "%d forks since the last audit" % since
    mount = evidence.cgroups.hierarchy.pids_mount or ""
    return Finding(
        status, severity, Subject("cgroup", path),
        "The pids controller refused %s in %s (%s); find what multiplies there, or raise TasksMax." % (count, shown(path), shown(where)),
        evidence=(Seen(mount + path + "/pids.events", "max %d" % group.refused),),
        binding="pids.max of %s: %d" % (limiting.path, limiting.maximum) if limiting else None,
        remedy=wording.more_tasks(evidence, limiting.path, 2 * limiting.maximum) if limiting and not pod else None,
    )


@rule(
    "PH-PID-006", "Tasks piling up in uninterruptible sleep", HIGH, "the commonest fork killer: a dead NFS server or SAN",
    ("processes", "details", "stuck"), ("users", "boot_id", "clock"),
)
def stuck_tasks(evidence: Any, policy: Any) -> Iterator[Verdict]:
    if evidence.stuck.gaps:
        yield Unknown(evidence.stuck.gaps)
    groups: Dict[Tuple[str, str], List[Any]] = {}
    for task in evidence.stuck.tasks:
        if task.idle_s is not None and task.idle_s >= policy["uninterruptible.stuck_after"]:
            groups.setdefault((task.process.comm, alike(wording.unit_of(evidence, task.process.pid) or "")), []).append(task)
    for (comm, unit), tasks in sorted(groups.items()):
        if len(tasks) < policy["uninterruptible.warn"]:
            yield Passed()
        else:
            yield _piled_up(evidence, comm, unit, tasks)
    if not groups:
        yield Passed(len(evidence.stuck.tasks))


def _piled_up(evidence: Any, comm: str, unit: str, tasks: List[Any]) -> Finding:
    before = evidence.previous.get("stuck", {}).get("%s|%s" % (comm, unit)) if marks.same_boot(evidence) else None
    growing = before is not None and len(tasks) > before
    channels = sorted({task.wait_channel for task in tasks if task.wait_channel})
    servers = _waited_for(evidence.stuck.servers, channels)
    return Finding(
        FAIL if growing else WARN, HIGH if growing else MED, Subject("process", "%s in state D" % comm, "%s|%s|D" % (unit, comm)),
        "%d tasks %s%s are stuck in the kernel (%s) for up to %s%s; %s, killing them does nothing." % (
            len(tasks), shown(comm), " of %s" % unit if unit else "", wording.listed(channels, 3) or "state D",
            wording.duration(max(task.idle_s for task in tasks)),
            ", %d more than at the last audit" % (len(tasks) - before) if growing and before is not None else "", _mending(servers)),
        evidence=tuple(Seen("/proc/%d/stat" % task.process.pid, "state D, wchan %s" % task.wait_channel) for task in tasks[:5])
        + tuple(_server_seen(server) for server in servers[:3]),
        confidence=MEDIUM_CONFIDENCE,
    )


# Where a task waits for a server, as the kernel names it in wchan: beginnings, and kinds of file systems.
CHANNELS = (
    (("request_wait_answer", "fuse_"), "fuse"), (("nfs", "rpc_"), "nfs"), (("cifs", "smb", "wait_for_response", "SendReceive"), "cifs smb"),
    (("ceph",), "ceph"), (("p9_",), "9p"), (("autofs",), "autofs"),
)


def _waited_for(servers: Sequence[Any], channels: Sequence[str]) -> List[Any]:
    """Mounts that the tasks wait for, as far as it can be told. Others pile up behind the first on a lock that tells nothing: then a server
    that has not answered is suspected."""
    kinds = tuple(kind for names, kinds in CHANNELS if any(channel.startswith(names) for channel in channels) for kind in kinds.split())
    alike = [server for server in servers if kinds and server.mount.kind.startswith(kinds)]
    return [server for server in alike if server.waiting] or alike or [server for server in servers if server.waiting]


def _mending(servers: Sequence[Any]) -> str:
    if not servers:
        return "mend the mount or device they wait for"
    places = wording.listed(["%s (%s of %s)" % (shown(server.mount.point), shown(server.mount.kind), shown(server.mount.source)) for server in servers], 3)
    if len(servers) == 1 and servers[0].waiting:
        return "they wait for %s, whose server owes %s: restart it, or cut it off with echo 1 > %s/%s/abort" % (
            places, wording.noun(servers[0].waiting, "answer"), CONNECTIONS, servers[0].mount.minor)
    return "they wait for %s%s: mend its server" % ("one of " if len(servers) > 1 else "", places)


def _server_seen(server: Any) -> Seen:
    if server.waiting is None:
        return Seen("/proc/self/mountinfo", "%s, %s of %s" % (shown(server.mount.point), shown(server.mount.kind), shown(server.mount.source)))
    return Seen("%s/%s/waiting" % (CONNECTIONS, server.mount.minor), "%d, %s" % (server.waiting, shown(server.mount.point)))


@rule(
    "PH-PID-007", "Other budgets that refuse a fork or thread", HIGH, "the error names the wrong limit",
    ("budgets", "memory_maps", "processes"), ("details", "users"),
)
def other_fork_budgets(evidence: Any, policy: Any) -> Iterator[Verdict]:
    budgets = evidence.budgets
    if budgets.gaps or evidence.memory_maps.gaps:
        yield Unknown(budgets.gaps + evidence.memory_maps.gaps)
    for pid, count in sorted(evidence.memory_maps.maps.items()):
        share = count / float(budgets.max_map_count)
        if share < policy["headroom.warn"]:
            yield Passed()
            continue
        process = evidence.processes.processes[pid]
        subject = wording.process_subject(evidence, pid, process.comm)
        yield Finding(
            WARN, HIGH if share >= policy["headroom.fail"] else MED, subject,
            "%s has %d memory maps of %d allowed by vm.max_map_count (%s): it will be refused threads and memory whatever its NPROC is; "
            "raise vm.max_map_count or find what maps so much." % (shown(subject.id), count, budgets.max_map_count, wording.percent(share)),
            evidence=(Seen("/proc/%d/maps" % pid, "%d lines" % count), Seen("/proc/sys/vm/max_map_count", "%d" % budgets.max_map_count)),
            binding="vm.max_map_count of %s: %d of %d" % (shown(subject.id), count, budgets.max_map_count),
            remedy=_kernel_limit("vm.max_map_count", min(2 * budgets.max_map_count, INT_MAX - 5)),
        )
    if budgets.overcommit == 2 and budgets.committed_kib is not None and budgets.commit_limit_kib:
        share = budgets.committed_kib / float(budgets.commit_limit_kib)
        yield Passed() if share < 0.90 else Finding(
            WARN, HIGH, Subject("host", "memory commitment"),
            "Memory commitment is %d of %d KiB (%s) and vm.overcommit_memory is 2: fork fails with ENOMEM at the limit; add memory or swap." % (
                budgets.committed_kib, budgets.commit_limit_kib, wording.percent(share)),
            evidence=(Seen("/proc/meminfo", "Committed_AS %d kB, CommitLimit %d kB" % (budgets.committed_kib, budgets.commit_limit_kib)),
                      Seen("/proc/sys/vm/overcommit_memory", "2")),
            binding="CommitLimit: %d of %d KiB" % (budgets.committed_kib, budgets.commit_limit_kib),
        )
    for user in budgets.key_users:
        share = user.keys / float(user.maximum) if user.maximum else 0.0
        name = "kernel.keys.root_maxkeys" if user.uid == 0 else "kernel.keys.maxkeys"
        yield Passed() if share < policy["headroom.warn"] else Finding(
            WARN, MED, Subject("user", wording.user_name(evidence, user.uid)),
            "User %s holds %d kernel keys of %d (%s): containers and sessions of this user will fail to start; raise %s." % (
                wording.user_name(evidence, user.uid), user.keys, user.maximum, wording.percent(share), name),
            evidence=(Seen("/proc/key-users", "uid %d: %d/%d" % user),),
            binding="maxkeys of uid %d: %d of %d" % user,
            remedy=_kernel_limit(name, min(2 * user.maximum, INT_MAX)),
        )


COUNTED = ("/proc/sys/fs/aio-", "/proc/sys/fs/inotify/")


@rule(
    "PH-PID-008", "Other counted budgets", MED, "programs fail with an error that names no limit",
    ("budgets", "watches", "processes"), ("users",),
)
def other_counted_budgets(evidence: Any, policy: Any) -> Iterator[Verdict]:
    budgets = evidence.budgets
    gaps = evidence.watches.gaps + tuple(gap for gap in budgets.gaps if gap.source.startswith(COUNTED))
    if gaps:
        yield Unknown(gaps)
    if budgets.inotify_instances_max:
        for uid, count in sorted(evidence.watches.inotify_instances.items()):
            share = count / float(budgets.inotify_instances_max)
            name = wording.user_name(evidence, uid)
            yield Passed() if share < policy["headroom.warn"] else Finding(
                WARN, MED, Subject("user", name, "inotify|" + name),
                "User %s has %d inotify instances of %d allowed (%s): the next watcher fails with \"too many open files\"; "
                "raise fs.inotify.max_user_instances." % (name, count, budgets.inotify_instances_max, wording.percent(share)),
                evidence=(Seen("/proc/*/fd", "%d inotify descriptors" % count),
                          Seen("/proc/sys/fs/inotify/max_user_instances", "%d" % budgets.inotify_instances_max)),
                binding="inotify instances of uid %d: %d of %d" % (uid, count, budgets.inotify_instances_max),
                remedy=_kernel_limit("fs.inotify.max_user_instances", min(4 * budgets.inotify_instances_max, INT_MAX)),
            )
    if budgets.aio is not None and budgets.aio_max:
        share = budgets.aio / float(budgets.aio_max)
        yield Passed() if share < policy["headroom.warn"] else Finding(
            WARN, LOW if share < policy["headroom.fail"] else MED, Subject("host", "fs.aio-max-nr"),
            "%d asynchronous I/O contexts of %d are in use (%s): databases fail to start beyond it; raise fs.aio-max-nr." % (
                budgets.aio, budgets.aio_max, wording.percent(share)),
            evidence=(Seen("/proc/sys/fs/aio-nr", "%d" % budgets.aio), Seen("/proc/sys/fs/aio-max-nr", "%d" % budgets.aio_max)),
            remedy=_kernel_limit("fs.aio-max-nr", min(2 * budgets.aio_max, INT_MAX)),
        )
