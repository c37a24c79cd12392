# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-DEL-006: restarts that would cut clients off from the message bus. restart_plan.py judges every plan; this one is the host's own schedule."""

from typing import Any, Dict, Iterator, List, Set

from .. import of_users, restart_plan, restarts, wording
from ..model import FAIL, HIGH, MED, WARN, Finding, Passed, Seen, Subject, Unknown, Verdict, rule
from ..restart_plan import BUS, CLIENT_OF_STALE_BUS, CLIENTS, MANAGER, Danger
from ..text import masked, shown


@rule(
    "PH-DEL-006", "Unsafe restart plan", HIGH, "logind, PID 1 and the network lose the bus, and logins hang",
    ("units", "executables", "cron", "processes", "details"), ("users", "user_units"),
)
def unsafe_plan(evidence: Any, policy: Any) -> Iterator[Verdict]:
    gaps = evidence.cron.gaps + of_users.unread_of_system(evidence) + evidence.details.gaps_of("cgroup")
    gaps += tuple(gap for gap in evidence.executables.gaps if not gap.source.startswith("/proc/1/"))
    if gaps:
        yield Unknown(gaps)
    yield from of_users.unseen(evidence)
    stale = {wording.unit_of(evidence, image.process.pid) or "" for image in evidence.executables.images if image.deleted and not image.container}
    running = {name for name in CLIENTS if name in evidence.units.units and evidence.units.units[name].running}
    plans = _plans(evidence)
    for job in sorted(plans):
        plan = plans[job]
        dangers = restart_plan.dangers(_steps(plan), stale, running)
        own = [each for each in plans[job] if wording.of_user(evidence, each.unit) and each.unit.rpartition("/")[2] in BUS]
        if own:
            yield _bus_of_a_user(evidence, own[0])
        elif not dangers:
            yield Passed()
        for danger in dangers:
            yield _unsafe(job, plan, danger)
    if not plans:
        yield Passed()


def _plans(evidence: Any) -> Dict[str, List[Any]]:
    """The restarts of each job."""
    found: Dict[str, List[Any]] = {}
    for restart in restarts.scheduled(evidence):
        found.setdefault(restart.job, []).append(restart)
    return found


def _steps(plan: List[Any]) -> List[str]:
    steps: List[str] = []
    lines: Set[str] = set()
    for restart in plan:
        if restart.line not in lines:  # one line may restart many
            lines.add(restart.line)
            steps.extend(restart_plan.steps_of(restart.line) or [restart_plan.canonical(restart.service)])
    return steps


def _bus_of_a_user(evidence: Any, restart: Any) -> Finding:
    return Finding(
        WARN, MED, Subject("job", "%s: %s" % (shown(restart.job), shown(restart.unit)), "%s|bus of a user" % restart.job),
        "%s restarts %s: his programs lose their bus, and most end with it; take it off the schedule, and let him log in anew." % (
            shown(restart.how), shown(wording.unit_name(evidence, restart.unit))),
        evidence=(Seen(shown(restart.source), shown(masked(restart.line))),), references=("man:dbus-daemon(1)",),
    )


def _unsafe(job: str, plan: List[Any], danger: Danger) -> Finding:
    how = shown(plan[0].how)
    if danger.kind == CLIENT_OF_STALE_BUS:
        message = "%s restarts %s, but the message bus runs a program that was replaced (PH-DEL-004): a restart before the bus is renewed repeats " \
            "the failure; take it off the schedule, and schedule a reboot." % (how, danger.unit)
    else:
        message = "%s restarts %s without %s behind it: its clients lose the bus, and logins may hang; schedule a reboot instead." % (
            how, danger.unit, wording.listed(["systemctl daemon-reexec" if each == MANAGER else each for each in danger.missing]))
    return Finding(
        FAIL, HIGH, Subject("job", "%s: %s" % (shown(job), danger.unit), "%s|%s" % (job, danger.kind)), message,
        evidence=tuple(Seen(shown(restart.source), shown(masked(restart.line))) for restart in plan[:3]),
        references=("systemd issue 2488", "needrestart issue 44"),
    )
