# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a crontab, as Debian's cron and cronie read it. They differ where it hurts:

Debian's cron (entry.c, user.c of 3.0pl1) drops the *whole file* for one bad line, for a last line without newline, for a command
of 999 characters; cronie drops the line. Debian's took "NAME=" (nothing behind it) for a bad line until 3.0pl1-187.
"""

import re
from datetime import date
from typing import Dict, FrozenSet, List, Optional, Sequence, Set, Tuple

from ..digest import sha256
from ..pattern import pattern
from ..record import NamedTuple

DEBIAN, OLD_DEBIAN, CRONIE = "debian", "debian before 3.0pl1-187", "cronie"

DEBIAN_COMMAND = 998  # characters; one more and the file is dropped (cron.h MAX_COMMAND)
DEBIAN_LINES = 10000  # cron.h MAX_TAB_LINES
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS: Tuple[Tuple[str, int, int, Tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day-of-month", 1, 31, ()), ("month", 1, 12, _MONTHS), ("day-of-week", 0, 7, _WEEKDAYS),
)
SHORTHANDS = {
    "@reboot": "", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}
_ZONE_VARIABLES = ("TZ", "CRON_TZ")
_SPACE = " \t\n\v\f\r"


class Schedule(NamedTuple):
    minutes: FrozenSet[int]
    hours: FrozenSet[int]
    days: FrozenSet[int]
    months: FrozenSet[int]
    weekdays: FrozenSet[int]  # 0 is Sunday
    any_day: bool  # a star in either day field: both must match; else one is enough

    @property
    def never(self) -> bool:
        """Like 5-2: read without complaint, and no minute matches."""
        days = self.days and self.weekdays if self.any_day else self.days or self.weekdays
        return not (self.minutes and self.hours and self.months and days)

    @property
    def times(self) -> List[int]:
        """Minutes of the day, sorted."""
        return sorted(hour * 60 + minute for hour in self.hours for minute in self.minutes)

    def on(self, day: date) -> bool:
        return _fires_on(self, day.month, day.day, day.isoweekday() % 7)


class Job(NamedTuple):
    line: int
    when: str  # as written, blanks single; or @daily, anacron's period and delay
    schedule: Optional[Schedule]  # None for @reboot and anacron
    user: str  # empty in a user's own crontab
    command: str  # as written; to be masked when shown
    zone: Tuple[Tuple[str, str], ...]  # TZ and CRON_TZ as they stand above the line
    digest: str  # sha256 of the normalised line, the same on every host of a fleet

    @property
    def starred(self) -> bool:
        """A star begins the minute or the hour: cron runs it by the clock, come what may (MIN_STAR and HR_STAR of entry.c)."""
        return self.when == "@hourly" or any(word.startswith("*") for word in self.when.split(" ")[:2])


class Variable(NamedTuple):
    line: int
    name: str
    value: str


class Mistake(NamedTuple):
    line: int
    reason: str


class Table(NamedTuple):
    jobs: Tuple[Job, ...]
    variables: Tuple[Variable, ...]  # TZ and CRON_TZ only
    mistakes: Tuple[Mistake, ...]
    dropped: str  # why the daemon ignores the whole table; empty when it does not


def parse(text: str, with_user: bool, dialect: str) -> Table:
    """Never raises."""
    jobs: List[Job] = []
    variables: List[Variable] = []
    mistakes: List[Mistake] = []
    zone: Dict[str, str] = {}
    lines = text.split("\n")
    unfinished = lines.pop()
    for number, line in enumerate(lines, 1):
        start = line.lstrip(" \t")
        if not start or start.startswith("#"):
            continue
        variable = assignment(start, dialect)
        if variable is not None:
            name, value = variable
            if name in _ZONE_VARIABLES:
                zone[name] = value
                variables.append(Variable(number, name, value))
            continue
        try:
            jobs.append(_job(number, start, with_user, dialect, tuple(sorted(zone.items()))))
        except ValueError as error:
            mistakes.append(Mistake(number, str(error)))
    if unfinished.strip(" \t") and not unfinished.lstrip(" \t").startswith("#"):
        mistakes.append(Mistake(len(lines) + 1, "no newline at the end of the file"))
    dropped = ""
    if dialect != CRONIE:
        if len(lines) > DEBIAN_LINES:
            dropped = "more than %d lines" % DEBIAN_LINES
        elif mistakes:
            dropped = "%s in line %d" % (mistakes[0].reason, mistakes[0].line)
    return Table(tuple(jobs), tuple(variables), tuple(mistakes), dropped)


def assignment(line: str, dialect: str) -> Optional[Tuple[str, str]]:
    """NAME=value, or None when cron takes the line for a job (env.c load_env)."""
    at = 0
    name: List[str] = []
    value: List[str] = []
    if dialect != CRONIE:
        line = line[:DEBIAN_COMMAND]
    at, name_quote = _quote(line, at)
    while at < len(line):
        char = line[at]
        if name_quote and char == name_quote:
            at += 1
            break
        if char == "=":
            if name_quote:
                return None
            break
        if not name_quote and char in _SPACE:
            break
        name.append(char)
        at += 1
    while at < len(line) and line[at] in _SPACE:
        at += 1
    if at >= len(line) or line[at] != "=":
        return None
    at += 1
    while at < len(line) and line[at] in _SPACE:
        at += 1
    if at >= len(line):
        return ("".join(name), "") if dialect != OLD_DEBIAN else None
    at, value_quote = _quote(line, at)
    while at < len(line) and line[at] != value_quote:
        value.append(line[at])
        at += 1
    if value_quote:
        if at >= len(line) or line[at + 1:].strip(_SPACE):
            return None
        return "".join(name), "".join(value)
    return "".join(name), "".join(value).rstrip(_SPACE)


def _quote(line: str, at: int) -> Tuple[int, str]:
    if at < len(line) and line[at] in "'\"":
        return at + 1, line[at]
    return at, ""


def _job(number: int, line: str, with_user: bool, dialect: str, zone: Tuple[Tuple[str, str], ...]) -> Job:
    """Errors: ValueError, with what cron would say."""
    if line.startswith("-") and dialect == CRONIE:
        line = line[1:]  # "do not log", for root
    if line.startswith("@"):
        word, rest = _word(line)
        if word not in SHORTHANDS:
            raise ValueError("bad time specifier")
        when, schedule = word, parse_schedule(SHORTHANDS[word], dialect) if SHORTHANDS[word] else None
    else:
        words = []
        rest = line
        for _field in _FIELDS:
            word, rest = _word(rest)
            words.append(word)
        when = " ".join(words)
        schedule = parse_schedule(when, dialect)
    user = ""
    if rest.startswith("*") and not (with_user and dialect != CRONIE):  # a sixth field: somebody counted wrong
        raise ValueError("bad command")
    if with_user:
        before = len(rest)
        user, rest = _word(rest)
        counted = before - len(user) - 1  # Debian's cron counts the blanks between, but for one
        if not user or counted < 0 or (not rest and dialect == CRONIE):
            raise ValueError("bad command")
    else:
        counted = len(rest)
    if not rest and dialect == CRONIE:
        raise ValueError("bad command")
    if dialect != CRONIE and counted > DEBIAN_COMMAND:
        raise ValueError("command too long")
    return Job(number, when, schedule, user, rest, zone, digest(when, user, rest, zone))


def digest(when: str, user: str, command: str, zone: Sequence[Tuple[str, str]] = ()) -> str:
    """Of a line's meaning: names of months and weekdays in one case, blanks single, CRON_TZ with it."""
    parts = [" ".join(when.lower().split()), user, " ".join(command.split())]
    parts.extend("%s=%s" % pair for pair in zone if pair[0] == "CRON_TZ")
    return sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _word(text: str) -> Tuple[str, str]:
    text = text.lstrip(" \t")
    match = re.match(r"[^ \t]*", text)
    end = match.end() if match else 0
    return text[:end], text[end:].lstrip(" \t")


def parse_schedule(text: str, dialect: str) -> Schedule:
    """Errors: ValueError, naming the first bad field."""
    words = text.split(" ")
    values = []
    for word, (name, low, high, names) in zip(words + [""] * 5, _FIELDS):
        try:
            values.append(parse_field(word, low, high, names, dialect))
        except ValueError:
            raise ValueError("bad " + name)
    weekdays = frozenset(day % 7 for day in values[4])
    return Schedule(values[0], values[1], values[2], values[3], weekdays, words[2].startswith("*") or words[4].startswith("*"))


def parse_field(text: str, low: int, high: int, names: Sequence[str], dialect: str) -> FrozenSet[int]:
    """A list of ranges with steps. Debian's cron passes over what follows a good one ("5;"), cronie refuses it. Errors: ValueError."""
    found: Set[int] = set()
    while True:
        at, chosen = _range(text, low, high, names, dialect)
        found.update(chosen)
        if text[at: at + 1] != ",":
            if at < len(text) and dialect == CRONIE:
                raise ValueError
            return frozenset(found)
        text = text[at + 1:]


def _range(text: str, low: int, high: int, names: Sequence[str], dialect: str) -> Tuple[int, Sequence[int]]:
    if text.startswith("*"):
        at, first, last = 1, low, high
    elif text.startswith("~") and dialect == CRONIE:
        return _random(text, 0, low, low, high, names)
    else:
        at, first = _number(text, 0, low, names)
        following = text[at: at + 1]
        if following == "~" and dialect == CRONIE:
            return _random(text, at, first, low, high, names)
        if following != "-":
            if following == "/" or not low <= first <= high:
                raise ValueError
            return at, (first,)
        at, last = _number(text, at + 1, low, names)
    step = 1
    if text[at: at + 1] == "/":
        at, step = _number(text, at + 1, 0, ())
        if step <= 0:
            raise ValueError
    if dialect != CRONIE and not (low <= first <= high and low <= last <= high):
        raise ValueError
    chosen = range(first, last + 1, step)
    if chosen and not (low <= first and chosen[-1] <= high):
        raise ValueError
    return at, chosen


def _random(text: str, at: int, first: int, low: int, high: int, names: Sequence[str]) -> Tuple[int, Sequence[int]]:
    """cronie's 0~30: one value that is drawn when the table is loaded, and refused only if that one is out of range. The first stands for it."""
    last = high
    if at + 1 < len(text) and text[at + 1] != ",":
        at, last = _number(text, at + 1, low, names)
    else:
        at += 1
    if first > last or last < low or first > high:
        raise ValueError
    return at, (max(first, low),)


def _number(text: str, at: int, low: int, names: Sequence[str]) -> Tuple[int, int]:
    match = re.compile("[A-Za-z0-9]+").match(text, at)
    if not match:
        raise ValueError
    word = match.group()
    if word.lower() in names:
        return match.end(), names.index(word.lower()) + low
    if word.isdigit():
        number = int(word) if len(word) < 20 else 2 ** 63 - 1
        return match.end(), (min(number, 2 ** 63 - 1) + 2 ** 31) % 2 ** 32 - 2 ** 31  # strtol into an int
    raise ValueError


# -- anacron -----------------------------------------------------------------------------------------------------

_ANACRON_ASSIGNMENT = pattern(r"^[ \t]*([^ \t=]+)[ \t]*=(.*)$")
_ANACRON_JOB = pattern(r"^[ \t]*(\d+|@[^ \t]+)[ \t]+(\d+)[ \t]+([^ \t/]+)[ \t]+([^ \t].*)$")


def parse_anacron(text: str) -> Table:
    """/etc/anacrontab (anacron/readtab.c parse_tab_line): a bad line is skipped."""
    jobs: List[Job] = []
    variables: List[Variable] = []
    mistakes: List[Mistake] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip(" \t") or line.lstrip(" \t").startswith("#"):
            continue
        found = _ANACRON_ASSIGNMENT.match(line)
        if found:
            if found.group(1) in _ZONE_VARIABLES:
                variables.append(Variable(number, found.group(1), found.group(2).strip()))
            continue
        found = _ANACRON_JOB.match(line)
        if not found:
            mistakes.append(Mistake(number, "invalid syntax"))
            continue
        period, delay, name, command = found.groups()
        jobs.append(Job(number, "%s %s %s" % (period, delay, name), None, "root", command, (), digest(period + " " + name, "root", command)))
    return Table(tuple(jobs), tuple(variables), tuple(mistakes), "")


# -- how often ---------------------------------------------------------------------------------------------------


def longest_pause(schedule: Schedule) -> Optional[int]:
    """Seconds between two firings, the longest there is in four years; None when it fires once or never."""
    days = [index for index, (month, day, weekday) in enumerate(_calendar()) if _fires_on(schedule, month, day, weekday)]
    times = schedule.times
    if not days or not times:
        return None
    pauses = [(later - earlier) * 60 for earlier, later in zip(times, times[1:])]
    overnight = 1440 - times[-1] + times[0]
    pauses.extend(((later - earlier - 1) * 1440 + overnight) * 60 for earlier, later in zip(days, days[1:]))
    return max(pauses) if pauses else None


def _fires_on(schedule: Schedule, month: int, day: int, weekday: int) -> bool:
    if month not in schedule.months:
        return False
    by_day, by_weekday = day in schedule.days, weekday in schedule.weekdays
    return by_day and by_weekday if schedule.any_day else by_day or by_weekday


def _calendar() -> List[Tuple[int, int, int]]:
    """(month, day, weekday) of four years from 2024-01-01, a Monday."""
    found, weekday = [], 1
    for year in range(2024, 2028):
        for month, length in enumerate((31, 29 if year == 2024 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1):
            for day in range(1, length + 1):
                found.append((month, day, weekday))
                weekday = (weekday + 1) % 7
    return found


def shortest_pause(schedule: Schedule) -> Optional[int]:
    """Seconds between two firings of one day, the shortest there is; where it fires once a day: a day. None when it never fires."""
    if schedule.never:
        return None
    times = schedule.times
    return min((later - earlier) * 60 for earlier, later in zip(times, times[1:])) if len(times) > 1 else 86400


def runs_per_hour(schedule: Schedule) -> float:
    """The mean over four years."""
    if schedule.never:
        return 0.0
    calendar = _calendar()
    days = sum(1 for month, day, weekday in calendar if _fires_on(schedule, month, day, weekday))
    return len(schedule.hours) * len(schedule.minutes) * days / (24.0 * len(calendar))
