# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Relief where no process can start: a little more room, from a process that runs already, over systemd's socket or a file of /proc/sys. No fork, no thread.

Room for a day, until the next boot: a limit grows by at most a quarter, once a day, and never above what the machine has left. Nothing is ended and
nothing restarted, unless the unit was named for it and leaks. No daemon-reload: its generators are processes.
"""

import json
import os
import time
from typing import Any, Dict, List, Optional, Tuple

from .. import watch
from ..evidence import gather
from ..host import Host, HostError
from ..model import UNLIMITED
from ..readers.kernel_budgets import RESERVED_PIDS
from ..text import shown
from ..watch_news import Outcome
from ..watch_settings import Relief, Settings
from . import apply, manager
from .crowded import FEW
from .files import PutFile
from .kernel_limits import PID_MAX_LIMIT, PID_MAX_LIMIT_32_BIT
from .model import NEW, Difference, Failed, Refused, Step
from .protected import refuse_protected
from .reap import StopReapStart
from .sysctl import PutSetting

RECORD = "/run/pidhygiene-relief.json"  # gone with the boot, as is all that relief does
DAY_S = 86400.0
PART = 4  # a quarter
LEAK = 20  # zombies: fewer are no leak (policy zombies.warn)
PATIENCE_S = 5.0  # for the manager: who asks has other things to do
APPLIED_S = 2.0  # the manager writes pids.max right after its answer
RAISE, RESTART = "raised", "restarted"


def of(host: Host, level: watch.Level, allowed: Relief, act: bool = True, record: str = RECORD) -> Optional[Outcome]:
    """Relieves one level, or says why not. None: nobody allowed anything for it. ``act``: else only what would be done. Never raises for what the host has."""
    if not allowed.allowed:
        return None
    try:
        if not act:
            return _would(_planned(host, level, allowed, _Record(host, record))[1])
        with apply.alone():
            return _done(host, level, allowed, _Record(host, record))
    except Refused as error:
        return Outcome("refused", "%s." % error)
    except Failed as error:
        return Outcome("failed", "%s (state left: %s)." % (error, error.state))
    except HostError as error:
        return Outcome("failed", "what the host has could not be read (%s: %s)." % (error.path, error.reason))
    except OSError as error:
        return Outcome("failed", "%s: %s." % (error.filename or record, error.strerror))


def _would(step: Step) -> Outcome:
    return Outcome("would", "this would be done.", _changes(step))


def _done(host: Host, level: watch.Level, allowed: Relief, record: "_Record") -> Outcome:
    key, step = _planned(host, level, allowed, record)
    changes = _changes(step)
    record.note(key)  # before: a minion that dies in between does not do it twice
    try:
        apply.run([step])
    except Failed:
        record.forget(key)
        raise
    return Outcome("done", "until the next boot: %s." % "; ".join("%s %s, was %s" % (what, after, before) for what, before, after in changes), changes)


def _changes(step: Step) -> Tuple[Tuple[str, str, str], ...]:
    return tuple((each.what, each.before, each.after) for each in step.differences())


# -- what to do --------------------------------------------------------------------------------------------------------


def _planned(host: Host, level: watch.Level, allowed: Relief, record: "_Record") -> Tuple[str, Step]:
    """The key of the record and the step. A unit that leaks and may be restarted is the cure; more room is time. Errors: Refused."""
    candidates = [unit for unit in allowed.restart if level.unit in ("", unit)]
    reasons: List[str] = []
    for unit in candidates:
        try:
            record.refuse_again(RESTART, unit)
            return "%s %s" % (RESTART, unit), _leak_ended(host, unit)
        except Refused as error:
            reasons.append(str(error))
    try:
        if level.key == watch.NUMBERS and allowed.pid_max:
            record.refuse_again(RAISE, "kernel.pid_max")
            return RAISE + " kernel.pid_max", _more_numbers(host, level)
        if level.unit and allowed.tasks_max:
            record.refuse_again(RAISE, level.unit)
            return "%s %s" % (RAISE, level.unit), _more_tasks(host, level)
    except Refused as error:
        reasons.append(str(error))
    if level.key == watch.TASKS:
        reasons.append("kernel.threads-max is not raised as relief, because each task needs memory: end what piles up")
    raise Refused("; ".join(reasons) or "relief is not allowed for %s" % level.budget.text())


def _more_numbers(host: Host, level: watch.Level) -> Step:
    before = level.budget.limit + RESERVED_PIDS
    most = PID_MAX_LIMIT if host.machine().word_bits == 64 else PID_MAX_LIMIT_32_BIT
    after = min(before + before // PART, most)
    if after <= before:
        raise Refused("kernel.pid_max is %d, and the kernel has no more" % before)
    if not os.access(watch.PID_MAX, os.W_OK):
        raise Refused("kernel.pid_max may not be written here (%s is read-only)" % watch.PID_MAX)
    return _PutPidMax("kernel.pid_max", before, after, watch.PID_MAX)


class _PutPidMax(PutSetting):
    def do(self) -> None:
        super(_PutPidMax, self).do()
        with open(self.path, "rb") as stream:
            now = stream.read(64).strip()
        if now != b"%d" % self.after:
            raise Failed("the kernel made %s of %s = %d" % (shown(now.decode("ascii", "replace")), self.name, self.after), NEW)


def _more_tasks(host: Host, level: watch.Level) -> Step:
    unit, before, used = level.unit, level.budget.limit, level.budget.used
    if "." not in unit or "@" in level.key.rsplit("/", 1)[0]:
        raise Refused("%s is no unit of the system's manager" % shown(level.key))
    room = _room(host)
    after = min(before + before // PART, used + room)
    if before + before // PART <= used:
        raise Refused("a quarter more than TasksMax=%d lets nothing start: %s has %d tasks already" % (before, shown(unit), used))
    if after <= before or after <= used:
        raise Refused("the machine has no room for more tasks of %s: %d are left beside %d that stay free; raise kernel.pid_max, or end what piles up" % (
            shown(unit), max(0, room), FEW))
    told = host.unit_properties([unit], ("Id", "TasksMax")).get(unit, {}).get("TasksMax")
    if not isinstance(told, int):
        raise Refused("systemd does not know %s" % shown(unit))
    if told > after + after // 50 + 1:  # a percentage is resolved anew when it is asked for, and may have grown with the machine
        raise Refused("pids.max of %s is %d, but systemd has TasksMax=%s for it: have it applied (systemctl daemon-reload) when processes can start" % (
            shown(unit), before, "infinity" if told == UNLIMITED else "%d" % told))
    return RaiseTasksMax(unit, before, after, level.budget.source)


def _room(host: Host) -> int:
    """Tasks that may still start on this machine, but for a few."""
    levels = watch.machine(host, {})
    if len(levels) < 2:
        raise Refused("what the machine has left could not be read")
    return min(each.budget.free for each in levels) - FEW


class RaiseTasksMax(Step):
    """Of a running unit, until the next boot (SetUnitProperties, runtime): in force for what runs, a millisecond, no reload."""

    def __init__(self, unit: str, before: int, after: int, path: str) -> None:
        self.unit, self.before, self.after, self.path = unit, before, after, path
        self._asked = False

    def differences(self) -> List[Difference]:
        return [Difference("TasksMax of %s" % self.unit, "%d" % self.before, "%d" % self.after)]

    def do(self) -> None:
        self._asked = True
        manager.set_numbers(self.unit, [("TasksMax", self.after)], True, PATIENCE_S)
        deadline = time.monotonic() + APPLIED_S
        while self._now() != b"%d" % self.after:
            if time.monotonic() > deadline:
                raise Failed("TasksMax of %s shall be %d, but pids.max is %s" % (self.unit, self.after, shown(self._now().decode("ascii", "replace"))), NEW)
            time.sleep(0.01)

    def undo(self) -> None:
        if self._asked:
            manager.set_numbers(self.unit, [("TasksMax", self.before)], True, PATIENCE_S)

    def _now(self) -> bytes:
        with open(self.path, "rb") as stream:
            return stream.read(64).strip()


def _leak_ended(host: Host, unit: str) -> Step:
    """Stop, wait for reaping, start: only while most of what the unit is charged for are zombies. Errors: Refused."""
    refuse_protected(unit, False, "end it by hand")
    evidence = gather(host, ("processes", "details"))
    own = evidence.details.of.get(evidence.processes.machine.own_pid)
    if own is not None and own.unit == unit:
        raise Refused("%s runs what asks for this: it does not stop itself" % unit)
    live = {pid for pid, detail in evidence.details.of.items() if detail.unit == unit and pid in evidence.processes.processes}
    living = sum(max(1, evidence.processes.processes[pid].threads) for pid in live if not evidence.processes.processes[pid].zombie)
    zombies = sum(1 for process in evidence.processes.processes.values() if process.zombie and process.threads <= 1 and process.ppid in live)
    if zombies < LEAK or zombies <= living:
        raise Refused("%s does not leak: %d zombies beside %d tasks that live" % (unit, zombies, living))
    return StopReapStart(unit)


# -- once a day --------------------------------------------------------------------------------------------------------


class _Record(object):
    """What was done in this boot, and when: {"raised a.service": seconds since boot}."""

    def __init__(self, host: Host, path: str) -> None:
        self._path, self._now = path, host.clock().boot
        self._file = PutFile(path, None, 0o600)
        self._rows = self._read()

    def _read(self) -> Dict[str, Any]:
        text = self._file.before.text
        if text is None:
            return {}
        try:
            rows = json.loads(text)
        except ValueError:
            rows = None
        if not isinstance(rows, dict) or not all(isinstance(each, (int, float)) for each in rows.values()):
            raise Refused("%s cannot be read, so what was done today is not known: look at it, and remove it" % self._path)
        return rows

    def refuse_again(self, verb: str, what: str) -> None:
        """Errors: Refused, when it was done less than a day ago."""
        ago = self._now - self._rows.get("%s %s" % (verb, what), -DAY_S)
        if ago < DAY_S:
            raise Refused("%s was %s %d minutes ago, and it is done once a day: find what fills it" % (shown(what), verb, max(0, ago) // 60))

    def note(self, key: str) -> None:
        self._write(dict(self._rows, **{key: int(self._now * 1000) / 1000.0}))

    def forget(self, key: str) -> None:
        self._write(self._rows)

    def _write(self, rows: Dict[str, Any]) -> None:
        recent = {key: at for key, at in rows.items() if self._now - at < DAY_S}
        file = PutFile(self._path, json.dumps(recent, sort_keys=True) + "\n", 0o600)
        if file.needed:
            file.do()


def by_hand(host: Host, unit: Optional[str], pid_max: bool, restart: bool, act: bool, record: str = RECORD) -> Outcome:
    """For one unit, or for the machine's process numbers, whatever their level is. ``restart`` names the unit for it."""
    allowed = Relief(tasks_max=bool(unit) and not restart, pid_max=pid_max, restart=(unit,) if unit and restart else ())
    seen = watch.look(host, Settings(units=(unit,) if unit else ()), {})
    level = next((each for each in seen.levels if (each.unit == unit if unit else each.key == watch.NUMBERS)), None)
    if level is None:
        why = "; ".join("%s: %s" % (shown(gap.source), gap.reason) for gap in seen.gaps)
        what = "%s has no limit of tasks now, or does not run" % shown(unit) if unit else "pid_max could not be read"
        return Outcome("refused", "%s%s." % (what, " (%s)" % why if why else ""))
    found = of(host, level, allowed, act, record)
    return found if found is not None else Outcome("refused", "nothing is asked for.")
