# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quorum groups: hosts of which a majority must be up. Pure: who votes, which steps take a voter away, and what may be taken away now.

A member that is down counts as much as one that is taken down: of three voters with one down none may be touched, but the one that is down.
"""

import fnmatch
from typing import AbstractSet, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..record import NamedTuple


# Remedies that restart something now, and where they name it; other disruptive ones may touch anything.
NAMED = {"unit_limits": ("unit",), "restart": ("unit", "units"), "reap": ("unit",)}
NOTHING = ("sessions",)  # what has ended is let go of
LATER = {"scheduled_restart": ("unit",), "reboot": ()}  # they restart at a time of their own, on each host


class Group(NamedTuple):
    name: str
    voters: Tuple[str, ...]  # names of hosts, as the front ends target them
    patterns: Tuple[str, ...]  # as the policy names them
    units: Tuple[str, ...] = ()  # that make a host a voter; empty: the host itself
    probe: str = ""  # tcp:PORT or http://…, asked on the voter
    aliases: Tuple[str, ...] = ()  # further names of these units

    @property
    def majority(self) -> int:
        return len(self.voters) // 2 + 1

    @property
    def spare(self) -> int:
        """How many may be down at the same time."""
        return (len(self.voters) - 1) // 2

    def plain(self) -> Dict[str, Any]:
        return {"voters": list(self.voters), "patterns": list(self.patterns), "units": list(self.units), "probe": self.probe}


def of_policy(groups: Mapping[str, Any], known: Sequence[str]) -> List[Group]:
    """``known``: every host there is; a voter that is named in full counts although nobody knows it."""
    found = []
    for name in sorted(groups):
        patterns = tuple(groups[name]["voters"])
        named = {each for each in patterns if not _is_pattern(each)}
        voters = named | {host for host in known if matches(patterns, host)}
        if voters:
            found.append(Group(name, tuple(sorted(voters)), patterns, tuple(groups[name].get("units", ())), groups[name].get("probe", "")))
    return found


def of_plan(name: str, entry: Mapping[str, Any]) -> Group:
    return Group(name, tuple(entry["voters"]), tuple(entry["patterns"]), tuple(entry["units"]), entry["probe"])


def matches(patterns: Sequence[str], host: str) -> bool:
    return any(fnmatch.fnmatchcase(host, pattern) for pattern in patterns)


def _is_pattern(text: str) -> bool:
    return any(char in text for char in "*?[")


def takes_away(group: Group, step: Mapping[str, Any]) -> bool:
    """Whether the step takes its host away from the group while it is applied."""
    remedy, given = step["remedy"], step["parameters"]
    if remedy in LATER or remedy in NOTHING:
        return False
    if not step.get("disruptive") and not (remedy == "time_zone" and given.get("restart") != "none"):  # it restarts daemons as it finds them
        return False
    touched = set(restarted(step))
    return not group.units or not touched or bool(touched & set(group.units + group.aliases))


def restarted(step: Mapping[str, Any]) -> List[str]:
    """The units that the step restarts now, by their names and in its order; empty also when it does not say which."""
    given = step["parameters"]
    if not step.get("disruptive") or given.get("apply", "restart") != "restart" or given.get("how", "unit") != "unit":
        return []
    found: List[str] = []
    for field in NAMED.get(step["remedy"], ()):
        value = given.get(field)
        found.extend(str(each) for each in (value if isinstance(value, (list, tuple)) else [value]) if each)
    return found


def takes_away_later(group: Group, step: Mapping[str, Any]) -> bool:
    """Whether the step has the host restarted at a time that it shares with others."""
    fields = LATER.get(step["remedy"])
    if fields is None or step["parameters"].get("state") == "absent":
        return False
    touched = {str(step["parameters"][field]) for field in fields if step["parameters"].get(field)}
    return not group.units or not touched or bool(touched & set(group.units + group.aliases))


def refusal(group: Group, host: str, acting: AbstractSet[str], up: AbstractSet[str], why_down: Optional[Mapping[str, str]] = None) -> str:
    """Why ``host`` must not be taken away now, as a sentence; empty when it may.

    ``up``: the voters that count now. ``acting``: all voters that are taken away at the same time.
    """
    if host not in up:
        return ""  # it counts for nothing: touching it can only help
    left = (up - acting - {host}) & set(group.voters)
    if len(left) >= group.majority:
        return ""
    away = [each for each in group.voters if each not in left and each != host]
    reasons = ["%s is taken down at the same time" % each if each in acting else "%s %s" % (each, (why_down or {}).get(each) or "is down") for each in away]
    return "%s has %d voter%s and needs %d that are up; without %s there would be %d%s" % (
        group.name, len(group.voters), "" if len(group.voters) == 1 else "s", group.majority, host, len(left),
        " (%s)" % ", ".join(reasons) if reasons else "")


def too_many(group: Group, together: int, batch: Sequence[str], acting: AbstractSet[str]) -> str:
    """Why these hosts must not be done at the same time; empty when they may be. ``together``: so many may, as the plan says."""
    taken = [host for host in batch if host in acting]
    if len(taken) <= max(1, together):  # whether even one may is told by who is up then
        return ""
    return "%s would be changed at the same time, and of the %d voters of %s only %d may be: go host by host" % (
        _listed(taken), len(group.voters), group.name, max(1, together))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)


# -- over a whole plan -----------------------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What a group means for a plan."""

    group: Group
    acting: Tuple[str, ...]  # hosts with steps that take them away, in an order that works
    together: int  # so many of them at the same time
    refused: Dict[str, str]  # host to why its steps that take it away are left to people
    later: Dict[str, str]  # the same for steps that have it restarted on schedule


def judge(group: Group, steps: Mapping[str, Sequence[Mapping[str, Any]]], down: Mapping[str, str]) -> Verdict:
    """``steps`` of each host; ``down``: voters that do not count now, with the reason.

    A voter that is down is repaired first, and counts from then on; where even that leaves none to spare, no order does.
    """
    acting = [host for host in group.voters if any(takes_away(group, step) for step in steps.get(host, ()))]
    first = [host for host in acting if host in down]
    lost = [host for host in group.voters if host in down and host not in first]
    together = group.spare - len(lost)
    refused: Dict[str, str] = {}
    if together < 1:
        up = frozenset(host for host in group.voters if host not in lost)
        refused = {host: refusal(group, host, frozenset(), up, down) for host in acting if host not in first}
        acting = first
    scheduled = [host for host in group.voters if any(takes_away_later(group, step) for step in steps.get(host, ()))]
    later = {}
    if len(scheduled) > group.spare:
        why = "%s of %s would be restarted on schedule, perhaps in the same minute, and at most %d may be down: give each a time of its own, by hand" % (
            _listed(scheduled), group.name, group.spare)
        later = {host: why for host in scheduled}
    return Verdict(group, tuple(first + [host for host in acting if host not in first]), max(together, 1), refused, later)
