# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""logind asked and told over the message bus. No child process. Interface: org.freedesktop.login1(5)."""

import socket
import time
from typing import Any, List, Sequence

from .. import bus
from ..host import HostError
from .model import Refused

LOGIN = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = LOGIN + ".Manager"
PATIENCE_S = 60.0  # with thousands of leftovers it looks at each of them between two answers


class Connection(bus.Connection):
    """To logind. It has no socket of its own: this needs the message bus. Errors: HostError."""

    patience_s = PATIENCE_S

    def __init__(self) -> None:
        super(Connection, self).__init__(time.monotonic() + PATIENCE_S)

    def _connect(self) -> socket.socket:
        failure = HostError("message bus", "no socket of it is there")
        for address in bus.SYSTEM_BUS_SOCKETS:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                self._open(address, shared=True)
            except BaseException as error:
                self._socket.close()
                if not isinstance(error, HostError):
                    raise
                failure = error
                continue
            self._destination = LOGIN
            return self._socket
        raise failure


def ask(calls: Sequence[bus.Call], in_flight: int = 16) -> List[bus.Reply]:
    """The answers in order; an error of a single one is in its answer. Errors: Refused, when logind does not answer at all."""
    try:
        with Connection() as connection:
            connection.allow(time.monotonic() + PATIENCE_S)
            connection.ask(calls, in_flight)
            return list(connection.replies())
    except HostError as error:
        raise Refused("systemd-logind does not answer on the message bus (%s): systemctl status dbus systemd-logind" % error.reason)


def call(member: str, body: bytes = b"", signature: str = "") -> bus.Reply:
    return ask([bus.Call(PATH, MANAGER, member, body, signature)])[0]


def get(name: str) -> Any:
    """A property of logind's manager. Errors: Refused."""
    body = bus.padded(bus.packed(MANAGER), 4) + bus.packed(name)
    reply = ask([bus.Call(PATH, bus.PROPERTIES, "Get", body, "ss")])[0]
    if reply.error:
        raise Refused("systemd-logind does not tell its %s (%s)" % (name, reply.error.rpartition(".")[2]))
    return reply.body.value("v")


def sessions() -> List[str]:
    """Ids of the sessions that logind has. Errors: Refused."""
    reply = call("ListSessions")
    if reply.error:
        raise Refused("systemd-logind does not list its sessions (%s)" % reply.error.rpartition(".")[2])
    return [str(row[0]) for row in reply.body.value("a(susso)")]
