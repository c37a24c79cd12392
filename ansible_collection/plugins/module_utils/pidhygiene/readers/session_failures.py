# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that could not be opened in the last day, as pam_systemd and logind wrote it to the log."""

from typing import Optional, Tuple

from ..host import Host
from ..model import Gap
from ..record import NamedTuple
from . import logs

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
    log = logs.read(host, MATCHES, CONTAINS, TEXT_LOGS)
    if log.entries is not None:
        found = [(float(entry["at"]), entry.get("MESSAGE", "")) for entry in log.entries]
        return SessionFailures(tuple(Failure(at, "%d" % (at // 3600), message) for at, message in found), log.complete, log.gaps)
    for _path, lines in log.lines:
        # "Nov 23 05" and "2026-11-23T05" tell the hour
        failures = tuple(Failure(None, line[:13 if line[:1].isdigit() else 9], line) for line in lines
                         if any(word in line.lower() for word in CONTAINS))
        if failures:  # the same line may stand in another log
            return SessionFailures(failures, log.complete, log.gaps)
    return SessionFailures((), log.complete, log.gaps)
