"""Which Debian mirror this machine is configured to use."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .place import LabUnavailable


def debian_mirror(apt: Path = Path("/etc/apt"), os_release: Path = Path("/etc/os-release")) -> str:
    """Return the address of the mirror: $PIDHYGIENE_LAB_MIRROR, else the one apt takes this machine's own release from.

    The archive of another vendor is of no use here: on a machine that is not a Debian the variable must be set.
    Formats: sources.list(5), both the one-line style and deb822 stanzas.
    """
    chosen = os.environ.get("PIDHYGIENE_LAB_MIRROR")
    if chosen:
        return chosen
    codename = _codename(os_release)
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        for address, suite in _one_line_sources(path):
            if suite == codename:
                return address
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        for address, suites in _stanza_sources(path):
            if codename in suites:
                return address
    raise LabUnavailable(f"apt names no mirror of the release {codename!r}; set PIDHYGIENE_LAB_MIRROR to a Debian mirror")


def _codename(os_release: Path) -> str:
    found = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release.read_text(), re.MULTILINE)
    return found.group(1) if found else ""


def _one_line_sources(path: Path) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    return re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", path.read_text(), re.MULTILINE)


def _stanza_sources(path: Path) -> list[tuple[str, list[str]]]:
    sources = []
    for stanza in re.split(r"\n\s*\n", path.read_text()):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
        if "deb" in fields.get("Types", "").split() and fields.get("URIs"):
            sources.append((fields["URIs"].split()[0], fields.get("Suites", "").split()))
    return sources
