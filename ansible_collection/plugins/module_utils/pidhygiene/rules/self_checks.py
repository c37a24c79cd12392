# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-OBS: self-checks. What this audit could not see or do, so that its silence is never mistaken for health."""

from typing import Any, Iterator, List

from ..model import (
    INFO, LOW, MED, SEVERITY_INFO, Finding, Gap, NotApplicable, Passed, Seen, Subject, Unknown, Verdict, rule,
)
from ..text import shown

THIS_AUDIT = Subject("host", "this audit", "audit")
MANY_VANISHED = 0.01  # of the table


@rule("PH-OBS-001", "What this audit may see", LOW, "what cannot be seen is unknown, not well", ("visibility", "processes"), ("details",))
def visibility(evidence: Any, policy: Any) -> Iterator[Verdict]:
    seen = evidence.visibility
    if seen.gaps:
        yield Unknown(seen.gaps)
    limits: List[str] = []
    if not seen.root:
        limits.append("it does not run as root: executables, descriptors, namespaces and environments of other users stay hidden")
    if seen.hides_processes:
        limits.append("/proc is mounted with hidepid=%s: processes of other users may be missing" % shown(seen.hidepid))
    if seen.initial_user_namespace is False:
        limits.append("it runs in a user namespace: outer limits and outer users stay hidden")
    if False in (seen.initial_pid_namespace, seen.top_groups) or len(seen.own_pids) > 1:
        limits.append("it runs inside a container (%s): outer limits and processes stay hidden" % (shown(seen.container) or _namespaces(seen)))
    elif seen.container and not seen.inside:
        limits.append("it runs among the files of a container (%s), but sees the processes of the machine" % shown(seen.container))
    if not limits:
        yield Passed()
    for text in limits:
        yield Finding(
            INFO, SEVERITY_INFO, THIS_AUDIT._replace(key="audit|" + text[:20]), "This audit sees less than the whole host: %s." % text,
            evidence=(Seen("/proc/self/status", "NSpid %s" % " ".join(map(str, seen.own_pids))),),
        )


def _namespaces(seen: Any) -> str:
    kinds = (("pid", seen.initial_pid_namespace), ("cgroup", seen.top_groups))
    return "namespaces of its own: %s" % ", ".join([kind for kind, initial in kinds if initial is False] or ["pid"])


@rule("PH-OBS-002", "The process table moved while it was read", LOW, "numbers of a moving table are less certain", ("processes",))
def races(evidence: Any, policy: Any) -> Iterator[Verdict]:
    table = evidence.processes
    total = len(table.processes) + table.vanished
    if table.vanished <= max(5, MANY_VANISHED * total):
        yield Passed()
        return
    yield Finding(
        INFO, SEVERITY_INFO, THIS_AUDIT._replace(key="audit|races"),
        "%d of %d processes went away while the table was read: this host starts many short-lived processes." % (table.vanished, total),
        evidence=(Seen("/proc", "%d vanished" % table.vanished),),
    )


@rule("PH-OBS-003", "Cgroup layout that systemd drops", LOW, "systemd 256 needs a switch for cgroup v1, 258 has removed it", ("hierarchy",), ("units",))
def cgroup_layout(evidence: Any, policy: Any) -> Iterator[Verdict]:
    if evidence.hierarchy.mode not in ("v1", "hybrid") or not evidence.has("units") or not evidence.units.manager.present:
        yield Passed()
        return
    yield Finding(
        INFO, SEVERITY_INFO, Subject("host", "cgroup %s" % evidence.hierarchy.mode),
        "This host uses cgroup %s, which systemd 258 no longer supports: plan the move to the unified hierarchy." % evidence.hierarchy.mode,
        evidence=(Seen("/proc/self/mountinfo", "pids controller at %s" % evidence.hierarchy.pids_mount),),
    )


@rule("PH-OBS-004", "Our reading of unit files against systemd's", MED, "a resolver that is wrong must not accuse anybody", ("units",))
def resolver_agrees(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """What the files say and what the manager says differ either because a reload is pending, or because we read them wrongly."""
    units = evidence.units
    if not units.manager.present:
        yield NotApplicable("systemd does not run this machine")
        return
    if not units.manager.answers:
        yield Unknown(units.gaps or (Gap("systemd", "the manager does not answer"),))
        return
    for name in sorted(units.units):
        unit = units.units[name]
        if unit.need_daemon_reload or unit.transient or unit.load_state != "loaded" or not unit.complete:
            continue
        wrong = [item for item in sorted(unit.limits) if _differs(unit, item)]
        if not wrong:
            yield Passed()
            continue
        item = wrong[0]
        setting = unit.limit_set_in(item)
        yield Finding(
            INFO, SEVERITY_INFO, Subject("unit", name, "resolver|" + name),
            "%s: %s:%d says %s, the manager says %s; the manager is believed. A reload is pending that systemd does not know of, or this is our mistake." % (
                name, setting.file, setting.line, shown(setting.value), "%d:%d" % tuple(unit.limits[item])),
            evidence=(Seen("%s:%d" % (setting.file, setting.line), "%s=%s" % (setting.key, setting.value)),),
        )


def _differs(unit: Any, item: str) -> bool:
    setting = unit.limit_set_in(item)
    return setting is not None and tuple(setting.meaning) != tuple(unit.limits[item])
