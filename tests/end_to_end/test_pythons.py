"""The engine runs on every Python from 3.6 on, and says the same on each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doors import ENGINE, PYENV, Run, succeeded

VERSIONS = ("3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
IMPORT_EVERYTHING = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1], "pidhygiene").rglob("*.py")):
    importlib.import_module(".".join(path.relative_to(sys.argv[1]).with_suffix("").parts))
"""


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    found = sorted(PYENV.glob(request.param + ".*/bin/python"))
    if not found:
        pytest.skip("no Python %s below %s" % (request.param, PYENV))
    return found[-1]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A snapshot of this machine and what the Python of the tests says of it."""
    from pidhygiene import snapshot
    from pidhygiene.__main__ import canonical
    from pidhygiene.audit import audit
    from pidhygiene.host import LiveHost

    place = tmp_path_factory.mktemp("recorded") / "snapshot.json.gz"
    recorder = snapshot.RecordingHost(LiveHost())
    audit(recorder)
    snapshot.save(recorder.document(), str(place))
    return place, canonical(audit(snapshot.load(str(place))))


def test_every_module_can_be_imported(run: Run, python: Path) -> None:
    succeeded(run(python, "-W", "error", "-c", IMPORT_EVERYTHING, ENGINE, PYTHONPATH=str(ENGINE), PYTHONDONTWRITEBYTECODE="1"))


def test_it_audits_this_machine(run: Run, python: Path) -> None:
    done = succeeded(run(python, "-m", "pidhygiene", "check", "--format", "json", "--fail-on", "never", PYTHONPATH=str(ENGINE), PYTHONDONTWRITEBYTECODE="1"))
    result = json.loads(done.stdout)
    assert result["audit"]["errors"] == [] and done.stderr == ""


def test_it_says_the_same_of_one_snapshot(run: Run, python: Path, recorded: tuple[Path, str]) -> None:
    done = succeeded(run(python, "-m", "pidhygiene", "check", "--snapshot", recorded[0], "--format", "json", "--fail-on", "never",
                         PYTHONPATH=str(ENGINE), PYTHONDONTWRITEBYTECODE="1"))
    assert done.stdout == recorded[1]


@pytest.mark.parametrize("arguments", [("rules",), ("explain", "PH-ZMB-001"), ("explain", "1"), ("check", "--details", "--fail-on", "never")])
def test_its_commands_answer(run: Run, python: Path, arguments: tuple[str, ...]) -> None:
    assert succeeded(run(python, "-m", "pidhygiene", *arguments, PYTHONPATH=str(ENGINE), PYTHONDONTWRITEBYTECODE="1")).stdout


