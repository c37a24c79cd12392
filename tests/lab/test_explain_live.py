"""``explain PID`` on real processes: who must act, and that doing what it says helps."""

from __future__ import annotations

import json
import time

import pytest

from .auditing import SHELL, install

NAME = "09e6e8e1634612580a03dd3496d2efed2cf2a510b9688160b414ce1d1ea3e4ae"

# A parent that never waits, and its zombie.
LEAK = "import os, time\nif os.fork() == 0:\n    os._exit(0)\ntime.sleep(100000)\n"
# Init of a container: a worker that lives and never waits for its child, and, if told so, an orphan for the init.
TREE = """
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)
    time.sleep(100000)
if len(sys.argv) > 1:
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(middle, 0)
time.sleep(100000)
"""
# A parent in vfork(2) waits in state D until its child ends.
STUCK = """
import ctypes, time
if ctypes.CDLL(None).syscall(56, 0x4000 | 17, 0, 0, 0, 0) == 0:  # clone(CLONE_VFORK | SIGCHLD)
    time.sleep(100000)
"""
RUNTIME = """
group=/sys/fs/cgroup/pids/system.slice/docker-$1.scope; shift
mkdir -p "$group"
exec unshare --fork --pid sh -c 'echo 0 > "$0/cgroup.procs"; exec "$@"' "$group" "$@"
"""


@pytest.fixture(scope="module")
def host(new_module_host):
    host = new_module_host("explained", layout="hybrid", packages=("tini",))
    install(host)
    for name, text in (("leak", LEAK), ("tree", TREE), ("stuck", STUCK), ("runtime", RUNTIME)):
        host.write(f"/opt/{name}", text)
    for unit, argv in (
        ("leaking", ["python3", "/opt/leak"]), ("stuck", ["python3", "/opt/stuck"]),
        ("reaped", ["sh", "/opt/runtime", "1" * 64, "tini", "--", "python3", "/opt/tree"]), ("app", ["sh", "/opt/runtime", NAME, "python3", "/opt/tree", "orphan"]),
    ):
        host.run(["systemd-run", f"--unit={unit}", *argv])
    return host


def rows(host):
    """(pid, parent, state, command) of every process."""
    return [(int(pid), int(parent), state[0], command) for pid, parent, state, command in (
        line.split(None, 3) for line in host.run(["ps", "-eo", "pid=,ppid=,stat=,args="]).stdout.splitlines())]


def wait_for(host, find):
    deadline = time.monotonic() + 60
    while True:
        found = find(rows(host))
        if found:
            return found
        assert time.monotonic() < deadline, rows(host)
        time.sleep(0.2)


def zombies_of(parent):
    return lambda table: [row for row in table if row[1] == parent and row[2] == "Z"]


def explained(host, pid):
    answer = json.loads(host.run([*SHELL, "explain", str(pid), "--format", "json"]).stdout)
    return answer, [way["what"] for way in answer["ways"] if way["works"]], [way["what"] for way in answer["ways"] if not way["works"]]


def test_a_zombie_of_a_service_goes_with_its_parent(host):
    main = int(host.run(["systemctl", "show", "-P", "MainPID", "leaking"]).stdout)
    zombie = wait_for(host, zombies_of(main))[0][0]
    answer, helps, not_so = explained(host, zombie)
    assert "restart leaking.service" in helps and f"kill -9 {zombie}" in not_so
    assert "mend or restart leaking.service" in answer["verdict"]
    host.run(["kill", "-9", str(zombie)])
    assert zombies_of(main)(rows(host)), "what is said not to help does not"
    host.run(["systemctl", "kill", "-s", "KILL", "leaking"])
    wait_for(host, lambda table: not zombies_of(main)(table))


def tree_of(host, unit, init):
    """(pid of the init, of its living worker, of the worker's zombie) in a container."""
    def find(table):
        inits = [row for row in table if row[3].startswith(init)]
        for row in inits:
            for worker in (each for each in table if "/opt/tree" in each[3] and each[2] == "S"):
                zombies = [each for each in table if each[1] == worker[0] and each[2] == "Z"]
                if zombies and worker[0] != row[0] and row[0] in parents(table, worker[0]):
                    return row[0], worker[0], zombies[0][0]
        return None

    return wait_for(host, find)


def parents(table, pid):
    above = {row[0]: row[1] for row in table}
    found = []
    while pid in above:
        pid = above[pid]
        found.append(pid)
    return found


def test_an_init_that_reaps_does_not_help_a_living_parents_child(host):
    """The question at the end of the third seed, with tini as the init."""
    init, worker, zombie = tree_of(host, "reaped", "tini")
    answer, helps, not_so = explained(host, zombie)
    assert f"end python3 ({worker}) alone" in helps and any("another init" in each for each in not_so), answer
    assert "does not help while the parent lives" in answer["verdict"]
    assert f"init of docker container {'1' * 12}" in " ".join(answer["about"])
    assert zombies_of(worker)(rows(host)), "tini has had its time"
    host.run(["kill", "-9", str(worker)])
    wait_for(host, lambda table: not [row for row in table if row[0] == zombie])
    assert explained(host, init)[1] == [], "it reaps: nothing is to be done"


def test_an_init_that_does_not_reap(host):
    init, _worker, _zombie = tree_of(host, "app", "python3 /opt/tree orphan")
    orphan = wait_for(host, zombies_of(init))[0][0]
    answer, helps, not_so = explained(host, orphan)
    assert any(each.startswith(f"recreate docker container {NAME[:12]} with an init that reaps") for each in helps)
    assert "an init on the host that reaps" in not_so and "so it must reap" in answer["verdict"]
    answer, helps, _not_so = explained(host, init)
    assert "needs another init" in answer["verdict"] and helps


def test_a_task_in_state_d(host):
    stuck = wait_for(host, lambda table: [row for row in table if "/opt/stuck" in row[3] and row[2] == "D"])[0][0]
    answer, helps, not_so = explained(host, stuck)
    assert "state D" in " ".join(answer["about"]) and "restart stuck.service" in not_so
    assert answer["verdict"].startswith("Nobody can end it before what it waits for answers.")
    assert helps == ["mend the mount, device or child that it waits for"]
