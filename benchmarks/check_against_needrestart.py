"""A whole check, start of the interpreter included, against needrestart -b, which does one family of ten; and the memory of both ways."""

from __future__ import annotations

from collections.abc import Iterator

from . import hosts
from .measuring import Finding, Note, Number, ratio, table
from .payload import module

PROCESSES = 100  # most of them a service each: units that run cost the most
ROUNDS = 21


def measure() -> Iterator[Finding]:
    with hosts.bookworm("needrestart") as host:
        hosts.fill(host, PROCESSES)
        yield Note(hosts.population(host))
        check, needrestart = runs = hosts.in_turn(host, ROUNDS, {"pidhygiene check": hosts.CHECK, "needrestart -b": ("needrestart", "-b")})
        yield from table(runs)
        yield ratio(check, needrestart, 1.5)
        yield Number("memory of a check", check.max_rss_mib, 30, "MB")
        host.push(module("pidhygiene.host.audit_info"), "/opt/module.py")
        (as_module,) = hosts.in_turn(host, 3, {"as the Ansible module": ("python3", "/opt/module.py")})
        yield from table([as_module])
        yield Number("memory as the Ansible module", as_module.max_rss_mib, 45, "MB")
