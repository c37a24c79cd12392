# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reboots of this host that are on a schedule: by timers, cron lines and unattended-upgrades. Pure: from evidence to a list."""

from typing import Any, Iterator, Optional

from .pattern import pattern
from .record import NamedTuple

UPGRADES = "apt-daily-upgrade.timer"  # starts unattended-upgrade(8)
GRACE_MIN = 1  # of shutdown(8) without a time

# Where a command begins: at the start of the line, of the next command, behind sudo and its like
_REBOOT = pattern(
    r"(?:^|[;&|({]\s*|\b(?:then|else|do|exec|sudo|doas|run0|nice|ionice)\s+)(?:-\S+\s+)*(?:/(?:usr/)?s?bin/)?"
    r"(?:(?P<now>systemctl\s+(?:-\S+\s+)*reboot|reboot|(?:tel)?init\s+6)(?=\s*(?:$|[;&|)}>]|-|\d?>))"
    r"|shutdown\s+(?=[^;&|]*(?:--reboot|-[a-zA-Z]*r))(?:-\S+\s*)*(?P<at>[+:\w]*))"
)


class ScheduledReboot(NamedTuple):
    when: str  # the schedule alone, as it is written
    randomized: str  # RandomizedDelaySec=, empty without
    delay_min: int  # minutes from then to the reboot
    source: str  # path, with a line where there is one


def scheduled(evidence: Any) -> Iterator[ScheduledReboot]:
    """What could not be read is simply not there."""
    timers = evidence.units.timers if evidence.has("units") else ()
    for timer in timers:
        for line in timer.commands if timer.active is not False else ():
            delay = delay_of(line)
            if delay is not None:
                yield ScheduledReboot(", ".join(timer.schedule), timer.randomized, delay, timer.file or timer.id)
    if evidence.has("cron"):
        for table, job in evidence.cron.jobs():
            delay = delay_of(job.command) if job.schedule is not None else None
            if delay is not None:
                yield ScheduledReboot(job.when, "", delay, "%s:%d" % (table.path, job.line))
    if evidence.has("automatic_reboot") and evidence.automatic_reboot.at and not any(
            timer.id == UPGRADES and timer.active is False for timer in timers):
        yield ScheduledReboot("OnCalendar=*-*-* %s" % evidence.automatic_reboot.at, "", 0, evidence.automatic_reboot.source)


def delay_of(command: str) -> Optional[int]:
    """Minutes from the start of a command line until it reboots the host; None: it does not, or at a time of its own."""
    found = _REBOOT.search(command)
    if found is None:
        return None
    at = found.group("at")
    if found.group("now") or at == "now":
        return 0
    if not at:
        return GRACE_MIN
    return int(at.lstrip("+")) if at.lstrip("+").isdigit() else None
