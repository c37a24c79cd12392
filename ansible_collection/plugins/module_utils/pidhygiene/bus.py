# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd over its socket, without a child process: properties of the manager and of the loaded units.

The peer may be stopped, slow, broken or hostile: the socket never blocks, every length is checked, and all of it ends at the
deadline. Nothing here makes systemd load a unit or start a service; Environment= (secrets live there) is dropped on receipt.
Wire format: D-Bus Specification, "Message Protocol"; interface: org.freedesktop.systemd1(5).
"""

import errno
import os
import select
import socket
import struct
import time
from typing import Any, Dict, Iterator, List, NamedTuple, NoReturn, Sequence, Tuple

from .host import Denied, HostError, Missing, OutOfTime, Unreadable

PRIVATE_SOCKET = "/run/systemd/private"  # PID 1 itself, root only, works when dbus-daemon is dead
SYSTEM_BUS_SOCKETS = ("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")
STALL_S = 3.0  # a manager that says nothing for so long (stopped, or the machine is on its knees) is given up
TOTAL_S = 10.0  # one question to the bus never takes longer, however busy it keeps us
IN_FLIGHT = 64
MESSAGE_LIMIT = 32 * 1024 * 1024  # bytes; 10,000 units make a list of about 2 MB
DEPTH_LIMIT = 32  # nested containers, as in the specification

SYSTEMD = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
PROPERTIES = "org.freedesktop.DBus.Properties"
NEVER = frozenset((b"Environment",))

METHOD_CALL, METHOD_RETURN, ERROR = 1, 2, 3
NO_AUTO_START = 0x2  # asking must not start systemd's bus name where another init runs
SERVICE_UNKNOWN = ("org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner")

Names = Sequence[str]


FEW = 12  # properties
OF_EVERY_UNIT = frozenset((
    "Id", "Names", "LoadState", "ActiveState", "SubState", "FragmentPath", "SourcePath", "DropInPaths", "NeedDaemonReload", "Transient",
    "ActiveEnterTimestamp", "ActiveEnterTimestampMonotonic",
))  # of the interface org.freedesktop.systemd1.Unit; the others are of the unit's type
LISTED = ("Id", "LoadState", "ActiveState", "SubState")  # told by the list of units itself
IDLE = ("dead", "exited", "elapsed")  # sub states of units without a process


class _Reply(NamedTuple):
    error: str  # name of a D-Bus error, or empty
    body: "_Body"


def manager_properties(names: Names, deadline: float) -> Dict[str, Any]:
    """The wanted properties of systemd's Manager object. ``deadline`` is a moment of time.monotonic()."""
    with _Connection(deadline) as bus:
        reply = bus.call(_get_all(MANAGER_PATH))
        if reply.error:
            raise Unreadable("systemd", "the manager answered with %s" % reply.error)
        return reply.body.properties(_wanted(names))


def unit_properties(patterns: Names, names: Names, deadline: float) -> Dict[str, Dict[str, Any]]:
    """Unit id to wanted properties, for every unit in memory that matches a pattern and is there or still runs.

    Asking for all properties of a unit costs both sides a quarter of a millisecond, so units that run nothing get the four that the list
    tells, unless a pattern is their very name, and a few properties are asked for one by one.
    """
    wanted = _wanted(names)
    with _Connection(deadline) as bus:
        listing = bus.call(_list_units(patterns))
        if listing.error:
            raise Unreadable("systemd", "the manager answered with %s" % listing.error)
        found: Dict[str, Dict[str, Any]] = {}
        busy = []
        for unit_id, _description, load, active, sub, _following, path, _job, _job_type, _job_path in listing.body.value("a(ssssssouso)"):
            if load == "not-found" and active == "inactive":
                continue
            row = {"Id": unit_id, "LoadState": load, "ActiveState": active, "SubState": sub}
            found[unit_id] = {name: value for name, value in row.items() if name in names}
            if sub not in IDLE or unit_id in patterns:
                busy.append((unit_id, path))
        if len(names) > FEW:
            for (unit_id, _path), reply in zip(busy, bus.calls([_get_all(path) for _unit_id, path in busy])):
                if reply.error:  # it went away since the list was made
                    del found[unit_id]
                else:
                    found[unit_id] = reply.body.properties(wanted)
            return found
        left = sorted(name for name in wanted.values() if name not in LISTED)
        questions = [(unit_id, name, _get(path, _interface(unit_id, name), name)) for unit_id, path in busy for name in left]
        for (unit_id, name, _question), reply in zip(questions, bus.calls([call for _unit_id, _name, call in questions])):
            if not reply.error:  # else: units of this type have no such property
                found[unit_id][name] = reply.body.value("v")
        return found


def _wanted(names: Names) -> Dict[bytes, str]:
    return {name.encode(): name for name in names if name.encode() not in NEVER}


# -- the connection ----------------------------------------------------------------------------------------------


class _Connection(object):
    def __init__(self, deadline: float) -> None:
        now = time.monotonic()
        if now >= deadline:
            raise OutOfTime("systemd", "the audit's deadline has passed")
        self._deadline = min(deadline, now + TOTAL_S)
        self._serial = 0
        self._in = bytearray()
        self._destination = ""
        self._socket = self._connect()

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_args: Any) -> None:
        self._socket.close()

    def _connect(self) -> socket.socket:
        failure: HostError = Missing("systemd", "no systemd manager here")
        for address in (PRIVATE_SOCKET,) + SYSTEM_BUS_SOCKETS:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            try:
                self._open(address, shared=address != PRIVATE_SOCKET)
                return self._socket
            except (Missing, Denied) as error:
                self._socket.close()
                if isinstance(error, Denied):
                    failure = error
            except BaseException:
                self._socket.close()
                raise
        raise failure

    def _open(self, address: str, shared: bool) -> None:
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise Denied("systemd", "permission denied")
            if error.errno == errno.EAGAIN:  # the queue of the listening socket is full: nobody accepts
                _too_late()
            raise Missing(address, "no systemd manager here")
        self._in = bytearray()
        self._send(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
        while b"\n" not in self._in:
            if len(self._in) > 4096:
                _broken()
            self._receive()
        line, _newline, self._in = self._in.partition(b"\n")
        if not line.startswith(b"OK "):
            raise Denied("systemd", "the bus refused this user")
        if shared:
            self.call(_Call("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", destination="org.freedesktop.DBus"))
            self._destination = SYSTEMD

    def call(self, call: "_Call") -> _Reply:
        return self.calls([call])[0]

    def calls(self, calls: Sequence["_Call"]) -> List[_Reply]:
        """Replies in the order of the calls; so many are under way at once that neither side waits for the other."""
        replies = {}  # type: Dict[int, _Reply]
        first = sent = self._serial + 1
        last = self._serial = self._serial + len(calls)
        while len(replies) < len(calls):
            batch = b""
            while sent <= last and sent - first - len(replies) < IN_FLIGHT:
                batch += calls[sent - first].encoded(sent, self._destination)
                sent += 1
            if batch:
                self._send(batch)
            heard = list(self._messages())
            if not heard:
                self._receive()
            for serial, reply in heard:
                if reply.error in SERVICE_UNKNOWN:
                    raise Missing("systemd", "no systemd manager here")
                if reply.error == "org.freedesktop.DBus.Error.AccessDenied":
                    raise Denied("systemd", "the bus refused this user")
                if first <= serial < sent:
                    replies[serial] = reply
        return [replies[serial] for serial in range(first, last + 1)]

    def _messages(self) -> Iterator[Tuple[int, _Reply]]:
        """Takes the whole messages off the input and yields the answers among them with the serial they answer."""
        done = 0
        while len(self._in) - done >= 16:
            if self._in[done] not in b"lB":
                _broken()
            u32 = _U32["<" if self._in[done] == ord("l") else ">"]
            body_size, fields_size = u32.unpack_from(self._in, done + 4)[0], u32.unpack_from(self._in, done + 12)[0]
            start = 16 + (fields_size + 7) // 8 * 8
            if start + body_size > MESSAGE_LIMIT:
                _broken()
            if len(self._in) - done < start + body_size:
                break
            message = bytes(self._in[done : done + start + body_size])
            done += start + body_size
            if message[1] in (METHOD_RETURN, ERROR):
                order = "<" if message[0] == ord("l") else ">"
                fields = dict(_Body(message[12 : 16 + fields_size], order, offset=4).value("a(yv)"))
                error = str(fields.get(4) or "unnamed") if message[1] == ERROR else ""
                yield fields.get(5, 0), _Reply(error, _Body(message[start:], order))
        del self._in[:done]

    def _send(self, data: bytes) -> None:
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError:
                raise Unreadable("systemd", "the bus closed the connection")

    def _receive(self) -> None:
        while True:
            try:
                data = self._socket.recv(262144)
                break
            except BlockingIOError:
                self._wait(select.POLLIN)
            except OSError:
                raise Unreadable("systemd", "the bus closed the connection")
        if not data:
            raise Unreadable("systemd", "the bus closed the connection")
        if time.monotonic() > self._deadline:
            _too_late()
        self._in += data

    def _wait(self, event: int) -> None:
        left = min(self._deadline - time.monotonic(), STALL_S)
        poll = select.poll()  # select() fails beyond descriptor 1024, and a minion can have more
        poll.register(self._socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            _too_late()


# -- the wire ----------------------------------------------------------------------------------------------------

_U32 = {"<": struct.Struct("<I"), ">": struct.Struct(">I")}
_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_ALIGNMENT = {
    "y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "h": 4, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8,
}
_FIXED = {code.encode(): _ALIGNMENT[code] for code in _NUMBERS}  # of a number, the alignment is the size


class _Call(object):
    def __init__(self, path: str, interface: str, member: str, body: bytes = b"", signature: str = "", destination: str = "") -> None:
        self._path, self._interface, self._member = path, interface, member
        self._body, self._signature, self._to = body, signature, destination

    def encoded(self, serial: int, destination: str) -> bytes:
        fields = b""
        to = self._to or destination
        for code, kind, text in ((1, b"o", self._path), (2, b"s", self._interface), (3, b"s", self._member), (6, b"s", to)):
            if text:
                fields = _padded(fields, 8) + struct.pack("<BB", code, 1) + kind + b"\0" + _text(text)
        if self._signature:
            size = len(self._signature)
            fields = _padded(fields, 8) + b"\x08\x01g\0" + struct.pack("<B", size) + self._signature.encode() + b"\0"
        head = struct.pack("<cBBBIII", b"l", METHOD_CALL, NO_AUTO_START, 1, len(self._body), serial, len(fields))
        return _padded(head + fields, 8) + self._body


def _get_all(path: str) -> _Call:
    return _Call(path, PROPERTIES, "GetAll", _text(""), "s")


def _get(path: str, interface: str, name: str) -> _Call:
    return _Call(path, PROPERTIES, "Get", _padded(_text(interface), 4) + _text(name), "ss")


def _interface(unit: str, name: str) -> str:
    return SYSTEMD + "." + ("Unit" if name in OF_EVERY_UNIT else unit.rpartition(".")[2].capitalize())


def _list_units(patterns: Names) -> _Call:
    listed = b""
    for pattern in patterns:
        listed = _padded(listed, 4) + _text(pattern)
    body = struct.pack("<II", 0, len(listed)) + listed  # any state; the patterns
    return _Call(MANAGER_PATH, SYSTEMD + ".Manager", "ListUnitsByPatterns", body, "asas")


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<I", len(data)) + data + b"\0"


def _padded(data: bytes, size: int) -> bytes:
    return data + b"\0" * (-len(data) % size)


class _Body(object):
    """A marshalled value, decoded on demand. Raises Unreadable on anything that is not D-Bus."""

    def __init__(self, data: bytes, order: str, offset: int = 0) -> None:
        self._data, self._order = data, order
        self._u32 = _U32[order]
        self._shift = offset  # of the data in its message, modulo 8: alignment counts from the message's start

    def value(self, signature: str) -> Any:
        try:
            return self._decode(signature, 0, 0)[0]
        except (struct.error, IndexError, KeyError, ValueError, TypeError):
            _broken()

    def properties(self, wanted: Dict[bytes, str]) -> Dict[str, Any]:
        """Reads a{sv}: decodes the wanted values, passes over the others by their signature."""
        try:
            return self._properties(wanted)
        except (struct.error, IndexError, KeyError, ValueError, TypeError):
            _broken()

    def _properties(self, wanted: Dict[bytes, str]) -> Dict[str, Any]:
        data, u32 = self._data, self._u32.unpack_from
        found = {}
        end = 8 + u32(data, 0)[0]
        if end > len(data):
            _broken()
        at = 8
        while at < end:
            at = (at + 7) & ~7
            size = u32(data, at)[0]
            key = data[at + 4 : at + 4 + size]
            at += size + 5
            size = data[at]
            signature = data[at + 1 : at + 1 + size]
            at += size + 2
            if key in wanted:
                found[wanted[key]], at = self._decode(_complete(signature), at, 0)
                continue
            size = _FIXED.get(signature, 0)
            if size:
                at = ((at + size - 1) & -size) + size
            elif signature in (b"s", b"o"):
                at = (at + 3) & ~3
                at += u32(data, at)[0] + 5
            else:
                at = self._skip(_complete(signature), at, 0)
        if at != end:
            _broken()
        return found

    def _align(self, at: int, code: str) -> int:
        return at + (-(at + self._shift) % _ALIGNMENT[code])

    def _array(self, signature: str, at: int) -> Tuple[int, int]:
        """Where the elements of an array begin and end."""
        at = self._align(at, "a")
        size = self._u32.unpack_from(self._data, at)[0]
        at = self._align(at + 4, signature[1])
        if at + size > len(self._data):
            _broken()
        return at, at + size

    def _variant(self, at: int) -> Tuple[str, int]:
        size = self._data[at]
        return _complete(self._data[at + 1 : at + 1 + size]), at + size + 2

    def _skip(self, signature: str, at: int, depth: int) -> int:
        return self._array(signature, at)[1] if signature[0] == "a" else self._decode(signature, at, depth)[1]

    def _decode(self, signature: str, at: int, depth: int) -> Tuple[Any, int]:
        if depth > DEPTH_LIMIT:
            _broken()
        code = signature[0]
        at = self._align(at, code)
        if code in _NUMBERS:
            number = struct.unpack_from(self._order + _NUMBERS[code], self._data, at)[0]
            return (bool(number) if code == "b" else number), at + _ALIGNMENT[code]
        if code in "so":
            size = self._u32.unpack_from(self._data, at)[0]
            return self._string(at + 4, size)
        if code == "g":
            return self._string(at + 1, self._data[at])
        if code == "v":
            inner, at = self._variant(at)
            return self._decode(inner, at, depth + 1)
        if code == "a":
            return self._elements(signature, at, depth)
        values = []
        types = _types(signature[1:-1])
        for inner in types:
            value, at = self._decode(inner, at, depth + 1)
            values.append(value)
        return values, at

    def _string(self, at: int, size: int) -> Tuple[str, int]:
        if self._data[at + size] != 0:
            _broken()
        return self._data[at : at + size].decode("utf-8", "surrogateescape"), at + size + 1

    def _elements(self, signature: str, at: int, depth: int) -> Tuple[Any, int]:
        at, end = self._array(signature, at)
        values = []
        while at < end:
            before = at
            value, at = self._decode(signature[1:], at, depth + 1)
            if at == before:
                _broken()  # elements of no size would never end
            values.append(value)
        if at != end:
            _broken()
        if signature[1] == "{":
            return {str(key): value for key, value in values}, at
        return values, at


def _complete(signature: bytes) -> str:
    """The signature of a variant: exactly one complete type."""
    text = signature.decode("ascii")
    if _type_end(text, 0, 0) != len(text):
        _broken()
    return text


def _types(signature: str) -> List[str]:
    """The complete types that a signature is made of."""
    found = []
    at = 0
    while at < len(signature):
        end = _type_end(signature, at, 0)
        found.append(signature[at:end])
        at = end
    return found


def _type_end(signature: str, at: int, depth: int) -> int:
    """Where the complete type that begins at ``at`` ends."""
    code = signature[at]
    if depth > DEPTH_LIMIT or code not in _ALIGNMENT:
        _broken()
    if code == "a":
        return _type_end(signature, at + 1, depth + 1)
    if code not in "({":
        return at + 1
    close = ")" if code == "(" else "}"
    first = at = at + 1
    while signature[at] != close:
        at = _type_end(signature, at, depth + 1)
    if at == first:
        _broken()  # an empty structure would let an array of nothing never end
    return at + 1


def _broken() -> NoReturn:
    raise Unreadable("systemd", "the bus sent something that is not D-Bus")


def _too_late() -> NoReturn:
    raise Unreadable("systemd", "the bus did not answer in time")
