"""A recorded host gives the same result as the host itself, byte for byte, and never more than was recorded."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene import snapshot
from pidhygiene.__main__ import canonical
from pidhygiene.audit import audit
from pidhygiene.host import Denied, LiveHost, NotRecorded, OutOfTime
from simulated import SimulatedHost


def recorded(host):
    recorder = snapshot.RecordingHost(host)
    result = audit(recorder)
    return result, recorder.document()


def test_a_live_host_is_replayed_byte_for_byte(tmp_path):
    result, document = recorded(LiveHost())
    for name in ("host.json", "host.json.gz"):
        snapshot.save(document, str(tmp_path / name))
        assert canonical(audit(snapshot.load(str(tmp_path / name)))) == canonical(result)


def test_errors_and_second_looks_are_replayed():
    host = SimulatedHost().process(8102, 1, "leaky", cgroup="/system.slice/a.service").forbid("/etc/passwd")
    for pid in range(9000, 9030):
        host.process(pid, 8102, "child", "Z", dead=10)
    result, document = recorded(host.without_sched())
    assert len(document["samples"]) == 3, "the first look, a short wait, a long wait"
    assert canonical(audit(snapshot.SnapshotHost(document))) == canonical(result)


def test_what_was_not_looked_at_is_not_in_the_snapshot():
    _result, document = recorded(SimulatedHost())
    del document["samples"][0][json.dumps(["read", "/proc/loadavg", 1048576, "/"])]
    again = audit(snapshot.SnapshotHost(document), rules=["PH-PID-001"])
    assert again["rules"][0]["status"] == "unknown"
    assert again["findings"][0]["evidence"][0]["value"] == "not in snapshot"
    replay = snapshot.SnapshotHost(document)
    for ask in (lambda: replay.read("/etc/shadow"), lambda: replay.list("/root"), lambda: replay.readlink("/x"), lambda: replay.stat("/x"),
                lambda: replay.namespace_owner("/x"), lambda: replay.look_again_after(1), lambda: replay.journal(["A=b"], [], 0, 1),
                lambda: replay.read_tail("/x", 1)):
        with pytest.raises(NotRecorded, match="not in snapshot"):
            ask()


def test_secrets_are_not_recorded():
    host = SimulatedHost().process(700, 1, "app", argv=("app", "--password", "hunter2", "--url=https://me:hunter2@x/"),
                                   environ={"TZ": "UTC", "API_KEY": "hunter2", "AWS_SECRET": "hunter2"})
    for pid in range(800, 830):
        host.process(pid, 700, "child", "Z", dead=10)
    result, document = recorded(host)
    assert "hunter2" not in json.dumps(document) and "hunter2" not in json.dumps(result)


@pytest.mark.parametrize("arguments, kept", [
    (b"app\0--password\0hunter2\0", b"app\0--password\0***\0"), (b"app\0-x\0a b\0", b"app\0-x\0a b\0"), (b"app\0token=abc\0", b"app\0token=***\0")])
def test_arguments_are_masked_one_by_one(arguments, kept):
    assert snapshot.without_secrets("/proc/1/cmdline", arguments) == kept


def test_every_kind_of_error_is_replayed_as_itself():
    host = SimulatedHost().forbid("/etc/a", OutOfTime("/etc/a", "late")).forbid("/etc/b", Denied("/etc/b", "permission denied"))
    recorder = snapshot.RecordingHost(host)
    for path in ("/etc/a", "/etc/b", "/etc/c"):
        with pytest.raises(Exception):  # noqa: B017
            recorder.read(path)
    replay = snapshot.SnapshotHost(json.loads(json.dumps(recorder.document())))
    with pytest.raises(OutOfTime, match="late"):
        replay.read("/etc/a")
    with pytest.raises(Denied):
        replay.read("/etc/b")


@given(st.binary())
def test_any_bytes_survive(data):
    host = SimulatedHost()
    host.files["/etc/bytes"] = data
    host._enter("/etc/bytes")
    recorder = snapshot.RecordingHost(host)
    assert recorder.read("/etc/bytes") == data
    assert snapshot.SnapshotHost(json.loads(json.dumps(recorder.document()))).read("/etc/bytes") == data


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\x1f\x8bnot gzip", b"\xff", b'{"schema": "pidhygiene.snapshot/9", "samples": []}'])
def test_what_is_no_snapshot_is_refused(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(snapshot.NotASnapshot):
        snapshot.load(str(path))


def test_a_snapshot_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(OSError):
        snapshot.save({"x": 1}, str(tmp_path / "missing" / "x.json"))
    snapshot.save({"x": 1}, str(tmp_path / "x.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
