"""The release archive, used as somebody without a clone and without a network would use it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pidhygiene
import pytest
from doors import BIN, REPOSITORY, Run, succeeded
from lab.desk import commands

NAME = f"pidhygiene-{pidhygiene.__version__}"


def build(folder: Path, **environment: str) -> Path:
    done = subprocess.run([REPOSITORY / ".ci/archive", folder], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, umask=0o027 if environment else 0o002,
                          env=dict(os.environ, PATH="%s:%s" % (BIN, os.environ["PATH"]), **environment))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / (NAME + ".tar.gz")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def unpacked(archive: Path) -> Path:
    with tarfile.open(archive) as packed:
        packed.extractall(archive.parent, filter="data")
    return archive.parent / NAME


def test_the_same_files_make_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    """By somebody else, on another file system, which lists its files in another order."""
    assert hashlib.sha256(build(tmp_path, TMPDIR="/dev/shm").read_bytes()).hexdigest() == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_what_is_in_it(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == {
        "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "ansible_collection", "controller", "docs", "playbooks", "pyproject.toml", "salt_modules",
        f"{NAME}-py3-none-any.whl", f"pidhygiene-host-{pidhygiene.__version__}.tar.gz"}
    assert not [path for path in (unpacked / "salt_modules").rglob("*") if path.is_symlink()], "gitfs does not follow them"
    engine = REPOSITORY / "ansible_collection/plugins/module_utils/pidhygiene"
    for path in engine.rglob("*.py"):
        assert (unpacked / "salt_modules/_utils/pidhygiene" / path.relative_to(engine)).read_bytes() == path.read_bytes()
    assert (unpacked / "salt_modules/_utils/pidhygiene_folder.py").is_file() and (unpacked / "salt_modules/examples/pillar.sls").is_file()
    for link in (path for path in unpacked.rglob("*") if path.is_symlink()):
        assert link.exists() and unpacked in link.resolve().parents
    assert all(stat.S_IMODE(path.stat().st_mode) in (0o644, 0o755) for path in unpacked.rglob("*"))


def test_the_page_is_typed(run: Run, home: str, archive: Path, tmp_path: Path) -> None:
    """docs/operating/install.md from top to bottom: the collection, the wheel and the modules, without a network."""
    (tmp_path / archive.name).symlink_to(archive)
    (tmp_path / "minion").write_text("root_dir: %s\n" % tmp_path)
    typed = "set -e\n" + "".join(block.text for block in commands(REPOSITORY / "docs/operating/install.md"))
    done = succeeded(run("bash", "-c", typed, PATH="%s:%s" % (BIN, os.environ["PATH"]), PIP_NO_INDEX="1", SALT_MINION_CONFIG=str(tmp_path / "minion"),
                         ANSIBLE_PYTHON_INTERPRETER=sys.executable, PYTHONDONTWRITEBYTECODE="1"))
    place = tmp_path / NAME
    audit = json.loads((place / "pidhygiene-report/results/localhost.json").read_text())["audit"]
    assert audit["engine_version"] == pidhygiene.__version__ and audit["errors"] == []
    assert list(place.glob("venv/lib/python3*/site-packages/%s.dist-info" % NAME))
    assert "Rules:" in done.stdout and "rules_by_status" in done.stdout.partition("Rules:")[2], "the command line, then Salt"
    succeeded(run(BIN / "ansible-galaxy", "collection", "verify", "--offline", "pidhygiene.host"))
    text = succeeded(run(place / "venv/bin/pidhygiene", "rules", "show", "PH-ZMB-001")).stdout
    assert "How to fix it" in text
