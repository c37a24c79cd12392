# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: which remedies repair what an audit found on which hosts, written down to be reviewed, and then applied exactly.

``make`` turns results into a plan (plain data; the front ends write it as YAML). ``apply_host`` runs on a host what the plan says of it:
refused when the plan is old, of another boot, or not about this host, and when it would take a quorum group below its majority; step by step, ended
at the first step that fails.
"""

import calendar
import hashlib
import json
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from .. import restart_plan
from ..audit import audit
from ..host import Host, HostError, LiveHost
from ..policy import Policy
from ..record import NamedTuple
from ..text import shown
from . import apply as engine
from . import container_advice, quorum, revert, voter
from .catalogue import BY_NAME
from .model import Failed, Refused, checked

SCHEMA = "pidhygiene.plan/1"
LOGIND_BEHIND_STALE_BUS = (
    "logind is asked over the message bus, which runs a program that was replaced (PH-DEL-004): schedule a reboot, which ends the sessions, too (PH-DEL-006)")
LIFETIME_S = 24 * 3600
TIME = "%Y-%m-%dT%H:%M:%SZ"
# Limits before what starts under them; the bus and logins last.
ORDER = (
    "kernel_limits", "pam_limits_line", "pam_limits_entry", "unit_limits", "time_zone", "scheduled_restart", "reap", "dedupe", "sessions", "restart", "reboot")


class NotAPlan(Exception):
    """What was given is no plan of this form; the text says where and why."""


# -- making one ------------------------------------------------------------------------------------------------------


def make(results: Sequence[Tuple[str, Dict[str, Any]]], now: float, ticket: str = "", rules: Callable[[str], bool] = lambda rule: True,
         policy: Optional[Policy] = None, missing: Optional[Mapping[str, str]] = None, only: Optional[Sequence[str]] = None, owner: str = "",
         reboot_at: str = "") -> Dict[str, Any]:
    """``results``: name of a host as the front end targets it, and its result document. ``rules``: which rules' findings to repair.

    ``policy``: its quorum groups; ``missing``: hosts that were not audited, and why; they count as down. ``only``: hosts to
    repair; the others merely vote. ``owner``: who answers for restarts on schedule. ``reboot_at``: when hosts may reboot that need
    it, as the remedy takes it; without it, reboots are left to people.
    """
    hosts = {name: _of_host(result, rules, reboot_at) for name, result in sorted(results) if only is None or name in only}
    for step in (step for entry in hosts.values() for step in entry["steps"] if step["remedy"] == "scheduled_restart"):
        step["parameters"].update((name, text) for name, text in (("owner", owner), ("reason", ticket)) if text)
    groups = _with_quorum(hosts, dict(results), policy or Policy(), missing or {})
    for entry in hosts.values():
        entry["evidence"] = evidence(entry["steps"], {name: groups[name] for name in entry["quorum"]})
    ahead = [host for group in groups.values() for host in group["order"]]
    return {
        "schema": SCHEMA, "created": time.strftime(TIME, time.gmtime(now)), "expires": time.strftime(TIME, time.gmtime(now + LIFETIME_S)), "ticket": ticket,
        "quorum": groups,
        "hosts": {name: hosts[name] for name in sorted(hosts, key=lambda name: (ahead.index(name) if name in ahead else -1, name))
                  if hosts[name]["steps"] or hosts[name]["left"]},
    }


def _of_host(result: Dict[str, Any], rules: Callable[[str], bool], reboot_at: str) -> Dict[str, Any]:
    steps: List[Dict[str, Any]] = []
    left: List[Dict[str, str]] = []
    for finding in result["findings"]:
        if finding["status"] not in ("warn", "fail") or not rules(finding["rule"]) or (finding.get("waiver") and not finding["waiver"].get("expired")):
            continue
        if (finding.get("remedy") or {}).get("state") == "reboot" and reboot_at:
            finding = dict(finding, remedy=dict(finding["remedy"], parameters={"when": reboot_at}))
        why = _why_not(finding)
        if why:
            left.append({"rule": finding["rule"], "subject": finding["subject"]["id"], "message": finding["message"], "why": why})
        else:
            _add(steps, finding)
    steps.sort(key=lambda step: ORDER.index(step["remedy"]) if step["remedy"] in ORDER else len(ORDER))
    entry = {"boot_id": result["host"]["boot_id"], "audited": result["audit"]["started_at"], "evidence": "", "quorum": [], "steps": steps, "left": left}
    _leave(entry, _unsafe(steps, result["findings"]))
    return entry


def _leave(entry: Dict[str, Any], reasons: Mapping[int, str]) -> None:
    """Steps, by their place, are left to people."""
    for place in sorted(reasons):
        step = entry["steps"][place]
        subject = _words(step["parameters"])
        entry["left"].extend({"rule": each["rule"], "subject": "%s %s" % (step["remedy"], subject), "message": each["message"], "why": reasons[place]}
                             for each in step["because"])
    entry["steps"] = [step for place, step in enumerate(entry["steps"]) if place not in reasons]


def _unsafe(steps: Sequence[Dict[str, Any]], findings: Sequence[Dict[str, Any]]) -> Dict[int, str]:
    """PH-DEL-006 over all steps of a host in their order: whatever was asked for, what the audit says of the bus holds."""
    stale = {finding["subject"]["id"] for finding in findings if finding["rule"] == "PH-DEL-004" and finding["status"] != "unknown"}
    restarts: List[Tuple[int, str]] = []
    for place, step in enumerate(steps):
        restarts.extend((place, unit) for unit in quorum.restarted(step))
    found: Dict[int, str] = {}
    for danger in restart_plan.dangers([unit for _place, unit in restarts], stale):
        for place, unit in restarts:
            if restart_plan.canonical(unit) == danger.unit:
                found[place] = _danger(danger)
    if stale:
        found.update((place, LOGIND_BEHIND_STALE_BUS) for place, step in enumerate(steps) if step["remedy"] == "sessions")
    return found


def _danger(danger: restart_plan.Danger) -> str:
    if danger.kind == restart_plan.CLIENT_OF_STALE_BUS:
        return "%s would be restarted while the message bus runs a program that was replaced (PH-DEL-004), and hang on it: schedule a reboot, which " \
            "renews both (PH-DEL-006)" % danger.unit
    return "%s is not restarted on a running host, its clients would lose it: schedule a reboot (PH-DEL-006)" % danger.unit


def _with_quorum(hosts: Dict[str, Dict[str, Any]], results: Mapping[str, Dict[str, Any]], policy: Policy, missing: Mapping[str, str]) -> Dict[str, Any]:
    """The groups that the plan touches; what no order allows is left to people."""
    chosen: Dict[str, Any] = {}
    judged = []
    for plain in quorum.of_policy(policy["quorum_groups"], sorted(set(results) | set(missing))):
        group = plain._replace(aliases=_own_names(plain, results))
        down = {host: reason for host, reason in ((host, _down(group, results.get(host), missing.get(host, ""))) for host in group.voters) if reason}
        judged.append((down, quorum.judge(group, {name: entry["steps"] for name, entry in hosts.items()}, down)))
    for _down_now, verdict in judged:
        for host, entry in hosts.items():
            reasons = {place: verdict.refused[host] for place, step in enumerate(entry["steps"])
                       if host in verdict.refused and quorum.takes_away(verdict.group, step)}
            reasons.update((place, verdict.later[host]) for place, step in enumerate(entry["steps"])
                           if host in verdict.later and quorum.takes_away_later(verdict.group, step))
            _leave(entry, reasons)
    for down, verdict in judged:
        acting = [host for host in verdict.acting if any(quorum.takes_away(verdict.group, step) for step in hosts[host]["steps"])]
        if acting:
            chosen[verdict.group.name] = dict(verdict.group.plain(), together=verdict.together, order=acting, down=down)
            for host in acting:
                hosts[host]["quorum"].append(verdict.group.name)
    return chosen


def _voter_unit(result: Optional[Dict[str, Any]], unit: str) -> Tuple[str, str]:
    """Its own name and its state; empty where the audit did not look, or systemd does not know it."""
    seen = ((result or {}).get("facts") or {}).get("voter_units")
    found = seen.get(unit) if isinstance(seen, dict) else None
    return (str(found.get("id", "")), str(found.get("state", ""))) if isinstance(found, dict) else ("", "")


def _own_names(group: quorum.Group, results: Mapping[str, Dict[str, Any]]) -> Tuple[str, ...]:
    """A policy may name mysql.service where steps name mariadb.service."""
    return tuple(sorted({_voter_unit(results.get(host), unit)[0] for host in group.voters for unit in group.units} - {""}))


def _down(group: quorum.Group, result: Optional[Dict[str, Any]], missing: str) -> str:
    """Why a voter did not count when it was audited; empty when it did, or when the audit did not know what to look at."""
    if missing or result is None:
        return missing or "was not audited"
    if "voter_units" not in (result.get("facts") or {}):
        return ""
    states = [(unit, _voter_unit(result, unit)[1]) for unit in group.units]
    return ", ".join("%s was %s" % (unit, shown(state) or "not loaded") for unit, state in states if state != "active")


def _why_not(finding: Dict[str, Any]) -> str:
    """Why no step repairs this finding; empty when one does."""
    proposed = finding.get("remedy")
    if not proposed:
        advice = container_advice.advice(finding)
        if advice:
            return "it is set where the container is started: %s" % advice
        return "no remedy is known for it: the message says what to do"
    if proposed["state"] not in BY_NAME:
        return "%s is done by hand: %s" % (proposed["state"], _words(proposed["parameters"]) or "see the message")
    if proposed["state"] == "reboot" and not proposed["parameters"].get("when"):
        running = "%s is not restarted on a running host, where its clients would lose it or hang (PH-DEL-006), and " % finding["subject"]["id"]
        return "%sa reboot needs a time: plan again with --reboot-at, as +30, 03:30 or 2027-03-31T02:30:00Z" % (
            running if finding["subject"]["type"] == "unit" else "")
    if proposed["state"] in ("unit_limits", "reap", "restart", "dedupe") and proposed["parameters"].get("user"):
        return "%s is a unit of the user's own manager: the user sets and restarts it (systemctl --user)" % proposed["parameters"].get("unit")
    if proposed["state"] == "restart" and proposed["parameters"].get("unit") in restart_plan.BUS:
        return _danger(restart_plan.Danger(restart_plan.BUS_ALONE, proposed["parameters"]["unit"], ()))
    try:
        checked(BY_NAME[proposed["state"]], fitted(proposed["state"], proposed["parameters"]))
    except Refused as error:
        return "the audit does not tell all that the remedy needs (%s)" % error
    return ""


def _words(parameters: Dict[str, Any]) -> str:
    return ", ".join("%s %s" % (name, value) for name, value in sorted(parameters.items()))


def fitted(remedy: str, parameters: Dict[str, Any]) -> Dict[str, Any]:
    """What a rule proposes, as the remedy takes it: single limits become its mapping."""
    known = {each.name for each in BY_NAME[remedy].parameters}
    given = {name: value for name, value in parameters.items() if name in known}
    rest = {name: value for name, value in parameters.items() if name not in known}
    folded = {"unit_limits": "limits", "kernel_limits": "values"}.get(remedy)
    if rest and folded:
        given[folded] = dict(given.get(folded) or {}, **{name: str(value) for name, value in rest.items()})
    elif rest:
        given.update(rest)  # the remedy's own check names them
    if remedy == "unit_limits" and not given.get("limits"):
        raise Refused("which value to set")
    return given


def _add(steps: List[Dict[str, Any]], finding: Dict[str, Any]) -> None:
    """A step of its own, or more of the same unit's."""
    proposed = finding["remedy"]
    parameters = fitted(proposed["state"], proposed["parameters"])
    because = {"rule": finding["rule"], "fingerprint": finding["fingerprint"], "message": finding["message"]}
    for step in steps:
        if step["remedy"] == proposed["state"] and _merge(step["parameters"], parameters):
            step["because"].append(because)
            step["disruptive"] = step["disruptive"] or proposed["disruptive"]
            return
    steps.append({"remedy": proposed["state"], "parameters": parameters, "disruptive": proposed["disruptive"], "because": [because]})


def _merge(into: Dict[str, Any], more: Dict[str, Any]) -> bool:
    """Whether the two are one step: all alike but for mappings, which join where they do not contradict each other."""
    if set(into) != set(more):
        return False
    for name in into:
        if isinstance(into[name], dict) and isinstance(more[name], dict):
            if any(into[name][key] != more[name][key] for key in set(into[name]) & set(more[name])):
                return False
        elif into[name] != more[name]:
            return False
    for name in into:
        if isinstance(into[name], dict):
            into[name].update(more[name])
    return True


def evidence(steps: Sequence[Dict[str, Any]], groups: Optional[Mapping[str, Any]] = None) -> str:
    """Digest of what the steps are and why, and of the quorum groups that they touch: a plan that was edited by hand says so."""
    rows = [[step["remedy"], step["parameters"], bool(step["disruptive"]), [each["fingerprint"] for each in step["because"]]] for step in steps]
    text = json.dumps([rows, groups or {}], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# -- reading one -----------------------------------------------------------------------------------------------------


def with_times_as_text(document: Any) -> Any:
    """A plan that was read from YAML, which makes times of texts that look like one."""
    if not isinstance(document, dict):
        return document
    return {key: value.strftime(TIME) if hasattr(value, "strftime") else value for key, value in document.items()}


def check(document: Any) -> None:
    """Errors: NotAPlan, naming the first mistake by its path."""
    for mistake in _mistakes(document):
        raise NotAPlan(mistake)


def _mistakes(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "a plan is a mapping, not %s" % type(document).__name__
        return
    if document.get("schema") != SCHEMA:
        yield "schema: must be %s, not %r" % (SCHEMA, document.get("schema"))
        return
    for name in ("created", "expires"):
        if _time(document.get(name)) is None:
            yield "%s: must be a time as 2027-03-31T12:00:00Z, not %r" % (name, document.get(name))
    hosts = document.get("hosts")
    if not isinstance(hosts, dict):
        yield "hosts: must be a mapping"
        return
    groups = document.get("quorum", {})
    if not isinstance(groups, dict):
        yield "quorum: must be a mapping"
        return
    for name in sorted(groups, key=str):
        yield from _group_mistakes("quorum.%s" % name, groups[name])
    for host in sorted(hosts, key=str):
        yield from _host_mistakes("hosts.%s" % host, hosts[host], groups)


def _group_mistakes(path: str, group: Any) -> Iterator[str]:
    if not isinstance(group, dict):
        yield "%s: must be a mapping" % path
        return
    for name in ("voters", "patterns", "units", "order"):
        if not isinstance(group.get(name), list) or not all(isinstance(each, str) for each in group[name]):
            yield "%s.%s: must be a list of names" % (path, name)
    if not isinstance(group.get("probe"), str):
        yield "%s.probe: must be text" % path
    if isinstance(group.get("together"), bool) or not isinstance(group.get("together"), int):
        yield "%s.together: must be a number" % path


def _host_mistakes(path: str, entry: Any, groups: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("steps"), list):
        yield "%s.steps: must be a list" % path
        return
    for name in ("boot_id", "evidence"):
        if not isinstance(entry.get(name), str):
            yield "%s.%s: must be text" % (path, name)
    for name in _quorum_of(entry):
        if name not in groups:
            yield "%s.quorum: there is no group %s in this plan" % (path, name)
    for index, step in enumerate(entry["steps"]):
        place = "%s.steps[%d]" % (path, index)
        if not isinstance(step, dict) or not isinstance(step.get("parameters"), dict) or not isinstance(step.get("because"), list):
            yield "%s: must have remedy, parameters and because" % place
            continue
        if step.get("remedy") not in BY_NAME:
            yield "%s.remedy: %r is no remedy; pidhygiene remedies lists them" % (place, step.get("remedy"))
            continue
        try:
            checked(BY_NAME[step["remedy"]], step["parameters"])
        except Refused as error:
            yield "%s.parameters: %s" % (place, error)


def _quorum_of(entry: Mapping[str, Any]) -> List[str]:
    names = entry.get("quorum") or []
    return [str(name) for name in names] if isinstance(names, list) else [str(names)]


def groups_of(document: Mapping[str, Any], name: str) -> List[quorum.Group]:
    """The quorum groups that steps of this host touch."""
    return [quorum.of_plan(each, document["quorum"][each]) for each in _quorum_of(document["hosts"].get(name) or {})]


def acting(document: Mapping[str, Any], group: str) -> Set[str]:
    """The hosts of the plan whose steps take them away from this group."""
    return {host for host, entry in document["hosts"].items() if group in _quorum_of(entry)}


def part_of(document: Mapping[str, Any], names: Sequence[str]) -> Dict[str, Any]:
    """The plan for these hosts: what a host is told of the others is who votes with it."""
    hosts = {name: document["hosts"][name] for name in names if name in document["hosts"]}
    needed = {group for entry in hosts.values() for group in _quorum_of(entry)}
    return dict(document, hosts=hosts, quorum={group: document["quorum"][group] for group in sorted(needed)})


def batches_refused(document: Mapping[str, Any], batches: Sequence[Sequence[str]]) -> Iterator[str]:
    """Why hosts must not be taken in these batches, judged before anything is changed; for each group the first batch that is too large."""
    for name in sorted(document.get("quorum") or {}):
        entry = document["quorum"][name]
        reasons = (quorum.too_many(quorum.of_plan(name, entry), entry["together"], batch, acting(document, name)) for batch in batches)
        yield from [reason for reason in reasons if reason][:1]


def _time(text: Any) -> Optional[float]:
    try:
        return float(calendar.timegm(time.strptime(text, TIME)))
    except (TypeError, ValueError):
        return None


# -- applying one ----------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of one step."""

    remedy: str
    parameters: Dict[str, Any]
    status: str  # applied, would change, as it shall be, refused, failed, not reached
    message: str
    differences: Tuple[Any, ...]

    def plain(self) -> Dict[str, Any]:
        return dict(self._asdict(), differences=[dict(each._asdict()) for each in self.differences])


GOOD = ("applied", "would change", "as it shall be")


class HostReport(NamedTuple):
    outcomes: Tuple[Outcome, ...]
    remaining: Tuple[str, ...]  # findings of the plan that the audit still makes afterwards
    armed: bool = False  # a change of how people log in is taken back unless a new login is confirmed

    @property
    def changed(self) -> bool:
        return any(outcome.status in ("applied", "would change") for outcome in self.outcomes)

    @property
    def succeeded(self) -> bool:
        return all(outcome.status in GOOD for outcome in self.outcomes) and not self.remaining

    def plain(self) -> Dict[str, Any]:
        return {"outcomes": [each.plain() for each in self.outcomes], "remaining": list(self.remaining), "changed": self.changed, "armed": self.armed}


class Voter(NamedTuple):
    """What another voter of a group said when it was asked right before."""

    group: str
    name: str
    up: bool
    why: str = ""
    acting: bool = False  # it is changed at the same time


def apply_host(document: Dict[str, Any], name: str, looking: bool, policy: Optional[Policy] = None, host: Optional[Host] = None,
               asked: Optional[Sequence[Voter]] = None, revert_after: int = 0) -> HostReport:
    """What the plan says of this host, done or looked at. Errors: NotAPlan; Refused, before anything is changed.

    ``asked``: what the other voters of its quorum groups say now. Without it nothing is done that touches a group.
    ``revert_after``: seconds, as apply.apply takes them.
    """
    check(document)
    entry = document["hosts"].get(name)
    if entry is None:
        return HostReport((), ())
    here = host or LiveHost()
    _refuse_stale(document, entry, here)
    groups = groups_of(document, name)
    if asked is not None or not looking:
        _refuse_minority(groups, name, asked)
    outcomes: List[Outcome] = []
    for step in entry["steps"]:
        if outcomes and outcomes[-1].status not in GOOD:
            outcomes.append(Outcome(step["remedy"], step["parameters"], "not reached", "an earlier step did not succeed", ()))
        else:
            outcomes.append(_step(step, looking, revert_after))
    done = not looking and all(outcome.status in GOOD for outcome in outcomes)
    remaining = list(_remaining(entry, policy)) if done else []
    for group in groups if done else ():
        problem = voter.wait(group.units, group.probe)
        if problem:
            remaining.append("%s: %s %s" % (group.name, name, problem))
    return HostReport(tuple(outcomes), tuple(remaining), bool(revert_after) and not looking and revert.waits())


def _refuse_minority(groups: Sequence[quorum.Group], name: str, asked: Optional[Sequence[Voter]]) -> None:
    for group in groups:
        if asked is None:
            raise Refused("%s is a voter of %s, and which others are up now was not asked: apply the plan with playbooks/remediate.yml, or with "
                          "salt-run pidhygiene.apply_plan" % (name, group.name))
        others = [each for each in asked if each.group == group.name and each.name != name]
        up = {each.name for each in others if each.up}
        why = {each.name: each.why for each in others}
        if not voter.problem(group.units, group.probe, alone=True):
            up.add(name)
        refused = quorum.refusal(group, name, {each.name for each in others if each.acting}, up, why)
        if refused:
            raise Refused("%s: bring the others up first" % refused)


def _refuse_stale(document: Dict[str, Any], entry: Dict[str, Any], host: Host) -> None:
    now = host.clock().wall
    created, expires = _time(document["created"]) or 0.0, _time(document["expires"]) or 0.0
    if now >= min(expires, created + LIFETIME_S):
        raise Refused("the plan was made at %s and holds for a day: audit again and make a new one" % document["created"])
    if created > now + 300:
        raise Refused("the plan is from the future (%s): compare the clocks of this host and of the controller" % document["created"])
    try:
        boot = host.read_text("/proc/sys/kernel/random/boot_id").strip()
    except HostError as error:
        raise Refused("whether the plan is of this boot cannot be told (%s: %s)" % (error.path, error.reason))
    if boot != entry["boot_id"]:
        raise Refused("the plan is of another boot of this host, or of another host: audit again and make a new one")
    if evidence(entry["steps"], {each: document["quorum"][each] for each in _quorum_of(entry)}) != entry["evidence"]:
        raise Refused("the steps are not those that were planned (their digest differs): make the plan again, or apply single remedies by hand")


def _step(step: Dict[str, Any], looking: bool, revert_after: int) -> Outcome:
    remedy, given = BY_NAME[step["remedy"]], step["parameters"]
    try:
        report = engine.look(remedy, given) if looking else engine.apply(remedy, given, revert_after=revert_after)
    except Refused as error:
        return Outcome(remedy.name, given, "refused", str(error), ())
    except Failed as error:
        return Outcome(remedy.name, given, "failed", "%s (state left: %s)" % (error, error.state), ())
    except HostError as error:
        return Outcome(remedy.name, given, "refused", "%s: %s" % (error.path, error.reason), ())
    status = ("would change" if looking else "applied") if report.changed else "as it shall be"
    return Outcome(remedy.name, given, status, "; ".join(report.notes), report.differences)


def _remaining(entry: Dict[str, Any], policy: Optional[Policy]) -> Iterable[str]:
    """The rules are evaluated again on the running host: what the plan was made for must be gone, but for what waits for a reboot."""
    wanted = {each["fingerprint"]: each["rule"] for step in entry["steps"] if step["remedy"] != "reboot" for each in step["because"]}
    if not wanted:
        return
    result = audit(LiveHost(), policy, None, sorted(set(wanted.values())))
    for finding in result["findings"]:
        if finding["fingerprint"] in wanted and finding["status"] in ("warn", "fail"):
            yield "%s %s" % (finding["rule"], shown(finding["message"]))
