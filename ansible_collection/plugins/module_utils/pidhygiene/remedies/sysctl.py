# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel setting as it runs, written straight to /proc/sys: in force at once, gone with the next boot."""

import os
from typing import List

from .model import OLD, Difference, Failed, Step

PROC_SYS = "/proc/sys"


def path_of(name: str) -> str:
    """proc_sys(5): dots between the parts stand for slashes."""
    return "%s/%s" % (PROC_SYS, name.replace(".", "/"))


class PutSetting(Step):
    """The setting has this value; the kernel may refuse it, and says so with an error."""

    def __init__(self, name: str, before: int, after: int, path: str) -> None:
        self.name, self.before, self.after, self.path = name, before, after, path
        self._done = False

    def differences(self) -> List[Difference]:
        return [Difference("%s now" % self.name, "%d" % self.before, "%d" % self.after)]

    def do(self) -> None:
        self._write(self.after)
        self._done = True

    def undo(self) -> None:
        if self._done:
            self._write(self.before)
            self._done = False

    def _write(self, value: int) -> None:
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC)  # never made: what the kernel does not have is an error
            try:
                os.write(fd, b"%d\n" % value)
            finally:
                os.close(fd)
        except OSError as error:
            raise Failed("the kernel refuses %s = %d: %s" % (self.name, value, error.strerror), OLD)
