# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-FLT-003: hosts of one group that live in different time zones, and jobs that therefore run at different hours."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from pidhygiene.model import FAIL, HIGH, INFO, MED, SEVERITY_INFO, WARN
from pidhygiene.policy import Policy
from pidhygiene.readers import crontab

from .consensus import Outlier, Register, outliers
from .judging import Judge, fleet_rule, group_name, mapping, noun, rows, some, text
from .model import AUDITED, FleetEvidence, FleetFinding, FleetHost

# Jobs that distributions ship, the same in every zone on purpose: names of files in /etc/cron.d, and the lines of /etc/crontab.
SHIPPED_TABLES = frozenset(
    "0hourly anacron atop awstats certbot dailyjobs debsums e2scrub_all geoipupdate john mailman mdadm munin munin-node ntpsec php popularity-contest "
    "raid-check sa-update sysstat unbound-anchor zfsutils-linux".split())
RUN_PARTS = {"hourly": "17 * * * *", "daily": "25 6 * * *", "weekly": "47 6 * * 7", "monthly": "52 6 1 * *"}
COMMANDS = ("cd / && run-parts --report /etc/cron.%s", "test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.%s )",
            "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.%s; }")
SHIPPED_LINES = frozenset(crontab.digest(when, "root", command % period)[:16] for period, when in RUN_PARTS.items() for command in COMMANDS)


@fleet_rule("PH-FLT-003")
class TimeSplit(Judge):
    def __init__(self, policy: Policy, now: float) -> None:
        super().__init__(policy, now)
        self.register = Register()
        self.zones: dict[tuple[str, str], list[int]] = {}  # (zone, file) → hosts
        self.digests: dict[str, set[str]] = {}  # content of /etc/localtime → names
        self.jobs: dict[str, list[tuple[int, str]]] = {}  # hash of a crontab line → hosts, with its table
        self.runs: dict[str, dict[int, dict[str, str]]] = {}  # hash of user and command → host → schedules, with their tables
        self.zone_of: dict[int, str] = {}
        self.geo: set[int] = set()

    def take(self, host: FleetHost) -> None:
        told = mapping(host.facts.get("time"))
        zone = mapping(told.get("zone"))
        name = text(zone.get("name")) or ("UTC" if zone.get("localtime") == "missing" else "")
        if host.outcome != AUDITED or not name:
            return
        place = self.register.add(host)
        self.zone_of[place] = name
        self.zones.setdefault((name, "/etc/localtime"), []).append(place)
        if text(zone.get("digest")):
            self.digests.setdefault(text(zone["digest"]), set()).add(name)
        if any(fnmatch.fnmatchcase(group, pattern) for group in host.groups for pattern in self.policy["fleet.geo_groups"]):
            self.geo.add(place)
            return
        for row in rows(mapping(told.get("cron")).get("lines")):
            table, line = text(row.get("table")), text(row.get("hash"))
            if line and line not in SHIPPED_LINES and table.rsplit("/", 1)[-1] not in SHIPPED_TABLES:
                self.jobs.setdefault(line, []).append((place, table))
                if text(row.get("job")) and text(row.get("when")):
                    self.runs.setdefault(row["job"], {}).setdefault(place, {})[" ".join(row["when"].lower().split())] = table

    def findings(self) -> Iterator[FleetFinding]:
        alias = self._aliases()
        zones: dict[tuple[str, str], list[int]] = {}
        for (name, file), places in self.zones.items():
            zones.setdefault((alias[name], file), []).extend(place for place in places if place not in self.geo)
        expected = self.policy["zone.expected"]
        if expected:
            found = [Outlier(self.register.names[place], name, file, expected, file, self.register.groups[place], 0)
                     for (name, file), places in zones.items() if name != alias.get(expected, expected) for place in places]
        else:
            found = list(outliers(self.register, zones, self.policy))
        jobs = self._split_jobs(alias)
        if found:
            yield self._outside(found, {host for row in jobs for host in row[1]})
            apart = {each.host for each in found}
            jobs = [row for row in jobs if not apart & set(row[1])]  # the same cause
        if jobs:
            yield self._at_two_hours(jobs, alias)
        elif not found:
            yield from self._several(alias)
        moved = list(self._moved_jobs(alias))
        if moved:
            yield self._moved(moved)

    def _aliases(self) -> dict[str, str]:
        """Names whose files are the same somewhere are one zone, whatever it is called."""
        alias = {name: name for name, _file in self.zones}
        for names in self.digests.values():
            roots = {alias[name] for name in names}
            first = min(roots, key=lambda each: (-len(each), each))  # Asia/Shanghai rather than PRC
            alias = {name: first if root in roots else root for name, root in alias.items()}
        return alias

    def _outside(self, found: list[Outlier], with_jobs: set[str]) -> FleetFinding:
        hosts = sorted({each.host for each in found})
        zones = sorted({each.value for each in found})
        usual = sorted({each.usual for each in found})
        shared = sorted(with_jobs & set(hosts))
        return self.finding(
            FAIL, HIGH, "zone", "%s %s in %s, and %s %s in %s%s: set one zone and restart cron, or tag them as a place of their own." % (
                some(hosts), "lives" if len(hosts) == 1 else "live", ", ".join(zones),
                "the policy expects them" if self.policy["zone.expected"] else "the others of %s" % ", ".join(
                    sorted({group_name(group) for each in found for group in each.groups})[:3]),
                "to be" if self.policy["zone.expected"] else "live", ", ".join(usual),
                "; the same jobs run at another hour on %s" % some(shared) if shared else ""),
            hosts, [FleetEvidence(each.host, each.file, each.value) for each in sorted(found, key=lambda each: each.host)],
            {"state": "time_zone", "parameters": {"name": usual[0]}, "disruptive": True} if len(usual) == 1 else None)

    def _split_jobs(self, alias: dict[str, str]) -> list[tuple[str, list[str], str]]:
        """(hash, hosts, table) of the jobs that hosts of one group run in more than one zone, and no host is excused by a group of one zone."""
        one_zone = self._of_one_zone(alias)
        found = []
        for line, seen in sorted(self.jobs.items()):
            places = [place for place, _table in seen if not one_zone.intersection(self.register.groups[place])]
            for group in sorted({group for place in places for group in self.register.groups[place]}):
                inside = sorted({place for place in places if group in self.register.groups[place]})
                if len({alias[self.zone_of[place]] for place in inside}) > 1:
                    found.append((line, [self.register.names[place] for place in inside], seen[0][1]))
                    break
        return found

    def _at_two_hours(self, jobs: list[tuple[str, list[str], str]], alias: dict[str, str]) -> FleetFinding:
        hosts = sorted({host for _line, names, _table in jobs for host in names})
        zone = {self.register.names[place]: name for place, name in self.zone_of.items()}
        zones = sorted({alias[zone[host]] for host in hosts})
        return self.finding(
            FAIL, HIGH, "zone", "%s on %s run%s at different hours: the hosts live in %s; set one zone and restart cron, or tag their places (geo-…)." % (
                noun(len(jobs), "job"), some(hosts), "s" if len(jobs) == 1 else "", " and ".join(zones)),
            hosts, [FleetEvidence(host, "/etc/localtime", zone[host]) for host in hosts[:12]] + [
                FleetEvidence(names[0], table, "line %s" % line) for line, names, table in jobs[:8]])

    def _moved_jobs(self, alias: dict[str, str]) -> Iterator[tuple[Outlier, str]]:
        """Jobs that a few hosts of a group run some hours apart from the others, in the same zone and at the same minute; and by what times."""
        for _job, hosts in sorted(self.runs.items()):
            by_zone: dict[str, dict[tuple[str, str], list[int]]] = {}
            for place, schedules in hosts.items():
                for when, table in schedules.items() if len(schedules) == 1 else ():  # several lines: which of them moved?
                    by_zone.setdefault(alias[self.zone_of[place]], {}).setdefault((when, table), []).append(place)
            for values in by_zone.values():
                for each in outliers(self.register, values, self.policy):
                    apart = hours_apart(each.value, each.usual)
                    if apart:
                        yield each, apart

    def _moved(self, moved: list[tuple[Outlier, str]]) -> FleetFinding:
        hosts = sorted({each.host for each, _apart in moved})
        first, apart = moved[0]
        return self.finding(
            WARN, MED, "moved jobs", "%s of %s run%s some hours apart from the same on others of %s, as %s in %s (%s): was it to make up for a wrong zone?" % (
                noun(len({(each.file, each.value) for each, _apart in moved}), "job"), some(hosts), "s" if len(moved) == 1 else "",
                ", ".join(sorted({group_name(group) for group in first.groups})[:3]), "the one of %s" % first.host, first.file, apart),
            hosts, [FleetEvidence(each.host, each.file, "%s; elsewhere %s" % (each.value, each.usual)) for each, _apart in moved])

    def _several(self, alias: dict[str, str]) -> Iterator[FleetFinding]:
        """Many in each: nobody can say which is meant."""
        one_zone = self._of_one_zone(alias)
        for group, members in sorted(self.register.members().items()):
            by_zone: dict[str, list[str]] = {}
            for place in sorted(members - self.geo):
                by_zone.setdefault(alias[self.zone_of[place]], []).append(self.register.names[place])
            excused = all(one_zone.intersection(self.register.groups[place]) for place in members - self.geo)
            if len(by_zone) > 1 and not excused:
                yield self.finding(
                    INFO, SEVERITY_INFO, "zones of %s" % group_name(group),
                    "%s live in %s: name the zone in the policy (zone: expected), or tag places (geo-…)." % (
                        group_name(group), ", ".join("%s (%d)" % (name, len(hosts)) for name, hosts in sorted(by_zone.items()))),
                    [host for hosts in by_zone.values() for host in hosts],
                    [FleetEvidence(hosts[0], "/etc/localtime", name) for name, hosts in sorted(by_zone.items())])

    def _of_one_zone(self, alias: dict[str, str]) -> set[str]:
        """Groups of two hosts or more that all live in one zone: their hosts are excused from what other groups of theirs do."""
        return {group for group, members in self.register.members().items()
                if len(members) >= 2 and len({alias[self.zone_of[place]] for place in members}) == 1}


def hours_apart(when: str, usual: str) -> str:
    """"17:00, elsewhere 09:00" when one of these schedules is the other, whole hours later or earlier; else empty. Other minutes are how fleets are spread."""
    try:
        this, that = (crontab.parse_schedule(crontab.SHORTHANDS.get(each, each) or "", crontab.CRONIE) for each in (when, usual))
    except (ValueError, IndexError):
        return ""
    if this.hours == that.hours or this._replace(hours=that.hours) != that:
        return ""
    shifted = any({(hour + hours) % 24 for hour in this.hours} == that.hours for hours in range(1, 24))
    return "%02d:%02d, elsewhere %02d:%02d" % (*divmod(this.times[0], 60), *divmod(that.times[0], 60)) if shifted and this.times else ""
