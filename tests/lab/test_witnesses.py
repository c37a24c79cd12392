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


def differences(table: processes.ProcessTable, others: dict[tuple[int, int], tuple[int, int, int, str]]) -> list[str]:
    found = []
    for (pid, start), (ppid, uid, threads, state) in others.items():
        mine = table.processes[pid]
        status = table.status.get(pid)
        owner = status.uid if status is not None else table.owners[pid] if mine.zombie else uid
        said, told = (mine.ppid, mine.threads, owner), (ppid, threads, uid)
        if "Z" in (state, mine.state) or "T" in (state, mine.state):  # the others come and go
            said, told = (*said, mine.state), (*told, state)
        if said != told or abs(mine.start - start) > 100:  # psutil counts from a boot time that is off by up to a second
            found.append(f"{pid} {mine.comm}: {said} from {mine.start}, psutil {told} from {start}")
    return found


def test_the_table_equals_psutils(busy):
    """Others are busy here: what changes forth and back between two looks of psutil's is not there in each of five."""
    for _attempt in range(5):
        before = psutil_view()
        table = processes.read(LiveHost())
        after = psutil_view()
        steady = {key: value for key, value in before.items() if after.get(key) == value}
        different = differences(table, steady)
        if not different:
            break
    assert different == []
    assert len(steady) >= 60
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

    disagreed = []
    for _attempt in range(60):  # short-lived processes move: of root, and of whoever else is busy here
        before = ps()
        evidence = gather(LiveHost(), ["processes", "details", "user_namespaces"])
        counted = headroom.user_tasks(evidence)
        after = ps()
        steady = {uid: before[uid] for uid in before if after.get(uid) == before[uid]}
        if 0 in steady:
            steady[0] -= 1  # ps itself
        differ = {uid: (tasks, counted[uid].tasks) for uid, tasks in steady.items() if counted[uid].tasks != tasks}
        if not differ and 0 in steady and len(steady) >= 20:
            return
        disagreed.append(differ)
    pytest.fail(f"the tasks of users never agreed with ps: {disagreed}")


def test_all_tasks_of_the_machine(busy):
    for _attempt in range(200):
        before = len(list(psutil.pids()))
        evidence = gather(LiveHost(), ["budgets", "processes"])
        threads = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/task"))
        if len(list(psutil.pids())) == before and evidence.budgets.tasks == threads:
            return
    pytest.fail("the fourth field of /proc/loadavg never equalled the number of tasks in /proc")
