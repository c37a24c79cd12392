# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-005: an update that came everywhere and is in force on some hosts only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pidhygiene.model import FAIL, HIGH, MED, WARN
from pidhygiene.policy import Policy

from . import voters
from .judging import Judge, fleet_rule, group_name, groups_of, mapping, noun, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

RULES = ("PH-DEL-001", "PH-DEL-002", "PH-DEL-003", "PH-DEL-004", "PH-DEL-005")
FEWEST = 2  # hosts that make it one of the fleet
FIRST, LARGEST = 1, 0.25  # a canary, then at most this part of the hosts at a time
MOST_BATCHES = 100
_VERSION = re.compile(r"(-[0-9][0-9.]*)?\.so[0-9.]*$")


@fleet_rule("PH-FLT-005")
class HalfRestarted(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.hosts: dict[str, tuple[str, ...]] = {}
        self.missing: set[str] = set()
        self.stale: dict[str, dict[str, tuple[str, str]]] = {}  # package → host → (status, what says so)
        self.units: dict[str, set[str]] = {}
        self.reboot: set[str] = set()  # packages that only a reboot puts in force

    def take(self, host: FleetHost) -> None:
        self.hosts[host.name] = host.groups
        if host.outcome != AUDITED:
            self.missing.add(host.name)
            return
        for finding in host.findings:
            status, rule = text(finding.get("status")), text(finding.get("rule"))
            if rule in RULES and status in (WARN, FAIL):
                package = package_of(rule, text(mapping(finding.get("subject")).get("id")), text(finding.get("message")))
                seen = self.stale.setdefault(package, {})
                if seen.get(host.name, (WARN,))[0] != FAIL:
                    seen[host.name] = (status, "%s %s" % (rule, text(mapping(finding.get("subject")).get("id"))))
                remedy = mapping(mapping(finding.get("remedy")).get("parameters"))
                named = remedy.get("units") or remedy.get("unit") or ()
                units = self.units.setdefault(package, set())
                if len(units) < 50:
                    units.update(each for each in ([named] if isinstance(named, str) else named) if isinstance(each, str))
                if rule == "PH-DEL-004":
                    self.reboot.add(package)

    def findings(self) -> Iterator[FleetFinding]:
        together = voters.groups(self.policy, self.hosts)
        for package, seen in sorted(self.stale.items()):
            if len(seen) >= FEWEST:
                yield self._half(package, seen, together)

    def _half(self, package: str, seen: dict[str, tuple[str, str]], together: list[voters.Voters]) -> FleetFinding:
        hosts = sorted(seen)
        grave = [host for host in hosts if seen[host][0] == FAIL]
        groups = sorted({group for host in hosts for group in groups_of_names(self.hosts[host])})
        audited = sum(1 for host, tags in self.hosts.items() if host not in self.missing and set(groups).intersection(groups_of_names(tags)))
        planned = batches(hosts, together, self.missing)
        shown = "; ".join(some(batch, 5) for batch in planned[:4]) + ("; and %d more" % (len(planned) - 4) if len(planned) > 4 else "")
        units = sorted(self.units.get(package, ()))
        act = "reboot" if package in self.reboot else "restart %s" % some(units) if units else "restart what uses it"
        placed = {host for batch in planned for host in batch}
        blocked = [host for host in hosts if host not in placed]
        message = "%s was replaced, and %d of %s of %s still run%s the old one" % (
            package, len(hosts), noun(audited, "audited host"), ", ".join(map(group_name, groups[:5])), "s" if len(hosts) == 1 else "")
        message += "%s: %s%s" % (", %d of them longer than the patch window" % len(grave) if grave else "", act,
                                 " in %s: %s" % (noun(len(planned), "batch", "batches"), shown) if planned else "")
        if blocked:
            message += "; not %s while voters of their group are down" % some(blocked)
        return self.finding(
            FAIL if grave else WARN, HIGH if grave else MED, package, message + ".", hosts,
            [FleetEvidence(host, seen[host][1], seen[host][0]) for host in hosts],
            {"state": "reboot" if package in self.reboot else "restart", "disruptive": True,
             "parameters": {**({"units": units} if units and package not in self.reboot else {}), "batches": [list(batch) for batch in planned]}})


def groups_of_names(tags: tuple[str, ...]) -> tuple[str, ...]:
    return groups_of(FleetHost("", AUDITED, groups=tags))


def package_of(rule: str, subject: str, message: str) -> str:
    """What was updated: dbus, systemd, libssl, or the program of a unit. Version numbers of libraries differ between releases."""
    if rule == "PH-DEL-004":
        return "dbus"
    if rule == "PH-DEL-005" or subject.endswith(".so") and "libsystemd-" in subject:
        return "systemd"
    if rule == "PH-DEL-003":
        return _VERSION.sub("", subject.rsplit("/", 1)[-1]) or subject
    found = re.search(r" runs (/\S+?), which", message)
    return found.group(1).rsplit("/", 1)[-1] if found else subject


def batches(hosts: list[str], together: list[voters.Voters], missing: set[str]) -> list[tuple[str, ...]]:
    """Who is done with whom: one first, then a quarter at a time, and of voters never more than may be away while these are down."""
    spare = {group.name: group.spare - sum(1 for host in group.hosts if host in missing) for group in together}
    of_host: dict[str, list[str]] = {host: [] for host in hosts}
    for group in together:
        for host in of_host.keys() & set(group.hosts):
            of_host[host].append(group.name)
    waiting = [host for host in hosts if all(spare[name] > 0 for name in of_host[host])]
    found: list[tuple[str, ...]] = []
    room = max(1, int(LARGEST * len(waiting)))
    while waiting:
        batch: list[str] = []
        used: dict[str, int] = {}
        for host in waiting:
            if len(batch) < (FIRST if not found else room) and all(used.get(name, 0) < 1 for name in of_host[host]):  # one voter at a time, always
                batch.append(host)
                for name in of_host[host]:
                    used[name] = used.get(name, 0) + 1
        found.append(tuple(batch))
        chosen = set(batch)
        waiting = [host for host in waiting if host not in chosen]
    return found
