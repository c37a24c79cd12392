# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-004: hosts that were cloned and never got an identity of their own."""

from __future__ import annotations

from collections.abc import Iterator

from pidhygiene.model import FAIL, HIGH
from pidhygiene.policy import Policy

from .judging import Judge, fleet_rule, mapping, noun, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

MACHINE_ID, MINION_ID = "machine-id", "minion id"
SOURCES = {MACHINE_ID: "/etc/machine-id", MINION_ID: "/etc/salt/minion_id"}
CURES = {MACHINE_ID: "systemd-machine-id-setup after emptying /etc/machine-id", MINION_ID: "a minion id and key of its own"}


@fleet_rule("PH-FLT-004")
class Clones(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.seen: dict[tuple[str, str], dict[tuple[str, str, str], str]] = {}  # (kind, value) → one machine → the name it was audited by

    def take(self, host: FleetHost) -> None:
        if host.outcome != AUDITED:
            return
        machine = (text(host.host.get("machine_id")), text(host.host.get("boot_id")), text(host.host.get("name")) or host.name)
        if not machine[1]:
            machine = ("", "", host.name)
        identity = mapping(host.facts.get("identity"))
        found = [(MACHINE_ID, text(host.host.get("machine_id"))), (MINION_ID, text(identity.get("salt_minion_id")))]
        found.extend(("ssh %s" % file.rsplit("/", 1)[-1].removesuffix(".pub"), text(key)) for file, key in mapping(identity.get("ssh_host_keys")).items())
        for kind, value in found:
            if value and value != "uninitialized":
                self.seen.setdefault((kind, value), {}).setdefault(machine, host.name)  # a floating name is the same machine once more

    def findings(self) -> Iterator[FleetFinding]:
        by_hosts: dict[tuple[str, ...], list[tuple[str, str]]] = {}
        for what, machines in self.seen.items():
            if len(machines) > 1:
                by_hosts.setdefault(tuple(sorted(set(machines.values()))), []).append(what)
        for hosts, shared in sorted(by_hosts.items()):
            kinds = sorted({kind for kind, _value in shared})
            keys = [kind for kind in kinds if kind.startswith("ssh ")]
            named = [kind for kind in kinds if kind not in keys] + (["%s of ssh" % noun(len(keys), "host key")] if keys else [])
            cures = [CURES[kind] for kind in kinds if kind in CURES] + (["new host keys (ssh-keygen -A)"] if keys else [])
            value = min(shared)[1]
            yield self.finding(
                FAIL, HIGH, " and ".join(named) + " " + value[:16], "%s have the same %s: they are clones; each needs %s." % (
                    some(hosts), " and ".join(named), ", ".join(cures)),
                hosts, [FleetEvidence(host, SOURCES.get(kind, "/etc/ssh"), "%s %s" % (kind, each)) for kind, each in sorted(shared) for host in hosts[:4]],
                key="\0".join("%s=%s" % pair for pair in sorted(shared)))
