"""A supervisord whose three-process tree leaks both ways told in the seed, and the look-alikes that are no leak (F03, F04)."""

from __future__ import annotations

import time

import pytest

from .auditing import SHELL, check, install, of_rule, only

# Three processes of one command; the second one ends with the first, the third one does not. That is how salt-minion does it.
MINION = """#!/usr/bin/python3
import ctypes, os, signal, time
if os.fork() == 0:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)
    if os.fork() == 0:
        time.sleep(100000)
    time.sleep(100000)
time.sleep(100000)
"""
AGENT = """#!/bin/sh
start-stop-daemon --start --oknodo --background --exec /usr/local/bin/helper -- 90001
exec sleep 90002
"""
PROGRAMS = """[program:salt-minion]
command=/usr/bin/salt-minion
[program:agent]
command=/usr/local/bin/agent
"""


def minions(host) -> list[int]:
    """Oldest first."""
    return [int(pid) for pid in host.run(["pgrep", "-x", "salt-minion"], check=False).stdout.split()]


def wait_for_minions(host, count: int) -> list[int]:
    deadline = time.monotonic() + 40
    while len(minions(host)) != count:
        assert time.monotonic() < deadline, minions(host)
        time.sleep(0.5)
    return minions(host)


def pid_of(host, pattern: str) -> int:
    return int(host.run(["pgrep", "-f", "-x", pattern]).stdout.split()[0])


def supervise(host, restart: str = "RestartSec=50") -> list[int]:
    """Both programs run; the minions. ``restart``: what systemd does about a supervisord that died, as Debian has it."""
    host.run(["systemctl", "stop", "supervisor"])  # else it may read half of what follows while it still starts
    host.write("/usr/bin/salt-minion", MINION, 0o755)
    host.write("/usr/local/bin/agent", AGENT, 0o755)
    host.run(["cp", "/bin/sleep", "/usr/local/bin/helper"])
    host.write("/etc/supervisor/conf.d/programs.conf", PROGRAMS)
    host.write("/etc/systemd/system/supervisor.service.d/soon.conf", f"[Service]\n{restart}\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "supervisor"])
    return wait_for_minions(host, 3)


@pytest.fixture
def supervised(new_host):
    host = new_host("supervised")
    install(host)
    supervise(host)
    assert not [finding for finding in check(host)["findings"] if finding["rule"].startswith("PH-ORP") and finding["status"] != "info"]
    return host


def test_supervisord_killed_leaves_six(supervised):
    first = minions(supervised)
    helper = pid_of(supervised, "/usr/local/bin/helper 90001")
    agent = pid_of(supervised, "sleep 90002")
    supervised.run(["kill", "-KILL", str(supervised.pid_of("supervisor"))])
    time.sleep(1)
    alone = of_rule(check(supervised), "PH-ORP-001")
    assert sorted(finding["status"] for finding in alone) == ["warn", "warn"], "nobody keeps them, but nothing runs twice yet"
    supervised.run(["systemctl", "start", "supervisor"])
    second = [pid for pid in wait_for_minions(supervised, 6) if pid not in first]

    result = check(supervised)
    findings = {finding["subject"]["id"]: finding for finding in of_rule(result, "PH-ORP-001")}
    assert set(findings) == {f"salt-minion:salt-minion ({min(first)})", f"agent:agent ({agent})"}
    finding = findings[f"salt-minion:salt-minion ({min(first)})"]
    assert finding["status"] == "fail" and finding["severity"] == "HIGH"
    assert "with 3 processes (pids %s)" % ", ".join(map(str, sorted(first))) in finding["message"]
    assert f"runs it again as {min(second)}" in finding["message"]
    assert finding["remedy"]["parameters"]["end"] == ",".join(map(str, sorted(first)))
    text = " ".join(supervised.run([*SHELL, "explain", str(max(first))]).stdout.split())
    assert f"helps: end the tree of salt-minion ({min(first)})" in text and "does not help: supervisorctl restart" in text
    assert "does not help: restart supervisor.service; KillMode=process leaves it running" in text
    assert all(str(helper) not in each["message"] for each in findings.values()), "start-stop-daemon's child is no leak"
    assert [each["status"] for each in of_rule(result, "PH-ORP-002")].count("warn") == 2
    assert str(min(first)) in only(result, "PH-ORP-007", "fail")["message"]

    for pid in [*first, agent]:
        supervised.run(["kill", "-KILL", str(pid)], check=False)
    time.sleep(1)
    assert not [each for each in check(supervised)["findings"] if each["rule"].startswith("PH-ORP") and each["status"] != "info"]


def test_top_child_killed_leaves_four(supervised):
    first = minions(supervised)
    supervised.run(["kill", "-KILL", str(min(first))])
    wait_for_minions(supervised, 4)
    finding = only(check(supervised), "PH-ORP-001", "fail")
    left = max(first)
    assert f"salt-minion:salt-minion ({left}) runs outside supervisord with 1 process (pids {left})" in finding["message"]
    assert len(of_rule(check(supervised), "PH-ORP-001")) == 1
