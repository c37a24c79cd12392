# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that change whole or not at all: written beside the old one, synced, renamed over it, with its owner, mode and security label."""

import errno
import os
import stat
from typing import List, Optional, Tuple

from ..record import NamedTuple
from .model import OLD, Difference, Failed, Refused, Step, optional

MARK = ".pidhygiene-new"  # end of the name that a file has until it is whole: nobody reads dots in cron.d, nor what does not end in .conf
LABEL = "security.selinux"
UNIT_DROP_INS = (".service.d", ".slice.d", ".timer.d")
LARGEST = 1024 * 1024  # bytes


class Existing(NamedTuple):
    text: Optional[str]  # None: there is no such file
    mode: int
    uid: int
    gid: int


def existing(path: str, mode: int = 0o644) -> Existing:
    """What stands at the path now. Errors: Refused for anything but a regular file; OSError."""
    try:
        found = os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return Existing(None, mode, 0, 0)
        raise
    if not stat.S_ISREG(found.st_mode):
        raise Refused("%s is no regular file; look at it, and remove it if it should not be there" % path)
    if found.st_size > LARGEST:
        raise Refused("%s is larger than %d bytes; look at it" % (path, LARGEST))
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as stream:
        data = stream.read(LARGEST + 1)
    return Existing(data.decode("utf-8", "surrogateescape"), stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


class PutFile(Step):
    """The file has this text; None: there is no such file."""

    def __init__(self, path: str, text: Optional[str], mode: int = 0o644) -> None:
        self.path, self.text = path, text
        self.before = existing(path, mode)
        self._done = False
        self._made: List[str] = []

    @property
    def needed(self) -> bool:
        return self.before.text != self.text

    def differences(self) -> List[Difference]:
        return [Difference(self.path, optional(self.before.text), optional(self.text))] if self.needed else []

    def do(self) -> None:
        if existing(self.path, self.before.mode).text != self.before.text:
            raise Failed("%s was changed by somebody else in the meantime; nothing was written" % self.path, OLD)
        self._done = True  # from here on: what fails after the rename is undone, too
        self._put(self.text)

    def undo(self) -> None:
        if self._done:
            if existing(self.path).text != self.before.text:
                self._put(self.before.text)
            self._done = False
        while self._made:
            try:
                os.rmdir(self._made.pop())
            except OSError:  # somebody uses it by now
                break

    def _put(self, text: Optional[str]) -> None:
        if text is None:
            _remove(self.path)
            return
        self._made.extend(_make_folders(os.path.dirname(self.path)))
        _write(self.path, text, self.before)


class PutLink(Step):
    """A symbolic link to this target, replaced in one step; None: there is none."""

    def __init__(self, path: str, target: Optional[str]) -> None:
        self.path, self.target = path, target
        self._link, self._file = _link_or_file(path)
        self._done = False
        self._made: List[str] = []

    @property
    def needed(self) -> bool:
        return self._link != self.target or (self.target is None and self._file is not None)

    def differences(self) -> List[Difference]:
        before = "-> " + self._link if self._link is not None else "" if self._file is None else "a file of %d bytes" % len(optional(self._file.text))
        return [Difference(self.path, before, "-> " + self.target if self.target is not None else "")] if self.needed else []

    def do(self) -> None:
        if _link_or_file(self.path) != (self._link, self._file):
            raise Failed("%s was changed by somebody else in the meantime; nothing was written" % self.path, OLD)
        self._done = True
        if self.target is None:
            _unlink(self.path)
        else:
            self._made = _make_folders(os.path.dirname(self.path))
            _link(self.path, self.target)

    def undo(self) -> None:
        if not self._done:
            return
        if _link_or_file(self.path) == (self._link, self._file):
            pass
        elif self._link is not None:
            _link(self.path, self._link)
        elif self._file is not None:
            _write(self.path, optional(self._file.text), self._file)
        else:
            _unlink(self.path)
        self._done = False
        while self._made:
            try:
                os.rmdir(self._made.pop())
            except OSError:  # somebody uses it by now
                break


def _link_or_file(path: str) -> Tuple[Optional[str], Optional[Existing]]:
    try:
        return os.readlink(path), None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None, None
        if error.errno != errno.EINVAL:  # EINVAL: not a link
            raise
    return None, existing(path)


def _link(path: str, target: str) -> None:
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, "." + name + MARK)
    _unlink(temporary)
    os.symlink(target, temporary)
    try:
        _keep_label(path, temporary)
        os.rename(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    _sync(folder)


def _make_folders(folder: str) -> List[str]:
    """Those that had to be made, outermost first."""
    missing = []
    while folder != "/" and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    made = []
    for each in reversed(missing):
        os.mkdir(each, 0o755)
        os.chmod(each, 0o755)  # whatever the umask
        made.append(each)
    return made


def _write(path: str, text: str, like: Existing) -> None:
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, "." + name + MARK)
    _unlink(temporary)  # of a run that was killed; the lock says that nobody writes now
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            data = text.encode("utf-8", "surrogateescape")
            while data:
                data = data[os.write(fd, data):]
            os.fchown(fd, like.uid, like.gid)
            os.fchmod(fd, like.mode)
            _keep_label(path, temporary)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        _unlink(temporary)
        raise
    _sync(folder)


def _keep_label(old: str, new: str) -> None:
    """The SELinux label of the file that is replaced; a new file gets that of its folder by the kernel's own rules."""
    try:
        os.setxattr(new, LABEL, os.getxattr(old, LABEL, follow_symlinks=False), follow_symlinks=False)
    except OSError:  # no such file, no SELinux, a file system without labels
        pass


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise


def _remove(path: str) -> None:
    """The file, and its folder where that is a folder of drop-ins and now empty."""
    folder = os.path.dirname(path)
    _unlink(path)
    if not os.path.isdir(folder):
        return
    _sync(folder)
    if folder.endswith(UNIT_DROP_INS):
        try:
            os.rmdir(folder)
        except OSError:  # it holds others
            pass


def _sync(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
