# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calendar events of systemd.time(7): "Mon..Fri *-*-* 09,17:00/15 Europe/Berlin". What systemd refuses is refused here (src/shared/calendarspec.c).

Times are kept to the minute: clocks change at whole minutes. Which word at the end is a zone is for those to say who know the zones.
"""

import re
from datetime import date, timedelta
from typing import FrozenSet, List, Tuple

from ..pattern import pattern
from ..record import NamedTuple

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAY_WORD = pattern(r"(%s)(?=[-., ]|$)" % "|".join("%s|%s" % (name, name[:3]) for name in _WEEKDAYS), re.I)
_SHORT = {
    "minutely": "*-*-* *:*:00", "hourly": "*-*-* *:00:00", "daily": "*-*-* 00:00:00", "weekly": "Mon *-*-* 00:00:00", "monthly": "*-*-01 00:00:00",
    "yearly": "*-01-01 00:00:00", "annually": "*-01-01 00:00:00", "anually": "*-01-01 00:00:00", "quarterly": "*-01,04,07,10-01 00:00:00",
    "biannually": "*-01,07-01 00:00:00", "bi-annually": "*-01,07-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00", "semi-annually": "*-01,07-01 00:00:00",
}
_MICRO = 1000000
_LARGEST = 2 ** 31 - 1
_MOST_PARTS = 240
_NUMBER = pattern(r"[0-9]+")
_DECIMAL = pattern(r"([0-9]+)(?:\.(?!\.)([0-9]+))?")


class Part(NamedTuple):
    """start, start+repeat, … up to stop; without a repeat start alone; without a stop (-1) up to the end of what there is."""

    start: int
    stop: int
    repeat: int

    def takes(self, value: int) -> bool:
        if value <= self.start or not self.repeat:
            return value == self.start
        return (value - self.start) % self.repeat == 0 and (self.stop < 0 or value <= self.stop)


Chain = Tuple[Part, ...]  # any of them; empty: every value


class Calendar(NamedTuple):
    weekdays: FrozenSet[int]  # 0 is Monday; all seven when none is given
    years: Chain
    months: Chain
    days: Chain
    from_the_end: bool  # days count from the end of the month, 1 is its last
    times: Tuple[int, ...]  # minutes of the day, sorted

    def on(self, day: date) -> bool:
        if day.weekday() not in self.weekdays or not (_takes(self.years, day.year) and _takes(self.months, day.month)):
            return False
        if not self.from_the_end:
            return _takes(self.days, day.day)
        last = _days_of_month(day) + 1
        return any(
            Part(last - (part.stop if part.stop > 0 else part.start), last - part.start if part.stop > 0 else -1, part.repeat).takes(day.day)
            for part in self.days)


def _days_of_month(day: date) -> int:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1).toordinal() - day.replace(day=1).toordinal()


def split_zone(text: str) -> Tuple[str, str]:
    """The event, and its last word, which may be a zone; "" when there is only one word."""
    event, blank, last = text.rpartition(" ")
    return (event, last) if blank else (text, "")


def parse(text: str) -> Calendar:
    """Of an event without its zone. Errors: ValueError."""
    text = _SHORT.get(text.lower(), text)
    if not text:
        raise ValueError("empty")
    weekdays, rest = _weekdays(text)
    if rest.startswith("@"):
        raise ValueError("a single moment")  # systemd takes it; a moment in UTC has no business with clock changes
    years, months, days, from_the_end, rest = _date(rest)
    hours, minutes = _time(rest)
    years = _checked(_full_years(years), 1970, 2199)
    months = _checked(months, 1, 12)
    days = _checked(days, 1, 31, from_the_end)
    times = tuple(60 * hour + minute for hour in range(24) if _takes(hours, hour) for minute in range(60) if _takes(minutes, minute))
    return Calendar(weekdays, years, months, days, from_the_end and bool(days), times)


def _takes(chain: Chain, value: int) -> bool:
    return not chain or any(part.takes(value) for part in chain)


def _weekdays(text: str) -> Tuple[FrozenSet[int], str]:
    found: List[int] = []
    begun = -1  # a range
    at, first = 0, True
    while True:
        word = _WEEKDAY_WORD.match(text, at)
        if not word:
            if first and not re.match("|".join(name[:3] for name in _WEEKDAYS), text, re.I):
                return frozenset(range(7)), text
            raise ValueError("bad weekday")
        number = [name[:3] for name in _WEEKDAYS].index(word.group(1)[:3].lower())
        if begun > number:
            raise ValueError("weekdays the wrong way round")
        found.extend(range(begun if begun >= 0 else number, number + 1))
        at, first = word.end(), False
        following = text[at: at + 1]
        if following in (".", "-"):
            if begun >= 0 or (following == "." and text[at: at + 2] != ".."):
                raise ValueError("bad range of weekdays")
            begun = number
            at += 2 if following == "." else 1
        elif following == ",":
            begun = -1
            at += 1
        if text[at: at + 1] in ("", " "):
            if following in (".", "-"):
                raise ValueError("open range of weekdays")
            return frozenset(found), text[at:].lstrip(" ")


def _date(text: str) -> Tuple[Chain, Chain, Chain, bool, str]:
    """Years, months, days, whether these count from the end, and what follows. A text without a date is a time."""
    if not text:
        return (), (), (), False, ""
    first, at = _chain(text, 0)
    if text[at: at + 1] in ("", ":"):
        return (), (), (), False, text
    from_the_end = _separator(text, at)
    second, at = _chain(text, at + 1)
    if text[at: at + 1] in ("", " "):
        return (), first, second, from_the_end, text[at:].lstrip(" ")
    if from_the_end:
        raise ValueError("bad date")
    from_the_end = _separator(text, at)
    third, at = _chain(text, at + 1)
    if text[at: at + 1] not in ("", " "):
        raise ValueError("bad date")
    return first, second, third, from_the_end, text[at:].lstrip(" ")


def _separator(text: str, at: int) -> bool:
    if text[at: at + 1] not in ("-", "~"):
        raise ValueError("bad date")
    return text[at] == "~"


def _time(text: str) -> Tuple[Chain, Chain]:
    """Hours and minutes; seconds are read and only checked, as every chain of them has one in each minute."""
    midnight: Chain = (Part(0, -1, 0),)
    if not text:
        return midnight, midnight
    hours, at = _chain(text, 0)
    if text[at: at + 1] != ":":
        raise ValueError("bad time")
    minutes, at = _chain(text, at + 1)
    if at < len(text):
        if text[at] != ":":
            raise ValueError("bad time")
        seconds, at = _chain(text, at + 1, _MICRO)
        if at < len(text):
            raise ValueError("bad time")
        _checked(seconds, 0, 60 * _MICRO - 1)
    return _checked(hours, 0, 23), _checked(minutes, 0, 59)


def _chain(text: str, at: int, unit: int = 1) -> Tuple[Chain, int]:
    """A star, or parts between commas. Seconds come in microseconds."""
    if text[at: at + 1] == "*":
        return (), at + 1
    parts: List[Part] = []
    while True:
        start, at = _value(text, at, unit)
        stop, repeat = -1, 0
        if text[at: at + 2] == "..":
            stop, at = _value(text, at + 2, unit)
            repeat = unit
        if text[at: at + 1] == "/":
            repeat, at = _value(text, at + 1, unit)
            if not repeat:
                raise ValueError("a step of nothing")
        elif unit > 1 and 0 <= stop < start + unit:
            raise ValueError("a range below a second")
        parts.append(Part(start, stop, repeat))
        if len(parts) > _MOST_PARTS + 1 or text[at: at + 1] not in ("", " ", ",", "-", "~", ":"):
            raise ValueError("bad number")
        if text[at: at + 1] != ",":
            return tuple(parts), at
        at += 1


def _value(text: str, at: int, unit: int) -> Tuple[int, int]:
    found = (_DECIMAL if unit > 1 else _NUMBER).match(text, at)
    if not found:
        raise ValueError("bad number")
    digits = found.group(1) if unit > 1 else found.group()
    value = int(digits) * unit if len(digits) < 20 else _LARGEST + 1
    fraction = found.group(2) if unit > 1 else None
    if fraction:
        value += int(fraction[:6].ljust(6, "0")) + (fraction[6:7] >= "5")
    if value > _LARGEST:
        raise ValueError("too large")
    return value, found.end()


def _full_years(chain: Chain) -> Chain:
    def full(year: int) -> int:
        return year + 2000 if 0 <= year < 70 else year + 1900 if 70 <= year < 100 else year

    return tuple(Part(full(part.start), full(part.stop), part.repeat) for part in chain)


def _checked(chain: Chain, low: int, high: int, from_the_end: bool = False) -> Chain:
    """In systemd's own order and form. Errors: ValueError, where a part can never be, or repeats beyond its end."""
    parts = sorted({_normal(part) for part in chain})
    for part in parts:
        if from_the_end:
            high -= 3  # systemd takes three off for every further part, too
        if not low <= part.start <= high or part.repeat > high - low:
            raise ValueError("out of range")
        if part.stop >= 0:
            good = low <= part.stop <= high and part.start + part.repeat <= part.stop
        else:
            good = part.start - part.repeat >= low if from_the_end else part.start + part.repeat <= high
        if not good:
            raise ValueError("out of range")
    return tuple(parts)


def _normal(part: Part) -> Part:
    """A stop that is reached; where no step is ever taken (8..8, 7..54/60), the start alone."""
    if part.stop < part.start or not part.repeat:
        return part
    stop = part.stop - (part.stop - part.start) % part.repeat
    return Part(part.start, stop, part.repeat) if stop > part.start else Part(part.start, -1, 0)
