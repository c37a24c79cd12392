# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed forks and threads in the last day's log: from the journal, else from the text logs."""

import re
from typing import NamedTuple, Optional, Tuple

from ..host import Host
from ..model import Gap
from . import logs

TEXT_LOGS = ("/var/log/messages", "/var/log/syslog", "/var/log/kern.log")
SPAWN_FAILED = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7"  # sd-messages.h SD_MESSAGE_SPAWN_FAILED
MATCHES = (
    SPAWN_FAILED, "_TRANSPORT=kernel", "_TRANSPORT=stdout", "PRIORITY=3", "PRIORITY=2", "PRIORITY=1", "PRIORITY=0",
    "SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=cron", "SYSLOG_IDENTIFIER=CRON", "SYSLOG_IDENTIFIER=crond",
)
CONTAINS = ("resource temporarily unavailable", "fork rejected by pids controller", "unable to create native thread", "can't start new thread",
            "cannot create thread", "cannot allocate memory")

# Only in the context of starting a task: EAGAIN of a socket reads alike, and means nothing here.
_STARTING = re.compile(
    r"(?i)(?:\bv?fork(?:ing|ed)?\b|\bclone3?\b|pthread_create|\bspawn|failed to exec|status=203|new thread|"
    r"create (?:a )?(?:native )?thread|newosproc)"
)
_KERNEL = re.compile(r"cgroup: fork rejected by pids controller in (\S+)")


class ForkFailure(NamedTuple):
    at: Optional[float]  # seconds since the epoch; None where the log does not tell it exactly
    unit: str  # "" where it is not told
    program: str
    message: str
    cgroup: str  # of the kernel's message
    out_of_memory: bool  # ENOMEM: another limit than NPROC or pids.max


class ForkFailures(NamedTuple):
    failures: Tuple[ForkFailure, ...]  # newest first
    source: str  # "journal" or the files
    complete: bool  # whether the whole day was looked through
    gaps: Tuple[Gap, ...]


def read(host: Host) -> ForkFailures:
    """Never raises."""
    log = logs.read(host, MATCHES, CONTAINS, TEXT_LOGS)
    if log.entries is not None:
        found = [classify(entry.get("MESSAGE", ""), entry.get("_SYSTEMD_UNIT", ""), entry.get("SYSLOG_IDENTIFIER", ""), float(entry["at"]))
                 for entry in log.entries]
        return ForkFailures(tuple(each for each in found if each is not None), "journal", log.complete, log.gaps)
    found = [classify(line, "", "", None) for _path, lines in log.lines for line in lines]
    newest_first = tuple(reversed([each for each in found if each is not None]))
    return ForkFailures(newest_first, ", ".join(path for path, _lines in log.lines), log.complete, log.gaps)


def classify(message: str, unit: str, program: str, at: Optional[float]) -> Optional[ForkFailure]:
    """The failure that a message tells of, or None."""
    kernel = _KERNEL.search(message)
    if kernel:
        return ForkFailure(at, "", "kernel", message, kernel.group(1), False)
    lower = message.lower()
    if "native thread" in lower or "start new thread" in lower:
        return ForkFailure(at, unit, program, message, "", False)
    if not _STARTING.search(message):
        return None
    if "resource temporarily unavailable" in lower:
        return ForkFailure(at, unit, program, message, "", False)
    if "cannot allocate memory" in lower:
        return ForkFailure(at, unit, program, message, "", True)
    return None
