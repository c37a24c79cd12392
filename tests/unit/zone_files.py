"""Compiled zones for the tests, made here: no test depends on the zone database of the machine that runs it."""

from __future__ import annotations

import struct
from typing import Sequence

from simulated import SimulatedHost

Z = "/usr/share/zoneinfo/"


def tzif(
    footer: str, types: Sequence[tuple[int, bool, str]], transitions: Sequence[tuple[int, int]] = (), version: bytes = b"2",
    leaps: Sequence[tuple[int, int]] = (), standard: bytes = b"", universal: bytes = b"",
) -> bytes:
    """``types``: (offset, summer, name); ``transitions``: (moment, index of the type)."""
    names = b""
    places = []
    for _offset, _summer, name in types:
        places.append(len(names))
        names += name.encode() + b"\0"

    def block(code: str, width: int) -> bytes:
        head = struct.pack(">4sc15x6i", b"TZif", version, len(universal), len(standard), len(leaps), len(transitions), len(types), len(names))
        body = b"".join(struct.pack(">" + code, moment) for moment, _index in transitions)
        body += bytes(index for _moment, index in transitions)
        body += b"".join(struct.pack(">iBB", offset, summer, place) for (offset, summer, _name), place in zip(types, places))
        body += names + b"".join(struct.pack(">%si" % code, moment, total) for moment, total in leaps)
        return head + body + standard + universal

    if version == b"\0":
        return block("i", 4)
    empty = struct.pack(">4sc15x6i", b"TZif", version, 0, 0, 0, 0, 1, 1) + struct.pack(">iBB", 0, 0, 0) + b"\0"
    return empty + block("q", 8) + b"\n" + footer.encode() + b"\n"


UTC = tzif("UTC0", [(0, False, "UTC")])
SHANGHAI = tzif("CST-8", [(29143, False, "LMT"), (28800, False, "CST"), (32400, True, "CDT")], [(-2177481943, 1), (515527200, 2), (527014800, 1), (684867600, 1)])
BERLIN = tzif(
    "CET-1CEST,M3.5.0,M10.5.0/3", [(3208, False, "LMT"), (3600, False, "CET"), (7200, True, "CEST")],
    [(-2422054408, 1), (354675600, 2), (370400400, 1), (846378000, 1)])
VIENNA = tzif(
    "CET-1CEST,M3.5.0,M10.5.0/3", [(3921, False, "LMT"), (3600, False, "CET"), (7200, True, "CEST")],
    [(-2422055121, 1), (354675600, 2), (370400400, 1), (846378000, 1)])
# Mexico gave up summer time in 2022: the same past, other rules now.
MEXICO = tzif("CST6", [(-23796, False, "LMT"), (-21600, False, "CST"), (-18000, True, "CDT")],
              [(-1514739600, 1), (828864000, 2), (846399600, 1)] + [(1648972800, 2), (1667116800, 1)])
MEXICO_BEFORE = tzif("CST6CDT,M4.1.0,M10.5.0", [(-23796, False, "LMT"), (-21600, False, "CST"), (-18000, True, "CDT")],
                     [(-1514739600, 1), (828864000, 2), (846399600, 1)] + [(1648972800, 2), (1667116800, 1)])
PLUS_5 = tzif("<-05>5", [(-18000, False, "-05")])
NEW_YORK = tzif("EST5EDT,M3.2.0,M11.1.0", [(-17762, False, "LMT"), (-18000, False, "EST"), (-14400, True, "EDT")],
                [(-2717650800, 1), (1173596400, 2), (1194156000, 1)])

ALIASES = {"PRC": "Asia/Shanghai", "Asia/Chongqing": "Asia/Shanghai", "UTC": "Etc/UTC", "Universal": "Etc/UTC", "Zulu": "Etc/UTC", "US/Eastern": "America/New_York"}
FILES = {
    "Etc/UTC": UTC, "Asia/Shanghai": SHANGHAI, "Europe/Berlin": BERLIN, "Europe/Vienna": VIENNA, "America/Mexico_City": MEXICO,
    "Etc/GMT+5": PLUS_5, "America/New_York": NEW_YORK,
}


def with_zones(host: SimulatedHost, legacy: bool = True, version: str = "2025b", **extra: bytes) -> SimulatedHost:
    """Installs a small zone database as Debian lays it out. Without ``legacy``: without the old names, as trixie without tzdata-legacy."""
    for name, data in dict(FILES, **extra).items():
        host.file(Z + name, data)
    for alias, target in ALIASES.items():
        if legacy or alias in ("UTC",):
            host.link(Z + alias, "../" * alias.count("/") + target)
    host.link(Z + "localtime", "/etc/localtime")
    host.link(Z + "posixrules", "America/New_York")
    host.file(Z + "posix/Asia/Shanghai", SHANGHAI)
    host.file(Z + "right/Asia/Shanghai", tzif("CST-8", [(28800, False, "CST")], [(0, 0)], leaps=[(78796800, 1)]))
    host.file(Z + "tzdata.zi", "# version %s\nZ Etc/UTC 0 - UTC\n%s" % (version, "".join("L %s %s\n" % (ALIASES[each], each) for each in sorted(ALIASES))))
    return host


def zoned(name: str = "Asia/Shanghai", text: str | None = "Asia/Shanghai", legacy: bool = True, **stat: float) -> SimulatedHost:
    """A host whose /etc/localtime is a link to that zone; ``text`` stands in /etc/timezone."""
    host = with_zones(SimulatedHost(), legacy)
    host.link("/etc/localtime", Z + name, **stat)
    if text is not None:
        host.file("/etc/timezone", text + "\n")
    return host


def with_cron(host: SimulatedHost, version: str = "3.0pl1-162", start: float = 900_000.0, pid: int = 600, **process: object) -> SimulatedHost:
    """Debian's cron in that version; a version without "pl" is cronie's."""
    if "pl" in version:
        host.file("/var/lib/dpkg/status", "Package: cron\nStatus: install ok installed\nVersion: %s\n\n" % version)
        host.process(pid, 1, "cron", start=start, exe="/usr/sbin/cron", argv=("/usr/sbin/cron", "-f"), cgroup="/system.slice/cron.service", **process)
        host.file("/usr/sbin/cron", b"\x7fELF INSECURE MODE (mode 0600 expected)")
    else:
        host.process(pid, 1, "crond", start=start, exe="/usr/sbin/crond", argv=("/usr/sbin/crond", "-n"), cgroup="/system.slice/crond.service", **process)
        host.file("/usr/sbin/crond", b"\x7fELF CRON_TZ\0cronie %s\0" % version.encode())
    return host
