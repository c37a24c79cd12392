# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the primitives of a Host answer: records of facts, or one HostError that says why not."""

from typing import Dict, Tuple

from .record import NamedTuple


class HostError(Exception):
    """A primitive could not answer. ``reason`` is short and the same for the same cause, so unknowns can be grouped."""

    def __init__(self, path: str, reason: str) -> None:
        super(HostError, self).__init__("%s: %s" % (path, reason))
        self.path = path
        self.reason = reason


class Missing(HostError):
    """There is nothing at that path, or the process has gone."""


class Denied(HostError):
    """This user may not look."""


class Unsafe(HostError):
    """Looking could block or exhaust us: not a regular file, too large, a remote mount, a loop of links."""


class NotRecorded(HostError):
    """A snapshot is asked for something that was not looked at when it was taken."""


class OutOfTime(HostError):
    """The audit's deadline has passed."""


class Unreadable(HostError):
    """The kernel answered with another error, or the data was cut off."""


class FileStat(NamedTuple):
    kind: str  # file, dir, link, fifo, socket, char, block
    mode: int  # permission bits
    uid: int
    gid: int
    size: int  # bytes
    dev: int
    ino: int
    nlink: int
    mtime: float  # seconds since the epoch
    ctime: float  # seconds since the epoch


class Clock(NamedTuple):
    wall: float  # seconds since the epoch, CLOCK_REALTIME
    boot: float  # seconds since boot, suspend included, CLOCK_BOOTTIME: what /proc/PID/stat start times count in


class Machine(NamedTuple):
    ticks_per_second: int  # unit of start times in /proc/PID/stat
    page_size: int  # bytes
    word_bits: int  # 32 or 64: the largest pid_max depends on it
    own_pid: int  # the auditor itself, so that it can leave itself out
    effective_uid: int


class ClockState(NamedTuple):
    """adjtimex(2) with modes 0: changes nothing."""

    state: int  # return value: 5 is TIME_ERROR, unsynchronised
    status: int  # bits: STA_UNSYNC is 0x40
    offset_us: int
    maxerror_us: int


class JournalPage(NamedTuple):
    entries: Tuple[Dict[str, str], ...]  # newest first: MESSAGE, _SYSTEMD_UNIT, SYSLOG_IDENTIFIER, _PID, and "at", seconds since the epoch
    looked_at: int
    complete: bool  # False: bounded before everything since then was seen


class Effort(NamedTuple):
    """What the audit itself cost."""

    started_at: float  # seconds since the epoch
    duration_s: float
    max_rss_kib: int
