"""The doors of the house as an operator uses them: real commands, from a folder of his own, without configuration of ours."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
for place in (HERE, HERE.parent, HERE.parents[1] / "ansible_collection" / "plugins" / "module_utils"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

from doors import BIN, ENGINE, Run  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("lab.fixtures")  # the name under which the lab's own tests load it, so that hosts start once


def pytest_unconfigure() -> None:
    """Salt's daemons go on logging while they end, into a stream that pytest has closed: that is not worth a page of tracebacks."""
    logging.raiseExceptions = False


@pytest.fixture
def home() -> Iterator[str]:
    """Short: ssh puts a socket below it, whose path may have 107 bytes (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="ph-") as place:
        yield place


@pytest.fixture
def run(tmp_path: Path, home: str) -> Run:
    """Run a command in an empty folder, with nothing of Ansible's, Salt's, Python's or make's in its environment; its output is kept, not its status."""
    def run(*argv: object, cwd: Path = tmp_path, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SALT_", "PYTHON", "MAKE", "MFLAGS", "ARGS"))}
        clean.update({"LC_ALL": "C.UTF-8", "HOME": home, "COLUMNS": "100"}, **environment)
        return subprocess.run([str(each) for each in argv], cwd=cwd, env=clean, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, check=False)
    return run


@pytest.fixture
def playbook(run: Run) -> Run:
    """Run ansible-playbook."""
    def playbook(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return run(BIN / "ansible-playbook", *arguments, **options)
    return playbook


@pytest.fixture
def command(run: Run) -> Run:
    """Run the command line of the checkout."""
    def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return run(sys.executable, "-m", "pidhygiene", *arguments, PYTHONPATH=str(ENGINE), **options)
    return command
