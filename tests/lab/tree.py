"""The file trees that hosts boot from: a Debian made once with debootstrap, and layers of more packages over it.

A tree is never changed after it is made: hosts put an overlay over it.  Its name holds a digest of what it was made from, so a changed list
of packages makes a new tree, and two checkouts with different lists share one lab.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .mirror import debian_mirror
from .place import LabError, lab_folder, locked

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "cron", "openssh-server", "python3", "iproute2", "procps", "tzdata", "sudo",
    "util-linux", "passwd", "libpam-modules",
)
SUITES = {
    "bookworm": (*PACKAGES, "supervisor"),
    "trixie": (*PACKAGES, "tzdata-legacy", "util-linux-extra"),
}

# Files that every tree gets. Kernel settings are this machine's, but for the few that a namespace has of its own; /proc/sys is read-only in
# a host but for those, so systemd-sysctl must be told to run all the same (a host that persists kernel.pid_max needs it after a reboot).
MENDED = {
    "usr/lib/systemd/system/systemd-sysctl.service.d/lab.conf": "[Unit]\nConditionPathIsReadWrite=\n",
}
# Names and numbers that would be the same on every host made from one tree; a host gets its own when it is made.
EMPTIED = ("etc/machine-id",)
REMOVED = ("etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id")

# What a build inherits: nothing of the caller's Python, locale or shell.
CLEAN = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


class TreeNotBuilt(LabError):
    """A tree could not be made; the text ends with the last lines of the builder's output."""


@dataclass(frozen=True)
class Tree:
    """What a host boots from: folders, the topmost first, as overlayfs's lowerdir wants them."""

    suite: str
    layers: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.layers[0].name


def base_tree(suite: str) -> Tree:
    """Return the tree of a Debian suite, made now (a minute, once) if this list of packages has none yet."""
    name = f"{suite}-{_digest(suite, *SUITES[suite], *MENDED, *MENDED.values(), *EMPTIED, *REMOVED)}"
    return Tree(suite, (_made_once(name, lambda target: _debootstrap(suite, target)),))


def base_trees(suites: Iterable[str] = tuple(SUITES)) -> dict[str, Tree]:
    """Return the trees of several suites; those that are missing are made side by side."""
    wanted = tuple(suites)
    with ThreadPoolExecutor() as pool:
        return dict(zip(wanted, pool.map(base_tree, wanted), strict=True))


def with_packages(below: Tree, packages: Iterable[str], files: dict[str, str] | None = None) -> Tree:
    """Return a tree with more Debian packages, and files (path without leading slash: text), as one layer over another tree."""
    wanted = tuple(sorted(packages))
    texts = files or {}
    name = f"{below.suite}-with-{_digest(below.name, *wanted, *texts, *texts.values())}"
    layer = _made_once(name, lambda target: _install(below, wanted, texts, target))
    return Tree(below.suite, (layer, *below.layers))


def with_layer(below: Tree, parts: Iterable[str], make: Callable[[Path], None]) -> Tree:
    """Return a tree with one more layer that ``make`` fills, cached under a digest of ``parts``: what the layer is made from."""
    name = f"{below.suite}-layer-{_digest(below.name, *parts)}"
    return Tree(below.suite, (_made_once(name, make), *below.layers))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def _made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Make a tree under a temporary name, then give it its own: a tree that exists is whole.

    The lock makes a second run wait for the first; whoever holds it may throw away what a builder that died left under the temporary name.
    """
    trees = lab_folder() / "trees"
    tree, unfinished = trees / name, trees / f".{name}.unfinished"
    with locked(trees / f".{name}.lock"):
        if not tree.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(tree)
    return tree


def _debootstrap(suite: str, target: Path) -> None:
    include = ",".join(SUITES[suite])
    _build(["debootstrap", "--variant=minbase", f"--include={include}", suite, str(target), debian_mirror()], target)
    for path, text in MENDED.items():
        _put(target / path, text)
    for path in EMPTIED:
        (target / path).write_text("")
    for path in REMOVED:
        (target / path).unlink(missing_ok=True)
    shutil.rmtree(target / "var/cache/apt/archives", ignore_errors=True)


# $1 = lowerdir, $2 = folder for the overlay, then the packages. The mount namespace it runs in goes away with it.
_INSTALL = r"""
set -eu
lower=$1 work=$2; shift 2
mkdir -p "$work/scratch" "$work/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/layer,workdir=$work/scratch" "$work/root"
cd "$work/root"
mount -t proc proc proc
mount --bind /dev dev
cat /etc/resolv.conf > etc/resolv.conf
printf '#!/bin/sh\nexit 101\n' > usr/sbin/policy-rc.d   # invoke-rc.d(8): start no service in here
chmod 755 usr/sbin/policy-rc.d
chroot . apt-get -q update
chroot . apt-get -q -y --no-install-recommends install "$@"
chroot . apt-get clean
rm -rf usr/sbin/policy-rc.d etc/resolv.conf var/lib/apt/lists
"""


def _install(below: Tree, packages: tuple[str, ...], files: dict[str, str], target: Path) -> None:
    work = target.with_name(target.name + ".work")
    shutil.rmtree(work, ignore_errors=True)
    (work / "layer").mkdir(parents=True)
    try:
        if packages:
            _build(["sh", "-c", _INSTALL, "install", ":".join(map(str, below.layers)), str(work), *packages], target)
        for path, text in files.items():
            _put(work / "layer" / path, text)
        target.rmdir()
        (work / "layer").rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _build(command: list[str], target: Path) -> None:
    """Run a builder in mount and pid namespaces of its own: when it dies, by whatever cause, its mounts and children go with it."""
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    log = target.with_name(target.name + ".log")
    with log.open("w") as output:
        status = subprocess.run([*apart, *command], env=CLEAN, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise TreeNotBuilt(f"{command[0]} ended with status {status}:\n{tail}")
    log.unlink()
