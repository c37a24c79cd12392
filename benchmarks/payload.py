"""What Ansible sends to a host for one module, and the engine in it."""

from __future__ import annotations

import ast
import atexit
import base64
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PACKED = re.compile(r"[A-Za-z0-9+/=]{2000,}")
ENGINE = "module_utils/pidhygiene/"
# Stands in for Python on the host: keeps the program that comes as a file or on standard input, then runs it.
KEEPER = """#!/bin/sh
if [ -f "$1" ]; then cp "$1" '{kept}'; else cat > '{kept}'; fi
exec '{python}' '{kept}'
"""


class Engine(NamedTuple):
    """The engine as it travels to a host."""

    packed: int  # bytes
    sources: dict[str, str]  # by path below the engine's folder


@cache
def module(name: str, python: Path = Path(sys.executable), ansible: Path = BIN / "ansible") -> Path:
    """The program that runs on the host, kept from a run on this machine with that Python and that Ansible."""
    place = Path(tempfile.mkdtemp(prefix="pidhygiene-benchmark-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    kept, keeper = place / "module.py", place / "python"
    keeper.write_text(KEEPER.format(kept=kept, python=python))
    keeper.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "COV_"))}
    done = subprocess.run(
        [ansible, "--playbook-dir", REPOSITORY / "playbooks", "-i", "localhost,", "-c", "local", "-e",
         f"ansible_python_interpreter={keeper}", "localhost", "-m", name],
        env=dict(clean, ANSIBLE_REMOTE_TMP=str(place), ANSIBLE_LOCAL_TEMP=str(place / "local"), LC_ALL="C.UTF-8"), cwd=place,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return kept


def engine(program: Path) -> Engine:
    """The engine in a program, which arrives as one file: a call at its end has the sources of the other ones."""
    data = max(PACKED.findall(program.read_text()), key=len)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(data))) as files:
        (entry,) = (entry for entry in files.infolist() if ENGINE in entry.filename)
        source = files.read(entry).decode()
    call = ast.parse(source).body[-1]
    if not isinstance(call, ast.Expr) or not isinstance(call.value, ast.Call):
        raise ValueError("the engine's file does not end with a call")
    _package, _folder, held = call.value.args
    return Engine(entry.compress_size, {path: text for _is_package, path, text in ast.literal_eval(held).values()})
