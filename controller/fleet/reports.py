# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-008: hosts that were not audited, results that are old, and audits that saw too little. Silence must not look healthy."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from pidhygiene.model import FAIL, INFO, LOW, MED, PASS, SEVERITY_INFO, UNKNOWN, WARN
from pidhygiene.policy import Policy
from pidhygiene.wording import duration

from .judging import Judge, fleet_rule, noun, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

JUDGED = (PASS, INFO, WARN, FAIL, UNKNOWN)  # n/a is an answer, too, but no look at the host
CLOCK_AHEAD = 300.0  # seconds that a host's clock may be ahead of the controller's


@fleet_rule("PH-FLT-008")
class StaleOrBlind(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.missing: dict[str, list[tuple[str, str, str]]] = {}  # outcome → host, message, next step
        self.stale: list[tuple[str, float]] = []
        self.blind: list[tuple[str, int, int]] = []
        self.undated: list[str] = []
        self.ahead: list[tuple[str, float]] = []
        self.engines: dict[str, list[str]] = {}
        self.faults: list[tuple[str, str]] = []

    def take(self, host: FleetHost) -> None:
        if any(fnmatch.fnmatchcase(group, pattern) for group in host.groups for pattern in self.policy["fleet.maintenance"]):
            return
        if host.outcome != AUDITED:
            self.missing.setdefault(host.outcome, []).append((host.name, host.message, host.next_step))
            return
        self._age(host)
        judged = [status for status in host.rules.values() if status in JUDGED]
        unknown = judged.count(UNKNOWN)
        if not judged or unknown > self.policy["fleet.unknown"] * len(judged):
            self.blind.append((host.name, unknown, len(judged)))
        self.engines.setdefault(text(host.audit.get("engine_version")), []).append(host.name)
        errors = host.audit.get("errors")
        if isinstance(errors, (list, tuple)) and errors:
            self.faults.append((host.name, text(errors[0])))

    def _age(self, host: FleetHost) -> None:
        moments = [moment for moment in (host.at, host.received) if moment is not None]
        if not moments:
            self.undated.append(host.name)
            return
        if host.at is not None and host.received is not None and host.at > host.received + CLOCK_AHEAD:
            self.ahead.append((host.name, host.at - host.received))
        age = self.now - min(moments)
        if age > 2 * self.policy["fleet.interval"]:
            self.stale.append((host.name, age))

    def findings(self) -> Iterator[FleetFinding]:
        for outcome, missing in sorted(self.missing.items()):
            hosts = sorted(name for name, _message, _step in missing)
            steps = sorted({step for _name, _message, step in missing if step})
            yield self.finding(
                WARN, MED, outcome, "%s %s not audited (%s): %s; nothing is known of %s." % (
                    some(hosts), "was" if len(hosts) == 1 else "were", outcome, some(steps, 1) or "audit them again", "it" if len(hosts) == 1 else "them"),
                hosts, [FleetEvidence(name, outcome, message) for name, message, _step in sorted(missing)])
        if self.stale:
            self.stale.sort(key=lambda each: (-each[1], each[0]))
            yield self.finding(
                WARN, MED, "stale", "The last result of %s is older than two audits (%s at most, %s on %s): audit again, or find out why nobody does." % (
                    noun(len(self.stale), "host"), duration(2 * self.policy["fleet.interval"]), duration(self.stale[0][1]), self.stale[0][0]),
                [name for name, _age in self.stale], [FleetEvidence(name, "audit.started_at", "%s ago" % duration(age)) for name, age in self.stale])
        if self.undated:
            yield self.finding(UNKNOWN, LOW, "no date", "The results of %s have no date that can be read: nobody knows how old they are; audit again." % some(
                sorted(self.undated)), self.undated)
        if self.blind:
            self.blind.sort(key=lambda each: (-(each[1] / each[2] if each[2] else 1), each[0]))
            name, unknown, judged = self.blind[0]
            yield self.finding(
                WARN, MED, "blind", "Audits of %s saw too little (%d of %d rules unknown on %s): run them as root, outside of a container." % (
                    noun(len(self.blind), "host"), unknown, judged, name),
                [name for name, _unknown, _judged in self.blind],
                [FleetEvidence(name, "rules", "%d of %d unknown" % (unknown, judged)) for name, unknown, judged in self.blind])
        if self.ahead:
            self.ahead.sort(key=lambda each: (-each[1], each[0]))
            yield self.finding(
                WARN, LOW, "clocks", "The clock of %s is ahead of the controller's (by %s on %s): ages of its results cannot be trusted; see PH-TZ-011." % (
                    some(sorted(name for name, _s in self.ahead)), duration(self.ahead[0][1]), self.ahead[0][0]),
                [name for name, _s in self.ahead], [FleetEvidence(name, "audit.started_at", "%s ahead" % duration(ahead)) for name, ahead in self.ahead])
        if self.faults:
            yield self.finding(
                WARN, LOW, "faults", "Audits of %s met errors of their own, and judged only in part: report them." % some(
                    sorted(name for name, _error in self.faults)),
                [name for name, _error in self.faults], [FleetEvidence(name, "audit.errors", error) for name, error in sorted(self.faults)])
        if len(self.engines) > 1:
            newest = max(self.engines, key=version)
            behind = sorted(name for engine, names in self.engines.items() if engine != newest for name in names)
            yield self.finding(
                INFO, SEVERITY_INFO, "engines", "%s %s audited by another engine than %s: their rules differ; update it where it is installed." % (
                    some(behind), "was" if len(behind) == 1 else "were", newest), behind,
                [FleetEvidence(some(sorted(names)), "audit.engine_version", engine or "none") for engine, names in sorted(self.engines.items())])


def version(engine: str) -> tuple[int, ...]:
    found = []
    for part in engine.split("."):
        digits = "".join(char for char in part if char.isdigit() and char.isascii())[:9]
        found.append(int(digits) if digits else 0)
    return tuple(found)


