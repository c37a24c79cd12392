"""A host on which nothing can be started any more: the salt-minion's beacon makes room from within its own process, and tells the master.

And the other cure: the unit that leaks is stopped, its zombies are reaped, it starts again, and nobody else is touched.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .auditing import PLACE, install
from .host import LabHost
from .test_salt_on_hosts import MINION, RUN_MINION, ask, master
from .test_salt_on_hosts import salted  # noqa: F401  the tree with Salt in it

PUBLISH, RETURN = 24615, 24616
NAME = "web1"
BEACONS = """
mine_enabled: False
beacons:
  pidhygiene:
    - units: [crowd.service]
    - interval: 1
    - relief: True
"""
# Holds the minion while it fills the host, so that the minion meets a full one; then waits for room, as a daemon that was refused would.
FILLER = """
import json, os, signal, sys, time
def told(name, what):
    open("/run/" + name + ".new", "w").write(json.dumps(what))
    os.rename("/run/" + name + ".new", "/run/" + name)
def started():
    try:
        child = os.fork()
    except OSError as error:
        return -error.errno
    if child == 0:
        time.sleep(100000)
        os._exit(0)
    return child
pid_max = sys.argv[1] == "pid_max"
minion = [int(pid) for pid in open("/sys/fs/cgroup/pids/system.slice/salt-minion.service/cgroup.procs").read().split()]
for pid in minion:
    os.kill(pid, signal.SIGSTOP)
if pid_max:
    open("/proc/sys/kernel/pid_max", "w").write("310")
count = 0
while started() > 0:
    count += 1
refused = started()
told("filled-" + sys.argv[1], {"children": count, "refused": -refused, "at": time.time()})
for pid in minion:
    os.kill(pid, signal.SIGCONT)
while started() < 0:
    time.sleep(0.02)
told("room-" + sys.argv[1], {"at": time.time(), "pid_max": int(open("/proc/sys/kernel/pid_max").read())})
time.sleep(100000)
"""
STARTS = ("clone", "clone3", "fork", "vfork")


def until(found: Callable[[], Any], what: str, seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} after {seconds} s"
        time.sleep(0.05)


def told(host: LabHost, name: str) -> dict[str, Any]:
    """What a program on the host wrote, read from outside: nothing can be started in there."""
    file = host.root / "run" / name
    answer: dict[str, Any] = until(lambda: json.loads(file.read_text()) if file.exists() else None, f"no {name}")
    return answer


def main_pids(host: LabHost) -> dict[str, str]:
    shown = host.run(["systemctl", "show", "*.service", "-p", "Id,MainPID,NRestarts", "--state=running"]).stdout
    rows = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n")]
    return {row["Id"]: f"{row['MainPID']} {row['NRestarts']}" for row in rows if row.get("MainPID", "0") != "0"}


@contextmanager
def traced(host: LabHost, unit: str, trace: Path) -> Iterator[None]:
    """Every start of a task, and every file that is written to, by all processes of a unit, seen from this machine."""
    pids = (host.group("pids") / "system.slice" / unit / "cgroup.procs").read_text().split()
    watching = subprocess.Popen(["strace", "-f", "-qq", "-ttt", "-e", "trace=openat," + ",".join(STARTS), "-o", str(trace), *(word for pid in pids for word in ("-p", pid))],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(lambda: all("TracerPid:\t%d\n" % watching.pid in Path(f"/proc/{pid}/status").read_text() for pid in pids), "strace has not attached")
        yield
    finally:
        watching.send_signal(signal.SIGINT)
        watching.wait(30)


def calls(trace: Path) -> list[tuple[float, str]]:
    """When and what; a call that strace shows in two parts is one, at the time of its end."""
    found, begun = [], {}
    for line in trace.read_text().splitlines():
        match = re.match(r"(\d+) +(\d+\.\d+) (.*)", line)
        if match is None:
            continue
        pid, at, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text[:-len("<unfinished ...>")]
        else:
            found.append((float(at), begun.pop(pid, "") + re.sub(r"^<\.\.\. \w+ resumed>", "", text)))
    return found


def starts(trace: Path) -> list[tuple[float, str]]:
    """Tasks that were started: a refused one returned an error."""
    return [(at, call) for at, call in calls(trace) if re.match(r"(%s)\(" % "|".join(STARTS), call) and re.search(r"= \d+$", call)]


def returned(bus: Any) -> dict[str, Any] | None:
    """The next return of a job."""
    found = bus.get_event(wait=1, tag="salt/job/", full=True)
    return found["data"] if found and "/ret/" in found["tag"] else None


def test_relief_through_the_minions_own_process(salted, tmp_path_factory, tmp_path):  # noqa: F811
    import salt.config
    import salt.utils.event

    with ExitStack() as stack:
        host = stack.enter_context(LabHost.boot(salted, NAME))
        place = tmp_path_factory.mktemp("s")
        stack.enter_context(master(place, "0.0.0.0", PUBLISH, RETURN))
        host.write("/etc/salt/minion", MINION.format(name=NAME, address=host.gateway, publish=PUBLISH, ret=RETURN) + BEACONS)
        host.write("/opt/filler", FILLER)
        host.run(["systemd-run", "--unit=salt-minion", "-p", "TasksMax=200", "python3", "-c", RUN_MINION, "-c", "/etc/salt"])
        opts = salt.config.client_config(str(place / "master"))
        bus = stack.enter_context(salt.utils.event.get_event("master", sock_dir=opts["sock_dir"], opts=opts, listen=True))
        synced = until(lambda: ask(place, "saltutil.sync_all", wait=60), "no minion")[NAME]
        assert synced["beacons"] == ["beacons.pidhygiene"], synced

        def event(state: str, rule: str) -> dict[str, Any]:
            """The next of this state and rule that the master gets."""
            deadline = time.monotonic() + 300
            while True:
                assert time.monotonic() < deadline, f"no {state} {rule}"
                found = bus.get_event(wait=1, tag=f"salt/beacon/{NAME}/pidhygiene/{state}", full=True)
                if found and found["data"]["finding"]["rule"] == rule:
                    return found["data"]

        # A unit at its TasksMax: a quarter more, live.
        host.run(["systemd-run", "--unit=crowd", "-p", "TasksMax=20", "python3", "/opt/filler", "tasks"])
        assert told(host, "filled-tasks")["refused"] == 11
        full = event("reached", "PH-SYS-004")
        assert full["id"] == NAME and full["finding"]["subject"] == {"type": "unit", "id": "crowd.service"} and full["finding"]["status"] == "fail"
        assert full["finding"]["evidence"][0]["value"] == "20 tasks" and full["finding"]["binding"].endswith("20 of 20")
        assert full["relief"]["state"] == "done" and full["relief"]["changes"] == [{"what": "TasksMax of crowd.service", "before": "20", "after": "25"}]
        told(host, "room-tasks")
        until(lambda: any(job["fun"] == "pidhygiene.check" and "PH-SYS-004" in str(job["return"]["findings"]) for job in [returned(bus)] if job),
              "the reactor has not had the minion audited")
        assert host.run(["systemctl", "show", "-P", "TasksMax", "crowd"]).stdout.strip() == "25"

        by_hand = ask(place, "pidhygiene.relieve", "crowd.service")[NAME]
        assert by_hand["state"] == "refused" and "crowd.service was raised 0 minutes ago, and it is done once a day" in by_hand["message"]

        # The whole pid space.
        host.run(["systemd-run", "--unit=filler", "-p", "TasksMax=infinity", "sh", "-c", "until [ -e /run/go ]; do sleep 0.1; done; exec python3 /opt/filler pid_max"])
        before = main_pids(host)
        assert {"salt-minion.service", "crowd.service", "filler.service", "ssh.service", "cron.service"} <= set(before)
        with traced(host, "salt-minion.service", tmp_path / "trace"):
            host.write("/run/go", "")
            filled = told(host, "filled-pid_max")
            assert filled["refused"] == 11 and filled["children"] > 0
            full = event("reached", "PH-PID-002")
            room = told(host, "room-pid_max")
        assert full["finding"]["status"] == "fail" and full["finding"]["severity"] == "CRIT"
        assert full["relief"]["changes"] == [{"what": "kernel.pid_max now", "before": "310", "after": "387"}] and room["pid_max"] == 387
        written = [at for at, line in calls(tmp_path / "trace") if '"/proc/sys/kernel/pid_max", O_WRONLY' in line]
        assert len(written) == 1 and filled["at"] <= written[0] <= room["at"], "by the minion itself, while nothing could start"
        started = [(at, line) for at, line in starts(tmp_path / "trace") if at >= filled["at"]]
        assert [call for at, call in started if at <= written[0]] == [], "neither a process nor a thread"
        assert started and [call for _at, call in started if "CLONE_THREAD" not in call] == [], "Salt's own threads, which send the event, and no process"
        assert main_pids(host) == before


REAP = """
import json, os, sys, time
sys.path.insert(0, %r)
from pidhygiene.evidence import gather
from pidhygiene.host import LiveHost
from pidhygiene.remedies import apply, reap
parent = int(sys.argv[1])
open("/run/go", "w").close()
while not os.path.exists("/run/full"):
    time.sleep(0.02)
try:
    os.fork()
    raise SystemExit("a process could start")
except OSError as error:
    refused = error.errno
while not any(brood.parent.pid == parent and min(brood.ages) > 6 for brood in gather(LiveHost(), ("zombies",)).zombies.broods):  # for a leak, five seconds count
    time.sleep(0.1)
given = {"mode": "restart", "parent": parent, "unit": "backup.service"}
report = apply.apply(reap.REMEDY, given)
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
open("/proc/sys/kernel/pid_max", "w").write("4194304")
print(json.dumps({"refused": refused, "report": report.plain(), "again": apply.apply(reap.REMEDY, given).plain()}))
"""
LEAK = """
import os, time
if os.path.exists("/run/full"):  # the vendor's fix
    time.sleep(100000)
while not os.path.exists("/run/go"):
    time.sleep(0.02)
open("/proc/sys/kernel/pid_max", "w").write("330")
try:
    while True:
        if os.fork() == 0:
            os._exit(0)
except OSError:
    open("/run/full", "w").close()
time.sleep(100000)
"""


def test_the_leaking_unit_is_stopped_reaped_and_started(new_host):
    """Where a plain restart fails half-way: stop, wait until init has reaped, start; from a process that runs already."""
    host = new_host("leaking")
    install(host)
    host.write("/opt/leak", LEAK)
    host.write("/etc/systemd/system/backup.service", "[Service]\nExecStart=/usr/bin/python3 /opt/leak\nTasksMax=infinity\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "stop", "supervisor"])  # it may still be about to make its log
    host.run(["systemctl", "start", "backup"])
    before, leaking = main_pids(host), host.pid_of("backup")
    done = json.loads(host.run(["python3", "-c", REAP % PLACE, str(leaking)], timeout=200).stdout)
    assert done["refused"] == 11
    assert [each["after"] for each in done["report"]["differences"]] == ["stopped, its zombies reaped, started"]
    assert "pid_max of this pid namespace" in done["report"]["notes"][0]
    assert not done["again"]["changed"]
    after = main_pids(host)
    assert after.pop("backup.service") != before.pop("backup.service") and after == before
    assert host.shell("ps -eo stat= | grep -c '^Z' || true").strip() == "0"


