# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that Ansible sends to a host is text with an archive in it; this makes the archive smaller, once in a run."""

from __future__ import annotations

import base64
import binascii
import fcntl
import hashlib
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..render.folder import replace

ARCHIVE = re.compile(rb"[A-Za-z0-9+/]{2000,}={0,2}")
LOCK = "pidhygiene-lock"


def lighter(program: bytes, cache: Path) -> bytes:
    """The same program with the engine bundled; as it is, where it is of another form than those of today's Ansible, or nothing can be kept.

    `cache` is a folder of this run: Ansible starts a process for each host, the first one makes the archive, the others wait for it and take it.
    """
    found = max(ARCHIVE.findall(program), key=len, default=b"")
    if not found:
        return program
    try:
        return program.replace(found, _made_once(found, cache))
    except OSError:  # a full disk, or one that knows no locks
        return program


def _made_once(found: bytes, cache: Path) -> bytes:
    ready = cache / ("pidhygiene-%s" % hashlib.sha256(found).hexdigest())
    with _alone(cache / LOCK):
        if not ready.exists():
            _make(found, ready)
    return ready.read_bytes()


def _make(found: bytes, ready: Path) -> None:
    from .bundle import NoEngine, bundled  # once in a run, and not in the process of each host

    try:
        made = base64.b64encode(bundled(base64.b64decode(found)))
    except (binascii.Error, zipfile.BadZipFile, NoEngine):
        made = found
    replace(ready, made)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
