"""The lab hosts that benchmarks run on, and commands run there in turn."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.auditing import PLACE, install
from tests.lab.host import LabHost
from tests.lab.prerequisites import require_hosts
from tests.lab.tree import base_tree, with_packages

from .measuring import Run, Runs

HERE = Path(__file__).parent
CHECK = ("python3", "-m", "pidhygiene", "check", "--policy", f"{PLACE}/policy.json")  # the host stands for a machine, though it is a container
STOPWATCH = "/opt/stopwatch.py"
ZOMBIES = 18094  # as in the first incident
SLEEPER = "[Service]\nExecStart=/usr/bin/sleep 1000000\n"


@contextmanager
def bookworm(*packages: str) -> Iterator[LabHost]:
    """A fresh host with the engine as pip leaves it, compiled."""
    require_hosts()
    tree = base_tree("bookworm")
    with LabHost.boot(with_packages(tree, packages) if packages else tree, "benchmark") as host:
        install(host)
        host.run(["python3", "-m", "compileall", "-q", PLACE])
        host.push(HERE / "stopwatch.py", STOPWATCH)
        yield host


def fill(host: LabHost, processes: int) -> None:
    """Start services of one process each until there are so many processes."""
    missing = processes - len(pids(host))
    host.write("/etc/systemd/system/sleeper@.service", SLEEPER)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", *(f"sleeper@{number}.service" for number in range(missing))])


def leak(host: LabHost, zombies: int = ZOMBIES, spread_s: int = 20) -> None:
    """Start the agent that leaks zombies, and return when all are there."""
    host.run(["sh", "-c", "echo 65536 > /proc/sys/kernel/pid_max"])
    host.push(HERE.parent / "tests/lab/leaking_agent.py", "/opt/agent")
    host.run(["systemd-run", "--unit=agent", "-p", "TasksMax=infinity", "python3", "/opt/agent", str(zombies), "500", str(spread_s)])
    deadline = time.monotonic() + 300
    while host.run(["test", "-e", "/run/leaked"], check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError("the zombies did not come")
        time.sleep(0.5)
    time.sleep(5)  # what the forks have set in motion comes to rest


def pids(host: LabHost) -> list[str]:
    return [name for name in host.run(["ls", "/proc"]).stdout.split() if name.isdigit()]


def population(host: LabHost) -> str:
    """What is on the host, for the reader of the numbers."""
    units = host.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager"]).stdout.splitlines()
    running = [line for line in units if line.split()[3] == "running" and line.split()[0].endswith(".service")]
    return f"{len(pids(host))} processes, {len(units)} units in memory, {len(running)} of them running services"


def in_turn(host: LabHost, rounds: int, commands: Mapping[str, Sequence[str]]) -> list[Runs]:
    """Run the commands on the host one after the other, so many rounds."""
    argv = ["env", f"PYTHONPATH={PLACE}", "python3", STOPWATCH, str(rounds), json.dumps(commands)]
    taken = json.loads(host.run(argv, timeout=3600).stdout)
    return [Runs(name, tuple(Run(*run) for run in runs)) for name, runs in taken.items()]
