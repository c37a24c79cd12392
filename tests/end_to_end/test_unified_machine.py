"""A virtual machine with the unified hierarchy and working controllers: in one file, so that it boots once."""

from __future__ import annotations

from pathlib import Path

import pytest
from doors import AUDIT, Run, inventory, result_of, succeeded
from lab.auditing import check, deviations, install, of_rule
from lab.machine import BootFailed
from lab.registry import Record, remove
from lab.test_lab import traces
from lab.virtual_machine import VirtualMachine

from test_lab_hosts import line


def test_the_unified_machine_is_silent_and_then_not(unified_machine: VirtualMachine):
    install(unified_machine)
    result = check(unified_machine)
    assert result["host"]["cgroup"] == "v2" and result["audit"]["visibility"] == "full"
    assert deviations(result) == []

    unified_machine.run(["systemd-run", "--unit=crowd", "-p", "TasksMax=20", "bash", "-c", "for i in $(seq 18); do sleep 1000 & done; wait"])
    findings = [finding for finding in of_rule(check(unified_machine), "PH-SYS-004") if finding["status"] in ("warn", "fail")]
    assert findings and "crowd.service" in findings[0]["message"] and "of 20" in findings[0]["message"]
    unified_machine.run(["systemctl", "kill", "-s", "KILL", "crowd.service"])
    unified_machine.run(["systemctl", "reset-failed"])


def test_through_ansible(playbook: Run, tmp_path: Path, unified_machine: VirtualMachine) -> None:
    succeeded(playbook("-i", inventory(tmp_path, line(unified_machine)), AUDIT, timeout=400))
    result = result_of(tmp_path, unified_machine.name)
    assert result["host"]["cgroup"] == "v2" and result["audit"]["visibility"] == "full" and result["audit"]["errors"] == []


def test_it_has_the_hierarchy_with_its_controllers(unified_machine: VirtualMachine) -> None:
    assert unified_machine.shell("stat --file-system --format=%T /sys/fs/cgroup") == "cgroup2fs"
    assert {"pids", "memory", "cpu"} <= set(unified_machine.read("/sys/fs/cgroup/cgroup.controllers").split())
    assert unified_machine.boot_state() == "running"
    refused = unified_machine.run(
        ["systemd-run", "--wait", "--pipe", "--quiet", "--property=TasksMax=2", "dash", "-c", "sleep 5 & sleep 5 & wait"], check=False
    )
    assert "Cannot fork" in refused.stderr


def test_it_takes_files(unified_machine: VirtualMachine, tmp_path: Path) -> None:
    unified_machine.write("/run/with space/file", "text 'quoted' $HOME\n")
    assert unified_machine.read("/run/with space/file") == "text 'quoted' $HOME\n"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/program").write_text("#!/bin/sh\necho works\n")
    (tmp_path / "folder/program").chmod(0o755)
    unified_machine.push(tmp_path / "folder", "/tmp/pushed")
    assert unified_machine.run(["/tmp/pushed/program"]).stdout == "works\n"


def test_nothing_is_left_of_a_machine_that_does_not_boot(unified_machine: VirtualMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{VirtualMachine.__module__}.BOOT_SECONDS", 1)
    seen: dict[Record, list[str]] = {}

    def look_and_remove(record: Record) -> None:
        seen[record] = traces(record)
        remove(record)

    monkeypatch.setattr(f"{VirtualMachine.__module__}.remove", look_and_remove)
    with pytest.raises(BootFailed, match="has not booted"):
        VirtualMachine.boot("unfinished")
    ((record, before),) = seen.items()
    assert any("/proc/" in trace for trace in before)
    assert traces(record) == []
