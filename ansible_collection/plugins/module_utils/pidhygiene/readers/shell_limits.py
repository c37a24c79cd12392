# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ulimit`` lines: in what root's shells read at login, and in what starts services at boot.

The first give a service its limits when somebody starts it by hand, the second when the machine boots. Only plain numbers
are understood; a value from a variable or a command is passed over.
"""

import re
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import UNLIMITED, Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import with_gaps
from .units import Units
from .users import Users

SCRIPTS = "/etc/init.d"
SYSTEM_PROFILES = ("/etc/profile", "/etc/bash.bashrc", "/etc/bashrc")
PROFILE_FOLDER = "/etc/profile.d"
OWN_PROFILES = (".bash_profile", ".bash_login", ".profile", ".bashrc")
BOOT_FILES = ("/etc/rc.local", "/etc/rc.d/rc.local")
SETTINGS_FOLDERS = ("/etc/default", "/etc/sysconfig")  # read by scripts and units; named after the service

# Option of bash's ulimit to item and unit (bash(1)); -c and -f are left out, their unit depends on the shell's mode.
OPTIONS = {
    "n": ("nofile", 1), "u": ("nproc", 1), "l": ("memlock", 1024), "s": ("stack", 1024), "v": ("as", 1024), "d": ("data", 1024),
    "m": ("rss", 1024), "t": ("cpu", 1), "i": ("sigpending", 1), "q": ("msgqueue", 1), "x": ("locks", 1),
}
_COMMAND = pattern(r"(?:^|[;&|{(]|\b(?:then|do|else)\b)\s*ulimit\s+([^;&|)}#\n]*)")


class UlimitLine(NamedTuple):
    file: str
    number: int
    item: str
    soft: bool  # which halves it sets; without -S or -H both
    hard: bool
    value: int  # in the kernel's unit

    @property
    def place(self) -> str:
        return "%s:%d" % (self.file, self.number)


class ShellLimits(NamedTuple):
    profiles: Tuple[UlimitLine, ...]  # what root's login shells and bash run
    boot: Tuple[UlimitLine, ...]  # of rc.local
    scripts: Dict[str, Tuple[UlimitLine, ...]]  # name of an init script to what it, and its file of settings, set
    gaps: Tuple[Gap, ...]


def home_of_root(users: Users) -> str:
    root = users.by_uid.get(0)
    return root.home if root and root.home.startswith("/") else "/root"


def scripts_of(units: Units) -> Optional[List[str]]:
    """Names of the init scripts that systemd made units of; None without systemd: then every script may be a service."""
    if not units.manager.present:
        return None
    paths = [unit.source_path or "" for unit in units.units.values()]
    return sorted({path.rpartition("/")[2] for path in paths if "/init.d/" in path})


def read(host: Host, home: str, scripts: Optional[Iterable[str]]) -> ShellLimits:
    """``home``: root's. ``scripts``: names of init scripts that are services here; None: all of them. Never raises.

    Scripts are read only where a profile sets anything: without that, boot and shell cannot differ.
    """
    gaps: List[Gap] = []
    paths = list(SYSTEM_PROFILES) + ["%s/%s" % (PROFILE_FOLDER, name) for name in with_gaps.names(host, PROFILE_FOLDER, gaps) if name.endswith(".sh")]
    paths += ["%s/%s" % (home.rstrip("/"), name) for name in OWN_PROFILES]
    profiles = tuple(line for path in paths for line in _read(host, path, gaps))
    if not profiles:
        return ShellLimits((), (), {}, tuple(gaps))
    found = {}
    for name in with_gaps.names(host, SCRIPTS, gaps) if scripts is None else sorted(scripts):
        own = ["%s/%s" % (folder, name) for folder in (SCRIPTS,) + SETTINGS_FOLDERS]
        found[name] = tuple(line for path in own for line in _read(host, path, gaps))
    boot = tuple(line for path in BOOT_FILES for line in _read(host, path, gaps))
    return ShellLimits(profiles, boot, found, tuple(gaps))


def _read(host: Host, path: str, gaps: List[Gap]) -> Iterator[UlimitLine]:
    try:
        text = host.read_text(path)
    except Missing:
        return iter(())
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return iter(())
    return parse(text, path) if "ulimit" in text else iter(())


def parse(text: str, path: str) -> Iterator[UlimitLine]:
    for number, line in enumerate(text.split("\n"), 1):
        if "ulimit" not in line or line.lstrip().startswith("#"):
            continue
        for arguments in _COMMAND.findall(line):
            yield from _settings(arguments, path, number)


def _settings(arguments: str, path: str, number: int) -> Iterator[UlimitLine]:
    """``-SHn 65535 -u unlimited``: options may stand together, and each takes the word that follows."""
    soft = hard = False
    wanted: Optional[Tuple[str, int]] = None
    for word in arguments.split():
        if word.startswith("-") and len(word) > 1:
            letters = word[1:]
            soft, hard = soft or "S" in letters, hard or "H" in letters
            item = letters.strip("SH")
            if item:
                wanted = OPTIONS.get(item[0])
                word = item[1:]  # -n4096
                if not word:
                    continue
        value = _number(word.strip("\"'"), wanted)
        if wanted is not None and value is not None:
            yield UlimitLine(path, number, wanted[0], soft or not hard, hard or not soft, value)
        wanted = None


def _number(text: str, wanted: Optional[Tuple[str, int]]) -> Optional[int]:
    if text == "unlimited":
        return UNLIMITED
    if wanted is None or not re.match(r"[0-9]{1,15}\Z", text):
        return None
    return int(text) * wanted[1]
