"""Hosts that several incidents happen on."""

from __future__ import annotations

from typing import Any, Dict, Optional

from simulated import SimulatedHost

BOOT = "3a9c4a5e-0000-4000-8000-000000000001"
PAM = "Package: libpam-modules\nStatus: install ok installed\nVersion: %s\n\n"
BOOKWORM = "1.5.2-6+deb12u1"
PEOPLE = "root:x:0:0:root:/root:/bin/bash\n%s:x:%d:%d::/home/%s:/bin/bash\n"


def earlier(host: SimulatedHost, **more: Any) -> Dict[str, Any]:
    """Marks of an audit an hour ago."""
    return dict({"version": 1, "boot_id": BOOT, "wall": host.wall - 3600, "boot": host.boot - 3600}, **more)


def debian(limits: str = "", user: str = "app", uid: int = 1000, file: str = "90-site.conf", pam: str = BOOKWORM) -> SimulatedHost:
    """A Debian 12 with one user beside root, the usual stacks, and a file of limits.d."""
    host = SimulatedHost().file("/var/lib/dpkg/status", PAM % pam).with_systemd()
    host.file("/etc/passwd", PEOPLE % (user, uid, uid, user)).file("/etc/group", "root:x:0:\n%s:x:%d:\n" % (user, uid))
    host.file("/etc/security/limits.conf", "# nothing\n")
    for name in ("sshd", "login", "su", "cron", "systemd-user", "other"):
        host.file("/etc/pam.d/" + name, "session required pam_limits.so\n")
    if limits:
        host.file("/etc/security/limits.d/" + file, limits)
    return host


def rhel(limits: str = "", user: str = "app", uid: int = 1000, file: str = "90-site.conf") -> SimulatedHost:
    host = debian(limits, user, uid, file).remove("/var/lib/dpkg/status")
    host.file("/etc/os-release", 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="7.9"\nNAME="Red Hat Enterprise Linux"\n')
    return host


def service(host: SimulatedHost, name: str, pid: int = 700, user: str = "", uid: int = 0, drop_in: str = "", properties: Optional[Dict[str, Any]] = None,
            **process: Any) -> SimulatedHost:
    """name.service with its main process; ``drop_in``: lines of [Service] that the administrator wrote."""
    group = "/system.slice/%s.service" % name
    host.process(pid, 1, name, uid=uid, cgroup=group, **process)
    if "/sys/fs/cgroup%s/pids.max" % group not in host.files:
        host.group(group)
    fragment = "/usr/lib/systemd/system/%s.service" % name
    host.file(fragment, "[Service]\nExecStart=/usr/bin/%s\n" % name, mtime=1.6e9, ctime=1.6e9)
    paths = []
    if drop_in:
        paths = ["/etc/systemd/system/%s.service.d/site.conf" % name]
        host.file(paths[0], "[Service]\n%s\n" % drop_in, mtime=1.7e9, ctime=1.7e9)
    given = dict({"MainPID": pid, "ControlGroup": group, "User": user, "FragmentPath": fragment, "DropInPaths": paths}, **(properties or {}))
    return host.unit(name + ".service", **given)


def container(host: SimulatedHost, program: str, pid: int = 5000, group: str = "/system.slice/docker-%s.scope" % ("c" * 64), age: float = 86400.0,
              maximum: int | str = "max", current: int = 2, **init: Any) -> str:
    """The init of a container; returns its cgroup."""
    host.process(pid, 4000, program.rsplit("/", 1)[-1][:15], exe=program, argv=(program,), start=age, cgroup=group, ns_pids=(pid, 1), **init)
    host.link("/proc/%d/ns/pid" % pid, "pid:[%d]" % (4026532000 + pid))
    host.group(group, maximum, current)
    return group


def zombies(host: SimulatedHost, parent: int, comm: str, count: int, every: float, last: float = 10.0, uid: int = 0, first: int = 20000,
            cgroup: str = "/") -> SimulatedHost:
    """One zombie every so many seconds, the last one ``last`` seconds ago; each died at once."""
    for index in range(count):
        born = last + every * (count - 1 - index)
        host.process(first + index, parent, comm, "Z", uid=uid, start=born, dead=born, cgroup=cgroup)
    return host
