# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of crontabs that restart a service: found, set aside, given back, and said as calendar events. Pure, on text."""

import re
from typing import Any, FrozenSet, Iterator, List, Optional

from ..readers.cron import ANACRON, USER, restarted
from ..readers.crontab import DEBIAN, Schedule, parse
from ..record import NamedTuple

MARK = "# pidhygiene scheduled_restart of %s: "
_PLACE = re.compile(r"(/.+):([0-9]{1,6})")
_OUTPUT = re.compile(r"(?:[0-9]|&)?>>?\s*(?:&[0-9]|[^\s;|&<>]+)")
_ALONE = re.compile(
    r"(?:(?:/usr)?/s?bin/)?(?:systemctl(?:\s+-\S+)*\s+(?:try-|reload-or-|try-reload-or-)?restart(?:\s+-\S+)*|service|rc-service|invoke-rc\.d)?"
    r"\s*[\w@:.\\/-]+(?:\s+(?:try-|cond|condre|re|try-re)?(?:re)?start)?")
EVERY_DAY, EVERY_WEEKDAY = frozenset(range(1, 32)), frozenset(range(7))
_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


class Line(NamedTuple):
    path: str
    number: int
    text: str  # as cron had it
    schedule: Optional[Schedule]  # None for @reboot
    services: List[str]  # that it restarts
    alone: bool  # it does nothing else
    taken: bool  # set aside already


def lines(tables: Any, texts: Any, unit: str) -> Iterator[Line]:
    """Every line of every crontab that restarts something, and those that were set aside for this unit. ``texts``: path to content."""
    mark = MARK % unit
    for table in tables:
        if table.kind == ANACRON:
            continue
        jobs = {job.line: job for job in table.table.jobs}
        for number, text in enumerate((texts.get(table.path) or "").split("\n"), 1):
            taken = text.startswith(mark)
            job = _job_of(text[len(mark):], table.kind) if taken else jobs.get(number)
            services = restarted(job.command) if job is not None else []
            if taken or services:
                yield Line(table.path, number, text[len(mark):] if taken else text, job.schedule if job is not None else None, services,
                           job is not None and is_alone(job.command), taken)


def _job_of(text: str, kind: str) -> Any:
    found = parse(text + "\n", kind != USER, DEBIAN).jobs
    return found[0] if found else None


def is_alone(command: str) -> bool:
    """Whether the command is the restart and nothing else, but for where its output goes."""
    return bool(_ALONE.fullmatch(_OUTPUT.sub("", command).strip()))


def wanted(found: List[Line], asked: str) -> List[Line]:
    """By "path:line", or by the text of the line, blanks counted once."""
    place = _PLACE.fullmatch(asked)
    if place:
        return [line for line in found if (line.path, line.number) == (place.group(1), int(place.group(2)))]
    return [line for line in found if " ".join(line.text.split()) == " ".join(asked.split())]


def set_aside(text: str, number: int, unit: str) -> str:
    rows = text.split("\n")
    rows[number - 1] = MARK % unit + rows[number - 1]
    return "\n".join(rows)


def given_back(text: str, unit: str) -> str:
    mark = MARK % unit
    return "\n".join(row[len(mark):] if row.startswith(mark) else row for row in text.split("\n"))


def restarts_only(line: Line, unit: str) -> bool:
    """Whether the services of the line are this unit, by its name or by that of a vendor's script."""
    stem = unit.rpartition(".")[0]
    return bool(line.services) and all(service in (stem, unit, stem + ".init") for service in line.services)


def calendars(schedule: Schedule) -> List[str]:
    """OnCalendar= events that fire when cron would. Without a star in either day field, cron takes the day of the month or that of the week."""
    if schedule.any_day:
        return [_event(schedule, schedule.days, schedule.weekdays)]
    return [_event(schedule, schedule.days, EVERY_WEEKDAY), _event(schedule, EVERY_DAY, schedule.weekdays)]


def _event(schedule: Schedule, days: FrozenSet[int], weekdays: FrozenSet[int]) -> str:
    names = "" if weekdays == EVERY_WEEKDAY else ",".join(_WEEKDAYS[day] for day in sorted(weekdays, key=lambda day: (day - 1) % 7)) + " "
    return "%s*-%s-%s %s:%s:00" % (
        names, _numbers(schedule.months, 12), _numbers(days, 31), _numbers(schedule.hours, 24), _numbers(schedule.minutes, 60))


def _numbers(values: FrozenSet[int], whole: int) -> str:
    return "*" if len(values) == whole else ",".join("%02d" % value for value in sorted(values))
