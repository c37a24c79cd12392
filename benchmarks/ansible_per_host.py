"""What one more host costs in playbooks/audit.yml, against one more in a play of ansible.builtin.ping: 10 hosts against 100.

Hosts are reached as a fleet is: over ssh, each by a connection of its own, though a few real hosts of the lab stand for all of them. As they share the
processors of this machine, "on the clock" holds what the hosts themselves do; "controller" is the processor time of ansible-playbook and its children
alone. Without ssh, where the controller audits itself over and over, is told beside it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.lab.host import LabHost
from tests.lab.prerequisites import require_hosts
from tests.lab.tree import base_tree

from .measuring import Finding, Note, Number, Run, Runs, table
from .payload import BIN, REPOSITORY
from .stopwatch import in_turn

FEW, MANY = 10, 100
HOSTS = 5  # of the lab; as many as Ansible asks at once
ROUNDS = 2
PING = "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n"


def measure() -> Iterator[Finding]:
    require_hosts()
    os.environ["LC_ALL"] = "C.UTF-8"
    yield Note(f"{os.cpu_count()} processors; Ansible {version()}")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "ping.yml").write_text(PING)
        hosts = [stack.enter_context(LabHost.boot(base_tree("bookworm"), f"benchmark{number}")) for number in range(HOSTS)]
        yield from measured("ssh", folder, over_ssh(folder, hosts))
        yield from measured("local", folder, ["ansible_connection=local ansible_python_interpreter=" + sys.executable] * MANY)


def measured(name: str, folder: Path, variables: Sequence[str]) -> Iterator[Finding]:
    runs = {play: Runs(play, tuple(Run(*run) for run in taken)) for play, taken in in_turn(ROUNDS, dict(commands(folder, variables))).items()}
    yield from table(list(runs.values()))
    failed = [play for play, each in runs.items() if any(run.status for run in each.all)]
    if failed:
        yield Note(f"FAILED, so what follows is worth nothing: {', '.join(failed)}")
    wall, processor = ({play: per_host(runs, play, which) for play in ("audit", "ping")} for which in ("wall_s", "cpu_s"))
    yield Note(f"{name}, one more host: audit {1000 * wall['audit']:.0f} ms, ping {1000 * wall['ping']:.0f} ms on the clock; "
               f"controller {1000 * processor['audit']:.0f} ms and {1000 * processor['ping']:.0f} ms, {processor['audit'] / processor['ping']:.2f} times")
    yield Number(f"one more host, audit.yml / ping, {name}", wall["audit"] / wall["ping"], 2, "times")


def over_ssh(folder: Path, hosts: Sequence[LabHost]) -> list[str]:
    """A connection for each, though they lead to a few hosts only, and none of them left from the play before."""
    common = "-o ControlMaster=auto -o ControlPersist=2s"
    return [
        " ".join(f"{key}={shlex.quote(str(value))}" for key, value in dict(
            hosts[number % len(hosts)].ansible_variables(), ansible_ssh_args=common, ansible_control_path=f"{folder}/{number}").items())
        for number in range(MANY)
    ]


def commands(folder: Path, variables: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    plays = {"ping": [str(folder / "ping.yml")], "audit": [str(REPOSITORY / "playbooks/audit.yml"), "-e", json.dumps(
        {"pidhygiene_report_dir": str(folder / "report"), "pidhygiene_fail_on": "never"})]}
    for count in (FEW, MANY):
        inventory = folder / f"hosts{count}"
        inventory.write_text("".join(f"host{number} {each}\n" for number, each in enumerate(variables[:count])))
        for play, arguments in plays.items():
            yield f"{play} {count}", [str(BIN / "ansible-playbook"), "-i", str(inventory), *arguments]


def per_host(runs: dict[str, Runs], play: str, which: str) -> float:
    return float((getattr(runs[f"{play} {MANY}"], which) - getattr(runs[f"{play} {FEW}"], which)) / (MANY - FEW))


def version() -> str:
    return subprocess.run([BIN / "ansible", "--version"], capture_output=True, text=True, check=True).stdout.split("]")[0].split()[-1]
