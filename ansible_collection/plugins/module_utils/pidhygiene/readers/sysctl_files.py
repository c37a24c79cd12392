# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sysctl.d(5) configures, merged as systemd-sysctl does: a file of the same name in /etc hides the one in /run, /usr/local/lib, /usr/lib;
the remaining files are applied in byte order of their names. /etc/sysctl.conf is read last by procps, and through a link 99-sysctl.conf by systemd.
"""

from typing import Dict, List, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")


class Configured(NamedTuple):
    value: str
    source: str  # file


class SysctlFiles(NamedTuple):
    values: Dict[str, Configured]  # name with dots to the value that wins
    gaps: Tuple[Gap, ...]


def read(host: Host, without: str = "") -> SysctlFiles:
    """``without``: a path that is passed over, as if it were not there. Never raises."""
    gaps: List[Gap] = []
    winners: Dict[str, str] = {}
    for directory in reversed(DIRECTORIES):
        try:
            names = host.list(directory)
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(directory, error.reason))
            continue
        for name in names:
            path = "%s/%s" % (directory, name)
            if name.endswith(".conf") and path != without:
                winners[name] = path
    values: Dict[str, Configured] = {}
    for path in [winners[name] for name in sorted(winners)] + ["/etc/sysctl.conf"]:
        try:
            text = host.read_text(path)
        except Missing:
            continue
        except HostError as error:
            if not _masked(host, path):
                gaps.append(Gap(path, error.reason))
            continue
        for name, value in parse(text):
            values[name] = Configured(value, path)
    return SysctlFiles(values, tuple(gaps))


def _masked(host: Host, path: str) -> bool:
    """A link to /dev/null hides the file of that name in the directories below."""
    try:
        return host.stat(path).kind == "char"
    except HostError:
        return False


def parse(text: str) -> List[Tuple[str, str]]:
    """Lines "name = value"; "-" before a name only silences errors; slashes and dots may be swapped (sysctl.d(5))."""
    found = []
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        name, sign, value = line.partition("=")
        name = name.strip().lstrip("-").strip()
        if sign and name:
            slash, dot = name.find("/"), name.find(".")
            if slash >= 0 and (dot < 0 or slash < dot):
                name = name.replace("/", "\0").replace(".", "/").replace("\0", ".")
            found.append((name, value.strip()))
    return found
