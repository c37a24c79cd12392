"""What the kernel really shows, one oddity a test: living leaders that look dead, traced zombies, hidden tasks, nested groups (F12, F13, F14, F16)."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from .auditing import SHELL, awaited, check, install, of_rule, only

LEADER = r"""
import ctypes, threading, time
for _ in range(3):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
libc = ctypes.CDLL(None)
libc.syscall(60, 0)  # exit of this thread alone: the leader
"""

TRACED = r"""
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    time.sleep(1)
    os._exit(5)
tracer = os.fork()
if tracer == 0:
    os.setsid()
    if libc.ptrace(0x4206, child, 0, 0):  # PTRACE_SEIZE
        os._exit(1)
    time.sleep(1000)
    os._exit(0)
open("/run/traced", "w").write("%d %d" % (child, tracer))
time.sleep(1000)
"""

HIDDEN = r"""
import ctypes, os, resource, time
libc = ctypes.CDLL(None, use_errno=True)
ready, go, done = os.pipe(), os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.setgid(64125); os.setuid(64125)
    libc.prctl(4, 1, 0, 0, 0)  # dumpable, so that the parent may write its map
    if libc.unshare(0x10000000):  # CLONE_NEWUSER
        os._exit(1)
    os.write(ready[1], b"x"); os.read(go[0], 1)
    os.setuid(5)
    for _ in range(5):
        if os.fork() == 0:
            time.sleep(1000); os._exit(0)
    os.write(done[1], b"x")
    time.sleep(1000)
os.read(ready[0], 1)
open("/proc/%d/uid_map" % child, "w").write("0 70000 10\n")
os.write(go[1], b"x"); os.read(done[0], 1)
shell = os.fork()
if shell == 0:
    resource.setrlimit(resource.RLIMIT_NPROC, (7, 7))
    os.setgid(64125); os.setuid(64125)
    try:
        refused = 0 if os.fork() else os._exit(0)
    except OSError as error:
        refused = error.errno
    open("/tmp/hidden", "w").write(str(refused))
    time.sleep(1000)
time.sleep(1000)
"""

STOPPED = r"""
import os, signal, time
for _ in range(30):
    if os.fork() == 0:
        os._exit(0)
os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def host(new_module_host):
    host = new_module_host("oddities")
    install(host)
    return host


@contextmanager
def running(host, name: str, script: str, settle: float = 2.0):
    host.write(f"/opt/{name}.py", script)
    host.run(["systemd-run", f"--unit={name}", "python3", f"/opt/{name}.py"])
    time.sleep(settle)
    try:
        yield
    finally:
        host.run(["systemctl", "kill", "-s", "KILL", f"{name}.service"], check=False)
        host.run(["systemctl", "reset-failed", f"{name}.service"], check=False)


def test_a_dead_leader_with_living_threads_is_alive(host):
    """F12: the state says Z; PH-ZMB-003 and nothing else."""
    with running(host, "leader", LEADER):
        result = check(host)
        finding = only(result, "PH-ZMB-003", "info")
        assert "3 threads still run: it is alive" in finding["message"]
        assert result["measures"]["zombies"]["total"] == 0
        pid = finding["subject"]["id"].split("(")[1].rstrip(")")
        assert "it is alive, no zombie" in host.run([*SHELL, "explain", pid]).stdout


def test_a_traced_zombie_blames_the_tracer(host):
    """F13: the parent is not blamed, although the zombie stays for ever."""
    with running(host, "traced", TRACED, settle=8):
        zombie, tracer = host.read("/run/traced").split()
        result = awaited(host, ["PH-ZMB-004"])
        finding = only(result, "PH-ZMB-004", "warn")
        assert f"({zombie}) cannot be reaped" in finding["message"] and f"({tracer}) traces it" in finding["message"]
        assert of_rule(result, "PH-ZMB-001") == []
        text = host.run([*SHELL, "explain", zombie]).stdout
        assert "until that detaches or ends" in text


def test_hidden_tasks_are_charged_to_the_creator_of_their_namespace(host):
    """F14: a sum over /proc gives one task for uid 64125, and yet its seventh fork is refused."""
    host.run(["sh", "-c", "echo 'builder:x:64125:64125::/tmp:/bin/sh' >> /etc/passwd"])
    with running(host, "hidden", HIDDEN):
        assert host.read("/tmp/hidden") == "11", "the kernel refuses"
        result = check(host)
        assert "User builder is charged 6 tasks that carry other uids" in only(result, "PH-LIM-002", "warn")["message"]
        assert "User builder has 7 tasks of 7 allowed (100.0 %)" in only(result, "PH-LIM-001", "fail")["message"]


def test_a_stopped_parent_is_to_be_continued(host):
    with running(host, "stopped", STOPPED, settle=7):
        result = awaited(host, ["PH-ZMB-001"], "--rule", "PH-ZMB-*")
        # Younger than a minute it is information; what matters here is the diagnosis once it counts.
        assert only(result, "PH-ZMB-001", "info")
        deadline, text = time.monotonic() + 60, "No deviation"
        while "No deviation" in text and time.monotonic() < deadline:  # the next look may know their age less well, which it tells too low
            text = host.run([*SHELL, "check", "--rule", "PH-ZMB-001", "--details"]).stdout
        assert "continue the stopped parent (kill -CONT" in " ".join(text.split())


def test_the_slice_above_a_session_is_named(host):
    """F16: the session has room, the user's slice is full."""
    host.run(["useradd", "-m", "crowd"])
    uid = host.run(["id", "-u", "crowd"]).stdout.strip()
    host.run(["loginctl", "enable-linger", "crowd"])
    time.sleep(1)
    slice_name = f"user-{uid}.slice"
    used = int(host.run(["systemctl", "show", "-P", "TasksCurrent", slice_name]).stdout)
    host.run(["systemctl", "set-property", "--runtime", slice_name, f"TasksMax={used + 40}"])
    host.run(["systemd-run", f"--slice={slice_name}", "--unit=crowd-job", "-p", "User=crowd", "-p", "TasksMax=1000", "bash", "-c",
              "for i in $(seq 38); do sleep 1000 & done; wait"])
    time.sleep(1)
    try:
        findings = [finding for finding in of_rule(check(host), "PH-SYS-004") if finding["status"] in ("warn", "fail")]
        assert findings, "39 of 40 more"
        assert all(slice_name in finding["message"] for finding in findings)
        assert slice_name in host.run([*SHELL, "explain", "crowd-job.service"]).stdout.split("→")[1].splitlines()[0]
    finally:
        host.run(["systemctl", "kill", "-s", "KILL", "crowd-job.service"], check=False)
        host.run(["loginctl", "disable-linger", "crowd"])
        host.run(["systemctl", "revert", slice_name], check=False)


OTHER_NAMESPACE = r"""
import os
libc = __import__("ctypes").CDLL(None, use_errno=True)
assert libc.unshare(0x20000000 | 0x00020000) == 0  # CLONE_NEWPID, CLONE_NEWNS
if os.fork() == 0:
    assert libc.mount(b"none", b"/", None, 1 << 14 | 1 << 18, None) == 0  # MS_REC | MS_PRIVATE
    assert libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0
    open("/proc/sys/kernel/pid_max", "w").write("1000")
    open("/run/inner", "w").write(open("/proc/sys/kernel/pid_max").read())
    __import__("time").sleep(1000)
os.wait()
"""


def test_pid_max_of_another_namespace_is_not_shown(host):
    """Why PH-PID-002 judges the namespace that the audit is in: the kernel shows the reader's own value, whosever /proc it looks into."""
    if tuple(int(part) for part in host.run(["uname", "-r"]).stdout.split(".")[:2]) < (6, 14):
        pytest.skip("there is one pid_max for all, and it must not be changed")
    with running(host, "inner", OTHER_NAMESPACE):
        init = host.run(["pgrep", "-n", "-f", "/opt/inner.py"]).stdout.strip()
        own = host.read("/proc/sys/kernel/pid_max")
        assert host.read("/run/inner") == "1000\n" != own
        assert host.run(["cat", "/proc/%s/root/proc/sys/kernel/pid_max" % init]).stdout == own
        assert host.run(["nsenter", "-t", init, "-p", "-m", "cat", "/proc/sys/kernel/pid_max"]).stdout == "1000\n"
