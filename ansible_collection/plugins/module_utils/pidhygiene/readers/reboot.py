# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this machine waits for a reboot: the running kernel against the newest installed one, its modules, the package manager's mark."""

from typing import List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import with_gaps
from .packages import compare_versions

RELEASE = "/proc/sys/kernel/osrelease"
MARKS = ("/run/reboot-required", "/var/run/reboot-required")
MODULES = ("/lib/modules", "/usr/lib/modules")
KERNEL = "vmlinuz-"
_FLAVOUR = pattern(r"^[\d.]+(?:-[\d.]+)?")  # 6.1.0-30-amd64 → -amd64: a cloud kernel does not replace a plain one


class Reboot(NamedTuple):
    running: str  # release, as uname -r
    newest: str  # installed release of the same flavour; "": none is installed, or the running one is the newest
    newest_since: Optional[float]  # seconds since the epoch: ctime of its file in /boot
    modules_gone: bool  # other kernels have modules here, the running one has none
    required_since: Optional[float]  # the package manager says so since then
    packages: Tuple[str, ...]  # because of these
    gaps: Tuple[Gap, ...]


def read(host: Host) -> Reboot:
    """Errors: HostError when the running release cannot be read."""
    gaps: List[Gap] = []
    running = host.read_text(RELEASE).strip()
    kernels = [name[len(KERNEL):] for name in with_gaps.names(host, "/boot", gaps) if name.startswith(KERNEL)]
    newest, since = "", None
    for release in kernels:
        if flavour(release) == flavour(running) and compare_versions(release, newest or running) > 0:
            newest = release
    if newest:
        since = _ctime(host, "/boot/%s%s" % (KERNEL, newest), gaps)
    required, packages = None, ()  # type: Optional[float], Tuple[str, ...]
    for path in MARKS[:1]:
        required = _ctime(host, path, gaps)
        if required is not None:
            packages = _packages(host, path + ".pkgs", gaps)
    return Reboot(running, newest, since, _modules_gone(host, running, kernels, gaps), required, packages, tuple(gaps))


def flavour(release: str) -> str:
    return _FLAVOUR.sub("", release)


def _modules_gone(host: Host, running: str, kernels: List[str], gaps: List[Gap]) -> bool:
    """A machine that has no kernel package at all (a guest, a container) loads none from its own disk: nothing is gone there."""
    installed = set()
    for folder in MODULES:
        for name in with_gaps.names(host, folder, gaps):
            installed.add(name)
    return bool(kernels) and bool(installed) and running not in installed and not gaps


def _packages(host: Host, path: str, gaps: List[Gap]) -> Tuple[str, ...]:
    try:
        return tuple(sorted(set(host.read_text(path).split())))
    except Missing:
        return ()
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return ()


def _ctime(host: Host, path: str, gaps: List[Gap]) -> Optional[float]:
    try:
        return host.stat(path).ctime
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return None
