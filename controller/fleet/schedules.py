# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-009: restarts and reboots that take the voters of a group down in the same minute.

From facts.restarts and facts.reboots: timers with OnCalendar= and lines of cron that restart a service or reboot the host, and unattended-upgrades with a fixed
time. What is not in the facts, and so is not judged: other tools, and RuntimeMaxSec=, which counts from each start.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from pidhygiene.model import FAIL, HIGH
from pidhygiene.policy import Policy
from pidhygiene.readers import calendar_syntax, crontab, unit_syntax

from . import voters
from .judging import Judge, fleet_rule, mapping, noun, number, rows, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

LOOKED_AHEAD = 366  # days
MOST_TIMES = 4000  # of one schedule: every five minutes for two weeks are enough to see it meet another
SPREAD_US = 60 * 1000000  # a smaller randomised delay is none
MINUTES = 1440
WHOLE_HOST = "reboot"


class Planned(NamedTuple):
    what: str  # the unit, or WHOLE_HOST
    when: str  # the schedule as it is written
    source: str
    east: int  # minutes, of the clock that the schedule is read by
    delay: int  # minutes, from then to when it happens


@fleet_rule("PH-FLT-009")
class SameMinute(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.hosts: dict[str, tuple[str, ...]] = {}
        self.planned: dict[str, list[Planned]] = {}  # by host
        self._wanted = _patterns(policy)

    def take(self, host: FleetHost) -> None:
        self.hosts[host.name] = host.groups
        if host.outcome != AUDITED or not (any(tag.startswith("quorum=") for tag in host.groups) or
                                           any(fnmatch.fnmatchcase(host.name, pattern) for pattern in self._wanted)):
            return
        east = int((number(mapping(mapping(host.facts.get("time")).get("zone")).get("offset_s")) or 0) // 60)
        for row in [*rows(host.facts.get("restarts")), *rows(host.facts.get("reboots"))]:
            if not spread(text(row.get("randomized"))):
                self.planned.setdefault(host.name, []).append(Planned(
                    text(row.get("unit")) or WHOLE_HOST, text(row.get("when")), text(row.get("source")), east, int(number(row.get("delay_min")) or 0)))

    def findings(self) -> Iterator[FleetFinding]:
        today = int(self.now // 86400)
        for group in voters.groups(self.policy, self.hosts):
            meeting: dict[int, dict[str, Planned]] = {}  # minute since the epoch → host → what
            for host in group.hosts:
                for each in self.planned.get(host, ()):
                    if not group.units or each.what in (WHOLE_HOST, *group.units):
                        for minute in minutes(each.when, today, each.east):
                            meeting.setdefault(minute + each.delay, {}).setdefault(host, each)
            worst = max(meeting, key=lambda minute: (len(meeting[minute]), -minute), default=None)
            if worst is not None and len(meeting[worst]) > max(1, group.spare):
                yield self._together(group, meeting[worst])

    def _together(self, group: voters.Voters, away: Mapping[str, Planned]) -> FleetFinding:
        hosts = sorted(away)
        units = sorted({each.what for each in away.values()} - {WHOLE_HOST})
        rebooted = any(each.what == WHOLE_HOST for each in away.values())
        does = ["reboot"] * rebooted + ["restart %s" % unit for unit in units]
        return self.finding(
            FAIL, HIGH, group.name, "%s %s in the same minute (%s), and of the %s of %s only %d may be down: give each a time of its own." % (
                some(hosts), some(does), some(sorted({each.when for each in away.values()}), 2), noun(group.size, "voter"), group.name, group.spare),
            hosts, [FleetEvidence(host, away[host].source, "%s: %s" % (away[host].what, away[host].when)) for host in hosts],
            None if rebooted or len(units) > 1 else {"state": "scheduled_restart", "parameters": {"unit": units[0], "spread_s": 3600}, "disruptive": True})

    def silent_because(self) -> str:
        return "" if voters.groups(self.policy, self.hosts) else "neither the policy (quorum_groups) nor a tag (quorum=3) names voters"


def _patterns(policy: Policy) -> list[str]:
    groups: Mapping[str, Any] = policy["quorum_groups"]
    return [pattern for group in groups.values() for pattern in group["voters"]]


def spread(randomized: str) -> bool:
    """Whether a delay by chance keeps hosts apart."""
    try:
        return bool(randomized) and unit_syntax.parse_time(randomized) >= SPREAD_US
    except unit_syntax.BadValue:
        return False


def minutes(when: str, today: int, east: int = 0) -> list[int]:
    """Minutes since the epoch (UTC) at which it fires from today on, by clocks so many minutes east; empty for what is not understood, or counts from a start.

    The offset of the day of the audit is taken: where summer time ends on one host and not on another, zones differ (PH-FLT-003).
    """
    found: list[int] = []
    for event, utc in _events(when):
        for day in range(today, today + LOOKED_AHEAD):
            if len(found) >= MOST_TIMES:
                break
            if event.on(date(1970, 1, 1) + timedelta(days=day)):
                found.extend(MINUTES * day + minute - (0 if utc else east) for minute in event.times)
    return found


def _events(when: str) -> Iterator[tuple[Any, bool]]:
    """Days and minutes of a schedule, and whether it is in UTC whatever the zone of the host."""
    if "=" not in when:
        word = when.split(" ", 1)[0]
        try:
            text = crontab.SHORTHANDS.get(word) if word.startswith("@") else when
            if text:
                yield crontab.parse_schedule(text, crontab.CRONIE), False
        except (ValueError, IndexError):
            pass
        return
    for part in when.split(", "):
        key, _sign, calendar = part.partition("=")
        event, zone = calendar_syntax.split_zone(calendar.strip())
        try:
            if key.strip() == "OnCalendar":
                yield calendar_syntax.parse(event if zone == "UTC" else calendar.strip()), zone == "UTC"
        except ValueError:
            continue
