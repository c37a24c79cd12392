# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the time zone that systemd-timedated wrote into the journal: who changed it by hand, or by a rename, is not there.

Asked only where a cron is older than /etc/localtime: on all other hosts the journal stays closed.
"""

from typing import Tuple

from ..host import Host, HostError, OutOfTime
from ..record import NamedTuple
from .cron import Cron
from .processes import ProcessTable
from .time_zone import TimeZone

MATCHES = ("_SYSTEMD_UNIT=systemd-timedated.service",)
CONTAINS = ("changed time zone",)  # src/timedate/timedated.c method_set_timezone
MOST = 1000  # entries


class ZoneChange(NamedTuple):
    at: float  # seconds since the epoch
    message: str


def read(host: Host, table: ProcessTable, zone: TimeZone, cron: Cron) -> Tuple[ZoneChange, ...]:
    """Oldest first. Without a journal there is nothing to find: corroboration is a bonus, its absence proves nothing."""
    changed = zone.localtime.own.ctime if zone.localtime.own is not None else None
    starts = [table.started_at(daemon.process) for daemon in cron.daemons]
    if changed is None or not starts or changed <= min(starts):
        return ()
    try:
        page = host.journal(MATCHES, CONTAINS, min(starts), MOST)
    except OutOfTime:
        raise
    except HostError:
        return ()
    return tuple(sorted(ZoneChange(float(entry["at"]), entry.get("MESSAGE", "")) for entry in page.entries if "at" in entry))
