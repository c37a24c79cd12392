from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidhygiene.host import LiveHost
from pidhygiene.readers import distribution


def test_debian(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n# ID=no\n')
    found = distribution.read(LiveHost(root=str(tmp_path)))
    assert (found.id, found.like, found.version, found.codename, found.major) == ("debian", (), "12", "bookworm", 12)
    assert not found.gaps


def test_the_vendor_file_stands_in(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID='rocky'\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"")
    found = distribution.read(LiveHost(root=str(tmp_path)))
    assert found.family == ("rocky", "rhel", "centos", "fedora") and found.major == 9


def test_none_is_a_gap(tmp_path: Path) -> None:
    found = distribution.read(LiveHost(root=str(tmp_path)))
    assert found.id == "linux" and found.major == 0 and found.gaps[0].reason == "does not exist"


def test_a_file_that_cannot_be_read_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "etc/os-release").mkdir(parents=True)
    assert distribution.read(LiveHost(root=str(tmp_path))).gaps[0].reason == "not a regular file"


@pytest.mark.parametrize("written, meant", [
    ("plain", "plain"), ('"a b"', "a b"), ("'a\\b'", "a\\b"), ('"a\\"b\\\\c"', 'a"b\\c'), ('"', '"'), ("", ""), ("a\\", "a"),
])
def test_quoting(written: str, meant: str) -> None:
    assert distribution.parse("NAME=" + written)["NAME"] == meant


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    distribution.of(distribution.parse(text))
