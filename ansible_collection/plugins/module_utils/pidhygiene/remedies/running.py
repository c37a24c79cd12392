# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting on processes that run: each is looked at again right before, so that nobody else who got its number is hit."""

import os
import resource
import signal
import time
from typing import Any, Iterator, List, Sequence

from ..model import UNLIMITED
from ..readers.processes import parse_stat
from ..text import shown
from .model import MIXED, NEW, OLD, Difference, Failed, Step

NUMBERS = {item: getattr(resource, "RLIMIT_" + item.upper()) for item in (
    "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "sigpending", "msgqueue", "nice", "rtprio", "rttime")
    if hasattr(resource, "RLIMIT_" + item.upper())}
NUMBERS["locks"] = 10  # include/uapi/asm-generic/resource.h


def same_process(process: Any) -> bool:
    """Whether the number still belongs to the process that was looked at: pid and start time are the same, and it is no zombie."""
    try:
        with open("/proc/%d/stat" % process.pid, "rb") as stream:
            now = parse_stat(stream.read(4096))
    except (OSError, ValueError):
        return False
    return now.start == process.start and not now.zombie


def send(process: Any, number: int) -> bool:
    """Send a signal to the process that was looked at, and to no other one. False: it has ended.

    A pidfd (Linux 5.3, Python 3.9) holds on to a process; whether it is the right one is looked at after it was opened. Without it a moment remains.
    """
    if not hasattr(os, "pidfd_open"):
        if not same_process(process):
            return False
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return False
        return True
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not same_process(process):
            return False
        signal.pidfd_send_signal(fd, number)  # type: ignore[attr-defined, unused-ignore]
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


class EndProcesses(Step):
    """SIGTERM, a while to end, SIGKILL for those that did not: in the order given, each looked at again right before."""

    TERM_S, KILL_S = 10.0, 5.0

    def __init__(self, processes: Sequence[Any], why: str) -> None:
        self.processes, self.why = tuple(processes), why
        self._signalled = False

    def differences(self) -> List[Difference]:
        return [Difference("process %d (%s)" % (each.pid, shown(each.comm)), "runs", "ended: %s" % self.why) for each in self.processes]

    def do(self) -> None:
        for number, patience in ((signal.SIGTERM, self.TERM_S), (signal.SIGKILL, self.KILL_S)):
            for each in self._left():
                self._signalled = send(each, number) or self._signalled
            deadline = time.monotonic() + patience
            while any(self._left()) and time.monotonic() < deadline:
                time.sleep(0.05)
        left = ", ".join("%d" % each.pid for each in self._left())
        if left:
            raise Failed("processes %s do not end, not even by SIGKILL: they wait in the kernel" % left, NEW)

    def undo(self) -> None:
        if self._signalled:
            raise Failed("processes that were ended cannot be brought back", MIXED)

    def _left(self) -> Iterator[Any]:
        return (each for each in self.processes if same_process(each))


class Continue(Step):
    """SIGCONT to a stopped process."""

    def __init__(self, process: Any) -> None:
        self.process = process
        self._sent = False

    def differences(self) -> List[Difference]:
        return [Difference("process %d (%s)" % (self.process.pid, shown(self.process.comm)), "stopped", "continued")]

    def do(self) -> None:
        self._sent = send(self.process, signal.SIGCONT)

    def undo(self) -> None:
        if self._sent:
            send(self.process, signal.SIGSTOP)


class ProcessLimit(Step):
    """A limit of one process, changed while it runs (prlimit(2)); its next start does not know of it."""

    def __init__(self, process: Any, item: str, before: Any, after: Any) -> None:
        self.process, self.item, self.before, self.after = process, item, before, after
        self._done = False

    def differences(self) -> List[Difference]:
        what = "%s of %s (%d)" % (self.item, shown(self.process.comm), self.process.pid)
        return [Difference(what, _pair(self.before), _pair(self.after))]

    def do(self) -> None:
        if same_process(self.process):  # else it has ended, and needs nothing
            self._set(self.after)
            self._done = True

    def undo(self) -> None:
        if self._done and same_process(self.process):
            self._set(self.before)

    def _set(self, limit: Any) -> None:
        try:
            soft, hard = (-1 if value == UNLIMITED else value for value in limit)
            resource.prlimit(self.process.pid, NUMBERS[self.item], (soft, hard))
        except ProcessLookupError:
            pass
        except OSError as error:
            raise Failed("%s of process %d could not be set: %s" % (self.item, self.process.pid, error.strerror), OLD)


def _pair(limit: Any) -> str:
    return ":".join("infinity" if value == UNLIMITED else "%d" % value for value in limit)
