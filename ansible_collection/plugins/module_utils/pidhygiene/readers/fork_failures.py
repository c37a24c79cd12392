# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed forks and threads in the last day's log: from the journal, else from the text logs."""

import re
import time
from typing import List, NamedTuple, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap

DAY_S = 86400.0
LOOKED_AT = 3000  # journal entries
TAIL = 512 * 1024  # bytes of a text log
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
_SYSLOG_TIME = re.compile(r"^(?:([A-Z][a-z]{2}) +(\d{1,2}) \d\d:\d\d:\d\d|(\d{4})-(\d\d)-(\d\d)T)")
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


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
    now = host.clock().wall
    try:
        page = host.journal(MATCHES, CONTAINS, now - DAY_S, LOOKED_AT)
    except HostError as error:
        return _from_files(host, now, Gap("journal", error.reason))
    found = (classify(entry.get("MESSAGE", ""), entry.get("_SYSTEMD_UNIT", ""), entry.get("SYSLOG_IDENTIFIER", ""), float(entry["at"]))
             for entry in page.entries)
    return ForkFailures(tuple(each for each in found if each is not None), "journal", page.complete, ())


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


def _from_files(host: Host, now: float, journal: Gap) -> ForkFailures:
    """Text logs tell local time without a zone: lines of today and yesterday count, a day wider is better than a day missed."""
    gaps: List[Gap] = []
    failures: List[ForkFailure] = []
    read_any = []
    days = {time.gmtime(now + offset)[1:3] for offset in (-DAY_S, -DAY_S / 2, 0, DAY_S / 2)}
    for path in TEXT_LOGS:
        try:
            text = host.read_tail(path, TAIL).decode("utf-8", "replace")
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(path, error.reason))
            continue
        read_any.append(path)
        for line in text.splitlines():
            if day_of(line) in days:
                failure = classify(line, "", "", None)
                if failure is not None:
                    failures.append(failure)
    if not read_any and not gaps:
        gaps.append(journal)
    return ForkFailures(tuple(reversed(failures)), ", ".join(read_any), True, tuple(gaps))


def day_of(line: str) -> Optional[Tuple[int, int]]:
    """(month, day) of a syslog line, RFC 3164 or ISO."""
    found = _SYSLOG_TIME.match(line)
    if not found:
        return None
    if found.group(1):
        return (_MONTHS.index(found.group(1)) + 1, int(found.group(2))) if found.group(1) in _MONTHS else None
    return int(found.group(4)), int(found.group(5))
