# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must act for a zombie, an orphan, a container's init or a task stuck in the kernel: the way up to the unit or container, what works and what does not.

A zombie is reaped by its parent alone. While that lives, no init, tini or reaper anywhere helps; when it ends, its zombies fall to a living
thread of it, a subreaper above it, or the init of their pid namespace (kernel/exit.c find_new_reaper).
"""

from typing import Any, List, Optional, Tuple

from . import wording
from .host import Host
from .readers import zombies
from .readers.processes import Process
from .readers.scheduler_clock import SchedulerClock
from .record import NamedTuple
from .rules import containers, orphans
from .rules.zombies import diagnose
from .text import shown

MOST_ANCESTORS = 12
PASSING_S = 5.0  # a zombie younger than this may be reaped in a moment
SOURCES = ("containers", "supervision", "stuck")  # beside those of explain.py


class Way(NamedTuple):
    works: bool
    what: str
    why: str


class Account(NamedTuple):
    about: Tuple[str, ...]  # sentences
    ways: Tuple[Way, ...]  # what works first
    verdict: str  # who must act; empty: nobody, it is an ordinary process


def name_of(evidence: Any, pid: int) -> str:
    process = evidence.processes.processes.get(pid)
    return "%s (%d)" % (shown(process.comm), pid) if process else "process %d" % pid


def of(host: Host, evidence: Any, pid: int) -> Account:
    """``pid`` is in the table."""
    process = evidence.processes.processes[pid]
    return _of_zombie(host, evidence, process) if process.zombie else _of_live(evidence, process)


def _lineage(evidence: Any, pid: int) -> str:
    """sleep (9) ← app (8, init of docker container 4711) ← containerd-shim (7) ← systemd (1)"""
    names = []
    for each in ([pid] + evidence.processes.ancestors(pid))[:MOST_ANCESTORS]:
        process, container = evidence.processes.processes[each], _container_of_init(evidence, each)
        remark = ", zombie" if process.zombie else ""
        remark += ", init of %s" % containers.name_of(container) if container is not None else ""
        names.append("%s (%d%s)" % (shown(process.comm), each, remark))
    return "The way up: %s." % " ← ".join(names)


def _container_of_init(evidence: Any, pid: int) -> Optional[Any]:
    found = evidence.containers.containers if evidence.has("containers") else ()
    return next((container for container in found if container.init.pid == pid), None)


def _container_around(evidence: Any, pid: int) -> Optional[Any]:
    """The innermost one: containers are listed from the oldest, and those inside came later."""
    found = evidence.containers.containers if evidence.has("containers") else ()
    return next((container for container in reversed(found) if pid in container.members), None)


def _keeper(evidence: Any, pid: int) -> str:
    """What is to be restarted for it: a container, a unit, a program of supervisord, or it alone."""
    container = _container_around(evidence, pid)
    if container is not None:
        return containers.name_of(container)
    unit = wording.unit_of(evidence, pid)
    managed = evidence.supervision.managed if evidence.has("supervision") else {}
    for each in [pid] + evidence.processes.ancestors(pid):
        if each in managed and managed[each].name:
            return "supervisord's program %s" % shown(managed[each].name)
    return wording.unit_name(evidence, unit) if unit is not None and not unit.startswith("session-") else name_of(evidence, pid)


# -- zombies -----------------------------------------------------------------------------------------------------


def _of_zombie(host: Host, evidence: Any, process: Process) -> Account:
    pid, status = process.pid, evidence.processes.status.get(process.pid)
    about = ["%s has ended and is a zombie: signals do nothing to it, only its parent can reap it." % name_of(evidence, pid), _lineage(evidence, pid)]
    kill = Way(False, "kill -9 %d" % pid, "it has ended already, a signal finds nobody")
    parent = evidence.processes.processes.get(process.ppid)
    if status is not None and status.tracer:
        tracer = name_of(evidence, status.tracer)
        about.append("%s traces it: until that detaches or ends, not even the parent can reap it." % tracer)
        ways = (Way(True, "detach or end %s" % tracer, "then the parent is told, and can reap"), kill,
                Way(False, "restart %s" % _keeper(evidence, process.ppid), "whoever inherits the zombie waits for the tracer as well"))
        return Account(tuple(about), ways, "%s must let it go." % tracer)
    if parent is None:
        about.append("Its parent %d cannot be seen from here: it must be reaped outside." % process.ppid)
        return Account(tuple(about), (kill,), "")
    about.extend(_why_not_reaped(host, evidence, process, parent))
    container = _container_of_init(evidence, parent.pid)
    if parent.state == "D":
        return Account(tuple(about), _stuck_ways(evidence, parent) + (kill,),
                       "%s is stuck in the kernel and must be freed first." % name_of(evidence, parent.pid))
    if parent.state in "Tt":
        return Account(tuple(about), (Way(True, "kill -CONT %d" % parent.pid, "its parent is stopped; once it runs it can reap"), kill),
                       "%s is stopped and must be continued." % name_of(evidence, parent.pid))
    if container is not None or (parent.pid == 1 and parent.comm != "systemd"):
        return _left_by_an_init(evidence, parent, container, about, kill)
    if parent.pid == 1:
        reexec = Way(True, "systemctl daemon-reexec", "the new manager reaps what the old one left")
        return Account(tuple(about), (reexec, kill), "PID 1 must reap it.")
    return _left_by_a_parent(evidence, parent, about, kill)


def _why_not_reaped(host: Host, evidence: Any, process: Process, parent: Process) -> List[str]:
    dead = SchedulerClock(host, evidence.processes).dead_for(process)
    if dead is not None and dead < PASSING_S:
        return ["It ended %s ago: this may pass by itself, look again." % wording.duration(dead)]
    brood = next((each for each in evidence.zombies.broods if each.parent.pid == parent.pid), None) if evidence.has("zombies") else None
    reaping = zombies.read_reaping(host, parent)
    if brood is None or reaping is None:
        return []
    told = "%s %s." % (name_of(evidence, parent.pid), diagnose(brood, reaping)[0])
    return [told + (" It has %s." % wording.noun(brood.zombies, "zombie") if brood.zombies > 1 else "")]


def _left_by_an_init(evidence: Any, parent: Process, container: Optional[Any], about: List[str], kill: Way) -> Account:
    name = containers.name_of(container) if container is not None else "the container around us"
    ways = (
        Way(True, "recreate %s with an init that reaps (--init, tini as entry point, shareProcessNamespace)" % name,
            "what is orphaned in it falls to its init"),
        Way(True, "restart %s" % name, "its zombies go with it; new ones will come"), kill,
        Way(False, "an init on the host that reaps", "orphans never leave their pid namespace"),
        Way(False, "kill -CHLD %d" % parent.pid, "an init that does not wait is not made to by a signal"),
    )
    return Account(tuple(about), ways, "The parent is the init of its pid namespace (%s), so it must reap." % name)


def _left_by_a_parent(evidence: Any, parent: Process, about: List[str], kill: Way) -> Account:
    """The question at the end of the third seed: the init may reap as it likes, this one is not its child."""
    keeper, parent_name = _keeper(evidence, parent.pid), name_of(evidence, parent.pid)
    container = _container_around(evidence, parent.pid)
    heir = name_of(evidence, container.init.pid if container is not None else 1)
    ways = [Way(True, "mend %s so that it waits for its children" % parent_name, "it is the only one who can")]
    if container is not None:
        ways.append(Way(True, "end %s alone" % parent_name, "its zombies fall to %s or a subreaper, which must reap then" % heir))
    ways.append(Way(True, "restart %s" % keeper, "when the parent ends, its zombies fall to %s or a subreaper" % heir))
    ways.extend((kill, Way(False, "tini, --init or another init that reaps", "it reaps its own children only, and while %s lives this is none" % parent_name)))
    return Account(tuple(about), tuple(ways),
                   "An init in the container or on the host does not help while the parent lives: mend or restart %s." % keeper)


# -- the living --------------------------------------------------------------------------------------------------


def _of_live(evidence: Any, process: Process) -> Account:
    container = _container_of_init(evidence, process.pid)
    if process.state == "D":
        return _stuck(evidence, process)
    if process.state in "Tt":
        go_on = Way(True, "kill -CONT %d" % process.pid, "it is stopped, perhaps on purpose")
        return Account((_lineage(evidence, process.pid),), (go_on,), "It is stopped; whoever stopped it must continue it.")
    if container is not None:
        return _init(evidence, process, container)
    leaked = _leaked(evidence, process)
    return leaked if leaked is not None else _orphan(evidence, process)


def _stuck(evidence: Any, process: Process) -> Account:
    found = next((task for task in evidence.stuck.tasks if task.process.pid == process.pid), None) if evidence.has("stuck") else None
    since = ", for %s" % wording.duration(found.idle_s) if found is not None and found.idle_s is not None else ""
    where = " (%s)" % shown(found.wait_channel) if found is not None and found.wait_channel else ""
    about = ("It is in uninterruptible sleep, state D%s%s: it waits for the kernel." % (where, since), _lineage(evidence, process.pid))
    return Account(about, _stuck_ways(evidence, process), "Nobody can end it before what it waits for answers.")


def _stuck_ways(evidence: Any, process: Process) -> Tuple[Way, ...]:
    return (
        Way(True, "mend the mount, device or child that it waits for", "it goes on when the kernel does"),
        Way(False, "kill -9 %d" % process.pid, "in most of these waits a signal is kept until the wait ends"),
        Way(False, "restart %s" % _keeper(evidence, process.pid), "the stop hangs, and the old task stays"),
    )


def _init(evidence: Any, process: Process, container: Any) -> Account:
    name = containers.name_of(container)
    brood = next((each for each in evidence.zombies.broods if each.parent.pid == process.pid), None) if evidence.has("zombies") else None
    others = sum(each.zombies for each in evidence.zombies.broods if each.parent.pid in container.members and each.parent.pid != process.pid) \
        if evidence.has("zombies") else 0
    about = ["It is the init of %s: whatever is orphaned in there falls to it." % name, _lineage(evidence, process.pid)]
    if others:
        about.append("%s in it have another parent that lives: this init cannot reap them." % wording.noun(others, "zombie"))
    if brood is None or not brood.zombies:
        return Account(tuple(about), (), "")
    about.append("It has not reaped %s." % wording.noun(brood.zombies, "zombie"))
    kill = Way(False, "kill -9 of the zombies", "they have ended already")
    return _left_by_an_init(evidence, process, container, about, kill)._replace(verdict="It must reap, and does not: %s needs another init." % name)


def _leaked(evidence: Any, process: Process) -> Optional[Account]:
    if not evidence.has("supervision"):
        return None
    stray = next((each for each in evidence.supervision.strays if process.pid in each.tree), None)
    twin = orphans.twin_of(evidence, stray) if stray is not None else None
    if stray is None or not (twin is not None or (stray.label is not None and stray.label.enabled)):
        return None
    root = name_of(evidence, stray.process.pid)
    about = ["It belongs to the tree of %s, which supervisord once started and does not know any more: %s." % (
        root, "the supervisord of session %d is gone" % process.session if process.session not in evidence.supervision.supervisors else "its leader has ended"),
        _lineage(evidence, process.pid)]
    end = Way(True, "end the tree of %s (%s)" % (root, " ".join("%d" % pid for pid in stray.tree[:10])),
              "TERM first; check that the processes are the same ones")
    if twin is None:
        return Account(tuple(about), (end,), "Nobody keeps it: end the tree, or put it under a supervisor again.")
    about.append("supervisord (%d) runs the same program again as %s." % (evidence.processes.processes[twin].ppid, name_of(evidence, twin)))
    ways = (
        end, Way(True, "stopasgroup=true and killasgroup=true for the program", "then the next stop reaches all of its processes"),
        Way(False, "supervisorctl restart", "it restarts %s, the one that it knows" % name_of(evidence, twin)),
        Way(False, "restart %s" % (wording.unit_of(evidence, process.pid) or "supervisord"), _kept(evidence, process.pid)),
    )
    return Account(tuple(about), ways, "The old tree must be ended by hand; the managed one stays.")


def _kept(evidence: Any, pid: int) -> str:
    unit = evidence.units.units.get(wording.unit_of(evidence, pid) or "") if evidence.has("units") else None
    if unit is not None and unit.kill_mode in ("process", "none"):
        return "KillMode=%s leaves it running" % unit.kill_mode
    return "it is outside of what that stops, unless it is in the same unit with KillMode=control-group"


def _orphan(evidence: Any, process: Process) -> Account:
    """In a unit, no main process, and adopted: its parent is not what started it."""
    unit_name = wording.unit_of(evidence, process.pid)
    unit = evidence.units.units.get(unit_name or "") if evidence.has("units") else None
    if process.ppid != 1 or unit is None or unit.main_pid in (None, 0, process.pid) or process.pid == 1:
        return Account((), (), "")
    about = ("Whoever started it has ended, and %s has adopted it; the main process of %s is %s." % (
        name_of(evidence, 1), unit.id, name_of(evidence, unit.main_pid)),)
    swept = unit.kill_mode not in ("process", "none")
    stop = Way(swept, "stop or restart %s" % unit.id, "KillMode=%s: %s" % (
        unit.kill_mode or "control-group", "it ends with the unit" if swept else "it is left running"))
    ways = [stop, Way(True, "systemctl kill --kill-whom=all %s" % unit.id, "reaches every process of the unit, the main one as well")]
    return Account(about, tuple(sorted(ways, key=lambda way: not way.works)), "")
