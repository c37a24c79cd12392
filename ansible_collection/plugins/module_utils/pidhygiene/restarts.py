# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts of services that are on a schedule: by timers, cron lines and RuntimeMaxSec=. Pure: from evidence to a list."""

import re
from typing import Any, List, NamedTuple

from . import wording
from .model import UNLIMITED
from .readers.cron import restarted
from .readers.unit_files import kind_of

SHORTEST_S = 600  # seconds between two restarts: what leaks faster must be mended or stopped
OWN = "pidhygiene-restart-"  # names of units that the remedy scheduled_restart makes begin so


class ScheduledRestart(NamedTuple):
    job: str  # the timer, the crontab line, or the unit itself
    service: str  # as the job names it
    how: str  # "nightly.timer (OnCalendar=daily)", "/etc/crontab:3 every 7.0 d"
    when: str  # the schedule alone, as it is written
    randomized: str  # RandomizedDelaySec=, empty without
    source: str  # path, with a line where there is one
    line: str  # to be masked when shown
    owner: str = ""  # whom the remedy scheduled_restart was told; empty: nobody is named

    @property
    def unit(self) -> str:
        return self.service if kind_of(self.service) else self.service + ".service"


def scheduled(evidence: Any) -> List[ScheduledRestart]:
    """In the order timers, units, cron; what could not be read is simply not there."""
    found: List[ScheduledRestart] = []
    if evidence.has("units"):
        for timer in evidence.units.timers:
            when = ", ".join(timer.schedule)
            for line in timer.commands if timer.active is not False else ():
                for service in restarted(line):
                    how = "%s (%s)" % (timer.id, when or "no schedule")
                    found.append(ScheduledRestart(timer.id, service, how, when, timer.randomized, timer.file, line, _owner(timer)))
        found.extend(_bounded(unit) for unit in sorted(evidence.units.units.values())
                     if unit.runtime_max_us != UNLIMITED and unit.restart not in ("", "no") and unit.type != "oneshot")
    if evidence.has("cron"):
        for restart in evidence.cron.restarts():
            how = "%s every %s" % (restart.source, wording.duration(restart.interval_s))
            when = " ".join(restart.line.split()[:5])
            found.append(ScheduledRestart(restart.source, restart.service, how, when, "", restart.source, restart.line))
    return found


def _owner(timer: Any) -> str:
    """As the service behind a timer of the remedy writes it to the journal (remedies/scheduled_restart.py)."""
    found = re.search(r"; owner: ([^;\"]+)", " ".join(timer.commands)) if timer.id.startswith(OWN) else None
    return found.group(1) if found else ""


def _bounded(unit: Any) -> ScheduledRestart:
    setting = unit.configured.get("RuntimeMaxSec")
    place = "%s:%d" % (setting.file, setting.line) if setting is not None and setting.file else "systemd"
    how = "RuntimeMaxSec= after %s" % wording.duration(unit.runtime_max_us / 1e6)
    line = "RuntimeMaxSec=%s" % (setting.value if setting is not None else "")
    return ScheduledRestart(unit.id, unit.id, how, line, "", place, line)
