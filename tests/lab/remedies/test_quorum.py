"""Three masters and one plan: never two of them at once, none while another is down, and no further after one that does not come back."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..auditing import POLICY, install
from ..host import LabHost
from ..test_salt_on_hosts import ADAPTERS, MINION, RUN_MINION, ask, master, salted  # noqa: F401  the tree with Salt in it
from .doors import BIN, SALT_CALL
from .test_plan import REPOSITORY, environment, planned

NAMES = ("es1", "es2", "es3")
PUBLISH, RETURN = 24621, 24622
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
        self.policy: dict[str, Any] = {"quorum_groups": {"masters": GROUP}, **POLICY}
        (folder / "policy.yml").write_text(yaml.safe_dump({"pidhygiene_policy": self.policy}))

    def play(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BIN / "ansible-playbook", "-i", self.folder / "hosts", REPOSITORY / "playbooks" / name, "-e", f"@{self.folder}/policy.yml",
                               "-e", f"plan={self.folder}/plan.yml", *arguments],
                              cwd=self.folder, text=True, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=300)

    def replace_program(self) -> None:
        """As a package manager does it: all of them run now what is no longer on disk."""
        for host in self.hosts:
            host.shell("cp /usr/bin/python3.11 /usr/local/bin/es.new; mv /usr/local/bin/es.new /usr/local/bin/es")

    def plan(self) -> dict[str, Any]:
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


@pytest.fixture(scope="module")
def masters(salted, tmp_path_factory) -> Iterator[Masters]:  # noqa: F811
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        hosts = [stack.enter_context(host) for host in pool.map(lambda name: LabHost.boot(salted, name), NAMES)]
        for host in hosts:
            prepare(host)
        yield Masters(hosts, tmp_path_factory.mktemp("m"))


def one_after_the_other(masters: Masters) -> None:
    away = masters.away()
    assert all(start and end > start for start, end, _name in away), away
    assert all(before[1] < after[0] for before, after in zip(away, away[1:], strict=False)), away


def test_three_masters_are_never_restarted_together(masters: Masters) -> None:
    masters.replace_program()
    done = masters.play("audit.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = masters.plan()
    group = plan["quorum"]["masters"]
    assert group["order"] == list(NAMES) and group["together"] == 1 and group["down"] == {}
    assert [len(entry["steps"]) for entry in plan["hosts"].values()] == [1, 1, 1]
    first = masters.pids()

    together = masters.play("remediate.yml", "-e", "pidhygiene_serial=3")
    assert together.returncode != 0 and "es1, es2 and es3 would be changed at the same time" in together.stdout, together.stdout
    masters.hosts[2].unplug()
    minority = masters.play("remediate.yml", "-e", "pidhygiene_voter_timeout=8")  # over the connection that the audit has left, which hangs now
    masters.hosts[2].plug()
    assert minority.returncode != 0 and "without es1 there would be 1 (es3 cannot be asked" in minority.stdout, minority.stdout
    assert masters.pids() == first, "nothing was changed so far"

    done = masters.play("remediate.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not set(first) & set(masters.pids())
    one_after_the_other(masters)


@contextmanager
def salt(masters: Masters, place: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """A master with the runner, and the hosts as its minions; the way to run something on the master."""
    with master(place, "0.0.0.0", PUBLISH, RETURN):
        (place / "master.d").mkdir(exist_ok=True)
        (place / "master.d/pidhygiene.conf").write_text(yaml.safe_dump({"runner_dirs": [str(ADAPTERS / "_runners")], "utils_dirs": [str(ADAPTERS / "_utils")]}))
        for host in masters.hosts:
            host.write("/etc/salt/minion", MINION.format(name=host.name, address=host.gateway, publish=PUBLISH, ret=RETURN))
            host.run(["systemd-run", "--unit=salt-minion", "python3", "-c", RUN_MINION, "-c", "/etc/salt"])
        deadline = time.monotonic() + 300
        while set(ask(place, "saltutil.sync_all", wait=60)) != set(NAMES):
            assert time.monotonic() < deadline, (place / "master.log").read_text()[-3000:]
        yield lambda *arguments: subprocess.run([str(BIN / "salt-run"), "-c", str(place), "--out", "json", *arguments], capture_output=True, text=True,
                                                stdin=subprocess.DEVNULL, timeout=400)


def test_through_salt_it_ends_at_the_first_that_does_not_come_back(masters: Masters, tmp_path_factory) -> None:
    """No further than the second one, whose service does not start; not on while that one is down; and on when it is mended."""
    masters.replace_program()
    place = tmp_path_factory.mktemp("s")
    with salt(masters, place) as run:
        shutil.rmtree(masters.folder / "pidhygiene-report", ignore_errors=True)
        results = ask(place, "pidhygiene.check", "full=True", f"policy={json.dumps(masters.policy)}")
        (masters.folder / "pidhygiene-report").mkdir()
        for name, result in results.items():
            (masters.folder / f"pidhygiene-report/{name}.json").write_text(json.dumps(result))
        assert list(masters.plan()["hosts"]) == list(NAMES)
        plan, first = f"{masters.folder}/plan.yml", masters.pids()

        together = run("pidhygiene.apply_plan", plan, "batch=3")
        assert together.returncode and "es1, es2 and es3 would be changed at the same time" in together.stdout + together.stderr, together
        alone = json.loads(masters.hosts[0].run(["python3", "-c", SALT_CALL, "-c", "/etc/salt", "--out", "json", "state.single", "pidhygiene.plan_applied", "plan",
                                                 f"plan={json.dumps(yaml.safe_load(Path(plan).read_text()), default=str)}"], check=False, timeout=300).stdout)
        assert "was not asked" in str(alone), alone
        assert masters.pids() == first, "nothing was changed so far"

        masters.hosts[1].write("/opt/es.py", "raise SystemExit(1)\n")
        broken = run("pidhygiene.apply_plan", plan)
        assert broken.returncode and "es.service did not come back" in broken.stdout + broken.stderr, broken
        second = masters.pids()
        assert second[0] not in (0, first[0]) and second[1] == 0 and second[2] == first[2], "it ended at the second"
        refused = run("pidhygiene.apply_plan", plan, "hosts=es3")
        assert "es2 is no voter: es.service is" in refused.stdout + refused.stderr and masters.pids() == second, refused

        masters.hosts[1].write("/opt/es.py", PROGRAM)
        masters.hosts[1].shell("systemctl reset-failed es.service || true; systemctl start es.service")
        mended = run("pidhygiene.apply_plan", plan)
        assert not mended.returncode and "restart: applied" in mended.stdout, mended
        assert masters.pids()[0] == second[0] and masters.pids()[2] not in (0, first[2])
        one_after_the_other(masters)
