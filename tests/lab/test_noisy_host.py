"""F15: a busy, healthy host with everything that looks wrong and is not. No warning, no failure, nothing unknown."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from .auditing import check, deviations, install

LAZY = r"""
import os, time
while True:  # always a few zombies, none for long
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0)
        children.append(child)
    time.sleep(0.5)
    for child in children:
        os.waitpid(child, 0)
"""

SHIM = r"""
import ctypes, mmap, os, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # a subreaper, as containerd-shim
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        for name in (b"a) Z 1 (b", b"new\nline"):
            if os.fork() == 0:
                open("/proc/self/comm", "wb").write(name)
                time.sleep(100000)
        time.sleep(100000)
    os._exit(0)
handle = os.memfd_create("runc-like")
os.write(handle, open("/bin/sleep", "rb").read())
if os.fork() == 0:
    os.execve(handle, ["sleep", "100000"], {})
shared = mmap.mmap(-1, 4096)
os.wait()
time.sleep(100000)
"""

SUPERVISED = """[program:worker]
command=/bin/sh -c 'sleep 100000 & sleep 100000'
"""


@pytest.fixture(scope="module")
def noisy(new_module_host):
    host = new_module_host("noisy", packages=("nginx-light", "postgresql", "tmux"))
    install(host)
    host.run(["useradd", "-m", "-s", "/bin/bash", "person"])
    host.run(["loginctl", "enable-linger", "person"])
    host.write("/opt/lazy.py", LAZY)
    host.write("/opt/shim.py", SHIM)
    host.write("/etc/supervisor/conf.d/worker.conf", SUPERVISED)
    host.write("/etc/cron.d/long", "* * * * * person /bin/sleep 1000\n")
    host.run(["cp", "/bin/sleep", "/usr/local/bin/x (deleted)"])
    host.run(["systemctl", "restart", "nginx", "postgresql", "supervisor", "cron"])
    for name, command in (("lazy", ["python3", "/opt/lazy.py"]), ("shim", ["python3", "/opt/shim.py"]), ("odd", ["/usr/local/bin/x (deleted)", "100000"]),
                          ("pool", ["sh", "-c", "for i in $(seq 60); do sleep 100000 & done; wait"])):
        host.run(["systemd-run", f"--unit={name}", *command])
    host.ssh("tmux", "new-session", "-d", "sleep 100000")
    deadline = time.monotonic() + 90
    while host.run(["pgrep", "-u", "person", "-x", "sleep"], check=False).returncode:  # cron has started the job
        assert time.monotonic() < deadline
        time.sleep(1)
    host.run(["systemctl", "restart", "cron"])  # KillMode=process: the job lives on, and that is right
    host.run(["runuser", "-u", "postgres", "--", "psql", "-c", "select 1"])
    return host


def test_a_noisy_host_is_silent(noisy):
    sessions = [subprocess.Popen(noisy.ssh_command("sleep", "60"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(3)]
    try:
        time.sleep(2)
        first = check(noisy)
        assert deviations(first) == []
        noisy.write("/root/first.json", json.dumps(first))
        assert deviations(check(noisy, "--previous", "/root/first.json")) == []
    finally:
        for session in sessions:
            session.kill()
            session.wait()


def test_it_was_noisy(noisy):
    """The test above means something: the innocent look-alikes were all there."""
    shown = noisy.run(["ps", "-eo", "comm,args"]).stdout
    for word in ("nginx", "postgres", "tmux", "(sd-pam)", "supervisord", "a) Z 1 (b", "x (deleted)"):
        assert word in shown
    assert int(noisy.run(["pgrep", "-c", "."]).stdout) >= 100
    assert len(check(noisy)["measures"]["zombies"]["by_parent"]) >= 1
