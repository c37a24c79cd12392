"""Run the engine on a lab host, as a person with a shell there would."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .host import LabHost
from .machine import Machine

# A lab host is a container of this machine, and the audit says so. What is around it is the lab's business.
POLICY = {"outer_limits_watched": True}

ENGINE = Path(__file__).resolve().parents[2] / "ansible_collection" / "plugins" / "module_utils" / "pidhygiene"
PLACE = "/opt/engine"
SHELL = ["env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "-m", "pidhygiene"]


def install(machine: Machine) -> None:
    """Put the engine on the host."""
    machine.push(ENGINE, f"{PLACE}/pidhygiene")
    machine.write(f"{PLACE}/policy.json", json.dumps(POLICY))


def check(machine: Machine, *options: str) -> dict[str, Any]:
    """The result of an audit as root; of a lab host, as if it were a machine of its own."""
    if isinstance(machine, LabHost):
        options = ("--policy", f"{PLACE}/policy.json", *options)
    result: dict[str, Any] = json.loads(machine.run([*SHELL, "check", "--format", "json", "--fail-on", "never", *options]).stdout)
    assert result["audit"]["errors"] == []
    return result


def of_rule(result: dict[str, Any], rule: str) -> list[dict[str, Any]]:
    return [finding for finding in result["findings"] if finding["rule"] == rule]


def only(result: dict[str, Any], rule: str, status: str) -> dict[str, Any]:
    found = [finding for finding in of_rule(result, rule) if finding["status"] == status]
    assert len(found) == 1, summary(of_rule(result, rule))
    return found[0]


def awaited(machine: Machine, rules: Sequence[str], *options: str, status: str = "", seconds: float = 120) -> dict[str, Any]:
    """The first result in which each of the rules has a finding (of this status).

    For what counts from an age on: a zombie's age is known from the clock of the processor that it ended on, and those differ by the time that others
    took from them (kernel/sched/core.c update_rq_clock_task), here by some seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = check(machine, *options)
        if all(any(status in ("", finding["status"]) for finding in of_rule(result, rule)) for rule in rules):
            return result
        assert time.monotonic() < deadline, f"{', '.join(rules)} {status} after {seconds} s: {summary(result['findings'])}"
        time.sleep(0.5)


def deviations(result: dict[str, Any], statuses: Sequence[str] = ("warn", "fail", "unknown")) -> list[str]:
    """What a healthy host must not have."""
    return summary([finding for finding in result["findings"] if finding["status"] in statuses])


def summary(findings: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{finding['status']} {finding['rule']} {finding['subject']['id']}: {finding['message']}" for finding in findings]
