# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps processes running: supervisord, its programs and what escaped them; services, their pidfiles and their look-alikes.

A child of supervisord leads its own process group inside supervisord's session (process.py _spawn_as_child: fork, setpgrp, exec)
and is told its name in the environment. What daemonises itself leads a session of its own instead, and is nobody's leak.
Commands, environments and working directories are read of the few processes that one of these signs points at.
"""

import re
from typing import Dict, Iterable, List, Optional, Set, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple
from . import supervisor_conf
from .processes import Command, Process, ProcessTable, read_command
from .units import Unit
from .user_units import uid_of

MOST = 200  # suspects that are looked at


class Label(NamedTuple):
    """What supervisord wrote into the environment of a program; empty where it was not there (or was overwritten by the program)."""

    enabled: bool
    group: str
    name: str


class Stray(NamedTuple):
    """A process whose session is that of a supervisord or of nobody, whose group is another's, and that no supervisord is above."""

    process: Process
    label: Optional[Label]  # None: not readable
    tree: Tuple[int, ...]  # it and its live descendants


class PidFile(NamedTuple):
    unit: Unit
    path: str
    pid: Optional[int]  # None: there is no number in it
    written: float  # seconds since the epoch


class Instance(NamedTuple):
    """A process that starts a tree of the same command: its parent runs something else."""

    process: Process
    keeper: str  # unit, or "supervisord (pid)"; empty: nobody keeps it running
    place: str  # working directory, "" where it could not be told
    root: str  # link to the mount namespace


class Supervision(NamedTuple):
    supervisors: Tuple[int, ...]  # pids of supervisord
    managed: Dict[int, Label]  # children of supervisord; an unreadable environment is an empty label
    strays: Tuple[Stray, ...]
    pid_files: Tuple[PidFile, ...]
    instances: Tuple[Tuple[Instance, ...], ...]  # of the same command and user: two or more, one of them kept
    configurations: Tuple[supervisor_conf.Configuration, ...]
    commands: Dict[int, Command]
    gaps: Tuple[Gap, ...]
    configuration_gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, units: Iterable[Unit], of_users: Iterable[Unit] = ()) -> Supervision:
    """``of_users``: units of their managers, of which only the pidfiles are read. Never raises."""
    gaps: List[Gap] = []
    commands: Dict[int, Command] = {}
    units = sorted(units)
    live = {process.pid: process for process in table.live()}
    supervisors = tuple(sorted(pid for pid, process in live.items() if _is_supervisor(host, process)))
    managed: Dict[int, Label] = {}
    for supervisor in supervisors:
        for pid in table.children.get(supervisor, ()):
            if pid in live and live[pid].pgrp == pid:  # what it merely adopted is in another group
                managed[pid] = _label(host, pid, []) or Label(False, "", "")
    strays = _strays(host, table, live, supervisors, gaps)
    for pid in list(managed) + [stray.process.pid for stray in strays]:
        commands[pid] = read_command(host, live[pid])
        for child in table.children.get(pid, ()):
            if child in live:
                commands[child] = read_command(host, live[child])
    kept = {pid: "supervisord (%d)" % live[pid].ppid for pid in managed}
    for unit in units:
        if unit.main_pid in live and unit.main_pid not in supervisors:
            kept[live[unit.main_pid].pid] = unit.id
    configuration_gaps: List[Gap] = []
    configurations = [supervisor_conf.read(
        host, pid, read_command(host, live[pid]).arguments, _root(table, pid), configuration_gaps) for pid in supervisors]
    return Supervision(
        supervisors, managed, tuple(strays), _pid_files(host, units + sorted(of_users), gaps), _instances(host, table, live, kept, commands),
        tuple(each for each in configurations if each is not None), commands, tuple(gaps), tuple(configuration_gaps))


def _is_supervisor(host: Host, process: Process) -> bool:
    if process.comm == "supervisord":
        return True
    if not process.comm.startswith("python"):
        return False
    arguments = read_command(host, process).arguments[1:4]
    return any(each.rsplit("/", 1)[-1] == "supervisord" for each in arguments[:1]) or "supervisor.supervisord" in arguments


def _root(table: ProcessTable, pid: int) -> str:
    """Of a supervisord in a container: the files it sees."""
    status = table.status.get(pid)
    return "/proc/%d/root" % pid if status is not None and len(status.ns_pids) > 1 else "/"


def leader_gone(table: ProcessTable, number: int, member: Process) -> bool:
    """Whether the process that gave a session or group its number has ended: absent, or a younger one has the number now."""
    leader = table.processes.get(number)
    return leader is None or leader.zombie or leader.start > member.start


def _strays(
    host: Host, table: ProcessTable, live: Dict[int, Process], supervisors: Tuple[int, ...], gaps: List[Gap]
) -> List[Stray]:
    shaped: Set[int] = set()
    for pid, process in live.items():
        own_group = process.pgrp != process.session and process.session != pid
        if not own_group or process.tty or not (process.session in supervisors or leader_gone(table, process.session, process)):
            continue
        if not set(supervisors).intersection(table.ancestors(pid)):
            shaped.add(pid)
    found = []  # type: List[Stray]
    for pid in sorted(shaped, key=lambda each: (live[each].start, each)):
        if live[pid].ppid not in shaped and len(found) < MOST:
            found.append(Stray(live[pid], _label(host, pid, gaps), tuple(_tree(table, live, pid))))
    return found


def _label(host: Host, pid: int, gaps: List[Gap]) -> Optional[Label]:
    path = "/proc/%d/environ" % pid
    try:
        text = host.read_text(path)
    except Missing:
        return Label(False, "", "")
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return None
    value = dict(each.partition("=")[::2] for each in text.split("\0"))
    return Label(value.get("SUPERVISOR_ENABLED") == "1", value.get("SUPERVISOR_GROUP_NAME", ""), value.get("SUPERVISOR_PROCESS_NAME", ""))


def _tree(table: ProcessTable, live: Dict[int, Process], pid: int) -> List[int]:
    found, waiting = [pid], [pid]
    while waiting:
        for child in sorted(table.children.get(waiting.pop(), ())):
            if child in live and child not in found:
                found.append(child)
                waiting.append(child)
    return found


def _pid_files(host: Host, units: Iterable[Unit], gaps: List[Gap]) -> Tuple[PidFile, ...]:
    """PIDFile= of active units. A relative path is below /run (systemd.service(5)); an absent file misleads nobody."""
    found = []
    for unit in units:
        if not unit.pid_file or unit.active_state != "active":
            continue
        path = unit.pid_file if unit.pid_file.startswith("/") else "/run/" + unit.pid_file
        try:
            there, owner = host.stat(path), uid_of(unit.id)
            if owner is not None and there.uid != owner:
                continue  # not his to write: a link to something of others
            text, written = host.read_text(path, limit=4096).strip(), there.mtime
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(path, error.reason))
            continue
        first = text.split()[0] if text else ""
        found.append(PidFile(unit, path, int(first) if re.match(r"[0-9]{1,10}\Z", first) else None, written))
    return tuple(found)


def _instances(
    host: Host, table: ProcessTable, live: Dict[int, Process], kept: Dict[int, str], commands: Dict[int, Command]
) -> Tuple[Tuple[Instance, ...], ...]:
    """Kept processes, and children of PID 1 without a terminal that look like one of them by name; then by command and user."""
    names = {live[pid].comm for pid in kept}
    loose = [pid for pid in table.children.get(1, ()) if pid in live and pid not in kept and live[pid].comm in names and not live[pid].tty]
    wanted = {live[pid].comm for pid in loose}
    alike: Dict[Tuple[Command, int], List[int]] = {}
    for pid in sorted(loose[:MOST] + [pid for pid in kept if live[pid].comm in wanted]):
        if pid not in commands:
            commands[pid] = read_command(host, live[pid])
        status = table.status.get(pid)
        if status is not None and len(status.ns_pids) < 2 and len(commands[pid].arguments) > 0:
            alike.setdefault((commands[pid], status.uid), []).append(pid)
    found = []
    for pids in alike.values():
        if len(pids) > 1 and any(pid in kept for pid in pids) and any(pid not in kept for pid in pids):
            found.append(tuple(Instance(live[pid], kept.get(pid, ""), _link(host, pid, "cwd"), _link(host, pid, "ns/mnt")) for pid in pids))
    return tuple(found)


def _link(host: Host, pid: int, name: str) -> str:
    try:
        return host.readlink("/proc/%d/%s" % (pid, name))
    except HostError:
        return ""
