# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts live in which time zone, by canonical name, and a map of them: the world as its offsets."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from .view import Report

DATABASE = Path("/usr/share/zoneinfo/tzdata.zi")
ALIASES = {  # where this machine has no list of links
    "PRC": "Asia/Shanghai",
    "Etc/UTC": "UTC",
    "Etc/UCT": "UTC",
    "UCT": "UTC",
    "Zulu": "UTC",
    "Universal": "UTC",
    "Etc/Zulu": "UTC",
    "Etc/Universal": "UTC",
    "GB": "Europe/London",
    "Japan": "Asia/Tokyo",
    "US/Eastern": "America/New_York",
    "US/Central": "America/Chicago",
    "US/Pacific": "America/Los_Angeles",
}


@dataclass
class Zone:
    name: str  # canonical
    offset_s: int | None  # now; None: there is no such zone here
    aliases: tuple[str, ...] = ()
    hosts: list[str] = field(default_factory=list)

    @property
    def offset_words(self) -> str:
        if self.offset_s is None:
            return "unknown"
        minutes = abs(self.offset_s) // 60
        return "UTC%s%02d:%02d" % ("−" if self.offset_s < 0 else "+", minutes // 60, minutes % 60)


@lru_cache(maxsize=1)
def links() -> dict[str, str]:
    """Name to canonical name, from the zone database of this machine."""
    found = dict(ALIASES)
    try:
        text = DATABASE.read_text(encoding="ascii", errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "L":
            found[words[2]] = "UTC" if words[1] == "Etc/UTC" else words[1]
    return found


def canonical(name: str) -> str:
    for _step in range(4):  # a link to a link
        after = links().get(name, name)
        if after == name:
            break
        name = after
    return name


def of(report: Report) -> list[Zone]:
    """From west to east; zones that nobody knows last."""
    found: dict[str, Zone] = {}
    aliases: dict[str, set[str]] = {}
    for row in report.hosts:
        if row.zone:
            name = canonical(row.zone)
            if name not in found:
                found[name] = Zone(name, _offset(name, report.now))
            found[name].hosts.append(row.name)
            if row.zone != name:
                aliases.setdefault(name, set()).add(row.zone)
    for name, also in aliases.items():
        found[name].aliases = tuple(sorted(also))
    return sorted(found.values(), key=lambda zone: (zone.offset_s is None, zone.offset_s or 0, -len(zone.hosts), zone.name))


def _offset(name: str, now: float) -> int | None:
    try:
        offset = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).astimezone(ZoneInfo(name)).utcoffset()
    except (ValueError, OSError, OverflowError, LookupError):
        return None
    return int(offset.total_seconds()) if offset is not None else None
