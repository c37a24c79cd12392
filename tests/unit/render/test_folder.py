"""The report folder: one file per host whatever its name, written whole, read with suspicion."""

import json
import os
import stat
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from render import folder


def attempt(host="web1"):
    return folder.attempt(host, folder.UNREACHABLE, "2027-01-01T00:00:00Z", "no route", "look at the cable")


@pytest.mark.parametrize("host", ["web1", "web-1.example.org", "10.0.0.1", "fe80::1", "a/../../etc/passwd", "..", ".hidden", "x y", "ü", "\udcff", "a" * 300, "%2e"])
def test_a_host_has_one_file_inside_the_folder(tmp_path, host):
    written = folder.write(tmp_path, host, attempt(host))
    assert os.path.realpath(written.path) == written.path
    assert os.path.dirname(written.path) == str(tmp_path / "not-audited")
    assert not os.path.basename(written.path).startswith(".")
    assert folder.entry(tmp_path, host).document["outcome"] == "unreachable"


@given(st.lists(st.text(max_size=12), unique=True, max_size=20))
def test_names_never_collide_and_can_be_read_back(names):
    files = [folder.file_name(name) for name in names if not any("\ud800" <= char <= "\udfff" for char in name)]
    assert len(set(files)) == len(files)
    assert [unquote(each[:-5]) for each in files] == [name for name in names if not any("\ud800" <= char <= "\udfff" for char in name)]


def test_files_are_for_their_owner_only(tmp_path, result):
    written = folder.write(tmp_path / "report", "web1", result())
    assert stat.S_IMODE(os.stat(written.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "report").st_mode) & 0o077 == 0


def test_a_result_is_written_as_the_command_line_writes_it(tmp_path, result):
    from pidhygiene.__main__ import canonical

    document = result()
    written = folder.write(tmp_path, "web1", document)
    with open(written.path, encoding="utf-8") as stream:
        assert stream.read() == canonical(document)


def test_an_attempt_keeps_the_last_result_and_a_result_ends_the_attempt(tmp_path, result):
    folder.write(tmp_path, "web1", result())
    folder.write(tmp_path, "web1", attempt())
    assert folder.entry(tmp_path, "web1").document["schema"] == folder.ATTEMPT
    assert folder.marks(tmp_path, "web1")["version"] == 1
    folder.write(tmp_path, "web1", result())
    assert folder.entry(tmp_path, "web1").document["schema"] == folder.RESULT
    assert list((tmp_path / "not-audited").iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, result, monkeypatch):
    folder.write(tmp_path, "web1", result())
    before = (tmp_path / "results/web1.json").read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.write(tmp_path, "web1", result(host={"name": "other"}))
    assert (tmp_path / "results/web1.json").read_bytes() == before
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["web1.json"]


def test_no_marks_without_a_usable_result(tmp_path):
    assert folder.marks(tmp_path, "web1") is None
    (tmp_path / "results").mkdir()
    (tmp_path / "results/web1.json").write_text("{")
    assert folder.marks(tmp_path, "web1") is None


@pytest.mark.parametrize("change, message", [
    ({"schema": "pidhygiene.result/9"}, "schema"), ({"findings": {}}, "findings"), ({"findings": [3]}, r"findings\[0\]"), ({"host": None}, "host"),
    ({"findings": [{"rule": 1}]}, r"findings\[0\].rule"), ({"rules": [None]}, "rules"),
])
def test_what_is_no_result_is_refused_with_its_place(result, change, message):
    with pytest.raises(folder.NotAResult, match=message):
        folder.checked(result(**change))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\xff", '{"schema": "pidhygiene.result/1"}', "null"])
def test_a_file_that_is_no_result_becomes_a_failed_host(tmp_path, text):
    (tmp_path / "web1.json").write_bytes(text.encode("latin-1"))
    (entry,) = folder.entries(tmp_path)
    assert (entry.host, entry.document["outcome"]) == ("web1", "failed")
    assert "web1.json holds no result" in entry.document["message"]


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "web1.json", "wb") as stream:
        stream.truncate(folder.MOST_BYTES + 1)
    (entry,) = folder.entries(tmp_path)
    assert "larger than any result" in entry.document["message"]


@given(st.text())
def test_harmless_text_moves_no_cursor(text):
    shown = folder.harmless({"a": [text]})["a"][0]
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    shown.encode("utf-8")


def test_results_of_other_front_ends_may_lie_in_the_folder(tmp_path, result):
    (tmp_path / "by-hand.json").write_text(json.dumps(result()))
    folder.write(tmp_path, "web1", result())
    assert [entry.host for entry in folder.entries(tmp_path)] == ["by-hand", "web1"]
