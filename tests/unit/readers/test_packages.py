from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pidhygiene.host import LiveHost
from pidhygiene.readers import packages
from pidhygiene.readers.packages import compare_versions

STATUS = b"""Package: libpam-modules
Status: deinstall ok config-files
Version: 0.1

Package: libpam-modules
Status: install ok installed
Architecture: amd64
Version: 1.5.2-6+deb12u1
Description: Pluggable Authentication Modules
 Package: systemd
 .
 text

Package: systemd
Status: install ok unpacked
Version: 252.39-1~deb12u1

Package: cron
Status: deinstall ok config-files
Version: 3.0pl1-162

Package: tzdata
Status: install ok installed
Version: 2025b-0+deb12u1"""


def test_installed_packages(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_bytes(STATUS)
    found = packages.read(LiveHost(root=str(tmp_path)))
    assert found.manager == "dpkg" and not found.gaps
    assert found.versions == {"libpam-modules": "1.5.2-6+deb12u1", "systemd": "252.39-1~deb12u1", "tzdata": "2025b-0+deb12u1"}


def test_an_rpm_database_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/sysimage/rpm").mkdir(parents=True)
    found = packages.read(LiveHost(root=str(tmp_path)))
    assert found.manager == "rpm" and found.gaps == (packages.Gap("/usr/lib/sysimage/rpm", "rpm database not read"),)


def test_no_database(tmp_path: Path) -> None:
    assert packages.read(LiveHost(root=str(tmp_path))) == packages.Packages("", {}, ())


def test_an_unreadable_database_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg/status").mkdir(parents=True)
    assert packages.read(LiveHost(root=str(tmp_path))).gaps[0].reason == "not a regular file"


@pytest.mark.skipif(not Path(packages.DPKG_STATUS).exists(), reason="this machine has no dpkg")
def test_this_machine_as_dpkg_tells_it() -> None:
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\t${Version}\t${db:Status-Status}\n"], capture_output=True, text=True).stdout
    real = {name: version for name, version, status in (line.split("\t") for line in shown.splitlines()) if status == "installed"}
    found = packages.read(LiveHost()).versions
    assert found == {name: real[name] for name in packages.WANTED if name in real}
    assert "libc6" in found


@pytest.mark.parametrize("older, newer", [
    ("1.5.2-6+deb12u1", "1.7.0-1"), ("1.7.0-1~bpo12+1", "1.7.0-1"), ("1.7.0-0ubuntu1", "1.7.0-1"), ("1.0", "1:0.1"), ("3.0pl1-137", "3.0pl1-152"),
    ("2.0~rc1", "2.0"), ("1.0", "1.0-1"), ("9", "10"), ("1.0a", "1.0+"), ("", "0a"),
])
def test_order(older: str, newer: str) -> None:
    assert compare_versions(older, newer) < 0 < compare_versions(newer, older)


def test_equal() -> None:
    assert compare_versions("0:1.0-0", "1.0") == 0 and compare_versions("1.00", "1.0") == 0


def test_upstream_numbers() -> None:
    assert packages.numbers(packages.upstream("2:1.5.2+dfsg-6+deb12u1")) == (1, 5, 2)
    assert packages.numbers("1.7.0") == (1, 7, 0) and packages.numbers("x") == () and packages.numbers("1..2") == (1,)


VERSIONS = st.from_regex(r"\A(0:|1:)?[0-9][a-z0-9.+~]{0,6}(-[a-z0-9.+~]{1,4})?\Z")


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is not installed")
@settings(max_examples=150, deadline=None)
@example("1.0-1", "1.0-1+b1")
@given(VERSIONS, VERSIONS)
def test_order_is_dpkgs(one: str, other: str) -> None:
    def dpkg(relation: str) -> bool:
        return subprocess.run(["dpkg", "--compare-versions", one, relation, other], stderr=subprocess.DEVNULL).returncode == 0

    order = compare_versions(one, other)
    assert ("lt" if order < 0 else "gt" if order > 0 else "eq") == ("lt" if dpkg("lt") else "gt" if dpkg("gt") else "eq")


@given(st.text(), st.text())
def test_any_text_is_compared(one: str, other: str) -> None:
    assert compare_versions(one, other) == -compare_versions(other, one) or compare_versions(one, other) * compare_versions(other, one) < 0


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    packages.installed(data, packages.WANTED)
