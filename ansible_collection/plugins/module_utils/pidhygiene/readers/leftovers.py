# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes in the group of a unit that its present main process did not start: KillMode= let them survive a stop, or the stop failed.

Commands are read for the members of such units only, and only where something is left over.
"""

from typing import Any, Dict, Iterable, List, Set, Tuple

from ..host import Host
from ..record import NamedTuple
from .processes import Command, ProcessTable, read_command
from .units import Unit

LEAVING = ("process", "none")  # values of KillMode= that leave processes behind
TOLERANCE_S = 5.0  # helpers of a forking service may be a little older than its main process
MOST = 100  # members whose command is read, per unit


class Leaving(NamedTuple):
    """One unit, and what its present main process has not started."""

    unit: Unit
    left: Tuple[int, ...]  # pids, oldest first: not below the main process, and older than it
    members: Tuple[int, ...]  # the other pids in its group
    commands: Dict[int, Command]  # of both; empty where nothing is left over


class Leftovers(NamedTuple):
    units: Tuple[Leaving, ...]
    survivors: Tuple[Leaving, ...]  # units whose stop ends every process, and that have older ones all the same; delegated ones apart
    between_runs: Tuple[Leaving, ...]  # services without a main process now; ``left``: the tops of what earlier runs left behind


def read(host: Host, units: Iterable[Unit], table: ProcessTable, details: Any) -> Leftovers:
    """Never raises. Without a main process nobody can say which members are old: then none are."""
    members: Dict[str, List[int]] = {}
    for pid, detail in sorted(details.of.items()):
        for name in {detail.unit, detail.unit_label} - {None} if pid in table.processes else ():
            members.setdefault(name, []).append(pid)
    return Leftovers(
        tuple(_leaving(host, unit, members.get(unit.id, []), table) for unit in sorted(units) if unit.kill_mode in LEAVING and unit.running),
        tuple(each for each in (
            _leaving(host, unit, members.get(unit.id, []), table)
            for unit in sorted(units) if unit.kill_mode not in LEAVING and unit.running and not unit.delegate
        ) if each.left),
        tuple(_between_runs(host, unit, members[unit.id], table)
              for unit in sorted(units) if unit.kill_mode in LEAVING and not unit.main_pid and unit.id.endswith(".service") and members.get(unit.id)),
    )


def _between_runs(host: Host, unit: Unit, members: List[int], table: ProcessTable) -> Leaving:
    tops = sorted((pid for pid in members if table.processes[pid].ppid not in members and not table.processes[pid].zombie),
                  key=lambda pid: (table.processes[pid].start, pid))
    commands = {pid: read_command(host, table.processes[pid]) for pid in tops[:MOST]}
    return Leaving(unit, tuple(tops), tuple(pid for pid in members if pid not in tops), commands)


def _leaving(host: Host, unit: Unit, members: List[int], table: ProcessTable) -> Leaving:
    main = table.processes.get(unit.main_pid) if unit.main_pid else None
    if main is None:
        return Leaving(unit, (), tuple(members), {})
    before = main.start - TOLERANCE_S * table.machine.ticks_per_second
    own = _descendants(table, main.pid)
    left = sorted((pid for pid in members if pid not in own and table.processes[pid].start < before),
                  key=lambda pid: (table.processes[pid].start, pid))
    others = [pid for pid in members if pid not in left]
    read_now = left[:MOST] + others[:MOST] if left else []
    return Leaving(unit, tuple(left), tuple(others), {pid: read_command(host, table.processes[pid]) for pid in read_now})


def _descendants(table: ProcessTable, pid: int) -> Set[int]:
    found = {pid}
    waiting = [pid]
    while waiting:
        for child in table.children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found
