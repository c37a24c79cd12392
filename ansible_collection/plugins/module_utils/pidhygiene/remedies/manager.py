# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd told to act, over its socket: reload, start, stop, restart, properties of a running unit. No child process.

Interface: org.freedesktop.systemd1(5). A job is waited for by looking at it; the manager's signals would need a subscription.
"""

import struct
import time
from typing import Any, Dict, List, Sequence, Tuple

from .. import bus
from ..model import UNLIMITED
from ..record import NamedTuple
from .model import MIXED, NEW, OLD, Difference, Failed, Step

RELOAD_S = 90.0  # generators run then, and every file is read
JOB_S = 120.0  # TimeoutStartSec= and TimeoutStopSec= are 90 by default
SETTLE_S = 2.0  # a service that is there for so long after its start counts as back
INTERFACE = bus.SYSTEMD + ".Manager"
STATE = ("LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "Type", "Result", "Job", "RemainAfterExit", "ControlGroup")


def call(member: str, body: bytes = b"", signature: str = "", patience: float = RELOAD_S) -> Any:
    connection = bus.Connection(time.monotonic() + patience)
    connection.patience_s = patience
    with connection:
        connection.allow(time.monotonic() + patience)
        reply = connection.call(bus.Call(bus.MANAGER_PATH, INTERFACE, member, body, signature))
        if reply.error:
            raise Failed("systemd refused %s: %s" % (member, reply.error.rpartition(".")[2]), OLD)
        return reply


def texts(*values: str) -> bytes:
    """Strings as the arguments of a call."""
    data = b""
    for value in values:
        data = bus.padded(data, 4) + bus.packed(value)
    return data


def properties(names: Sequence[str], unit: str) -> Dict[str, Any]:
    """Of one unit, loaded or not in memory yet: LoadUnit reads its files, and starts nothing. Errors: HostError, Failed."""
    connection = bus.Connection(time.monotonic() + RELOAD_S)
    with connection:
        reply = connection.call(bus.Call(bus.MANAGER_PATH, INTERFACE, "LoadUnit", texts(unit), "s"))
        if reply.error:
            raise Failed("systemd does not know %s: %s" % (unit, reply.error.rpartition(".")[2]), OLD)
        answer = connection.call(bus.Call(reply.body.value("o"), bus.PROPERTIES, "GetAll", texts(""), "s"))
        if answer.error:
            raise Failed("systemd tells nothing of %s: %s" % (unit, answer.error.rpartition(".")[2]), OLD)
        return answer.body.properties({name.encode(): name for name in names})


def reload() -> None:
    """Reads all unit files again. It returns when the manager has done it; its generators are processes."""
    call("Reload")


class Reload(Step):
    def __init__(self) -> None:
        self._asked = False

    def differences(self) -> List[Difference]:
        return []

    def do(self) -> None:
        self._asked = True
        reload()

    def undo(self) -> None:
        if self._asked:
            reload()


def set_numbers(unit: str, values: Sequence[Tuple[str, int]], runtime: bool = True, patience: float = RELOAD_S) -> None:
    """Properties of type t, live (SetUnitProperties): no start, no reload, no process."""
    rows = b""
    for name, value in values:
        rows = bus.padded(rows, 8)
        row = bus.packed(name) + b"\x01t\0"
        row = bus.padded(row, 8) + struct.pack("<Q", value)
        rows += row
    head = bus.padded(texts(unit), 4) + struct.pack("<II", 1 if runtime else 0, len(rows))
    call("SetUnitProperties", bus.padded(head, 8) + rows, "sba(sv)", patience)


class SetNumber(Step):
    """A number of a running unit, until its next start or for good."""

    def __init__(self, unit: str, name: str, before: int, after: int, runtime: bool = True) -> None:
        self.unit, self.name, self.before, self.after, self.runtime = unit, name, before, after, runtime
        self._done = False

    def differences(self) -> List[Difference]:
        return [Difference("%s of %s" % (self.name, self.unit), _shown(self.before), _shown(self.after))]

    def do(self) -> None:
        set_numbers(self.unit, [(self.name, self.after)], self.runtime)
        self._done = True

    def undo(self) -> None:
        if self._done:
            set_numbers(self.unit, [(self.name, self.before)], self.runtime)


def _shown(value: int) -> str:
    return "infinity" if value == UNLIMITED else "%d" % value


class Ended(NamedTuple):
    """How a unit is after a job."""

    active: str
    sub: str
    main_pid: int
    result: str

    @property
    def runs(self) -> bool:
        return self.active in ("active", "reloading")


def job(verb: str, unit: str) -> Ended:
    """StartUnit, StopUnit, RestartUnit, TryRestartUnit: asked for, waited for, and looked at for another moment. Errors: HostError, Failed."""
    call(verb, bus.padded(texts(unit), 4) + texts("replace"), "ss")
    ended = _after_job(unit, time.monotonic() + JOB_S)
    if verb == "StopUnit" or not unit.endswith(".service"):  # what has no process cannot come and go
        return ended
    settled = time.monotonic() + SETTLE_S
    while ended.runs and time.monotonic() < settled:
        time.sleep(0.1)
        later = _after_job(unit, time.monotonic() + JOB_S)
        if later.runs and later.main_pid != ended.main_pid:
            raise Failed("%s does not stay: its main process %d was followed by %d" % (unit, ended.main_pid, later.main_pid), NEW)
        ended = later
    return ended


def settled(unit: str) -> Ended:
    """How the unit is once no job of it is left. Errors: HostError, Failed."""
    return _after_job(unit, time.monotonic() + JOB_S)


def _after_job(unit: str, deadline: float) -> Ended:
    """How the unit is once no job of it is left and it is not between two starts."""
    while True:
        seen = properties(STATE, unit)
        ended = Ended(seen.get("ActiveState", ""), seen.get("SubState", ""), seen.get("MainPID", 0) or 0, seen.get("Result", ""))
        if not seen.get("Job", (0, ""))[0] and ended.active not in ("activating", "deactivating"):
            return ended
        if time.monotonic() > deadline:
            raise Failed("%s is still %s (%s) after %d seconds" % (unit, ended.active, ended.sub, JOB_S), NEW)
        time.sleep(0.05)


class Restart(Step):
    """The unit's processes are new ones. Done only when it runs: then it must run afterwards, and stay."""

    def __init__(self, unit: str, why: str) -> None:
        self.unit, self.why = unit, why
        self._asked = False

    def differences(self) -> List[Difference]:
        return [Difference("processes of %s" % self.unit, "as started before", "restarted: %s" % self.why)]

    def do(self) -> None:
        self._asked = True
        ended = job("TryRestartUnit", self.unit)
        if not ended.runs:
            raise Failed("%s did not come back: it is %s (%s, result %s)" % (self.unit, ended.active, ended.sub, ended.result), NEW)

    def undo(self) -> None:
        if not self._asked:
            return
        ended = job("RestartUnit", self.unit)
        if not ended.runs:
            raise Failed("%s does not start with the old settings either: it is %s (%s, result %s)" % (
                self.unit, ended.active, ended.sub, ended.result), MIXED)
