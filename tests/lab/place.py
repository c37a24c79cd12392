"""Where the lab keeps its trees, images, key and running hosts, and how several runs share that place."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LabError(Exception):
    """The lab could not do what was asked of it; each cause that callers treat differently has a class of its own."""


class LabUnavailable(LabError):
    """This machine lacks something that the lab needs; the text says what, and is the reason of a skipped test."""


def lab_folder() -> Path:
    """Return the lab's folder, made if it is missing: $PIDHYGIENE_LAB, else /var/tmp/pidhygiene-lab.

    Not below /tmp, which may be a tmpfs (a tree is 350 MB), nor in the checkout, which tools walk.  The default has a name that anyone on
    the machine can guess, so a folder that another user made first is refused: root would run what lies in it.
    """
    folder = Path(os.environ.get("PIDHYGIENE_LAB") or "/var/tmp/pidhygiene-lab")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        raise LabUnavailable(f"{folder} is a link, or writable by others; remove it or set PIDHYGIENE_LAB")
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel releases it when the holder dies, so a lock is never stale (flock(2))."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ssh_key(lab: Path) -> Path:
    """Return the private key that every lab host's root accepts; its public half lies beside it with the suffix .pub."""
    key = lab / "key"
    with locked(lab / "key.lock"):
        if not key.with_suffix(".pub").exists():
            key.unlink(missing_ok=True)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pidhygiene-lab", "-f", str(key)], check=True)
    return key
