# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When jobs run next, by the clock of one zone or of another. Pure arithmetic: moments are seconds since the epoch."""

import time
from datetime import date, timedelta
from typing import Any, Optional

from ..readers.crontab import Schedule, fires_on
from ..readers.zone_info import Zone

DAY = 86400
EPOCH = date(1970, 1, 1)
FARTHEST_DAYS = 8 * 366  # 29 February comes back within eight years
SKIPPED, AGAIN = "is skipped once", "runs a second time"


def next_firing(schedule: Schedule, zone: Zone, now: float) -> Optional[int]:
    """The first firing after ``now``; None when there is none in eight years. What falls into a gap counts as its end."""
    if schedule.never:
        return None
    today = int(now + zone.shift(int(now))) // DAY
    minutes = sorted(60 * hour + minute for hour in schedule.hours for minute in schedule.minutes)
    for number in range(today - 1, today + FARTHEST_DAYS):
        day = EPOCH + timedelta(days=number)
        if not fires_on(schedule, day.month, day.day, day.isoweekday() % 7):
            continue
        due = [moment for moment in (moment_of(DAY * number + 60 * minute, zone) for minute in minutes) if moment > now]
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


def lost_or_doubled(schedule: Schedule, old: Zone, new: Zone, now: float) -> str:
    """What the jump of the clock from one zone to the other does to the job: SKIPPED, AGAIN, or nothing. Jobs of every hour do not mind."""
    before, after = int(now + old.shift(int(now))) // 60, int(now + new.shift(int(now))) // 60
    if len(schedule.hours) == 24 or before == after:
        return ""
    jumped = range(min(before, after) + 1, max(before, after) + 1)
    return (SKIPPED if after > before else AGAIN) if any(_fires_at(schedule, minute) for minute in jumped) else ""


def _fires_at(schedule: Schedule, minute: int) -> bool:
    if minute % 60 not in schedule.minutes or minute // 60 % 24 not in schedule.hours:
        return False
    day = EPOCH + timedelta(days=minute // 1440)
    return fires_on(schedule, day.month, day.day, day.isoweekday() % 7)


def shown_moment(moment: Optional[int], zone: Zone) -> str:
    """Local and UTC, as "2026-11-29 09:00 CST (01:00 UTC)"."""
    if moment is None:
        return "never"
    name: Any = zone.at(moment)[2]
    return "%s %s (%s UTC)" % (time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment + zone.shift(moment))), name, time.strftime("%d. %H:%M", time.gmtime(moment)))
