# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reap: zombies go because their parent is restarted, continued, or no longer watched by a tracer. Zombies themselves take no signal.

Where no process can start any more, a restart would fail half-way: a neighbour takes the number that the stop frees. There the unit is
stopped, its zombies are waited for, and only then is it started.
"""

import time
from typing import Any, Dict, List, Optional

from ..evidence import Evidence, gather
from ..host import Host
from ..text import shown
from . import manager
from .crowded import crowded
from .model import MIXED, NEW, Difference, Failed, Parameter, Proposal, Refused, Remedy, Step
from .protected import refuse_protected
from .running import Continue, EndProcesses
from .unit_limits import unit_name

RESTART, CONTINUE, DETACH = "restart", "continue", "detach"
SOURCES = ("zombies", "processes", "details", "budgets")
REAPED_S = 30.0  # an init may take its time (two seconds were measured)

PARAMETERS = (
    Parameter("mode", "choice", "Restart the unit of the parent, continue a stopped parent, or end the tracer that holds the zombies.",
              default=RESTART, choices=(RESTART, CONTINUE, DETACH)),
    Parameter("parent", "number", "Pid of the process that does not reap."),
    Parameter("unit", "text", "The unit of the parent, which is restarted; needed for that."),
    Parameter("tracer", "number", "Pid of the tracer, with mode detach."),
    Parameter("restart_protected", "flag", "Restart it although it is a database, a container engine, sshd or the like.", default=False),
)


class StopReapStart(Step):
    """The way where no number is free: stop, wait until init has reaped, start."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self._stopped = False

    def differences(self) -> List[Difference]:
        return [Difference("processes of %s" % self.unit, "as started before", "stopped, its zombies reaped, started")]

    def do(self) -> None:
        children = {pid for pid, parent in _zombies().items() if parent in _members(self.unit)}
        self._stopped = True
        manager.job("StopUnit", self.unit)
        deadline = time.monotonic() + REAPED_S
        while children & set(_zombies()) and time.monotonic() < deadline:
            time.sleep(0.1)
        ended = manager.job("StartUnit", self.unit)
        if not ended.runs:
            raise Failed("%s does not start again: it is %s (%s, result %s)" % (self.unit, ended.active, ended.sub, ended.result), NEW)

    def undo(self) -> None:
        if self._stopped and not manager.job("StartUnit", self.unit).runs:
            raise Failed("%s stays stopped" % self.unit, MIXED)


def _zombies() -> Dict[int, int]:
    from ..host import LiveHost

    evidence = gather(LiveHost(), ("processes",))
    return {process.pid: process.ppid for process in evidence.processes.processes.values() if process.zombie}


def _members(unit: str) -> List[int]:
    from ..host import LiveHost

    evidence = gather(LiveHost(), ("details",))
    return [pid for pid, detail in evidence.details.of.items() if detail.unit == unit]


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    _refuse_incomplete(given)
    evidence = gather(host, SOURCES)
    if given["mode"] == DETACH:
        return _detach(evidence, given["tracer"])
    brood = _brood(evidence, given["parent"])
    if brood is None:
        return Proposal((), ("process %d has no zombies now" % given["parent"],))
    if given["mode"] == CONTINUE:
        if brood.parent.state != "T":
            raise Refused("process %d is not stopped (state %s): continuing it changes nothing; %s" % (
                given["parent"], brood.parent.state, "end the tracer that holds it" if brood.parent.state == "t" else "restart its unit"))
        return Proposal((Continue(brood.parent),))
    return _restart(evidence, brood, given)


def _refuse_incomplete(given: Dict[str, Any]) -> None:
    if given["mode"] == DETACH and not given["tracer"]:
        raise Refused("tracer is missing: the pid of the process that traces the zombies")
    if given["mode"] != DETACH and not given["parent"]:
        raise Refused("parent is missing: the pid of the process that does not reap")
    if given["mode"] == RESTART:
        if not given["unit"]:
            raise Refused("unit is missing: a parent outside of every unit has nobody who could restart it; end it by hand, or start it from a unit")
        unit_name(given["unit"])


def _brood(evidence: Evidence, parent: int) -> Any:
    return next((brood for brood in evidence.zombies.broods if brood.parent.pid == parent and brood.persistent), None)


def _restart(evidence: Evidence, brood: Any, given: Dict[str, Any]) -> Proposal:
    detail = evidence.details.of.get(given["parent"])
    if detail is None or detail.unit != given["unit"]:
        raise Refused("process %d belongs to %s now, not to %s: audit again" % (given["parent"], detail.unit if detail else "no unit", given["unit"]))
    if brood.parent.state == "D":
        raise Refused("process %d waits in the kernel (state D): it cannot be ended, so a restart would hang; mend the disk or mount that it waits for" % (
            given["parent"],))
    refuse_protected(given["unit"], given["restart_protected"], "have it restarted in a window")
    full = crowded(evidence)
    step: Step = StopReapStart(given["unit"]) if full else manager.Restart(
        given["unit"], "%d zombies of %s (%d) go to init" % (brood.zombies, shown(brood.parent.comm), brood.parent.pid))
    return Proposal((step,), ("%s: it is stopped, its zombies are waited for, then it is started" % full.text(),) if full else ())


def _detach(evidence: Evidence, tracer: int) -> Proposal:
    held = [each for each in evidence.zombies.traced if each.tracer_pid == tracer]
    if not held:
        return Proposal((), ("process %d traces no zombie now" % tracer,))
    if held[0].tracer is None:
        raise Refused("the tracer %d cannot be seen from here" % tracer)
    return Proposal((EndProcesses([held[0].tracer], "it holds %d zombies that their parent cannot reap" % len(held)),))


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """Init needs a moment."""
    deadline = time.monotonic() + REAPED_S
    while True:
        problem = _problem(gather(host, SOURCES), given)
        if problem is None or time.monotonic() > deadline:
            return [problem] if problem else []
        time.sleep(0.2)


def _problem(evidence: Evidence, given: Dict[str, Any]) -> Optional[str]:
    if given["mode"] == DETACH:
        held = sum(1 for each in evidence.zombies.traced if each.tracer_pid == given["tracer"])
        return "process %d still holds %d zombies" % (given["tracer"], held) if held else None
    brood = _brood(evidence, given["parent"])
    return "process %d still has %d zombies" % (given["parent"], brood.zombies) if brood is not None else None


REMEDY = Remedy("reap", "Zombies go: their parent is restarted, continued, or freed of its tracer", PARAMETERS, propose, verify)
