"""An audit starts no process and no thread, and answers when nothing can be started any more."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest

from .auditing import PLACE, SHELL, check, install, of_rule, only

STARTS = ("clone", "clone3", "fork", "vfork")


@pytest.fixture(scope="module")
def host(new_module_host):
    host = new_module_host("quiet")
    install(host)
    return host


def starts_after_entry(trace: str) -> list[str]:
    """Lines of the trace in which the interpreter, once it runs, starts a task. nsenter's own fork comes before."""
    lines = trace.splitlines()
    entry = next(number for number, line in enumerate(lines) if re.search(r'execve\("\S*python3".* = 0$', line))
    return [line for line in lines[entry + 1:] if re.match(r"\d+ +(%s)\(" % "|".join(STARTS), line)]


def traced(host, tmp_path, *command: str) -> str:
    trace = tmp_path / "trace"
    subprocess.run(["strace", "-f", "-qq", "-e", "trace=execve," + ",".join(STARTS), "-o", str(trace), *host.entering(command)],
                   check=True, capture_output=True, timeout=120)
    return trace.read_text()


def test_an_audit_starts_nothing(host, tmp_path):
    trace = traced(host, tmp_path, *SHELL, "check", "--format", "json", "--fail-on", "never")
    assert starts_after_entry(trace) == []


def test_explain_starts_nothing(host, tmp_path):
    assert starts_after_entry(traced(host, tmp_path, *SHELL, "explain", "ssh.service")) == []


def test_the_witness_sees_a_start(host, tmp_path):
    """The test above can fail."""
    trace = traced(host, tmp_path, "python3", "-c", "import os; os.fork()")
    assert len(starts_after_entry(trace)) == 1


FILL_AND_AUDIT = """
import json, os, signal, sys, time
sys.path.insert(0, %r)
open("/proc/sys/kernel/pid_max", "w").write("310")
children = []
try:
    while True:
        child = os.fork()
        if child == 0:
            time.sleep(300)
            os._exit(0)
        children.append(child)
except OSError as error:
    refused = error.errno
from pidhygiene.audit import audit
from pidhygiene.host import LiveHost
try:
    result = audit(LiveHost())
finally:
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    open("/proc/sys/kernel/pid_max", "w").write("4194304")
print(json.dumps({"refused": refused, "started": len(children), "result": result}))
"""


def test_it_answers_in_a_full_pid_namespace(host):
    """F17: pid_max 310, a dozen forks, and nothing can be started; the host around it is well."""
    told = json.loads(host.run(["python3", "-c", FILL_AND_AUDIT % PLACE]).stdout)
    assert told["refused"] == 11 and told["started"] > 0
    result = told["result"]
    assert result["audit"]["errors"] == []
    finding = only(result, "PH-PID-002", "fail")
    assert finding["severity"] == "CRIT"
    assert finding["message"].startswith("This pid namespace has used ")
    assert [row["status"] for row in result["rules"] if row["rule"] == "PH-PID-001"] == ["pass"]
    assert of_rule(check(host), "PH-PID-002") == []


def test_a_stopped_manager_costs_what_only_it_knows(new_host):
    """PID 1 accepts the connection and never answers: the deadline holds, and what is not known is said."""
    host = new_host("stopped")
    install(host)
    healthy = check(host)
    subprocess.run(["kill", "-STOP", str(host.init_pid)], check=True)
    try:
        started = time.monotonic()
        result = check(host)
        took = time.monotonic() - started
    finally:
        subprocess.run(["kill", "-CONT", str(host.init_pid)], check=True)
    assert took < 60
    unknown = {row["rule"] for row in result["rules"] if row["status"] == "unknown"}
    assert unknown, "what only the manager knows is unknown"
    assert not {row["rule"] for row in healthy["rules"] if row["status"] == "unknown"}
    assert {"PH-ZMB-001", "PH-PID-001", "PH-LIM-001"} <= {row["rule"] for row in result["rules"] if row["status"] == "pass"}


def test_a_host_without_a_bus(new_host):
    host = new_host("busless")
    install(host)
    host.run(["mv", "/run/systemd/private", "/run/systemd/private.away"])
    host.run(["mv", "/run/dbus/system_bus_socket", "/run/dbus/away"])
    result = check(host)
    assert {row["rule"] for row in result["rules"] if row["status"] == "unknown"}
    assert not [finding for finding in result["findings"] if finding["status"] in ("warn", "fail")]
