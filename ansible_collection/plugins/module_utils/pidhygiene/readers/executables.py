# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs whose file on disk is another one now: judged by inode and link count, never by the word " (deleted)" alone.

The magic link /proc/PID/exe leads to the very file that runs, even when it has no name any more: its link count is then 0
(fs/proc/base.c proc_exe_link, fs/d_path.c). A file moved aside keeps its link and carries no mark at all.
Scripts are not mapped: of the main process of a service, the file on its command line is compared with its start.
Maps are read for one process of each (program, unit): they cost most, and workers share those of their parent.
"""

from typing import Dict, List, Optional, Sequence, Set, Tuple

from ..host import FileStat, Host, HostError, Missing, Unsafe
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import mounts
from .process_details import Details
from .processes import Process, ProcessTable, read_command, still_stuck
from .units import Units

SUFFIX = " (deleted)"
# Executable memory that never had a lasting file: anonymous files of the kernel, shared memory, scratch files of code generators.
NO_FILE = ("/memfd:", "/SYSV", "/[", "/dev/", "/drm", "/i915", "/anon_hugepage", "/tmp/", "/var/tmp/", "/run/", "/proc/")
MAPS_LIMIT = 64 * 1024 * 1024  # bytes of one /proc/PID/maps
MOST_MAPS = 400  # processes
YOUNG_S = 60.0  # a process that has just started, a compiler that waits for its disk, runs what is installed
SETTLED_S = 10.0  # a clock that was set while the host booted, and what a service writes as it starts
# start-end, an x among the permissions, an inode that is not 0, a deleted path
_DELETED_CODE = pattern(rb"(?m)^([0-9a-f]+-[0-9a-f]+) ..x. [0-9a-f]+ [0-9a-f:]+ ([1-9]\d*) +(/.*) \(deleted\)$")


# Interpreters, their options without and with a value; one that is in neither (-c, -m, -e) leaves no script to look at
_INTERPRETER = pattern(r"(python|perl|ruby)[0-9.]*( \(deleted\))?$")
_OPTIONS = {"python": ("bBdEiIOPqsSuvx", "WX"), "perl": ("wWtTX", "I"), "ruby": ("wdv", "IWr")}


class Image(NamedTuple):
    """The program that a process runs, where it is not the file that its path now leads to."""

    process: Process
    path: str  # of the running file; what it was called before it was deleted
    deleted: bool  # no name is left; else moved aside, and ``path`` is where it is now
    wanted: str  # path that a restart would run
    on_disk: Optional[FileStat]  # what is there now; None: nothing
    container: bool  # another root directory than ours: the image of a container


class Library(NamedTuple):
    """Code of a deleted file in a process's memory."""

    process: Process
    path: str
    on_disk: Optional[FileStat]
    container: bool


class Script(NamedTuple):
    """What the main process of a service was told to interpret, changed since that process started."""

    process: Process
    path: str
    on_disk: FileStat
    container: bool


class Executables(NamedTuple):
    judged: int  # processes whose program was looked at
    images: Tuple[Image, ...]
    libraries: Tuple[Library, ...]
    scripts: Tuple[Script, ...]
    maps_read: int
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, details: Details, units: Units) -> Executables:
    """Never raises. Processes that have gone meanwhile are left out."""
    look = _Look(host)
    images: List[Image] = []
    libraries: List[Library] = []
    scripts: List[Script] = []
    mapped: Set[Tuple[str, str]] = set()
    started_as = _commands(units)
    mains = {unit.main_pid: unit.id for unit in units.units.values() if unit.main_pid}
    postponed: List[Tuple[Process, Tuple[str, str], str]] = []
    judged = maps_read = 0
    # main processes first: they stand for their unit
    for process in sorted(table.live(), key=lambda each: (each.pid not in mains, each.start, each.pid)):
        base, text = "/proc/%d" % process.pid, ""
        try:
            text = host.readlink(base + "/exe")
            running = host.stat(base + "/exe")
        except Missing:
            continue
        except Unsafe as error:
            judged += 1  # on a server: the kernel's mark has to do, and where that says deleted, nobody knows what is there now
            if text.endswith(SUFFIX):
                look.gaps.append(Gap(error.path, error.reason))
            continue
        except HostError as error:
            look.gaps.append(Gap(error.path, error.reason))
            continue
        judged += 1
        image = look.deleted_image(process, text, running)
        if image is None and process.pid in mains:
            image = look.moved_image(process, text, running, table.started_at(process), started_as.get(mains[process.pid], ""))
        if image is not None:
            images.append(image)
        language = _INTERPRETER.match(text.rpartition("/")[2]) if process.pid in mains else None
        if language is not None:
            scripts.extend(look.changed_script(process, language.group(1), table.started_at(process)))
        detail = details.of.get(process.pid)
        kind = (text, (detail.unit_label or detail.unit_group) if detail else "")
        if kind in mapped or maps_read >= MOST_MAPS:
            continue
        if still_stuck(host, process):  # for this moment, or for ever: another one of its kind may do as well
            postponed.append((process, kind, image.path if image else text))
            continue
        mapped.add(kind)
        maps_read += 1
        libraries.extend(look.libraries(process, image.path if image else text))
    for process, kind, program in postponed:
        if kind not in mapped and not still_stuck(host, process):
            libraries.extend(look.libraries(process, program))
        elif kind not in mapped and table.age(process) >= YOUNG_S:
            look.gaps.append(Gap("/proc/%d/maps" % process.pid, "not read: the task is in state D"))
        mapped.add(kind)
    return Executables(judged, tuple(images), tuple(libraries), tuple(scripts), maps_read, tuple(look.gaps))


def _commands(units: Units) -> Dict[str, str]:
    """Unit to the program of its only ExecStart= line, where it is written as a plain path."""
    found = {}
    for unit in units.units.values():
        setting = unit.configured.get("ExecStart")
        lines = setting.meaning if setting is not None and isinstance(setting.meaning, (list, tuple)) else ()
        words = str(lines[0]).lstrip("-@:+!|").split() if len(lines) == 1 else []
        if words and words[0].startswith("/") and "%" not in words[0] and "$" not in words[0]:
            found[unit.id] = words[0]
    return found


def script_of(language: str, arguments: Sequence[str]) -> str:
    """The script of such a command line, where it is certain: an absolute path after options that are known; else ""."""
    plain, valued = _OPTIONS[language]
    left = list(arguments[1:])
    while left:
        word = left.pop(0)
        if word == "--":
            continue
        if not word.startswith("-"):
            return word if word.startswith("/") else ""
        if len(word) > 1 and word[1] in valued:
            if len(word) == 2 and left:
                left.pop(0)
        elif len(word) < 2 or word[1:].strip(plain):
            return ""
    return ""


class _Look(object):
    def __init__(self, host: Host) -> None:
        self.host = host
        self.gaps: List[Gap] = []
        self._own_mounts = self._link("/proc/self/ns/mnt")
        self._root = self._identity("/")
        self._on_disk: Dict[Tuple[str, str], Optional[FileStat]] = {}
        self._mounts: Optional[Dict[str, str]] = None  # mount point to kind of file system

    def deleted_image(self, process: Process, text: str, running: FileStat) -> Optional[Image]:
        path = text[:-len(SUFFIX)]
        if not text.endswith(SUFFIX) or self._has_a_name(path, running):
            return None
        if path.startswith(("/memfd:", "/dev/")):
            return None
        root = self._view(process)
        return Image(process, path, True, path, self._there(path, root), self._container(process, root))

    def moved_image(self, process: Process, text: str, running: FileStat, started: float, wanted: str) -> Optional[Image]:
        """The unit would run another file than the one that runs, and that one was renamed since.

        A wrapper also leads to another program, but to one that nobody touched after it was started: renaming moves the ctime.
        """
        if not wanted or text == wanted or text.endswith(SUFFIX) or running.ctime <= started + 1:
            return None
        root = self._view(process)
        if root != "/" and self._container(process, root):
            return None
        there = self._there(wanted, root)
        if there is not None and (there.dev, there.ino) == (running.dev, running.ino):
            return None
        base = wanted.rpartition("/")[2]
        if text.rpartition("/")[2].startswith(base) or process.comm == base[:15]:
            return Image(process, text, False, wanted, there, False)
        return None

    def libraries(self, process: Process, program: str) -> List[Library]:
        try:
            maps = self.host.read("/proc/%d/maps" % process.pid, MAPS_LIMIT)
        except Missing:
            return []
        except HostError as error:
            self.gaps.append(Gap(error.path, error.reason))
            return []
        if b" (deleted)\n" not in maps:
            return []
        found: Dict[str, Library] = {}
        for place, _inode, raw in _DELETED_CODE.findall(maps):
            path = raw.decode("utf-8", "surrogateescape")
            if path == program or path in found or path.startswith(NO_FILE) or self._survives(process, place.decode("ascii"), path):
                continue
            root = self._view(process)
            there = self._there(path, root)
            if there is not None or ".so" in path.rpartition("/")[2]:
                found[path] = Library(process, path, there, self._container(process, root))
        return [found[path] for path in sorted(found)]

    def changed_script(self, process: Process, language: str, started: float) -> List[Script]:
        """By its ctime: the mtime of a packaged file is the day it was built."""
        path = script_of(language, read_command(self.host, process).arguments)
        if not path:
            return []
        root = self._view(process)
        there = self._there(path, root)
        if there is None or there.kind != "file" or there.ctime <= started + SETTLED_S:
            return []
        return [Script(process, path, there, self._container(process, root))]

    def _has_a_name(self, path: str, running: FileStat) -> bool:
        """Another hard link of it survives, or it is called "… (deleted)".

        On an overlay a file of a lower layer keeps the link count that it has there, whatever covers it (fs/overlayfs/inode.c ovl_getattr).
        """
        if running.nlink == 0:
            return False
        if running.nlink > 1 or not self._on_overlay(path):
            return True
        literal = self._there(path + SUFFIX, "/")
        return literal is not None and (literal.dev, literal.ino) == (running.dev, running.ino)

    def _on_overlay(self, path: str) -> bool:
        if self._mounts is None:
            self._mounts = {}
            try:
                self._mounts = {mount.point.rstrip("/"): mount.kind for mount in mounts.read(self.host)}
            except HostError as error:
                self.gaps.append(Gap(error.path, error.reason))
        while path and path not in self._mounts:
            path = path.rpartition("/")[0]
        return self._mounts.get(path) == "overlay"

    def _survives(self, process: Process, place: str, path: str) -> bool:
        """Whether the mapped file still has a name. Only for the mightiest; else the kernel's mark has to do."""
        start, _dash, end = place.partition("-")
        try:
            found = self.host.stat("/proc/%d/map_files/%x-%x" % (process.pid, int(start, 16), int(end, 16)))
        except HostError:
            return False
        return self._has_a_name(path, found)

    def _view(self, process: Process) -> str:
        """The root directory that a path of this process means. In our own mount namespace the kernel tells our paths."""
        mounts = self._link("/proc/%d/ns/mnt" % process.pid)
        return "/" if mounts is None or mounts == self._own_mounts else "/proc/%d/root" % process.pid

    def _container(self, process: Process, root: str) -> bool:
        """A service with a sandbox has mounts of its own, but still our root directory."""
        return root != "/" and self._identity(root) != self._root

    def _there(self, path: str, root: str) -> Optional[FileStat]:
        if (root, path) not in self._on_disk:
            try:
                self._on_disk[root, path] = self.host.stat(path, True, root)
            except Missing:
                self._on_disk[root, path] = None
            except HostError as error:
                self.gaps.append(Gap(error.path, error.reason))
                self._on_disk[root, path] = None
        return self._on_disk[root, path]

    def _identity(self, path: str) -> Optional[Tuple[int, int]]:
        try:
            found = self.host.stat(path)
        except HostError:
            return None
        return found.dev, found.ino

    def _link(self, path: str) -> Optional[str]:
        try:
            return self.host.readlink(path)
        except HostError:
            return None
