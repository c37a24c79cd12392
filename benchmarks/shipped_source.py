"""Source of the engine that travels to each host for an audit: everything that the module imports, followed by Ansible."""

from __future__ import annotations

from collections.abc import Iterator

from .measuring import Finding, Note, Number
from .payload import engine_sources

KB = 1024
SHOWN = 12


def measure() -> Iterator[Finding]:
    sources = engine_sources("pidhygiene.host.audit_info")
    packed = sum(each.packed for each in sources.values())
    yield Note(f"{len(sources)} files; the largest:")
    for name, source in sorted(sources.items(), key=lambda each: -each[1].size)[:SHOWN]:
        yield Note(f"{source.size / KB:7.1f} KB  {name}")
    yield Number("as it travels, in the archive that Ansible makes of every module", packed / KB, 200, "KB")
    yield Number("as text", sum(each.size for each in sources.values()) / KB, 200, "KB")
