# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-001: limits that most hosts of a group have and some have not.

What is compared is what somebody wrote, never a number that follows from the size of a machine: TasksMax=33% is one text on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pidhygiene.model import INFO, MED, SEVERITY_INFO, WARN
from pidhygiene.policy import Policy

from .consensus import Outlier, Register, outliers
from .judging import Judge, fleet_rule, group_name, mapping, noun, rows, some, text, whole
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

DEFAULT = "the default"
SYSTEMD_PID_MAX, SMALLEST_PID_MAX, PER_PROCESSOR = 4194304, 32768, 1024  # kernel/pid.c: the default grows with the processors
ITEMS = {"LimitCPU": "cpu", "LimitFSIZE": "fsize", "LimitDATA": "data", "LimitSTACK": "stack", "LimitCORE": "core", "LimitRSS": "rss", "LimitNPROC": "nproc",
         "LimitNOFILE": "nofile", "LimitMEMLOCK": "memlock", "LimitAS": "as", "LimitLOCKS": "locks", "LimitSIGPENDING": "sigpending",
         "LimitMSGQUEUE": "msgqueue", "LimitNICE": "nice", "LimitRTPRIO": "rtprio", "LimitRTTIME": "rttime", "TasksMax": "tasks"}
MANAGER, KERNEL = "systemd", "kernel"  # holders that are no unit
Values = dict[tuple[str, str], list[int]]


def per_user(unit: str) -> bool:
    """Units of one login say nothing about a group of hosts."""
    return unit.startswith(("user@", "user-", "session-", "run-", "docker-", "crio-", "cri-containerd-", "libpod-"))


@fleet_rule("PH-FLT-001")
class LimitsDiffer(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.register = Register()
        self.there: dict[tuple[str, str], set[int]] = {}  # (release, holder) → hosts on which it is known to be
        self.written: dict[tuple[str, str, str], Values] = {}  # (release, holder, key)
        self.audited: dict[str, set[int]] = {}  # release → hosts whose units were read
        self._texts: dict[tuple[str, str], tuple[str, str]] = {}

    def take(self, host: FleetHost) -> None:
        if host.outcome != AUDITED:
            return
        place = self.register.add(host)
        kernel, manager = mapping(host.facts.get("kernel")), mapping(host.facts.get("systemd"))
        if whole(kernel.get("pid_max")):
            self._see(place, KERNEL)
            self._write(place, KERNEL, "kernel.pid_max", pid_max(whole(kernel["pid_max"])), "")
        if manager:
            self._see(place, MANAGER)
            self._settings(place, MANAGER, mapping(manager.get("defaults")))
        units = mapping(host.facts.get("units"))
        if not units:
            return
        self.audited.setdefault(self.register.releases[place], set()).add(place)
        for name, row in units.items():
            if not per_user(name):
                self._see(place, name)
                self._settings(place, name, mapping(mapping(row).get("configured")))
        for group in rows(host.measures.get("groups")):  # a unit that runs with defaults alone has no facts, but may have a budget
            holder = text(group.get("holder"))
            if holder.startswith("/system.slice/") and holder.endswith(".service"):
                self._see(place, holder.rsplit("/", 1)[1])

    def _see(self, place: int, holder: str) -> None:
        self.there.setdefault((self.register.releases[place], holder), set()).add(place)

    def _settings(self, place: int, holder: str, settings: Any) -> None:
        for key, setting in settings.items():
            if isinstance(key, str) and (holder == MANAGER or key in ITEMS or key == "KillMode"):
                self._write(place, holder, key, text(mapping(setting).get("value")), text(mapping(setting).get("file")))

    def _write(self, place: int, holder: str, key: str, value: str, file: str) -> None:
        pair = self._texts.setdefault((value, file), (value, file))
        self.written.setdefault((self.register.releases[place], holder, key), {}).setdefault(pair, []).append(place)

    def findings(self) -> Iterator[FleetFinding]:
        differing: dict[tuple[str, str], list[Outlier]] = {}
        missing: dict[tuple[str, str], list[Outlier]] = {}
        for (release, holder, key), values in sorted(self.written.items(), key=lambda each: each[0]):
            known = self.there[release, holder]
            silent = known.difference(*values.values())
            seen: Values = {**values, (DEFAULT, ""): sorted(silent)} if silent else values
            found = list(outliers(self.register, seen, self.policy)) if len(seen) > 1 else []
            if found:
                differing.setdefault((holder, key), []).extend(found)
            unseen = self.audited.get(release, set()) - known
            if unseen and holder not in (MANAGER, KERNEL) and any(file.startswith("/etc/") for _value, file in values):
                lacking = outliers(self.register, {**values, ("", ""): sorted(unseen)}, self.policy)
                missing.setdefault((holder, key), []).extend(each for each in lacking if not each.value and each.usual_file.startswith("/etc/"))
        for (holder, key), found in sorted(differing.items()):
            yield self._differs(holder, key, found)
        for (holder, key), found in sorted(missing.items()):
            if found:
                yield self._lacks(holder, key, found)

    def _differs(self, holder: str, key: str, found: list[Outlier]) -> FleetFinding:
        first = max(found, key=lambda each: each.agreeing)
        hosts = sorted({each.host for each in found})
        what = "%s of %s" % (key, holder) if holder != KERNEL else key
        remedy = None
        if key in ITEMS and first.usual != DEFAULT:
            remedy = {"state": "unit_limits", "parameters": {"unit": holder, "limits": {ITEMS[key]: first.usual}}, "disruptive": True}
        return self.finding(
            WARN, MED, "%s %s" % (holder, key),
            "%s is %s on %s (%s), and %s on %s more of %s (%s): give %s the same, or put %s into a group of %s own." % (
                what, first.value, some(hosts), first.file or "no file sets it", first.usual, noun(first.agreeing, "host"),
                ", ".join(group_name(group) for group in first.groups), first.usual_file or "no file sets it",
                *(("it", "it", "its") if len(hosts) == 1 else ("them", "them", "their"))),
            hosts, _evidence(key, found), remedy)

    def _lacks(self, holder: str, key: str, found: list[Outlier]) -> FleetFinding:
        first = max(found, key=lambda each: each.agreeing)
        hosts = sorted({each.host for each in found})
        return self.finding(
            INFO, SEVERITY_INFO, "%s %s is not set" % (holder, key),
            "%s sets %s=%s for %s on %s of %s; on %s no file does: the unit runs with defaults there, or is not installed." % (
                first.usual_file, key, first.usual, holder, noun(first.agreeing, "host"), ", ".join(group_name(group) for group in first.groups), some(hosts)),
            hosts, [FleetEvidence(each.host, holder, "no %s" % key) for each in found])

    def silent_because(self) -> str:
        least = self.policy["fleet.smallest_group"]
        largest = max(map(len, self.register.members().values()), default=0)
        return "no group has %d audited hosts" % least if largest < least else ""


def _evidence(key: str, found: list[Outlier]) -> list[FleetEvidence]:
    told = [FleetEvidence(each.host, each.file or "no file", "%s=%s" % (key, each.value)) for each in sorted(found, key=lambda each: each.host)[:19]]
    first = max(found, key=lambda each: each.agreeing)
    return told + [FleetEvidence("%d others" % first.agreeing, first.usual_file or "no file", "%s=%s" % (key, first.usual))]


def pid_max(value: int) -> str:
    """Where it comes from: systemd sets one value, the kernel takes one by the processors, people write others."""
    if value == SYSTEMD_PID_MAX:
        return "%d" % value
    return "the kernel's default" if value >= SMALLEST_PID_MAX and value % PER_PROCESSOR == 0 else "%d" % value
