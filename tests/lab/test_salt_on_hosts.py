"""A real salt-master on this machine, real salt-minions on lab hosts: the audit comes back over Salt's bus, the same as on the spot."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pidhygiene.remedies.plan import SCHEMA, TIME, evidence

from .auditing import POLICY, check, install
from .tree import Tree, with_layer

SALT = "salt==3008.3"
ADAPTERS = Path(__file__).resolve().parents[2] / "salt_modules"
BIN = Path(sys.executable).parent
MASTER = """
root_dir: {place}
conf_file: {place}/master
interface: {address}
publish_port: {publish}
ret_port: {ret}
user: root
pki_dir: {place}/pki/master
cachedir: {place}/cache/master
sock_dir: {place}/run
pidfile: {place}/master.pid
log_file: {place}/master.log
worker_threads: 2
auto_accept: True
enable_fqdns_grains: False
file_roots: {{base: [{adapters}, {adapters}/examples, {place}/files]}}
timeout: 20
reactor:
  - salt/beacon/*/pidhygiene/reached:
    - salt://reactor_reached.sls
"""
MINION = """
id: {name}
master: {address}
master_port: {ret}
publish_port: {publish}
enable_fqdns_grains: False
acceptance_wait_time: 1
user: root
"""
RUN_MINION = "import sys; sys.path.insert(0, '/opt/salt'); sys.argv[0] = 'salt-minion'; from salt.scripts import salt_minion; salt_minion()"
PUBLISH, RETURN = 24605, 24606


Commands = Callable[[str], list[str]]  # how salt-master, salt and the like are started


def installed(name: str) -> list[str]:
    """Of this environment."""
    return [str(BIN / name)]


def with_salt(below: Tree, requirement: str) -> Tree:
    """Bookworm's own Python 3.11 runs what this interpreter's pip installs, when it is a 3.11 as well."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("bookworm has Python 3.11, so only that Python can install Salt for it")

    def install_salt(layer: Path) -> None:
        subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", str(layer / "opt/salt"), requirement],
                       check=True, capture_output=True)

    return with_layer(below, [requirement], install_salt)


@pytest.fixture(scope="module")
def salted(lab_base) -> Tree:
    return with_salt(lab_base["bookworm"], SALT)


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def master(place: Path, address: str, publish: int = PUBLISH, ret: int = RETURN, commands: Commands = installed):
    """Sockets want a short path. Ended by its pid, and its children with it."""
    (place / "files").mkdir(parents=True, exist_ok=True)
    (place / "master.d").mkdir(exist_ok=True)
    (place / "master.d/pidhygiene.conf").write_text(json.dumps({"runner_dirs": [str(ADAPTERS / "_runners")], "utils_dirs": [str(ADAPTERS / "_utils")]}))
    (place / "master").write_text(MASTER.format(place=place, address=address, publish=publish, ret=ret, adapters=ADAPTERS))
    process = subprocess.Popen([*commands("salt-master"), "-c", str(place)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        while not listens(ret):  # a minion that comes first waits for long
            assert process.poll() is None, (place / "master.log").read_text()[-3000:]
            time.sleep(0.05)
        yield place
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def ask(place: Path, *arguments: str, wait: float = 0, commands: Commands = installed) -> dict:
    """Per minion its return. ``wait``: seconds in which minions may still be on their way."""
    deadline = time.monotonic() + wait
    while True:
        done = subprocess.run([*commands("salt"), "-c", str(place), "--out", "json", "--static", "*", *arguments], capture_output=True, text=True, timeout=120)
        try:
            returned = json.loads(done.stdout)
        except ValueError:
            returned = {}
        if returned or time.monotonic() > deadline:
            return returned
        time.sleep(1)


def now(ahead: float) -> str:
    return time.strftime(TIME, time.gmtime(time.time() + ahead))


def plan_for(boots: dict[str, str]) -> dict:
    """More process numbers, for hosts by name with the boot they are in."""
    steps = [{"remedy": "kernel_limits", "parameters": {"values": {"kernel.pid_max": 4100000}}, "because": [], "disruptive": False}]
    return {"schema": SCHEMA, "created": now(0), "expires": now(3600), "ticket": "", "hosts": {
        name: {"boot_id": boot, "audited": now(0), "evidence": evidence(steps), "steps": steps, "left": []} for name, boot in boots.items()}}


def orchestrated(place: Path, hosts: list[str], batch: int, commands: Commands = installed) -> bool:
    """Whether the plan was applied to these."""
    done = subprocess.run([*commands("salt-run"), "-c", str(place), "--out", "json", "state.orchestrate", "apply_plan",
                           "pillar=" + json.dumps({"plan": str(place / "plan.yml"), "hosts": hosts, "batch": batch})], capture_output=True, text=True, timeout=120)
    (states,) = json.loads(done.stdout[done.stdout.index("{"):])["data"].values()
    (state,) = states.values()
    assert (done.returncode == 0) == state["result"]
    return bool(state["result"])


def pid_max(hosts: dict) -> dict[str, int]:
    return {name: int(host.read("/proc/sys/kernel/pid_max")) for name, host in hosts.items()}


def test_minions_on_real_hosts(salted, tmp_path_factory):
    from .host import LabHost

    with ExitStack() as stack:
        hosts = {name: stack.enter_context(LabHost.boot(salted, name)) for name in ("web1", "web2")}
        place = tmp_path_factory.mktemp("s")
        stack.enter_context(master(place, "0.0.0.0"))
        for name, host in hosts.items():
            install(host)
            host.write("/etc/salt/minion", MINION.format(name=name, address=host.gateway, publish=PUBLISH, ret=RETURN))
            host.run(["systemd-run", "--unit=salt-minion", "-p", "TasksMax=200", "python3", "-c", RUN_MINION, "-c", "/etc/salt"])
        deadline = time.monotonic() + 120
        while set(ask(place, "test.ping", wait=60)) != set(hosts):
            assert time.monotonic() < deadline, (place / "master.log").read_text()[-3000:]
        ask(place, "saltutil.sync_all")
        returned = ask(place, "pidhygiene.check", "full=True", f"policy={json.dumps(POLICY)}")
        assert set(returned) == set(hosts)
        for name, result in returned.items():
            assert result["host"]["name"] == name and result["audit"]["errors"] == []
            assert not [finding for finding in result["findings"] if finding["status"] in ("warn", "fail", "unknown")]
            here = check(hosts[name])
            told = {(row["rule"], row["status"]) for row in result["rules"]}
            assert told == {(row["rule"], row["status"]) for row in here["rules"]}

        # One host falls ill; Salt tells which.
        hosts["web2"].run(["systemd-run", "--unit=crowd", "-p", "TasksMax=20", "bash", "-c", "for i in $(seq 18); do sleep 1000 & done; wait"])
        time.sleep(1)
        ill = {name: [finding["rule"] for finding in result["findings"] if finding["status"] in ("warn", "fail")]
               for name, result in ask(place, "pidhygiene.check", "full=True").items()}
        assert ill["web1"] == [] and "PH-SYS-004" in ill["web2"]

        # A plan in batches ends after the first one that does not succeed, here as if web2 had been booted again since.
        boots = {name: result["host"]["boot_id"] for name, result in returned.items()}
        plan = plan_for(boots)
        plan["hosts"]["web2"]["boot_id"] = "another"
        (place / "plan.yml").write_text(json.dumps(plan))
        assert orchestrated(place, ["web2", "web1"], 1) is False and pid_max(hosts) == {"web1": 4194304, "web2": 4194304}
        assert orchestrated(place, ["web3", "web1"], 1) is False and pid_max(hosts)["web1"] == 4194304, "nor with a minion that it says nothing of"
        plan["hosts"]["web2"]["boot_id"] = boots["web2"]
        (place / "plan.yml").write_text(json.dumps(plan))
        assert orchestrated(place, ["web2", "web1"], 2) is True and pid_max(hosts) == {"web1": 4100000, "web2": 4100000}
