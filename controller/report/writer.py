# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each format is: a name, and a writer that sees every host once and then the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..fleet.model import FleetHost
from ..store.rows import Run
from .output import Output
from .view import Report


@dataclass(frozen=True)
class Context:
    """What writers know before the first host."""

    run: Run
    fail_on: str = "fail"
    pack: str = ""  # the auditor pack as the page links to it
    events: str = "news"  # what a webhook is told: what changed, or "all"


class Writer:
    """One output. ``keep`` makes it visible; ``drop`` leaves nothing. Errors of all methods: OSError."""

    told = True  # keep() did something that is worth a line

    def __init__(self, path: str, context: Context) -> None:
        self.context = context
        self.output = Output(path)
        self.begin()

    def write(self, text: str) -> None:
        self.output.stream.write(text)

    def begin(self) -> None:
        """Before the first host."""

    def take(self, host: FleetHost) -> None:
        """Each host, sorted by name."""

    def finish(self, report: Report) -> None:
        """When all have passed by."""
        raise NotImplementedError

    def keep(self) -> None:
        self.output.keep()

    def drop(self) -> None:
        self.output.drop()

    @property
    def place(self) -> str:
        """Where it went, for people."""
        return self.output.path


@dataclass(frozen=True)
class Format:
    name: str
    writer: Callable[[str, Context], Writer]
    sees_hosts: bool = False
    tells: bool = False  # what changed: each run is told once
    sends: bool = False  # it leaves this machine: after all files are there, and what fails keeps none of them from being there
