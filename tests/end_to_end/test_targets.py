"""The module on the Pythons that hosts have: 3.6 of RHEL 8 through ansible-core 2.16, newer ones through the newest core."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import payload
from doors import AUDIT, BIN, ENGINE, PYENV, Run, inventory, local, result_of, succeeded

# Runs what Ansible sends, and tells which files Python compiled on the way.
COMPILED = """
import atexit, json, runpy, sys
seen = []
sys.addaudithook(lambda event, arguments: seen.append(str(arguments[1])) if event == "compile" else None)
atexit.register(lambda: sys.stderr.write(json.dumps(seen)))
runpy.run_path(sys.argv.pop(), run_name="__main__")
"""

MODULE = "pidhygiene.host.audit_info"
NEWEST_CORE = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
OLDEST_CORE = ("3.6", "3.7", "3.12")


def give_up(reason: str) -> None:
    (pytest.fail if os.environ.get("PIDHYGIENE_REQUIRE_LAB") == "1" else pytest.skip)(reason)


def interpreter(version: str) -> Path:
    found = sorted(PYENV.glob(version + ".*/bin/python"))
    if not found:
        pytest.skip("no Python %s below %s" % (version, PYENV))
    return found[-1]


@pytest.fixture(scope="session")
def oldest_core() -> Path:
    """ansible-core 2.16, the last for Python 3.6, in an environment of its own; made once."""
    place = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pidhygiene" / ("ansible-core-2.16-python%d.%d" % sys.version_info[:2])
    if not (place / "bin" / "ansible-playbook").exists():
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", place], capture_output=True, text=True, check=False)
        if made.returncode == 0:
            made = subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", "ansible-core>=2.16,<2.17"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            give_up("ansible-core 2.16 cannot be installed: %s" % made.stderr[-500:])
    return place / "bin" / "ansible-playbook"


def audited_with(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    succeeded(done)
    result = result_of(folder, "target")
    assert result["audit"]["errors"] == []
    assert {row["status"] for row in result["rules"]} & {"pass", "info"}


@pytest.mark.parametrize("version", NEWEST_CORE)
def test_newest_core(playbook: Run, tmp_path: Path, version: str) -> None:
    audited_with(playbook("-i", inventory(tmp_path, local("target", interpreter(version))), AUDIT), tmp_path)


@pytest.mark.parametrize("version", OLDEST_CORE)
def test_oldest_core(run: Run, tmp_path: Path, oldest_core: Path, version: str) -> None:
    audited_with(run(oldest_core, "-i", inventory(tmp_path, local("target", interpreter(version))), AUDIT), tmp_path)


def test_oldest_core_reports_hosts_that_do_not_answer(run: Run, tmp_path: Path, oldest_core: Path) -> None:
    hosts = inventory(tmp_path, local("here"), "shut ansible_host=127.0.0.1 ansible_port=1", local("nopython", "/nonexistent/python"))
    done = run(oldest_core, "-i", hosts, AUDIT)
    assert done.returncode == 2
    assert "3 targeted · 1 audited · 1 unreachable · 1 failed" in done.stdout
    assert "2 of 3 hosts were not audited" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_python_that_is_too_old_is_said(playbook: Run, tmp_path: Path) -> None:
    done = playbook("-i", inventory(tmp_path, local("target", interpreter("2.7"))), AUDIT)
    assert done.returncode == 2
    assert "ansible_python_interpreter" in (tmp_path / "pidhygiene-report/not-audited/target.json").read_text(), done.stdout + done.stderr


def test_the_cores_are_those_that_are_meant(run: Run, oldest_core: Path) -> None:
    assert "[core 2.16." in run(oldest_core, "--version").stdout
    assert "[core 2.16." not in run(BIN / "ansible-playbook", "--version").stdout


@pytest.mark.parametrize("version", NEWEST_CORE)
def test_a_host_compiles_what_it_gets_once(run: Run, version: str) -> None:
    sent = payload.module(MODULE, interpreter(version))
    done = succeeded(run(interpreter(version), "-c", COMPILED, sent))
    times = collections.Counter(path for path in json.loads(done.stderr) if "/module_utils/pidhygiene/" in path)
    assert len(times) > 50 and set(times.values()) == {1}


def test_the_engine_travels_in_one_piece_through_both_cores(oldest_core: Path) -> None:
    by_core = [payload.engine(payload.module(MODULE, interpreter("3.12"), ansible)) for ansible in (BIN / "ansible", oldest_core.with_name("ansible"))]
    assert by_core[0].sources == by_core[1].sources and "readers/processes.py" in by_core[0].sources


def test_who_keeps_remote_files_can_read_them(run: Run, tmp_path: Path) -> None:
    run(BIN / "ansible", "--playbook-dir", AUDIT.parent, "-i", inventory(tmp_path, local("target")), "all", "-m", MODULE,
        ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_REMOTE_TMP=str(tmp_path / "sent"))
    (sent,) = (tmp_path / "sent").rglob("AnsiballZ_audit_info.py")
    succeeded(run(sys.executable, sent, "explode"))
    (real,) = ENGINE.rglob("readers/processes.py")
    assert [path.read_text() for path in tmp_path.rglob("readers/processes.py")] == [real.read_text()]
