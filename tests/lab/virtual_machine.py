"""A virtual machine with a kernel of its own: the unified cgroup hierarchy with working controllers, whatever this machine's layout is.

It boots the bookworm tree with Debian's kernel added, from a file system image that is made once and never written to: qemu keeps what a
run writes in a file that goes with it.  With KVM it boots in seconds, without in about a minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from .addresses import far_address, near_address
from .machine import BootFailed, Machine
from .owner import Owner
from .place import LabError, lab_folder, locked, ssh_key
from .registry import Record, register, remove
from .tree import CLEAN, Tree, base_tree, with_packages

PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools", "udev", "systemd-timesyncd")
FILES = {"etc/fstab": "/dev/vda / ext4 defaults 0 1\n"}
IMAGE_SIZE = "2G"  # sparse: 0.5 GB on disk
MEMORY = "1G"
BOOT_SECONDS = 300  # emulated, on two busy cores
SYNCHRONISED_SECONDS = 300


class VirtualMachine(Machine):
    """One running virtual machine, reached over ssh alone: what runs in it belongs to a session of its logind."""

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
        self._qemu: subprocess.Popen[bytes] | None = None

    @classmethod
    def boot(cls, name: str = "machine", *, owner: Owner | None = None) -> Self:
        """Boot a machine and return it when it has booted and sshd answers; nothing of it is left if that fails."""
        tree = bootable_tree()
        image = disk_image(tree)
        machine = cls(register("virtual machine", name, tree.suite, tree.layers, "unified", owner or Owner.this_process()))
        try:
            machine._start(tree, image)
            machine.wait_until_booted(BOOT_SECONDS)
        except BaseException:
            machine.down()
            raise
        return machine

    def entering(self, argv: Sequence[str]) -> list[str]:
        return self.ssh_command(*argv)

    def alive(self) -> bool:
        return self.record.groups.has_supervisor()

    def boot_id(self) -> str:
        """Return what tells one boot from the next; empty while ssh does not answer."""
        return self.run(["cat", "/proc/sys/kernel/random/boot_id"], check=False).stdout.strip()

    def reboot(self) -> None:
        """Reboot as systemd does it and return when the machine has booted again."""
        before = self.boot_id()
        self.run(["systemctl", "reboot"], check=False)
        deadline = time.monotonic() + BOOT_SECONDS
        while self.boot_id() in (before, ""):
            if not self.alive() or time.monotonic() > deadline:
                raise BootFailed(f"{self.name} did not come back from a reboot\n{self.diagnosis()}")
            time.sleep(0.2)
        self.wait_until_booted(BOOT_SECONDS)

    def set_clock_by(self, server: str) -> None:
        """Return when systemd-timesyncd has set the clock by a time server."""
        self.run(["timedatectl", "ntp-servers", "eth0", server])
        # In one login: on a busy machine, each keeps an emulated processor from what it waits for. A timesyncd that is told of its network again
        # and again while it starts may ask no server any more: it is started anew then.
        waiting = "n=0; until [ -e /run/systemd/timesync/synchronized ]; do sleep 1; n=$((n + 1)); [ $((n % 45)) != 0 ] || systemctl restart systemd-timesyncd; done"
        done = self.run(["timeout", str(SYNCHRONISED_SECONDS), "sh", "-c", waiting], check=False, timeout=SYNCHRONISED_SECONDS + 60)
        if done.returncode:
            said = self.run(["journalctl", "--no-pager", "-u", "systemd-timesyncd"], check=False).stdout
            raise LabError(f"{self.name} does not set its clock by {server}\n{said}\n{self.diagnosis()}")

    def down(self) -> None:
        remove(self.record)
        if self._qemu is not None:
            self._qemu.wait()
            self._qemu = None

    def diagnosis(self) -> str:
        log = self.folder / "qemu.log"
        return f"--- qemu ---\n{log.read_text(errors='replace') if log.exists() else ''}\n{super().diagnosis()}"

    def _start(self, tree: Tree, image: Path) -> None:
        groups = self.record.groups
        groups.make()
        self._make_link()
        boot = tree.layers[0] / "boot"
        # As the kernel's ip= parameter; systemd-network-generator makes networkd's configuration of it.
        network = f"ip={self.address}::{self.gateway}:255.255.255.252::eth0:off"
        # The reaper of LVM snapshots takes a third of an emulated boot, and there are none.
        services = "systemd.wants=systemd-network-generator.service systemd.wants=systemd-networkd.service systemd.mask=e2scrub_reap.service"
        command = [
            "qemu-system-x86_64", "-M", "q35", "-accel", _accelerator(), "-cpu", "max", "-smp", "2", "-m", MEMORY,
            "-nodefaults", "-display", "none", "-serial", f"file:{self.console}", "-device", "virtio-rng-pci",
            "-drive", f"file={image},format=raw,if=virtio", "-snapshot",
            "-netdev", f"tap,id=link,ifname={self.record.link},script=no,downscript=no", "-device", "virtio-net-pci,netdev=link",
            "-kernel", str(_only(boot, "vmlinuz-*")), "-initrd", str(_only(boot, "initrd.img-*")),
            "-append", f"root=/dev/vda rw console=ttyS0 net.ifnames=0 systemd.hostname={self.name} {network} {services}",
        ]
        join = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(groups.supervisor)]
        with (self.folder / "qemu.log").open("wb") as log:
            self._qemu = subprocess.Popen(
                [*join, *command], env={**os.environ, "TMPDIR": str(self.folder)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        while not self.alive() and self._qemu.poll() is None:
            time.sleep(0.01)

    def _make_link(self) -> None:
        link = self.record.link
        for command in (
            ["ip", "tuntap", "add", "dev", link, "mode", "tap"],
            ["ip", "address", "add", f"{self.gateway}/30", "dev", link],
            ["ip", "link", "set", link, "up"],
        ):
            subprocess.run(command, check=True)


def bootable_tree() -> Tree:
    """Return the bookworm tree with a kernel in its topmost layer's /boot."""
    key = ssh_key(lab_folder()).with_suffix(".pub").read_text()
    return with_packages(base_tree("bookworm"), PACKAGES, {**FILES, "root/.ssh/authorized_keys": key})


def disk_image(tree: Tree) -> Path:
    """Return a file system image of a tree, made now (seconds, once) if there is none; it must be opened for reading only."""
    images = lab_folder() / "images"
    image, unfinished = images / f"{tree.name}.ext4", images / f".{tree.name}.unfinished"
    with locked(images / f".{tree.name}.lock"):
        if not image.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            for folder in ("upper", "work", "root"):
                (unfinished / folder).mkdir(parents=True)
            layers = ":".join(map(str, tree.layers))
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-ceu", _MAKE_IMAGE, layers, str(unfinished), IMAGE_SIZE]
            made = subprocess.run(command, env=CLEAN, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise LabError(f"cannot make {image}: {made.stderr.strip()}")
            (unfinished / "image").rename(image)
            shutil.rmtree(unfinished)
    return image


_MAKE_IMAGE = """
cd "$1"
mount -t overlay overlay -o "lowerdir=$0,upperdir=upper,workdir=work" root
truncate --size="$2" image
mke2fs -q -t ext4 -d root image
"""


def _accelerator() -> str:
    """Return kvm where the processor itself has virtualisation.

    The device alone proves nothing: with /dev/kvm, but without vmx and svm among the processor's flags, qemu was seen to abort, or to run a
    kernel that never says a word.
    """
    flags = Path("/proc/cpuinfo").read_text().split()
    return "kvm" if os.access("/dev/kvm", os.W_OK) and {"vmx", "svm"}.intersection(flags) else "tcg,thread=multi"


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path
