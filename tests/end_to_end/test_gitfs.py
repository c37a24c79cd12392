"""gitfs, by Salt's own file server over a real repository: the blocks of the examples serve the engine with real files, and a minion runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pidhygiene
import pytest
import yaml
from doors import BIN, REPOSITORY, Run, succeeded
from lab import checkout
from lab.desk import blocks

ENGINE = REPOSITORY / "ansible_collection/plugins/module_utils/pidhygiene"
SERVED_AT = "https://git.example.org/pidhygiene.git"
(TWO_REMOTES,) = [yaml.safe_load(each.text)["gitfs_remotes"] for each in blocks(REPOSITORY / "salt_modules/examples/README.md") if "gitfs_remotes" in each.text]


@pytest.fixture
def served(run: Run, home: str, tmp_path: Path):
    """Salt's answer, of a machine whose files come from a repository through these remotes."""
    place = Path(home) / "salt"

    def served(repository: Path, remotes: list[object], *command: object) -> dict:
        (Path(home) / ".gitconfig").write_text(f'[url "{repository}"]\n\tinsteadOf = {SERVED_AT}\n[safe]\n\tdirectory = *\n')
        (place / "cache/proc").mkdir(parents=True, exist_ok=True)
        (place / "minion").write_text(yaml.safe_dump({
            "root_dir": str(place), "cachedir": "/cache", "pki_dir": "/pki", "sock_dir": "/run", "log_file": "/log", "file_client": "local",
            "fileserver_backend": ["gitfs"], "gitfs_provider": "gitpython", "gitfs_base": "main", "gitfs_remotes": remotes}))
        done = succeeded(run(BIN / "salt-call", "--local", "--config-dir", place, "--out", "json", "--log-level", "error", *command))
        return json.loads(done.stdout)["local"]
    return served


def modules() -> set[str]:
    return {"utils.pidhygiene." + path.relative_to(ENGINE).with_suffix("").as_posix().replace("/", ".") for path in ENGINE.rglob("*.py")} | {"utils.pidhygiene_folder"}


def test_two_remotes_of_the_repository(served, tmp_path: Path) -> None:
    checkout.publish(tmp_path / "repository")
    brought = served(tmp_path / "repository", TWO_REMOTES, "saltutil.sync_all")
    assert set(brought["utils"]) == modules()
    assert brought["modules"] == ["modules.pidhygiene"] and brought["states"] == ["states.pidhygiene"] and brought["beacons"] == ["beacons.pidhygiene"]
    audit = served(tmp_path / "repository", TWO_REMOTES, "pidhygiene.check", "full=True")["audit"]
    assert audit["engine_version"] == pidhygiene.__version__ and audit["errors"] == []

