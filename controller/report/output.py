# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a format is written: whole or not at all, readable by its owner only; ``-`` is standard output."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TextIO

STANDARD = "-"


class Output:
    """A file that appears when it is whole. Errors of all methods: OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._temporary = ""
        if path == STANDARD:
            self.stream: TextIO = sys.stdout
            return
        target = Path(path).absolute()
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, self._temporary = tempfile.mkstemp(prefix=".pidhygiene-", dir=target.parent)  # mode 0600
        self.stream = os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="")

    def readable_by_all(self) -> None:
        """For what another user's daemon reads, and that holds no command lines."""
        if self._temporary:
            os.chmod(self._temporary, 0o644)

    def keep(self) -> None:
        self.stream.flush()
        if self._temporary:
            os.fsync(self.stream.fileno())
            self.stream.close()
            os.replace(self._temporary, Path(self.path).absolute())
            self._temporary = ""

    def drop(self) -> None:
        if self._temporary:
            self.stream.close()
            Path(self._temporary).unlink(missing_ok=True)
            self._temporary = ""
