# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OnCalendar= of the timers, read, each with the zone that it names."""

from typing import Dict, List, Optional, Sequence, Tuple

from ..host import Host, HostError, Missing, OutOfTime, Unsafe
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import calendar_syntax, posix_tz, zone_info
from .calendar_syntax import Calendar
from .units import Timer
from .zone_database import DIRECTORY
from .zone_info import NotAZone, TzFile, Zone

_ZONE = pattern(r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}$")


class Event(NamedTuple):
    timer: Timer
    text: str
    calendar: Calendar
    zone_name: str  # empty: the manager's own zone
    zone: Optional[Zone]  # None: the manager's own


class Calendars(NamedTuple):
    events: Tuple[Event, ...]
    gaps: Tuple[Gap, ...]


def read(host: Host, timers: Sequence[Timer], local: Zone) -> Calendars:
    """Of timers that are not known to rest. An event that cannot be read is a gap. Raises no HostError but OutOfTime."""
    events: List[Event] = []
    gaps: List[Gap] = []
    zones: Dict[str, Optional[TzFile]] = {}
    for timer in timers:
        for line in timer.schedule if timer.active is not False else ():
            key, _equals, text = line.partition("=")
            if key != "OnCalendar":
                continue
            try:
                events.append(_event(host, timer, " ".join(text.split()), local, zones))
            except ValueError as error:
                if str(error) != "a single moment":
                    gaps.append(Gap("%s: OnCalendar=%s" % (timer.id, text), "this calendar event cannot be read"))
            except HostError as error:
                if isinstance(error, OutOfTime):
                    raise
                gaps.append(Gap(error.path, error.reason))
    return Calendars(tuple(events), tuple(gaps))


def _event(host: Host, timer: Timer, text: str, local: Zone, zones: Dict[str, Optional[TzFile]]) -> Event:
    """Errors: ValueError, HostError."""
    event, word = calendar_syntax.split_zone(text)
    if word.upper() == "UTC":
        return Event(timer, text, calendar_syntax.parse(event), "UTC", posix_tz.UTC)
    if word and word.lower() in _abbreviations(local):
        raise ValueError("pinned to summer or winter time")  # "02:30 CET" in Berlin is half a year silent: not read here
    if _ZONE.match(word):
        if word not in zones:
            zones[word] = _load(host, word)
        zone = zones[word]
        if zone is not None:
            return Event(timer, text, calendar_syntax.parse(event), word, zone)
    return Event(timer, text, calendar_syntax.parse(text), "", None)


def _load(host: Host, name: str) -> Optional[TzFile]:
    try:
        return zone_info.parse(host.read(DIRECTORY + "/" + name, zone_info.SIZE_LIMIT))
    except (Missing, Unsafe, NotAZone):
        return None


def _abbreviations(zone: Zone) -> List[str]:
    names = [each.name for each in zone.types] if isinstance(zone, TzFile) else [zone.name, zone.summer_name]
    return [name.lower() for name in names]
