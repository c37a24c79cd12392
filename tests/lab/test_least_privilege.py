"""docs/operating/least-privilege.md says what a test has found: who sees what, a unit with two capabilities, and the one command of sudo."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .auditing import PLACE, SHELL, install
from .desk import blocks
from .fixtures import HostFactory
from .host import LabHost

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operating" / "least-privilege.md"
CHECK = ["check", "--format", "json", "--fail-on", "never"]
AS_USER = ["setpriv", "--reuid=ops", "--regid=ops", "--init-groups"]
CAPABILITIES = ["--inh-caps=+sys_ptrace,+dac_read_search", "--ambient-caps=+sys_ptrace,+dac_read_search"]
RUNS = {"root": [], "a user with `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`": [*AS_USER, *CAPABILITIES], "an ordinary user": AS_USER}


@pytest.fixture(scope="module")
def host(new_module_host: HostFactory) -> LabHost:
    host = new_module_host("self")
    install(host)
    host.shell("useradd -m ops; useradd -m other; loginctl enable-linger ops other")
    # As pip would put it there; a lab host is a container, and what is around it is the lab's business.
    host.write("/opt/pidhygiene/bin/pidhygiene", f'#!/bin/sh\nexec env PYTHONPATH={PLACE} PYTHONDONTWRITEBYTECODE=1 python3 -m pidhygiene "$@" '
                                                 f"--policy {PLACE}/policy.json\n", 0o755)
    return host


def block(kind: str, words: str) -> str:
    (found,) = [each.text for each in blocks(PAGE) if each.kind == kind and words in each.text]
    return found


def unknown(result: dict[str, Any]) -> list[str]:
    return sorted(row["rule"] for row in result["rules"] if row["status"] == "unknown")


def test_who_sees_what(host: LabHost) -> None:
    results = {name: json.loads(host.run([*before, *SHELL, *CHECK, "--policy", f"{PLACE}/policy.json"]).stdout) for name, before in RUNS.items()}
    table = {name: (len(result["rules"]) - len(unknown(result)), len(unknown(result))) for name, result in results.items()}
    page = PAGE.read_text()
    told = {name: (int(judged), int(left)) for name, judged, left in re.findall(r"^\| (.+) \| (\d+) \| (\d+) \|$", page, re.M)}
    assert told == table
    assert {str(len(result["rules"])) for result in results.values()} == {re.search(r"same (\d+) rules", page).group(1)}
    assert block("text", "PH-CRN-001").split() == unknown(results["an ordinary user"])
    assert results["root"]["audit"]["visibility"] == "full" and results["an ordinary user"]["audit"]["visibility"] == "partial"


def test_the_unit_sees_everything_without_root(host: LabHost) -> None:
    host.shell(block("sh", "useradd"))
    host.write("/etc/systemd/system/pidhygiene-self.service", block("ini", "AmbientCapabilities"))
    # By a login: what host.run() starts belongs to no group of the host, and the audit would say so.
    host.ssh("sh", "-c", "systemctl daemon-reload && systemctl start pidhygiene-self.service")
    result = json.loads(host.read("/var/lib/pidhygiene-self/result.json"))
    assert unknown(result) == [] and result["audit"]["errors"] == []
    bare = block("ini", "AmbientCapabilities").replace("CAP_SYS_PTRACE", "")
    host.write("/etc/systemd/system/pidhygiene-self.service", bare)
    host.ssh("sh", "-c", "systemctl daemon-reload && systemctl start pidhygiene-self.service")
    assert "PH-DEL-001" in unknown(json.loads(host.read("/var/lib/pidhygiene-self/result.json"))), "it is the capability that shows it"


def test_sudo_lets_one_command_through(host: LabHost) -> None:
    line = block("text", "/opt/pidhygiene/bin/pidhygiene check")
    host.write("/etc/sudoers.d/ops", line, 0o440)
    host.run(["visudo", "--check", "--file", "/etc/sudoers.d/ops"])
    wanted = block("sh", "sudo -n").partition("web1.example.org ")[2].partition(" > ")[0]
    result = json.loads(host.run(["su", "ops", "-c", wanted]).stdout)
    assert result["audit"]["visibility"] == "full" and unknown(result) == []
    for refused in (wanted + " --root /", wanted.replace("check", "explain"), "sudo -n id"):
        assert host.run(["su", "ops", "-c", refused], check=False).returncode == 1
