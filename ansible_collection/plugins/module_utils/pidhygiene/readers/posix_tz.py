# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The TZ string of POSIX ("CET-1CEST,M3.5.0,M10.5.0/3"), read as glibc reads it, mistakes included.

glibc refuses nothing: what it cannot read becomes UTC, or standard time without its rules, in silence (time/tzset.c
__tzset_parse_tz). ``understood`` tells which. Offsets are seconds east of UTC; the string's own sign counts west.
"""

import re
from typing import Iterator, List, Optional, Tuple

from ..pattern import pattern
from ..record import NamedTuple

ALL, PART, NOTHING = "all", "part", "nothing"  # of the string: everything, the offset but not the rest, not even an offset

_DAY = 86400
_ULONG = 2 ** 64
_NAME = pattern(r"[A-Za-z]{3,}")
_QUOTED_NAME = pattern(r"<([A-Za-z0-9+-]{3,})>")
_UNSIGNED = pattern(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")  # what scanf's %hu takes
_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)


class ChangeDay(NamedTuple):
    """When a year's change happens, in the local time before it."""

    form: str  # "J": day 1-365 without 29 February; "0": day 0-365; "M": week ``week`` of ``month``, weekday ``day``
    month: int
    week: int
    day: int
    seconds: int  # after midnight


NEVER_SET = ChangeDay("0", 0, 0, 0, 0)  # what an unread rule leaves behind
US_START, US_END = ChangeDay("M", 3, 2, 0, 7200), ChangeDay("M", 11, 1, 0, 7200)


class PosixZone(NamedTuple):
    name: str
    offset: int
    summer_name: str
    summer_offset: int
    start: ChangeDay  # of summer time
    end: ChangeDay
    understood: str
    default_rules: bool  # no rules given: glibc takes them from the file posixrules, else those of the US

    @property
    def fixed(self) -> bool:
        return self.offset == self.summer_offset and self.name == self.summer_name

    def at(self, moment: int) -> Tuple[int, bool, str]:
        """Offset, whether it is summer time, and abbreviation at that moment (seconds since the epoch). As tzset.c __tz_compute."""
        year = year_of(moment)
        start = _change(self.start, self.offset, year)
        end = _change(self.end, self.summer_offset, year)
        summer = (moment < end or moment >= start) if start > end else start <= moment < end
        return (self.summer_offset, True, self.summer_name) if summer else (self.offset, False, self.name)

    def shift(self, moment: int) -> int:
        """Seconds that a wall clock is ahead of UTC."""
        return self.at(moment)[0]

    def changes(self, since: int, until: int) -> Iterator[int]:
        """Every moment in the interval at which the shift may change."""
        if self.offset == self.summer_offset:
            return
        for year in range(year_of(since), year_of(until) + 1):
            for moment in (days_before(year) * _DAY, _change(self.start, self.offset, year), _change(self.end, self.summer_offset, year)):
                if since < moment <= until:
                    yield moment


def fixed(name: str, offset: int, understood: str = ALL) -> PosixZone:
    return PosixZone(name, offset, name, offset, NEVER_SET, NEVER_SET, understood, False)


UTC = fixed("UTC", 0)


def parse(text: str) -> PosixZone:
    """What glibc makes of the string. Never raises."""
    name, at = _name(text, 0)
    if name is None:
        return fixed("", 0, NOTHING)
    offset, at = _standard_offset(text, at)
    if offset is None:
        return PosixZone(name, 0, "", 0, NEVER_SET, NEVER_SET, NOTHING, False)
    if at == len(text):
        return fixed(name, offset)
    summer_name, at = _name(text, at)
    summer_offset = 0
    default_rules = False
    if summer_name is not None:
        summer_offset, at = _summer_offset(text, at, offset)
        default_rules = text[at:] in ("", ",")
    start, end, complete = _rules(text, at)
    return PosixZone(
        name, offset, summer_name or "", summer_offset, start, end, ALL if complete and summer_name is not None else PART, default_rules
    )


def _name(text: str, at: int) -> Tuple[Optional[str], int]:
    found = _NAME.match(text, at)
    if found:
        return found.group(), found.end()
    found = _QUOTED_NAME.match(text, at)
    if found:
        return found.group(1), found.end()
    return None, at


def _unsigned(text: str, at: int) -> Optional[Tuple[int, int]]:
    """scanf's %hu: blanks and a sign are taken, the value is cut to 16 bits."""
    found = _UNSIGNED.match(text, at)
    if not found:
        return None
    digits = found.group(2)
    if len(digits.lstrip("0")) > 20 or int(digits) >= _ULONG:
        return 0xFFFF, found.end()
    value = int(digits)
    return (-value if found.group(1) == "-" else value) & 0xFFFF, found.end()


def _time_of_day(text: str, at: int) -> Optional[Tuple[List[int], int]]:
    """hours[:minutes[:seconds]]; None when there is no number at all."""
    parts: List[int] = []
    number = _unsigned(text, at)
    while number is not None:
        parts.append(number[0])
        at = number[1]
        if len(parts) == 3 or text[at: at + 1] != ":":
            break
        number = _unsigned(text, at + 1)
    return (parts, at) if parts else None


def _seconds_west(parts: List[int]) -> int:
    hours, minutes, seconds = (parts + [0, 0])[:3]
    return min(hours, 24) * 3600 + min(minutes, 59) * 60 + min(seconds, 59)


def _standard_offset(text: str, at: int) -> Tuple[Optional[int], int]:
    first = text[at: at + 1]
    if not first or first not in "+-0123456789":
        return None, at
    sign = 1 if first == "-" else -1
    if first in "+-":
        at += 1
    found = _time_of_day(text, at)
    if found is None:
        return None, at
    return sign * _seconds_west(found[0]), found[1]


def _summer_offset(text: str, at: int, standard: int) -> Tuple[int, int]:
    first = text[at: at + 1]
    sign = 1 if first == "-" else -1
    if first and first in "+-":
        at += 1
    found = _time_of_day(text, at)
    if found is None:
        return standard + 3600, at
    return sign * _seconds_west(found[0]), found[1]


def _rules(text: str, at: int) -> Tuple[ChangeDay, ChangeDay, bool]:
    start, at = _rule(text, at, US_START)
    if at < 0:
        return start, NEVER_SET, False
    end, at = _rule(text, at, US_END)
    return start, end, at == len(text)


def _rule(text: str, at: int, default: ChangeDay) -> Tuple[ChangeDay, int]:
    """One change and where it ends; -1: not understood, with what glibc has stored until then."""
    if text[at: at + 1] == ",":
        at += 1
    day, at = _day_of_change(text, at, default)
    if at < 0:
        return day, -1
    if at < len(text) and text[at] not in "/,":
        return day, -1
    if text[at: at + 1] != "/":
        return day._replace(seconds=7200), at
    at += 1
    if at == len(text):
        return day, -1
    negative = text[at] == "-"
    found = _time_of_day(text, at + negative)
    if found is None:
        return day._replace(seconds=-7200 if negative else 7200), at + negative
    hours, minutes, seconds = (found[0] + [0, 0])[:3]
    total = hours * 3600 + minutes * 60 + seconds
    return day._replace(seconds=-total if negative else total), found[1]


def _day_of_change(text: str, at: int, default: ChangeDay) -> Tuple[ChangeDay, int]:
    first = text[at: at + 1]
    if not first:
        return default._replace(seconds=0), at
    if first == "J" or first in "0123456789":
        form = "J" if first == "J" else "0"
        found = re.compile("[0-9]+").match(text, at + (form == "J"))
        if not found or len(found.group()) > 20 or int(found.group()) > 365 or (form == "J" and int(found.group()) == 0):
            return ChangeDay(form, 0, 0, 0, 0), -1
        return ChangeDay(form, 0, 0, int(found.group()), 0), found.end()
    if first == "M":
        return _month_week_day(text, at + 1)
    return NEVER_SET, -1


def _month_week_day(text: str, at: int) -> Tuple[ChangeDay, int]:
    numbers = [0, 0, 0]
    complete = False
    for each in range(3):
        number = _unsigned(text, at)
        if number is None:
            break
        numbers[each], at = number
        complete = each == 2
        if not complete:
            if text[at: at + 1] != ".":
                break
            at += 1
    month, week, day = numbers
    if not 1 <= month <= 12:
        return NEVER_SET, -1  # glibc would read beyond its table of months: nothing to rely on
    good = complete and 1 <= week <= 5 and day <= 6
    return ChangeDay("M", month, week, day, 0), at if good else -1  # glibc keeps what it has read


# -- the calendar ----------------------------------------------------------------------------------------------


def _leap_days(year: int) -> int:
    return year // 4 - year // 100 + year // 400


def days_before(year: int) -> int:
    """Days from 1970-01-01 to 1 January of that year."""
    return (year - 1970) * 365 + _leap_days(year - 1) - _leap_days(1969)


def year_of(moment: int) -> int:
    """The year in UTC."""
    day = moment // _DAY
    year = 1970 + day // 366 if day >= 0 else 1970 + day // 365 - 1
    while days_before(year + 1) <= day:
        year += 1
    return year


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _change(rule: ChangeDay, offset: int, year: int) -> int:
    """The moment of a year's change; ``offset`` is the one in force before it. As tzset.c compute_change."""
    leap = _is_leap(year)
    first = days_before(year) if year > 1970 else 0
    if rule.form == "J":
        day = rule.day - 1 + (leap and rule.day >= 60)
    elif rule.form == "0":
        day = rule.day
    else:
        before = _DAYS_BEFORE[rule.month - 1] + (leap and rule.month > 2)
        length = _DAYS_BEFORE[rule.month] + (leap and rule.month >= 2) - before
        weekday = (days_before(year) + before + 4) % 7  # 1970-01-01 was a Thursday
        in_month = rule.day - weekday + (7 if rule.day < weekday else 0)
        for _step in range(min(rule.week, 6) - 1):
            if in_month + 7 >= length:
                break
            in_month += 7
        day = before + in_month
    return (first + day) * _DAY + rule.seconds - offset
