"""A host in memory, for rules and readers: files, links and processes as the kernel would show them.

It answers through the same primitives as a live host, so what is tested is audit(), not a rule function.
Proof of what real hosts do is the lab's business (tests/lab).
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Dict, List, Optional, Sequence

from pidhygiene.audit import audit
from pidhygiene.host import (
    Clock, ClockState, Denied, Effort, FileStat, Host, HostError, JournalPage, Machine, Missing, NotRecorded, Unsafe,
)
from pidhygiene.policy import Policy

from denied import never_passes
from proposals import fits

NOW = 1_795_400_000.0  # seconds since the epoch
UPTIME = 1_000_000.0  # seconds: eleven days
TICKS = 100

LIMIT_ROWS = (
    ("Max cpu time", "cpu", "seconds"), ("Max file size", "fsize", "bytes"), ("Max data size", "data", "bytes"),
    ("Max stack size", "stack", "bytes"), ("Max core file size", "core", "bytes"), ("Max resident set", "rss", "bytes"),
    ("Max processes", "nproc", "processes"), ("Max open files", "nofile", "files"), ("Max locked memory", "memlock", "bytes"),
    ("Max address space", "as", "bytes"), ("Max file locks", "locks", "locks"), ("Max pending signals", "sigpending", "signals"),
    ("Max msgqueue size", "msgqueue", "bytes"), ("Max nice priority", "nice", ""), ("Max realtime priority", "rtprio", ""),
    ("Max realtime timeout", "rttime", "us"),
)
DEFAULT_LIMITS = {"stack": (8388608, None), "core": (0, None), "nproc": (96365, 96365), "nofile": (1024, 524288), "memlock": (8388608, 8388608),
                  "sigpending": (96365, 96365), "msgqueue": (819200, 819200), "nice": (0, 0), "rtprio": (0, 0)}


class SimulatedHost(Host):
    """Starts as a small healthy machine with systemd as PID 1, cgroup v2, and nothing else running."""

    def __init__(self, cgroup: str = "v2") -> None:
        self.mode = cgroup
        self.files: Dict[str, bytes] = {}
        self.links: Dict[str, str] = {}
        self.stats: Dict[str, Dict[str, Any]] = {}
        self.errors: Dict[str, HostError] = {}
        self.owners: Dict[str, int] = {}
        self.manager: Optional[Dict[str, Any]] = None
        self.units: Dict[str, Dict[str, Any]] = {}
        self.log: Optional[List[Dict[str, str]]] = []
        self.waited = 0.0
        self.wall, self.boot = NOW, UPTIME
        self.word_bits, self.effective_uid = 64, 0
        self.clock_answer = ClockState(0, 0, 0, 0)
        self._dirs: Dict[str, set[str]] = {}
        self._base()

    # -- building ------------------------------------------------------------------------------------------------

    def _base(self) -> None:
        mounts = ["22 1 0:21 / /proc rw,relatime shared:1 - proc proc rw"]
        if self.mode == "v2":
            mounts.append("30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw")
        else:
            mounts.append("31 1 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids")
            mounts.append("32 1 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd")
            if self.mode == "hybrid":
                mounts.append("33 1 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw")
        self.file("/proc/self/mountinfo", "\n".join(mounts) + "\n")
        self.file("/proc/sys/kernel/hostname", "simulated\n")
        self.file("/proc/sys/kernel/osrelease", "6.1.0-30-amd64\n")
        self.file("/proc/sys/kernel/random/boot_id", "3a9c4a5e-0000-4000-8000-000000000001\n")
        self.file("/proc/sys/kernel/pid_max", "4194304\n")
        self.file("/proc/sys/kernel/threads-max", "192730\n")
        self.file("/proc/sys/vm/max_map_count", "65530\n")
        self.file("/proc/sys/vm/overcommit_memory", "0\n")
        self.file("/proc/sys/fs/nr_open", "1048576\n")
        self.file("/proc/sys/fs/file-nr", "1000\t0\t9223372036854775807\n")
        self.file("/proc/sys/fs/aio-nr", "0\n")
        self.file("/proc/sys/fs/aio-max-nr", "65536\n")
        self.file("/proc/sys/fs/inotify/max_user_instances", "128\n")
        self.file("/proc/meminfo", "MemTotal: 16384000 kB\nCommitLimit: 8192000 kB\nCommitted_AS: 500000 kB\n")
        self.file("/proc/key-users", "    0:     3 3/3 2/1000000 40/25000000\n")
        self.file("/proc/self/sched", "x (1, #threads: 1)\nse.exec_start : %.6f\n" % (self.boot * 1000))
        self.file("/proc/self/stat", "4000000 (python3) R 1 1 1 0 -1 4194304 0 0 0 0 5 3 0 0 20 0 1 0 1 1000 100" + " 0" * 13 + " 17" + " 0" * 14 + "\n")
        self.links["/proc/self/ns/pid"] = "pid:[4026531836]"
        self.links["/proc/self/ns/user"] = "user:[4026531837]"
        self.links["/proc/self/ns/cgroup"] = "cgroup:[4026531835]"
        self.file("/etc/os-release", 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
        self.file("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\noracle:x:500:500::/home/oracle:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n")
        self.file("/etc/group", "root:x:0:\noracle:x:500:\nwww-data:x:33:\n")
        self.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\n")
        self.process(1, 0, "systemd", exe="/usr/lib/systemd/systemd", start=UPTIME, cgroup="/init.scope", nofile=(1048576, 1048576))
        self.group("/init.scope")

    def file(self, path: str, content: str | bytes, **stat: Any) -> SimulatedHost:
        """``stat``: mode, uid, gid, mtime, ctime, nlink …"""
        self.files[path] = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        self.stats[path] = stat
        self._enter(path)
        return self

    def link(self, path: str, target: str, **stat: Any) -> SimulatedHost:
        self.links[path] = target
        self.stats[path] = stat
        self._enter(path)
        return self

    def directory(self, path: str) -> SimulatedHost:
        self._dirs.setdefault(path, set())
        self._enter(path)
        return self

    def remove(self, path: str) -> SimulatedHost:
        self.files.pop(path, None)
        self.links.pop(path, None)
        self._dirs.get(path.rsplit("/", 1)[0] or "/", set()).discard(path.rsplit("/", 1)[1])
        return self

    def forbid(self, path: str, error: Optional[HostError] = None) -> SimulatedHost:
        """This path cannot be read, listed, followed or looked at: permission denied, or another error."""
        self.errors[path] = error or Denied(path, "permission denied")
        return self

    def inside(self, *kinds: str, maximum: int | str = "max", current: int = 1) -> SimulatedHost:
        """The view from a container: namespaces of its own (pid, cgroup, user), and its own group as the root of the cgroup tree."""
        for number, kind in enumerate(kinds or ("pid", "cgroup")):
            self.links["/proc/self/ns/" + kind] = "%s:[%d]" % (kind, 4026532200 + number)
        if "cgroup" in (kinds or ("cgroup",)):
            mount = "/sys/fs/cgroup" if self.mode == "v2" else "/sys/fs/cgroup/pids"
            self.file(mount + "/pids.max", "%s\n" % maximum).file(mount + "/pids.current", "%d\n" % current)
        return self

    def _enter(self, path: str) -> None:
        while path != "/":
            parent, name = path.rsplit("/", 1)
            self._dirs.setdefault(parent or "/", set()).add(name)
            path = parent or "/"

    def group(self, path: str, maximum: int | str = "max", current: int = 1, refused: int = 0) -> SimulatedHost:
        """A cgroup of the pids controller, and its ancestors without a limit."""
        mount = "/sys/fs/cgroup" if self.mode == "v2" else "/sys/fs/cgroup/pids"
        parts = [part for part in path.split("/") if part]
        for depth in range(1, len(parts) + 1):
            base = mount + "/" + "/".join(parts[:depth])
            if depth == len(parts) or base + "/pids.max" not in self.files:
                last = depth == len(parts)
                self.file(base + "/pids.max", "%s\n" % (maximum if last else "max"))
                self.file(base + "/pids.current", "%d\n" % current)
                self.file(base + "/pids.events", "max %d\n" % (refused if last else 0))
        return self

    def process(
        self, pid: int, ppid: int = 1, comm: str = "prog", state: str = "S", uid: int = 0, threads: int = 1, start: float = 3600.0,
        cgroup: str = "/system.slice/prog.service", exe: Optional[str] = None, argv: Sequence[str] = (), files: int = 10,
        tracer: int = 0, exit_signal: int = 17, dead: Optional[float] = None, login_uid: int = 4294967295, tty: int = 0, vsize: int = 10_000_000,
        pgrp: Optional[int] = None, session: Optional[int] = None, userns: str = "user:[4026531837]", capabilities: int = 0,
        environ: Optional[Dict[str, str]] = None, masks: Optional[Dict[str, int]] = None, ns_pids: Sequence[int] = (),
        processor: int = 0, stolen: float = 0.0, idle: float = 1.0,
        **limits: tuple[int, int],
    ) -> SimulatedHost:
        """``start``: seconds ago. ``dead``: for a zombie, seconds since it ended; ``idle``: for others, since it ran. ``stolen``: seconds that the
        scheduler's clock of this ``processor`` has left out. ``limits``: item=(soft, hard); None is unlimited."""
        base = "/proc/%d" % pid
        ticks = int((self.boot - start) * TICKS)
        fields = [state, ppid, pgrp if pgrp is not None else pid, session if session is not None else pid, tty, -1, 4194304, 0, 0, 0, 0, 5, 3, 0, 0,
                  20, 0, threads, 0, ticks, 0 if state == "Z" else vsize, 100] + [0] * 13 + [exit_signal, processor] + [0] * 13
        self.file(base + "/stat", "%d (%s) %s\n" % (pid, comm, " ".join(map(str, fields))))
        mask = dict({"SigPnd": 0, "ShdPnd": 0, "SigBlk": 0, "SigIgn": 0, "SigCgt": 0}, **(masks or {}))
        status = "Name:\t%s\nState:\t%s\nPPid:\t%d\nTracerPid:\t%d\nUid:\t%d\t%d\t%d\t%d\nNSpid:\t%s\nThreads:\t%d\nVmPeak:\t1000 kB\nRssAnon:\t500 kB\n" % (
            comm.replace("\\", "\\\\").replace("\n", "\\n"), state, ppid, tracer, uid, uid, uid, uid, "\t".join(map(str, ns_pids or (pid,))), threads)
        status += "".join("%s:\t%016x\n" % pair for pair in mask.items()) + "CapEff:\t%016x\nNoNewPrivs:\t0\nSeccomp:\t0\n" % (
            capabilities or (0x1FFFFFFFFFF if uid == 0 else 0))
        self.file(base + "/status", status)
        self.file(base + "/task/%d/status" % pid, status)
        self.stats[base] = {"uid": uid}
        self.file(base + "/sched", "%s (%d, #threads: %d)\nse.exec_start : %.6f\n" % (comm, pid, threads, (self.boot - stolen - (idle if dead is None else dead)) * 1000))
        self.file(base + "/wchan", "0")
        self.file(base + "/comm", comm + "\n")
        zombie = state == "Z" and threads <= 1
        if self.mode == "v2":
            self.file(base + "/cgroup", "0::%s\n" % cgroup)
        else:
            shown = "/" if zombie else cgroup
            self.file(base + "/cgroup", "2:pids:%s\n1:name=systemd:%s\n%s" % (shown, shown, "0::%s\n" % cgroup if self.mode == "hybrid" else ""))
        self.file(base + "/limits", limits_text(dict(DEFAULT_LIMITS, **limits)))
        self.file(base + "/loginuid", "%d" % login_uid)
        self.link(base + "/ns/pid", "pid:[4026531836]")
        self.link(base + "/ns/user", userns)
        if not zombie:
            self.link(base + "/exe", exe or "/usr/bin/" + comm.split("/")[-1])
            self.file(base + "/cmdline", "\0".join(argv or (exe or comm,)) + "\0")
            self.file(base + "/environ", "".join("%s=%s\0" % pair for pair in (environ or {}).items()))
            self.directory(base + "/fd")
            self.stats[base + "/fd"] = {"size": files}
        self._tasks()
        return self

    def _tasks(self) -> None:
        total = 0
        for name in self._dirs.get("/proc", set()):
            if name.isdigit() and "/proc/%s/stat" % name in self.files:
                total += int(self.files["/proc/%s/stat" % name].rsplit(b")", 1)[1].split()[17])
        self.file("/proc/loadavg", "0.00 0.00 0.00 1/%d 99999\n" % total)

    def without_sched(self) -> SimulatedHost:
        """A kernel without CONFIG_SCHED_DEBUG."""
        for path in [each for each in self.files if each.startswith("/proc/") and each.endswith("/sched")]:
            self.remove(path)
        return self

    def tasks(self, total: int) -> SimulatedHost:
        """As many tasks on the whole machine, whatever the table shows."""
        return self.file("/proc/loadavg", "0.00 0.00 0.00 1/%d 99999\n" % total)

    def unit(self, name: str, **properties: Any) -> SimulatedHost:
        """A loaded unit, as the bus would show it. The first one makes systemd present."""
        self.with_systemd()
        defaults: Dict[str, Any] = {"Id": name, "Names": [name], "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
                                    "NeedDaemonReload": False, "KillMode": "control-group", "DropInPaths": []}
        self.units[name] = dict(defaults, **properties)
        return self

    def with_systemd(self) -> SimulatedHost:
        if self.manager is None:
            self.manager = {"Version": "252.39-1~deb12u2", "UnitPath": ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"]}
            self.directory("/run/systemd/system")
        return self

    # -- primitives ------------------------------------------------------------------------------------------------

    def _resolve(self, path: str, follow: bool) -> str:
        if path in self.errors:
            raise self.errors[path]
        for _step in range(40):
            if path in self.links and follow:
                target = self.links[path]
                path = target if target.startswith("/") else _joined(path.rsplit("/", 1)[0], target)
                continue
            head = next((prefix for prefix in _prefixes(path) if prefix in self.links), None)
            if head is None:
                break
            target = self.links[head]
            path = (target if target.startswith("/") else _joined(head.rsplit("/", 1)[0], target)) + path[len(head):]
        if path in self.errors:
            raise self.errors[path]
        return path

    def read(self, path: str, limit: int = 1024 * 1024, root: str = "/") -> bytes:
        place = self._resolve(path if root == "/" else root + path, True)
        if place not in self.files:
            if place == "/dev/null":
                raise Unsafe(path, "not a regular file")
            raise Missing(path, "does not exist")
        if len(self.files[place]) > limit:
            raise Unsafe(path, "larger than %d bytes" % limit)
        return self.files[place]

    def read_tail(self, path: str, size: int) -> bytes:
        return self.read(path, 1 << 30)[-size:]

    def list(self, path: str, root: str = "/") -> List[str]:
        place = self._resolve(path if root == "/" else root + path, True)
        if place not in self._dirs:
            raise Missing(path, "does not exist")
        return sorted(self._dirs[place])

    def readlink(self, path: str, root: str = "/") -> str:
        if path in self.errors:
            raise self.errors[path]
        if path not in self.links:
            raise Missing(path, "does not exist")
        return self.links[path]

    def stat(self, path: str, follow: bool = True, root: str = "/") -> FileStat:
        place = self._resolve(path if root == "/" else root + path, follow)
        given = self.stats.get(place, {})
        if place in self.links and not follow:
            kind, size = "link", len(self.links[place])
        elif place in self.files:
            kind, size = "file", len(self.files[place])
        elif place in self._dirs:
            kind, size = "dir", 0
        elif place == "/dev/null":
            kind, size = "char", 0
        else:
            raise Missing(path, "does not exist")
        inode = int(hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:8], 16)
        values = {"kind": kind, "mode": 0o755 if kind == "dir" else 0o644, "uid": 0, "gid": 0, "size": size, "dev": 1, "ino": inode, "nlink": 1,
                  "mtime": NOW - UPTIME - 86400, "ctime": NOW - UPTIME - 86400}
        values.update(given)
        return FileStat(**values)

    def namespace_owner(self, path: str) -> int:
        if path in self.errors:
            raise self.errors[path]
        if path not in self.owners:
            raise Denied(path, "permission denied")
        return self.owners[path]

    def manager_properties(self, names: Sequence[str]) -> Dict[str, Any]:
        if "bus" in self.errors:
            raise self.errors["bus"]
        if self.manager is None:
            raise Missing("systemd", "no systemd manager here")
        return {name: self.manager[name] for name in names if name in self.manager}

    def unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        if "bus" in self.errors:
            raise self.errors["bus"]
        if self.manager is None:
            raise Missing("systemd", "no systemd manager here")
        return {unit: {name: value for name, value in properties.items() if name in names} for unit, properties in self.units.items()}

    def journal(self, matches: Sequence[str], contains: Sequence[str], since: float, limit: int) -> JournalPage:
        if "journal" in self.errors:
            raise self.errors["journal"]
        if self.log is None:
            raise Missing("journal", "there is no journal")
        found = [each for each in self.log if float(each["at"]) >= since and any(text in each["MESSAGE"].lower() for text in contains)]
        return JournalPage(tuple(found), len(self.log), True)

    def clock(self) -> Clock:
        return Clock(self.wall, self.boot)

    def clock_state(self) -> ClockState:
        if "clock" in self.errors:
            raise self.errors["clock"]
        return self.clock_answer

    def machine(self) -> Machine:
        return Machine(TICKS, 4096, self.word_bits, 1, self.effective_uid)

    def effort(self) -> Effort:
        return Effort(self.wall, 0.0, 0)

    def look_again_after(self, seconds: float) -> None:
        self.waited += seconds


def _prefixes(path: str) -> List[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(2, len(parts))]


def _joined(directory: str, target: str) -> str:
    parts = [part for part in directory.split("/") if part]
    for part in target.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def limits_text(limits: Dict[str, Any]) -> str:
    def word(value: Optional[int]) -> str:
        return "unlimited" if value is None else str(value)

    rows = ["%-25s %-20s %-20s %-10s" % ("Limit", "Soft Limit", "Hard Limit", "Units")]
    for title, item, unit in LIMIT_ROWS:
        soft, hard = limits.get(item, (None, None))
        rows.append("%-25s %-20s %-20s %-10s" % (title, word(soft), word(hard), unit))
    return "\n".join(rows) + "\n"


class Judged:
    """What one rule said, read from the result document."""

    def __init__(self, result: Dict[str, Any], rule: str) -> None:
        self.result = result
        self.findings = [finding for finding in result["findings"] if finding["rule"] == rule]
        self.row = next(row for row in result["rules"] if row["rule"] == rule)
        self.status = self.row["status"]

    def only(self, status: str) -> Dict[str, Any]:
        """The single finding of that status."""
        found = [finding for finding in self.findings if finding["status"] == status]
        assert len(found) == 1, [(finding["status"], finding["message"]) for finding in self.findings]
        return found[0]


def judge(host: Host, rule: str, policy: Optional[Dict[str, Any]] = None, previous: Optional[Dict[str, Any]] = None) -> Judged:
    """One rule, through audit()."""
    before = copy.deepcopy(host)
    result = audit(host, Policy(policy), previous, [rule])
    assert result["audit"]["errors"] == []
    if any(finding["status"] in ("warn", "fail") for finding in result["findings"]):
        never_passes(before, rule, Policy(policy), previous)
    for finding in result["findings"]:
        fits(finding)
    return Judged(result, rule)


__all__ = ["ClockState", "Judged", "NotRecorded", "SimulatedHost", "judge", "limits_text"]
