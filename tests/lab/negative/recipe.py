"""What a healthy host is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..host import LabHost
from ..tree import Tree, base_tree, with_packages

FEWEST = 150  # processes, so that a host is worth the name of a busy one


class NotBusy(Exception):
    """The software did not come up; the text says what was waited for, and what runs instead."""


@dataclass(frozen=True)
class Recipe:
    name: str
    suite: str
    packages: tuple[str, ...]
    start: Callable[[LabHost], None]  # configures and starts what runs here
    busy: Callable[[LabHost], bool]  # whether it works, asked of the software itself
    layer: Callable[[Tree], Tree] | None = None  # what is not in a Debian package

    def tree(self) -> Tree:
        tree = with_packages(base_tree(self.suite), self.packages) if self.packages else base_tree(self.suite)
        return self.layer(tree) if self.layer else tree


def wait_until(host: LabHost, what: str, condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotBusy(f"{host.name}: {what} did not come in {seconds:.0f} s\n{host.run(['ps', '-eo', 'pid,ppid,stat,args', 'f']).stdout[-3000:]}")
        time.sleep(0.5)


def processes(host: LabHost, *pattern: str) -> int:
    """How many run: all, or those that pgrep finds."""
    return int(host.run(["pgrep", "-c", *(pattern or (".",))], check=False).stdout or 0)


def succeeds(host: LabHost, *command: str) -> bool:
    return host.run(command, check=False).returncode == 0


def unit(host: LabHost, name: str, text: str) -> None:
    """Install a service and start it, as an administrator would."""
    host.write(f"/etc/systemd/system/{name}.service", text)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--quiet", "--now", f"{name}.service"], check=False)
    host.run(["systemctl", "start", f"{name}.service"])
