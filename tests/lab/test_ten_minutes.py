"""The pages that promise ten minutes, typed on a fresh host as they stand: nothing is typed that is not on the page, and all of it is.

What the reader has already is made by the test: a machine of his own with sudo, hosts that he reaches by ssh under their names, and where git and pip
get things from, as this machine's hosts see no network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib

from . import checkout
from .desk import USER, Typist, blocks, commands, connect, desk_tree, give_names, sit_down, with_salt_commands
from .fixtures import HostFactory
from .host import LabHost
from .test_salt_on_hosts import salted  # noqa: F401
from .tree import Tree

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = REPOSITORY / "docs" / "operating"
CLONED_FROM = "https://github.com/pidhygiene/pidhygiene"
TOLD_TO_INSTALL = ("git", "make", "python3-venv", "openssh-client")


def requirements(*extras: str) -> list[str]:
    offered = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [each for extra in extras for each in offered[extra] if not each.startswith("pidhygiene")]


def publish(host: LabHost, repository: Path) -> None:
    """Let git on the host find this checkout where the page says that the project is."""
    checkout.publish(repository)
    host.push(repository, "/srv/pidhygiene")
    host.shell(f"git config --system url./srv/pidhygiene.insteadOf {CLONED_FROM} && git config --system safe.directory '*'")


@pytest.fixture(scope="module")
def desk(lab_base: dict[str, Tree]) -> Tree:
    return desk_tree(lab_base["bookworm"], TOLD_TO_INSTALL, requirements("ansible", "controller"))


def test_with_ansible(desk: Tree, new_host: HostFactory, tmp_path: Path) -> None:
    web = new_host.fleet([f"web{number}" for number in range(1, 6)])
    with LabHost.boot(desk, "desk") as host:
        connect(host, web)
        give_names(host, [(f"{each.name}.example.org", each) for each in web])
        sit_down(host, web)
        publish(host, tmp_path / "published")
        web[2].write("/etc/timezone", "Europe/Paris\n")  # one thing that is wrong, so that there is something to plan
        typist = Typist(host)
        typed = commands(PAGES / "ten-minutes-ansible.md")
        said = {}
        for block in typed:
            if block.text.startswith("ls pidhygiene-report/not-audited"):
                host.shell(f"cd ~{USER}/pidhygiene/pidhygiene-report && mkdir not-audited && echo '{{}}' > not-audited/web3.example.org.json && rm results/web3* && chown -R {USER} .")
            said[block.text] = typist.type(block)
        assert "partial" in said[typed[0].text] and "partial" not in said[typed[1].text]
        report = f"/home/{USER}/pidhygiene/pidhygiene-report"
        run = json.loads(host.read(f"{report}/run.json"))
        assert sorted(run["hosts"]) == [f"{each.name}.example.org" for each in web]
        assert {row["outcome"] for row in run["hosts"].values()} == {"audited"}
        waived = json.loads(host.read(f"{report}/results/web3.example.org.json"))["findings"]
        (accepted,) = [each for each in waived if each["rule"] == "PH-TZ-001"]
        assert accepted["waiver"]["owner"] == "web-team" and accepted["waiver"]["justification"].startswith("seen in the first audit")
        assert "web3.example.org" in host.read(f"/home/{USER}/pidhygiene/plan.yml")
        assert host.run(["systemctl", "is-active", "pidhygiene-nightly.timer"]).stdout == "active\n"
        assert sorted(json.loads(host.read("/var/lib/pidhygiene/pidhygiene-report/run.json"))["hosts"]) == sorted(run["hosts"])
        host.run(["test", "-s", "/var/lib/pidhygiene/fleet.db"])


MASTER = "interface: 0.0.0.0\nauto_accept: True\nworker_threads: 2\nenable_fqdns_grains: False\n"
MINION = "id: {name}.example.org\nmaster: {master}\nenable_fqdns_grains: False\nacceptance_wait_time: 1\n"


def test_with_salt(salted: Tree, desk: Tree, tmp_path: Path) -> None:  # noqa: F811
    archive = subprocess.run([REPOSITORY / ".ci/archive", tmp_path], env=dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
                             capture_output=True, text=True, check=True).stdout.split()[-1]
    tree = with_salt_commands(Tree(desk.suite, (salted.layers[0], *desk.layers)))  # Salt lies in a folder of its own, whatever is below
    with ExitStack() as stack:
        master, *web = [stack.enter_context(LabHost.boot(tree, name)) for name in ("salt", "web1", "web2")]
        connect(master, web)
        sit_down(master, [])
        master.write("/etc/salt/master", MASTER)
        master.push(tmp_path / archive, f"/home/{USER}/{archive}")
        for host in web:
            host.write("/etc/salt/minion", MINION.format(name=host.name, master=master.address))
        names = {f"{host.name}.example.org" for host in web}
        typist = Typist(master)
        for block in commands(PAGES / "ten-minutes-salt.md"):
            typist.type(block)
            if "systemctl restart salt-master" in block.text:  # a minion that asks before the master listens waits for long
                until(lambda: "4506" in master.shell("ss -Hltn"), "the master does not listen")
                for host in web:
                    host.shell("systemctl start salt-minion")
                until(lambda: set(pinged(master)) == names, "the minions did not come")
        folder = "/var/lib/pidhygiene/pidhygiene-report"
        run = json.loads(master.read(f"{folder}/run.json"))
        assert {name: row["outcome"] for name, row in run["hosts"].items()} == dict.fromkeys(names, "audited")
        result = json.loads(master.read(f"{folder}/results/web1.example.org.json"))
        waived = [each for each in result["findings"] if each["waiver"]]
        assert waived and waived[0]["waiver"]["owner"] == "web-team"
        master.run(["test", "-s", "/var/lib/pidhygiene/fleet.db"])
        assert master.run(["systemctl", "is-active", "pidhygiene-nightly.timer"]).stdout == "active\n"


def pinged(master: LabHost) -> list[str]:
    try:
        return list(json.loads(master.run(["salt", "--out", "json", "--static", "-t", "5", "*", "test.ping"], check=False).stdout))
    except ValueError:
        return []


def until(happened: Callable[[], bool], what: str, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_only_what_is_typed_looks_as_if_it_were(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text\n\n```sh\none\ntwo\n```\n\n```text\nsaid\n```\n")
    assert [(block.line, block.kind, block.text) for block in blocks(page)] == [(3, "sh", "one\ntwo\n"), (8, "text", "said\n")]
    for wrong in ("Text\n\n    make audit\n", "```sh\nmake audit\n"):
        page.write_text(wrong)
        with pytest.raises(AssertionError):
            blocks(page)
