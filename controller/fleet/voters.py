# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts vote together, by the policy's ``quorum_groups`` or by a tag ``quorum=3``, and how many of them may be away at the same time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pidhygiene.policy import Policy
from pidhygiene.remedies import quorum

_TAG = re.compile(r"quorum=([1-9][0-9]{0,3})")


@dataclass(frozen=True)
class Voters:
    """One group. ``size`` may be more than the voters that are known: who was never seen votes, too."""

    name: str
    hosts: tuple[str, ...]
    size: int
    units: tuple[str, ...] = ()  # that make a host a voter; empty: the host itself
    gated: bool = True  # the policy names it, so plans and runs hold to it; a tag alone does not bind them

    @property
    def spare(self) -> int:
        """How many may be away when all are well."""
        return (self.size - 1) // 2


def groups(policy: Policy, hosts: Mapping[str, Sequence[str]]) -> list[Voters]:
    """``hosts``: every host there is, with its tags. A voter that the policy names in full counts although nobody saw it."""
    found = [Voters(each.name, each.voters, len(each.voters), each.units) for each in quorum.of_policy(policy["quorum_groups"], sorted(hosts))]
    named = {host for group in found for host in group.hosts}
    return found + _tagged({host: tags for host, tags in hosts.items() if host not in named})


def _tagged(hosts: Mapping[str, Sequence[str]]) -> list[Voters]:
    """Hosts with one tag quorum=N and one group in common, which is the smallest that has N of them."""
    by_group: dict[tuple[str, int], list[str]] = {}
    for host, tags in hosts.items():
        sizes = [int(match.group(1)) for match in map(_TAG.fullmatch, tags) if match]
        for size in sizes[:1]:
            for group in [tag for tag in tags if "=" not in tag] or ["quorum=%d" % size]:
                by_group.setdefault((group, size), []).append(host)
    found: list[Voters] = []
    taken: set[str] = set()
    for (group, size), members in sorted(by_group.items(), key=lambda each: (abs(len(each[1]) - each[0][1]), each[0])):
        if not taken & set(members):
            taken.update(members)
            found.append(Voters(group, tuple(sorted(members)), max(size, len(members)), gated=False))
    return found
