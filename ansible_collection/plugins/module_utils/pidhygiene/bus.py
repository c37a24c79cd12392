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
from functools import lru_cache
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Sequence, Tuple

from .answers import Denied, HostError, Missing, OutOfTime, Unreadable
from .record import NamedTuple

PRIVATE_SOCKET = "/run/systemd/private"  # PID 1 itself, root only, works when dbus-daemon is dead
SYSTEM_BUS_SOCKETS = ("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")
STALL_S = 3.0  # a manager that says nothing for so long (stopped, or the machine is on its knees) is given up
TOTAL_S = 10.0  # one question to the bus never takes longer, however busy it keeps us
# Calls under way at once: their answers (15 KB for all properties of a unit) fit into the manager's send buffer, for which sd-bus asks 8 MB.
IN_FLIGHT, SMALL_IN_FLIGHT = 128, 1024
RUN = 4  # properties that are remembered together
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


class Reply(NamedTuple):
    error: str  # name of a D-Bus error, or empty
    body: "_Body"


class _Run(NamedTuple):
    """Some consecutive properties as they stood in a message, and what was wanted of them."""

    data: bytes
    values: Dict[str, Any]


_Seen = Dict[str, Dict[bytes, _Run]]  # by byte order and by the name of the first property


def manager_properties(names: Names, deadline: float) -> Dict[str, Any]:
    """The wanted properties of systemd's Manager object. ``deadline`` is a moment of time.monotonic()."""
    with Connection(deadline) as bus:
        reply = bus.call(_get_all(MANAGER_PATH))
        if reply.error:
            raise Unreadable("systemd", "the manager answered with %s" % reply.error)
        return reply.body.properties(_wanted(names))


class UnitQuestion(object):
    """Asks for the wanted properties of every unit in memory that matches a pattern and is there or still runs.

    Made, it has the list, and the first requests are under way; the manager works on them until ``answers`` collects. Asking for all
    properties of a unit costs both sides a quarter of a millisecond, so units that run nothing get the four that the list tells, unless a
    pattern is their very name, and a few properties are asked for one by one.
    """

    def __init__(self, patterns: Names, names: Names, deadline: float) -> None:
        self._names = names
        self._wanted = _wanted(names)
        self._found: Dict[str, Dict[str, Any]] = {}
        self._asked: List[Tuple[str, str]] = []  # unit id, and name of the property or "" for all
        self._bus = Connection(deadline)
        try:
            self._ask(self._list(patterns))
        except BaseException:
            self._bus.close()
            raise

    def _ask(self, units: List[Tuple[str, str]]) -> None:
        left = [""] if len(self._names) > FEW else sorted(name for name in self._wanted.values() if name not in LISTED)
        calls = []
        for unit_id, path in units:
            for name in left:
                self._asked.append((unit_id, name))
                calls.append(_get(path, _interface(unit_id, name), name) if name else _get_all(path))
        self._bus.ask(calls, SMALL_IN_FLIGHT if left != [""] else IN_FLIGHT)

    def _list(self, patterns: Names) -> List[Tuple[str, str]]:
        """Id and object path of the units to ask about."""
        listing = self._bus.call(_list_units(patterns))
        if listing.error:
            raise Unreadable("systemd", "the manager answered with %s" % listing.error)
        busy = []
        for unit_id, _description, load, active, sub, _following, path, _job, _job_type, _job_path in listing.body.value("a(ssssssouso)"):
            if load == "not-found" and active == "inactive":
                continue
            row = {"Id": unit_id, "LoadState": load, "ActiveState": active, "SubState": sub}
            self._found[unit_id] = {name: value for name, value in row.items() if name in self._names}
            if sub not in IDLE or unit_id in patterns:
                busy.append((unit_id, path))
        return busy

    def answers(self, deadline: float) -> Dict[str, Dict[str, Any]]:
        """Unit id to wanted properties. Values may be shared between units: look, do not change."""
        seen: _Seen = {}
        with self._bus as bus:
            bus.allow(deadline)
            for (unit_id, name), reply in zip(self._asked, bus.replies()):
                if name and not reply.error:  # else: units of this type have no such property
                    self._found[unit_id][name] = reply.body.value("v")
                elif not name and reply.error:  # it went away since the list was made
                    del self._found[unit_id]
                elif not name:
                    self._found[unit_id] = reply.body.properties(self._wanted, seen)
        return self._found


def unit_properties(patterns: Names, names: Names, deadline: float) -> Dict[str, Dict[str, Any]]:
    """Unit id to wanted properties, asked and answered at once."""
    return UnitQuestion(patterns, names, deadline).answers(deadline)


def _wanted(names: Names) -> Dict[bytes, str]:
    return {name.encode(): name for name in names if name.encode() not in NEVER}


# -- the connection ----------------------------------------------------------------------------------------------


class Connection(object):
    """To systemd, by the first way that opens."""

    patience_s: Optional[float] = None  # how long the manager may take, and say nothing, in place of TOTAL_S and STALL_S: a daemon-reload takes its time

    def __init__(self, deadline: float) -> None:
        self.allow(deadline)
        self._calls: Sequence["Call"] = ()
        self._in_flight = IN_FLIGHT
        self._first = self._next = 1  # serials: of the first of these calls, of the next one to send
        self._in = bytearray()
        self._destination = ""
        self._socket = self._connect()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_args: Any) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def allow(self, deadline: float) -> None:
        """What is done from now on may take TOTAL_S, but not beyond the deadline."""
        now = time.monotonic()
        if now >= deadline:
            raise OutOfTime("systemd", "the audit's deadline has passed")
        self._deadline = min(deadline, now + (self.patience_s or TOTAL_S))

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
            self.call(Call("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", destination="org.freedesktop.DBus"))
            self._destination = SYSTEMD

    def call(self, call: "Call") -> Reply:
        self.ask([call])
        return next(self.replies())

    def ask(self, calls: Sequence["Call"], in_flight: int = IN_FLIGHT) -> None:
        """Sends the first of these calls, after all replies to those before; ``replies`` sends the others."""
        self._first = self._next = self._first + len(self._calls)
        self._calls, self._in_flight = calls, in_flight
        self._send_until(self._first + in_flight)

    def replies(self) -> Iterator[Reply]:
        """In the order of the calls, each as soon as it is there; so many are under way at once that neither side waits for the other."""
        early = {}  # type: Dict[int, Reply]
        for serial in range(self._first, self._first + len(self._calls)):
            if self._next - serial < self._in_flight // 2:
                self._send_until(serial + self._in_flight)
            while serial not in early:
                heard = list(self._messages())
                early.update(each for each in heard if serial <= each[0] < self._next)
                if not heard:
                    self._receive()
            yield early.pop(serial)

    def _send_until(self, serial: int) -> None:
        batch = b""
        while self._next < min(serial, self._first + len(self._calls)):
            batch += self._calls[self._next - self._first].encoded(self._next, self._destination)
            self._next += 1
        self._send(batch)

    def _messages(self) -> Iterator[Tuple[int, Reply]]:
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
                answered, error = _answer_fields(message, fields_size, order)
                error = (error or "unnamed") if message[1] == ERROR else ""
                if error in SERVICE_UNKNOWN:
                    raise Missing("systemd", "no systemd manager here")
                if error == "org.freedesktop.DBus.Error.AccessDenied":
                    raise Denied("systemd", "the bus refused this user")
                yield answered, Reply(error, _Body(message[start:], order))
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
        left = min(self._deadline - time.monotonic(), self.patience_s or STALL_S)
        poll = select.poll()  # select() fails beyond descriptor 1024, and a minion can have more
        poll.register(self._socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            _too_late()


def _answer_fields(message: bytes, size: int, order: str) -> Tuple[int, str]:
    """The serial that a message answers (0: none), and the name of its error, from its header."""
    try:
        fields = _usual_fields(message, size, order)
    except (struct.error, IndexError):
        _broken()
    if fields is None:
        fields = dict(_Body(message[12 : 16 + size], order, offset=4).value("a(yv)"))
    serial, error = fields.get(5), fields.get(4)
    return serial if isinstance(serial, int) else 0, error if isinstance(error, str) else ""


def _usual_fields(message: bytes, size: int, order: str) -> Optional[Dict[int, Any]]:
    """The header of a message that has fields of the usual types only, which need no decoder; else None."""
    u32 = _U32[order].unpack_from
    fields = {}  # type: Dict[int, Any]
    at, end = 16, 16 + size
    while at < end:
        at = (at + 7) & ~7
        code, kind = message[at], message[at + 1 : at + 4]
        at += 4
        if kind == b"\x01u\0":
            fields[code] = u32(message, at)[0]
            at += 4
        elif kind in (b"\x01s\0", b"\x01o\0"):
            length = u32(message, at)[0]
            fields[code] = message[at + 4 : at + 4 + length].decode("utf-8", "surrogateescape")
            at += length + 5
        elif kind == b"\x01g\0":
            at += message[at] + 2
        else:
            return None
    return fields if at == end else None


# -- the wire ----------------------------------------------------------------------------------------------------

_U32 = {"<": struct.Struct("<I"), ">": struct.Struct(">I")}
_NUMBERS = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_ALIGNMENT = {
    "y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "h": 4, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8, "{": 8,
}
_FIXED = {code.encode(): _ALIGNMENT[code] for code in _NUMBERS}  # of a number, the alignment is the size


class Call(object):
    """One method call. ``body``: the arguments as they are marshalled, beginning at a multiple of 8 bytes."""

    def __init__(self, path: str, interface: str, member: str, body: bytes = b"", signature: str = "", destination: str = "") -> None:
        self._path, self._interface, self._member = path, interface, member
        self._body, self._signature, self._to = body, signature, destination

    def encoded(self, serial: int, destination: str) -> bytes:
        fields = b""
        to = self._to or destination
        for code, kind, text in ((1, b"o", self._path), (2, b"s", self._interface), (3, b"s", self._member), (6, b"s", to)):
            if text:
                fields = padded(fields, 8) + struct.pack("<BB", code, 1) + kind + b"\0" + packed(text)
        if self._signature:
            size = len(self._signature)
            fields = padded(fields, 8) + b"\x08\x01g\0" + struct.pack("<B", size) + self._signature.encode() + b"\0"
        head = struct.pack("<cBBBIII", b"l", METHOD_CALL, NO_AUTO_START, 1, len(self._body), serial, len(fields))
        return padded(head + fields, 8) + self._body


def _get_all(path: str) -> Call:
    return Call(path, PROPERTIES, "GetAll", packed(""), "s")


def _get(path: str, interface: str, name: str) -> Call:
    return Call(path, PROPERTIES, "Get", padded(packed(interface), 4) + packed(name), "ss")


def _interface(unit: str, name: str) -> str:
    return SYSTEMD + "." + ("Unit" if name in OF_EVERY_UNIT else unit.rpartition(".")[2].capitalize())


def _list_units(patterns: Names) -> Call:
    listed = b""
    for pattern in patterns:
        listed = padded(listed, 4) + packed(pattern)
    body = struct.pack("<II", 0, len(listed)) + listed  # any state; the patterns
    return Call(MANAGER_PATH, SYSTEMD + ".Manager", "ListUnitsByPatterns", body, "asas")


def packed(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<I", len(data)) + data + b"\0"


def padded(data: bytes, size: int) -> bytes:
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

    def properties(self, wanted: Dict[bytes, str], seen: Optional[_Seen] = None) -> Dict[str, Any]:
        """Reads a{sv}: decodes the wanted values, passes over the others by their signature.

        Most properties of most units are alike. ``seen`` holds runs of them from other bodies: one that stands here byte for byte is
        not decoded again.
        """
        try:
            return self._properties(wanted, {} if seen is None else seen.setdefault(self._order, {}))
        except (struct.error, IndexError, KeyError, ValueError, TypeError):
            _broken()

    def _properties(self, wanted: Dict[bytes, str], seen: Dict[bytes, _Run]) -> Dict[str, Any]:
        data, u32 = self._data, self._u32.unpack_from
        found = {}  # type: Dict[str, Any]
        at, end = 8, 8 + u32(data, 0)[0]
        if end > len(data):
            _broken()
        while at < end:
            at = (at + 7) & ~7
            first = data[at + 4 : at + 4 + u32(data, at)[0]]
            run = seen.get(first)
            if run is not None and data.startswith(run.data, at):
                at += len(run.data)
            else:
                start = at
                values = {}  # type: Dict[str, Any]
                for _number in range(RUN):
                    if at < end:
                        at = self._property((at + 7) & ~7, wanted, values)
                seen[first] = run = _Run(data[start:at], values)
            if run.values:
                found.update(run.values)
        if at != end:
            _broken()
        return found

    def _property(self, at: int, wanted: Dict[bytes, str], values: Dict[str, Any]) -> int:
        """One name and value, the latter kept if it is wanted; returns where they end."""
        data, u32 = self._data, self._u32.unpack_from
        size = u32(data, at)[0]  # type: int
        key = data[at + 4 : at + 4 + size]
        at += size + 5
        size = data[at]
        signature = data[at + 1 : at + 1 + size]
        at += size + 2
        if key in wanted:
            values[wanted[key]], at = self._decode(_complete(signature), at, 0)
            return at
        size = _FIXED.get(signature, 0)
        if size:
            return ((at + size - 1) & -size) + size
        if signature in (b"s", b"o"):
            at = (at + 3) & ~3
            size = u32(data, at)[0]
            return at + size + 5
        return self._skip(_complete(signature), at, 0)

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


@lru_cache(maxsize=256)
def _complete(signature: bytes) -> str:
    """The signature of a variant: exactly one complete type."""
    text = signature.decode("ascii")
    if _type_end(text, 0, 0) != len(text):
        _broken()
    return text


@lru_cache(maxsize=256)
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
