# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-DEL: programs and libraries that were replaced on disk while they run, and a kernel that waits for a reboot."""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import wording
from ..model import (
    FAIL, HIGH, INFO, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, WARN, Finding, NotApplicable, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..of_users import unread_of_system
from ..restart_plan import BUS
from ..text import shown

REBOOT = Remedy("reboot", (), disruptive=True)  # when it is, people say
NEEDS = ("executables", "processes", "details", "units", "clock")
CORE = {
    "systemd-logind.service": "restart it only after the bus is in order, best with a scheduled reboot",
    "systemd-journald.service": "restart systemd-journald.service", "systemd-udevd.service": "restart systemd-udevd.service",
}
PID_1 = "init.scope"
INSTALLERS = frozenset(["dpkg", "rpm", "dnf", "dnf5", "yum", "zypper"])
GRAVE_LIBRARIES = ("libc.so", "libc-", "libssl", "libcrypto", "libsystemd", "libpam", "pam_", "libgnutls")
SCRATCH = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/home/", "/root/")
DAY = 86400.0


# -- how the rules speak of them -------------------------------------------------------------------------------------


def _gaps(evidence: Any, with_manager: bool = False, with_maps: bool = False) -> List[Verdict]:
    """PID 1 is the business of few rules; in some virtual machines not even root may look at it. Maps are that of one: stuck tasks keep theirs."""
    gaps = tuple(gap for gap in evidence.executables.gaps
                 if (with_manager or not gap.source.startswith("/proc/1/")) and (with_maps or not gap.source.endswith("/maps")))
    gaps += unread_of_system(evidence) + evidence.details.gaps_of("cgroup")
    return [Unknown(gaps)] if gaps else []


def _unit(evidence: Any, process: Any) -> str:
    return wording.unit_of(evidence, process.pid) or ""


def _being_installed(evidence: Any) -> bool:
    """An update runs now: what it replaces is restarted by itself a moment later."""
    return any(process.comm in INSTALLERS for process in evidence.processes.live())


def _waits(evidence: Any, on_disk: Any) -> Optional[float]:
    """Seconds since the new file came; its ctime, because its mtime is the build date of the package."""
    return max(0.0, evidence.clock.wall - on_disk.ctime) if on_disk is not None else None


def _grade(evidence: Any, policy: Any, on_disk: Any) -> Tuple[str, str]:
    waits = _waits(evidence, on_disk)
    if waits is not None and waits > policy["patch_window"] * DAY:
        return FAIL, HIGH
    return WARN, MED


def _window(policy: Any) -> str:
    return wording.noun(policy["patch_window"], "day")


def _since(evidence: Any, on_disk: Any) -> str:
    waits = _waits(evidence, on_disk)
    return "replaced %s ago" % wording.duration(waits) if waits is not None else "deleted and not replaced"


def _seen(image: Any) -> Tuple[Seen, ...]:
    there = image.on_disk
    return (
        Seen("/proc/%d/exe" % image.process.pid, shown(image.path) + (", no name left" if image.deleted else "")),
        Seen(shown(image.wanted), "inode %d" % there.ino if there is not None else "does not exist"),
    )


def _main_of(evidence: Any, unit: str) -> Optional[int]:
    known = evidence.units.units.get(unit)
    return known.main_pid if known is not None else None


def _stale(evidence: Any) -> Dict[Tuple[str, str, bool], List[Any]]:
    """Deleted programs by unit, path and container; a unit's workers are one with their main process."""
    found: Dict[Tuple[str, str, bool], List[Any]] = {}
    for image in evidence.executables.images:
        if image.deleted:
            found.setdefault((_unit(evidence, image.process), image.path, image.container), []).append(image)
    return found


# -- the rules -------------------------------------------------------------------------------------------------------


@rule("PH-DEL-001", "A service runs a program that was replaced on disk", HIGH, "unpatched code serves, and a restart may fail", NEEDS)
def replaced_program(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _gaps(evidence)
    groups = _stale(evidence)
    yield Passed(max(0, evidence.executables.judged - sum(map(len, groups.values()))))
    for (unit, path, container), images in sorted(groups.items(), key=lambda item: item[0]):
        yield _replaced(evidence, policy, unit, path, container, images)


def _replaced(evidence: Any, policy: Any, unit: str, path: str, container: bool, images: List[Any]) -> Finding:
    first = images[0]
    main = _main_of(evidence, unit)
    by_main = main is None or any(image.process.pid == main for image in images)
    status, severity = _grade(evidence, policy, first.on_disk)
    remedy: Optional[Remedy] = None
    pids = ", ".join("%d" % image.process.pid for image in images[:3])
    who = "%s (%s)" % (shown(wording.base_name(path)), pids)
    what = "%s%s runs %s, which was %s" % (wording.unit_name(evidence, unit) + ": " if unit else "", who, shown(path), _since(evidence, first.on_disk))
    if container:
        status, severity, act = INFO, SEVERITY_INFO, "recreate the container from its new image"
    elif _own_rule(unit, first):
        status, severity, act = INFO, SEVERITY_INFO, "see %s" % ("PH-DEL-004" if unit in BUS else "PH-DEL-005")
    elif wording.of_user(evidence, unit) and unit.endswith(".service"):
        status, severity, act = INFO, SEVERITY_INFO, wording.restart_of(evidence, unit)
        remedy = Remedy("restart", wording.unit_parameters(evidence, unit), disruptive=True)
    elif not unit.endswith(".service") or unit.startswith("user@") or (first.on_disk is None and path.startswith(SCRATCH)):
        status, severity, act = INFO, SEVERITY_INFO, "it ends with its session, or restart it by hand"
    elif _being_installed(evidence):
        status, severity, act = INFO, SEVERITY_INFO, "an update is running; look again when it has ended"
    elif first.on_disk is None:
        status, severity = FAIL, HIGH
        act = "%s cannot be started again: put the program back, or stop the unit" % unit if by_main else "stop it, or put the program back"
    elif by_main:
        act = "restart %s within %s" % (unit, _window(policy))
        remedy = Remedy("restart", (("unit", unit),), disruptive=True)
    else:
        act = "restart this program; it is not the main one of %s, which need not be restarted for it" % unit
    return Finding(
        status, severity, Subject("unit", unit, "%s|%s" % (unit, path)) if unit else Subject("process", who, path),
        "%s: %s." % (what, act), evidence=_seen(first), remedy=remedy, references=("man:proc_pid_exe(5)",),
    )


def _own_rule(unit: str, image: Any) -> bool:
    return unit in BUS or unit in CORE or image.process.pid == 1


@rule("PH-DEL-002", "A program was moved aside while it runs", MED, "nothing marks it, and the next start runs another file", NEEDS)
def moved_aside(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _gaps(evidence)
    moved = [image for image in evidence.executables.images if not image.deleted]
    yield Passed(max(0, evidence.executables.judged - len(moved)))
    for image in moved:
        unit = _unit(evidence, image.process)
        gone = image.on_disk is None
        yield Finding(
            WARN, MED, Subject("unit", unit, "%s|%s" % (unit, image.wanted)),
            "%s: its main process (%d) still runs the file that is now called %s, and %s: %s." % (
                unit, image.process.pid, shown(image.path),
                "there is no %s any more" % shown(image.wanted) if gone else "%s is another file" % shown(image.wanted),
                "put it back before the unit is restarted" if gone else "restart %s" % unit),
            evidence=_seen(image), remedy=None if gone else Remedy("restart", (("unit", unit),), disruptive=True),
        )


@rule("PH-DEL-003", "Services use libraries or scripts that were replaced on disk", MED, "an update that is not in force", NEEDS)
def stale_libraries(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """One finding per library: one advisory is one cause, however many services wait for it."""
    yield from _gaps(evidence, with_manager=True, with_maps=True)
    by_path: Dict[str, List[Any]] = {}
    containers: List[Any] = []
    of_users: List[Any] = []
    for library in evidence.executables.libraries:
        unit = _unit(evidence, library.process)
        if library.container:
            containers.append(library)
        elif library.process.pid == 1 or (unit.endswith(".service") and not unit.startswith("user@")):
            by_path.setdefault(library.path, []).append(library)
        elif unit.endswith(".service") and wording.of_user(evidence, unit):
            of_users.append(library)
    yield Passed(max(0, evidence.executables.maps_read - len({each.process.pid for group in by_path.values() for each in group})))
    installing = _being_installed(evidence)
    for path in sorted(by_path):
        group = by_path[path]
        there = group[0].on_disk
        units = sorted({_unit(evidence, each.process) for each in group})
        status, severity = _grade(evidence, policy, there)
        if installing:
            status, severity = INFO, SEVERITY_INFO
        elif status == WARN and wording.base_name(path).startswith(GRAVE_LIBRARIES):
            severity = HIGH
        yield Finding(
            status, severity, Subject("file", path),
            "%s was %s, and %s still use%s the old file: %s." % (
                shown(path), _since(evidence, there).replace("replaced", "replaced on disk"), wording.listed(units), "s" if len(units) == 1 else "",
                "an update is running, look again when it has ended" if installing else
                "restart %s within %s" % ("it" if len(units) == 1 else "them", _window(policy))),
            evidence=_old_files(evidence, group),
            remedy=Remedy("restart", (("units", units),), disruptive=True),
        )
    yield from _changed_scripts(evidence, policy, installing)
    if of_users:
        units = sorted({_unit(evidence, each.process) for each in of_users})
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "units of users", "user units|libraries"),
            "%s of users use libraries that were replaced: they take the new ones when they are restarted (systemctl --user), or at the next login." % (
                wording.listed([wording.unit_name(evidence, unit) for unit in units])),
            evidence=_old_files(evidence, of_users),
        )
    if containers:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("host", "containers", "containers|libraries"),
            "%s in containers use libraries that were replaced: recreate the containers from their new images." % wording.noun(
                len({each.process.pid for each in containers}), "process", "processes"),
            evidence=tuple(Seen("/proc/%d/maps" % each.process.pid, shown(each.path)) for each in containers[:3]),
        )


def _changed_scripts(evidence: Any, policy: Any, installing: bool) -> Iterator[Finding]:
    """Never more than a warning: a change of mode or owner moves the ctime as well, and whoever deploys his own script knows of it."""
    by_path: Dict[str, List[Any]] = {}
    for script in evidence.executables.scripts:
        if not script.container and _unit(evidence, script.process).endswith(".service"):
            by_path.setdefault(script.path, []).append(script)
    for path, group in sorted(by_path.items()):
        there = group[0].on_disk
        units = sorted({_unit(evidence, each.process) for each in group})
        own = path.startswith(SCRATCH) or there.uid != 0
        yield Finding(
            INFO if installing or own else WARN, SEVERITY_INFO if installing or own else MED, Subject("file", path, "script|" + path),
            "%s was changed %s ago, after %s started from it: %s." % (
                shown(path), wording.duration(max(0.0, evidence.clock.wall - there.ctime)), wording.listed(units),
                "an update is running, look again when it has ended" if installing else "restart %s %s" % (
                    "it" if len(units) == 1 else "them", "when its owner has finished with it" if own else "within " + _window(policy))),
            evidence=(Seen(shown(path), "owner uid %d, mode %04o, written %s before the change" % (
                there.uid, there.mode & 0o7777, wording.duration(max(0.0, there.ctime - there.mtime)))),) + tuple(
                Seen("/proc/%d/stat" % each.process.pid, "started %s ago, %s" % (
                    wording.duration(evidence.processes.age(each.process)), _unit(evidence, each.process))) for each in group[:5]),
            confidence=MEDIUM_CONFIDENCE, remedy=Remedy("restart", (("units", units),), disruptive=True), references=("man:inode(7)", "man:needrestart(1)"),
        )


def _old_files(evidence: Any, libraries: List[Any]) -> Tuple[Seen, ...]:
    return tuple(
        Seen("/proc/%d/maps" % each.process.pid, "%s (deleted), %s" % (shown(each.path), _unit(evidence, each.process))) for each in libraries[:5])


@rule("PH-DEL-004", "The message bus was replaced on disk", HIGH, "restarting it alone cuts logind and the manager off", NEEDS)
def bus_replaced(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _gaps(evidence)
    found = [image for image in evidence.executables.images
             if image.deleted and not image.container and _unit(evidence, image.process) in BUS]
    if not found:
        yield Passed()
    for image in found:
        unit = _unit(evidence, image.process)
        status, severity = _grade(evidence, policy, image.on_disk)
        act = "schedule a reboot within %s; never restart %s alone, and logind not before it" % (_window(policy), unit)
        if _being_installed(evidence):
            status, severity, act = INFO, SEVERITY_INFO, "an update is running; look again when it has ended"
        elif image.on_disk is None:
            status, severity, act = FAIL, HIGH, "put the program back, then schedule a reboot"
        yield Finding(
            status, severity, Subject("unit", unit),
            "%s (%d) runs %s, which was %s: %s." % (unit, image.process.pid, shown(image.path), _since(evidence, image.on_disk), act),
            evidence=_seen(image), remedy=REBOOT,
            references=("systemd issue 2488", "systemd issue 2925", "needrestart issue 44"),
        )


@rule("PH-DEL-005", "systemd, logind, journald or udevd was replaced on disk", MED, "the old manager runs until somebody acts", NEEDS)
def core_services_replaced(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _gaps(evidence, with_manager=True)
    bus_is_stale = any(image.deleted and not image.container and _unit(evidence, image.process) in BUS for image in evidence.executables.images)
    judged = set()
    for image in evidence.executables.images:
        unit = _unit(evidence, image.process)
        if not image.deleted or image.container or unit in judged or not (image.process.pid == 1 or unit in CORE):
            continue
        judged.add(unit)
        status, severity = _grade(evidence, policy, image.on_disk)
        if image.process.pid == 1:
            name, act = "PID 1", "run systemctl daemon-reexec, or schedule a reboot"
            remedy = REBOOT
        else:
            name, act = unit, CORE[unit]
            remedy = REBOOT if unit == "systemd-logind.service" else Remedy("restart", (("unit", unit),))
            if unit == "systemd-logind.service" and bus_is_stale:
                act = "the bus is stale too (PH-DEL-004), and a restart of logind before it repeats the failure: schedule a reboot"
        if _being_installed(evidence):
            status, severity, act = INFO, SEVERITY_INFO, "an update is running; look again when it has ended"
        yield Finding(
            status, severity, Subject("unit", name),
            "%s (%d) runs %s, which was %s: %s." % (name, image.process.pid, shown(image.path), _since(evidence, image.on_disk), act),
            evidence=_seen(image), remedy=remedy, references=("man:systemctl(1)",),
        )
    yield Passed(max(0, 1 + len(CORE) - len(judged)))


@rule("PH-DEL-007", "A reboot is pending", MED, "the kernel that runs is not the one that was installed", ("reboot", "clock"), ("visibility",))
def reboot_pending(evidence: Any, policy: Any) -> Iterator[Verdict]:
    reboot = evidence.reboot
    if evidence.has("visibility") and (evidence.visibility.container or len(evidence.visibility.own_pids) > 1):
        yield NotApplicable("a container runs the kernel of its host")
        return
    if reboot.gaps:
        yield Unknown(reboot.gaps)
    kernel = Subject("host", "kernel %s" % shown(reboot.running), "kernel")
    silent = True
    if reboot.modules_gone:
        silent = False
        yield Finding(
            FAIL, HIGH, kernel._replace(key="kernel|modules"),
            "The running kernel %s has no modules on disk any more, so nothing that needs one can be loaded: reboot." % shown(reboot.running),
            evidence=(Seen("/lib/modules", "no %s" % shown(reboot.running)),), remedy=REBOOT,
        )
    if reboot.newest:
        silent = False
        yield _late(evidence, policy, kernel, reboot.newest_since, "Kernel %s is installed, %s runs" % (shown(reboot.newest), shown(reboot.running)),
                    Seen("/boot/vmlinuz-" + shown(reboot.newest), "installed"))
    elif reboot.required_since is not None:
        silent = False
        because = " because of %s" % wording.listed(reboot.packages) if reboot.packages else ""
        yield _late(evidence, policy, kernel._replace(key="reboot-required"), reboot.required_since, "Packages ask for a reboot%s" % because,
                    Seen("/run/reboot-required", "exists"))
    if silent:
        yield Passed()


def _late(evidence: Any, policy: Any, subject: Subject, since: Optional[float], what: str, seen: Seen) -> Finding:
    waits = max(0.0, evidence.clock.wall - since) if since is not None else 0.0
    late = waits > policy["patch_window"] * DAY
    return Finding(
        WARN if late else INFO, MED if late else SEVERITY_INFO, subject,
        "%s, since %s: reboot within %s of the update." % (what, wording.duration(waits), _window(policy)),
        evidence=(seen,), remedy=REBOOT,
    )
