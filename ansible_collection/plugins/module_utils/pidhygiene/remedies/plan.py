# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: which remedies repair what an audit found on which hosts, written down to be reviewed, and then applied exactly.

``make`` turns results into a plan (plain data; the front ends write it as YAML). ``apply_host`` runs on a host what the plan says of it:
refused when the plan is old, of another boot, or not about this host; step by step, ended at the first step that fails.
"""

import calendar
import hashlib
import json
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..audit import audit
from ..host import Host, HostError, LiveHost
from ..policy import Policy
from ..text import shown
from . import apply as engine
from . import container_advice
from .catalogue import BY_NAME
from .model import Failed, Refused, checked

SCHEMA = "pidhygiene.plan/1"
LIFETIME_S = 24 * 3600
TIME = "%Y-%m-%dT%H:%M:%SZ"
# Limits before what starts under them; the bus and logins last.
ORDER = (
    "kernel_limits", "pam_limits_line", "pam_limits_entry", "unit_limits", "time_zone", "scheduled_restart", "reap", "dedupe", "sessions", "restart", "reboot")


class NotAPlan(Exception):
    """What was given is no plan of this form; the text says where and why."""


# -- making one ------------------------------------------------------------------------------------------------------


def make(results: Sequence[Tuple[str, Dict[str, Any]]], now: float, ticket: str = "", rules: Callable[[str], bool] = lambda rule: True,
         reboot_at: str = "") -> Dict[str, Any]:
    """``results``: name of a host as the front end targets it, and its result document. ``rules``: which rules' findings to repair.

    ``reboot_at``: when hosts may reboot that need it, as the remedy takes it; without it, reboots are left to people.
    """
    hosts = {name: _of_host(result, rules, reboot_at) for name, result in sorted(results)}
    return {
        "schema": SCHEMA, "created": time.strftime(TIME, time.gmtime(now)), "expires": time.strftime(TIME, time.gmtime(now + LIFETIME_S)), "ticket": ticket,
        "hosts": {name: entry for name, entry in hosts.items() if entry["steps"] or entry["left"]},
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
    return {"boot_id": result["host"]["boot_id"], "audited": result["audit"]["started_at"], "evidence": evidence(steps), "steps": steps, "left": left}


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
        return "a reboot needs a time: plan again with --reboot-at, as +30, 03:30 or 2027-03-31T02:30:00Z"
    if proposed["state"] in ("unit_limits", "reap") and proposed["parameters"].get("user"):
        return "%s is a unit of the user's own manager: the user sets and restarts it (systemctl --user)" % proposed["parameters"].get("unit")
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


def evidence(steps: Sequence[Dict[str, Any]]) -> str:
    """Digest of what the steps are and why: a plan that was edited by hand says so."""
    text = json.dumps([[step["remedy"], step["parameters"], [each["fingerprint"] for each in step["because"]]] for step in steps], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


# -- reading one -----------------------------------------------------------------------------------------------------


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
    for host in sorted(hosts, key=str):
        yield from _host_mistakes("hosts.%s" % host, hosts[host])


def _host_mistakes(path: str, entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict) or not isinstance(entry.get("steps"), list):
        yield "%s.steps: must be a list" % path
        return
    for name in ("boot_id", "evidence"):
        if not isinstance(entry.get(name), str):
            yield "%s.%s: must be text" % (path, name)
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

    @property
    def changed(self) -> bool:
        return any(outcome.status in ("applied", "would change") for outcome in self.outcomes)

    @property
    def succeeded(self) -> bool:
        return all(outcome.status in GOOD for outcome in self.outcomes) and not self.remaining

    def plain(self) -> Dict[str, Any]:
        return {"outcomes": [each.plain() for each in self.outcomes], "remaining": list(self.remaining), "changed": self.changed}


def apply_host(document: Dict[str, Any], name: str, looking: bool, policy: Optional[Policy] = None, host: Optional[Host] = None) -> HostReport:
    """What the plan says of this host, done or looked at. Errors: NotAPlan; Refused, before anything is changed."""
    check(document)
    entry = document["hosts"].get(name)
    if entry is None:
        return HostReport((), ())
    here = host or LiveHost()
    _refuse_stale(document, entry, here)
    outcomes: List[Outcome] = []
    for step in entry["steps"]:
        if outcomes and outcomes[-1].status not in GOOD:
            outcomes.append(Outcome(step["remedy"], step["parameters"], "not reached", "an earlier step did not succeed", ()))
        else:
            outcomes.append(_step(step, looking))
    done = not looking and all(outcome.status in GOOD for outcome in outcomes)
    return HostReport(tuple(outcomes), tuple(_remaining(entry, policy)) if done else ())


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
    if evidence(entry["steps"]) != entry["evidence"]:
        raise Refused("the steps are not those that were planned (their digest differs): make the plan again, or apply single remedies by hand")


def _step(step: Dict[str, Any], looking: bool) -> Outcome:
    remedy, given = BY_NAME[step["remedy"]], step["parameters"]
    try:
        report = (engine.look if looking else engine.apply)(remedy, given)
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
