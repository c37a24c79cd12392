"""What one more host costs in playbooks/audit.yml, against one more in a play of ansible.builtin.ping: 10 hosts against 100, all of them this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .measuring import Finding, Note, Number, Run, Runs, table
from .payload import BIN, REPOSITORY
from .stopwatch import in_turn

FEW, MANY = 10, 100
ROUNDS = 3
PING = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n"


def measure() -> Iterator[Finding]:
    processes = sum(name.isdigit() for name in os.listdir("/proc"))
    yield Note(f"this machine has {processes} processes and {os.cpu_count()} processors; Ansible {version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ping.yml").write_text(PING)
        os.environ["LC_ALL"] = "C.UTF-8"
        runs = {
            name: Runs(name, tuple(Run(*run) for run in taken))
            for name, taken in in_turn(ROUNDS, dict(commands(folder))).items()
        }
    yield from table(list(runs.values()))
    ours, theirs = (per_host(runs, play, "wall_s") for play in ("audit", "ping"))
    yield Note(f"one more host: audit {1000 * ours:.0f} ms, ping {1000 * theirs:.0f} ms on the clock; "
               f"CPU {1000 * per_host(runs, 'audit', 'cpu_s'):.0f} ms and {1000 * per_host(runs, 'ping', 'cpu_s'):.0f} ms")
    yield Number("one more host, audit.yml / ping", ours / theirs, 2, "times")


def commands(folder: Path) -> Iterator[tuple[str, list[str]]]:
    plays = {"ping": [str(folder / "ping.yml")], "audit": [str(REPOSITORY / "playbooks/audit.yml"), "-e", json.dumps(
        {"pidhygiene_report_dir": str(folder / "report"), "pidhygiene_fail_on": "never"})]}
    for count in (FEW, MANY):
        inventory = folder / f"hosts{count}"
        inventory.write_text("".join(f"host{number} ansible_connection=local ansible_python_interpreter={sys.executable}\n" for number in range(count)))
        for play, arguments in plays.items():
            yield f"{play} {count}", [str(BIN / "ansible-playbook"), "-i", str(inventory), *arguments]


def per_host(runs: dict[str, Runs], play: str, which: str) -> float:
    return float((getattr(runs[f"{play} {MANY}"], which) - getattr(runs[f"{play} {FEW}"], which)) / (MANY - FEW))


def version() -> str:
    return subprocess.run([BIN / "ansible", "--version"], capture_output=True, text=True, check=True).stdout.split("]")[0].split()[-1]
