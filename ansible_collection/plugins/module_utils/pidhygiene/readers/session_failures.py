# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that could not be opened in the last day, as pam_systemd and logind wrote it to the log."""

import time
from typing import List, NamedTuple, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from .fork_failures import DAY_S, LOOKED_AT, TAIL, day_of

# pam_systemd writes with LOG_ERR under the name of its caller, logind under its own
MATCHES = ("PRIORITY=3", "SYSLOG_IDENTIFIER=systemd-logind")
CONTAINS = ("failed to create session", "maximum number of sessions")
TEXT_LOGS = ("/var/log/auth.log", "/var/log/secure", "/var/log/messages", "/var/log/syslog")


class Failure(NamedTuple):
    at: Optional[float]  # seconds since the epoch; None where the log does not tell it exactly
    hour: str  # which hour it was in, for counting
    message: str


class SessionFailures(NamedTuple):
    failures: Tuple[Failure, ...]
    complete: bool
    gaps: Tuple[Gap, ...]


def read(host: Host) -> SessionFailures:
    """Never raises."""
    now = host.clock().wall
    try:
        page = host.journal(MATCHES, CONTAINS, now - DAY_S, LOOKED_AT)
    except HostError as error:
        return _from_files(host, now, Gap("journal", error.reason))
    found = [(float(entry["at"]), entry.get("MESSAGE", "")) for entry in page.entries]
    return SessionFailures(tuple(Failure(at, "%d" % (at // 3600), message) for at, message in found), page.complete, ())


def _from_files(host: Host, now: float, journal: Gap) -> SessionFailures:
    gaps: List[Gap] = []
    failures: List[Failure] = []
    read_any = False
    days = {time.gmtime(now + offset)[1:3] for offset in (-DAY_S, -DAY_S / 2, 0, DAY_S / 2)}
    for path in TEXT_LOGS:
        try:
            text = host.read_tail(path, TAIL).decode("utf-8", "replace")
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(path, error.reason))
            continue
        read_any = True
        # the same line may stand in two of them; "Nov 23 05" and "2026-11-23T05" tell the hour
        failures.extend(Failure(None, line[:13 if line[:1].isdigit() else 9], line) for line in text.splitlines()
                        if any(word in line.lower() for word in CONTAINS) and day_of(line) in days)
        if failures:
            break
    if not read_any and not gaps:
        gaps.append(journal)
    return SessionFailures(tuple(failures), True, tuple(gaps))
