# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the machine this process can see at all: what it cannot see is unknown, not well."""

from typing import Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple
from .processes import ProcessTable

INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # include/linux/proc_ns.h PROC_PID_INIT_INO
INITIAL_USER_NAMESPACE = "user:[4026531837]"  # PROC_USER_INIT_INO
INITIAL_CGROUP_NAMESPACE = "cgroup:[4026531835]"  # PROC_CGROUP_INIT_INO
LOAD = "/proc/loadavg"


class Visibility(NamedTuple):
    root: bool
    hidepid: str  # option of our /proc mount: "" or 0 shows everything; 1, 2, noaccess, invisible, ptraceable hide others
    own_pids: Tuple[int, ...]  # our pid on every level of pid namespaces; more than one: we are in a container
    initial_user_namespace: Optional[bool]  # None: could not be told, here and below
    initial_pid_namespace: Optional[bool]
    top_groups: Optional[bool]  # whether the cgroup tree is shown from its top: initial namespace, and no mount of a part of it
    virtual_load: bool  # something is mounted over /proc/loadavg (lxcfs): its numbers are those of a container, not of the kernel
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

    @property
    def inside(self) -> bool:
        """Whether there is something around us that has limits of its own. Namespaces tell; marker files are left in images and on hosts, too.

        The kernel's first namespaces have numbers that never change (include/linux/proc_ns.h): no host and no virtual machine is taken for a container.
        """
        return False in (self.initial_user_namespace, self.initial_pid_namespace, self.top_groups)


def read(host: Host, table: ProcessTable) -> Visibility:
    gaps = []
    mounts = ""
    try:
        mounts = host.read_text("/proc/self/mountinfo", limit=16 * 1024 * 1024)
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
    own = table.status.get(table.machine.own_pid)
    groups = _initial(host, "cgroup", INITIAL_CGROUP_NAMESPACE)
    return Visibility(
        table.machine.effective_uid == 0, _hidepid(mounts), own.ns_pids if own else (), _initial(host, "user", INITIAL_USER_NAMESPACE),
        _initial(host, "pid", INITIAL_PID_NAMESPACE), groups and not _part_of_groups(mounts), _covered(mounts, LOAD), _container(host), tuple(gaps)
    )


def _hidepid(mountinfo: str) -> str:
    value = ""
    for line in mountinfo.splitlines():
        field = line.split(" ")
        if len(field) > 9 and field[4] == "/proc" and "-" in field and field[field.index("-") + 1] == "proc":
            options = field[5].split(",") + field[-1].split(",")
            value = next((each.split("=", 1)[1] for each in options if each.startswith("hidepid=")), "")
    return value


def _part_of_groups(mountinfo: str) -> bool:
    """Before cgroup namespaces (Linux 4.6), and with docker's --cgroupns=host, a container gets a mount of its own groups only."""
    for line in mountinfo.splitlines():
        field = line.split(" ")
        if "-" in field[6:-2] and field[field.index("-", 6) + 1] in ("cgroup", "cgroup2") and field[4].startswith("/sys/fs/cgroup") and field[3] != "/":
            return True
    return False


def _covered(mountinfo: str, path: str) -> bool:
    return any(line.split(" ")[4:5] == [path] for line in mountinfo.splitlines())


def _initial(host: Host, kind: str, first: str) -> Optional[bool]:
    try:
        return host.readlink("/proc/self/ns/" + kind) == first
    except Missing:
        return True  # a kernel without namespaces of this kind
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
