"""audit_report and the store: what is said where it cannot be fed, and that its address stands on no command line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import collection
import pytest
import yaml

collection.install()

from ansible_collections.pidhygiene.host.plugins.action import audit_report  # noqa: E402


def test_where_the_controller_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_report, "_ingest", lambda: ("", []))
    fed, said = audit_report._feed(Path("/srv/report"), "fleet.db", {})
    assert not fed and "install pidhygiene[controller]" in said and "ingest /srv/report" in said


@pytest.mark.parametrize(("status", "fed"), [(0, True), (1, False)])
def test_the_policy_goes_along_and_the_address_is_in_the_environment_only(monkeypatch: pytest.MonkeyPatch, status: int, fed: bool) -> None:
    policy = {"headroom": {"warn": 0.7}, "waivers": [{"rule": "PH-ZMB-001", "expires": "2027-03-31"}]}
    calls: list[tuple[list[str], dict[str, Any]]] = []

    read: list[dict[str, Any]] = []

    def run(argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append((argv, options))
        read.append(yaml.safe_load(Path(argv[argv.index("--policy") + 1]).read_text()))
        return subprocess.CompletedProcess(argv, status, "", "")

    monkeypatch.setattr(audit_report.subprocess, "run", run)
    found = audit_report._feed(Path("/srv/report"), "postgresql://u:secret@db/ph", policy)
    ((argv, options),) = calls
    assert read == [policy] and not Path(argv[-1]).exists()
    assert found == (fed, "it ended with status %d" % status)
    assert "secret" not in " ".join(argv) and options["env"]["PIDHYGIENE_STORE"] == "postgresql://u:secret@db/ph"
