"""Killed, out of space, read-only, a manager that hangs, two at once: the host is left in the old state or the new one, and is told which."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from ..auditing import PLACE, install
from ..host import LabHost

APPLY = """
import json, sys
from pidhygiene.host import HostError
from pidhygiene.remedies import apply
from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import Failed, Refused
try:
    report = apply.apply(BY_NAME[sys.argv[1]], json.loads(sys.argv[2]))
    print("changed" if report.changed else "same")
except (Refused, Failed) as error:
    print(type(error).__name__, getattr(error, "state", ""), error)
"""
UNIT = "[Service]\nExecStart=/usr/bin/sleep 1000000\n"
DROP_IN = "/etc/systemd/system/d.service.d/zz-pidhygiene.conf"
WRITING = "write,sendto,fsync,rename,unlink,mkdir,rmdir,chmod,fchmod,fchown,setxattr,ftruncate,symlink"


@pytest.fixture
def host(new_host) -> LabHost:
    host = new_host("faults", packages=("strace",))
    install(host)
    host.write("/opt/apply.py", APPLY)
    host.write("/etc/systemd/system/d.service", UNIT)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "d.service"])
    return host


def applied(host: LabHost, *before: str, tasks: str = "99", **more: object) -> subprocess.CompletedProcess[str]:
    wanted = {"unit": "d.service", "limits": {"tasks": tasks}, **more}
    return host.run([*before, "env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", "unit_limits", json.dumps(wanted)], check=False)


def drop_in(host: LabHost) -> str:
    return host.run(["cat", DROP_IN], check=False).stdout


def pids_max(host: LabHost) -> str:
    return host.run(["cat", "/sys/fs/cgroup/pids/system.slice/d.service/pids.max"]).stdout.strip()


def test_killed_at_every_call_that_writes(host) -> None:
    """Old or new, never half; and the next run finishes what the killed one began."""
    old, pid = pids_max(host), host.pid_of("d")
    assert applied(host).stdout == "changed\n"
    new = drop_in(host)
    assert pids_max(host) == "99"
    seen: set[tuple[bool, str]] = set()
    killed = 0
    for number in range(1, 200):
        assert applied(host, state="absent", limits=None).stdout == "changed\n" and pids_max(host) == old
        done = applied(host, "strace", "-qq", "-o", "/dev/null", "-e", f"trace={WRITING}", "-e", f"inject={WRITING}:signal=SIGKILL:when={number}")
        assert drop_in(host) in ("", new), "half a file"
        seen.add((drop_in(host) == new, pids_max(host)))
        if done.stdout == "changed\n":
            break
        killed += 1
        assert applied(host).stdout in ("changed\n", "same\n")
        assert (drop_in(host), pids_max(host)) == (new, "99")
        assert host.run(["find", "/etc/systemd/system", "-name", "*.pidhygiene-new"]).stdout == ""
    assert killed >= 8 and {(False, old), (True, old), (True, "99")} <= seen, (killed, seen)
    assert host.pid_of("d") == pid


def test_a_kernel_setting_killed_at_every_call_that_writes(host) -> None:
    """What ran before is known to the next run, whichever way the killed one went."""
    file = "/etc/sysctl.d/zz-pidhygiene.conf"
    there, back = {"values": {"kernel.pid_max": 65536}}, {"state": "absent"}

    def now() -> tuple[str, str]:
        return host.run(["cat", file], check=False).stdout, host.read("/proc/sys/kernel/pid_max").strip()

    def apply(given: dict[str, object], *before: str) -> str:
        return host.run([*before, "env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", "kernel_limits", json.dumps(given)],
                        check=False).stdout

    host.run(["rm", "-f", "/usr/lib/sysctl.d/50-pid-max.conf"])  # so that only our file knows what was before
    old = now()
    assert apply(there) == "changed\n"
    new, seen, unharmed = now(), set(), set[str]()
    for number in range(1, 200):
        killed = ("strace", "-qq", "-o", "/dev/null", "-e", f"trace={WRITING}", "-e", f"inject={WRITING}:signal=SIGKILL:when={number}")
        for given, wanted in ((back, old), (there, new)):
            if apply(given, *killed) == "changed\n":
                unharmed.add(str(given))
            seen.add(now())
            assert apply(given) in ("changed\n", "same\n") and now() == wanted, (number, given)
        if len(unharmed) == 2:
            break
    assert seen == {old, new, (new[0], old[1])}, "the file is written first, and goes last"


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_nothing(host, fault: str) -> None:
    options = "size=4k,nr_inodes=3" if fault == "full" else "ro"
    host.run(["mkdir", "/etc/systemd/system/d.service.d"])
    host.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", "/etc/systemd/system/d.service.d"])
    if fault == "full":
        host.run(["sh", "-c", "cd /etc/systemd/system/d.service.d && touch taken && dd if=/dev/zero of=full bs=4k count=1 2>/dev/null"], check=False)
    old = pids_max(host)
    said = applied(host).stdout
    assert said.startswith("Failed old") and ("No space left" in said or "Read-only" in said) and "the old state is back" in said, said
    assert pids_max(host) == old and drop_in(host) == ""
    assert ".pidhygiene-new" not in host.run(["ls", "-A", "/etc/systemd/system/d.service.d"]).stdout


def test_a_manager_that_hangs(host) -> None:
    """PID 1 is stopped, from this machine: nothing can be read from it, so nothing is written."""
    subprocess.run(["kill", "-STOP", str(host.init_pid)], check=True)
    try:
        said = applied(host).stdout
    finally:
        subprocess.run(["kill", "-CONT", str(host.init_pid)], check=True)
    assert said.startswith("Refused") and "systemd does not answer" in said and drop_in(host) == "", said
    assert applied(host).stdout == "changed\n"


def test_two_at_once(host) -> None:
    """Started together, many times: each is told that it changed something, that all is well, or that it came second."""
    argv = ["env", f"PYTHONPATH={PLACE}", "python3", "/opt/apply.py", "unit_limits"]
    answers = []
    for round_ in range(4):
        pairs = [subprocess.Popen(host.entering([*argv, json.dumps({"unit": "d.service", "limits": {"tasks": str(60 + 2 * round_ + which)}})]),
                                  stdout=subprocess.PIPE, text=True) for which in (0, 1)]
        both = [process.communicate(timeout=120)[0] for process in pairs]
        answers.extend(both)
        assert all(said == "changed\n" or "another remedy is being applied" in said for said in both), both
        value = pids_max(host)
        assert f"TasksMax={value}\n" in drop_in(host), "what is written is what is in force"
    assert answers.count("changed\n") >= 4


def test_nothing_is_forked_to_set_a_limit(host) -> None:
    before = host.run(["cat", "/proc/sys/kernel/ns_last_pid"]).stdout
    assert before.strip().isdigit()
    done = applied(host, "strace", "-f", "-qq", "-o", "/tmp/trace", "-e", "trace=fork,vfork,clone,clone3,execve")
    assert done.stdout == "changed\n"
    calls = [line for line in host.run(["cat", "/tmp/trace"]).stdout.splitlines() if "execve" not in line]
    assert calls == []


def test_a_unit_that_hangs_at_its_start_is_rolled_back(host) -> None:
    host.write("/etc/systemd/system/d.service", "[Service]\nType=notify\nTimeoutStartSec=3\nExecStart=/bin/sh -c '[ $(ulimit -n) = 77 ] || systemd-notify --ready; exec sleep 100000'\nNotifyAccess=all\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "restart", "d.service"])
    began = time.monotonic()
    said = applied(host, limits={"nofile": "77"}).stdout
    assert time.monotonic() - began < 300
    assert said.startswith("Failed old") and "d.service did not come back" in said and drop_in(host) == "", said
    assert host.run(["systemctl", "is-active", "d.service"]).stdout.strip() == "active"
