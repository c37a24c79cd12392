# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-007: releases of the zone database that lag behind, and names of zones that some hosts do not know."""

from __future__ import annotations

from collections.abc import Iterator

from pidhygiene.model import FAIL, HIGH, LOW, WARN
from pidhygiene.policy import Policy
from pidhygiene.readers.packages import compare_versions

from .consensus import Register, outliers
from .judging import Judge, fleet_rule, mapping, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

LEGACY_AREAS = ("US/", "Canada/", "Brazil/", "Chile/", "Mexico/", "Mideast/")
LEGACY_NAMES = frozenset(
    "Cuba Egypt Eire GB GB-Eire Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya NZ NZ-CHAT Navajo PRC Poland Portugal ROC ROK "
    "Singapore Turkey W-SU".split())
SPLIT_SINCE = {"debian": (13,), "ubuntu": (24, 4)}  # tzdata-legacy holds the old names from here on


@fleet_rule("PH-FLT-007")
class ZoneData(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.register = Register()
        self.versions: dict[tuple[str, str], dict[tuple[str, str], list[int]]] = {}  # (release, where it is told) → (version, where) → hosts
        self.lacking: dict[str, list[str]] = {}  # groups → hosts that know no old names
        self.used: dict[str, tuple[str, str, frozenset[str]]] = {}  # old name → a host that uses it, the file, all groups of such hosts

    def take(self, host: FleetHost) -> None:
        if host.outcome != AUDITED:
            return
        place = self.register.add(host)
        packages, zone = mapping(host.facts.get("packages")), mapping(mapping(host.facts.get("time")).get("zone"))
        version = text(packages.get("tzdata")) or text(zone.get("database"))
        if version:
            where = "package tzdata" if "tzdata" in packages else "zone database"
            self.versions.setdefault((self.register.releases[place], where), {}).setdefault((version, where), []).append(place)
        groups = self.register.groups[place]
        for file, name in mapping(zone.get("sources")).items():
            if legacy(text(name)):
                known = self.used.get(text(name), (host.name, file, frozenset()))
                self.used[text(name)] = (known[0], known[1], known[2] | set(groups))
        if packages and "tzdata" in packages and "tzdata-legacy" not in packages and splits(host):
            for group in groups:
                self.lacking.setdefault(group, []).append(host.name)

    def findings(self) -> Iterator[FleetFinding]:
        for (release, where), versions in sorted(self.versions.items()):
            behind = [each for each in outliers(self.register, versions, self.policy) if compare_versions(each.value, each.usual) < 0]
            if behind:
                hosts = sorted({each.host for each in behind})
                yield self.finding(
                    WARN, LOW, "%s of %s" % (where, release or "unknown release"),
                    "%s %s tzdata %s, and the others on %s have %s: update it, and restart what keeps old rules." % (
                            some(hosts), "has" if len(hosts) == 1 else "have", ", ".join(sorted({each.value for each in behind})), release, behind[0].usual),
                    hosts, [FleetEvidence(each.host, each.file, each.value) for each in behind])
        for name, (user, file, groups) in sorted(self.used.items()):
            hosts = sorted({host for group in groups for host in self.lacking.get(group, ())})
            if hosts:
                yield self.finding(
                    FAIL, HIGH, name, "%s is used on %s (%s), and %s cannot resolve it: UTC in silence; use its new name, or install tzdata-legacy." % (
                        name, user, file, some(hosts)), hosts,
                    [FleetEvidence(user, file, name)] + [FleetEvidence(host, "packages", "no tzdata-legacy") for host in hosts])


def legacy(name: str) -> bool:
    return name.startswith(LEGACY_AREAS) or name in LEGACY_NAMES


def splits(host: FleetHost) -> bool:
    """Whether this distribution keeps the old names in a package of their own."""
    told = mapping(host.host.get("distro"))
    since = SPLIT_SINCE.get(text(told.get("id")))
    try:
        return since is not None and tuple(int(part) for part in text(told.get("version")).split(".")) >= since
    except ValueError:
        return False
