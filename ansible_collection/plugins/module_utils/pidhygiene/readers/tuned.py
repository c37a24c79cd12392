# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls that the active profile of tuned sets, with those it includes (tuned.conf(5), tuned-profiles(7)).

tuned writes them when it starts, and then applies /etc/sysctl.conf, /etc/sysctl.d and /run/sysctl.d again, unless reapply_sysctl is off.
"""

from typing import Dict, Iterable, List, Set, Tuple

from ..host import Host
from ..model import Gap
from ..record import NamedTuple
from . import with_gaps

ACTIVE, MAIN = "/etc/tuned/active_profile", "/etc/tuned/tuned-main.conf"
FOLDERS = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")
MOST = 30  # profiles that include each other
OFF = ("0", "false", "no", "off")


class Tuned(NamedTuple):
    profile: str  # as in active_profile; "" without tuned
    values: Dict[str, Tuple[str, str]]  # sysctl with dots to value and file
    overrules: bool  # sysctl.d too
    gaps: Tuple[Gap, ...]


def read(host: Host) -> Tuned:
    """Never raises."""
    gaps: List[Gap] = []
    profile = " ".join((with_gaps.text(host, ACTIVE, gaps) or "").split())
    if not profile:
        return Tuned("", {}, False, tuple(gaps))
    values: Dict[str, Tuple[str, str]] = {}
    _take(host, profile.split(), values, set(), gaps)
    main = _sections(with_gaps.text(host, MAIN, gaps) or "").get("", {})
    return Tuned(profile, values, main.get("reapply_sysctl", "1").lower() in OFF, tuple(gaps))


def _take(host: Host, profiles: Iterable[str], values: Dict[str, Tuple[str, str]], seen: Set[str], gaps: List[Gap]) -> None:
    """What is included comes before, and what comes later counts."""
    for name in profiles:
        if name in seen or len(seen) >= MOST or "/" in name or name.startswith("."):
            continue
        seen.add(name)
        for folder in FOLDERS:
            path = "%s/%s/tuned.conf" % (folder, name)
            text = with_gaps.text(host, path, gaps)
            if text is not None:
                sections = _sections(text)
                _take(host, sections.get("main", {}).get("include", "").replace(";", ",").replace(",", " ").split(), values, seen, gaps)
                values.update((key.replace("/", "."), (value, path)) for key, value in sections.get("sysctl", {}).items())
                break


def _sections(text: str) -> Dict[str, Dict[str, str]]:
    """"" holds what stands before the first section."""
    found: Dict[str, Dict[str, str]] = {}
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif line and line[0] not in "#;":
            key, sign, value = line.partition("=")
            if sign:
                found.setdefault(section, {})[key.strip()] = value.partition("#")[0].strip()
    return found
