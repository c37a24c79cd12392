"""Files change whole or not at all, and come back as they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pidhygiene.remedies import files
from pidhygiene.remedies.files import MARK, PutFile, PutLink
from pidhygiene.remedies.model import Failed, Refused


def test_a_new_file_and_its_folders_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "a.service.d" / "zz.conf"
    step = PutFile(str(path), "text\n")
    assert step.needed and not path.parent.exists()
    step.do()
    assert path.read_text() == "text\n" and oct(path.stat().st_mode & 0o7777) == "0o644" and oct(path.parent.stat().st_mode & 0o7777) == "0o755"
    assert not PutFile(str(path), "text\n").needed
    step.undo()
    assert list(tmp_path.iterdir()) == []


def test_owner_and_mode_stay(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1, 2)
    before = path.stat()
    PutFile(str(path), "new").do()
    after = path.stat()
    assert path.read_text() == "new" and (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino, "replaced, not written over"


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xff\xfe old\n")
    step = PutFile(str(path), "new")
    step.do()
    step.undo()
    assert path.read_bytes() == b"\xff\xfe old\n"


def test_a_change_of_somebody_else_is_not_overwritten_nor_undone(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    step = PutFile(str(path), "new")
    path.write_text("somebody's")
    with pytest.raises(Failed) as caught:
        step.do()
    step.undo()
    assert caught.value.state == "old" and path.read_text() == "somebody's"


def test_what_a_killed_run_left_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / (".f" + MARK)).write_text("half")
    PutFile(str(tmp_path / "f"), "whole").do()
    assert [each.name for each in tmp_path.iterdir()] == ["f"] and (tmp_path / "f").read_text() == "whole"


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "fchmod"])
def test_a_failing_call_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    step = PutFile(str(path), "new")

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, call, fail)
        with pytest.raises(OSError):
            step.do()
    step.undo()
    assert [each.name for each in tmp_path.iterdir()] == ["f"] and path.read_text() == "old"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: os.mkfifo(path), lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / "f")
    with pytest.raises(Refused):
        PutFile(str(tmp_path / "f"), "text")


def test_a_removed_drop_in_takes_its_empty_folder_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "a.service.d"
    folder.mkdir()
    (folder / "zz.conf").write_text("x")
    step = PutFile(str(folder / "zz.conf"), None)
    step.do()
    assert not folder.exists()
    step.undo()
    assert (folder / "zz.conf").read_text() == "x"
    (folder / "other.conf").write_text("y")
    PutFile(str(folder / "zz.conf"), None).do()
    assert [each.name for each in folder.iterdir()] == ["other.conf"]


@pytest.mark.parametrize("before", ["link", "file", "nothing"])
def test_a_link_replaces_what_was_there_and_gives_it_back(tmp_path: Path, before: str) -> None:
    path = tmp_path / "localtime"
    if before == "link":
        path.symlink_to("old")
    elif before == "file":
        path.write_bytes(b"TZif2\0\xff")
    step = PutLink(str(path), "../zone")
    assert step.needed and step.differences()[0].after == "-> ../zone"
    step.do()
    assert os.readlink(path) == "../zone" and not PutLink(str(path), "../zone").needed
    step.undo()
    if before == "link":
        assert os.readlink(path) == "old"
    elif before == "file":
        assert not path.is_symlink() and path.read_bytes() == b"TZif2\0\xff"
    else:
        assert list(tmp_path.iterdir()) == []
