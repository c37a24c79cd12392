"""F19: three masters of one search cluster, each with a stale message bus, leftover sessions, and its own service replaced on disk.

The result documents are made by audits of simulated hosts, so they are what the engine would say, not what a file once said.
"""

from __future__ import annotations

from typing import Any

from simulated import NOW, SimulatedHost

from pidhygiene.audit import audit
from pidhygiene.policy import Policy

DAY = 86400.0
SERVICE = "elasticsearch.service"
POLICY: dict[str, Any] = {"quorum_groups": {"es-masters": {"voters": ["es1", "es2", "es3"], "units": [SERVICE]}}}
SESSION = ("UID=500\nUSER=oracle\nACTIVE=0\nSTATE=closing\nTYPE=unspecified\nCLASS=background\nSCOPE=session-%d.scope\nSERVICE=crond\nLEADER=%d\nREALTIME=%d\n")


def master(number: int, state: str = "active", logind: bool = False) -> SimulatedHost:
    """``state`` of its service; ``logind``: was replaced as well."""
    host = SimulatedHost().file("/proc/sys/kernel/hostname", "es%d\n" % number)
    host.file("/proc/sys/kernel/random/boot_id", "3a9c4a5e-0000-4000-8000-%012d\n" % number)
    _replaced(host, 600, "dbus.service", "/usr/bin/dbus-daemon", "active")
    _replaced(host, 700, SERVICE, "/usr/sbin/elasticsearch", state)
    if logind:
        _replaced(host, 800, "systemd-logind.service", "/usr/lib/systemd/systemd-logind", "active")
    host.directory("/run/systemd/sessions")
    for session in range(1, 101):
        host.file("/run/systemd/sessions/%d" % session, SESSION % (session, 100000 + session, (NOW - 5000) * 1e6))
    return host


def _replaced(host: SimulatedHost, pid: int, unit: str, path: str, state: str) -> None:
    group = "/system.slice/" + unit
    host.process(pid, 1, path.rpartition("/")[2][:15], cgroup=group, exe=path + " (deleted)")
    host.file(path + " (deleted)", "", nlink=0, ino=pid, ctime=NOW - 90 * DAY).file(path, "", ctime=NOW - DAY)
    host.file("/usr/lib/systemd/system/" + unit, "[Service]\nExecStart=%s\n" % path)
    host.unit(unit, MainPID=pid, ControlGroup=group, FragmentPath="/usr/lib/systemd/system/" + unit, ActiveState=state)


def audited(host: SimulatedHost, policy: dict[str, Any] | None = None) -> dict[str, Any]:
    result: dict[str, Any] = audit(host, Policy(POLICY if policy is None else policy), tags=["es-masters", "quorum=3"])
    assert result["audit"]["errors"] == []
    return result


def masters(*states: str) -> list[tuple[str, dict[str, Any]]]:
    """What audits of es1, es2, … say; three of them that run unless told."""
    return [("es%d" % number, audited(master(number, state))) for number, state in enumerate(states or ("active",) * 3, 1)]
