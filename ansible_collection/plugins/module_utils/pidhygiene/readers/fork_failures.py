# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed forks and threads, and descriptors refused, in the last day's log: from the journal, else from the text logs."""

from typing import Optional, Tuple

from ..host import Host
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import logs

TEXT_LOGS = ("/var/log/messages", "/var/log/syslog", "/var/log/kern.log")
SPAWN_FAILED = "MESSAGE_ID=641257651c1b4ec9a8624d7a40a9e1e7"  # sd-messages.h SD_MESSAGE_SPAWN_FAILED
MATCHES = (
    SPAWN_FAILED, "_TRANSPORT=kernel", "_TRANSPORT=stdout", "PRIORITY=3", "PRIORITY=2", "PRIORITY=1", "PRIORITY=0",
    "SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=cron", "SYSLOG_IDENTIFIER=CRON", "SYSLOG_IDENTIFIER=crond",
)
CONTAINS = ("resource temporarily unavailable", "fork rejected by pids controller", "unable to create native thread", "can't start new thread",
            "cannot create thread", "cannot allocate memory", "too many open files")

# Only in the context of starting a task: EAGAIN of a socket reads alike, and means nothing here.
_STARTING = pattern(
    r"(?i)(?:\bv?fork(?:ing|ed)?\b|\bclone3?\b|pthread_create|\bspawn|failed to exec|status=203|new thread|"
    r"create (?:a )?(?:native )?thread|newosproc)"
)
_KERNEL = pattern(r"cgroup: fork rejected by pids controller in (\S+)")


class ForkFailure(NamedTuple):
    at: Optional[float]  # seconds since the epoch; None where the log does not tell it exactly
    unit: str  # "" where it is not told
    program: str
    message: str
    cgroup: str  # of the kernel's message
    out_of_memory: bool  # ENOMEM: another limit than NPROC or pids.max


# EMFILE has other causes: the limits of inotify and of epoll; and ENFILE ("in system") is the machine's own limit.
_TOO_MANY_FILES = pattern(r"(?i)too many open files(?! in system)")
_OTHER_EMFILE = pattern(r"(?i)inotify|directory watch|file watch|epoll")
_TEXT_LOG = pattern(r"^\S+(?: +\d+ \S+)? \S+ ([\w./@+-]{1,64})\[(\d{1,7})\]: ")


class FilesRefused(NamedTuple):
    """A program says that it got no further descriptor (EMFILE)."""

    at: Optional[float]  # seconds since the epoch; None where the log does not tell it exactly
    unit: str  # "" where it is not told
    program: str
    pid: Optional[int]  # of the one that logged it
    message: str


class ForkFailures(NamedTuple):
    failures: Tuple[ForkFailure, ...]  # newest first
    files_refused: Tuple[FilesRefused, ...]  # newest first
    source: str  # "journal" or the files
    complete: bool  # whether the whole day was looked through
    gaps: Tuple[Gap, ...]


def read(host: Host) -> ForkFailures:
    """Never raises."""
    log = logs.read(host, MATCHES, CONTAINS, TEXT_LOGS)
    if log.entries is not None:
        found = [classify(entry.get("MESSAGE", ""), entry.get("_SYSTEMD_UNIT", ""), entry.get("SYSLOG_IDENTIFIER", ""), float(entry["at"]))
                 for entry in log.entries]
        refused = [FilesRefused(float(entry["at"]), entry.get("_SYSTEMD_UNIT", ""), entry.get("SYSLOG_IDENTIFIER", ""),
                                _number(entry.get("_PID", "")), entry["MESSAGE"])
                   for entry in log.entries if out_of_files(entry.get("MESSAGE", ""))]
        return ForkFailures(tuple(each for each in found if each is not None), tuple(refused), "journal", log.complete, log.gaps)
    lines = [line for _path, lines in log.lines for line in reversed(lines)]
    failures = [each for each in (classify(line, "", "", None) for line in lines) if each is not None]
    named = [(line, _TEXT_LOG.match(line)) for line in lines if out_of_files(line)]
    refused = [FilesRefused(None, "", name.group(1), _number(name.group(2)), line) for line, name in named if name]
    return ForkFailures(tuple(failures), tuple(refused), ", ".join(path for path, _lines in log.lines), log.complete, log.gaps)


def _number(text: str) -> Optional[int]:
    return int(text) if text.isdigit() and len(text) < 10 else None


def out_of_files(message: str) -> bool:
    """Whether it tells of RLIMIT_NOFILE, and not of another limit whose error reads alike."""
    return bool(_TOO_MANY_FILES.search(message)) and not _OTHER_EMFILE.search(message)


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
