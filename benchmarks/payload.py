"""What Ansible sends to a host for one module: the file, and the sources in it."""

from __future__ import annotations

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


class Source(NamedTuple):
    size: int  # bytes
    packed: int  # bytes, as Ansible compresses every module


@cache
def module(name: str) -> Path:
    """The file that runs on the host, kept from a run on this machine."""
    place = Path(tempfile.mkdtemp(prefix="pidhygiene-benchmark-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    environment = dict(os.environ, ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_REMOTE_TMP=str(place), ANSIBLE_LOCAL_TEMP=str(place / "local"), LC_ALL="C.UTF-8")
    subprocess.run(
        [BIN / "ansible", "--playbook-dir", REPOSITORY / "playbooks", "-i", "localhost,", "-c", "local", "-e",
         f"ansible_python_interpreter={sys.executable}", "localhost", "-m", name],
        env=environment, capture_output=True, text=True, check=True)
    (found,) = place.rglob(f"AnsiballZ_{name.rpartition('.')[2]}.py")
    return found


def engine_sources(name: str) -> dict[str, Source]:
    """The files of the engine in it."""
    data = max(PACKED.findall(module(name).read_text()), key=len)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(data))) as archive:
        return {
            entry.filename.partition("module_utils/pidhygiene/")[2]: Source(entry.file_size, entry.compress_size)
            for entry in archive.infolist() if "module_utils/pidhygiene/" in entry.filename
        }
