"""Three masters and one plan: never two of them at once, none while another is down, and no further after one that does not come back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..auditing import POLICY, install
from ..host import LabHost
from .doors import BIN
from .test_plan import REPOSITORY, environment, planned

NAMES = ("es1", "es2", "es3")
GROUP = {"voters": list(NAMES), "units": ["es.service"], "probe": "tcp:9300"}
# It takes a second to start, and listens only then: two that are restarted together would be away together.
PROGRAM = """import socket, sys, time
time.sleep(0.5)
here = socket.create_server(("", 9300))
time.sleep(1000000)
"""
SERVICE = "[Service]\nExecStartPre=/bin/sleep 1\nExecStart=/usr/local/bin/es /opt/es.py\n[Install]\nWantedBy=multi-user.target\n"


class Masters:
    """The hosts, and what an operator does with all of them."""

    def __init__(self, hosts: Sequence[LabHost], folder: Path) -> None:
        self.hosts = list(hosts)
        self.folder = folder
        lines = [" ".join([host.name, *(f"{name}={json.dumps(value)}" for name, value in host.ansible_variables().items())]) for host in hosts]
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        (folder / "policy.yml").write_text(yaml.safe_dump({"pidhygiene_policy": {"quorum_groups": {"masters": GROUP}, **POLICY}}))

    def play(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BIN / "ansible-playbook", "-i", self.folder / "hosts", REPOSITORY / "playbooks" / name, "-e", f"@{self.folder}/policy.yml",
                               "-e", f"plan={self.folder}/plan.yml", *arguments],
                              cwd=self.folder, text=True, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=300)

    def replace_program(self) -> None:
        """As a package manager does it: all of them run now what is no longer on disk."""
        for host in self.hosts:
            host.shell("cp /usr/bin/python3.11 /usr/local/bin/es.new; mv /usr/local/bin/es.new /usr/local/bin/es")

    def plan(self) -> dict[str, Any]:
        done = self.play("audit.yml")
        assert done.returncode == 0, done.stdout + done.stderr
        return planned(self.folder, "--rule", "PH-DEL-001", "--policy", str(self.folder / "policy.yml"))

    def pids(self) -> list[int]:
        return [host.pid_of("es") for host in self.hosts]

    def away(self) -> list[tuple[int, int, str]]:
        """From when to when each was not active, by the clock that they share, in microseconds."""
        found = []
        for host in self.hosts:
            rows = dict(line.split("=", 1) for line in host.shell("systemctl show es -p ActiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic").splitlines())
            found.append((int(rows["ActiveExitTimestampMonotonic"]), int(rows["ActiveEnterTimestampMonotonic"]), host.name))
        return sorted(found)


def prepare(host: LabHost) -> None:
    install(host)
    host.write("/opt/es.py", PROGRAM)
    host.write("/etc/systemd/system/es.service", SERVICE)
    host.shell("cp /usr/bin/python3.11 /usr/local/bin/es; systemctl daemon-reload; systemctl enable --now es.service")


@pytest.fixture
def masters(new_host, tmp_path: Path) -> Masters:
    hosts = new_host.fleet(list(NAMES))
    for host in hosts:
        prepare(host)
    return Masters(hosts, tmp_path)


def one_after_the_other(masters: Masters) -> None:
    away = masters.away()
    assert all(start and end > start for start, end, _name in away), away
    assert all(before[1] < after[0] for before, after in zip(away, away[1:], strict=False)), away


def test_three_masters_are_never_restarted_together(masters: Masters) -> None:
    masters.replace_program()
    plan = masters.plan()
    group = plan["quorum"]["masters"]
    assert group["order"] == list(NAMES) and group["together"] == 1 and group["down"] == {}
    assert [len(entry["steps"]) for entry in plan["hosts"].values()] == [1, 1, 1]
    first = masters.pids()

    together = masters.play("remediate.yml", "-e", "pidhygiene_serial=3")
    assert together.returncode != 0 and "es1, es2 and es3 would be changed at the same time" in together.stdout, together.stdout
    later = masters.play("remediate.yml", "-e", '{"pidhygiene_serial": [1, 2]}')
    assert later.returncode != 0 and "es2 and es3 would be changed at the same time" in later.stdout and "nothing was changed" in later.stdout, later.stdout
    masters.hosts[2].unplug()
    minority = masters.play("remediate.yml", "-e", "pidhygiene_voter_timeout=8")  # over the connection that the audit has left, which hangs now
    masters.hosts[2].plug()
    assert minority.returncode != 0 and "without es1 there would be 1 (es3 cannot be asked" in minority.stdout, minority.stdout
    assert masters.pids() == first, "nothing was changed so far"

    done = masters.play("remediate.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not set(first) & set(masters.pids())
    one_after_the_other(masters)

    # The next update does not start on the second one.
    masters.replace_program()
    masters.plan()
    second = masters.pids()
    masters.hosts[1].write("/opt/es.py", "raise SystemExit(1)\n")
    broken = masters.play("remediate.yml")
    assert broken.returncode != 0 and "es.service did not come back" in broken.stdout, broken.stdout
    third = masters.pids()
    assert third[0] not in (0, second[0]) and third[1] == 0 and third[2] == second[2], "it ended at the second"
    assert "es2 is no voter: es.service is" in masters.play("remediate.yml", "--limit", "es3").stdout and masters.pids() == third
    masters.hosts[1].write("/opt/es.py", PROGRAM)
    masters.hosts[1].run(["systemctl", "reset-failed", "es.service"], check=False)
    masters.hosts[1].run(["systemctl", "start", "es.service"])
    mended = masters.play("remediate.yml")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert masters.pids()[2] not in (0, third[2]) and masters.pids()[0] == third[0]
