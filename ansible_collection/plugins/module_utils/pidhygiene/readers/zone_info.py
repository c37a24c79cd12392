# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled zones (TZif, RFC 8536, versions 1 to 4) as glibc reads them, and whether two of them mean the same.

What glibc's time/tzfile.c refuses is refused here; what it accepts is accepted, and means the same offsets.
All sizes in the header are checked against the data before anything is unpacked.
"""

import struct
from bisect import bisect_right
from typing import Iterator, Optional, Sequence, Tuple, Union

from ..record import NamedTuple
from . import posix_tz
from .posix_tz import PosixZone

MAGIC = b"TZif"
SIZE_LIMIT = 256 * 1024  # bytes; the largest zone ever shipped has below 4 KiB, with leap seconds below 8
YEAR = 31556952  # seconds, mean

_HEADER = struct.Struct(">4sc15x6i")


class NotAZone(ValueError):
    """These bytes are no TZif: glibc would pass them over and use UTC."""


class LocalType(NamedTuple):
    offset: int  # seconds east of UTC
    summer: bool
    name: str
    standard_time: bool  # its transitions are given in standard time, for zones made from posixrules
    universal_time: bool  # likewise in UTC


class TzFile(NamedTuple):
    version: int
    transitions: Tuple[int, ...]  # seconds since the epoch
    types: Tuple[LocalType, ...]
    indexes: bytes  # of the type that each transition leads to
    leaps: Tuple[Tuple[int, int], ...]  # moment and total correction
    footer: str  # a POSIX string for the time after the last transition
    rules: Optional[PosixZone]  # the same, read

    def at(self, moment: int) -> Tuple[int, bool, str]:
        """Offset, whether it is summer time, and abbreviation. As tzfile.c __tzfile_compute."""
        if not self.transitions or moment < self.transitions[0]:
            found = next((each for each in self.types if not each.summer), self.types[0])
        elif moment >= self.transitions[-1] and self.rules is not None:
            return self.rules.at(moment)
        else:
            found = self.types[self.indexes[bisect_right(self.transitions, moment) - 1]]
        return found.offset, found.summer, found.name

    def shift(self, moment: int) -> int:
        """Seconds that a wall clock is ahead of UTC; in the "right" zones less the leap seconds."""
        correction = 0
        for since, total in self.leaps:
            if moment < since:
                break
            correction = total
        return self.at(moment)[0] - correction

    def changes(self, since: int, until: int) -> Iterator[int]:
        """Every moment in the interval at which the shift may change."""
        for moment in self.transitions:
            if since < moment <= until:
                yield moment
        for moment, _total in self.leaps:
            if since < moment <= until:
                yield moment
        if self.rules is not None and self.transitions and until > self.transitions[-1]:
            yield from self.rules.changes(max(since, self.transitions[-1]), until)


Zone = Union[TzFile, PosixZone]


# -- reading ---------------------------------------------------------------------------------------------------


class _Counts(NamedTuple):
    universal: int
    standard: int
    leaps: int
    transitions: int
    types: int
    names: int  # bytes

    def size(self, width: int) -> int:
        return (self.transitions * (width + 1) + self.types * 6 + self.names + self.leaps * (width + 4) + self.standard + self.universal)


def parse(data: bytes) -> TzFile:
    """Errors: NotAZone."""
    version, counts, at = _header(data, 0)
    width = 4
    if version != b"\0":
        version, counts, at = _header(data, at + counts.size(4))
        width = 8
    end = at + counts.size(width)
    if end > len(data):
        raise NotAZone("cut off")
    if not counts.types:
        raise NotAZone("no local time types")
    footer = ""
    if width == 8:
        if len(data) - end < 2:
            raise NotAZone("no footer")
        if data[end: end + 1] == b"\n":
            footer = data[end + 1: -1].split(b"\0")[0].decode("ascii", "replace")
    return _body(data, at, width, counts, footer, {b"\0": 1, b"2": 2, b"3": 3, b"4": 4}.get(version, 0))


def _header(data: bytes, at: int) -> Tuple[bytes, _Counts, int]:
    if len(data) - at < _HEADER.size or at < 0:
        raise NotAZone("cut off")
    fields = _HEADER.unpack_from(data, at)
    if fields[0] != MAGIC:
        raise NotAZone("no TZif data")
    counts = _Counts(*fields[2:])
    if min(counts) < 0 or counts.standard > counts.types or counts.universal > counts.types:
        raise NotAZone("impossible counts")
    return fields[1], counts, at + _HEADER.size


def _body(data: bytes, at: int, width: int, counts: _Counts, footer: str, version: int) -> TzFile:
    number = "q" if width == 8 else "i"
    transitions = struct.unpack_from(">%d%s" % (counts.transitions, number), data, at)
    at += counts.transitions * width
    indexes = data[at: at + counts.transitions]
    if indexes and max(indexes) >= counts.types:
        raise NotAZone("a transition to a type that is not there")
    at += counts.transitions
    raw_types = [struct.unpack_from(">iBB", data, at + 6 * each) for each in range(counts.types)]
    at += 6 * counts.types
    names = data[at: at + counts.names]
    at += counts.names
    leaps = [struct.unpack_from(">%si" % number, data, at + (width + 4) * each) for each in range(counts.leaps)]
    at += (width + 4) * counts.leaps
    standard = data[at: at + counts.standard]
    universal = data[at + counts.standard: at + counts.standard + counts.universal]
    types = []
    for each, (offset, summer, name_at) in enumerate(raw_types):
        if summer > 1 or name_at > counts.names:
            raise NotAZone("an impossible local time type")
        types.append(LocalType(
            offset, bool(summer), names[name_at:].split(b"\0")[0].decode("ascii", "replace"),
            any(standard[each: each + 1]), any(universal[each: each + 1]),
        ))
    return TzFile(
        version, tuple(transitions), tuple(types), indexes, tuple((leap[0], leap[1]) for leap in leaps),
        footer, posix_tz.parse(footer) if footer else None,
    )


def footer_of(data: bytes) -> bytes:
    """The footer of a compiled zone without reading the rest: enough to pass over most zones when looking for one."""
    if data[:4] != MAGIC or not data.endswith(b"\n"):
        return b""
    return data[data.rfind(b"\n", 0, len(data) - 1) + 1: -1]


def under_default_rules(rules: TzFile, wanted: PosixZone) -> Optional[TzFile]:
    """What glibc makes of "AAA3BBB": the names and offsets of the string, the changes of the file posixrules (tzfile.c __tzfile_default).

    After the last transition of that file its own footer rules, with its own offsets and names: so glibc does it. Since 2.37
    (and 2.36 as Debian ships it) it also forgets the summer offset of that file, so that the end of summer time is some hours
    off, by how many depends on what the program asked before: here it is where it belongs.
    """
    if len(rules.types) < 2:
        return None
    of_rules = {rules.types[index].summer: rules.types[index].offset for index in rules.indexes}
    standard = of_rules.get(False, 0)
    summer_time = of_rules.get(True, standard)
    transitions, indexes, summer = [], bytearray(), False
    for moment, index in zip(rules.transitions, rules.indexes):
        kind = rules.types[index]
        if not kind.universal_time:
            if summer and not kind.standard_time:
                moment += wanted.summer_offset - summer_time
            else:
                moment += wanted.offset - standard
        transitions.append(moment)
        indexes.append(int(kind.summer))
        summer = kind.summer
    types = (LocalType(wanted.offset, False, wanted.name, False, False), LocalType(wanted.summer_offset, True, wanted.summer_name, False, False))
    return TzFile(rules.version, tuple(transitions), types, bytes(indexes), rules.leaps, rules.footer, rules.rules)


# -- comparing -------------------------------------------------------------------------------------------------


def first_difference(one: Zone, other: Zone, since: int, until: int) -> Optional[int]:
    """The first moment in the interval at which wall clocks of the two zones disagree; None when they never do."""
    moments = {since}
    moments.update(one.changes(since, until))
    moments.update(other.changes(since, until))
    for moment in sorted(moments):
        if one.shift(moment) != other.shift(moment):
            return moment
    return None


def same_rules(one: Zone, other: Zone, now: float) -> bool:
    """Whether both give the same wall clock from a year ago to ten years ahead: what a running host can notice."""
    return one == other or first_difference(one, other, int(now) - YEAR, int(now) + 10 * YEAR) is None


def offsets(zone: Zone, since: int, until: int) -> Sequence[Tuple[int, int]]:
    """(moment, shift) at the start and at every real change of the interval."""
    found = [(since, zone.shift(since))]
    for moment in sorted(set(zone.changes(since, until))):
        shift = zone.shift(moment)
        if shift != found[-1][1]:
            found.append((moment, shift))
    return found
