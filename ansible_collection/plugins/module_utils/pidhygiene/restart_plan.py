# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether restarts in this order are safe for those who live on the message bus (RULES A7). Pure: for plans, and for what a host has on schedule.

The bus cannot be restarted under its clients: PID 1 and logind lose it and may hang (systemd issues 2488, 2925, 28016). So either the host is
rebooted, or the bus, then PID 1 (daemon-reexec), then its clients are restarted, in this order and in one go. A client that is restarted
while the bus still runs a file that was replaced repeats the failure.
"""

from typing import AbstractSet, List, Sequence

from .pattern import pattern
from .readers.cron import restarts_in
from .record import NamedTuple

BUS = ("dbus.service", "dbus-broker.service")
LOGIND = "systemd-logind.service"
CLIENTS = frozenset([LOGIND, "polkit.service", "NetworkManager.service"])
MANAGER = "systemd"  # systemctl daemon-reexec
_OTHER_NAMES = {
    "messagebus.service": "dbus.service", "dbus-org.freedesktop.login1.service": LOGIND, "polkitd.service": "polkit.service",
    "network-manager.service": "NetworkManager.service", "logind.service": LOGIND,
}
_REEXEC = pattern(r"systemctl\s+(?:-\S+\s+)*daemon-reexec|telinit\s+u\b|init\s+u\b")

CLIENT_OF_STALE_BUS, BUS_ALONE = "client of a stale bus", "bus alone"


class Danger(NamedTuple):
    kind: str
    unit: str
    missing: Sequence[str]  # what should follow the restart of the bus, and does not


def canonical(unit: str) -> str:
    """dbus → dbus.service, messagebus → dbus.service."""
    name = unit if "." in unit or unit == MANAGER else unit + ".service"
    return _OTHER_NAMES.get(name, name)


def steps_of(line: str) -> List[str]:
    """The restarts of a command line, in order; daemon-reexec is one of PID 1."""
    found = list(restarts_in(line))
    found.extend((match.start(), MANAGER) for match in _REEXEC.finditer(line))
    return [canonical(name) for _at, name in sorted(found)]


def dangers(steps: Sequence[str], stale: AbstractSet[str], running: AbstractSet[str] = CLIENTS) -> List[Danger]:
    """``steps``: units in the order of their restarts. ``stale``: units whose program was replaced on disk. ``running``: clients that are there."""
    found: List[Danger] = []
    names = [canonical(step) for step in steps]
    stale_bus = any(name in stale for name in BUS)
    for number, name in enumerate(names):
        if name in CLIENTS and stale_bus and not any(each in BUS for each in names[:number]):
            found.append(Danger(CLIENT_OF_STALE_BUS, name, ()))
        elif name in BUS:
            rest = _in_order([MANAGER] + sorted(running & CLIENTS), names[number + 1:])
            if rest:
                found.append(Danger(BUS_ALONE, name, tuple(rest)))
    return found


def _in_order(wanted: Sequence[str], following: Sequence[str]) -> List[str]:
    """What does not follow; clients count only behind PID 1, which must have found the new bus before."""
    if wanted[0] not in following:
        return list(wanted)
    behind = following[following.index(wanted[0]) + 1:]
    return [name for name in wanted[1:] if name not in behind]
