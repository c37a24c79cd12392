# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed zone database: its version, its aliases, and what a value of TZ means to a glibc program here.

glibc asks nobody: a name without a file is read as a POSIX string, and a POSIX string without an offset is UTC, in silence.
"""

import posixpath
import re
from itertools import islice
from typing import Dict, Iterator, List, Optional, Tuple

from ..host import Denied, Host, HostError, NotRecorded, OutOfTime, Unsafe
from ..record import NamedTuple
from . import posix_tz, zone_info
from .zone_info import NotAZone, TzFile, Zone

DIRECTORY = "/usr/share/zoneinfo"
LOCALTIME = "/etc/localtime"
DIRECTORIES = (DIRECTORY + "/", "/usr/lib/zoneinfo/", "/etc/zoneinfo/")
OTHER_TREES = frozenset(["posix", "right", "localtime", "posixrules", "Factory", "uclibc"])  # below zoneinfo, but no zones of their own
MOST_FILES = 3000  # Debian with tzdata-legacy has about 600, its posix and right trees not counted
MOST_LINKS = 8

ZONE, FILE, HOST_ZONE, POSIX, PARTLY, ASKED_UTC, UNKNOWN, UNSEEN = (
    "zone", "file", "localtime", "posix", "partly", "utc", "unknown", "unseen"
)


class Meaning(NamedTuple):
    """What glibc makes of a value of TZ."""

    value: str
    kind: str  # one of the above
    name: str  # canonical zone name where it has one
    zone: Optional[Zone]  # None only for "unseen"
    legacy: bool  # an "unknown" name that the database lists as an alias, but whose file is not installed (tzdata-legacy)
    reason: str  # why it is "unseen"


class Match(NamedTuple):
    """Which installed zone a copied file is."""

    kind: str  # same bytes; same rules (another build of that zone); older rules (it has gone stale)
    names: Tuple[str, ...]  # canonical, the likeliest first


SAME_BYTES, SAME_RULES, OLDER_RULES = "same bytes", "same rules", "older rules"


class Database(object):
    """Reads files as they are asked for, each once. Facts are made from it; it is no fact itself."""

    def __init__(self, host: Host, root: str = "/") -> None:
        self._host = host
        self._root = root
        self._files: Dict[str, TzFile] = {}
        self._errors: Dict[str, Exception] = {}
        self._meanings: Dict[str, Meaning] = {}
        self.error: Optional[HostError] = None
        self.version: Optional[str] = None  # as "2025b"
        self.aliases: Dict[str, str] = {}
        try:
            self.version, self.aliases = parse_source(host.read_text(DIRECTORY + "/tzdata.zi", root=root))
        except HostError as error:
            self.error = error

    def canonical(self, name: str) -> str:
        """The zone that a name is an alias of; the name itself when it is none."""
        if name.startswith("posix/"):
            name = name[6:]
        for _step in range(MOST_LINKS):
            if name in self.aliases:
                name = self.aliases[name]
                continue
            target = self._link(name)
            if target is None:
                break
            name = target
        return name

    def _link(self, name: str) -> Optional[str]:
        path = DIRECTORY + "/" + name
        if not name or self.aliases and name not in OTHER_TREES:
            return None  # tzdata.zi knows all aliases; only what is no zone needs a look
        try:
            target = self._host.readlink(path, self._root)
        except HostError:
            return None
        return zone_name(posixpath.join(posixpath.dirname(path), target))

    def load(self, path: str) -> TzFile:
        """Errors: NotAZone, HostError."""
        if path in self._errors:
            raise self._errors[path]
        if path not in self._files:
            try:
                self._files[path] = zone_info.parse(self._host.read(path, zone_info.SIZE_LIMIT, self._root))
            except (NotAZone, HostError) as error:
                self._errors[path] = error
                raise
        return self._files[path]

    def meaning(self, value: str) -> Meaning:
        """Of TZ=value to a program that is started now, without TZDIR. Never raises (but OutOfTime)."""
        if value not in self._meanings:
            self._meanings[value] = self._meaning(value)
        return self._meanings[value]

    def _meaning(self, value: str) -> Meaning:
        text = value[1:] if value.startswith(":") else value
        if not text:
            return Meaning(value, ASKED_UTC, "Etc/UTC", posix_tz.UTC if value else self._universal(), False, "")
        path = text if text.startswith("/") else DIRECTORY + "/" + text
        name = zone_name(path) or ""
        try:
            zone = self.load(path) if not path.endswith("/") else None
        except NotAZone:
            zone = None
        except HostError as error:
            if _may_hide_a_zone(error):
                return Meaning(value, UNSEEN, "", None, False, error.reason)
            zone = None
        if zone is not None:
            if name == "localtime" or posixpath.normpath(path) == LOCALTIME:
                return Meaning(value, HOST_ZONE, "", zone, False, "")
            return Meaning(value, ZONE if name else FILE, self.canonical(name), zone, False, "")
        if path == LOCALTIME:
            return Meaning(value, HOST_ZONE, "", posix_tz.UTC, False, "")
        return self._posix(value, text)

    def _universal(self) -> Zone:
        """An empty TZ is read as if it were "Universal" (tzset.c tzset_internal)."""
        try:
            return self.load(DIRECTORY + "/Universal")
        except (NotAZone, HostError):
            return posix_tz.fixed("Universal", 0)

    def _posix(self, value: str, text: str) -> Meaning:
        read = posix_tz.parse(text)
        zone: Zone = read
        if read.default_rules:
            try:
                zone = zone_info.under_default_rules(self.load(DIRECTORY + "/posixrules"), read) or read
            except (NotAZone, HostError):
                pass  # then glibc uses the rules of the US as well
        kind = {posix_tz.ALL: POSIX, posix_tz.PART: PARTLY}.get(read.understood, UNKNOWN)
        legacy = kind == UNKNOWN and text in self.aliases
        return Meaning(value, kind, self.canonical(text) if legacy else "", zone, legacy, "")

    # -- which zone is this file? ----------------------------------------------------------------------------------

    def find(self, data: bytes, now: float, likely: Tuple[str, ...] = (), without: str = "") -> Optional[Match]:
        """The zone that a file holds: first by size and bytes, then by its footer and rules, then by its past. Errors: HostError.

        ``without``: a zone file that something is mounted over, so that it is no witness.
        """
        files = [found for found in islice(self._walk(), MOST_FILES) if found[0] != without]
        same = [name for name, size in files if size == len(data) and self._bytes(name) == data]
        if same:
            return Match(SAME_BYTES, self._ranked(same, likely))
        try:
            copy = zone_info.parse(data)
        except NotAZone:
            return None
        since, until = 0, int(now) + 10 * zone_info.YEAR
        older: List[Tuple[int, str]] = []
        equal: List[Tuple[int, str]] = []
        footer = zone_info.footer_of(data)
        for name, _size in files:
            zone = self._with_footer(name, footer)
            if zone is not None and zone_info.same_rules(copy, zone, now):
                first = zone_info.first_difference(copy, zone, since, until)
                equal.append((until if first is None else first, name))
        if equal:
            return Match(SAME_RULES, self._best(equal, likely))
        for name, _size in files:  # the same rules can be written in two ways; and rules can have changed
            installed = self._with_footer(name, None)
            first = zone_info.first_difference(copy, installed, since, until) if installed is not None else 0
            if installed is not None and zone_info.same_rules(copy, installed, now):
                equal.append((until if first is None else first, name))
            elif first is None or first > 30 * zone_info.YEAR:  # one past until 2000 is one zone
                older.append((until if first is None else first, name))
        if equal:
            return Match(SAME_RULES, self._best(equal, likely))
        return Match(OLDER_RULES, self._best(older, likely)) if older else None

    def _walk(self, directory: str = "", depth: int = 0) -> Iterator[Tuple[str, int]]:
        """Names and sizes of the regular files; links are aliases and need no look."""
        for name in self._host.list(DIRECTORY + directory, self._root):
            path = directory + "/" + name
            if path[1:] in OTHER_TREES or (not directory and "." in name):
                continue
            found = self._host.stat(DIRECTORY + path, False, self._root)
            if found.kind == "file":
                yield path[1:], found.size
            elif found.kind == "dir" and depth < 3:
                yield from self._walk(path, depth + 1)

    def _bytes(self, name: str) -> Optional[bytes]:
        try:
            return self._host.read(DIRECTORY + "/" + name, zone_info.SIZE_LIMIT, self._root)
        except HostError:
            return None

    def _with_footer(self, name: str, footer: Optional[bytes]) -> Optional[TzFile]:
        data = self._bytes(name)
        if data is None or (footer is not None and zone_info.footer_of(data) != footer):
            return None
        try:
            return zone_info.parse(data)
        except NotAZone:
            return None

    def _ranked(self, names: List[str], likely: Tuple[str, ...]) -> Tuple[str, ...]:
        unique = {self.canonical(name) for name in names}
        return tuple(sorted(unique, key=lambda name: (name not in likely, name)))

    def _best(self, found: List[Tuple[int, str]], likely: Tuple[str, ...]) -> Tuple[str, ...]:
        longest = max(found)[0]
        return self._ranked([name for agreed, name in found if agreed == longest], likely)


def _may_hide_a_zone(error: HostError) -> bool:
    if isinstance(error, OutOfTime):
        raise error
    return isinstance(error, (Denied, NotRecorded)) or (isinstance(error, Unsafe) and error.reason == "on a remote file system")


def zone_name(path: str) -> Optional[str]:
    """The name of the zone at a path of the database; None for any other path."""
    path = posixpath.normpath(path)
    for directory in DIRECTORIES:
        if path.startswith(directory):
            return path[len(directory):]
    return None


def parse_source(text: str) -> Tuple[Optional[str], Dict[str, str]]:
    """The version and the aliases from tzdata.zi ("# version 2025b" and lines "L target alias")."""
    version = None
    first = text[:100].split("\n")[0].split()
    if first[:2] == ["#", "version"] and len(first) >= 3:
        version = first[2]
    aliases = {}
    for found in re.finditer(r"^L (\S+) (\S+)$", text, re.MULTILINE):
        aliases[found.group(2)] = found.group(1)
    return version, aliases
