# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acting on processes that run: each is looked at again right before, so that nobody else who got its number is hit."""

import resource
from typing import Any, List

from ..model import UNLIMITED
from ..readers.processes import parse_stat
from ..text import shown
from .model import OLD, Difference, Failed, Step

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
