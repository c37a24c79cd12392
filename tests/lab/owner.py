"""Who a running host belongs to, so that a later run can tell a host in use from one whose owner died."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process of this machine: a pid alone is used again, a pid with its start time (clock ticks since boot) in one boot is not.

    A pid of None stands for a person, who starts hosts by hand and takes them down by hand: alive for as long as the machine is up.
    """

    boot: str
    pid: int | None
    start: int | None

    @classmethod
    def this_process(cls) -> Owner:
        return cls(_boot(), os.getpid(), _start_time(os.getpid()))

    @classmethod
    def person(cls) -> Owner:
        return cls(_boot(), None, None)

    def alive(self) -> bool:
        if self.boot != _boot():
            return False
        return self.pid is None or _start_time(self.pid) == self.start


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat (proc(5)), or None without such a process, a zombie included: it will not come back for its hosts."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    return None if fields[0] in "ZX" else int(fields[19])
