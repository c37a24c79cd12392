"""A machine at which an operator sits: a lab host with what a page tells to install, packages of Python that it takes from a folder, and a way to others.

Hosts of the lab reach this machine only, and no network. Here they reach each other: for each, a route over this machine, which passes on what
comes over those links and nothing else (conf/LINK/forwarding; ip-sysctl.rst). It goes with the links.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .host import LabHost
from .machine import Machine
from .tree import Tree, with_layer, with_packages

WHEELS = "/opt/wheels"
USER = "ops"
# How pip finds packages here is the lab's business; a page of the documentation does not speak of it.
PIP_CONF = f"[global]\nno-index = true\nfind-links = {WHEELS}\n"


def with_wheels(below: Tree, requirements: Iterable[str], python: str = "3.11") -> Tree:
    """A tree with these packages of Python, and those that they need, in a folder, for the Python of the suite; pip there takes from it."""
    wanted = sorted(requirements)

    def fill(layer: Path) -> None:
        (layer / "etc").mkdir()
        (layer / "etc/pip.conf").write_text(PIP_CONF)
        subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "download", "--only-binary=:all:", "--python-version", python,
                        "--dest", str(layer) + WHEELS, *wanted], check=True, capture_output=True)
    return with_layer(below, [*wanted, python, PIP_CONF, "wheels"], fill)


def desk_tree(below: Tree, packages: Iterable[str], requirements: Iterable[str]) -> Tree:
    return with_wheels(with_packages(below, packages), requirements)


def connect(desk: LabHost, others: Iterable[LabHost]) -> None:
    """Let one host reach others, and them answer."""
    hosts = list(others)
    for host in (desk, *hosts):
        Path(f"/proc/sys/net/ipv4/conf/{host.record.link}/forwarding").write_text("1")
    for host in hosts:
        desk.run(["ip", "route", "add", host.address, "via", desk.gateway])
        host.run(["ip", "route", "add", desk.address, "via", host.gateway])


def give_names(desk: LabHost, names: Iterable[tuple[str, Machine]]) -> None:
    """Names under which the desk finds hosts, as a name service would tell them."""
    desk.run(["sh", "-c", "cat >> /etc/hosts"], stdin="".join(f"{host.address} {name}\n" for name, host in names))


def sit_down(desk: LabHost, others: Iterable[LabHost]) -> None:
    """Make the operator's account: root by sudo without a password, at the desk and on the others, which know its key and which it knows."""
    account = (f"useradd -m -s /bin/bash {USER} && install -d -o {USER} -m 700 ~{USER}/.ssh && "
               f"echo '{USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{USER} && chmod 440 /etc/sudoers.d/{USER}")
    desk.shell(account)
    desk.shell(f"su {USER} -c 'ssh-keygen -q -t ed25519 -N \"\" -f ~/.ssh/id_ed25519'")
    public = desk.read(f"/home/{USER}/.ssh/id_ed25519.pub")
    for host in others:
        host.shell(account)
        host.write(f"/home/{USER}/.ssh/authorized_keys", public)
        host.shell(f"chown -R {USER} ~{USER}/.ssh")
    desk.write(f"/home/{USER}/.ssh/config", "Host *.example.org\n  StrictHostKeyChecking accept-new\n")  # somebody who has logged in before
    desk.shell(f"chown -R {USER} ~{USER}/.ssh")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: what is in it, and of which kind it says to be (``sh`` is typed)."""

    line: int
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order. Nothing else on it may look like one: an indented block is neither typed nor told from one that is."""
    found: list[Block] = []
    inside: list[str] | None = None
    start, kind = 0, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = re.fullmatch(r"```(\S*)", line)
        if fence and inside is None:
            start, kind, inside = number, fence.group(1), []
        elif fence and inside is not None:
            found.append(Block(start, kind, "\n".join(inside) + "\n"))
            inside = None
        elif inside is not None:
            inside.append(line)
        else:
            assert not line.startswith(("    ", "\t")), f"{page.name}:{number} is an indented block: say what kind it is with a fence"
    assert inside is None, f"{page.name}:{start} is never closed"
    return found


def commands(page: Path) -> list[Block]:
    """What a reader types."""
    return [block for block in blocks(page) if block.kind == "sh"]


class Typist:
    """Types blocks at a host, in a login of a user, each where the last one left off; every line of a block must succeed."""

    def __init__(self, host: LabHost, user: str = USER, timeout: float = 300) -> None:
        self.host, self.user, self.timeout = host, user, timeout
        self._where = f"/run/where-{user}"
        host.write(self._where, host.shell(f"getent passwd {shlex.quote(user)} | cut -d: -f6"))
        host.run(["chown", user, self._where])

    def type(self, block: Block) -> str:
        """Return what is said, both streams in their order. Errors: CommandFailed."""
        script = f'cd "$(cat {self._where})"\nset -e\n{block.text}\npwd > {self._where}\n'
        place = f"/run/typed-{self.user}.sh"
        self.host.write(place, script)
        return self.host.run(["su", "--login", self.user, "-c", f"bash {place} < /dev/null 2>&1"], timeout=self.timeout).stdout


# What Salt's packages put there: commands in the path, and services. Salt itself lies in /opt/salt.
SALT_COMMANDS = {"salt": "salt_main", **{f"salt-{each}": f"salt_{each}" for each in ("call", "key", "master", "minion", "run")}}
SALT_COMMAND = "#!/usr/bin/python3\nimport sys\nsys.path.insert(0, '/opt/salt')\nfrom salt.scripts import {function}\nsys.exit({function}())\n"
SALT_SERVICE = "[Service]\nExecStart=/usr/bin/{name}\n[Install]\nWantedBy=multi-user.target\n"


def with_salt_commands(salted: Tree) -> Tree:
    files = {f"usr/bin/{name}": SALT_COMMAND.format(function=function) for name, function in SALT_COMMANDS.items()}
    files.update({f"etc/systemd/system/{name}.service": SALT_SERVICE.format(name=name) for name in ("salt-master", "salt-minion")})

    def fill(layer: Path) -> None:
        for name, text in files.items():
            path = layer / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if name.startswith("usr/bin") else 0o644)
        (layer / "etc/salt/master.d").mkdir(parents=True)
    return with_layer(salted, [*files, *files.values()], fill)
