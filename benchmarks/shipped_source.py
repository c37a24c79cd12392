"""Source of the engine that travels to each host for an audit: everything that the module imports, as it is sent."""

from __future__ import annotations

from collections.abc import Iterator

from .measuring import Finding, Note, Number
from .payload import engine, module

KB = 1024
SHOWN = 12
MODULES = ("pidhygiene.host.audit_info", "ansible.builtin.ping")


def measure() -> Iterator[Finding]:
    packed, sources = engine(module(MODULES[0]))
    yield Note(f"{len(sources)} files without docstrings and comments, {sum(map(len, sources.values())) / KB:.1f} KB of text; the largest:")
    for path, source in sorted(sources.items(), key=lambda each: -len(each[1]))[:SHOWN]:
        yield Note(f"{len(source) / KB:7.1f} KB  {path}")
    for name in MODULES:
        yield Note(f"{module(name).stat().st_size / KB:7.1f} KB  all that is sent for {name}")
    yield Number("the engine as it travels, in the archive that Ansible makes of every module", packed / KB, 200, "KB")
