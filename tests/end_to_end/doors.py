"""Where things are, and what the tests of all doors share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ENGINE = REPOSITORY / "ansible_collection" / "plugins" / "module_utils"
AUDIT = REPOSITORY / "playbooks" / "audit.yml"
PYENV = Path.home() / ".pyenv" / "versions"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def result_of(folder: Path, host: str = "localhost") -> dict:
    """The result of this host in the report folder that a playbook started in this folder writes."""
    return json.loads((folder / "pidhygiene-report" / "results" / (host + ".json")).read_text())


def inventory(folder: Path, *lines: str) -> Path:
    place = folder / "hosts"
    place.write_text("\n".join(lines) + "\n")
    return place


def local(name: str, interpreter: object = "/usr/bin/python3") -> str:
    """A line of an inventory: this machine, under this name."""
    return "%s ansible_connection=local ansible_python_interpreter=%s" % (name, interpreter)


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done
