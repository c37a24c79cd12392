# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What most hosts of a group agree on, and who does not. Configured texts are compared, so no policy is needed to begin.

Of each host only its place in a list is kept for each text: ten thousand hosts that agree cost ten thousand small numbers for each setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pidhygiene.policy import Policy

from .judging import groups_of, release
from .model import FleetHost


@dataclass(frozen=True)
class Outlier:
    host: str
    value: str
    file: str  # where it stands; empty: nowhere
    usual: str
    usual_file: str
    groups: tuple[str, ...]  # in which it differs
    agreeing: int  # hosts of the largest of them


class Register:
    """Names and groups of the hosts that were taken, by number."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.groups: list[tuple[str, ...]] = []
        self.releases: list[str] = []
        self._known: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._members: dict[str, set[int]] = {}

    def add(self, host: FleetHost) -> int:
        place = len(self.names)
        self.names.append(host.name)
        groups = groups_of(host)
        self.groups.append(self._known.setdefault(groups, groups))
        self.releases.append(release(host))
        for group in groups:
            self._members.setdefault(group, set()).add(place)
        return place

    def members(self) -> Mapping[str, set[int]]:
        return self._members


Values = Mapping[tuple[str, str], Iterable[int]]  # (value, file) → hosts


def outliers(register: Register, values: Values, policy: Policy) -> Iterator[Outlier]:
    """Hosts whose value only a minority of one of their groups has, and none of their groups as a whole.

    Another group of a host excuses it, when that group agrees on the host's value: sites and roles cross each other.
    """
    by_value: dict[str, set[int]] = {}
    file_of: dict[int, str] = {}
    usual_files: dict[str, str] = {}
    for (value, file), places in values.items():
        usual_files.setdefault(value, file)
        for place in places:
            by_value.setdefault(value, set()).add(place)
            file_of[place] = file
    if len(by_value) < 2:
        return
    least, share = policy["fleet.smallest_group"], policy["fleet.minority"]
    suspects: dict[int, list[tuple[str, str, int]]] = {}
    excused: dict[int, set[str]] = {}  # host → values that a group of its own agrees on
    value_of = {place: value for value, places in by_value.items() for place in places}
    concerned = {group for place in value_of for group in register.groups[place]}
    for group in sorted(concerned):
        members = register.members()[group]
        counts = {value: len(places & members) for value, places in by_value.items()}
        total = sum(counts.values())
        usual = max(sorted(counts), key=lambda value: counts[value])
        if total >= 2 and counts[usual] == total or total >= least and total - counts[usual] <= share * total:
            for place in by_value[usual] & members:
                excused.setdefault(place, set()).add(usual)
        if total < least or total - counts[usual] > share * total or counts[usual] == total:
            continue
        for value, places in by_value.items():
            if value != usual:
                for place in places & members:
                    suspects.setdefault(place, []).append((group, usual, counts[usual]))
    for place in sorted(suspects, key=lambda each: register.names[each]):
        value = value_of[place]
        if value in excused.get(place, ()):
            continue
        _group, usual, agreeing = max(suspects[place], key=lambda each: each[2])
        yield Outlier(register.names[place], value, file_of[place], usual, usual_files[usual], tuple(sorted({each[0] for each in suspects[place]})), agreeing)
