"""Salt 3006, the oldest that is supported: its own master and its own minion on a real host, through everything that the newest one goes through elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .auditing import POLICY, check, install
from .host import LabHost
from .test_relief_on_hosts import BEACONS
from .test_salt_on_hosts import MINION, RUN_MINION, Commands, ask, master, orchestrated, pid_max, plan_for, with_salt
from .tree import Tree

SALT = "salt>=3006,<3007"
PUBLISH, RETURN = 24621, 24622
NAME = "old"
MAIN = {"salt-master": "salt_master", "salt": "salt_main", "salt-run": "salt_run"}
CROWD = "for i in $(seq 18); do sleep 100000 & done; wait"


@pytest.fixture(scope="module")
def tree(lab_base) -> Tree:
    return with_salt(lab_base["bookworm"], SALT)


def of(tree: Tree) -> Commands:
    """Master and commands on this machine, of the Salt that is in the layer of the host."""
    (place,) = [layer / "opt/salt" for layer in tree.layers if (layer / "opt/salt").is_dir()]

    def commands(name: str) -> list[str]:
        start = f"import sys; sys.path.insert(0, {str(place)!r}); sys.argv[0] = {name!r}; from salt.scripts import {MAIN[name]} as main; main()"
        return [sys.executable, "-c", start]

    return commands


def test_the_oldest_salt(tree, tmp_path_factory, tmp_path) -> None:
    commands = of(tree)
    place = tmp_path_factory.mktemp("s")

    def asked(*arguments: str, wait: float = 0):
        return ask(place, *arguments, wait=wait, commands=commands)[NAME]

    with LabHost.boot(tree, NAME) as host, master(place, "0.0.0.0", PUBLISH, RETURN, commands):
        install(host)
        host.write("/etc/salt/minion", MINION.format(name=NAME, address=host.gateway, publish=PUBLISH, ret=RETURN) + BEACONS)
        host.run(["systemd-run", "--unit=salt-minion", "-p", "TasksMax=200", "python3", "-c", RUN_MINION, "-c", "/etc/salt"])
        synced = asked("saltutil.sync_all", wait=120)
        assert synced["beacons"] == ["beacons.pidhygiene"] and synced["states"] == ["states.pidhygiene"]
        assert asked("test.version").startswith("3006.")

        result = asked("pidhygiene.check", "full=True", f"policy={json.dumps(POLICY)}")
        assert result["audit"]["errors"] == [] and not [each for each in result["findings"] if each["status"] in ("warn", "fail", "unknown")]
        assert {(row["rule"], row["status"]) for row in result["rules"]} == {(row["rule"], row["status"]) for row in check(host)["rules"]}
        assert "next fork" in asked("pidhygiene.explain", "cron.service")
        assert {"pid_max", "threads-max"} <= {row["kind"] for row in asked("pidhygiene.headroom")["budgets"]}

        # A state: looked at, applied, left alone.
        state = ("state.single", "pidhygiene.kernel_limits", "name=pid_max", "values={'kernel.pid_max': 4000000}")
        looked, applied, again = ([*asked(*state, *more).values()][0] for more in (("test=True",), (), ()))
        assert looked["result"] is None and looked["changes"] == applied["changes"] != {} and applied["result"] is True
        assert again["result"] is True and again["changes"] == {} and pid_max({NAME: host}) == {NAME: 4000000}

        # A plan, and a fleet of one.
        (place / "plan.yml").write_text(json.dumps(plan_for({NAME: result["host"]["boot_id"]})))
        assert orchestrated(place, [NAME], 1, commands) is True and pid_max({NAME: host}) == {NAME: 4100000}
        done = subprocess.run([*commands("salt-run"), "-c", str(place), "pidhygiene.audit", f"report_dir={tmp_path}", f"policy={json.dumps(POLICY)}"],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, check=False)
        assert done.returncode == 0 and json.loads((tmp_path / "run.json").read_text())["hosts"][NAME]["outcome"] == "audited", done.stdout + done.stderr

        # The beacon, with relief.
        told = heard(commands, place, f"salt/beacon/{NAME}/pidhygiene/reached", lambda: host.run(
            ["systemd-run", "--unit=crowd", "-p", "TasksMax=19", "bash", "-c", CROWD]))
        assert told["finding"]["rule"] == "PH-SYS-004" and told["finding"]["subject"]["id"] == "crowd.service"
        assert told["relief"]["state"] == "done" and told["relief"]["changes"][0]["before"] == "19"


def heard(commands: Commands, place: Path, tag: str, happens) -> dict:
    """The event with this tag, which the master gets after something happened."""
    listening = subprocess.Popen([*commands("salt-run"), "-c", str(place), "state.event", tag, "count=1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        happens()
        said = listening.communicate(timeout=120)[0]
    finally:
        listening.kill()
        listening.wait()
    return json.loads(said[said.index("{"):said.rindex("}") + 1])
