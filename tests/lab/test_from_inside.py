"""Audits from inside real containers: limits around them are unknown; what the kernel shows from inside is judged."""

from __future__ import annotations

import json
import shlex

import pytest

from .auditing import PLACE, SHELL, install, summary

REASON = "outer limits cannot be seen from inside a container"
ROOT = "/var/lib/machines/inner"

# No namespace of pids for the unprivileged one: the kernel refuses a new /proc there where parts of the old are mounted over, as in the lab.
# The host's own programs over files that the container may write: no image is needed.
MAKE_ROOT = f"""
mkdir -p {ROOT}/usr {ROOT}/etc {ROOT}/root {ROOT}/home {ROOT}/proc {ROOT}/sys {ROOT}/dev {ROOT}/tmp {ROOT}/run {ROOT}/opt {ROOT}/var/lib/dpkg
mount --bind /usr {ROOT}/usr
cp -a /etc {ROOT}/
cp -a /var/lib/dpkg/status {ROOT}/var/lib/dpkg/
cp -a {PLACE} {ROOT}/opt/
for name in bin sbin lib lib64; do ln -sfn usr/$name {ROOT}/$name; done
rm -f {ROOT}/etc/machine-id
"""
LXC = f"""
lxc.rootfs.path = dir:{ROOT}
lxc.uts.name = inner
lxc.net.0.type = empty
lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
lxc.apparmor.profile = unconfined
"""
AUDIT = [*SHELL, "check", "--format", "json", "--fail-on", "never"]
# Podman: its storage cannot be an overlay over the lab's overlay; the lab's unified hierarchy has no controllers that crun could use.
PODMAN = ["podman", "--storage-driver=vfs", "run", "--rm", "--network=none", "--cgroups=disabled", "--pids-limit=-1", "--rootfs", ROOT]
RUNTIMES = {
    "nspawn": ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", f"--directory={ROOT}"],
    "lxc": ["lxc-execute", "-n", "inner", "--"],
    "podman": PODMAN,
    "unprivileged": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "--user", "--map-root-user"],
}
HIDDEN = {
    "nspawn": {"PH-SYS-004", "PH-PID-002", "PH-PID-004", "PH-PID-005"}, "lxc": {"PH-SYS-004", "PH-PID-002", "PH-PID-004", "PH-PID-005"},
    "podman": {"PH-SYS-004", "PH-PID-002", "PH-PID-004", "PH-PID-005"}, "unprivileged": {"PH-LIM-001", "PH-LIM-011"},
}


def as_unit(argv, *properties):
    """A container belongs into a unit that may make groups."""
    return ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "-p", "Delegate=yes", *(each for name in properties for each in ("-p", name)), *argv]


def hidden(result):
    """Rules that are unknown because of what is outside."""
    return {finding["rule"] for finding in result["findings"] if finding["status"] == "unknown" and REASON in finding["message"]}


def status(result, rule):
    return next(row["status"] for row in result["rules"] if row["rule"] == rule)


@pytest.fixture(scope="module")
def outer(new_module_host):
    host = new_module_host("outer", suite="trixie", packages=("lxc", "podman", "crun", "systemd-container"))
    install(host)
    host.shell(MAKE_ROOT)
    host.write("/var/lib/lxc/inner/config", LXC)
    return host


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_outer_limits_are_unknown_from_inside(outer, runtime):
    outside = json.loads(outer.run(AUDIT).stdout)
    result = json.loads(outer.run(as_unit([*RUNTIMES[runtime], *AUDIT]), timeout=120).stdout)
    assert result["audit"]["errors"] == []
    assert hidden(result) >= HIDDEN[runtime], summary(result["findings"])
    assert any("outer limits" in finding["message"] for finding in result["findings"] if finding["rule"] == "PH-OBS-001")
    # The tasks of the whole machine are seen from inside as well, and threads-max has no namespace.
    assert status(result, "PH-PID-001") == "pass"
    assert result["measures"]["budgets"]["threads-max"]["limit"] == outside["measures"]["budgets"]["threads-max"]["limit"]
    assert result["measures"]["budgets"]["threads-max"]["used"] > result["measures"]["budgets"]["pid_max"]["used"] + 20


def test_a_lab_host_is_a_container_too(outer):
    """Unless a policy says that somebody watches what is around it."""
    assert hidden(json.loads(outer.run(AUDIT).stdout)) >= {"PH-PID-002", "PH-PID-004", "PH-LIM-001"}
    assert hidden(json.loads(outer.run([*AUDIT, "--policy", f"{PLACE}/policy.json"]).stdout)) == set()


@pytest.fixture(scope="module")
def limited(new_module_host):
    host = new_module_host("limited", layout="hybrid", packages=("systemd-container",))
    install(host)
    host.shell(MAKE_ROOT)
    return host


def crowd(size, then):
    """Its members end with it: it is the init of a pid namespace."""
    return ["sh", "-c", f"i=0; while [ $i -lt {size} ]; do sleep 1000 > /dev/null 2>&1 & i=$((i+1)); done; {then}"]


def test_a_slice_around_a_container_is_full_and_the_container_does_not_pass(limited):
    """The limit is two groups above what the container sees as its root."""
    limited.write("/etc/systemd/system/tight.slice", "[Slice]\nTasksMax=26\n")
    limited.run(["systemctl", "daemon-reload"])
    inside = [*RUNTIMES["nspawn"], *crowd(20, shlex.join(AUDIT))]
    result = json.loads(limited.run(as_unit(inside, "Slice=tight.slice"), timeout=120).stdout)
    assert "PH-SYS-004" in hidden(result)
    assert not [finding for finding in result["findings"] if finding["status"] in ("warn", "fail")], summary(result["findings"])


def test_the_limit_of_the_container_itself_is_seen_and_judged(limited):
    """docker run --pids-limit: the group with the limit is the root of what the container sees."""
    script = "g=/sys/fs/cgroup/pids/own; mkdir -p $g; echo 24 > $g/pids.max; echo $$ > $g/cgroup.procs; exec unshare --cgroup --mount --pid --fork --mount-proc sh -c \"$0\""
    mount = "umount /sys/fs/cgroup/pids && mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids && exec " + shlex.join(crowd(19, shlex.join(AUDIT)))
    result = json.loads(limited.run(["sh", "-c", script, mount], timeout=120).stdout)
    finding = next(each for each in result["findings"] if each["rule"] == "PH-SYS-004" and each["status"] in ("warn", "fail"))
    assert "this container has" in finding["message"] and "of 24 allowed" in finding["message"]
    assert "PH-SYS-004" in hidden(result), "and above it there may be another"
