# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the machine this process can see at all: what it cannot see is unknown, not well."""

from typing import NamedTuple, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from .processes import ProcessTable

INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # include/linux/proc_ns.h PROC_PID_INIT_INO
INITIAL_USER_NAMESPACE = "user:[4026531837]"  # PROC_USER_INIT_INO


class Visibility(NamedTuple):
    root: bool
    hidepid: str  # option of our /proc mount: "" or 0 shows everything; 1, 2, noaccess, invisible, ptraceable hide others
    own_pids: Tuple[int, ...]  # our pid on every level of pid namespaces; more than one: we are in a container
    initial_user_namespace: Optional[bool]
    container: str  # value of PID 1's "container" marker, or ""
    gaps: Tuple[Gap, ...]

    @property
    def hides_processes(self) -> bool:
        """Whether processes of other users may be missing from the table."""
        return not self.root and self.hidepid not in ("", "0", "off")

    @property
    def full(self) -> bool:
        """Whether every process of this pid namespace, and all of it, can be read."""
        return self.root and self.initial_user_namespace is not False


def read(host: Host, table: ProcessTable) -> Visibility:
    gaps = []
    hidepid = ""
    try:
        hidepid = _hidepid(host.read_text("/proc/self/mountinfo", limit=16 * 1024 * 1024))
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
    own = table.status.get(table.machine.own_pid)
    return Visibility(
        table.machine.effective_uid == 0, hidepid, own.ns_pids if own else (), _initial_user_namespace(host), _container(host), tuple(gaps)
    )


def _hidepid(mountinfo: str) -> str:
    value = ""
    for line in mountinfo.splitlines():
        field = line.split(" ")
        if len(field) > 9 and field[4] == "/proc" and "-" in field and field[field.index("-") + 1] == "proc":
            options = field[5].split(",") + field[-1].split(",")
            value = next((each.split("=", 1)[1] for each in options if each.startswith("hidepid=")), "")
    return value


def _initial_user_namespace(host: Host) -> Optional[bool]:
    try:
        return host.readlink("/proc/self/ns/user") == INITIAL_USER_NAMESPACE
    except Missing:
        return True  # a kernel without user namespaces
    except HostError:
        return None


def _container(host: Host) -> str:
    """systemd, podman and docker leave a marker; see systemd's container interface and src/basic/virt.c detect_container."""
    try:
        return host.read_text("/run/systemd/container").strip()
    except HostError:
        pass
    for path, name in (("/run/.containerenv", "podman"), ("/.dockerenv", "docker")):
        try:
            if host.exists(path):
                return name
        except HostError:
            continue
    return ""
