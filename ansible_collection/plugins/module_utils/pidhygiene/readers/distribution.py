# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which distribution this is: os-release(5)."""

from typing import Dict, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

PLACES = ("/etc/os-release", "/usr/lib/os-release")


class Distribution(NamedTuple):
    id: str  # "debian", "rhel"; "linux" when not told (as os-release(5) has it)
    like: Tuple[str, ...]  # ID_LIKE: closest relatives first
    version: str  # VERSION_ID: "12", "9.4"; empty for rolling ones
    codename: str
    name: str  # PRETTY_NAME, for people
    gaps: Tuple[Gap, ...]

    @property
    def family(self) -> Tuple[str, ...]:
        return (self.id,) + self.like

    @property
    def major(self) -> int:
        """First part of the version; 0 when there is none."""
        head = self.version.split(".")[0]
        return int(head) if head.isdigit() and len(head) < 6 else 0


def read(host: Host) -> Distribution:
    """Never raises. The first file that exists counts, and it alone."""
    for path in PLACES:
        try:
            return of(parse(host.read_text(path)))
        except Missing:
            continue
        except HostError as error:
            return of({}, Gap(path, error.reason))
    return of({}, Gap(PLACES[0], "does not exist"))


def of(fields: Dict[str, str], *gaps: Gap) -> Distribution:
    return Distribution(
        fields.get("ID", "linux"), tuple(fields.get("ID_LIKE", "").split()), fields.get("VERSION_ID", ""),
        fields.get("VERSION_CODENAME", ""), fields.get("PRETTY_NAME", "Linux"), gaps,
    )


def parse(text: str) -> Dict[str, str]:
    """Assignments as the shell would take them, as far as os-release(5) allows: quotes and backslashes, nothing expanded."""
    fields = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if equals and name and not name.startswith("#"):
            fields[name] = _unquoted(value)
    return fields


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1]
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    plain, escaped = [], False
    for char in value:
        if char == "\\" and not escaped:
            escaped = True
            continue
        plain.append(char)
        escaped = False
    return "".join(plain)
