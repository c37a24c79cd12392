"""The second seed, for real: a container whose init does not reap fills its pids.max of 1002; the same under tini does not (F02)."""

from __future__ import annotations

import time

import pytest

from .auditing import check, install, of_rule, only

LIMIT, ZOMBIES = 1002, 1000
LEAKING, REAPED, SHELL_INIT = "09e6e8e1634612580a03dd3496d2efed2cf2a510b9688160b414ce1d1ea3e4ae", "1" * 64, "2" * 64

# Orphans that end at once; each one's parent is reaped, it itself falls to the init.
APP = """
import os, sys, time
for number in range(int(sys.argv[1])):
    middle = os.fork()
    if middle == 0:
        os.fork()
        os._exit(0)
    os.waitpid(middle, 0)
if os.fork() == 0:
    os.execvp("sleep", ["sleep", "100000"])
open(sys.argv[2], "w").close()
time.sleep(100000)
"""

# What a runtime does, as far as the kernel can see it: a group with a limit and a name, and a pid namespace.
RUNTIME = """
group=$1 limit=$2; shift 2
mkdir -p "/sys/fs/cgroup/pids/system.slice/$group"
echo "$limit" > "/sys/fs/cgroup/pids/system.slice/$group/pids.max"
exec unshare --fork --pid sh -c 'echo 0 > "/sys/fs/cgroup/pids/system.slice/$0/cgroup.procs"; exec "$@"' "$group" "$@"
"""


def group_of(name: str) -> str:
    return f"/system.slice/docker-{name}.scope"


@pytest.fixture(scope="module")
def containers(new_module_host):
    host = new_module_host("containers", layout="hybrid", packages=("tini",))
    install(host)
    host.write("/opt/app.py", APP)
    host.write("/opt/runtime", RUNTIME)
    for unit, name, init in (("leaking", LEAKING, []), ("reaped", REAPED, ["tini", "--"]), ("shell", SHELL_INIT, ["bash", "-c", '"$@" & wait; sleep 9', "-"])):
        app = ["python3", "/opt/app.py", str(ZOMBIES if not init else 100), f"/run/{unit}"]
        host.run(["systemd-run", f"--unit={unit}", "sh", "/opt/runtime", f"docker-{name}.scope", str(LIMIT), *init, *app])
    deadline = time.monotonic() + 60
    while host.run(["sh", "-c", "test -e /run/leaking && test -e /run/reaped && test -e /run/shell"], check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    time.sleep(6)  # from five seconds on, a zombie counts as persistent
    return host


def test_the_init_is_blamed_and_nobody_else(containers):
    finding = only(check(containers), "PH-CTR-001", "fail")
    assert finding["severity"] == "CRIT"
    assert f"docker container {LEAKING[:12]}: its init python3.11 (" in finding["message"]
    assert f"has not reaped {ZOMBIES} zombies" in finding["message"]
    assert finding["binding"] == f"pids.max of {group_of(LEAKING)}: {LIMIT} of {LIMIT}"
    assert len(of_rule(check(containers), "PH-CTR-001")) == 1, "tini and bash reap"


def test_its_budget_is_full_and_truly_so(containers):
    finding = only(check(containers), "PH-CTR-002", "fail")
    assert f"has {LIMIT} tasks of {LIMIT} allowed" in finding["message"]
    assert f"{ZOMBIES} of them zombies" in finding["message"]
    refused = containers.run(
        ["sh", "-c", f"echo 0 > /sys/fs/cgroup/pids{group_of(LEAKING)}/cgroup.procs; /bin/true; /bin/true"], check=False)
    assert "ork" in refused.stderr, "no process can be started in it"


def test_signals_are_told_apart(containers):
    findings = of_rule(check(containers), "PH-CTR-004")
    assert [finding["status"] for finding in findings] and all(finding["status"] == "info" for finding in findings)
    text = " ".join(finding["message"] for finding in findings)
    assert LEAKING[:12] in text
    assert REAPED[:12] not in text, "tini waits for SIGTERM"
    init = containers.run(["pgrep", "-x", "tini"]).stdout.strip()
    mask = int(next(line.split()[1] for line in containers.read(f"/proc/{init}/status").splitlines() if line.startswith("SigBlk")), 16)
    assert not mask & 1 << 14, "and the kernel shows it as not blocked meanwhile"


def test_all_have_a_limit(containers):
    assert not of_rule(check(containers), "PH-CTR-003")
