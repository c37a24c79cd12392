"""Processes and threads that a check starts, bus and journal included, as strace counts them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.auditing import PLACE
from tests.lab.test_no_process_started import starts_after_entry, traced

from . import hosts
from .measuring import Finding, Note, Number

WITNESS = ("python3", "-c", "import os; os.fork()")


def measure() -> Iterator[Finding]:
    with hosts.bookworm() as host, tempfile.TemporaryDirectory() as folder:
        seen = starts_after_entry(traced(host, Path(folder), *WITNESS))
        yield Note(f"of one that forks once, strace sees {len(seen)}")
        command = ("env", f"PYTHONPATH={PLACE}", *hosts.CHECK, "--fail-on", "never")
        yield Number("tasks started", len(starts_after_entry(traced(host, Path(folder), *command))), 0, "tasks")
