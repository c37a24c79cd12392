"""Room for many hosts: all of them are root of this machine, so the kernel counts the inotify instances of all together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .place import locked
from .registry import NUMBERS

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
OF_A_HOST = 16  # systemd, logind and the bus take 7, the user manager of a login some more
OF_OTHERS = 128  # the kernel's default, which a few hosts fill


@contextmanager
def room_for(hosts: int) -> Iterator[None]:
    """Raise the limit while so many hosts run. One holder at a time, so that the value that is put back is the machine's own."""
    with locked(NUMBERS / "inotify.lock"):
        before = int(LIMIT.read_text())
        LIMIT.write_text("%d\n" % max(before, OF_OTHERS + OF_A_HOST * hosts))
        try:
            yield
        finally:
            LIMIT.write_text("%d\n" % before)
