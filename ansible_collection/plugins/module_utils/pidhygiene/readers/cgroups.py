# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pids controller on v1, hybrid and unified hierarchies: limits and usage of every group that holds a process, and of all its ancestors.

Facts: kernel/cgroup/pids.c. A task is charged at fork and uncharged when it is *reaped*, so zombies and threads count;
``cgroup.procs`` does not list zombies. The root group has no limit files, but for the one that a cgroup namespace shows as root.
"""

from functools import lru_cache
from typing import Dict, Iterable, List, Optional, Tuple

from ..host import Host, HostError, Missing, NotRecorded, unescape_mount
from ..model import UNLIMITED, Gap
from ..pattern import pattern
from ..record import NamedTuple


USER_MANAGER = pattern(r"user@([0-9]+)\.service\Z")


class Hierarchy(NamedTuple):
    mode: str  # v1, hybrid, v2, or none when nothing is mounted
    pids_mount: Optional[str]  # where the groups with pids.max are
    pids_root: str  # the group that this mount shows as its top
    unit_mount: Optional[str]  # where systemd keeps its units
    unit_root: str


class Group(NamedTuple):
    path: str  # as in /proc/PID/cgroup
    maximum: int  # tasks; UNLIMITED for "max"
    current: int  # tasks charged here and below: threads and zombies included
    peak: Optional[int]  # tasks; may exceed the maximum; None before Linux 6.1
    refused: Optional[int]  # forks refused, as this kernel counts them (v1 and before 6.11: on the forking group)
    refused_here: Optional[int]  # pids.events.local where it exists
    inode: int  # another inode under the same path is another group


class Cgroups(NamedTuple):
    hierarchy: Hierarchy
    groups: Dict[str, Group]
    gaps: Tuple[Gap, ...]

    def chain(self, path: str) -> List[Group]:
        """The group and its ancestors that have limit files, innermost first."""
        return [self.groups[each] for each in ancestry(path) if each in self.groups]

    def tightest(self, path: str) -> Optional[Group]:
        """The group on the way up with the least room; None when none has a maximum."""
        limited = [group for group in self.chain(path) if group.maximum != UNLIMITED]
        return min(limited, key=lambda group: group.maximum - group.current) if limited else None


def ancestry(path: str) -> List[str]:
    """/a/b → ["/a/b", "/a", "/"]. The root group of a machine has no limits; the one that a container sees as its root is its own group, and has."""
    parts = [part for part in path.split("/") if part]
    return ["/" + "/".join(parts[:length]) for length in range(len(parts), -1, -1)]


def read_hierarchy(host: Host) -> Hierarchy:
    """From our own mount table. Errors: HostError when it cannot be read."""
    pids: Optional[Tuple[str, str]] = None
    unified: Optional[Tuple[str, str]] = None
    systemd: Optional[Tuple[str, str]] = None
    for line in host.read_text("/proc/self/mountinfo", limit=16 * 1024 * 1024).splitlines():
        field = line.split(" ")
        if "-" not in field or len(field) < field.index("-") + 4:
            continue
        kind, options = field[field.index("-") + 1], field[field.index("-") + 3].split(",")
        place = (unescape_mount(field[4]), unescape_mount(field[3]))
        if kind == "cgroup2":
            unified = place
        elif kind == "cgroup" and "pids" in options:
            pids = place
        elif kind == "cgroup" and "name=systemd" in options:
            systemd = place
    legacy = pids is not None or systemd is not None
    mode = ("hybrid" if unified else "v1") if legacy else ("v2" if unified else "none")
    if pids is None and not legacy:
        pids = unified
    units = systemd or unified or pids
    return Hierarchy(mode, pids[0] if pids else None, pids[1] if pids else "/", units[0] if units else None, units[1] if units else "/")


def parse_membership(text: str) -> Dict[str, str]:
    """/proc/PID/cgroup: controller to path; "" is the unified hierarchy. A removed v2 group keeps its path, without the kernel's suffix."""
    found: Dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            path = parts[2][: -len(" (deleted)")] if parts[2].endswith(" (deleted)") else parts[2]
            for controller in parts[1].split(","):
                found[controller] = path
    return found


def pids_path(membership: Dict[str, str], mode: str) -> str:
    return membership.get("", "/") if mode == "v2" else membership.get("pids", "/")


def unit_path(membership: Dict[str, str], mode: str) -> str:
    if mode == "v2":
        return membership.get("", "/")
    return membership.get("name=systemd") or membership.get("pids") or membership.get("", "/")


@lru_cache(maxsize=4096)  # asked of each process, by many
def unit_of(path: str) -> Optional[str]:
    """The system unit a group belongs to, as systemd's cg_path_get_unit: slices are passed over, the next component is the unit."""
    for part in path.split("/"):
        name = part[1:] if part.startswith("_") else part
        if not name or name.endswith(".slice"):
            continue
        return name if name.endswith((".service", ".scope", ".socket", ".mount", ".swap")) else None
    return None


def user_unit_of(path: str) -> Optional[str]:
    """user@1001.service/app.slice/web.service: the unit of a user's manager that a group belongs to, as systemd's cg_path_get_user_unit. None for all else."""
    parts = [part for part in path.split("/") if part]
    at = next((number for number, part in enumerate(parts) if not part.endswith(".slice")), None)
    if at is None or not USER_MANAGER.match(parts[at]):
        return None
    for end in range(at + 1, len(parts)):
        if not parts[end].endswith(".slice"):
            return "/".join(parts[at:end + 1]) if parts[end].endswith((".service", ".scope", ".socket", ".mount", ".swap")) else None
    return "/".join(parts[at:]) if len(parts) > at + 1 else None


def read(host: Host, hierarchy: Hierarchy, paths: Iterable[str]) -> Cgroups:
    """Limits and usage of these groups and their ancestors. Never raises; what it could not read is in ``gaps``."""
    groups: Dict[str, Group] = {}
    gaps: List[Gap] = []
    kernel_has: Dict[str, bool] = {}
    if hierarchy.pids_mount is None:
        return Cgroups(hierarchy, {}, (Gap("/proc/self/mountinfo", "no pids controller is mounted"),))
    for path in sorted({each for start in paths for each in ancestry(start)}):
        if path == "/" and hierarchy.pids_root != "/":
            continue  # this mount shows one group and what is below it, under their own names
        if "/../" in path + "/":
            gaps.append(Gap(path, "outside of this cgroup namespace"))
            continue
        try:
            group = _read_group(host, hierarchy, path, kernel_has, gaps)
        except HostError as error:
            if not isinstance(error, Missing) and not (path == "/" and isinstance(error, NotRecorded)):  # an older snapshot
                gaps.append(Gap(error.path, error.reason))
        except ValueError:
            gaps.append(Gap(path, "not in the form of the pids controller's files"))
        else:
            groups[path] = group
    return Cgroups(hierarchy, groups, tuple(gaps))


def folder(hierarchy: Hierarchy, path: str) -> str:
    """Where the files of this group's pids controller are."""
    below = path[len(hierarchy.pids_root):] if hierarchy.pids_root != "/" and path.startswith(hierarchy.pids_root) else path
    return (hierarchy.pids_mount or "") + (below if below != "/" else "")


def _read_group(host: Host, hierarchy: Hierarchy, path: str, kernel_has: Dict[str, bool], gaps: List[Gap]) -> Group:
    """``kernel_has``: which of the newer files there are on this kernel; the first group that is there before and after finds out."""
    base = folder(hierarchy, path)
    maximum, current = parse_count(host.read(base + "/pids.max")), parse_count(host.read(base + "/pids.current"))
    optional: Dict[str, bytes] = {}
    missing = []
    for name in ("pids.peak", "pids.events", "pids.events.local"):
        if kernel_has.get(name, True):
            try:
                optional[name] = host.read(base + "/" + name)
                kernel_has[name] = True
            except Missing:
                missing.append(name)
            except HostError as error:
                gaps.append(Gap(error.path, error.reason))
    inode = host.stat(base).ino
    for name in missing:
        kernel_has.setdefault(name, False)
    return Group(
        path, maximum, current, _peak(optional.get("pids.peak", b"")), _event(optional.get("pids.events", b"")),
        _event(optional.get("pids.events.local", b"")), inode,
    )


def parse_count(data: bytes) -> int:
    text = data.strip()
    return UNLIMITED if text == b"max" else int(text)


def _peak(data: bytes) -> Optional[int]:
    try:
        return parse_count(data)
    except ValueError:
        return None


def _event(data: bytes) -> Optional[int]:
    try:
        for line in data.splitlines():
            if line.startswith(b"max "):
                return int(line[4:])
    except ValueError:
        pass
    return None
