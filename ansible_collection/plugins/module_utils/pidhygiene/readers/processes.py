# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process table: one look at /proc/PID/stat of everything, and /proc/PID/status where a rule needs more.

Tuples, not objects, and for zombies the status of a sample only: a host with 18,094 of them must answer quickly.
Field numbers are those of proc_pid_stat(5); the layout is fs/proc/array.c do_task_stat and proc_pid_status.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Clock, Host, HostError, Machine, Missing
from ..model import Gap
from ..record import NamedTuple

PF_KTHREAD = 0x00200000  # include/linux/sched.h
ZOMBIES_SAMPLED = 20  # per parent, spread evenly over their start times


class Process(NamedTuple):
    pid: int
    ppid: int
    comm: str  # raw: may hold ")", newlines, escapes
    state: str
    pgrp: int
    session: int
    tty: int
    flags: int
    cpu_ticks: int  # user and system time, clock ticks
    threads: int
    start: int  # clock ticks since boot; not reset by exec
    vsize: int  # bytes
    exit_signal: int  # 17 is SIGCHLD; anything else needs __WALL to be waited for
    processor: int  # the one it ran on last

    @property
    def kernel_thread(self) -> bool:
        return bool(self.flags & PF_KTHREAD)

    @property
    def zombie(self) -> bool:
        """Dead and not reaped. A leader whose other threads live on is *not* a zombie (kernel/exit.c delay_group_leader)."""
        return self.state == "Z" and self.threads <= 1


class Status(NamedTuple):
    uid: int  # real uid: the one that RLIMIT_NPROC counts
    euid: int
    tracer: int
    ns_pids: Tuple[int, ...]  # outermost to innermost; last 1 is a container's init
    pending: int  # SigPnd | ShdPnd of this thread
    blocked: int
    ignored: int
    caught: int
    capabilities: int  # effective set
    anonymous_kib: int
    peak_kib: int
    no_new_privs: bool
    seccomp: bool


class ProcessTable(NamedTuple):
    clock: Clock
    machine: Machine
    processes: Dict[int, Process]
    status: Dict[int, Status]  # every live process, and the sampled zombies
    owners: Dict[int, int]  # effective uid of the zombies whose status was not read (owner of /proc/PID)
    children: Dict[int, List[int]]
    alive: Dict[int, Process]  # of the processes: those of users that run, sleep or are stopped, and those whose main thread alone has ended
    vanished: int  # processes that went away while we looked: normal, told by PH-OBS-002
    gaps: Tuple[Gap, ...]

    def age(self, process: Process) -> float:
        """Seconds since the process was started."""
        return self.clock.boot - process.start / float(self.machine.ticks_per_second)

    def started_at(self, process: Process) -> float:
        """Seconds since the epoch. A clock stepped after boot moves it."""
        return self.clock.wall - self.age(process)

    def zombies_by_parent(self) -> Dict[int, List[Process]]:
        """Reapable zombies, oldest start first."""
        found: Dict[int, List[Process]] = {}
        for process in self.processes.values():
            if process.state == "Z" and process.threads <= 1:
                found.setdefault(process.ppid, []).append(process)
        for group in found.values():
            group.sort(key=lambda each: (each.start, each.pid))
        return found

    def live(self) -> List[Process]:
        """``alive``, as a list of its own."""
        return list(self.alive.values())

    def ancestors(self, pid: int) -> List[int]:
        """Parent, grandparent … up to the first one that is not in the table."""
        chain: List[int] = []
        process = self.processes.get(pid)
        while process is not None and process.ppid in self.processes and process.ppid not in chain:
            chain.append(process.ppid)
            process = self.processes.get(process.ppid)
        return chain


def read(host: Host) -> ProcessTable:
    """Errors: HostError when /proc cannot be listed."""
    clock, machine = host.clock(), host.machine()
    processes: Dict[int, Process] = {}
    gaps: List[Gap] = []
    vanished = 0
    for name in host.list("/proc"):
        if not name.isdigit():
            continue
        path = "/proc/" + name + "/stat"
        try:
            process = parse_stat(host.read(path))
        except Missing:
            vanished += 1
        except HostError as error:
            gaps.append(Gap(path, error.reason))
        except ValueError:
            gaps.append(Gap(path, "not in the form of proc_pid_stat(5)"))
        else:
            processes[process.pid] = process
    children: Dict[int, List[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, []).append(process.pid)
    alive = {process.pid: process for process in processes.values()
             if not process.zombie and process.state not in "Xx" and not process.kernel_thread}
    table = ProcessTable(clock, machine, processes, {}, {}, children, alive, vanished, ())
    gone = _read_status(host, table, gaps)
    return table._replace(vanished=vanished + gone, gaps=tuple(gaps))


def parse_stat(data: bytes) -> Process:
    """Errors: ValueError. The command name is everything between the first "(" and the *last* ")"."""
    opening, closing = data.index(b"("), data.rindex(b")")
    field = data[closing + 2:].split(None, 37)
    if len(field) < 37:
        raise ValueError("too few fields")
    return Process(
        int(data[:opening]), int(field[1]), data[opening + 1:closing].decode("utf-8", "surrogateescape"), field[0].decode("ascii"),
        int(field[2]), int(field[3]), int(field[4]), int(field[6]), int(field[11]) + int(field[12]),
        int(field[17]), int(field[19]), int(field[20]), int(field[35]), int(field[36]),
    )


def parse_status(data: bytes) -> Status:
    """Errors: ValueError. Lines that an older kernel does not print count as zero or absent."""
    value: Dict[bytes, bytes] = {}
    for line in data.split(b"\n"):
        name, colon, rest = line.partition(b":\t")
        if colon:
            value[name] = rest
    uids = value[b"Uid"].split() if b"Uid" in value else []
    if len(uids) < 2:
        raise ValueError("no Uid line")
    return Status(
        int(uids[0]), int(uids[1]), int(value.get(b"TracerPid", b"0")),
        tuple(int(number) for number in value.get(b"NSpid", b"").split()),
        _mask(value, b"SigPnd") | _mask(value, b"ShdPnd"), _mask(value, b"SigBlk"), _mask(value, b"SigIgn"), _mask(value, b"SigCgt"),
        _mask(value, b"CapEff"),
        _kib(value, b"RssAnon"), _kib(value, b"VmPeak"),
        value.get(b"NoNewPrivs", b"0").strip() == b"1", value.get(b"Seccomp", b"0").strip() not in (b"0", b""),
    )


def sample(group: List[Process], most: int) -> List[Process]:
    """At most that many, spread evenly, the first and the last among them."""
    if len(group) <= most:
        return group
    step = (len(group) - 1) / float(most - 1)
    return [group[int(round(step * index))] for index in range(most)]


def _read_status(host: Host, table: ProcessTable, gaps: List[Gap]) -> int:
    """Status of live processes and of a sample of the zombies; the owner alone of all other zombies. Returns how many had gone."""
    wanted = [process.pid for process in table.processes.values() if not process.zombie and not process.kernel_thread]
    for group in table.zombies_by_parent().values():
        sampled = sample(group, ZOMBIES_SAMPLED)
        wanted.extend(process.pid for process in sampled)
        chosen = {process.pid for process in sampled}
        for process in group:
            if process.pid not in chosen:
                try:
                    table.owners[process.pid] = host.stat("/proc/%d" % process.pid).uid
                except HostError:
                    pass  # reaped meanwhile
    gone = 0
    for pid in wanted:
        path = "/proc/%d/status" % pid
        try:
            table.status[pid] = parse_status(host.read(path))
        except Missing:
            gone += 1
            _forget(table, pid)
        except HostError as error:
            gaps.append(Gap(path, error.reason))
        except ValueError:
            gaps.append(Gap(path, "not in the form of proc_pid_status(5)"))
    return gone


def _forget(table: ProcessTable, pid: int) -> None:
    process = table.processes.pop(pid)
    table.alive.pop(pid, None)
    siblings = table.children.get(process.ppid, [])
    if pid in siblings:
        siblings.remove(pid)


def _mask(value: Dict[bytes, bytes], name: bytes) -> int:
    return int(value.get(name, b"0"), 16)


def _kib(value: Dict[bytes, bytes], name: bytes) -> int:
    words = value.get(name, b"0").split()
    if not words:
        raise ValueError("no number")
    return int(words[0])


class Command(NamedTuple):
    """What a process runs. Not read for tasks in state D: their memory map may be locked."""

    program: str  # path of the executable, or the name in brackets when it cannot be told
    arguments: Tuple[str, ...]


def still_stuck(host: Host, process: Process) -> bool:
    """In state D when the table was read, and again now: to read its memory could block. Whoever reads a disk is in it for a moment. Never raises."""
    if process.state != "D":
        return False
    try:
        data = host.read("/proc/%d/task/%d/stat" % (process.pid, process.pid))
    except HostError:
        return False
    return data.rpartition(b") ")[2][:1] == b"D"


def read_command(host: Host, process: Process) -> Command:
    """The executable and its arguments; falls back to the command name. Never raises."""
    fallback = "[%s]" % process.comm
    if process.state == "D" or process.zombie:
        return Command(fallback, ())
    base = "/proc/%d" % process.pid
    program = _executable(host, base) or fallback
    try:
        line = host.read_text(base + "/cmdline")
    except HostError:
        return Command(program, ())
    return Command(program, tuple(line.rstrip("\0").split("\0")) if line else ())


def _executable(host: Host, base: str) -> Optional[str]:
    try:
        return host.readlink(base + "/exe")
    except HostError:
        return None
