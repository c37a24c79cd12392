# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of the few packages that rules ask about, from the package database's own file.

dpkg's status file is text. An rpm database is not read: its format changes (Berkeley DB, ndb, SQLite), headers are
binary, and a copy read under a running transaction is torn. What it would tell is taken from os-release instead.
"""

from typing import Dict, Iterable, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

DPKG_STATUS = "/var/lib/dpkg/status"
STATUS_LIMIT = 128 * 1024 * 1024  # bytes; 10 MB on a desktop with everything
RPM_DATABASES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")

WANTED = (
    "libpam-modules", "systemd", "tzdata", "tzdata-legacy", "cron", "cronie", "systemd-cron", "dbus", "dbus-broker", "supervisor",
    "salt-minion", "chrony", "ntpsec", "systemd-timesyncd", "openssh-server", "at", "libc6",
)


class Packages(NamedTuple):
    manager: str  # "dpkg", "rpm", or "" when no database was found
    versions: Dict[str, str]  # of the wanted packages that are installed
    gaps: Tuple[Gap, ...]


def read(host: Host, wanted: Iterable[str] = WANTED) -> Packages:
    """Never raises."""
    try:
        return Packages("dpkg", installed(host.read(DPKG_STATUS, STATUS_LIMIT), wanted), ())
    except Missing:
        pass
    except HostError as error:
        return Packages("dpkg", {}, (Gap(error.path, error.reason),))
    for path in RPM_DATABASES:
        try:
            if host.exists(path):
                return Packages("rpm", {}, (Gap(path, "rpm database not read"),))
        except HostError as error:
            return Packages("rpm", {}, (Gap(error.path, error.reason),))
    return Packages("", {}, ())


def installed(status: bytes, wanted: Iterable[str]) -> Dict[str, str]:
    """Name to version of those that are installed (unpacked and half-configured count: their files are there)."""
    versions = {}
    text = b"\n" + status
    for name in wanted:
        version = _version(text, b"\nPackage: " + name.encode() + b"\n")
        if version is not None:
            versions[name] = version
    return versions


def _version(status: bytes, opening: bytes) -> Optional[str]:
    """A package may stand there once for each architecture."""
    place = status.find(opening)
    while place >= 0:
        end = status.find(b"\n\n", place + 1)
        fields = _fields(status[place + 1:end if end >= 0 else len(status)])
        if fields.get(b"Status", b"").split()[2:3] not in ([], [b"not-installed"], [b"config-files"]) and b"Version" in fields:
            return fields[b"Version"].decode("utf-8", "surrogateescape")
        place = status.find(opening, place + 1)
    return None


def _fields(paragraph: bytes) -> Dict[bytes, bytes]:
    fields: Dict[bytes, bytes] = {}
    for line in paragraph.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon and not line.startswith((b" ", b"\t")):
            fields[name] = value.strip()
    return fields


# -- deb-version(7) --------------------------------------------------------------------------------------------------


def compare_versions(one: str, other: str) -> int:
    """Negative, zero or positive, as ``one`` is older than, equal to or newer than ``other``."""
    for part, counterpart in zip(_parts(one), _parts(other)):
        order = _compare(part, counterpart)
        if order:
            return order
    return 0


def upstream(version: str) -> str:
    """2:1.5.2-6+deb12u1 → 1.5.2"""
    return _parts(version)[1]


def numbers(version: str) -> Tuple[int, ...]:
    """The leading numbers of an upstream version: 1.5.2+dfsg → (1, 5, 2)."""
    found = []
    for part in version.split("."):
        digits = part[:len(part) - len(part.lstrip("0123456789"))]
        if not digits or len(digits) > 9:
            break
        found.append(int(digits))
        if digits != part:
            break
    return tuple(found)


def _parts(version: str) -> Tuple[str, str, str]:
    """Epoch, upstream version, revision; what is missing counts as 0."""
    head, colon, rest = version.partition(":")
    epoch, rest = (head, rest) if colon else ("0", version)
    body, dash, revision = rest.rpartition("-")
    return (epoch, body, revision) if dash else (epoch, rest, "0")


def _compare(one: str, other: str) -> int:
    """Alternately a part without digits, by _weight, and a number."""
    while one or other:
        head, one = _split(one, False)
        counterpart, other = _split(other, False)
        for index in range(max(len(head), len(counterpart))):
            order = _weight(head[index:index + 1]) - _weight(counterpart[index:index + 1])
            if order:
                return order
        head, one = _split(one, True)
        counterpart, other = _split(other, True)
        difference = int(head or "0") - int(counterpart or "0")
        if difference:
            return difference
    return 0


def _split(text: str, digits: bool) -> Tuple[str, str]:
    end = 0
    while end < len(text) and ("0" <= text[end] <= "9") == digits:
        end += 1
    return text[:end], text[end:]


def _weight(char: str) -> int:
    """A tilde sorts before the end, the end before letters, letters before everything else."""
    if char == "~":
        return -1
    if not char:
        return 0
    return ord(char) if char.isalpha() and ord(char) < 128 else ord(char) + 256
