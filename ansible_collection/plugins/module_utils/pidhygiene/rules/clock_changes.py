# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-CRN-003: jobs in the hour that does not exist, or exists twice."""

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .. import clock_changes, of_users, wording
from ..clock_changes import RESTS, SKIPPED, TWICE, Change, Effect, Schedule
from ..model import INFO, MED, SEVERITY_INFO, WARN, Finding, Gap, NotApplicable, Passed, Seen, Subject, Unknown, Verdict, rule
from ..readers.cron import CRONIE_CRON, DEBIAN_CRON
from ..readers.time_zone import LOCALTIME, PROCESS
from ..readers.zone_database import DIRECTORIES
from ..readers.zone_info import Zone
from ..text import shown
from .jobs import command_of, place_of

FOLLOWS = 152  # revision of Debian's cron that asks for the offset every minute; older ones and cronie only when summer time begins or ends


@rule(
    "PH-CRN-003", "Jobs in the hour that the clock skips or repeats", MED, "a job that is left out, or done twice, once a year",
    ("cron", "time_zone", "units", "calendars", "clock", "processes"), ("users", "user_units"),
)
def jobs_meet_a_change(evidence: Any, policy: Any) -> Iterator[Verdict]:
    gaps = _zone_gaps(evidence)
    gaps += of_users.unread_of_system(evidence, timers_alone=True) + evidence.calendars.gaps + evidence.cron.gaps
    if gaps:
        yield Unknown(gaps)
    yield from of_users.unseen(evidence, timers_alone=True)
    changes = _Changes(evidence.clock.wall)
    yield from _cron(evidence, changes)
    yield from _timers(evidence, changes)
    if not changes.any:
        yield NotApplicable("no zone that jobs run in changes its clocks in the next twelve months")


def _zone_gaps(evidence: Any) -> Tuple[Gap, ...]:
    """The host's zone, the database, and what cron itself was told."""
    environments = {"/proc/%d/environ" % daemon.process.pid for daemon in evidence.cron.daemons}
    gaps = [gap for gap in evidence.time_zone.gaps if gap.source == LOCALTIME or gap.source in environments or gap.source.startswith(DIRECTORIES)]
    for setting in _of_daemon(evidence):
        if setting.meaning is not None and setting.meaning.zone is None:
            gaps.append(Gap("TZ=%s" % setting.meaning.value, setting.meaning.reason))
    return tuple(gaps)


class _Changes(object):
    """Of each zone, computed once."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._of: Dict[int, Tuple[Zone, List[Change]]] = {}

    def of(self, zone: Zone) -> List[Change]:
        if id(zone) not in self._of:
            self._of[id(zone)] = (zone, clock_changes.of_zone(zone, self._now))  # the zone is kept, so that its id is
        return self._of[id(zone)][1]

    @property
    def any(self) -> bool:
        return any(changes for _zone, changes in self._of.values())


# -- cron --------------------------------------------------------------------------------------------------------


def _cron(evidence: Any, changes: _Changes) -> Iterator[Verdict]:
    cron = evidence.cron
    if not cron.daemons:
        return
    if cron.implementation not in (DEBIAN_CRON, CRONIE_CRON):
        yield NotApplicable("what this cron does when the clocks change is not known")
        return
    zone, name = _own_zone(evidence)
    follows = cron.implementation == DEBIAN_CRON and (cron.debian_revision or 0) >= FOLLOWS
    own = [change for change in changes.of(zone) if change.season or follows]
    for table, job in cron.jobs():
        if job.schedule is None or job.schedule.never:
            yield Passed()
            continue
        schedule = Schedule(job.schedule.on, job.schedule.times)
        named = dict(job.zone).get("CRON_TZ") if cron.implementation == CRONIE_CRON else None
        if not named:
            yield _judged(table, job, name, clock_changes.under_cron(schedule, job.starred, own))
            continue
        other = _named_zone(evidence, named)
        if other is None:
            yield Unknown((Gap("CRON_TZ=%s" % named, "this zone cannot be read"),))
        else:
            yield _judged(table, job, named, clock_changes.under_cron_zone(schedule, job.starred, changes.of(other), own, other))


def _own_zone(evidence: Any) -> Tuple[Zone, str]:
    """Of the daemon: its TZ, else that of the host."""
    for setting in _of_daemon(evidence):
        if setting.meaning is not None and setting.meaning.zone is not None:
            return setting.meaning.zone, setting.meaning.value
    return evidence.time_zone.localtime.in_force, _local_name(evidence)


def _of_daemon(evidence: Any) -> List[Any]:
    pids = {daemon.process.pid for daemon in evidence.cron.daemons}
    return [setting for setting in evidence.time_zone.settings if setting.scope == PROCESS and pids.intersection(setting.pids)]


def _local_name(evidence: Any) -> str:
    return evidence.time_zone.localtime.name or "this host"


def _named_zone(evidence: Any, value: str) -> Optional[Zone]:
    return next((setting.meaning.zone for setting in evidence.time_zone.settings
                 if setting.subject == "CRON_TZ" and setting.meaning is not None and setting.meaning.value == value), None)


def _judged(table: Any, job: Any, zone: str, effects: Sequence[Effect]) -> Verdict:
    if not effects:
        return Passed()
    grave = any(effect.kind in (SKIPPED, TWICE) for effect in effects)
    place = place_of(table, job)
    return Finding(
        WARN if grave else INFO, MED if grave else SEVERITY_INFO, Subject("job", place, job.digest + "|clock"),
        "%s: \"%s\" (%s) %s%s." % (
            shown(place), command_of(job.command), shown(job.when), _said(effects, zone), "; move it out of that hour" if grave else ""),
        evidence=(Seen(place, shown(job.when) + " " + command_of(job.command)),) + _proof(effects, zone), references=("man:cron(8)",),
    )


def _said(effects: Sequence[Effect], zone: str) -> str:
    return ", and ".join(_one(effect, zone) for effect in effects)


def _one(effect: Effect, zone: str) -> str:
    first, change = effect.runs[0], effect.change
    if effect.elsewhere:
        return "is skipped on %s at %s, because cron runs no fixed jobs of other zones while its own repeats the time %s" % (
            clock_changes.day(first), clock_changes.clock(first), clock_changes.told(change))
    if effect.kind == SKIPPED:
        return "is skipped %s" % _when(effect, zone)
    if effect.kind == TWICE:
        return "runs twice %s" % _when(effect, zone)
    return "runs at %s instead of %s %s" % (clock_changes.clock(change.end), clock_changes.clock(first), _when(effect, zone))


def _when(effect: Effect, zone: str) -> str:
    return "on %s, when clocks of %s go %s" % (clock_changes.day(effect.runs[0]), shown(zone), clock_changes.told(effect.change))


def _proof(effects: Sequence[Effect], zone: str) -> Tuple[Seen, ...]:
    return tuple(
        Seen("zone %s" % shown(zone) if not effect.elsewhere else "zone of cron",
             "%s: clocks go %s" % (clock_changes.day(effect.runs[0]), clock_changes.told(effect.change)))
        for effect in effects)


# -- timers ------------------------------------------------------------------------------------------------------


def _timers(evidence: Any, changes: _Changes) -> Iterator[Verdict]:
    by_vendor: List[Tuple[Any, Effect]] = []
    resting: List[Tuple[Any, Effect]] = []
    for event in evidence.calendars.events:
        zone = event.zone if event.zone is not None else evidence.time_zone.localtime.in_force
        name = event.zone_name or _local_name(evidence)
        effects = clock_changes.under_systemd(Schedule(event.calendar.on, event.calendar.times), changes.of(zone))
        skipped = [effect for effect in effects if effect.kind == SKIPPED]
        resting.extend((event, effect) for effect in effects if effect.kind == RESTS)
        if not skipped:
            yield Passed()
        elif of_users.by_vendor(event.timer.scheduled_in):
            by_vendor.append((event, skipped[0]))
        else:
            yield Finding(
                WARN, MED, Subject("unit", event.timer.id, "%s|%s|clock" % (event.timer.id, event.text)),
                "%s (OnCalendar=%s) %s; move it out of that hour, or give it UTC as its zone." % (
                    wording.unit_name(evidence, event.timer.id), shown(event.text), _said(skipped, name)),
                evidence=(Seen(shown(event.timer.scheduled_in), "OnCalendar=%s" % shown(event.text)),) + _proof(skipped, name),
                references=("man:systemd.time(7)",),
            )
    if by_vendor:
        event, effect = by_vendor[0]
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "timers of packages", "vendor timers|clock"),
            "%s of packages skip a run %s: a day without it is what their packagers accept." % (
                _timers_named(evidence, by_vendor), _when(effect, event.zone_name or _local_name(evidence))),
            evidence=_calendar_lines(by_vendor),
            references=("man:systemd.time(7)",),
        )
    if resting:
        event, effect = resting[0]
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "timers in the repeated hour", "resting timers|clock"),
            "%s rest for %s on %s, because systemd runs a time that exists twice only once (clocks of %s go %s)." % (
                _timers_named(evidence, resting), wording.duration(float(effect.change.length)),
                clock_changes.day(effect.runs[0]), shown(event.zone_name or _local_name(evidence)), clock_changes.told(effect.change)),
            evidence=_calendar_lines(resting),
            references=("man:systemd.time(7)",),
        )


def _timers_named(evidence: Any, events: Sequence[Tuple[Any, Effect]]) -> str:
    unique = sorted({wording.unit_name(evidence, event.timer.id) for event, _effect in events})
    return "%s (%s)" % (wording.noun(len(unique), "timer"), wording.listed(unique, 3))


def _calendar_lines(events: Sequence[Tuple[Any, Effect]]) -> Tuple[Seen, ...]:
    return tuple(Seen(shown(event.timer.scheduled_in), "OnCalendar=%s" % shown(event.text)) for event, _effect in events[:5])
