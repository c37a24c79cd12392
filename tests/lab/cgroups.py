"""The control groups of one lab host, as this machine sees them.

Everything of a host runs below one group of the unified hierarchy, whatever layout the host sees: writing to its cgroup.kill ends exactly
those processes (cgroup-v2.rst, "Core Interface Files"), with no pid that might have been used again in the meantime.
"""

from __future__ import annotations

import time
from pathlib import Path

from .place import LabError, LabUnavailable

MOUNTED = Path("/sys/fs/cgroup")
PARENT = "pidhygiene-lab"
# The version 1 hierarchies that a host with the hybrid layout can write to: TasksMax and MemoryMax are real there.
REQUIRED = ("pids", "memory", "systemd")
# systemd mounts these by itself and makes groups in them; without a group of its own a host would make them in this machine's root.
CONFINED = ("devices", "blkio")


class GroupsRemain(LabError):
    """Groups could not be removed, so processes may still be in them."""


def unified_hierarchy() -> Path:
    """Return where the unified hierarchy is mounted: below systemd's name in the hybrid layout, or on its own."""
    for path in (MOUNTED / "unified", MOUNTED):
        if (path / "cgroup.controllers").exists():
            return path
    raise LabUnavailable("no unified cgroup hierarchy is mounted on /sys/fs/cgroup or /sys/fs/cgroup/unified")


def has_hybrid_layout() -> bool:
    """Tell whether this machine has the version 1 controllers that a host of the hybrid layout needs."""
    return all(_version_1_root(controller).exists() for controller in REQUIRED)


class HostGroups:
    """The groups of one host: `supervisor` and `host` in the unified hierarchy, and one in each version 1 hierarchy of the hybrid layout."""

    def __init__(self, identity: str, layout: str) -> None:
        self.top = unified_hierarchy() / PARENT / identity
        self.supervisor = self.top / "supervisor"
        self.host = self.top / "host"
        self.version_1 = {
            controller: MOUNTED / controller / PARENT / identity
            for controller in (*REQUIRED, *CONFINED) if layout == "hybrid" and _version_1_root(controller).exists()
        }

    @property
    def entered(self) -> list[Path]:
        """Return the groups that the host's PID 1 starts in, the one of the unified hierarchy first."""
        return [self.host, *self.version_1.values()]

    def make(self) -> None:
        for group in (self.supervisor, *self.entered):
            group.mkdir(parents=True, exist_ok=True)
        root = unified_hierarchy()
        available = [name for name in ("pids", "memory", "cpu") if name in (root / "cgroup.controllers").read_text().split()]
        for group in (root, root / PARENT, self.top) if available else ():
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in available))

    def has_supervisor(self) -> bool:
        """Tell whether the process that boots the host, or is the virtual machine, runs: without it the host is gone for good."""
        return _populated(self.supervisor)

    def kill(self, seconds: float = 20) -> None:
        """End every process of the host and return when the last is gone; at once if there is none."""
        if not self.top.exists():
            return
        (self.top / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + seconds
        while _populated(self.top):
            if time.monotonic() > deadline:
                raise GroupsRemain(f"processes in {self.top} survive SIGKILL for {seconds:.0f} s")
            time.sleep(0.02)

    def remove(self, seconds: float = 20) -> None:
        """Remove the groups, deepest first; a group of version 1 stays busy for a moment after its last process."""
        deadline = time.monotonic() + seconds
        for group in (self.top, *self.entered):
            while not _removed(group):
                if time.monotonic() > deadline:
                    raise GroupsRemain(f"{group} cannot be removed")
                time.sleep(0.02)


def _version_1_root(controller: str) -> Path:
    return MOUNTED / controller / "cgroup.procs"


def _populated(group: Path) -> bool:
    try:
        return "populated 1" in (group / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def _removed(group: Path) -> bool:
    for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        _rmdir(folder)
    _rmdir(group)
    return not group.exists()


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass
