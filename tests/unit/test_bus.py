"""The bus client against peers that answer, stall, lie and break off. What real managers answer is tests/lab/test_units.py."""

import os
import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pidhygiene import bus
from pidhygiene.host import Denied, HostError, Missing, OutOfTime, Unreadable

WANTED = {name.encode(): name for name in ("Id", "LimitNPROC", "Delegate", "Names", "Status", "Nested")}


# -- an encoder of our own, in both byte orders


class Encoder:
    def __init__(self, order):
        self.order = order
        self.data = b""

    def pad(self, size):
        self.data += b"\0" * (-len(self.data) % size)
        return self

    def number(self, code, value):
        form, size = {"u": ("I", 4), "t": ("Q", 8), "i": ("i", 4), "b": ("I", 4), "y": ("B", 1), "d": ("d", 8)}[code]
        self.pad(size).data += struct.pack(self.order + form, value)
        return self

    def text(self, value):
        raw = value.encode("utf-8", "surrogateescape")
        self.number("u", len(raw)).data += raw + b"\0"
        return self

    def signature(self, value):
        self.data += bytes([len(value)]) + value.encode() + b"\0"
        return self

    def array(self, alignment, write):
        self.number("u", 0)
        at = len(self.data)
        self.pad(alignment)
        start = len(self.data)
        write(self)
        self.data = self.data[: at - 4] + struct.pack(self.order + "I", len(self.data) - start) + self.data[at:]
        return self


def properties(order, rows):
    """a{sv} from (name, signature, write)."""
    def write(encoder):
        for name, signature, put in rows:
            put(encoder.pad(8).text(name).signature(signature))
    return Encoder(order).array(8, write).data


def message(order, body, kind=2, reply_to=1, signature="a{sv}", error=""):
    def write(fields):
        fields.pad(8).data += bytes([5])
        fields.signature("u").number("u", reply_to)
        if error:
            fields.pad(8).data += bytes([4])
            fields.signature("s").text(error)
        fields.pad(8).data += bytes([8])
        fields.signature("g").signature(signature)

    head = Encoder(order)
    head.data = (b"l" if order == "<" else b">" and b"B") + bytes([kind, 0, 1])
    head.number("u", len(body)).number("u", 77)
    return head.array(8, write).pad(8).data + body


ROWS = [
    ("Id", "s", lambda e: e.text("café.service")),
    ("ExecStart", "a(sasbttttuii)", lambda e: e.array(8, lambda a: a.pad(8).text("/bin/true").array(4, lambda b: b.text("x")).number("b", 1)
                                                     .number("t", 1).number("t", 2).number("t", 3).number("t", 4).number("u", 5)
                                                     .number("i", -1).number("i", 7))),
    ("LimitNPROC", "t", lambda e: e.number("t", 2**64 - 1)),
    ("Delegate", "b", lambda e: e.number("b", 1)),
    ("Skipped", "(bas)", lambda e: e.pad(8).number("b", 0).array(4, lambda a: a.text("AF_UNIX"))),
    ("Nothing", "a(st)", lambda e: e.array(8, lambda a: a)),
    ("Names", "as", lambda e: e.array(4, lambda a: a.text("a.service").text("b.service"))),
    ("Nested", "a{sv}", lambda e: e.array(8, lambda a: a.pad(8).text("k").signature("u").number("u", 9))),
    ("Environment", "as", lambda e: e.array(4, lambda a: a.text("PASSWORD=hunter2"))),
    ("Status", "s", lambda e: e.text("bytes \udcff are kept")),
]
VALUES = {"Id": "café.service", "LimitNPROC": 2**64 - 1, "Delegate": True, "Names": ["a.service", "b.service"], "Nested": {"k": 9},
          "Status": "bytes \udcff are kept"}


@pytest.mark.parametrize("order", "<>")
def test_properties_are_read_and_others_passed_over(order):
    assert bus._Body(properties(order, ROWS), order).properties(WANTED) == VALUES


def test_everything_can_be_decoded_too():
    wanted = {name.encode(): name for name, _signature, _write in ROWS}
    found = bus._Body(properties("<", ROWS), "<").properties(wanted)
    assert found["ExecStart"] == [["/bin/true", ["x"], True, 1, 2, 3, 4, 5, -1, 7]]
    assert found["Skipped"] == [False, ["AF_UNIX"]]
    assert found["Nothing"] == []


def test_environment_is_never_wanted():
    assert bus._wanted(("Id", "Environment")) == {b"Id": "Id"}


# -- nothing that a peer sends escapes as anything but HostError


def decode_all(data, order="<"):
    body = bus._Body(data, order)
    for ask in (lambda: body.properties(WANTED), lambda: body.value("a(ssssssouso)"), lambda: body.value("a(yv)"), lambda: body.value("v")):
        try:
            ask()
        except HostError as error:
            assert error.reason == "the bus sent something that is not D-Bus"


@given(st.binary(max_size=400), st.sampled_from("<>"))
def test_any_bytes_are_survived(data, order):
    decode_all(data, order)


@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 2000), st.sampled_from("<>"))
def test_broken_properties_are_survived(changes, cut, order):
    data = bytearray(properties(order, ROWS))
    for at, byte in changes:
        data[at % len(data)] = byte
    decode_all(bytes(data[: max(8, cut % (len(data) + 1))]), order)


@given(st.text(alphabet="ybnqiuxtdhsogva(){}z", max_size=80))
def test_any_signature_is_survived(signature):
    decode_all(properties("<", [("Nested", signature[:255], lambda e: e.number("t", 1).number("t", 2))]))


@pytest.mark.parametrize("signature", [b"a(n", b"a()", b"(n", b"a", b"", b"nn", b"a{s", b"z"])
def test_a_property_whose_type_is_none_is_refused(signature):
    """A structure that never closes, in an array, once filled the memory: found by the test below."""
    pair = struct.pack("<I", 2) + b"Id\0" + struct.pack("<B", len(signature)) + signature + b"\0"
    data = struct.pack("<II", len(pair) + 64, 0) + pair + b"\1" * 64
    for wanted in ({b"Id": "Id"}, {}):
        with pytest.raises(Unreadable):
            bus._Body(data, "<").properties(wanted)


def test_deep_nesting_ends():
    decode_all(properties("<", [("Nested", "a" * 200 + "s", lambda e: e.number("u", 0))]))
    deep = Encoder("<").signature("v")
    for _level in range(100):
        deep.signature("v")
    decode_all(deep.data + b"\0" * 64)


# -- whole conversations


class Peer:
    """A socket that plays systemd: reads the client's opening line, then lets ``script`` do the talking."""

    def __init__(self, folder, script, greeting=b"OK 0123456789abcdef\r\n"):
        self.path = str(folder / "private")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.script, self.greeting = script, greeting
        self.heard = b""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        connection, _address = self.listener.accept()
        with connection:
            try:
                while b"BEGIN\r\n" not in self.heard:
                    self.heard += connection.recv(4096)
                connection.sendall(self.greeting)
                self.script(connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass


@pytest.fixture
def talk(tmp_path, monkeypatch):
    """Ask for the manager's properties from a peer that follows the script."""
    def ask(script, seconds=20.0, **how):
        peer = Peer(tmp_path, script, **how)
        monkeypatch.setattr(bus, "PRIVATE_SOCKET", peer.path)
        monkeypatch.setattr(bus, "SYSTEM_BUS_SOCKETS", ())
        try:
            return bus.manager_properties(("Id", "LimitNPROC", "Environment"), time.monotonic() + seconds), peer
        finally:
            peer.listener.close()
    return ask


@pytest.mark.parametrize("order", "<>")
def test_a_conversation(talk, order):
    answer, peer = talk(lambda connection: connection.sendall(message(order, properties(order, ROWS))))
    assert answer == {"Id": "café.service", "LimitNPROC": 2**64 - 1}
    uid = str(os.geteuid()).encode().hex().encode()
    assert peer.heard.startswith(b"\0AUTH EXTERNAL " + uid + b"\r\nBEGIN\r\n")


def test_an_answer_in_single_bytes_after_signals_and_strangers(talk):
    def script(connection):
        signal = message("<", properties("<", ROWS), kind=4, reply_to=1)
        stranger = message("<", b"", reply_to=9999, signature="")
        for byte in signal + stranger + message(">", properties(">", ROWS)):
            connection.sendall(bytes([byte]))
    assert talk(script)[0]["Id"] == "café.service"


@pytest.mark.parametrize("script, reason", [
    (lambda connection: None, "the bus closed the connection"),
    (lambda connection: connection.sendall(b"nonsense" * 10), "the bus sent something that is not D-Bus"),
    (lambda connection: connection.sendall(b"l\x02\x00\x01" + b"\xff" * 12), "the bus sent something that is not D-Bus"),
    (lambda connection: connection.sendall(message("<", properties("<", ROWS))[:-40]), "the bus closed the connection"),
    (lambda connection: connection.sendall(message("<", b"", kind=3, error="org.example.Refused", signature="")),
     "the manager answered with org.example.Refused"),
])
def test_a_broken_conversation_is_unreadable(talk, script, reason):
    with pytest.raises(Unreadable) as caught:
        talk(script)
    assert caught.value.reason == reason


def test_a_manager_that_stalls_is_given_up(talk, monkeypatch):
    monkeypatch.setattr(bus, "STALL_S", 0.05)
    with pytest.raises(Unreadable) as caught:
        talk(lambda connection: time.sleep(1))
    assert caught.value.reason == "the bus did not answer in time"


def test_a_manager_that_drips_is_given_up_too(talk, monkeypatch):
    """It never stalls and never ends: the total holds."""
    monkeypatch.setattr(bus, "TOTAL_S", 0.2)

    def drip(connection):
        while True:
            connection.sendall(message("<", b"", kind=4, signature=""))
            time.sleep(0.01)

    with pytest.raises(Unreadable) as caught:
        talk(drip)
    assert caught.value.reason == "the bus did not answer in time"


def test_the_deadline_of_the_audit_holds(talk):
    with pytest.raises(Unreadable) as caught:
        talk(lambda connection: time.sleep(1), seconds=0.1)
    assert caught.value.reason == "the bus did not answer in time"


def test_a_passed_deadline_opens_nothing():
    with pytest.raises(OutOfTime):
        bus.manager_properties(("Id",), time.monotonic() - 1)


def test_a_refused_user_is_denied(talk):
    with pytest.raises(Denied) as caught:
        talk(lambda connection: None, greeting=b"REJECTED EXTERNAL\r\n")
    assert caught.value.reason == "the bus refused this user"


def test_another_init_is_missing(talk):
    with pytest.raises(Missing) as caught:
        talk(lambda connection: connection.sendall(
            message("<", b"", kind=3, error="org.freedesktop.DBus.Error.ServiceUnknown", signature="")))
    assert caught.value.reason == "no systemd manager here"


def test_no_socket_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(bus, "PRIVATE_SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(bus, "SYSTEM_BUS_SOCKETS", (str(tmp_path / "none either"),))
    with pytest.raises(Missing):
        bus.manager_properties(("Id",), time.monotonic() + 5)


def test_a_full_queue_is_a_manager_that_does_not_answer(tmp_path, monkeypatch):
    """A stopped PID 1 still has its listening socket, but nobody accepts."""
    path = str(tmp_path / "private")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        listener.bind(path)
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(path)
        monkeypatch.setattr(bus, "PRIVATE_SOCKET", path)
        with pytest.raises(Unreadable) as caught:
            bus.manager_properties(("Id",), time.monotonic() + 5)
    assert caught.value.reason == "the bus did not answer in time"


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300))
def test_any_peer_is_survived(data):
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        theirs.sendall(b"OK x\r\n" + data)
        theirs.shutdown(socket.SHUT_WR)
        connection = bus.Connection.__new__(bus.Connection)
        connection._socket, connection._in, connection._destination = ours, bytearray(), ""
        connection._calls, connection._first, connection._next, connection._in_flight = (), 1, 1, 1
        connection.allow(time.monotonic() + 5)
        ours.setblocking(False)
        try:
            while b"\n" not in connection._in:
                connection._receive()
            del connection._in[: connection._in.index(b"\n") + 1]
            connection.call(bus._get_all("/x")).body.properties(WANTED)
        except HostError:
            pass


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind, error", [(2, ""), (3, "org.freedesktop.DBus.Error.UnknownObject")])
def test_the_header_tells_what_is_answered(order, kind, error):
    data = message(order, b"", kind=kind, reply_to=4711, error=error)
    size = struct.unpack_from(order + "I", data, 12)[0]
    assert bus._answer_fields(data, size, order) == (4711, error)
    assert bus._usual_fields(data, size, order) is not None


@given(st.sampled_from("<>"), st.binary(max_size=60), st.data())
def test_any_header_is_survived(order, junk, draw):
    data = bytearray(message(order, b"", error="org.freedesktop.DBus.Error.UnknownObject"))
    at = draw.draw(st.integers(12, len(data)))
    data[at:at + len(junk)] = junk
    try:
        serial, error = bus._answer_fields(bytes(data), draw.draw(st.integers(0, len(data) - 16)), order)
    except Unreadable:
        return
    assert isinstance(serial, int) and isinstance(error, str)


names = st.sampled_from(["Id", "LimitNPROC", "Delegate", "Other", "Another", "Status"])
values = st.one_of(
    st.tuples(st.just("t"), st.integers(0, 3)), st.tuples(st.just("b"), st.integers(0, 1)), st.tuples(st.just("s"), st.sampled_from(["", "a", "abcdefg"])),
    st.tuples(st.just("as"), st.lists(st.sampled_from(["x", "Id"]), max_size=2)))


def put(code, value):
    if code == "as":
        return lambda encoder: encoder.array(4, lambda array: [array.text(each) for each in value])
    return lambda encoder: encoder.text(value) if code == "s" else encoder.number(code, value)


@given(st.lists(st.tuples(st.sampled_from("<>"), st.lists(st.tuples(names, values), max_size=14)), max_size=4))
def test_what_stood_in_other_bodies_changes_nothing(bodies):
    seen = {}
    for order, rows in bodies:
        data = properties(order, [(name, code, put(code, value)) for name, (code, value) in rows])
        expected = {name: bool(value) if code == "b" else value for name, (code, value) in rows if name.encode() in WANTED}
        assert bus._Body(data, order).properties(WANTED, seen) == expected
        assert bus._Body(data, order).properties(WANTED, seen) == expected


@given(st.lists(st.tuples(names, values), min_size=1, max_size=14), st.data())
def test_what_is_cut_off_is_told_whatever_stood_in_other_bodies(rows, draw):
    data = properties("<", [(name, code, put(code, value)) for name, (code, value) in rows])
    seen = {}
    bus._Body(data, "<").properties(WANTED, seen)
    with pytest.raises(Unreadable):
        bus._Body(data[:draw.draw(st.integers(0, len(data) - 1))], "<").properties(WANTED, seen)


def test_units_that_vanish_are_left_out(talk, tmp_path, monkeypatch):
    def unit_row(encoder, name, load, active):
        encoder.pad(8)
        for text in (name, "d", load, active, "sub", "", "/unit/" + name):
            encoder.text(text)
        encoder.number("u", 0).text("").text("/")

    def script(connection):
        def rows(array):
            unit_row(array, "a.service", "loaded", "active")
            unit_row(array, "gone.service", "loaded", "active")
            unit_row(array, "ghost.service", "not-found", "inactive")
            unit_row(array, "deleted.service", "not-found", "active")
        connection.sendall(message("<", Encoder("<").array(8, rows).data, reply_to=1, signature="a(ssssssouso)"))
        time.sleep(0.05)  # the calls for the units come after the list
        connection.sendall(
            message("<", properties("<", ROWS), reply_to=4)
            + message("<", b"", kind=3, reply_to=3, error="org.freedesktop.DBus.Error.UnknownObject", signature="")
            + message("<", properties("<", ROWS[:1]), reply_to=2))

    peer = Peer(tmp_path, script)
    monkeypatch.setattr(bus, "PRIVATE_SOCKET", peer.path)
    many = ("Id", "LimitNPROC") + tuple("Unused%d" % number for number in range(bus.FEW))
    found = bus.unit_properties(("*.service",), many, time.monotonic() + 10)
    peer.listener.close()
    assert found == {"a.service": {"Id": "café.service"}, "deleted.service": {"Id": "café.service", "LimitNPROC": 2**64 - 1}}


def test_few_properties_are_asked_one_by_one_and_of_busy_units_only(tmp_path, monkeypatch):
    heard = []

    def script(connection):
        def rows(array):
            for name, sub in (("a.service", "running"), ("idle.service", "dead"), ("a.slice", "active")):
                array.pad(8)
                for text in (name, "d", "loaded", "active", sub, "", "/unit/" + name):
                    array.text(text)
                array.number("u", 0).text("").text("/")
        connection.recv(65536)
        connection.sendall(message("<", Encoder("<").array(8, rows).data, reply_to=1, signature="a(ssssssouso)"))
        heard.append(connection.recv(65536))
        value = Encoder("<").signature("u").number("u", 7).data
        connection.sendall(
            message("<", Encoder("<").signature("b").number("b", 1).data, reply_to=3, signature="v") + message("<", value, reply_to=2, signature="v")
            + message("<", b"", kind=3, reply_to=4, error="org.freedesktop.DBus.Error.UnknownProperty", signature="")
            + message("<", Encoder("<").signature("b").number("b", 0).data, reply_to=5, signature="v"))

    peer = Peer(tmp_path, script)
    monkeypatch.setattr(bus, "PRIVATE_SOCKET", peer.path)
    found = bus.unit_properties(("*.service", "*.slice"), ("MainPID", "NeedDaemonReload"), time.monotonic() + 10)
    peer.listener.close()
    assert found == {"a.service": {"MainPID": 7, "NeedDaemonReload": True}, "a.slice": {"NeedDaemonReload": False}, "idle.service": {}}
    for text in (b"org.freedesktop.systemd1.Service", b"org.freedesktop.systemd1.Slice", b"org.freedesktop.systemd1.Unit"):
        assert text in heard[0]
    assert b"/unit/idle" not in heard[0]
