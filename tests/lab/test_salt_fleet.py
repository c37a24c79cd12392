"""salt-run pidhygiene.audit with real minions: one is down, the run is killed in the middle and resumed; the returner."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from .auditing import POLICY
from .host import LabHost
from .test_salt_on_hosts import ADAPTERS, BIN, MINION, RUN_MINION, ask, master, salted  # noqa: F401

NAMES = ("web1", "web2", "web3")
PUBLISH, RETURN = 24611, 24612


def start(host: LabHost) -> None:
    host.run(["systemd-run", "--unit=salt-minion", "--collect", "python3", "-c", RUN_MINION, "-c", "/etc/salt"])


def until(happened: Callable[[], Any], what: str, within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def command(place: Path, folder: Path, *arguments: str) -> list[str]:
    return [str(BIN / "salt-run"), "-c", str(place), "--out", "json", "pidhygiene.audit", f"report_dir={folder}", f"policy={json.dumps(POLICY)}", "timeout=5", *arguments]


def run(place: Path, folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, what it returned, all that it said."""
    done = subprocess.run(command(place, folder, *arguments), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    said = done.stdout.rstrip()
    return done.returncode, json.loads(said[said.rindex("\n{") if "\n{" in said else said.index("{"):]), done.stdout + done.stderr


def answers(place: Path, name: str) -> bool:
    return '"%s": true' % name in subprocess.run([str(BIN / "salt"), "-c", str(place), "--out", "json", "-t", "2", name, "test.ping"], capture_output=True, text=True,
                                               timeout=120).stdout


def outcomes(folder: Path) -> dict[str, str]:
    return {name: row["outcome"] for name, row in json.loads((folder / "run.json").read_text())["hosts"].items()}


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "results").glob("*.json")}


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the master. The returner is in its configuration before it starts; what it imports is looked for below root_dir."""
    place = tmp_path_factory.mktemp("s")
    (place / "master.d").mkdir()
    (place / "utils").symlink_to(ADAPTERS / "_utils")
    folders = {kind + "_dirs": [str(ADAPTERS / ("_" + kind + "s"))] for kind in ("runner", "returner")}
    (place / "master.d/zz-fleet.conf").write_text(yaml.safe_dump({
        **folders, "utils_dirs": [str(ADAPTERS / "_utils"), "/utils"], "event_return": ["pidhygiene"], "event_return_whitelist": ["salt/job/*/ret/*"], "gather_job_timeout": 3,
        "pidhygiene_report_dir": str(place / "returned")}))
    return place


def test_a_fleet_is_audited_in_batches(salted, place: Path, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "report"
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(LabHost.boot(salted, name)) for name in NAMES}
        stack.enter_context(master(place, "0.0.0.0", PUBLISH, RETURN))
        for name, host in hosts.items():
            host.write("/etc/salt/minion", MINION.format(name=name, address=host.gateway, publish=PUBLISH, ret=RETURN))
            start(host)
        for name in NAMES:
            until(lambda name=name: answers(place, name), name + " did not come", 300)
        assert set(ask(place, "saltutil.sync_all")) == set(NAMES)
        hosts["web3"].run(["systemctl", "stop", "salt-minion"])

        # Killed while it waits for the one that is down: the others are kept.
        killed = subprocess.Popen(command(place, folder, "batch=1"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            until(lambda: set(results(folder)) == {"web1", "web2"} or killed.poll() is not None, "no results")
        finally:
            os.killpg(killed.pid, 9)
            killed.wait()
        before = {path.name: path.stat().st_mtime_ns for path in (folder / "results").iterdir()}
        assert set(outcomes(folder)) == set(NAMES) and outcomes(folder)["web3"] == "not recorded" and len(before) == 2

        # Resumed with web3 still down, then again when it is up.
        status, told, said = run(place, folder, "resume=True", "batch=50%")
        assert status == 1 and told["not_audited"] == {"web3": "unreachable: the minion did not answer"} and told["audited"] == 2, said
        assert "3 of 3 minions: 2 audited, 1 unreachable" in said and (folder / "not-audited/web3.json").exists()
        start(hosts["web3"])
        until(lambda: answers(place, "web3"), "web3 did not come back")
        status, told, said = run(place, folder, "resume=True")
        assert (status, told["audited"], told["not_audited"]) == (0, 3, {}), said
        assert set(outcomes(folder).values()) == {"audited"} and not list((folder / "not-audited").iterdir())
        assert {name: (folder / "results" / name).stat().st_mtime_ns for name in before} == before, "what was audited is not asked again"

        # The returner has kept the same, as the master's bus told it; a compact answer is none.
        until(lambda: set(results(place / "returned")) == set(NAMES), "the returner kept nothing", 30)
        returned = results(place / "returned")
        assert returned == results(folder) and not (place / "returned/not-audited").exists()
