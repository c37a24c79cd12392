"""What every machine of the lab can do, whether it is a host in namespaces or a virtual machine."""

from __future__ import annotations

import shlex
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from .place import LabError

# What a command inside gets, whatever the caller's environment holds.
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")


class CommandFailed(LabError):
    """A command on a lab machine ended with another status than 0."""

    def __init__(self, machine: str, argv: Sequence[str], result: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{machine}: {shlex.join(argv)} ended with {result.returncode}\n{result.stdout}{result.stderr}".rstrip())
        self.result = result


class BootFailed(LabError):
    """A machine did not come up; the text holds what its console and journal say."""


class Machine(ABC):
    """A Debian with systemd as PID 1 that accepts ssh as root.

    address, port and key say how ssh reaches it; gateway is this machine's address as seen from there (a Salt master's, for example).
    """

    name: str
    suite: str
    address: str
    port: int
    gateway: str
    key: Path
    console: Path

    @abstractmethod
    def entering(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs argv as root inside."""

    @abstractmethod
    def alive(self) -> bool:
        """Tell whether the machine has not ended: it boots, runs or reboots."""

    @abstractmethod
    def down(self) -> None:
        """Take the machine away with all that it used; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.down()

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside and return its result; CommandFailed if check is true and its status is not 0.

        The command gets a clean environment and, where the machine is a host in namespaces, belongs to no session and no unit of it: what
        must be a login's goes through ssh, what must be a unit's through systemd-run.  timeout is in seconds.
        """
        result = subprocess.run(
            self.entering(["env", "-i", *ENVIRONMENT, *argv]), input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, errors="surrogateescape", timeout=timeout, check=False,
        )
        if check and result.returncode != 0:
            raise CommandFailed(self.name, argv, result)
        return result

    def shell(self, script: str, *, check: bool = True, timeout: float = 60) -> str:
        """Run a shell script inside and return its standard output, without the last line's end."""
        return self.run(["sh", "-ceu", script], check=check, timeout=timeout).stdout.removesuffix("\n")

    @property
    def ssh_options(self) -> list[str]:
        """Return the options with which ssh, scp, Ansible and salt-ssh log in without asking, unmoved by the user's configuration."""
        return [
            "-F", "/dev/null", "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", "-o", "ControlMaster=no",
        ]

    def ssh_command(self, *argv: str, user: str = "root") -> list[str]:
        """Return the command that runs argv through a login over ssh, or a login shell if argv is empty."""
        remote = [shlex.join(argv)] if argv else []
        return ["ssh", *self.ssh_options, "-p", str(self.port), f"{user}@{self.address}", *remote]

    def ssh(self, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command through a login over ssh: PAM, logind and sshd's limits apply to it."""
        result = subprocess.run(
            self.ssh_command(*argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape", timeout=timeout, check=False
        )
        if check and result.returncode != 0:
            raise CommandFailed(self.name, argv, result)
        return result

    def ansible_variables(self) -> dict[str, str | int]:
        """Return the variables of this host in an Ansible inventory."""
        return {
            "ansible_host": self.address, "ansible_port": self.port, "ansible_user": "root", "ansible_ssh_private_key_file": str(self.key),
            "ansible_ssh_common_args": shlex.join(self.ssh_options), "ansible_python_interpreter": "/usr/bin/python3",
        }

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file inside, with the folders above it; its links are followed inside, never on this machine."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "write", path, f"{mode:o}"], stdin=text)

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def push(self, source: Path, destination: str) -> None:
        """Copy a file, or a whole folder with its links as they are, to the name it gets inside; everything there belongs to root."""
        folder, entry = (source, ".") if source.is_dir() else (source.parent, source.name)
        pack = ["tar", "-C", str(folder), "--exclude=__pycache__", "--owner=root:0", "--group=root:0", "-c", entry]
        if source.is_dir():
            unpack = ["sh", "-c", 'mkdir -p "$1" && tar -C "$1" -x', "push", destination]
        else:
            unpack = ["sh", "-c", 'mkdir -p "$(dirname "$1")" && tar -x --to-stdout > "$1" && chmod "$2" "$1"', "push", destination,
                      f"{source.stat().st_mode & 0o7777:o}"]
        packed = subprocess.run(pack, stdout=subprocess.PIPE, check=True).stdout
        result = subprocess.run(self.entering(["env", "-i", *ENVIRONMENT, *unpack]), input=packed, capture_output=True, check=False)
        if result.returncode != 0:
            raise LabError(f"{self.name}: cannot put {source} at {destination}: {result.stderr.decode(errors='replace')}")

    def pid_of(self, unit: str) -> int:
        """Return the main pid of a service, as numbered inside; 0 if it has none."""
        return int(self.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout)

    def boot_state(self) -> str:
        """Return what `systemctl is-system-running` says now: running, degraded, starting, ..."""
        return self.run(["systemctl", "is-system-running"], check=False).stdout.strip()

    def failed_units(self) -> list[str]:
        listed = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"]).stdout
        return [line.split()[0] for line in listed.splitlines()]

    def wait_until_booted(self, seconds: float) -> None:
        """Return when every unit has started or failed and sshd answers; BootFailed when that takes longer or the machine ends."""
        deadline = time.monotonic() + seconds
        while not self._has_booted(deadline):
            if not self.alive():
                raise BootFailed(f"{self.name} ended while it booted\n{self.diagnosis()}")
            if time.monotonic() > deadline:
                raise BootFailed(f"{self.name} has not booted after {seconds:.0f} s\n{self.diagnosis()}")
            time.sleep(0.05)

    def diagnosis(self) -> str:
        """Return what a person needs to see why a machine does not work: the console's end, failed units, the journal's end."""
        parts = ["--- console ---", *(self.console.read_text(errors="replace").splitlines()[-40:] if self.console.exists() else [])]
        questions = [["systemctl", "--no-pager", "list-jobs"], ["systemctl", "--no-pager", "--failed"], ["journalctl", "--no-pager", "-n", "60"]]
        for argv in questions if self.alive() else []:
            try:
                parts += [f"--- {shlex.join(argv)} ---", self.run(argv, check=False, timeout=10).stdout]
            except (LabError, OSError, subprocess.TimeoutExpired) as error:
                parts.append(str(error))
        return "\n".join(parts)

    def _has_booted(self, deadline: float) -> bool:
        left = max(deadline - time.monotonic(), 1)
        try:
            state = self.run(["systemctl", "is-system-running", "--wait"], check=False, timeout=left).stdout.strip()
        except (LabError, subprocess.TimeoutExpired):
            return False
        return state in ("running", "degraded") and self._sshd_answers()

    def _sshd_answers(self) -> bool:
        try:
            with socket.create_connection((self.address, self.port), timeout=5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False
