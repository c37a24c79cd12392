# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restart: a unit that runs what is no longer on disk, or what is no longer configured, runs what is; systemd reads its files again.

Done only while an audit names the unit for it. The bus is never restarted alone, and nobody who hangs on a stale bus is restarted
before it: that repeats the failure. Then a reboot is the cure.
"""

from typing import AbstractSet, Any, Dict, List, Sequence

from .. import pending, restart_plan
from ..host import Host
from . import judged, manager
from .crowded import refuse_crowded
from .model import Difference, Parameter, Proposal, Refused, Remedy, Step
from .protected import refuse_protected
from .unit_limits import unit_name

RULES = ("PH-DEL-001", "PH-DEL-002", "PH-DEL-003", "PH-DEL-004", "PH-DEL-005", "PH-LIM-005", "PH-ORP-003", "PH-TZ-006", "PH-TZ-007")
RELOAD, UNIT = "daemon-reload", "unit"

PARAMETERS = (
    Parameter("units", "words", "The units, restarted one after the other."),
    Parameter("unit", "text", "One unit; or systemd, with how daemon-reload."),
    Parameter("how", "choice", "Restart units, or have systemd read its files again.", default=UNIT, choices=(UNIT, RELOAD)),
    Parameter("restart_protected", "flag", "Restart it although it is a database, a container engine, sshd or the like.", default=False),
)


def _units(given: Dict[str, Any]) -> List[str]:
    names = list(given["units"] or []) + ([given["unit"]] if given["unit"] else [])
    if not names:
        raise Refused("no unit is given")
    return [unit_name(str(name)) for name in names]


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    if given["how"] == RELOAD:
        return _reload(host)
    units = _units(given)
    evidence, found = judged.findings(host, RULES, ("units", "processes", "details", "budgets"))
    stale = _named(found)
    wanted = [unit for unit in units if unit in stale]
    if not wanted:
        return Proposal((), ("no finding asks for a restart of %s now" % ", ".join(units),))
    refuse_order(wanted, set(stale))
    for unit in wanted:
        refuse_protected(unit, given["restart_protected"], "have it restarted in a window")
    refuse_crowded(evidence)
    return Proposal(tuple(manager.Restart(unit, "an audit named it: %s" % stale[unit]) for unit in wanted))


def refuse_order(units: Sequence[str], stale: AbstractSet[str]) -> None:
    """PH-DEL-006 over what would be restarted here. Errors: Refused, for the bus alone and for its clients before it."""
    for danger in restart_plan.dangers(units, stale):
        if danger.kind == restart_plan.CLIENT_OF_STALE_BUS:
            raise Refused("the message bus runs a program that was replaced on disk, and %s would hang on it after its restart: schedule a reboot, which "
                          "brings both" % danger.unit)
        raise Refused("%s is not restarted on a running host: logind, PID 1 and others lose it and hang; schedule a reboot" % danger.unit)


def _named(found: Any) -> Dict[str, str]:
    """Unit to the rule's subject that asks for its restart, or for a reboot."""
    stale: Dict[str, str] = {}
    for finding in found:
        if finding.remedy is not None and finding.remedy.state == "reboot":
            stale.setdefault(finding.subject.id, finding.subject.id)
        if finding.remedy is None or finding.remedy.state != "restart":
            continue
        parameters = dict(finding.remedy.parameters)
        for unit in list(parameters.get("units") or []) + [parameters.get("unit")]:
            if unit:
                stale.setdefault(str(unit), finding.subject.id)
    return stale


def _reload(host: Host) -> Proposal:
    evidence, _found = judged.findings(host, ("PH-SYS-003", "PH-SYS-005"), ("units", "processes", "details", "budgets"))
    waiting = pending.of_others(evidence.units, "") or [finding.subject.id for finding in _found]
    if not waiting:
        return Proposal((), ("systemd has read all its files",))
    refuse_crowded(evidence)
    steps: List[Step] = [ReloadFor(waiting)]
    return Proposal(tuple(steps), tuple("the reload brings %s" % each for each in waiting[:20]))


class ReloadFor(manager.Reload):
    """A reload that shows what it brings."""

    def __init__(self, waiting: Sequence[str]) -> None:
        super(ReloadFor, self).__init__()
        self._waiting = tuple(waiting)

    def differences(self) -> List[Difference]:
        return [Difference("systemd", "has not read: " + ", ".join(self._waiting), "has read all its files")]


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    if given["how"] == RELOAD:
        evidence, found = judged.findings(host, ("PH-SYS-003", "PH-SYS-005"), ("units",))
        return ["%s waits for a reload" % each for each in pending.of_others(evidence.units, "")]
    _evidence, found = judged.findings(host, RULES)
    stale = _named(found)
    return ["%s is still named: %s" % (unit, stale[unit]) for unit in _units(given) if unit in stale]


REMEDY = Remedy("restart", "Units run what is on disk and configured; systemd has read its files", PARAMETERS, propose, verify)
