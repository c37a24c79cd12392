"""Twenty real hosts with different faults: Ansible audits them over ssh, a salt-master through twenty minions, into one store, and both reports are equal."""

from __future__ import annotations

import compileall
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import two_reports
from .auditing import POLICY as LAB
from .fleet_faults import ACROSS, CLONES, COMMON, HOSTS
from .host import LabHost
from .inotify_instances import room_for
from .test_salt_fleet import results, until
from .test_salt_on_hosts import ADAPTERS, BIN, RUN_MINION, SALT, ask, master, salted  # noqa: F401
from .tree import Tree, with_layer

REPOSITORY = ADAPTERS.parent
ENGINE = REPOSITORY / "ansible_collection/plugins/module_utils"
sys.path.insert(0, str(REPOSITORY / "tests/unit/controller/store"))

import postgres_server  # noqa: E402

PUBLISH, RETURN = 24613, 24614
GROUP = "fleet"
POLICY = {**LAB, "zombies": {"young_parent": 0}}  # the leaks are as old as this test
AT_ONCE = 4  # hosts that boot at the same time
MINION = f"""
master: machine
master_port: {RETURN}
publish_port: {PUBLISH}
enable_fqdns_grains: False
acceptance_wait_time: 1
user: root
module_dirs: [/opt/adapters/_modules]
utils_dirs: [/opt/adapters/_utils]
"""
UNIT = f"""[Service]
ExecStart=/usr/bin/python3 -c "{RUN_MINION}" -c /etc/salt
KillMode=process
"""
# Of its own, as an installation makes one; of the kind that costs least.
OWN_KEY = "rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh"
PUBLIC_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
IDENTITY = {"/etc/machine-id": 0o444, "/etc/ssh/ssh_host_ed25519_key": 0o600, PUBLIC_KEY: 0o644}


@dataclass
class Fleet:
    """The hosts, the place where the operator works, and the store."""

    hosts: dict[str, LabHost]
    place: Path  # of the master's and Ansible's sockets, so a short path
    store: str


def put(layer: Path, path: str, text: str) -> None:
    (layer / path).parent.mkdir(parents=True, exist_ok=True)
    (layer / path).write_text(text)


def install_compiled(salt: Path, layer: Path) -> None:
    """For trixie's Python 3.13, the packages that came compiled for 3.11; but timelib, which no index has for it and Salt does without."""
    records = [path for path in salt.glob("*.dist-info/RECORD") if re.search(r"\.cpython-311-\S*\.so,", path.read_text())]
    wanted = ["==".join(path.parent.name.removesuffix(".dist-info").rsplit("-", 1)) for path in sorted(records)]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", str(layer / "opt/salt"), "--python-version", "3.13",
                    "--only-binary=:all:", "--no-deps", *(each for each in wanted if not each.startswith("timelib"))], check=True, capture_output=True)


def as_installed(layer: Path) -> Path:
    """The layer, with minion, adapters and service as packages would have put them there: nothing has to be handed out twenty times."""
    for path, text in {**COMMON, "etc/salt/minion": MINION, "etc/systemd/system/salt-minion.service": UNIT}.items():
        put(layer, path, text)
    wanted = layer / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir()
    for unit in ("app.service", "salt-minion.service"):
        (wanted / unit).symlink_to(f"/etc/systemd/system/{unit}")
    for folder in ("_modules", "_utils"):
        shutil.copytree(ADAPTERS / folder, layer / "opt/adapters" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(layer / "opt/adapters", quiet=1)  # once, not by each host
    (layer / "usr/local/bin/report").chmod(0o755)
    return layer


@pytest.fixture(scope="module")
def trees(lab_base: dict[str, Tree], salted: Tree, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:  # noqa: F811
    """By suite: with Salt, and with what is installed on all hosts."""
    salt, layer = salted.layers[0], as_installed(tmp_path_factory.mktemp("fleet"))
    trixie = Tree("trixie", (salt, *lab_base["trixie"].layers))  # what is no compiled code runs on either
    trixie = with_layer(trixie, [SALT, "3.13"], lambda made: install_compiled(salt / "opt/salt", made))
    return {tree.suite: Tree(tree.suite, (layer, *tree.layers)) for tree in (salted, trixie)}


@contextmanager
def booted(trees: dict[str, Tree]) -> Iterator[dict[str, LabHost]]:
    """All hosts, each as its fault left it."""
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        def boot(name: str) -> LabHost:
            host = stack.enter_context(LabHost.boot(trees[HOSTS[name].suite], name))
            host.shell(f"{OWN_KEY}\n{HOSTS[name].broken}", timeout=300)
            return host

        hosts = dict(zip(HOSTS, pool.map(boot, HOSTS), strict=True))
        original, clone = (hosts[name] for name in CLONES)
        for path, mode in IDENTITY.items():
            clone.write(path, original.read(path), mode)
        clone.run(["systemctl", "restart", "ssh"])
        yield hosts


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty one on a real server."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(postgres_server.running())
        except postgres_server.Unavailable as error:
            give_up: Callable[[str], None] = pytest.fail if os.environ.get("PIDHYGIENE_REQUIRE_LAB") == "1" else pytest.skip
            give_up(str(error))
        postgres_server.run(folder, "CREATE DATABASE fleet")
        yield postgres_server.url(folder, "fleet")


@pytest.fixture(scope="module")
def fleet(trees: dict[str, Tree]) -> Iterator[Fleet]:
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ph-")))
        store = stack.enter_context(database())
        stack.enter_context(room_for(len(HOSTS)))
        stack.enter_context(master(place, "0.0.0.0", PUBLISH, RETURN))  # before the minions, which come with their hosts
        hosts = stack.enter_context(booted(trees))
        yield Fleet(hosts, place, store)


def run(fleet: Fleet, *argv: object, **environment: str) -> str:
    """What it said; it must succeed."""
    done = subprocess.run([str(each) for each in argv], cwd=fleet.place, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600,
                          env=dict(os.environ, LC_ALL="C.UTF-8", **environment))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def controller(fleet: Fleet, *arguments: object) -> str:
    return run(fleet, sys.executable, "-m", "controller", *arguments, PYTHONPATH=f"{REPOSITORY}:{ENGINE}", PIDHYGIENE_STORE=fleet.store)


def audited_by_ansible(fleet: Fleet) -> Path:
    """Over ssh, with host keys that are known and connections that are kept; the play hands the results to the store. Its report folder."""
    place = fleet.place
    (place / "known_hosts").write_text("".join(f"{host.address} {host.read(PUBLIC_KEY)}" for host in fleet.hosts.values()))
    options = ["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", f"UserKnownHostsFile={place}/known_hosts", "-o", "StrictHostKeyChecking=yes"]
    rows = {name: {"ansible_host": host.address} for name, host in fleet.hosts.items()}
    common = {"ansible_connection": "ssh", "ansible_user": "root", "ansible_ssh_private_key_file": str(next(iter(fleet.hosts.values())).key),
              "ansible_ssh_common_args": shlex.join(options), "ansible_python_interpreter": "/usr/bin/python3"}
    (place / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {GROUP: {"hosts": rows, "vars": common}}}}))
    (place / "vars.yml").write_text(yaml.safe_dump({"pidhygiene_policy": POLICY, "pidhygiene_report_dir": str(place / "ansible")}))
    try:
        run(fleet, BIN / "ansible-playbook", "-i", "hosts.yml", "-e", "@vars.yml", "-e", f"pidhygiene_store={fleet.store}", REPOSITORY / "playbooks/audit.yml",
            ANSIBLE_SSH_CONTROL_PATH_DIR=str(place / "ssh"), ANSIBLE_SSH_ARGS="-C -o ControlMaster=auto -o ControlPersist=60s", ANSIBLE_FORKS="10")
        assert len(list((place / "ssh").iterdir())) == len(HOSTS), "connections are kept"
    finally:
        for kept in (place / "ssh").glob("*"):
            subprocess.run(["ssh", "-F", "/dev/null", "-o", f"ControlPath={kept}", "-O", "exit", "kept"], stdin=subprocess.DEVNULL, capture_output=True)
    return place / "ansible"


def audited_by_salt(fleet: Fleet) -> Path:
    """In two batches, handed to the store as documented. The report folder."""
    folder = fleet.place / "salt"
    run(fleet, BIN / "salt-run", "-c", fleet.place, "pidhygiene.audit", f"report_dir={folder}", f"policy={json.dumps(POLICY)}", f"tags=[{GROUP}]", "batch=50%")
    controller(fleet, "ingest", "--require-all", folder)
    return folder


@pytest.fixture(scope="module")
def audited(fleet: Fleet) -> tuple[Path, Path]:
    """Both report folders. All minions are there before the first audit, so that both see the same hosts."""
    accepted = fleet.place / "pki/master/minions"
    until(lambda: len(list(accepted.glob("*"))) == len(HOSTS), "minions did not come", 600)  # a question to those that are there takes time from the others
    until(lambda: set(ask(fleet.place, "test.ping", "-t", "5")) == set(HOSTS), "minions do not answer", 600)
    return audited_by_ansible(fleet), audited_by_salt(fleet)


@pytest.fixture(scope="module")
def reports(fleet: Fleet, audited: tuple[Path, Path]) -> list[Path]:
    """Of either run of the store, a folder with each format."""
    folders = []
    for number in (1, 2):
        folder = fleet.place / f"report{number}"
        formats = ("json:report.json", "ndjson:report.ndjson", "csv:pack", "text:report.txt")
        controller(fleet, "report", "--run", number, *(word for each in formats for word in ("--format", each.replace(":", f":{folder}/"))))
        folders.append(folder)
    return folders


def test_each_host_is_found_with_its_fault_and_nothing_else(audited: tuple[Path, Path]) -> None:
    for folder in audited:
        found = {name: frozenset(each["rule"] for each in result["findings"] if each["status"] in ("warn", "fail", "unknown"))
                 for name, result in results(folder).items()}
        assert found == {name: told.rules for name, told in HOSTS.items()}
        assert all(result["audit"]["errors"] == [] and result["host"]["tags"] == [GROUP] for result in results(folder).values())


def test_both_doors_say_the_same(audited: tuple[Path, Path], reports: list[Path], fleet: Fleet) -> None:
    by_ansible, by_salt = ({name: two_reports.steady(result) for name, result in results(folder).items()} for folder in audited)
    assert by_ansible == by_salt
    ansible, salt = reports
    assert two_reports.of_json(ansible / "report.json") == two_reports.of_json(salt / "report.json")
    assert two_reports.of_ndjson(ansible / "report.ndjson") == two_reports.of_ndjson(salt / "report.ndjson")
    assert two_reports.of_pack(ansible / "pack") == two_reports.of_pack(salt / "pack")
    assert two_reports.of_text(ansible / "report.txt") == two_reports.of_text(salt / "report.txt")
    assert controller(fleet, "diff", "--fail-on", "news", *audited) == "Nothing changed.\n"


def test_what_the_fleet_has_in_common(reports: list[Path]) -> None:
    told: Any = json.loads((reports[1] / "report.json").read_text())
    assert told["scope"]["expected"] == told["scope"]["audited"] == len(HOSTS) and told["run"]["by"]
    causes = [(cause["rule"], tuple(sorted(cause["hosts"]))) for cause in told["causes"]]
    assert {rule: sorted(hosts for of, hosts in causes if of == rule) for rule in ACROSS} == ACROSS
    assert [hosts for rule, hosts in causes if rule == "PH-ZMB-001"] == [("leak1", "leak2")], "one cause, two hosts"
    assert told["changes"]["changes"] == told["changes"]["not_audited"] == told["changes"]["joined"] == []
    assert not any(cause["new"] for cause in told["causes"])
