"""A FUSE mount whose server has stopped answering: whoever looks at it piles up in state D. The audit does not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .auditing import check, deviations, install, of_rule, only

SERVER = Path(__file__).parent / "hung_server.py"
PLACE = "/mnt/hung"
FIRST, NOW, POLICY = "/root/first.json", "/root/now.json", {"uninterruptible": {"stuck_after": 0}}  # a test does not wait ten minutes
MONITOR = "for number in $(seq %d); do stat -f /mnt/hung & done; wait"


def states(host) -> str:
    return "".join(line[0] for line in host.run(["ps", "-o", "stat=", "-C", "stat"], check=False).stdout.split("\n") if line)


def wait_for(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def pile_up(host, count: int) -> None:
    """So many more: a monitor looks at the mount, and its time limit ends it, which changes nothing."""
    before = len(states(host))
    host.run(["systemd-run", "--quiet", f"--unit=monitor@{before}", "sh", "-c", MONITOR % count])
    wait_for(lambda: len(states(host)) == before + count)
    host.run(["pkill", "-KILL", "-x", "stat"])
    wait_for(lambda: states(host) == "D" * (before + count))


@pytest.fixture
def hung(new_host):
    host = new_host("hung")
    if host.run(["test", "-c", "/dev/fuse"], check=False).returncode:
        pytest.skip("no /dev/fuse on this machine")
    install(host)
    host.push(SERVER, "/opt/hung_server.py")
    host.write(NOW, json.dumps(POLICY))
    host.run(["mkdir", PLACE])
    host.run(["systemd-run", "--quiet", "--unit=office", "python3", "/opt/hung_server.py", PLACE])
    wait_for(lambda: f" {PLACE} " in host.read("/proc/self/mountinfo"))
    host.run(["systemd-run", "--quiet", "--unit=tool", f"{PLACE}/tool", "100000"])
    wait_for(lambda: host.run(["readlink", f"/proc/{host.pid_of('tool')}/exe"], check=False).stdout == f"{PLACE}/tool\n")
    return host  # with its server the connection goes, and with that all that waits for it


def connection(host) -> str:
    return next(line.split()[2].partition(":")[2] for line in host.read("/proc/self/mountinfo").splitlines() if f" {PLACE} " in line)


def abort(host) -> None:
    host.run(["sh", "-c", f"echo 1 > /sys/fs/fuse/connections/{connection(host)}/abort"])


def test_a_pile_up_on_a_hung_mount(hung):
    assert deviations(check(hung)) == [], "a mount that answers, and a program on it, are no trouble"
    hung.run(["kill", "-USR1", str(hung.pid_of("office"))])
    pile_up(hung, 4)
    assert of_rule(check(hung, "--policy", NOW), "PH-PID-006") == [], "fewer than five"
    pile_up(hung, 2)
    young = check(hung)  # the program of tool.service is on the mount: to ask about the file would be the end of the audit
    assert of_rule(young, "PH-PID-006") == [], "younger than ten minutes"
    assert [line for line in deviations(young) if "PH-DEL-003" not in line] == [], "only what a stuck task has in memory cannot be read"

    first = check(hung, "--policy", NOW)
    finding = only(first, "PH-PID-006", "warn")
    assert "6 tasks stat of monitor@.service are stuck in the kernel (request_wait_answer)" in finding["message"]
    number = connection(hung)
    assert (f"they wait for {PLACE} (fuse.hung of office), whose server owes 6 answers: restart it, or cut it off with "
            f"echo 1 > /sys/fs/fuse/connections/{number}/abort") in finding["message"]
    hung.write(FIRST, json.dumps(first))
    pile_up(hung, 1)
    only(check(hung, "--policy", NOW, "--previous", FIRST), "PH-PID-006", "fail")

    abort(hung)  # as the finding says
    wait_for(lambda: states(hung) == "")
    assert of_rule(check(hung, "--policy", NOW), "PH-PID-006") == []
