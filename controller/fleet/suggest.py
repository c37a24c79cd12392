# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A baseline from results: today is accepted until a date, tomorrow's news is reported."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from pidhygiene.model import FAIL, SEVERITIES, STATUSES
from pidhygiene.policy import ZONE

from ..render.folder import harmless
from .causes import is_waived, rank
from .judging import GRAVE, groups_of, mapping, noun, some, text
from .limits import ITEMS, per_user
from .model import AUDITED, FleetHost

TODO_OWNER, TODO_WHY = "TODO who answers for it", "TODO why it is accepted"
AGREED = 0.8  # part of the hosts with a unit that makes a limit the wanted one
FEWEST = 2  # hosts that agree on something
FAILURES = 3  # what fails is accepted for a third of the time
MOST_WANTED = 200

HEAD = """\
# A policy that pidhygiene suggests, from the results of {hosts} ({day}).
#
# It is a baseline: what was found on that day is accepted until the dates below and stays visible as waived; what comes after it is reported.
# Read it before you use it. Every waiver needs a reason and somebody who answers for it: fill in what says TODO, repair what you can,
# and take out its waiver. A waiver that expires turns into a finding again. While it holds, it also hides that the same finding gets worse.
#
# Check it:  python -m pidhygiene.controller policy check THIS
# Use it:    pidhygiene check --policy THIS; Ansible: the variable pidhygiene_policy; Salt: the pillar pidhygiene
"""


class NothingToAccept(Exception):
    """No host was audited: there is no today to accept."""


@dataclass
class _Accepted:
    """One rule and subject, on the hosts that have it."""

    rule: str
    subject: str  # pattern
    status: str = ""
    severity: str = ""
    message: str = ""
    hosts: dict[str, None] = field(default_factory=dict)  # names as their results tell them


def suggest(hosts: Iterable[FleetHost], today: datetime.date, days: int = 90, owner: str = "") -> str:
    """YAML. Of each host its name, groups and what was found stay in memory. Errors: NothingToAccept."""
    accepted: dict[tuple[str, str], _Accepted] = {}
    members: dict[str, set[str]] = {}
    names: set[str] = set()
    zones: Counter[str] = Counter()
    wanted: dict[tuple[str, str], Counter[str]] = {}
    there: Counter[str] = Counter()
    silent = 0
    for host in hosts:
        if host.outcome != AUDITED:
            silent += 1
            continue
        name = text(host.host.get("name")) or host.name  # waivers are judged on the host, by its own name
        names.add(name)
        for group in groups_of(host):
            members.setdefault(group, set()).add(name)
        _accept(host, name, accepted)
        zones[text(mapping(mapping(host.facts.get("time")).get("zone")).get("name"))] += 1
        _want(host, wanted, there)
    if not names:
        raise NothingToAccept("no host was audited: there is nothing to begin from; run an audit first")
    members.pop("", None)
    document, notes = _settings(zones, wanted, there)
    counted = noun(len(names), "host") + (", %d not audited" % silent if silent else "")
    parts = [HEAD.format(hosts=counted, day=today.isoformat())]
    parts.extend("# %s\n" % note for note in notes)
    parts.append("\n" + (_yaml(document) if document else ""))
    parts.append(_waivers(accepted, names, members, today, days, owner))
    return "".join(parts)


def _accept(host: FleetHost, name: str, accepted: dict[tuple[str, str], _Accepted]) -> None:
    for finding in host.findings:
        if finding.get("status") not in GRAVE or is_waived(finding):
            continue
        rule, subject = text(finding.get("rule")), pattern(text(mapping(finding.get("subject")).get("id")))
        known = accepted.setdefault((rule, subject), _Accepted(rule, subject))
        known.hosts[name] = None
        status, severity = text(finding["status"]), text(finding.get("severity"))
        if (rank(STATUSES, status), rank(SEVERITIES, severity)) > (rank(STATUSES, known.status), rank(SEVERITIES, known.severity)):
            known.status, known.severity, known.message = status, severity, text(finding.get("message"))


def pattern(subject: str) -> str:
    """That matches this subject tomorrow: with any pid, line number, session and container, and nothing else."""
    found = literal(subject)
    found = re.sub(r"(?<= \()\d+(?:, \d+)*(?=\))", "*", found)
    found = re.sub(r"(?<=:)\d+(?=$|: )", "*", found)
    found = re.sub(r"(?<=session-)[a-z]?\d+(?=\.scope)", "*", found)
    return re.sub(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b", "*", found)


def literal(name: str) -> str:
    """A pattern of fnmatch(3) that matches this text alone."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _want(host: FleetHost, wanted: dict[tuple[str, str], Counter[str]], there: Counter[str]) -> None:
    for unit, row in mapping(host.facts.get("units")).items():
        settings = mapping(mapping(row).get("configured"))
        if per_user(unit):
            continue
        there[unit] += 1
        for key, setting in settings.items():
            value = text(mapping(setting).get("value"))
            if key in ITEMS and text(mapping(setting).get("file")).startswith("/etc/") and re.fullmatch(r"(\d+|infinity)(:(\d+|infinity))?", value, re.A):
                wanted.setdefault((unit, ITEMS[key]), Counter())[value] += 1


def _settings(zones: Counter[str], wanted: Mapping[tuple[str, str], Counter[str]], there: Counter[str]) -> tuple[dict[str, Any], list[str]]:
    document: dict[str, Any] = {}
    notes = []
    if len(zones) == 1 and re.match(ZONE, next(iter(zones))):
        document["zone"] = {"expected": next(iter(zones))}
    else:
        told = ", ".join("%s (%d)" % (harmless(zone) or "not known", count) for zone, count in zones.most_common(8))
        notes.append("Zone: the hosts do not agree, so none is expected; there are %s. One policy for each place can say zone: {expected: …}." % told)
    units: dict[str, dict[str, str]] = {}
    for (unit, item), values in sorted(wanted.items())[:MOST_WANTED]:
        value, count = values.most_common(1)[0]
        if count >= FEWEST and count >= AGREED * there[unit]:
            units.setdefault(unit, {})[item] = value
        elif len(values) > 1:
            notes.append("Limits: %s of %s is not agreed on: %s." % (item, harmless(unit), ", ".join("%s (%d)" % pair for pair in values.most_common(4))))
    if units:
        document["limits"] = {"units": units}
    notes.append("Limits of users are not suggested: results tell what sessions run with, not who wanted it. Add limits: {users: {oracle: {nproc: 16384}}}.")
    return document, notes


def _waivers(accepted: Mapping[tuple[str, str], _Accepted], names: set[str], members: Mapping[str, set[str]], today: datetime.date, days: int,
             owner: str) -> str:
    if not accepted:
        return "# Nothing was found that needs a waiver.\nwaivers: []\n"
    lines = ["waivers:\n"]
    for _key, each in sorted(accepted.items()):
        expires = today + datetime.timedelta(days=max(1, days // FAILURES if each.status == FAIL else days))
        lines.append("# %s %s on %s: %s\n" % (each.status, each.rule, some(sorted(harmless(host) for host in each.hosts)), _one_line(each.message)))
        for scope in scopes(set(each.hosts), names, members):
            row = {"rule": each.rule, "subject": each.subject, **scope, "justification": "%s (found %s)" % (TODO_WHY, today.isoformat()),
                   "owner": owner or TODO_OWNER, "expires": expires.isoformat()}
            lines.append(_yaml([row]))
    return "".join(lines)


def scopes(hosts: set[str], names: set[str], members: Mapping[str, set[str]]) -> Iterable[dict[str, str]]:
    """Of waivers that together cover these hosts and no other: all of them, whole groups, single hosts."""
    if hosts == names and len(names) >= FEWEST:
        return [{}]
    left, found = set(hosts), []
    for group, inside in sorted(members.items(), key=lambda each: (-len(each[1]), each[0])):
        if len(inside) >= FEWEST and inside <= hosts and inside & left:
            found.append({"group": literal(group)})
            left -= inside
    return found + [{"host": literal(name)} for name in sorted(left)]


def _one_line(message: str, most: int = 200) -> str:
    line = " ".join(str(harmless(message)).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _yaml(value: Mapping[str, Any] | Sequence[Any]) -> str:
    dumped: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=160)
    return dumped
