"""The two ways to a remedy, and what a host was like before: the proof that looking changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ..auditing import PLACE, install
from ..host import LabHost
from ..machine import Machine

REPOSITORY = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
ADAPTERS = "/opt/adapters"
SALT_CONFIG = "/opt/salt-config"
SALT_CALL = ("import sys; sys.path.insert(0, '/opt/salt'); sys.argv[0] = 'salt-call'; from salt.scripts import salt_call; salt_call()")

# What a login writes by itself, and what changes with the clock: at midnight Debian's dpkg-db-backup.timer copies tables into /var/backups.
PASSING = ("/run/systemd/sessions", "/run/systemd/users", "/run/systemd/seats", "/run/systemd/transient", "/run/systemd/journal", "/run/systemd/units",
           "/run/systemd/inaccessible", "/run/systemd/timesync", "/var/log/journal", "/var/log/wtmp", "/var/log/lastlog", "/var/log/btmp", "/var/tmp",
           "/var/cache/salt", "/var/log/salt", "/var/log/supervisor", "/var/lib/systemd/timers", "/var/backups",
           "/run/systemd/generator", "/run/systemd/propagate")
LOOK = """
import json, os, sys
passing = tuple(json.loads(sys.argv[1]))
files = {}
for top in ("/etc", "/run/systemd", "/var"):
    for folder, folders, names in os.walk(top):
        folders[:] = [each for each in folders if not os.path.join(folder, each).startswith(passing)]
        for name in folders + names:
            path = os.path.join(folder, name)
            if path.startswith(passing) or path in ("/var/log", "/var/cache"):  # a login may make its first log there
                continue
            found = os.lstat(path)
            files[path] = [found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
processes = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        group = open("/proc/%s/cgroup" % pid).read()
        start = open("/proc/%s/stat" % pid, "rb").read().rsplit(b")", 1)[1].split()[19].decode()
    except OSError:
        continue
    if "/system.slice/" in group and "ssh" not in group and int(pid) != os.getpid():
        processes.append([int(pid), start])
print(json.dumps({"files": files, "processes": sorted(processes)}))
"""


class Answer(NamedTuple):
    ok: bool
    changed: bool
    message: str  # why not, or what to know
    differences: dict[str, tuple[str, str]]  # what to before and after


class Door:
    name: str

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def look(self, remedy: str, **parameters: Any) -> Answer:
        raise NotImplementedError

    def apply(self, remedy: str, **parameters: Any) -> Answer:
        raise NotImplementedError


class Ansible(Door):
    """A task over ssh."""

    name = "ansible"

    def look(self, remedy: str, **parameters: Any) -> Answer:
        return self._run(remedy, parameters, "--check")

    def apply(self, remedy: str, **parameters: Any) -> Answer:
        return self._run(remedy, parameters)

    def _run(self, remedy: str, parameters: dict[str, Any], *options: str) -> Answer:
        host = self.host
        variables = {"ansible_host": host.address, "ansible_port": host.port, "ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3",
                     "ansible_ssh_private_key_file": str(host.key),
                     "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ControlMaster=no -o LogLevel=ERROR"}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment.update(LC_ALL="C.UTF-8", ANSIBLE_NOCOLOR="1")
        done = subprocess.run(
            [BIN / "ansible", "--playbook-dir", REPOSITORY / "playbooks", "-i", f"{host.name},", "-e", json.dumps(variables), host.name,
             "--diff", "--one-line", *options, "-m", f"pidhygiene.host.{remedy}", "-a", json.dumps(parameters)],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        return _from_ansible(done.stdout, done.stderr)


def _from_ansible(said: str, complained: str) -> Answer:
    start = said.find("=> {")
    assert start >= 0, said + complained
    answer = json.JSONDecoder().raw_decode(said[start + 3:])[0]
    differences = {each["what"]: (each["before"], each["after"]) for each in answer.get("differences", [])}
    message = " ".join([answer.get("msg", ""), *answer.get("notes", [])]).strip()
    ok = "FAILED" not in said[:start] and "UNREACHABLE" not in said[:start]
    return Answer(ok, answer.get("changed", False), message, differences)


class Salt(Door):
    """A state of a real, masterless minion on the host."""

    name = "salt"

    def __init__(self, host: LabHost) -> None:
        super().__init__(host)
        if host.run(["test", "-e", ADAPTERS], check=False).returncode:
            push_adapters(host)
            host.write(SALT_CONFIG + "/minion", "root_dir: /opt/salt-root\nid: it\n")

    def look(self, remedy: str, **parameters: Any) -> Answer:
        return self._run(remedy, parameters, test=True)

    def apply(self, remedy: str, **parameters: Any) -> Answer:
        return self._run(remedy, parameters, test=False)

    def _run(self, remedy: str, parameters: dict[str, Any], test: bool) -> Answer:
        if "state" in parameters:  # Salt's own word
            parameters["ensure"] = parameters.pop("state")
        said = self.host.run(
            ["python3", "-c", SALT_CALL, "--local", "-c", SALT_CONFIG, "-m", ADAPTERS, "--out", "json", "--log-level", "quiet", "state.single", f"pidhygiene.{remedy}",
             f"test={test}", *(f"{name}={json.dumps(value)}" for name, value in {"name": "it", **parameters}.items())], check=False, timeout=600)
        assert "{" in said.stdout, said.stdout + said.stderr
        answer = json.loads(said.stdout[said.stdout.index("{"):])["local"]
        assert isinstance(answer, dict), answer
        (state,) = answer.values()
        differences = {what: (change["old"], change["new"]) for what, change in state["changes"].items() if isinstance(change, dict)}
        return Answer(state["result"] is not False, bool(state["changes"]), state["comment"], differences)


def push_adapters(host: Machine) -> None:
    """Salt's modules with the engine behind the link, as real files."""
    for kind in ("_modules", "_states"):
        host.push(REPOSITORY / "salt_modules" / kind, f"{ADAPTERS}/{kind}")
    host.push(REPOSITORY / "ansible_collection/plugins/module_utils/pidhygiene", f"{ADAPTERS}/_utils/pidhygiene")


ANSWERS = """
import importlib, json, sys
from pidhygiene.remedies import apply
from pidhygiene.remedies.model import Failed, Refused
remedy = importlib.import_module("pidhygiene.remedies." + sys.argv[1]).REMEDY
said = []
for given in json.loads(sys.argv[2]):
    try:
        said.append("done: %s" % (apply.apply(remedy, given),))
    except (Failed, Refused) as error:
        said.append("%s: %s" % (type(error).__name__, error))
print(json.dumps(said))
"""


def answers(host: Machine, remedy: str, cases: list[dict[str, Any]]) -> list[str]:
    """What the engine on the host says when it is asked to apply each of these: many in one process, where what a door adds is not the matter."""
    said: list[str] = json.loads(host.run(["env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "-c", ANSWERS, remedy, json.dumps(cases)]).stdout)
    return said


DOORS = {"ansible": Ansible, "salt": Salt}


def everything(host: Machine) -> dict[str, Any]:
    """Inode, mtime and ctime of every file below /etc, /run/systemd and /var, and the identity of every service's processes."""
    found: dict[str, Any] = json.loads(host.run(["python3", "-c", LOOK, json.dumps(PASSING)]).stdout)
    return found


def unchanged(host: Machine, before: dict[str, Any]) -> None:
    after = everything(host)
    assert sorted(path for path, seen in after["files"].items() if before["files"].get(path) != seen) == []
    assert sorted(set(before["files"]) - set(after["files"])) == []
    assert [each for each in before["processes"] if each not in after["processes"]] == []
    assert [each for each in after["processes"] if each not in before["processes"]] == []


__all__ = ["DOORS", "Answer", "Door", "everything", "install", "answers", "unchanged"]
