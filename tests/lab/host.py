"""A lab host: Debian with systemd as PID 1, in namespaces and cgroups of its own, over a tree that it cannot change."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from .addresses import far_address, near_address
from .cgroups import has_hybrid_layout
from .machine import BootFailed, Machine
from .owner import Owner
from .place import LabError, lab_folder, ssh_key
from .registry import Record, register, remove
from .tree import Tree

BOOT_SECONDS = 120
# As for PID 1 (enter.sh): nsenter alone would keep this machine's capabilities, with which a command could set this machine's clock.
CONFINED = ("setpriv", "--bounding-set=-sys_time,-sys_module,-sys_rawio", "--")
HERE = Path(__file__).parent


class LabHost(Machine):
    """One running host.  `LabHost.boot(...)` makes it, `LabHost(record)` finds it again, `down()` or a with statement takes it away."""

    port = 22

    def __init__(self, record: Record) -> None:
        self.record = record
        self.name = record.name
        self.suite = record.suite
        self.folder = record.folder
        self.console = record.folder / "console.log"
        self.gateway = near_address(record.number)
        self.address = far_address(record.number)
        self.key = ssh_key(lab_folder())
        self._supervisor: subprocess.Popen[bytes] | None = None

    @classmethod
    def boot(cls, tree: Tree, name: str | None = None, *, layout: str | None = None, owner: Owner | None = None) -> Self:
        """Boot a host over a tree and return it when it has booted and sshd answers; nothing of it is left if that fails.

        layout is "hybrid", where the pids and memory controllers of version 1 are writable and so limits real, or "unified", the only one
        that systemd 256 and newer knows, with the controllers that this machine's unified hierarchy has, which may be none.
        Without a layout a suite gets the one in which more limits are real.  owner is the process with which the host dies; this one.
        """
        record = register(
            "host", name or tree.suite, tree.suite, tree.layers, layout or _best_layout(tree.suite), owner or Owner.this_process()
        )
        host = cls(record)
        try:
            host._start()
            host.wait_until_booted(BOOT_SECONDS)
        except BaseException:
            host.down()
            raise
        return host

    @property
    def init_pid(self) -> int:
        """Return the pid of the host's PID 1, as this machine numbers it; LabError between two boots."""
        try:
            return int((self.folder / "init.pid").read_text())
        except FileNotFoundError:
            raise LabError(f"{self.name} has no PID 1 now") from None

    @property
    def root(self) -> Path:
        """Return the host's files as this machine sees them.

        An absolute link in there, such as /etc/localtime, leads this machine's own path lookup out of the host: read with care, and write
        with `write()` instead.
        """
        return Path(f"/proc/{self.init_pid}/root")

    def group(self, controller: str = "unified") -> Path:
        """Return the host's root group, as this machine sees it, in the hierarchy that has a controller: version 1's, else the unified one."""
        groups = self.record.groups
        return groups.version_1.get(controller, groups.host)

    def entering(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", f"--target={self.init_pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--", *CONFINED, *argv]

    def alive(self) -> bool:
        return self.record.groups.has_supervisor()

    def reboot(self) -> None:
        """Reboot as systemd does it, keep the files, and return when the host has booted again."""
        before = self.init_pid
        self.run(["systemctl", "reboot"], check=False)
        self.wait_until_rebooted(before)

    def wait_until_rebooted(self, before: int) -> None:
        """Return when the host runs under another PID 1 than the one that had this init_pid."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self._init_pid_or_none() in (before, None):
            if not self.alive() or time.monotonic() > deadline:
                raise BootFailed(f"{self.name} did not come back from a reboot\n{self.diagnosis()}")
            time.sleep(0.02)
        self.wait_until_booted(BOOT_SECONDS)

    def unplug(self) -> None:
        """Cut the link: the host runs on, unreachable, and nothing that is sent to its address leaves this machine."""
        self.run(["ip", "link", "set", "eth0", "down"])

    def plug(self) -> None:
        """Mend the link that unplug() cut."""
        self.run(["ip", "link", "set", "eth0", "up"])

    def down(self) -> None:
        remove(self.record)
        if self._supervisor is not None:
            self._supervisor.wait()
            self._supervisor = None

    def wait_until_booted(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._init_pid_or_none() is None and self.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        super().wait_until_booted(max(deadline - time.monotonic(), 0))

    def _init_pid_or_none(self) -> int | None:
        try:
            return self.init_pid
        except LabError:
            return None

    def _start(self) -> None:
        for folder in ("upper", "work", "root"):
            (self.folder / folder).mkdir()
        self._make_its_own()
        groups = self.record.groups
        groups.make()
        with self.console.open("wb") as console:
            self._supervisor = subprocess.Popen(
                ["bash", str(HERE / "supervise.sh"), str(self.folder), self.name, ":".join(self.record.layers), self.record.layout, self.record.link,
                 self.gateway, self.address, str(groups.supervisor), *map(str, groups.entered)],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )
        while not self.alive() and self._supervisor.poll() is None:
            time.sleep(0.01)

    def _make_its_own(self) -> None:
        """Write what tells this host from the others of its tree."""
        upper = self.folder / "upper"
        for path, text, mode in (
            ("etc/hostname", f"{self.name}\n", 0o644),
            ("etc/hosts", f"127.0.0.1 localhost {self.name}\n::1 localhost\n{self.gateway} machine\n", 0o644),
            ("etc/machine-id", f"{self.record.identity * 4}\n", 0o444),
            ("etc/ssh/sshd_config.d/lab.conf", "MaxStartups 100:30:200\n", 0o644),  # else sshd drops some of a dozen logins at once, by chance
            ("root/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text(), 0o600),
        ):
            file = upper / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
        # An upper folder's own mode hides that of the tree.
        (upper / "root").chmod(0o700)
        (upper / "root/.ssh").chmod(0o700)


def _best_layout(suite: str) -> str:
    return "hybrid" if suite == "bookworm" and has_hybrid_layout() else "unified"
