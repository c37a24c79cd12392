"""What the lab needs of a machine, tried out rather than guessed, so that a test without it says why it is skipped."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess

from .cgroups import HostGroups, has_hybrid_layout, unified_hierarchy
from .place import LabUnavailable, lab_folder

COMMANDS = ("debootstrap", "unshare", "nsenter", "ip", "mount", "pivot_root", "ssh", "ssh-keygen", "tar", "bash")

# As the hosts do it: an overlay whose upper folder is in the lab's folder.
_REHEARSAL = """
set -e; cd "$0"; mkdir -p lower upper work root
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
mknod root/null c 1 3
"""


def require_hosts() -> None:
    """Return if this machine can run lab hosts; else LabUnavailable with the first reason why not."""
    if os.geteuid() != 0:
        raise LabUnavailable("lab hosts need root")
    _require_commands(COMMANDS, "debootstrap, iproute2, util-linux and openssh-client")
    _require_overlay()
    _require_groups()


def require_virtual_machine() -> None:
    """Return if this machine can make and run the virtual machine too; else LabUnavailable."""
    require_hosts()
    _require_commands(("qemu-system-x86_64", "mke2fs"), "qemu-system-x86 and e2fsprogs")


def _require_commands(commands: tuple[str, ...], packages: str) -> None:
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        raise LabUnavailable(f"missing {', '.join(missing)}: install {packages}")


def _require_overlay() -> None:
    folder = lab_folder() / f".rehearsal-{secrets.token_hex(4)}"
    folder.mkdir()
    apart = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--propagation", "private"]
    try:
        result = subprocess.run([*apart, "bash", "-c", _REHEARSAL, str(folder)], capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder)
    if result.returncode != 0:
        raise LabUnavailable(f"no namespaces, or no overlay in {lab_folder()}: {result.stderr.strip()}")


def _require_groups() -> None:
    if not has_hybrid_layout() and "pids" not in (unified_hierarchy() / "cgroup.controllers").read_text().split():
        raise LabUnavailable("no pids controller, neither of version 1 nor in the unified hierarchy")
    groups = HostGroups(f"rehearsal-{secrets.token_hex(4)}", "hybrid" if has_hybrid_layout() else "unified")
    try:
        groups.make()
        groups.remove()
    except OSError as error:
        raise LabUnavailable(f"cannot make control groups: {error}") from error
