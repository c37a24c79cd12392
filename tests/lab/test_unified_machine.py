"""A machine with the unified hierarchy and working controllers: a fresh one is silent, and a full unit is found by its pids.max."""

from __future__ import annotations

from .auditing import check, deviations, install, of_rule


def test_the_unified_machine_is_silent_and_then_not(unified_machine):
    install(unified_machine)
    result = check(unified_machine)
    assert result["host"]["cgroup"] == "v2" and result["audit"]["visibility"] == "full"
    assert deviations(result) == []

    unified_machine.run(["systemd-run", "--unit=crowd", "-p", "TasksMax=20", "bash", "-c", "for i in $(seq 18); do sleep 1000 & done; wait"])
    findings = [finding for finding in of_rule(check(unified_machine), "PH-SYS-004") if finding["status"] in ("warn", "fail")]
    assert findings and "crowd.service" in findings[0]["message"] and "of 20" in findings[0]["message"]
    unified_machine.run(["systemctl", "kill", "-s", "KILL", "crowd.service"])
