"""A real salt-master with a real salt-minion, and a minion without a master, from the files of the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors import BIN, REPOSITORY, Run
from pidhygiene.rules.catalogue import RULES

ADAPTERS = REPOSITORY / "salt_modules"
PILLAR = "pidhygiene:\n  headroom:\n    warn: 0.7\n  processes:\n    ignore: [one, two]\n"
EVERYTHING_IS_TOO_MUCH = {"headroom": {"small_pid_max_warn": 0.0, "small_pid_max_fail": 0.0, "warn": 0.0, "fail": 0.0}}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """file_roots and pillar_roots: a copy of the adapters with the engine as real files, so that a test can update it."""
    place = tmp_path_factory.mktemp("roots")
    shutil.copytree(ADAPTERS, place / "files", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "pillar").mkdir()
    (place / "pillar/top.sls").write_text("base:\n  '*':\n    - policy\n")
    (place / "pillar/policy.sls").write_text(PILLAR)
    return place


@pytest.fixture(scope="session")
def salt_factories_config() -> dict[str, Any]:
    return {"code_dir": str(REPOSITORY), "inject_sitecustomize": False, "start_timeout": 120}


@pytest.fixture(scope="module", autouse=True)
def nothing_installed() -> None:
    """Salt imports an installed pidhygiene for its entry point, which then wins over the synchronised one (test_installed.py has that case)."""
    if subprocess.run([sys.executable, "-I", "-c", "import pidhygiene"], capture_output=True, check=False).returncode == 0:
        pytest.fail("pidhygiene is installed in this environment and hides the checkout from Salt: pip uninstall pidhygiene")


@pytest.fixture(scope="module")
def master(salt_factories: Any, roots: Path) -> Iterator[Any]:
    factory = salt_factories.salt_master_daemon("master", overrides={
        "open_mode": True, "worker_threads": 2, "file_roots": {"base": [str(roots / "files")]}, "pillar_roots": {"base": [str(roots / "pillar")]}})
    with factory.started():
        yield factory


@pytest.fixture(scope="module")
def minion(master: Any) -> Iterator[Any]:
    factory = master.salt_minion_daemon("minion", overrides={"acceptance_wait_time": 1, "enable_fqdns_grains": False})
    with factory.started():
        assert factory.salt_call_cli().run("saltutil.sync_all").returncode == 0
        yield factory


@pytest.fixture
def salt(master: Any, minion: Any) -> Any:
    """Run a function on the minion through the master; returns what the command line got."""
    def salt(function: str, *arguments: Any, **named: Any) -> Any:
        return master.salt_cli().run(function, *arguments, minion_tgt=minion.id, **named)
    return salt


def test_check_is_compact(salt: Any) -> None:
    done = salt("pidhygiene.check")
    assert done.returncode == 0, done
    assert sorted(done.data) == ["errors", "findings", "host", "summary", "visibility"]
    assert done.data["errors"] == []
    assert sum(done.data["summary"]["rules_by_status"].values()) == len(RULES)
    assert all("evidence" not in finding for finding in done.data["findings"])
    assert len(json.dumps(done.data)) < 20_000


def test_check_in_full(salt: Any) -> None:
    done = salt("pidhygiene.check", full=True)
    assert done.data["schema"] == "pidhygiene.result/1"
    assert done.data["audit"]["errors"] == []


def test_only_some_rules(salt: Any) -> None:
    done = salt("pidhygiene.check", rules="PH-ZMB-001, PH-PID-*", full=True)
    assert {row["rule"][:6] for row in done.data["rules"]} == {"PH-ZMB", "PH-PID"}


def test_the_policy_is_the_pillar_with_the_argument_laid_over_it(salt: Any, command: Run, tmp_path: Path) -> None:
    """The digest is that of the merged document, as the command line sees it in a file."""
    merged = {"headroom": {"warn": 0.7, "fail": 0.8}, "processes": {"ignore": ["three"]}}
    (tmp_path / "policy.json").write_text(json.dumps(merged))
    expected = json.loads(command("check", "--policy", "policy.json", "--format", "json", "--fail-on", "never").stdout)
    given = {"headroom": {"fail": 0.8}, "processes": {"ignore": ["three"]}}
    assert salt("pidhygiene.check", full=True, policy=given).data["audit"]["policy_digest"] == expected["audit"]["policy_digest"]
    assert salt("pidhygiene.check", full=True).data["audit"]["policy_digest"] != expected["audit"]["policy_digest"]


@pytest.mark.parametrize("fail_on, gated", [("never", False), ("fail", True)])
def test_the_return_code_on_request(salt: Any, fail_on: str, gated: bool) -> None:
    done = salt("pidhygiene.check", policy=EVERYTHING_IS_TOO_MUCH, fail_on=fail_on)
    assert [finding for finding in done.data["findings"] if finding["status"] == "fail"]
    assert (done.returncode != 0) == gated


@pytest.mark.parametrize("arguments, words", [
    ({"policy": {"zomibes": {}}}, ("zomibes", "did you mean 'zombies'")), ({"policy": ["x"]}, ("must be a mapping",)),
    ({"rules": "PH-NOSUCH-*"}, ("PH-NOSUCH-*",)), ({"fail_on": "everything"}, ("fail_on must be",)), ({"snapshot_file": "/nonexistent"}, ("/nonexistent",)),
])
def test_a_mistake_is_a_sentence(salt: Any, arguments: dict[str, Any], words: tuple[str, ...]) -> None:
    done = salt("pidhygiene.check", **arguments)
    assert done.returncode != 0
    said = str(done.data or done.stdout + done.stderr)
    assert all(word in said for word in words), said
    assert "Traceback" not in said


def test_the_minion_remembers_marks_for_the_next_check(salt: Any) -> None:
    salt("pidhygiene.check")
    second = salt("pidhygiene.check", full=True, rules="PH-PID-005")
    assert not [reason for row in second.data["rules"] for reason in row.get("not_applicable", []) if "marks" in reason]
    forgotten = salt("pidhygiene.check", full=True, rules="PH-PID-005", previous={})
    assert [reason for row in forgotten.data["rules"] for reason in row.get("not_applicable", []) if "marks" in reason]


def test_headroom_tells_the_tightest_first(salt: Any) -> None:
    found = salt("pidhygiene.headroom").data
    shares = [row["used_percent"] for row in found["budgets"]]
    assert shares == sorted(shares, reverse=True)
    kinds = {row["kind"] for row in found["budgets"]}
    assert {"pid_max", "threads-max"} <= kinds
    threads = next(row for row in found["budgets"] if row["kind"] == "threads-max")
    assert threads["limit"] == int(Path("/proc/sys/kernel/threads-max").read_text())
    assert threads["free"] == threads["limit"] - threads["used"]


def test_explain_a_process(salt: Any) -> None:
    text = salt("pidhygiene.explain", str(os.getpid())).data
    assert "(%d)" % os.getpid() in text and "next fork" in text
    data = salt("pidhygiene.explain", str(os.getpid()), full=True).data
    assert [step["limit"] for step in data["chain"]]


def test_explain_a_rule_and_nothing(salt: Any) -> None:
    assert "Persistent zombies" in salt("pidhygiene.explain", "PH-ZMB-001").data
    done = salt("pidhygiene.explain", "nosuch.service")
    assert done.returncode != 0 and "nosuch.service is no rule" in str(done.data or done.stdout)


@pytest.fixture(scope="module")
def threaded_minion(master: Any) -> Iterator[Any]:
    """A minion that runs its jobs as threads: the one that keeps what a job has imported."""
    factory = master.salt_minion_daemon("threaded", overrides={"acceptance_wait_time": 1, "enable_fqdns_grains": False, "multiprocessing": False})
    with factory.started():
        assert factory.salt_call_cli().run("saltutil.sync_all").returncode == 0
        yield factory


def test_an_updated_engine_runs_without_a_restart(master: Any, threaded_minion: Any, roots: Path) -> None:
    """saltstack/salt issue 15233: without fresh.py the minion goes on with the engine that it has in memory."""
    def ask(function: str, **named: Any) -> Any:
        return master.salt_cli().run(function, minion_tgt=threaded_minion.id, **named)

    before = ask("pidhygiene.check", full=True).data["schema"]
    updated = roots / "files/_utils/pidhygiene/document.py"
    source = updated.read_text()
    assert source.count('SCHEMA = "%s"' % before) == 1
    try:
        updated.write_text(source.replace('SCHEMA = "%s"' % before, 'SCHEMA = "updated/1"'))
        assert ask("saltutil.sync_all").returncode == 0
        deadline = time.monotonic() + 30
        while ask("pidhygiene.check", full=True).data["schema"] != "updated/1":
            assert time.monotonic() < deadline, "the minion still runs the old engine"
    finally:
        updated.write_text(source)


def test_a_minion_without_a_master_from_the_checkout(run: Run, tmp_path: Path) -> None:
    (tmp_path / "minion").write_text("root_dir: %s\n" % tmp_path)
    done = run(BIN / "salt-call", "--local", "--config-dir", tmp_path, "-m", ADAPTERS, "--out", "json", "--log-level", "error", "pidhygiene.check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["local"]["errors"] == []
    assert (tmp_path / "var/cache/salt/minion/pidhygiene/marks.json").stat().st_mode & 0o077 == 0


def test_another_engine_is_refused(run: Run, tmp_path: Path) -> None:
    """A wheel on the minion wins over the synced engine: then the adapter says so in place of failing anywhere."""
    shutil.copytree(ADAPTERS, tmp_path / "modules", ignore=shutil.ignore_patterns("__pycache__"))
    package = tmp_path / "modules/_utils/pidhygiene/__init__.py"
    package.write_text(package.read_text().replace('__version__ = "', '__version__ = "9.'))
    (tmp_path / "minion").write_text("root_dir: %s\n" % tmp_path)
    done = run(BIN / "salt-call", "--local", "--config-dir", tmp_path, "-m", tmp_path / "modules", "--log-level", "error", "pidhygiene.check")
    assert done.returncode != 0
    assert "the engine found is pidhygiene 9." in done.stdout + done.stderr


