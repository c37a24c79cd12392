# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where and when to look: the only file that touches a machine.

A Host offers a handful of primitives (read, list, readlink, stat, namespace_owner, the bus, the journal,
the clock) and nothing that judges. Every primitive either answers or raises one HostError; none of them
starts a process or a thread, none blocks on a FIFO, a device or a dead network mount, and none outlives the deadline.

Paths are absolute. ``root`` names the directory that "/" means for a call: the host's own root, or
``/proc/PID/root`` to look into a container. Inside a foreign root, links are resolved component by component,
because the kernel would follow an absolute link into *our* root.
"""

import errno
import os
import stat as stat_bits
import time
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Tuple, Type

from .answers import (
    Clock, ClockState, Denied, Effort, FileStat, HostError, JournalPage, Machine, Missing, NotRecorded, OutOfTime, Unreadable, Unsafe,
)

__all__ = [
    "Clock", "ClockState", "Denied", "Effort", "FileStat", "Host", "HostError", "JournalPage", "LiveHost", "Machine", "Missing",
    "NotRecorded", "OutOfTime", "READ_LIMIT", "Unreadable", "Unsafe", "unescape_mount",
]

READ_LIMIT = 1024 * 1024  # bytes; a configuration file beyond this is reported, not read
MAX_LINKS = 40  # as the kernel's MAXSYMLINKS (include/linux/namei.h)
CLOCK_BOOTTIME = 7  # time.CLOCK_BOOTTIME exists from Python 3.7 (include/uapi/linux/time.h)
NS_GET_OWNER_UID = 0xB704  # include/uapi/linux/nsfs.h

ON_A_SERVER = "on a remote file system"
# File systems whose server can be gone: any system call below such a mount may never return.
REMOTE_FILE_SYSTEMS = frozenset(
    "nfs nfs4 cifs smb3 smbfs ncpfs ncp 9p afs ceph glusterfs lustre gpfs beegfs ocfs2 gfs2 orangefs autofs coda".split()
)


def has_server(kind: str) -> bool:
    """Whether this kind of file system is served by something that can stop answering."""
    return kind in REMOTE_FILE_SYSTEMS or kind in ("fuse", "fuseblk") or kind.startswith("fuse.")


class Host(object):
    """The primitives. LiveHost looks at a machine; snapshot.py records and replays one."""

    def read(self, path: str, limit: int = READ_LIMIT, root: str = "/") -> bytes:
        """The whole content. Errors: Missing, Denied, Unsafe (no regular file, above ``limit`` bytes, remote)."""
        raise NotImplementedError

    def read_tail(self, path: str, size: int) -> bytes:
        """At most the last ``size`` bytes, from the first whole line on."""
        raise NotImplementedError

    def list(self, path: str, root: str = "/") -> List[str]:
        """The names in a directory, sorted by code point."""
        raise NotImplementedError

    def readlink(self, path: str, root: str = "/") -> str:
        """The text of a link, unresolved."""
        raise NotImplementedError

    def stat(self, path: str, follow: bool = True, root: str = "/") -> FileStat:
        raise NotImplementedError

    def namespace_owner(self, path: str) -> int:
        """The uid, as this process sees it, that created the user namespace at /proc/PID/ns/user."""
        raise NotImplementedError

    def manager_properties(self, names: Sequence[str]) -> Dict[str, Any]:
        """Properties of systemd's Manager object, over the bus."""
        raise NotImplementedError

    def unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        """Unit id to properties, of all loaded units whose name matches one of the patterns."""
        raise NotImplementedError

    def expect_unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> None:
        """Says that ``unit_properties`` will be asked just this, so that the manager can work on it while we look elsewhere. Never raises."""

    def journal(self, matches: Sequence[str], contains: Sequence[str], since: float, limit: int) -> JournalPage:
        """Entries since then that match one of the fields and hold one of the texts (lower case); ``limit`` bounds the entries looked at."""
        raise NotImplementedError

    def clock(self) -> Clock:
        """The time of this look; the same all through one sample."""
        raise NotImplementedError

    def clock_state(self) -> ClockState:
        raise NotImplementedError

    def machine(self) -> Machine:
        raise NotImplementedError

    def effort(self) -> Effort:
        """Time and memory spent since this Host was made."""
        raise NotImplementedError

    def look_again_after(self, seconds: float) -> None:
        """Wait, and begin the next sample: what is read from now on is a second look."""
        raise NotImplementedError

    def read_text(self, path: str, limit: int = READ_LIMIT, root: str = "/") -> str:
        """Content as text; bytes that are not UTF-8 survive as surrogates, so nothing is lost and nothing fails."""
        return self.read(path, limit, root).decode("utf-8", "surrogateescape")

    def exists(self, path: str, root: str = "/") -> bool:
        """True, or False when it is certainly not there. Errors other than Missing are raised."""
        try:
            self.stat(path, True, root)
        except Missing:
            return False
        return True


_KINDS = {
    stat_bits.S_IFREG: "file",
    stat_bits.S_IFDIR: "dir",
    stat_bits.S_IFLNK: "link",
    stat_bits.S_IFIFO: "fifo",
    stat_bits.S_IFSOCK: "socket",
    stat_bits.S_IFCHR: "char",
    stat_bits.S_IFBLK: "block",
}


class LiveHost(Host):
    """This machine, or another tree mounted on it (``root``: an image, a container's /proc/PID/root)."""

    def __init__(self, root: str = "/", deadline_s: float = 60.0) -> None:
        self.root = os.path.abspath(root)
        self._started = (time.time(), time.monotonic())
        self.deadline = time.monotonic() + deadline_s
        self._clock: Optional[Clock] = None
        self._remote_mounts: Dict[str, List[str]] = {}
        self._remote_mounts_of_namespace: Dict[str, List[str]] = {}
        self._expected: Dict[Any, Any] = {}  # questions to the bus under way, or their errors

    # -- primitives ------------------------------------------------------------------------------------------

    def read(self, path: str, limit: int = READ_LIMIT, root: str = "/") -> bytes:
        self._check_time(path)
        try:
            fd = self._open_file(path, root)
            try:
                return _read_all(fd, path, limit)
            finally:
                os.close(fd)
        except OSError as error:
            _raise(path, error)

    def read_tail(self, path: str, size: int) -> bytes:
        self._check_time(path)
        try:
            fd = self._open_file(path, "/")
            try:
                start = max(0, os.fstat(fd).st_size - size)
                os.lseek(fd, start, os.SEEK_SET)
                data = os.read(fd, size)
            finally:
                os.close(fd)
        except OSError as error:
            _raise(path, error)
        return data.partition(b"\n")[2] if start else data

    def list(self, path: str, root: str = "/") -> List[str]:
        self._check_time(path)
        try:
            if self._plain(path, root):
                return sorted(os.listdir(path))
            with _Walk(self, path, root) as place:
                fd = os.open(place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.parent)
                try:
                    return sorted(os.listdir(fd))
                finally:
                    os.close(fd)
        except OSError as error:
            _raise(path, error)

    def readlink(self, path: str, root: str = "/") -> str:
        self._check_time(path)
        try:
            if self._plain(path, root):
                return os.readlink(path)
            with _Walk(self, path, root, follow_last=False) as place:
                return os.readlink(place.name, dir_fd=place.parent)
        except OSError as error:
            _raise(path, error)

    def stat(self, path: str, follow: bool = True, root: str = "/") -> FileStat:
        self._check_time(path)
        try:
            if self._plain(path, root):
                if follow:
                    self._refuse_remote_program(path)
                return _file_stat(os.stat(path) if follow else os.lstat(path))
            with _Walk(self, path, root, follow_last=follow) as place:
                return _file_stat(os.stat(place.name, dir_fd=place.parent, follow_symlinks=False))
        except OSError as error:
            _raise(path, error)

    def namespace_owner(self, path: str) -> int:
        import array
        import fcntl

        self._check_time(path)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                owner = array.array("I", [0])
                fcntl.ioctl(fd, NS_GET_OWNER_UID, owner)
                return owner[0]
            finally:
                os.close(fd)
        except OSError as error:
            _raise(path, error)

    def manager_properties(self, names: Sequence[str]) -> Dict[str, Any]:
        from . import bus

        self._check_bus()
        return bus.manager_properties(names, self.deadline)

    def unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        from . import bus

        self._check_bus()
        under_way = self._expected.pop((tuple(patterns), tuple(names)), None)
        if isinstance(under_way, HostError):
            raise under_way
        return (under_way or bus.UnitQuestion(patterns, names, self.deadline)).answers(self.deadline)

    def expect_unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> None:
        from . import bus

        question: Any
        try:
            self._check_bus()
            question = bus.UnitQuestion(patterns, names, self.deadline)
        except HostError as error:
            question = error
        self._expected[tuple(patterns), tuple(names)] = question

    def journal(self, matches: Sequence[str], contains: Sequence[str], since: float, limit: int) -> JournalPage:
        from . import journal

        self._check_bus()
        return journal.entries(matches, contains, since, limit, self.deadline)

    def clock(self) -> Clock:
        if self._clock is None:
            self._clock = Clock(time.time(), time.clock_gettime(CLOCK_BOOTTIME))
        return self._clock

    def clock_state(self) -> ClockState:
        from . import kernel_clock

        return kernel_clock.state()

    def machine(self) -> Machine:
        return Machine(
            ticks_per_second=os.sysconf("SC_CLK_TCK"),
            page_size=os.sysconf("SC_PAGE_SIZE"),
            word_bits=64 if os.uname().machine.endswith(("64", "64le", "s390x", "alpha")) else 32,
            own_pid=os.getpid(),
            effective_uid=os.geteuid(),
        )

    def effort(self) -> Effort:
        import resource

        return Effort(self._started[0], time.monotonic() - self._started[1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    def look_again_after(self, seconds: float) -> None:
        if time.monotonic() + seconds > self.deadline:
            raise OutOfTime("second look", "the audit's deadline has passed")
        time.sleep(seconds)
        self._clock = None

    # -- how ---------------------------------------------------------------------------------------------------

    def _check_time(self, path: str) -> None:
        if time.monotonic() > self.deadline:
            raise OutOfTime(path, "the audit's deadline has passed")

    def _check_bus(self) -> None:
        if self.root != "/":
            raise Missing("systemd", "another root has no running manager")

    def base(self, root: str) -> str:
        """The directory on this machine that ``root`` of a call stands for."""
        return self.root if root == "/" else root

    def remote_mounts(self, base: str) -> List[str]:
        """Mount points (as seen below ``base``) that must not be touched. The root itself is never one: it answered already."""
        if base not in self._remote_mounts:
            parts = base.split("/")
            own = base == self.root or len(parts) != 4 or parts[1] != "proc"
            table = "/proc/self/mountinfo" if own else "/proc/%s/mountinfo" % parts[2]
            prefix = base if own and base != "/" else ""
            self._remote_mounts[base] = _remote_mount_points(table, prefix)
        return self._remote_mounts[base]

    def _plain(self, path: str, root: str) -> bool:
        """Whether the kernel may resolve the path by itself: our own root, and nothing remote in the way."""
        if self.base(root) != "/":
            return False
        if path.startswith(("/proc/", "/sys/")) or path in ("/proc", "/sys"):
            return True
        return not self.remote_mounts("/")

    def _refuse_remote_program(self, path: str) -> None:
        """The kernel looks no path up for /proc/PID/exe, but asks the file system about the file, and waits for a server that has gone.

        The text of the link comes from the kernel alone (fs/proc/base.c do_proc_readlink). Errors: Unsafe, OSError.
        """
        if "/exe" not in path and "/map_files" not in path:  # two calls for each process of the machine come here
            return
        parts = path.split("/", 4)
        if len(parts) > 3 and parts[1] == "proc" and parts[3] in ("exe", "map_files"):
            text = os.readlink(path)
            for mount in self._remote_mounts_of(parts[2]):
                if text.startswith(mount + "/"):
                    raise Unsafe(path, ON_A_SERVER)

    def _remote_mounts_of(self, pid: str) -> List[str]:
        """As this process sees them; the table is read once per mount namespace."""
        try:
            namespace = os.readlink("/proc/%s/ns/mnt" % pid)
        except OSError:
            namespace = ""  # not ours to see, so not ours to follow either
        if namespace not in self._remote_mounts_of_namespace:
            self._remote_mounts_of_namespace[namespace] = _remote_mount_points("/proc/%s/mountinfo" % (pid if namespace else "self"), "")
        return self._remote_mounts_of_namespace[namespace]

    def _open_file(self, path: str, root: str) -> int:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        if self._plain(path, root):
            self._refuse_remote_program(path)
            # Opening a device can already act on it (rewind a tape, start a watchdog): look first, then open, then look again.
            if not path.startswith("/proc/") and not stat_bits.S_ISREG(os.stat(path).st_mode):
                raise Unsafe(path, "not a regular file")
            return _regular(os.open(path, flags), path)
        with _Walk(self, path, root) as place:
            if not stat_bits.S_ISREG(os.stat(place.name, dir_fd=place.parent, follow_symlinks=False).st_mode):
                raise Unsafe(path, "not a regular file")
            return _regular(os.open(place.name, flags | os.O_NOFOLLOW, dir_fd=place.parent), path)


class _Walk(object):
    """Resolves a path below a root the way chroot(2) would, holding a descriptor of each directory on the way.

    ``with`` gives ``parent`` (descriptor) and ``name``: the last component, which is no link unless it should not be followed.
    """

    def __init__(self, host: LiveHost, path: str, root: str, follow_last: bool = True) -> None:
        self.name = "."
        self._path = path
        self._base = host.base(root)
        self._remote = host.remote_mounts(self._base)
        self._follow_last = follow_last
        self._fds: List[int] = []
        self._names: List[str] = []

    @property
    def parent(self) -> int:
        return self._fds[-1]

    def __enter__(self) -> "_Walk":
        try:
            self._fds.append(os.open(self._base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            self._go()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_args: Any) -> None:
        self._close()

    def _close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def _go(self) -> None:
        left = [part for part in reversed(self._path.split("/")) if part not in ("", ".")]
        links = 0
        while left:
            name = left.pop()
            if name == "..":
                self._up()
                continue
            self._refuse_remote(name)
            mode = os.stat(name, dir_fd=self.parent, follow_symlinks=False).st_mode
            if stat_bits.S_ISLNK(mode) and (left or self._follow_last):
                links += 1
                if links > MAX_LINKS:
                    raise Unsafe(self._path, "too many levels of links")
                target = os.readlink(name, dir_fd=self.parent)
                if target.startswith("/"):
                    while self._names:
                        self._up()
                left.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
            elif not left:
                self.name = name
            else:
                self._fds.append(os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.parent))
                self._names.append(name)

    def _up(self) -> None:
        if self._names:  # ".." of the root is the root
            self._names.pop()
            os.close(self._fds.pop())

    def _refuse_remote(self, name: str) -> None:
        here = "/" + "/".join(self._names + [name])
        for mount in self._remote:
            if here == mount or here.startswith(mount + "/"):
                raise Unsafe(self._path, ON_A_SERVER)


def _remote_mount_points(table: str, prefix: str) -> List[str]:
    try:
        with open(table, "rb") as stream:
            lines = stream.read().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    points = []
    for line in lines:
        fields = line.split(" ")
        if "-" not in fields:
            continue
        kind = fields[fields.index("-") + 1]
        point = unescape_mount(fields[4])
        if prefix:
            if not point.startswith(prefix + "/"):
                continue
            point = point[len(prefix):]
        if point.startswith(("/proc/", "/sys/")):  # the kernel's own (binfmt_misc is an autofs mount on every systemd host)
            continue
        if point != "/" and has_server(kind):
            points.append(point)
    return points


def unescape_mount(text: str) -> str:
    """Undo the octal escapes of /proc/PID/mountinfo (blank, tab, newline, backslash; fs/proc_namespace.c mangle)."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


def _regular(fd: int, path: str) -> int:
    if not stat_bits.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Unsafe(path, "not a regular file")
    return fd


def _read_all(fd: int, path: str, limit: int) -> bytes:
    data = os.read(fd, 16384)
    if not data:
        return data
    chunks = [data]
    size = len(data)
    while True:
        chunk = os.read(fd, 65536)
        if not chunk:
            return data if len(chunks) == 1 else b"".join(chunks)
        size += len(chunk)
        if size > limit:
            raise Unsafe(path, "larger than %d bytes" % limit)
        chunks.append(chunk)


def _file_stat(found: os.stat_result) -> FileStat:
    return FileStat(
        _KINDS.get(stat_bits.S_IFMT(found.st_mode), "other"), stat_bits.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_size,
        found.st_dev, found.st_ino, found.st_nlink, found.st_mtime, found.st_ctime,
    )


_ERRORS: Dict[Optional[int], Tuple[Type[HostError], str]] = {
    errno.ENOENT: (Missing, "does not exist"),
    errno.ENOTDIR: (Missing, "does not exist"),
    errno.ESRCH: (Missing, "the process has gone"),
    errno.EACCES: (Denied, "permission denied"),
    errno.EPERM: (Denied, "permission denied"),
    errno.ELOOP: (Unsafe, "too many levels of links"),
    errno.ENXIO: (Unsafe, "not a regular file"),
}


def _raise(path: str, error: OSError) -> NoReturn:
    kind, reason = _ERRORS.get(error.errno, (Unreadable, os.strerror(error.errno or 0).lower()))
    raise kind(path, reason)
