"""The two commands of the README, in a fresh clone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from doors import REPOSITORY, Run, result_of, succeeded


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", REPOSITORY, tmp_path / "clone"], check=True)
    shutil.copy(REPOSITORY / "Makefile", tmp_path / "clone/Makefile")
    return tmp_path / "clone"


@pytest.fixture
def make(run: Run, clone: Path) -> Run:
    def make(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return run("make", *arguments, cwd=clone, timeout=600, **options)
    return make


def test_make_audit(make: Run, clone: Path) -> None:
    done = succeeded(make("audit"))
    result = result_of(clone)
    assert result["audit"]["errors"] == []
    assert "Page: %s/pidhygiene-report/report.html" % clone in done.stdout
    assert "Rules:" in done.stdout
    assert subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True).stdout.replace(" M Makefile\n", "") == ""


def test_make_audit_is_of_this_machine_whatever_the_configuration_says(make: Run, clone: Path, tmp_path: Path) -> None:
    (tmp_path / "fleet").write_text("prod1 ansible_host=127.0.0.1 ansible_port=1\n")
    (clone / "ansible.cfg").write_text("[defaults]\ninventory = %s\n" % (tmp_path / "fleet"))
    succeeded(make("audit", ANSIBLE_INVENTORY=str(tmp_path / "fleet")))
    assert [path.name for path in (clone / "pidhygiene-report/results").iterdir()] == ["localhost.json"]


def test_make_audit_under_a_runner_with_pipes_that_do_not_block(make: Run, clone: Path, tmp_path: Path) -> None:
    succeeded(make("audit", "ARGS=--list-hosts"))  # makes the environment
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    done = subprocess.run(["make", "audit", "ARGS=--list-hosts"], cwd=clone, stdin=reading, capture_output=True, text=True, check=False,
                          env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    os.close(reading)
    os.close(writing)
    assert "localhost" in succeeded(done).stdout


def fake_python(folder: Path, script: str) -> Path:
    place = folder / "python-of-a-test"
    place.write_text("#!/bin/sh\n" + script)
    place.chmod(0o755)
    return place


def test_without_python3_venv_it_says_what_to_install(make: Run, clone: Path, tmp_path: Path) -> None:
    done = make("audit", "PYTHON=%s" % fake_python(tmp_path, "exit 1\n"))
    assert done.returncode != 0
    assert "sudo apt-get install -y python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_with_too_old_a_python_it_says_so(make: Run) -> None:
    done = make("audit", "PYTHON=")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


def test_make_alone_shows_help(make: Run) -> None:
    assert "make audit" in succeeded(make()).stdout and "make test" in succeeded(make("help")).stdout
