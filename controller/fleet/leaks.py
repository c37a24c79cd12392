# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-002: which software leaks zombies everywhere, and which host leaks alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from pidhygiene.model import FAIL, HIGH, MED, WARN
from pidhygiene.policy import Policy

from .consensus import Register
from .judging import Judge, fleet_rule, group_name, mapping, noun, number, rows, some, text, whole
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

FEWEST = 3  # hosts that make a leak one of the software
TIMES_MEDIAN = 5


@fleet_rule("PH-FLT-002")
class Leaks(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.register = Register()
        self.zombies: dict[str, dict[int, int]] = {}  # parent program → host → persistent zombies, where it leaks
        self.unit: dict[str, str] = {}
        self.too_late: dict[str, list[tuple[str, str]]] = {}  # unit → hosts whose restarts come too late, with the job

    def take(self, host: FleetHost) -> None:
        if host.outcome != AUDITED:
            return
        place = self.register.add(host)
        for row in rows(mapping(host.measures.get("zombies")).get("by_parent")):
            program, count, oldest = text(row.get("parent")), whole(row.get("persistent")), number(row.get("oldest_s")) or 0.0
            old = oldest >= self.policy["zombies.old_after"]
            if program and (count >= self.policy["zombies.warn"] or old and count >= self.policy["zombies.warn_growing"]):
                seen = self.zombies.setdefault(program, {})
                seen[place] = seen.get(place, 0) + count
                if text(row.get("unit")):
                    self.unit.setdefault(program, text(row["unit"]))
        for finding in host.findings:
            if finding.get("rule") == "PH-ZMB-007" and finding.get("status") == FAIL:
                job, _colon, service = text(mapping(finding.get("subject")).get("id")).rpartition(": ")
                self.too_late.setdefault(_bare(service), []).append((host.name, job))

    def findings(self) -> Iterator[FleetFinding]:
        told: set[str] = set()
        for program, seen in sorted(self.zombies.items()):
            service = _bare(self.unit.get(program, "")) or program.rsplit("/", 1)[-1]
            late = self.too_late.get(service, []) or self.too_late.get(program.rsplit("/", 1)[-1], [])
            leaking = self._groups_that_leak(seen)
            if leaking:
                told.update((service, program.rsplit("/", 1)[-1]))
                yield self._software(program, seen, leaking, late)
            else:
                yield from self._outliers(program, seen)
        for service, late in sorted(self.too_late.items()):
            if service not in told:
                hosts = [host for host, _job in late]
                yield self.finding(
                    FAIL, HIGH, "%s restarts too late" % service,
                    "%s leaks faster than its restarts come on %s: the limit is reached in less than twice the interval; shorten it, and mend the leak." % (
                        service, some(sorted(set(hosts)))), hosts, [FleetEvidence(host, job, "PH-ZMB-007") for host, job in sorted(late)])

    def _groups_that_leak(self, seen: dict[int, int]) -> list[str]:
        found = []
        for group, members in self.register.members().items():
            share = len(members & seen.keys())
            if share >= FEWEST and share >= self.policy["fleet.leaking"] * len(members):
                found.append(group)
        return sorted(found)

    def _software(self, program: str, seen: dict[int, int], leaking: list[str], late: list[tuple[str, str]]) -> FleetFinding:
        worst = max(seen, key=lambda place: (seen[place], self.register.names[place]))
        hosts = sorted(self.register.names[place] for place in seen)
        message = "%s leaks zombies on %s (%s), %d on %s: it is the software, not a host; one ticket for all" % (
            program, noun(len(hosts), "host"), ", ".join(group_name(group) for group in leaking[:5]), seen[worst], self.register.names[worst])
        if late:
            message += ", and where it is restarted on schedule (%s), that comes too late" % some(sorted({host for host, _job in late}))
        return self.finding(FAIL if late else WARN, HIGH if late else MED, program, message + ".", hosts, self._counts(seen))

    def _outliers(self, program: str, seen: dict[int, int]) -> Iterator[FleetFinding]:
        alone = {}
        for place, count in seen.items():
            medians = [statistics.median([seen.get(each, 0) for each in members])
                       for group, members in self.register.members().items() if place in members and len(members) >= self.policy["fleet.smallest_group"]]
            if medians and count >= self.policy["zombies.warn"] and all(count > TIMES_MEDIAN * median for median in medians):
                alone[place] = count
        if alone:
            hosts = sorted(self.register.names[place] for place in alone)
            yield self.finding(
                WARN, MED, program, "%s leaks zombies on %s and not on the others of %s group%s: look at what %s." % (
                    program, some(hosts), "its" if len(hosts) == 1 else "their", "" if len(hosts) == 1 else "s",
                    "differs on this host" if len(hosts) == 1 else "these hosts have in common"), hosts, self._counts(alone))

    def _counts(self, seen: dict[int, int]) -> list[FleetEvidence]:
        return [FleetEvidence(self.register.names[place], "measures.zombies", noun(seen[place], "zombie"))
                for place in sorted(seen, key=lambda each: (-seen[each], self.register.names[each]))]


def _bare(service: str) -> str:
    for ending in (".service", ".init"):
        service = service[: -len(ending)] if service.endswith(ending) else service
    return service
