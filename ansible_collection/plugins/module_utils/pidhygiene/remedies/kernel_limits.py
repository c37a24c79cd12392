# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kernel_limits: the machine's own budgets, as they run and as the next boot sets them.

One file of sysctl.d(5) that sorts last holds every value this remedy has set, each with the one that ran before, so that it can be undone.
Bounds are those of the kernel's own tables: kernel/pid.c and kernel/pid_namespace.c, kernel/fork.c, kernel/sysctl.c, fs/file.c, fs/aio.c,
fs/notify/inotify/inotify_user.c, security/keys/sysctl.c.
"""

import os
import re
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from .. import headroom
from ..evidence import NotSeen, gather
from ..host import Host, Missing
from ..model import UNLIMITED
from ..readers import memory_maps, sysctl_files
from ..readers.kernel_budgets import RESERVED_PIDS
from ..record import NamedTuple
from ..text import shown
from .files import PutFile
from .model import Parameter, Proposal, Refused, Remedy, Step
from .sysctl import PutSetting, path_of

PRESENT, ABSENT = "present", "absent"
FOLDER, NAME = "/etc/sysctl.d", "zz-pidhygiene.conf"
FILE = FOLDER + "/" + NAME
LAST = "/etc/sysctl.conf"  # procps reads it after all others, whatever its name
HEADER = "# Written by pidhygiene (kernel_limits): it will be written again, so change the remedy, not this file.\n"
BEFORE = "# before: "
INT_MAX, LONG_MAX = 2 ** 31 - 1, 2 ** 63 - 1
PID_MAX_LIMIT, PID_MAX_LIMIT_32_BIT = 4194304, 32768  # include/linux/threads.h
NUMBER = re.compile(r"[0-9]{1,19}\Z")
NR_OPEN = 1048576  # the kernel's own default: units and limits.conf ask for as much

PARAMETERS = (
    Parameter("values", "map", "Name of the kernel setting, with dots, to its value, a whole number."),
    Parameter("state", "choice", "absent takes away what this remedy has set: the named settings, or all of them.", default=PRESENT, choices=(PRESENT, ABSENT)),
)


class Key(NamedTuple):
    """One setting: what the kernel takes, and what uses it."""

    low: int
    high: int
    uses: str  # what is counted, as "tasks of the machine"; "" where nothing counts it: then it may be raised only
    sources: Tuple[str, ...] = ()
    used: Callable[[Any, Host, int], Optional[int]] = lambda evidence, host, value: None  # value: the one that is asked for
    spare: int = 2  # so many times the use must be left
    reserved: int = 0  # of the value, not usable


def _numbers(evidence: Any, host: Host, value: int) -> Optional[int]:
    budget = headroom.pid_numbers(evidence)
    return budget.used if budget is not None else None


def _maps(evidence: Any, host: Host, value: int) -> Optional[int]:
    """Of the processes whose address space could hold half of the new limit: the others have room enough."""
    found = memory_maps.read(host, evidence.processes, evidence.budgets._replace(max_map_count=value))
    return None if found.gaps else max(found.maps.values(), default=0)


def _instances(evidence: Any, host: Host, value: int) -> Optional[int]:
    return None if evidence.watches.gaps else max(evidence.watches.inotify_instances.values(), default=0)


def _files(evidence: Any, host: Host, value: int) -> int:
    """The largest hard limit of open files that a process has: it could not be set again."""
    hard = [detail.limits["nofile"][1] for detail in evidence.details.of.values() if detail.limits and "nofile" in detail.limits]
    return max([each for each in hard if each != UNLIMITED], default=0)


def _keys(of_root: bool) -> Callable[[Any, Host, int], Optional[int]]:
    return lambda evidence, host, value: max((user.keys for user in evidence.budgets.key_users if (user.uid == 0) == of_root), default=0)


KEYS = {
    "kernel.pid_max": Key(RESERVED_PIDS + 1, PID_MAX_LIMIT, "process numbers", ("budgets", "processes", "details"), _numbers, reserved=RESERVED_PIDS),
    "kernel.threads-max": Key(20, 0x3FFFFFFF, "tasks of the machine", ("budgets",), lambda evidence, host, value: evidence.budgets.tasks),
    "vm.max_map_count": Key(1024, INT_MAX - 5, "memory maps of one process", ("budgets", "processes"), _maps),
    "fs.inotify.max_user_instances": Key(1, INT_MAX, "inotify instances of one user", ("watches",), _instances),
    "fs.inotify.max_user_watches": Key(1, INT_MAX, ""),
    "fs.aio-max-nr": Key(1, INT_MAX, "asynchronous I/O contexts", ("budgets",), lambda evidence, host, value: evidence.budgets.aio),
    "fs.nr_open": Key(NR_OPEN, INT_MAX & -64, "open files that a running process is allowed", ("details",), _files, spare=1),
    "fs.file-max": Key(8192, LONG_MAX, "open files", ("budgets",), lambda evidence, host, value: evidence.budgets.files_open),
    "kernel.keys.maxkeys": Key(1, INT_MAX, "keys of one user", ("budgets",), _keys(False)),
    "kernel.keys.maxbytes": Key(1, INT_MAX, ""),
    "kernel.keys.root_maxkeys": Key(1, INT_MAX, "keys of root", ("budgets",), _keys(True)),
    "kernel.keys.root_maxbytes": Key(1, INT_MAX, ""),
}


class Content(NamedTuple):
    """Of our file."""

    values: Dict[str, str]
    before: Dict[str, str]  # what ran when a value was first set


# -- what is wanted ------------------------------------------------------------------------------------------------


def settings(given: Dict[str, Any]) -> Dict[str, int]:
    """Names and numbers. Errors: Refused."""
    found = {}
    for name in sorted(given["values"] or {}, key=str):
        if name not in KEYS:
            raise Refused("%r is no setting of this remedy; known are %s" % (name, ", ".join(sorted(KEYS))))
        value = given["values"][name]
        if given["state"] == PRESENT:
            value = _number(name, value)
            if not KEYS[name].low <= value <= KEYS[name].high:
                raise Refused("%s = %d is out of bounds: %d to %d" % (name, value, KEYS[name].low, KEYS[name].high))
        found[name] = value
    return found


def _number(name: str, value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not NUMBER.match(text):
        raise Refused("%s must be a whole number, not %r" % (name, value))
    return int(text)


def content(text: Optional[str]) -> Content:
    before = [line[len(BEFORE):] for line in (text or "").splitlines() if line.startswith(BEFORE)]
    return Content(dict(sysctl_files.parse(text or "")), dict(sysctl_files.parse("\n".join(before))))


def text_of(lines: Content) -> Optional[str]:
    if not lines.values:
        return None
    text = HEADER
    for name in sorted(lines.values):
        if name in lines.before:
            text += "%s%s = %s\n" % (BEFORE, name, lines.before[name])
        text += "%s = %s\n" % (name, lines.values[name])
    return text


# -- what is, and what would do harm ----------------------------------------------------------------------------------


def _running(host: Host, name: str) -> int:
    try:
        return int(host.read_text(path_of(name)).split()[0])
    except Missing:
        raise Refused("this kernel has no %s" % name)
    except (ValueError, IndexError):
        raise Refused("%s is no number on this kernel" % name)


def _refuse_overruled(others: sysctl_files.SysctlFiles, name: str, value: int) -> None:
    for gap in others.gaps:
        if _read_later(gap.source) or gap.source in sysctl_files.DIRECTORIES:
            raise Refused("%s cannot be read (%s), so what the next boot sets is not known; look at it first" % (shown(gap.source), gap.reason))
    other = others.values.get(name)
    if other is not None and _read_later(other.source) and other.value != "%d" % value:
        raise Refused("%s sets %s to %s and is read after %s, so the next boot would bring that back: change it there, or delete the line there" % (
            shown(other.source), name, shown(other.value), FILE))


def _read_later(path: str) -> bool:
    return path == LAST or path.rpartition("/")[2] > NAME


def _refuse_low(host: Host, evidence: Any, name: str, running: int, value: int) -> None:
    """Lowering only: a budget that grows, though not by enough, is better than it was."""
    if value >= running:
        return
    key = KEYS[name]
    try:
        used = key.used(evidence, host, value) if key.uses else None
    except NotSeen:
        used = None
    if used is None:
        raise Refused("%s: what is in use could not be counted, so it may be raised only (it is %d)" % (name, running))
    if value - key.reserved < key.spare * used:
        raise Refused("%s = %d leaves too little: %d %s are in use, and %d is the least that can be set now" % (
            name, value, used, key.uses, key.spare * used + key.reserved))


def _refuse_high(evidence: Any, name: str, running: int, value: int) -> None:
    if value <= running:
        return
    if name == "kernel.pid_max" and evidence.processes.machine.word_bits != 64 and value > PID_MAX_LIMIT_32_BIT:
        raise Refused("kernel.pid_max = %d is more than a kernel of 32 bits has: %d" % (value, PID_MAX_LIMIT_32_BIT))
    if name == "kernel.threads-max":
        most = headroom.threads_for_memory(evidence)
        if most is None:
            raise Refused("kernel.threads-max: the size of the memory could not be read, and more tasks need more of it")
        if value > most:
            raise Refused("kernel.threads-max = %d needs more memory: an eighth of what this machine has holds the stacks of %d tasks" % (value, most))


def _refuse_read_only(name: str, path: str) -> None:
    if not os.access(path, os.W_OK):
        raise Refused("%s may not be written here (%s is read-only): a container has the settings of its host; set it on the host" % (name, path))


# -- the remedy ------------------------------------------------------------------------------------------------------


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    wanted = settings(given)
    if given["state"] == PRESENT and not wanted:
        raise Refused("values is not given: there is nothing to set")
    file = PutFile(FILE, None)
    lines = content(file.before.text)
    others = sysctl_files.read(host, without=FILE)
    names = sorted(wanted) if given["state"] == PRESENT else sorted(set(wanted or lines.values) & set(lines.values))
    running = {name: _running(host, name) for name in names}
    if given["state"] == PRESENT:
        for name in names:
            _refuse_overruled(others, name, wanted[name])
            lines.before.setdefault(name, "%d" % running[name])
            lines.values[name] = "%d" % wanted[name]
    else:
        wanted = dict(_as_before(others, lines, running, names))
        for name in names:
            del lines.values[name]
    file.text = text_of(lines)
    changed = [name for name in names if running[name] != wanted[name]]
    _refuse_harm(host, changed, running, wanted)
    live: List[Step] = [PutSetting(name, running[name], wanted[name], path_of(name)) for name in changed]
    files: List[Step] = [file] if file.needed else []
    # What was before stands in the file: it is written before the values change, and taken away after they are back.
    return Proposal(tuple(files + live if given["state"] == PRESENT else live + files), tuple(_notes(changed)))


def _as_before(others: sysctl_files.SysctlFiles, lines: Content, running: Dict[str, int], names: Sequence[str]) -> Iterator[Tuple[str, int]]:
    """What the other files say; where they say nothing, what ran before the first change; else what runs."""
    for name in names:
        configured = others.values.get(name)
        for text in (configured.value if configured is not None else "", lines.before.get(name, "")):
            if NUMBER.match(text):
                yield name, int(text)
                break
        else:
            yield name, running[name]


def _refuse_harm(host: Host, changed: Sequence[str], running: Dict[str, int], wanted: Dict[str, int]) -> None:
    if not changed:
        return
    evidence = gather(host, {source for name in changed for source in KEYS[name].sources} | {"budgets", "processes"})
    for name in changed:
        _refuse_read_only(name, path_of(name))
        _refuse_high(evidence, name, running[name], wanted[name])
        _refuse_low(host, evidence, name, running[name], wanted[name])


def _notes(changed: Sequence[str]) -> Iterator[str]:
    if "kernel.pid_max" in changed or "kernel.threads-max" in changed:
        yield "TasksMax= in percent (the default of units, and that of users' slices) follows %s at the next daemon-reload of systemd" % " and ".join(
            name for name in changed if name in ("kernel.pid_max", "kernel.threads-max"))
    if "fs.nr_open" in changed:
        yield "services and sessions have their limits of open files from when they started"


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """Read back from the kernel, and from the files as a boot merges them."""
    wanted = settings(given)
    if given["state"] == ABSENT:
        left = content(PutFile(FILE, None).before.text).values
        return ["%s is still set in %s" % (name, FILE) for name in sorted(set(wanted or left) & set(left))]
    problems = []
    configured = sysctl_files.read(host).values
    for name in sorted(wanted):
        if _running(host, name) != wanted[name]:
            problems.append("the kernel made %d of %s = %d" % (_running(host, name), name, wanted[name]))
        at_boot = configured.get(name)
        if at_boot is None or at_boot.value != "%d" % wanted[name]:
            problems.append("the next boot would set %s to %s" % (
                name, "%s (%s)" % (shown(at_boot.value), shown(at_boot.source)) if at_boot else "its default"))
    return problems


REMEDY = Remedy("kernel_limits", "The kernel's own budgets: process numbers, tasks, maps, watches, keys, files", PARAMETERS, propose, verify)
