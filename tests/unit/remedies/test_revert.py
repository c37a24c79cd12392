"""The way back of a change of how people log in: which changes have one, what waits, and what is left when it is confirmed or went wrong."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pidhygiene.remedies import apply, manager, revert
from pidhygiene.remedies.files import PutFile
from pidhygiene.remedies.model import Failed, Proposal, Remedy, Step

UP, DOWN = manager.Ended("active", "waiting", 0, "success"), manager.Ended("inactive", "dead", 0, "success")
FOR_ROOT = {"domain": "root"}


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What systemd was told; a timer is active from its start to its stop."""
    told: dict[str, Any] = {"active": False, "started": []}

    def start(timer: str, given: Any, service: str, others: Any) -> None:
        told["started"].append((dict((each[0], each[2]) for each in given), dict((each[0], each[2]) for each in others)))
        told["active"] = not told.get("deaf")

    for name in ("STATE", "AT_BOOT", "WANTED"):
        monkeypatch.setattr(revert, name, str(tmp_path / name))
    monkeypatch.setattr(revert, "start_transient", start)
    monkeypatch.setattr(manager, "settled", lambda unit: UP if told["active"] and unit.endswith(".timer") else DOWN)
    monkeypatch.setattr(manager, "job", lambda verb, unit: told.update(active=False))
    return told


def go_off(told: dict[str, Any]) -> None:
    """As the service of the timer does it."""
    for line in told["started"][-1][1]["ExecStart"]:
        subprocess.run(line, check=True)


@pytest.mark.parametrize(("remedy", "given", "touches"), [
    ("pam_limits_line", {"domain": "root"}, True), ("pam_limits_line", {"domain": "*"}, True), ("pam_limits_line", {"state": "absent"}, True),
    ("pam_limits_line", {"domain": "oracle"}, False), ("unit_limits", {"unit": "ssh.service"}, True), ("unit_limits", {"unit": "systemd-logind.service"}, True),
    ("unit_limits", {"unit": "nginx.service"}, False), ("restart", {"unit": "ssh.service"}, False), ("time_zone", {"name": "UTC"}, False),
])
def test_what_has_a_way_back(remedy: str, given: dict[str, Any], touches: bool) -> None:
    assert revert.touches_logins(remedy, given) is touches


def test_the_old_file_itself_comes_back(systemd: dict[str, Any], tmp_path: Path) -> None:
    old, new = tmp_path / "old.conf", tmp_path / "new.conf"
    old.write_text("before")
    old.chmod(0o640)
    inode = old.stat().st_ino
    steps = [PutFile(str(old), "after"), PutFile(str(new), "after")]
    assert revert.arm("pam_limits_line", FOR_ROOT, steps, 300) and revert.waits()
    assert systemd["started"][0][0]["OnActiveSec"] == 300 * 10**6
    for step in steps:
        step.do()
    assert old.read_text() == new.read_text() == "after" and old.stat().st_ino != inode
    go_off(systemd)
    assert old.read_text() == "before" and old.stat().st_ino == inode and old.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["old.conf"] and not revert.waits() and revert.keep() == []


def test_what_is_confirmed_stays(systemd: dict[str, Any], tmp_path: Path) -> None:
    old = tmp_path / "old.conf"
    old.write_text("before")
    step = PutFile(str(old), "after")
    assert revert.arm("unit_limits", {"unit": "ssh.service"}, [step], 300)
    assert ("/bin/systemctl", "try-restart", "--", "ssh.service") in systemd["started"][0][1]["ExecStart"]
    step.do()
    assert revert.keep() == [str(old)] and not systemd["active"]
    assert old.read_text() == "after" and [each.name for each in tmp_path.iterdir()] == ["old.conf"]


def test_two_changes_go_back_together_to_the_first_state(systemd: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("first")
    for text in ("second", "third"):
        step = PutFile(str(path), text)
        assert revert.arm("pam_limits_line", FOR_ROOT, [step], 300)
        step.do()
    assert len(systemd["started"]) == 2
    go_off(systemd)
    assert path.read_text() == "first"


def test_nothing_waits_for_what_changes_nothing(systemd: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("same")
    assert not revert.arm("pam_limits_line", FOR_ROOT, [PutFile(str(path), "same")], 300)
    assert not revert.arm("pam_limits_line", {"domain": "oracle"}, [PutFile(str(path), "new")], 300) and systemd["started"] == []


def test_without_the_timer_nothing_is_written(systemd: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "LOCK", str(tmp_path / "lock"))
    path = tmp_path / "a.conf"
    path.write_text("before")
    remedy = Remedy("pam_limits_line", "", (), lambda host, given: Proposal((PutFile(str(path), "after"),)), lambda host, given: [])
    systemd["deaf"] = True
    with pytest.raises(Failed) as caught:
        apply.apply(remedy, {}, revert_after=300)
    assert "did not take the timer" in str(caught.value) and path.read_text() == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.conf", "lock"]


def test_a_change_that_was_undone_waits_for_nothing(systemd: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaks(Step):
        def differences(self) -> list[Any]:
            return []

        def do(self) -> None:
            raise OSError(28, "No space left on device")

        def undo(self) -> None:
            pass

    monkeypatch.setattr(apply, "LOCK", str(tmp_path / "lock"))
    path = tmp_path / "a.conf"
    path.write_text("before")
    remedy = Remedy("pam_limits_line", "", (), lambda host, given: Proposal((PutFile(str(path), "after"), Breaks())), lambda host, given: [])
    with pytest.raises(Failed):
        apply.apply(remedy, {}, revert_after=300)
    assert path.read_text() == "before" and not revert.waits() and not systemd["active"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.conf", "lock"]


def test_a_broken_state_is_no_way_back(systemd: dict[str, Any]) -> None:
    Path(revert.STATE).write_text("{")
    assert revert.keep() == [] and not revert.waits()
    Path(revert.STATE).write_text(json.dumps({"files": {}}))
    assert revert.keep() == [] and not revert.waits()


def test_the_call_is_aligned_as_the_bus_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """D-Bus Specification, "Marshaling": an array's length leaves out the padding before its first element."""
    sent: list[Any] = []
    monkeypatch.setattr(manager, "call", lambda member, body, signature: sent.append((member, body, signature)))
    revert.start_transient("a.timer", [("OnActiveSec", "t", 5)], "a.service", [("ExecStart", "a(sasb)", [("/bin/true", "x")])])
    member, body, signature = sent[0]
    assert (member, signature) == ("StartTransientUnit", "ssa(sv)a(sa(sv))")
    assert body[:20] == struct.pack("<I", 7) + b"a.timer\0" + struct.pack("<I", 4) + b"fail"
    place = 24  # behind the end of "fail" and its padding
    (length,) = struct.unpack_from("<I", body, place)
    assert body[place + 8:place + 24] == struct.pack("<I", 11) + b"OnActiveSec\0" and struct.unpack_from("<Q", body, place + 8 + length - 8) == (5,)


def test_the_next_boot_takes_back_what_waits(systemd: dict[str, Any], tmp_path: Path) -> None:
    old = tmp_path / "a\\x2db.conf"
    old.write_text("before")
    steps = [PutFile(str(old), "after")]
    assert revert.arm("unit_limits", {"unit": "ssh.service"}, steps, 300)
    text = Path(revert.AT_BOOT).read_text()
    assert "ConditionPathExists=!%s\n" % revert.STATE in text and Path(revert.WANTED).readlink() == Path(revert.AT_BOOT)
    moved = str(old).replace("\\", "\\\\")
    assert 'ExecStart=-"/bin/mv" "-f" "-T" "--" "%s.pidhygiene-old" "%s"\n' % (moved, moved) in text
    assert "daemon-reload" in text and "try-restart" not in text, "it is started later"
    revert.keep()
    assert not Path(revert.AT_BOOT).exists() and not Path(revert.WANTED).is_symlink()


@pytest.mark.parametrize(("word", "text"), [("a b", '"a b"'), ("a%n$x", '"a%%n$$x"'), ('a"b\\', '"a\\"b\\\\"')])
def test_words_of_a_command_line(word: str, text: str) -> None:
    assert revert.quoted(word) == text
