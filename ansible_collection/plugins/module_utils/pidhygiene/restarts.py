# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts of services that are on a schedule: by timers, cron lines and RuntimeMaxSec=. Pure: from evidence to a list."""

import re
from typing import Any, Iterator, List, Optional, Sequence, Set

from . import wording
from .model import UNLIMITED
from .pattern import pattern
from .readers import unit_syntax
from .readers.cron import restarted
from .readers.unit_files import kind_of
from .record import NamedTuple

SHORTEST_S = 600  # seconds between two restarts: what leaks faster must be mended or stopped
OWN = "pidhygiene-restart-"  # names of units that the remedy scheduled_restart makes begin so
HOUR, DAY = 3600.0, 86400.0
SHORTHANDS = {  # systemd.time(7); months and years at their longest
    "minutely": 60.0, "hourly": HOUR, "daily": DAY, "weekly": 7 * DAY, "monthly": 31 * DAY, "quarterly": 92 * DAY, "semiannually": 184 * DAY,
    "annually": 366 * DAY, "yearly": 366 * DAY,
}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Days of the week, every day or one of a month, one time of the day: what nearly all schedules of restarts look like
_CALENDAR = pattern(r"(?:([a-z.,]+)(?: +|$))?(?:\*-\*-(\*|[0-9]{1,2})(?: +|$))?(?:[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)?$")
_AS_ROOT = pattern(r"(^|[\s/])(sudo|doas|run0|pkexec)\s")


class ScheduledRestart(NamedTuple):
    job: str  # the timer, the crontab line, or the unit itself
    service: str  # as the job names it
    how: str  # "nightly.timer (OnCalendar=daily)", "/etc/crontab:3 every 7.0 d"
    when: str  # the schedule alone, as it is written
    randomized: str  # RandomizedDelaySec=, empty without
    source: str  # path, with a line where there is one
    line: str  # to be masked when shown
    interval_s: Optional[float]  # the longest between two of them; None: not told, or a schedule of another form
    owner: str = ""  # whom the remedy scheduled_restart was told; empty: nobody is named

    @property
    def unit(self) -> str:
        return self.service if kind_of(self.service.rpartition("/")[2]) else self.service + ".service"


def scheduled(evidence: Any) -> List[ScheduledRestart]:
    """In the order timers, units, cron; what could not be read is simply not there."""
    found: List[ScheduledRestart] = []
    if evidence.has("units"):
        for timer in evidence.units.timers:
            when = ", ".join(timer.schedule)
            for line in timer.commands if timer.active is not False else ():
                for service in restarted(line):
                    how = "%s (%s)" % (timer.id, when or "no schedule")
                    found.append(ScheduledRestart(timer.id, service, how, when, timer.randomized, timer.file, line, longest_pause(timer.schedule),
                                                  _owner(timer)))
        found.extend(_bounded(unit) for unit in sorted(evidence.units.units.values()) if _ends_and_starts(unit))
    if evidence.has("user_units"):
        found.extend(_by_users(evidence))
    if evidence.has("cron"):
        for restart in evidence.cron.restarts():
            how = "%s every %s" % (restart.source, wording.duration(restart.interval_s))
            when = " ".join(restart.line.split()[:5])
            found.append(ScheduledRestart(
                restart.source, restart.service, how, when, "", restart.source, restart.line, restart.interval_s, _owner_in(restart.source, restart.line)))
    return found


def _ends_and_starts(unit: Any) -> bool:
    return unit.runtime_max_us != UNLIMITED and unit.restart not in ("", "no") and unit.type != "oneshot"


def _by_users(evidence: Any) -> Iterator[ScheduledRestart]:
    """By timers of users: of units of their own, and with sudo and its like of the system's."""
    units = evidence.user_units.units
    for timer in evidence.user_units.timers:
        when, place = ", ".join(timer.schedule), timer.id.partition("/")[0] + "/"
        labels = {label.rpartition("/")[2]: label for label in units if label.startswith(place)}
        how = "%s (%s)" % (wording.unit_name(evidence, timer.id), when or "no schedule")
        for line in timer.commands:
            own = [name if kind_of(name) else name + ".service" for name in restarted(line, by_user=True)]
            others = restarted(line) if _AS_ROOT.search(line) else []
            for service in [labels.get(name, place + name) for name in own] + others:
                yield ScheduledRestart(timer.id, service, how, when, timer.randomized, timer.file, line, longest_pause(timer.schedule))
    yield from (_bounded(unit) for unit in sorted(units.values()) if _ends_and_starts(unit))


def _owner(timer: Any) -> str:
    """As the service behind a timer of the remedy writes it to the journal (remedies/scheduled_restart.py)."""
    return _owner_in(timer.id, " ".join(timer.commands))


def _owner_in(name: str, text: str) -> str:
    found = re.search(r"; owner: ([^;\"]+)", text) if name.startswith((OWN, "/etc/cron.d/" + OWN)) else None
    return found.group(1) if found else ""


def _bounded(unit: Any) -> ScheduledRestart:
    setting = unit.configured.get("RuntimeMaxSec")
    place = "%s:%d" % (setting.file, setting.line) if setting is not None and setting.file else "systemd"
    how = "RuntimeMaxSec= after %s" % wording.duration(unit.runtime_max_us / 1e6)
    line = "RuntimeMaxSec=%s" % (setting.value if setting is not None else "")
    return ScheduledRestart(unit.id, unit.id, how, line, "", place, line, unit.runtime_max_us / 1e6)


def longest_pause(schedule: Sequence[str]) -> Optional[float]:
    """Seconds, of a timer's lines; several lines only make it shorter. OnBootSec= and its like happen once."""
    found = []
    for line in schedule:
        key, _sign, text = line.partition("=")
        if key == "OnCalendar":
            found.append(_calendar_pause(text.strip().lower()))
        elif key in ("OnUnitActiveSec", "OnUnitInactiveSec"):
            try:
                found.append(unit_syntax.parse_time(text) / 1e6)
            except unit_syntax.BadValue:
                pass
    return min((each for each in found if each is not None), default=None)


def _calendar_pause(text: str) -> Optional[float]:
    if text in SHORTHANDS:
        return SHORTHANDS[text]
    form = _CALENDAR.match(text)
    if not form or not text:
        return None
    days, date = form.groups()
    if date not in (None, "*"):
        return None if days else 31 * DAY
    return _days_apart(days) * DAY if days else DAY


def _days_apart(text: str) -> int:
    """The longest run between two of these days of the week; 7 for one day, and for what is not understood."""
    numbers: Set[int] = set()
    for part in text.split(","):
        first, dots, last = part.partition("..")
        if first[:3] not in DAYS or (dots and last[:3] not in DAYS):
            return 7
        start = DAYS.index(first[:3])
        numbers.update((start + step) % 7 for step in range((DAYS.index(last[:3]) - start) % 7 + 1 if dots else 1))
    ordered = sorted(numbers)
    return max((after - before - 1) % 7 + 1 for before, after in zip(ordered, ordered[1:] + ordered[:1]))
