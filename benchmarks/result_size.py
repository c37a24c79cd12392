"""The result document, as check --format json writes it: of a fresh host, of one with 100 processes, of one with 18,094 zombies."""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab.auditing import PLACE
from tests.lab.host import LabHost

from . import hosts
from .measuring import Finding, Note, Number

HEALTHY_KB, BAD_KB = 20, 200


def measure() -> Iterator[Finding]:
    with hosts.bookworm() as host:
        yield Number("result of a fresh host", size(host), HEALTHY_KB, "KB")
        hosts.fill(host, 100)
        yield Note(hosts.population(host))
        yield Number("result of that host", size(host), HEALTHY_KB, "KB")
        hosts.leak(host)
        yield Number("result with 18,094 zombies", size(host), BAD_KB, "KB")


def size(host: LabHost) -> float:
    """In KB of 1024 bytes."""
    return len(host.run(["env", f"PYTHONPATH={PLACE}", *hosts.CHECK, "--format", "json", "--fail-on", "never"]).stdout.encode()) / 1024
