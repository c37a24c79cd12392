# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs run next, by the clock of one zone or of another. Pure arithmetic: moments are seconds since the epoch."""

import time
from datetime import date, timedelta
from typing import Any, List, Optional, Union

from ..readers.calendar_syntax import Calendar
from ..readers.crontab import Schedule
from ..readers.zone_info import Zone

DAY = 86400
EPOCH = date(1970, 1, 1)
Event = Union[Schedule, Calendar]  # days on which it fires, and minutes of those days
FARTHEST_DAYS = 8 * 366  # 29 February comes back within eight years
SKIPPED, AGAIN = "is skipped once", "runs a second time"


def next_firing(event: Event, zone: Zone, now: float) -> Optional[int]:
    """The first firing after ``now``; None when there is none in eight years. What falls into a gap counts as its end."""
    times: List[int] = list(event.times)
    today = int(now + zone.shift(int(now))) // DAY
    for number in range(today - 1, today + FARTHEST_DAYS) if times else ():
        if not event.on(EPOCH + timedelta(days=number)):
            continue
        due = [moment for moment in (moment_of(DAY * number + 60 * minute, zone) for minute in times) if moment > now]
        if due:
            return min(due)
    return None


def moment_of(local: int, zone: Zone) -> int:
    """The moment at which clocks of the zone show ``local`` (seconds, as if it were UTC): the first one where they show it twice."""
    before, after = zone.shift(local - zone.shift(local) - DAY), zone.shift(local - zone.shift(local) + DAY)
    for shift in sorted({before, after}, reverse=True):
        if zone.shift(local - shift) == shift:
            return local - shift
    return local - before


def lost_or_doubled(event: Event, old: Zone, new: Zone, now: float) -> str:
    """What the jump of the clock from one zone to the other does to a job: SKIPPED, AGAIN, or nothing. What runs every hour does not mind."""
    before, after = int(now + old.shift(int(now))) // 60, int(now + new.shift(int(now))) // 60
    times = frozenset(event.times)
    if len({minute // 60 for minute in times}) == 24 or before == after:
        return ""
    jumped = range(min(before, after) + 1, max(before, after) + 1)
    fires = any(minute % 1440 in times and event.on(EPOCH + timedelta(days=minute // 1440)) for minute in jumped)
    return "" if not fires else SKIPPED if after > before else AGAIN


def shown_moment(moment: Optional[int], zone: Zone) -> str:
    """Local and UTC, as "2026-11-29 09:00 CST (01:00 UTC)"."""
    if moment is None:
        return "never"
    name: Any = zone.at(moment)[2]
    return "%s %s (%s UTC)" % (time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment + zone.shift(moment))), name, time.strftime("%d. %H:%M", time.gmtime(moment)))
