# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scheduled_restart where there is no systemd: a table of its own below /etc/cron.d does what timer and service do elsewhere.

What was stopped stays stopped (where the script can tell), never two at once (the table is the lock), and every restart is a line of syslog.
"""

import re
from typing import Any, Dict, FrozenSet, Iterable, List, Optional

from ..host import Host, HostError
from ..readers.calendar_syntax import Calendar
from ..readers.cron import CRONIE_CRON, DEBIAN_CRON, VIXIE
from ..readers.crontab import Schedule
from ..record import NamedTuple
from ..restarts import OWN
from .files import PutFile
from .model import Refused

FOLDER = "/etc/cron.d/"
HEADER = "# Written by pidhygiene (scheduled_restart): it will be written again, so change the remedy, not this file.\n"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
SCRIPTS = ("/etc/init.d/%s", "/etc/init.d/%s.init", "/etc/rc.d/init.d/%s")
READ_CRON_D = (DEBIAN_CRON, CRONIE_CRON, VIXIE)
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")  # of a file that cron reads: one with a dot is passed over
MINUTE, HOUR, DAY = 60, 3600, 86400


class Script(NamedTuple):
    path: str
    tells: bool  # whether it runs


def path_of(unit: str) -> str:
    """Errors: Refused for a name that cron would pass over."""
    stem = unit.rpartition(".")[0]
    if not _NAME.match(stem):
        raise Refused("%s: there is no systemd here, and cron passes over a table with such a name; write the line by hand" % unit)
    return FOLDER + OWN + stem


def script_of(host: Host, unit: str) -> Script:
    """The script that starts and stops the service. Errors: Refused without one."""
    stem = unit.rpartition(".")[0]
    for form in SCRIPTS:
        try:
            text = host.read_text(form % stem)
        except HostError:
            continue
        return Script(form % stem, re.search(r"^[ \t\"'(|\w-]*\bstatus\b[\w|\"' -]*\)|\bstatus\(\)", text, re.MULTILINE) is not None)
    raise Refused("there is no systemd here and no script /etc/init.d/%s: nobody could restart %s" % (stem, unit))


# -- when ----------------------------------------------------------------------------------------------------------


def by_line(schedule: Schedule) -> str:
    """The five fields of a line that is taken over. Without a star in either day field one of them is enough, there as here."""
    whole = schedule.any_day
    return _fields(schedule.minutes, schedule.hours, schedule.days, schedule.months, schedule.weekdays, whole)


def by_calendar(text: str, event: Calendar) -> str:
    """Errors: Refused for what cron cannot say."""
    days = frozenset(day for day in range(1, 32) if not event.days or any(part.takes(day) for part in event.days))
    months = frozenset(month for month in range(1, 13) if not event.months or any(part.takes(month) for part in event.months))
    weekdays = frozenset((day + 1) % 7 for day in event.weekdays)
    minutes, hours = frozenset(time % 60 for time in event.times), frozenset(time // 60 for time in event.times)
    if event.years or event.from_the_end or (len(days) < 31 and len(weekdays) < 7) or len(minutes) * len(hours) != len(event.times):
        raise Refused("calendar %r: there is no systemd here, and cron cannot say that (no years, no days from the end of a month, no days of the week "
                      "within days of the month, one list of minutes for all hours); give a simpler one, or an interval" % text)
    return _fields(minutes, hours, days, months, weekdays, True)


def by_interval(interval: int, offset: int) -> str:
    """Never further apart than so many seconds, at a time of this host's own. ``offset``: seconds within a week."""
    minute, hour, weekday = offset // MINUTE % 60, offset // HOUR % 24, offset // DAY % 7
    if interval < HOUR:
        step = max(each for each in range(1, 31) if 60 % each == 0 and each * MINUTE <= interval)
        return "%s * * * *" % _list(range(minute % step, 60, step))
    if interval < DAY:
        step = max(each for each in range(1, 13) if 24 % each == 0 and each * HOUR <= interval)
        return "%d %s * * *" % (minute, _list(range(hour % step, 24, step)))
    if interval < 7 * DAY:
        step = interval // DAY
        return "%d %d %s * *" % (minute, hour, "*" if step == 1 else "*/%d" % step)
    return "%d %d * * %d" % (minute, hour, weekday)


def _fields(minutes: FrozenSet[int], hours: FrozenSet[int], days: FrozenSet[int], months: FrozenSet[int], weekdays: FrozenSet[int], stars: bool) -> str:
    """A star in a day field means that both must match: without one there (``stars``), none is written."""
    return " ".join((
        _list(minutes, 60), _list(hours, 24), _list(days, 31 if stars else 0), _list(months, 12), _list(weekdays, 7 if stars else 0)))


def _list(values: Iterable[int], whole: int = 0) -> str:
    found = sorted(values)
    return "*" if len(found) == whole else ",".join("%d" % value for value in found)


# -- the table -----------------------------------------------------------------------------------------------------


def text(unit: str, fields: str, script: Script, owner: str, reason: str, delay: int) -> str:
    """``delay``: seconds to sleep before."""
    said = "Scheduled restart of %s%s%s" % (unit, "; owner: " + owner if owner else "", "; because: " + reason if reason else "")
    for sign in ("'", "\n"):
        if sign in said:
            raise Refused("owner and reason must not hold %r where there is no systemd" % sign)
    asked = "%s status >/dev/null 2>&1 && " % script.path if script.tells else ""
    command = 'flock -n %s sh -c \'%s{ echo "%s"; %s restart; } 2>&1 | logger -t pidhygiene\'' % (path_of(unit), asked, said, script.path)
    return "%s%s%s root %s%s\n" % (HEADER, PATH, fields, "sleep %d; " % delay if delay else "", command)


def file_for(host: Host, evidence: Any, unit: str, wanted: Optional[str]) -> PutFile:
    """Errors: Refused where no cron reads such a table."""
    if wanted is not None and evidence.cron.implementation not in READ_CRON_D:
        raise Refused("there is neither systemd nor a cron that reads %s here (%s): nothing could restart %s on schedule" % (
            FOLDER, evidence.cron.implementation or "none", unit))
    return PutFile(path_of(unit), wanted)


def notes(script: Script, evidence: Any) -> List[str]:
    found = ["there is no systemd here: cron restarts it"]
    if not script.tells:
        found.append("%s cannot tell whether the service runs: it is started even when it was stopped" % script.path)
    if not evidence.cron.daemons:
        found.append("cron does not run now: nothing is restarted until it does")
    return found


def problems(evidence: Any, unit: str, given: Dict[str, Any], present: bool) -> List[str]:
    """What cron does not have as it shall be."""
    table = next((each for each in evidence.cron.tables if each.path == path_of(unit)), None)
    if not present:
        return ["%s is still there" % table.path] if table is not None else []
    if table is None or table.not_run or not table.table.jobs:
        return ["cron does not read %s%s" % (path_of(unit), ": " + table.not_run if table is not None and table.not_run else "")]
    return []
