# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""container_advice: what cannot be changed from the host, as the exact setting of what runs the container. It changes nothing.

Sources: docker-run(1), docker-update(1), dockerd(8) daemon.json; the Compose specification (services, deploy); podman-run(1), podman-update(1),
podman-systemd.unit(5), containers.conf(5); Kubernetes "Share Process Namespace between Containers in a Pod", "Process ID Limits And
Reservations", "Pod Lifecycle"; systemd.nspawn(5); lxc.container.conf(5), instance options of LXD and Incus.
"""

import re
from typing import Any, Dict, List, Optional, Tuple

INIT, TASKS, STOP = "init", "tasks", "stop"
TITLES = {INIT: "an init that reaps", TASKS: "a limit of tasks", STOP: "a stop that ends without SIGKILL"}
ABOUT = {"PH-CTR-001": INIT, "PH-CTR-002": TASKS, "PH-CTR-003": TASKS, "PH-CTR-004": STOP, "PH-CTR-005": INIT}

KUBERNETES = {
    INIT: ("pod: spec.shareProcessNamespace: true (its pause container reaps)", 'or in the image: ENTRYPOINT ["/usr/bin/tini", "--"]'),
    TASKS: ("kubelet configuration: podPidsLimit: {tasks}, then restart kubelet and recreate the pod",),
    STOP: ("pod: spec.terminationGracePeriodSeconds: 60", 'or in the image: STOPSIGNAL SIGQUIT, or ENTRYPOINT ["/usr/bin/tini", "--"]'),
}
SETTINGS: Dict[str, Dict[str, Tuple[str, ...]]] = {
    "docker": {
        INIT: ("docker run --init", "compose: init: true", 'all containers: "init": true in /etc/docker/daemon.json'),
        TASKS: ("at once: docker update --pids-limit {tasks} {id}", "docker run --pids-limit {tasks}",
                "compose: pids_limit: {tasks}, or deploy.resources.limits.pids: {tasks} (both alike where both stand)"),
        STOP: ("docker run --init, or --stop-signal SIGQUIT, or --stop-timeout 60", "compose: init: true, stop_signal: SIGQUIT, stop_grace_period: 60s"),
    },
    "podman": {
        INIT: ("podman run --init", "Quadlet: RunInit=true", "all containers: init = true below [containers] in /etc/containers/containers.conf"),
        TASKS: ("at once: podman update --pids-limit {tasks} {id}", "podman run --pids-limit {tasks}", "Quadlet: PidsLimit={tasks}"),
        STOP: ("podman run --init, or --stop-signal SIGQUIT, or --stop-timeout 60", "Quadlet: RunInit=true, StopSignal=SIGQUIT, StopTimeout=60"),
    },
    "containerd": dict(KUBERNETES),
    "cri-o": dict(KUBERNETES),
    "kubernetes": dict(KUBERNETES),
    "nspawn": {
        INIT: ("/etc/systemd/nspawn/{id}.nspawn: ProcessTwo=yes with Boot=no below [Exec], or Boot=yes",),
        TASKS: ("systemctl set-property systemd-nspawn@{id}.service TasksMax={tasks} (or machine-{id}.scope)",),
        STOP: ("/etc/systemd/nspawn/{id}.nspawn: KillSignal=SIGQUIT below [Exec], or ProcessTwo=yes with Boot=no",),
    },
    "lxc": {
        INIT: ("lxc.init.cmd = /sbin/init (an init that reaps), or lxc-execute, whose own init does",),
        TASKS: ("lxc.cgroup2.pids.max = {tasks} (cgroup v1: lxc.cgroup.pids.max)", "LXD, Incus: limits.processes={tasks}"),
        STOP: ("lxc.signal.halt = SIGQUIT",),
    },
}
ANY = {INIT: ("run it below an init: tini -- PROGRAM",), TASKS: ("TasksMax={tasks} of the unit that starts it",),
       STOP: ("let its first process handle SIGTERM",)}
NAMED = re.compile(r"\b(%s) container ([^\s:;,()]+)" % "|".join(sorted(SETTINGS)))
BY_ID = ("docker", "podman")
SHORT = 12  # the rules cut names there: for an id that is what it is called, of a name it may be a part
FULL = re.compile(r"^pids\.max of (\S+): \d+ of (\d+)$")


def advice(finding: Dict[str, Any]) -> Optional[str]:
    """The settings for one finding of a result; None where it is about no container, or where nothing of it is set there."""
    about = ABOUT.get(finding.get("rule", ""))
    if about is None:
        return None
    if about == TASKS and "recreate it with an init" in finding["message"]:
        about = INIT  # most of what fills it are zombies
    full = FULL.match(finding.get("binding") or "")
    group, tasks = (full.group(1), "%d" % (2 * int(full.group(2)))) if full else ("", "2000")
    slice_ = group.rpartition("/")[2]
    if about == TASKS and slice_.endswith(".slice") and "pod" not in slice_:
        return "%s for all in it: systemctl set-property %s TasksMax=%s" % (TITLES[about], slice_, tasks)
    return "; ".join(_of_runtime(runtime, about, name, tasks) for runtime, name in _named(finding))


def _named(finding: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Runtime and id, by the name that the rules give a container; of one that several are of, the first id."""
    subject = finding["subject"]
    found: Dict[str, str] = {}
    for runtime, name in NAMED.findall(subject["id"] if subject["type"] == "container" else finding["message"]):
        found.setdefault(runtime, name if runtime in BY_ID or len(name) < SHORT else "")
    return sorted(found.items()) or [("", "")]


def _of_runtime(runtime: str, about: str, name: str, tasks: str) -> str:
    settings = SETTINGS.get(runtime, ANY)[about]
    text = "; ".join(settings).replace("{tasks}", tasks).replace("{id}", name or "NAME")
    return "%s for %s: %s" % (TITLES[about], runtime or "it", text)


def table() -> List[Tuple[str, str, str]]:
    """Runtime, what for, setting: all of them."""
    return [(runtime, TITLES[about], setting.replace("{tasks}", "2000").replace("{id}", "NAME"))
            for runtime in sorted(SETTINGS) for about in (INIT, TASKS, STOP) for setting in SETTINGS[runtime][about]]
