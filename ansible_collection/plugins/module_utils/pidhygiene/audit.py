# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One audit of one host: gather the evidence that the rules need, judge it, write the result document."""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from . import document, marks
from .evidence import Evidence, NotSeen, gather
from .host import Host
from .model import NOT_APPLICABLE, PASS, UNKNOWN, Finding, Gap, NotApplicable, Passed, Rule, Unknown, worst
from .policy import Policy
from .record import NamedTuple
from .rules.catalogue import RULES, select


class Judgement(NamedTuple):
    """What one rule said about this host."""

    rule: Rule
    findings: Tuple[Finding, ...]
    passed: int  # subjects
    not_applicable: Tuple[str, ...]  # reasons, whole rule or single clauses
    unknown: Tuple[Gap, ...]

    @property
    def status(self) -> str:
        statuses = [finding.status for finding in self.findings]
        if self.unknown:
            statuses.append(UNKNOWN)
        if statuses:
            return worst(statuses)
        return NOT_APPLICABLE if self.not_applicable and not self.passed else PASS


def audit(
    host: Host,
    policy: Optional[Policy] = None,
    previous: Optional[Dict[str, Any]] = None,
    rules: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Dict[str, Any]:
    """The result document (``pidhygiene.result/1``) of this host.

    ``rules``: ids or patterns (PH-ZMB-*); empty: all. ``previous``: the ``marks`` of this host's last result.
    Never raises for what it finds on the host; a fault of ours costs one rule and stands in ``audit.errors``.
    """
    policy = policy or Policy()
    chosen = select(rules) if rules else RULES
    evidence = gather(host, needed(chosen), marks.usable(previous))
    errors = list(evidence.broken)
    judgements = [judge(rule, evidence, policy, errors) for rule in chosen]
    return document.build(host, evidence, policy, judgements, errors, tags)


def needed(rules: Iterable[Rule]) -> List[str]:
    """Names of the evidence that these rules and the document's own sections are made from."""
    names = set(document.SOURCES)
    for rule in rules:
        names.update(rule.needs)
        names.update(rule.uses)
    return sorted(names)


def hidden_processes(rule: Rule, evidence: Evidence) -> List[Gap]:
    """A process that could not be seen may be just what a rule looks for: no rule about processes can pass then."""
    if "processes" not in rule.needs or rule.id.startswith("PH-OBS-"):
        return []
    gaps = list(evidence.processes.gaps) if evidence.has("processes") else []
    if evidence.has("visibility") and evidence.visibility.hides_processes:
        gaps.append(Gap("/proc", "hidepid hides the processes of other users"))
    return gaps


def judge(rule: Rule, evidence: Evidence, policy: Policy, errors: List[str]) -> Judgement:
    """Runs one rule. Evidence that is missing makes it unknown, never passed; so does a fault of ours."""
    missing = evidence.gaps_of_unseen(*rule.needs)
    if missing:
        return Judgement(rule, (), 0, (), missing[:1])
    findings: List[Finding] = []
    reasons: List[str] = []
    gaps = hidden_processes(rule, evidence)
    passed = 0
    try:
        for verdict in rule.judge(evidence, policy):
            if isinstance(verdict, Passed):
                passed += verdict.subjects
            elif isinstance(verdict, NotApplicable):
                reasons.append(verdict.reason)
            elif isinstance(verdict, Unknown):
                gaps.extend(verdict.gaps)
            elif verdict.status == PASS:
                passed += 1
            else:
                findings.append(verdict)
    except NotSeen as missed:
        gaps.append(Gap(missed.error.path, missed.error.reason))
    except Exception as error:  # one faulty rule must not silence the others
        errors.append("%s: %s: %s" % (rule.id, type(error).__name__, error))
        gaps.append(Gap(rule.id, "internal error in the rule"))
    return Judgement(rule, tuple(findings), passed, tuple(sorted(set(reasons))), tuple(sorted(set(gaps))))
