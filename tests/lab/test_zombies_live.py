"""The first seed, for real and at full size: an agent that leaks 18,094 zombies of the user oracle (F01)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .auditing import SHELL, check, deviations, install, of_rule, only

HERE = Path(__file__).parent
ZOMBIES = 18094
LIMIT = 16384
UNIT = """[Unit]
Description=Backup agent

[Service]
# The seed's host had no pids controller; here the default would be 15 %% of pid_max, 4915, and stop the leak early.
TasksMax=infinity
ExecStart=/usr/bin/python3 /opt/VRTSralus/beremote %d 500 %d
"""


def start_agent(host, count: int, spread: int) -> None:
    host.write("/opt/VRTSralus/beremote", (HERE / "leaking_agent.py").read_text())
    host.write("/etc/systemd/system/VRTSralus.service", UNIT % (count, spread))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "VRTSralus.service"])


def wait_for(host, path: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while host.run(["test", "-e", path], check=False).returncode:
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def oracle_host(new_module_host):
    host = new_module_host("oracle")
    install(host)
    host.run(["groupadd", "-g", "500", "oracle"])
    host.run(["useradd", "-m", "-u", "500", "-g", "500", "-s", "/bin/bash", "oracle"])
    host.write("/etc/security/limits.d/30-oracle.conf", f"oracle - nproc {LIMIT}\n")
    host.run(["sh", "-c", "echo 32768 > /proc/sys/kernel/pid_max"])
    host.run(["systemd-run", "--unit=database", "-p", "Type=exec", "su", "-", "oracle", "-c", "exec sleep 100000"])
    host.write("/etc/cron.d/ralus", "0 14 * * 6 root /etc/init.d/VRTSralus.init restart\n")
    start_agent(host, ZOMBIES, 75)
    wait_for(host, "/run/leaked", 240)
    return host


def tasks_of_oracle(host) -> int:
    """Threads and zombies with the real uid 500, as ps counts them."""
    return host.run(["ps", "-eLo", "ruid="]).stdout.split().count("500")


def test_the_leak_is_attributed_aged_and_forecast(oracle_host):
    result = check(oracle_host)
    finding = only(result, "PH-ZMB-001", "fail")
    assert finding["severity"] == "CRIT"
    agent = oracle_host.run(["systemctl", "show", "-P", "MainPID", "VRTSralus.service"]).stdout.strip()
    assert f"python3.11 ({agent}) has not reaped {ZOMBIES} zombies of user oracle" in finding["message"]
    assert "restart VRTSralus.service" in finding["message"]
    assert "growing by" in finding["message"] and "full now" in finding["message"]
    assert finding["binding"] == f"RLIMIT_NPROC of oracle: {tasks_of_oracle(oracle_host)} of {LIMIT}"
    measured = result["measures"]["zombies"]
    assert measured["total"] == ZOMBIES
    assert measured["by_parent"][0]["unit"] == "VRTSralus.service"
    assert 60 < measured["by_parent"][0]["oldest_s"] < 600
    assert result["audit"]["waited_s"] == 0.0


def test_the_limit_of_the_user_is_told_above_100_percent(oracle_host):
    finding = only(check(oracle_host), "PH-LIM-001", "fail")
    assert f"User oracle has {tasks_of_oracle(oracle_host)} tasks of {LIMIT} allowed (110." in finding["message"]
    refused = oracle_host.run(["su", "-", "oracle", "-c", "true"], check=False)
    assert refused.returncode != 0, "and it is true: nobody can become oracle now"


def test_the_other_rules_of_the_seed(oracle_host):
    result = check(oracle_host)
    assert "never reaps them" in of_rule(result, "PH-ZMB-005")[0]["message"]
    assert only(result, "PH-PID-002", "warn")["severity"] == "HIGH"
    assert only(result, "PH-LIM-011", "info")


def test_the_weekly_restart_is_seen_through(oracle_host):
    finding = only(check(oracle_host), "PH-ZMB-007", "fail")
    assert "/etc/cron.d/ralus:1 restarts VRTSralus.init every 7.0 d to hide a leak of zombies" in finding["message"]


def test_explain_tells_who_must_act(oracle_host):
    zombie = check(oracle_host, "--rule", "PH-ZMB-001")["findings"][0]["evidence"][1]["value"].rsplit(" ", 1)[-1]
    text = " ".join(oracle_host.run([*SHELL, "explain", zombie]).stdout.split())
    assert "An init in the container or on the host does not help while the parent lives: mend or restart VRTSralus.service." in text
    text = oracle_host.run([*SHELL, "explain", "oracle"]).stdout
    assert f"→ RLIMIT_NPROC of user oracle: {tasks_of_oracle(oracle_host)} of {LIMIT}" in text
    assert f'"oracle - nproc {LIMIT}" in /etc/security/limits.d/30-oracle.conf:1, by pam_limits when its session began' in " ".join(text.split())


def test_restarting_the_unit_as_told_repairs_it(oracle_host):
    oracle_host.run(["systemctl", "kill", "-s", "KILL", "VRTSralus.service"])
    deadline = time.monotonic() + 60
    while deviations(check(oracle_host), ("warn", "fail")):
        assert time.monotonic() < deadline, deviations(check(oracle_host))
        time.sleep(1)
