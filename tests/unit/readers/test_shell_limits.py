from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidhygiene.host import LiveHost
from pidhygiene.model import UNLIMITED, Gap
from pidhygiene.readers import shell_limits


def settings(text: str) -> list[tuple[str, str, int]]:
    """(item, halves, value) of each."""
    return [(line.item, ("S" if line.soft else "") + ("H" if line.hard else ""), line.value) for line in shell_limits.parse(text, "/f")]


@pytest.mark.parametrize("text, expected", [
    ("ulimit -n 65535", [("nofile", "SH", 65535)]),
    ("ulimit -Sn 1024", [("nofile", "S", 1024)]),
    ("ulimit -H -u 4096", [("nproc", "H", 4096)]),
    ("ulimit -SHn 65535", [("nofile", "SH", 65535)]),
    ("ulimit -n 4096 -u unlimited", [("nofile", "SH", 4096), ("nproc", "SH", UNLIMITED)]),
    ("ulimit -u 16384 -n65536", [("nproc", "SH", 16384), ("nofile", "SH", 65536)]),
    ("if [ $USER = oracle ]; then ulimit -n 65536; ulimit -u 16384; fi", [("nofile", "SH", 65536), ("nproc", "SH", 16384)]),
    ("  test -x /x && ulimit -l unlimited || true", [("memlock", "SH", UNLIMITED)]),
    ("{ ulimit -s 10240; }", [("stack", "SH", 10485760)]),
    ('ulimit -n "8192" # more', [("nofile", "SH", 8192)]),
    ("# ulimit -n 5", []), ("echo ulimit -n 5", []), ("ulimit -n $MAX", []), ("ulimit -n", []), ("ulimit -a", []), ("ulimit -c 0", []),
    ("ulimit -n hard", []), ("ulimit -n $(cat /x)", []), ("myulimit -n 5", []),
])
def test_lines(text: str, expected: list[tuple[str, str, int]]) -> None:
    assert settings(text) == expected


def test_files(tmp_path: Path) -> None:
    files = {"etc/profile": "\nulimit -n 1\n", "etc/profile.d/a.sh": "ulimit -n 2\n", "etc/profile.d/a.csh": "ulimit -n 3\n", "home/root/.bashrc": "ulimit -n 4\n",
             "etc/init.d/x": "ulimit -n 5\n", "etc/default/x": "ulimit -u 6\n", "etc/init.d/y": "", "etc/rc.local": "ulimit -n 7\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    read = shell_limits.read(LiveHost(root=str(tmp_path)), "/home/root", None)
    assert [(line.place, line.value) for line in read.profiles] == [("/etc/profile:2", 1), ("/etc/profile.d/a.sh:1", 2), ("/home/root/.bashrc:1", 4)]
    assert [line.value for line in read.scripts["x"]] == [5, 6] and read.scripts["y"] == () and [line.value for line in read.boot] == [7]
    assert not read.gaps
    chosen = shell_limits.read(LiveHost(root=str(tmp_path)), "/home/root", ["y"])
    assert set(chosen.scripts) == {"y"}


def test_scripts_are_not_read_where_no_profile_sets_anything(tmp_path: Path) -> None:
    (tmp_path / "etc/init.d").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/init.d/x")
    assert shell_limits.read(LiveHost(root=str(tmp_path)), "/root", None) == shell_limits.ShellLimits((), (), {}, ())


def test_what_cannot_be_read_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/profile")
    assert shell_limits.read(LiveHost(root=str(tmp_path)), "/root", None).gaps == (Gap("/etc/profile", "not a regular file"),)


@given(st.text(alphabet="ulimit -nSHu0123456789;&$ {}#\n\"'\\", max_size=80))
def test_any_text_is_read(text: str) -> None:
    settings(text)
    settings("ulimit " + text)
