# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result document ``pidhygiene.result/1``: one JSON object per host and audit, sections as in DESIGN.md section 5.

Everything that stands in it is plain data, sorted, bounded, and harmless to show.
"""

import time
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from . import __version__, facts, marks, measures
from .digest import sha256
from .host import Host, HostError
from .model import (
    HIGH_CONFIDENCE,
    LOW,
    SEVERITIES,
    STATUSES,
    UNKNOWN,
    Finding,
    Gap,
    Remedy,
    Seen,
    Subject,
    grouped,
)
from .pattern import pattern
from .policy import Policy, Waiver
from .text import shown

SCHEMA = "pidhygiene.result/1"
SOURCES = ("visibility", "hierarchy", "distribution") + facts.SOURCES + measures.SOURCES + marks.SOURCES
MOST_FINDINGS = 200  # of one rule; the rest is counted as omitted
MOST_OF_A_USER = 20  # of those, where they are too many
EXAMPLES = 10  # of one cause
# What a user has written himself: units of his manager, his crontab.
OF_A_USER = pattern(r"user@[0-9]+\.service/|/var/spool/cron/(?:crontabs/|tabs/)?(?!root:)[^/:]+:")
MESSAGE_LIMIT = 600  # characters
EVIDENCE_LIMIT = 400


def build(host: Host, evidence: Any, policy: Policy, judgements: Sequence[Any], errors: List[str], tags: Sequence[str]) -> Dict[str, Any]:
    """The whole document. Sections that fail by a fault of ours are left empty and told in ``audit.errors``."""
    identity = _host(host, evidence, tags)
    today = time.strftime("%Y-%m-%d", time.gmtime(host.clock().wall))
    waivers = policy.waivers()
    findings: List[Dict[str, Any]] = []
    table: List[Dict[str, Any]] = []
    for judgement in judgements:
        own = [plain_finding(judgement.rule, finding) for finding in judgement.findings]
        own.extend(_unknowns(judgement.rule, judgement.unknown))
        own.sort(key=_gravest_first)
        kept = _kept(own)
        for finding in kept:
            finding["waiver"] = _waived(finding, waivers, identity["name"], tags, today)
        findings.extend(kept)
        table.append(_rule_row(judgement, own, len(own) - len(kept)))
    compared = _section(facts.collect, evidence, errors)
    if policy["quorum_groups"]:
        compared["voter_units"] = facts.voter_units(evidence, policy["quorum_groups"])
    result = {
        "schema": SCHEMA,
        "host": identity,
        "summary": _summary(table, findings),
        "facts": compared,
        "measures": _section(measures.collect, evidence, errors),
        "findings": findings,
        "rules": table,
        "marks": _section(marks.collect, evidence, errors),
    }
    result["audit"] = _audit(host, evidence, policy, errors)
    return result


def _section(collect: Any, evidence: Any, errors: List[str]) -> Dict[str, Any]:
    try:
        section: Dict[str, Any] = collect(evidence)
        return section
    except Exception as error:  # a fault of ours must not cost the findings
        errors.append("%s: %s: %s" % (collect.__module__, type(error).__name__, error))
        return {}


def plain_finding(rule: Any, finding: Finding) -> Dict[str, Any]:
    """As it stands in the document."""
    return {
        "rule": rule.id,
        "title": rule.title,
        "status": finding.status,
        "severity": finding.severity,
        "subject": {"type": finding.subject.type, "id": shown(finding.subject.id)},
        "message": shown(finding.message, MESSAGE_LIMIT),
        "evidence": [{"source": shown(seen.source), "value": shown(str(seen.value), EVIDENCE_LIMIT)} for seen in finding.evidence],
        "binding": shown(finding.binding, EVIDENCE_LIMIT) if finding.binding else None,
        "confidence": finding.confidence,
        "remedy": _remedy(finding.remedy),
        "references": list(finding.references),
        "waiver": None,
        "fingerprint": fingerprint(rule.id, finding.subject),
    }


def fingerprint(rule_id: str, subject: Subject) -> str:
    """Stable across runs, pids, reboots and container ids."""
    text = "\0".join((rule_id, subject.type, subject.key or subject.id))
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _remedy(remedy: Optional[Remedy]) -> Optional[Dict[str, Any]]:
    if remedy is None:
        return None
    return {"state": remedy.state, "parameters": dict(remedy.parameters), "disruptive": remedy.disruptive}


def _unknowns(rule: Any, gaps: Iterable[Gap]) -> List[Dict[str, Any]]:
    """One finding per cause, with a count and a few examples."""
    found = []
    for reason, same in grouped(gaps):
        places = sorted({gap.source for gap in same})
        message = "%s could not be judged: %s (%d place%s)" % (rule.title, reason, len(places), "" if len(places) == 1 else "s")
        seen = tuple(Seen(place, reason) for place in places[:EXAMPLES])
        found.append(plain_finding(rule, Finding(UNKNOWN, LOW, Subject("host", reason, reason), message, seen, confidence=HIGH_CONFIDENCE)))
    return found


def _gravest_first(finding: Dict[str, Any]) -> Tuple[int, int, str, str]:
    return (
        -STATUSES.index(finding["status"]), -SEVERITIES.index(finding["severity"]), finding["subject"]["type"], finding["subject"]["id"],
    )


def _kept(own: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """All, or as many as may be: no user pushes what is the system's, or another user's, out of the document."""
    if len(own) <= MOST_FINDINGS:
        return own
    of_system, of_users, counts = [], [], {}  # type: List[Dict[str, Any]], List[Dict[str, Any]], Dict[str, int]
    for finding in own:
        user = OF_A_USER.match(finding["subject"]["id"])
        if user is None:
            of_system.append(finding)
            continue
        counts[user.group()] = counts.get(user.group(), 0) + 1
        if counts[user.group()] <= MOST_OF_A_USER:
            of_users.append(finding)
    return sorted((of_system + of_users)[:MOST_FINDINGS], key=_gravest_first)


def _waived(finding: Dict[str, Any], waivers: Sequence[Waiver], host: str, tags: Sequence[str], today: str) -> Optional[Dict[str, Any]]:
    for waiver in waivers:
        if waiver.matches(finding["rule"], finding["subject"]["id"], host, tags):
            return {
                "justification": shown(waiver.justification), "owner": shown(waiver.owner), "expires": waiver.expires,
                "expired": waiver.expires < today,
            }
    return None


def in_force(finding: Dict[str, Any]) -> bool:
    """Whether the finding still gates: not waived, or the waiver has expired."""
    return finding["waiver"] is None or finding["waiver"]["expired"]


def _rule_row(judgement: Any, own: Sequence[Dict[str, Any]], omitted: int) -> Dict[str, Any]:
    counts: Dict[str, int] = {}
    for finding in own:
        counts[finding["status"]] = counts.get(finding["status"], 0) + 1
    if judgement.passed:
        counts["pass"] = judgement.passed
    row: Dict[str, Any] = {"rule": judgement.rule.id, "status": judgement.status, "counts": counts}
    if judgement.not_applicable:
        row["not_applicable"] = [shown(reason) for reason in judgement.not_applicable]
    if omitted:
        row["omitted"] = omitted
    return row


def _summary(table: Sequence[Dict[str, Any]], findings: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    status = {name: 0 for name in STATUSES}
    for row in table:
        status[row["status"]] += 1
    severity = {name: 0 for name in SEVERITIES}
    waived = 0
    for finding in findings:
        if not in_force(finding):
            waived += 1
        elif finding["status"] in ("warn", "fail"):
            severity[finding["severity"]] += 1
    return {"rules_by_status": status, "findings_by_severity": severity, "waived": waived}


def _host(host: Host, evidence: Any, tags: Sequence[str]) -> Dict[str, Any]:
    told = evidence.distribution if evidence.has("distribution") and not evidence.distribution.gaps else None
    return {
        "name": _line(host, "/proc/sys/kernel/hostname") or _line(host, "/etc/hostname"),
        "machine_id": _line(host, "/etc/machine-id"),
        "boot_id": _line(host, "/proc/sys/kernel/random/boot_id"),
        "kernel": _line(host, "/proc/sys/kernel/osrelease"),
        "distro": {"id": shown(told.id) if told else "", "version": shown(told.version) if told else ""},
        "init": _line(host, "/proc/1/comm"),
        "cgroup": evidence.hierarchy.mode if evidence.has("hierarchy") else "unknown",
        "tags": sorted(shown(tag) for tag in tags),
    }


def _line(host: Host, path: str) -> str:
    try:
        return shown(host.read_text(path, limit=4096).strip())
    except HostError:
        return ""


def _audit(host: Host, evidence: Any, policy: Policy, errors: Sequence[str]) -> Dict[str, Any]:
    effort = host.effort()
    full = evidence.has("visibility") and evidence.visibility.full
    waited = evidence.zombies.waited_s if evidence.has("zombies") else 0.0
    return {
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(effort.started_at)),
        "duration_s": round(effort.duration_s, 3),
        "waited_s": round(waited, 3),
        "engine_version": __version__,
        "policy_digest": policy.digest(),
        "max_rss_kib": effort.max_rss_kib,
        "visibility": "full" if full else "partial",
        "errors": [shown(error, EVIDENCE_LIMIT) for error in errors],
    }


def gate(result: Dict[str, Any], fail_on: str) -> bool:
    """Whether any finding in force is at or above this status ("info" never gates)."""
    order = {UNKNOWN: 1, "warn": 2, "fail": 3}
    least = order[fail_on]
    return any(order.get(finding["status"], 0) >= least and in_force(finding) for finding in result["findings"])
