"""make nightly: units that systemd accepts, and a lock that holds."""

from __future__ import annotations

import fcntl
import re
import shlex
import shutil
from pathlib import Path

import pytest
from doors import BIN, REPOSITORY, Run, succeeded


def units(run: Run) -> dict[str, str]:
    shown = succeeded(run("make", "-s", "nightly", "VENV=%s" % BIN.parent, cwd=REPOSITORY)).stdout
    service, _blank, timer = shown.partition("\n\n[Unit]\nDescription=pidhygiene: nightly audit of the fleet\n\n[Timer]")
    return {"pidhygiene-nightly.service": service + "\n", "pidhygiene-nightly.timer": "[Unit]\n\n[Timer]" + timer}


def test_systemd_accepts_them(run: Run, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze here")
    for name, text in units(run).items():
        assert not re.search("@[A-Z]+@", text)
        (tmp_path / name).write_text(text)
    done = succeeded(run("systemd-analyze", "verify", "--man=no", *[tmp_path / name for name in ("pidhygiene-nightly.service", "pidhygiene-nightly.timer")]))
    assert "pidhygiene-nightly" not in done.stderr, done.stderr
    (tmp_path / "pidhygiene-nightly.timer").write_text("[Timer]\nOnCalendar=never\n")
    assert "pidhygiene-nightly.timer" in run("systemd-analyze", "verify", "--man=no", tmp_path / "pidhygiene-nightly.timer").stderr


def started(run: Run, kind: str, folder: Path, news: str = "") -> list[str]:
    """What systemd would run, in this folder."""
    (line,) = [line for line in units(run)["pidhygiene-nightly.service"].splitlines() if line.startswith(kind + "=")]
    for name, value in {"$OPTIONS": "-e pidhygiene_rules=PH-PID-003", "/var/lib/pidhygiene": str(folder), "$NEWS": news}.items():
        line = line.replace(name, value)
    return shlex.split(line.partition("=")[2])


def test_a_second_run_ends_at_once(run: Run, tmp_path: Path) -> None:
    argv = started(run, "ExecStart", tmp_path)
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(*argv).returncode == 75
    succeeded(run(*argv, PIDHYGIENE_STORE="fleet.db"))
    assert (tmp_path / "fleet.db").exists() and (tmp_path / "pidhygiene-report/report.html").exists()

    news = started(run, "ExecStopPost", tmp_path, "--format html:news.html")
    first = succeeded(run(*news, PIDHYGIENE_STORE="fleet.db"))
    assert "First run: " in first.stdout and (tmp_path / "news.html").exists()
    assert succeeded(run(*news, PIDHYGIENE_STORE="fleet.db")).stdout == "", "a night whose audit came to nothing tells nothing again"
