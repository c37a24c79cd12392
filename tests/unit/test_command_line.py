"""The command line: exit status, formats, and errors that tell the next step."""

import io
import json

import pytest
from pidhygiene import __main__ as command
from pidhygiene import explain, snapshot, terminal
from pidhygiene.audit import audit
from simulated import SimulatedHost


@pytest.fixture
def sick(tmp_path):
    """The file of a snapshot with a user at his limit, and a leak."""
    host = SimulatedHost().process(700, 1, "oracle", uid=500, threads=95, nproc=(100, 100), cgroup="/user.slice/user-500.slice/session-1.scope")
    host.process(8102, 1, "beremote", start=86400, cgroup="/system.slice/VRTSralus.service").group("/system.slice/VRTSralus.service", 1000, 31)
    for pid in range(9000, 9030):
        host.process(pid, 8102, "ora", "Z", uid=33, dead=3000)
    host.unit("VRTSralus.service", MainPID=8102, ControlGroup="/system.slice/VRTSralus.service")
    recorder = snapshot.RecordingHost(host)
    audit(recorder)
    for what in ("8102", "9000", "700", "oracle", "VRTSralus.service"):
        explain.explain(recorder, what)
    path = str(tmp_path / "sick.json")
    snapshot.save(recorder.document(), path)
    return path


def run(capsys, *arguments):
    status = command.main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("fail_on, status", [("fail", 100), ("warn", 100), ("unknown", 100), ("never", 0)])
def test_exit_status_of_a_sick_host(capsys, sick, fail_on, status):
    assert run(capsys, "check", "--snapshot", sick, "--fail-on", fail_on)[0] == status


def test_exit_status_below_the_gate(capsys, sick):
    assert run(capsys, "check", "--snapshot", sick, "--rule", "PH-ZMB-001")[0] == 0, "a warning is below the default gate"
    assert run(capsys, "check", "--snapshot", sick, "--rule", "PH-ZMB-001", "--fail-on", "warn")[0] == 100


def test_text_is_for_people(capsys, sick):
    _status, out, _err = run(capsys, "check", "--snapshot", sick)
    assert out.index("FAIL") < out.index("WARN"), "the worst first"
    assert "User oracle has 95 tasks of 100 allowed (95.0 %)" in " ".join(out.split())
    assert "pidhygiene explain PH-LIM-001" in out and "\x1b" not in out
    assert "Nearest limit: RLIMIT_NPROC" in out


def test_json_is_for_machines(capsys, sick):
    _status, out, _err = run(capsys, "check", "--snapshot", sick, "--format", "json")
    assert json.loads(out)["schema"] == "pidhygiene.result/1"
    assert run(capsys, "check", "--snapshot", sick, "--format", "json")[1] == out


def test_the_last_result_is_history(capsys, sick, tmp_path):
    (tmp_path / "last.json").write_text(run(capsys, "check", "--snapshot", sick, "--format", "json")[1])
    assert run(capsys, "check", "--snapshot", sick, "--previous", str(tmp_path / "last.json"))[0] == 100
    (tmp_path / "none.json").write_text("{}")
    status, _out, err = run(capsys, "check", "--snapshot", sick, "--previous", str(tmp_path / "none.json"))
    assert status == 1 and "is no result of pidhygiene check --format json" in err
    (tmp_path / "broken.json").write_text("{")
    assert run(capsys, "check", "--snapshot", sick, "--previous", str(tmp_path / "broken.json"))[0] == 1


@pytest.mark.parametrize("name, text, words", [
    ("p.yaml", "zombies:\n  warn: 5\n  fale: 3\n", ["p.yaml:3: zombies.fale: is no setting; did you mean 'fail'?"]),
    ("p.json", '{"zone": {"expected": 5}}', ["p.json:1: zone.expected: must be the name of a zone"]),
    ("p.yaml", "a: [", ["p.yaml"]), ("p.json", "{", ["p.json"]),
    ("p.yaml", "waivers:\n- rule: PH-*\n  owner: me\n  justification: x\n  expires: 2027-13-01\n", ["p.yaml:5: waivers[0].expires"])])
def test_policy_mistakes_name_file_line_and_key(capsys, sick, tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    status, _out, err = run(capsys, "check", "--snapshot", sick, "--policy", str(tmp_path / name))
    assert status == 2 and all(word in err for word in words), err


def test_a_good_policy_counts(capsys, sick, tmp_path):
    (tmp_path / "p.yaml").write_text("headroom:\n  warn: 0.99\n  fail: 0.99\nwaivers:\n- {rule: PH-ZMB-*, owner: me, justification: known, expires: 2099-01-01}\n")
    status, out, _err = run(capsys, "check", "--snapshot", sick, "--policy", str(tmp_path / "p.yaml"), "--rule", "PH-LIM-001", "--rule", "PH-ZMB-001")
    assert status == 0 and "waived 2099-01-01, me" in out


@pytest.mark.parametrize("arguments, status", [
    (("check", "--rule", "PH-NOPE"), 2), (("check", "--snapshot", "/nowhere"), 1), (("explain", "no-such-thing"), 1), (("check", "--policy", "/nowhere"), 1)])
def test_what_cannot_be_done(capsys, arguments, status):
    got, out, err = run(capsys, *arguments)
    assert got == status and out == "" and err.startswith("pidhygiene: ") and "Traceback" not in err


def test_usage(capsys):
    assert command.main([]) == 2
    assert "examples:" in capsys.readouterr().out
    for arguments in (["--help"], ["check", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as left:
            command.main(arguments)
        assert left.value.code == 0
    with pytest.raises(SystemExit) as left:
        command.main(["check", "--fromat", "json"])
    assert left.value.code == 2


def test_rules_are_listed(capsys):
    status, out, _err = run(capsys, "rules")
    assert status == 0 and "PH-ZMB-001" in out
    assert {"rule", "title", "severity"} == set(json.loads(run(capsys, "rules", "list", "--format", "json")[1])[0])


def test_a_live_snapshot_is_taken_and_judged(capsys, tmp_path):
    path = str(tmp_path / "here.json.gz")
    status, out, _err = run(capsys, "snapshot", path)
    assert status == 0 and "judges it again" in out
    assert run(capsys, "check", "--snapshot", path)[0] in (0, 100)


def test_explain_a_unit_a_user_a_process_and_a_rule(capsys, sick):
    _status, out, _err = run(capsys, "explain", "VRTSralus.service", "--snapshot", sick)
    assert "→ pids.max of /system.slice/VRTSralus.service: 31 of 1000" in out or "31 of 1000" in out
    _status, out, _err = run(capsys, "explain", "oracle", "--snapshot", sick)
    assert "→ RLIMIT_NPROC of user oracle: 95 of 100 (95.0 %)" in out and "room for 5 more" in out
    _status, out, _err = run(capsys, "explain", "9000", "--snapshot", sick)
    assert "signals do nothing to it" in out and "mend or restart VRTSralus.service" in " ".join(out.split())
    _status, out, _err = run(capsys, "explain", "8102", "--snapshot", sick)
    assert "RLIMIT_NPROC does not bind it" in out
    _status, out, _err = run(capsys, "explain", "ph-zmb-001")
    assert "Persistent zombies under one parent" in out
    answer = json.loads(run(capsys, "explain", "700", "--snapshot", sick, "--format", "json")[1])
    assert answer["chain"][0]["limit"] == "RLIMIT_NPROC of user oracle"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colour_only_where_it_is_wanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.style_for(Terminal()).colour and not terminal.style_for(io.StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "")
    assert not terminal.style_for(Terminal()).colour
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.style_for(Terminal()).colour


def test_rendering_in_colour_says_the_same():
    result = audit(SimulatedHost().process(700, 1, "x", uid=500, threads=95, nproc=(100, 100)))
    plain = terminal.render(result, terminal.Style(False, 100), details=True)
    import re

    assert re.sub("\x1b\\[[0-9;]*m", "", terminal.render(result, terminal.Style(True, 100), details=True)) == plain


def test_what_several_rules_cannot_judge_for_one_reason_is_told_once():
    result = audit(SimulatedHost().forbid("/proc/1/exe").forbid("/proc/1/environ"))
    text = terminal.render(result, terminal.Style(False, 100))
    unknown = [finding["rule"] for finding in result["findings"] if finding["status"] == "unknown" and finding["subject"]["id"] == "permission denied"]
    assert len(unknown) > 2
    assert text.count("permission denied\n") == 3, "the head, and each place once"
    assert "UNKNOWN LOW   %d rules  permission denied\n" % len(unknown) in text
    assert all("(%s)" % rule in text for rule in unknown)


def test_a_terminal_without_unicode_gets_its_answer(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    command._write("café → ok\n")
    stream.flush()
    assert stream.buffer.getvalue() == b"caf? ? ok\n"
