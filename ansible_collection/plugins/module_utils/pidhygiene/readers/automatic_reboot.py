# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When unattended-upgrades reboots this host by itself, as apt's configuration says (apt.conf(5), unattended-upgrade(8))."""

from typing import Dict, Iterator, List, Optional, Tuple

from ..host import Host, HostError
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import with_gaps

PROGRAMS = ("/usr/bin/unattended-upgrade", "/usr/bin/unattended-upgrades")
MAIN, PARTS = "/etc/apt/apt.conf", "/etc/apt/apt.conf.d"
MOST_FILES = 200
TRUE = ("yes", "true", "with", "on", "enable")  # apt-pkg, StringToBool; and numbers but 0
REBOOTS, AT = "unattended-upgrade::automatic-reboot", "unattended-upgrade::automatic-reboot-time"
RUNS, ENABLED = "apt::periodic::unattended-upgrade", "apt::periodic::enable"
FOLDER = "/etc/apt/"

_PART = pattern(r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
_TOKEN = pattern(r'(?s)//[^\n]*|/\*.*?\*/|(?m:^[ \t]*#[^\n]*)|"[^"\n]*"|[{};]|[^\s{};"]+')
_CLOCK = pattern(r"^([01]?[0-9]|2[0-3]):[0-5][0-9]$")


class AutomaticReboot(NamedTuple):
    at: str  # HH:MM by the clock of this host, where an upgrade asks for a reboot; empty: never, or at no fixed time
    source: str  # the file that sets the time
    gaps: Tuple[Gap, ...]


def read(host: Host) -> AutomaticReboot:
    """Never raises."""
    gaps: List[Gap] = []
    if not any(_exists(host, path, gaps) for path in PROGRAMS):
        return AutomaticReboot("", "", tuple(gaps))
    values: Dict[str, Tuple[str, str]] = {}
    for path in _files(host, gaps):
        values.update((key, (value, path)) for key, value in parse(with_gaps.text(host, path, gaps) or ""))
    at, source = values.get(AT, ("now", ""))
    wanted = all(_is_true(values.get(key, (default, ""))[0]) for key, default in ((REBOOTS, "0"), (RUNS, "0"), (ENABLED, "1")))
    return AutomaticReboot(at, source, tuple(gaps)) if wanted and _CLOCK.match(at) else AutomaticReboot("", "", tuple(gaps))


def parse(text: str) -> Iterator[Tuple[str, str]]:
    """(name with its scopes, in small letters, value) in the order of the file; a later one counts. #clear and #include are passed over."""
    scopes: List[str] = []
    words: List[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token.startswith(("//", "/*")) or token.lstrip().startswith("#"):
            continue
        if token == "{":
            scopes.append(words[0] if words else "")
        elif token == "}":
            del scopes[-1:]
        elif token == ";" and words:
            yield "::".join(scopes + words[:1]).lower(), words[1] if len(words) > 1 else ""
        words = [] if token in ("{", "}", ";") else words + [token.strip('"')]


def without_the_rest(text: str) -> str:
    """What is read of it, as a file of the same meaning: passwords of proxies and mirrors stand in the same files."""
    return "".join('%s "%s";\n' % (key, value) for key, value in parse(text) if key in (REBOOTS, AT, RUNS, ENABLED))


def _is_true(value: str) -> bool:
    return value.lower() in TRUE or value.lower() == "always" or value.isdigit() and int(value) > 0


def _files(host: Host, gaps: List[Gap]) -> List[str]:
    """In the order in which apt reads them; what is called otherwise it passes over."""
    names = sorted(with_gaps.names(host, PARTS, gaps)[:MOST_FILES])
    good = [name for name in names if _PART.match(name) and ("." not in name or name.endswith(".conf"))]
    return ["%s/%s" % (PARTS, name) for name in good] + [MAIN]


def _exists(host: Host, path: str, gaps: List[Gap]) -> Optional[bool]:
    try:
        return host.exists(path)
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return None
