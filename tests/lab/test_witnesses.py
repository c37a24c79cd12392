"""Our process table against two independent witnesses, psutil and ps, on a machine kept busy: zombies, threads, users, odd names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from .auditing import ENGINE

sys.path.insert(0, str(ENGINE.parent))
from pidhygiene import headroom
from pidhygiene.evidence import gather
from pidhygiene.host import LiveHost
from pidhygiene.readers import processes

BUSY = """
import os, sys, threading, time
sys.stdin.close()
ready, is_ready = os.pipe()
for number in range(60):
    if os.fork() == 0:
        if number % 3 == 0:
            os._exit(0)
        with open("/proc/self/comm", "wb") as name:
            name.write([b"a) Z 1 (b", b"new\\nline", b"\\x1b[31mred", b"caf\\xc3\\xa9"][number %% 4])
        if os.geteuid() == 0 and number % 3 == 1:
            os.setuid(20000 + number)
        for _ in range(number %% 5):
            threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        os.write(is_ready, b"x")
        time.sleep(100)
        os._exit(0)
seen = 0
while seen < 40:  # the living two thirds
    seen += len(os.read(ready, 40))
print("ready", flush=True)
time.sleep(100)
""".replace("%%", "%")


@pytest.fixture
def busy():
    """Sixty children: twenty zombies, forty living ones with threads, other users and names that break naive parsers."""
    parent = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline() == b"ready\n"
        time.sleep(0.5)  # the zombies have ended
        yield parent.pid
    finally:
        for child in psutil.Process(parent.pid).children(recursive=True):
            child.send_signal(signal.SIGKILL)
        parent.kill()
        parent.wait()
        parent.stdout.close()


def psutil_view() -> dict[tuple[int, int], tuple[int, int, int, str]]:
    """(pid, start in ticks) to parent, real uid, threads, state."""
    letters = {"zombie": "Z", "sleeping": "S", "running": "R", "idle": "I", "disk-sleep": "D", "stopped": "T", "tracing-stop": "t", "dead": "X"}
    seen = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                start = round((process.create_time() - psutil.boot_time()) * os.sysconf("SC_CLK_TCK"))
                seen[process.pid, start] = (process.ppid(), process.uids().real, process.num_threads(), letters.get(process.status(), "?"))
        except psutil.NoSuchProcess:
            continue
    return seen


def test_the_table_equals_psutils(busy):
    before = psutil_view()
    table = processes.read(LiveHost())
    after = psutil_view()
    steady = {key: value for key, value in before.items() if after.get(key) == value}
    compared = 0
    for (pid, start), (ppid, uid, threads, state) in steady.items():
        mine = table.processes[pid]
        assert abs(mine.start - start) <= 100, "psutil counts from a boot time that is off by up to a second"
        assert (mine.ppid, mine.threads) == (ppid, threads)
        status = table.status.get(pid)
        if status is not None:
            assert status.uid == uid
        elif mine.zombie:
            assert table.owners[pid] == uid
        if "Z" in (state, mine.state) or "T" in (state, mine.state):  # the others come and go
            assert mine.state == state
        compared += 1
    assert compared >= 60
    children = [process for process in table.processes.values() if process.ppid == busy]
    assert sum(1 for process in children if process.zombie) == 20
    assert {process.comm for process in children if not process.zombie} >= {"a) Z 1 (b", "new\nline", "\x1b[31mred"}


def test_users_and_threads_equal_those_of_ps(busy):
    """Sums of tasks by real uid: ps lists every thread; kernel threads are root's and left out by us."""
    def ps() -> dict[int, int]:
        counts: dict[int, int] = {}
        lines = subprocess.run(["ps", "-eLo", "ruid=,ppid=,pid="], check=True, capture_output=True, text=True).stdout.splitlines()
        for line in lines:
            uid, ppid, pid = map(int, line.split())
            if ppid != 2 and pid != 2:
                counts[uid] = counts.get(uid, 0) + 1
        return counts

    for _attempt in range(5):  # root's short-lived processes move; everybody else here stands still
        before = ps()
        evidence = gather(LiveHost(), ["processes", "details", "user_namespaces"])
        counted = headroom.user_tasks(evidence)
        after = ps()
        steady = {uid for uid in before if after.get(uid) == before[uid] and uid != 0}
        assert len(steady) >= 20
        assert {uid: counted[uid].tasks for uid in steady} == {uid: before[uid] for uid in steady}
        if before[0] == after[0] and counted[0].tasks == before[0] - 1:  # less ps itself
            break
    else:
        pytest.fail("root's tasks never agreed with ps in five tries")


def test_all_tasks_of_the_machine(busy):
    for _attempt in range(20):
        before = len(list(psutil.pids()))
        evidence = gather(LiveHost(), ["budgets", "processes"])
        threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/task"))
        if len(list(psutil.pids())) == before and evidence.budgets.tasks == threads:
            return
    pytest.fail("the fourth field of /proc/loadavg never equalled the number of tasks in /proc")
