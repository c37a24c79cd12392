# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted where, from the table of our own mount namespace (proc(5), /proc/PID/mountinfo). No mount is touched."""

from typing import Optional, Tuple

from ..host import Host, HostError, has_server, unescape_mount
from ..record import NamedTuple

TABLE = "/proc/self/mountinfo"
CONNECTIONS = "/sys/fs/fuse/connections"


class Mount(NamedTuple):
    point: str
    kind: str  # of file system
    source: str  # as the server names it: "filer:/export", a device, or any word
    minor: str  # of its device number


class Server(NamedTuple):
    """A mount whose file system is served by something that can stop answering."""

    mount: Mount
    waiting: Optional[int]  # requests that its FUSE server has not answered; None where the kernel does not tell


def read(host: Host) -> Tuple[Mount, ...]:
    """Errors: HostError."""
    found = []
    for line in host.read_text(TABLE, limit=16 * 1024 * 1024).splitlines():
        field = line.split(" ")
        if "-" in field and len(field) > field.index("-") + 2 and ":" in field[2]:
            end = field.index("-")
            found.append(Mount(unescape_mount(field[4]), field[end + 1], unescape_mount(field[end + 2]), field[2].partition(":")[2]))
    return tuple(found)


def is_fuse(kind: str) -> bool:
    return kind in ("fuse", "fuseblk") or kind.startswith("fuse.")


def servers(host: Host) -> Tuple[Server, ...]:
    """Of the mounts that need a server, with the number of requests that wait (fs/fuse/control.c). Errors: HostError of the table."""
    return tuple(
        Server(mount, _waiting(host, mount.minor) if is_fuse(mount.kind) else None)
        for mount in read(host) if has_server(mount.kind))


def _waiting(host: Host, minor: str) -> Optional[int]:
    try:
        return int(host.read_text("%s/%s/waiting" % (CONNECTIONS, minor)))
    except (HostError, ValueError):
        return None
