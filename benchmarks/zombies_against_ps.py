"""A check of a host with 18,094 zombies, waiting not counted, against ps -eo pid,ppid,stat,uid,comm."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.lab.auditing import SHELL

from . import hosts
from .measuring import Finding, Note, ratio, table

ROUNDS = 9


def measure() -> Iterator[Finding]:
    with hosts.bookworm() as host:
        hosts.leak(host)
        yield Note(hosts.population(host))
        waited = json.loads(host.run([*SHELL, "check", "--format", "json", "--fail-on", "never"]).stdout)["audit"]["waited_s"]
        commands = {"pidhygiene check": hosts.CHECK, "ps": ("ps", "-eo", "pid,ppid,stat,uid,comm")}
        check, ps = runs = hosts.in_turn(host, ROUNDS, commands)
        yield from table(runs)
        yield Note(f"of which a check waited {waited:.1f} s for a second look")
        yield ratio(check, ps, 1.5, waited)
