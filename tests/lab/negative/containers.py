"""Containers under containerd and runc, placed as Docker and as a kubelet would place them, with probes that look into them."""

from __future__ import annotations

import hashlib
import json

from ..host import LabHost
from .recipe import Recipe, processes, unit

# systemd mounts these two by itself, and they are this machine's: a container must not make groups there.
PREPARE = """
umount /sys/fs/cgroup/freezer /sys/fs/cgroup/cpuset
mkdir -p /opt/image/bin /opt/image/proc /opt/image/dev /opt/image/etc /opt/image/tmp
cp /bin/busybox /opt/image/bin/
cp /usr/bin/tini-static /opt/image/bin/tini
for name in sh sleep httpd true cat; do ln -s busybox "/opt/image/bin/$name"; done
systemctl start containerd
ctr oci spec > /opt/spec.json
"""
WORK = (
    ("/bin/tini", "--", "/bin/sh", "-c", "sleep 100000 & sleep 100000 & sleep 100000"),
    ("/bin/sh", "-c", "trap 'exit 0' TERM; sleep 100000 & sleep 100000 & while :; do sleep 5; done"),
    ("/bin/httpd", "-f", "-p", "8080"),
)
PROBE = """#!/bin/sh
while :; do
    for name in $(ctr task ls -q); do ctr task exec --exec-id "probe$$" "$name" /bin/true; done
    sleep 1
done
"""
CONTAINERS = 39


def start(host: LabHost) -> None:
    host.shell(PREPARE)
    spec = json.loads(host.read("/opt/spec.json"))
    for number in range(CONTAINERS):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        host.write(f"/opt/{name}.json", json.dumps(_spec(spec, number, name)))
        host.run(["ctr", "run", "--detach", "--config", f"/opt/{name}.json", name])
    host.write("/opt/probe", PROBE, 0o755)
    unit(host, "probe", "[Service]\nExecStart=/opt/probe\n")


def _spec(spec: dict, number: int, name: str) -> dict:
    """Every third container in a pod, every third with a limit of its own."""
    group = f"/kubepods/burstable/pod{name[:8]}-0000-4000-8000-000000000000/{name}" if number % 3 == 1 else f"/docker/{name}"
    linux = {**spec["linux"], "cgroupsPath": group, "resources": {"pids": {"limit": 100}} if number % 3 == 0 else {}}
    process = {**spec["process"], "args": list(WORK[number % 3])}
    return {**spec, "linux": linux, "process": process, "root": {"path": "/opt/image"}}


def busy(host: LabHost) -> bool:
    running = host.run(["ctr", "task", "ls"], check=False).stdout.count("RUNNING")
    return running == CONTAINERS and processes(host, "containerd-shim") == CONTAINERS


RECIPE = Recipe("containers", "bookworm", ("containerd", "runc", "tini", "busybox-static"), start, busy)
