# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the project: gap, subject, evidence line, finding, rule.

Readers produce facts and gaps; rules turn facts into findings; audit.py turns findings into the result document.
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union

from .record import NamedTuple

UNLIMITED = 2 ** 64 - 1  # every spelling of infinity (unlimited, infinity, max, -1), as the kernel's unsigned RLIM_INFINITY

# Statuses, from harmless to grave. "unknown" is never folded into "pass".
PASS, NOT_APPLICABLE, INFO, UNKNOWN, WARN, FAIL = "pass", "n/a", "info", "unknown", "warn", "fail"
STATUSES = (PASS, NOT_APPLICABLE, INFO, UNKNOWN, WARN, FAIL)

# Severities of one finding (not of a rule).
CRIT, HIGH, MED, LOW = "CRIT", "HIGH", "MED", "LOW"
SEVERITY_INFO = "INFO"
SEVERITIES = (SEVERITY_INFO, LOW, MED, HIGH, CRIT)

HIGH_CONFIDENCE, MEDIUM_CONFIDENCE, LOW_CONFIDENCE = "high", "medium", "low"


class Gap(NamedTuple):
    """Something a reader could not see. Gaps with the same reason become one ``unknown`` finding with a count."""

    source: str  # path or bus object
    reason: str  # short, the same for the same cause


class Subject(NamedTuple):
    """What a finding is about.

    ``id`` is what a person reads (it may hold a pid); ``key`` is what stays the same over pids, reboots and
    container ids, and goes into the fingerprint: unit, program, user, path. Empty: the id is stable itself.
    """

    type: str  # host, user, unit, process, container, cgroup, file, zone, job
    id: str
    key: str = ""


class Seen(NamedTuple):
    """One line of evidence: where it was read and what stood there."""

    source: str
    value: str


class Remedy(NamedTuple):
    """A proposed desired state, in the vocabulary of DESIGN.md section 4."""

    state: str
    parameters: Tuple[Tuple[str, Any], ...] = ()
    disruptive: bool = False


class Finding(NamedTuple):
    status: str
    severity: str
    subject: Subject
    message: str  # one sentence a person acts on: subject first, numbers with their limit, what to do
    evidence: Tuple[Seen, ...] = ()
    binding: Optional[str] = None  # the limit that is reached first, as text
    confidence: str = HIGH_CONFIDENCE
    remedy: Optional[Remedy] = None
    references: Tuple[str, ...] = ()


class Passed(NamedTuple):
    """So many subjects were judged and are well: silence is never mistaken for health."""

    subjects: int = 1


class NotApplicable(NamedTuple):
    """The rule, or one clause of it, could not apply here, and why (no history yet, no systemd, kernel too old)."""

    reason: str


class Unknown(NamedTuple):
    """The rule could not judge something because of these gaps."""

    gaps: Tuple[Gap, ...]


Verdict = Union[Finding, Passed, NotApplicable, Unknown]
RuleFunction = Callable[[Any, Any], Iterable[Verdict]]


class Rule(NamedTuple):
    id: str
    title: str
    severity: str  # of the worst case
    because: str  # why that severity
    needs: Tuple[str, ...]  # names of the evidence it is judged from; without one of them the rule is unknown
    uses: Tuple[str, ...]  # evidence it is judged better with, and passes over when it could not be read
    judge: RuleFunction


def rule(
    id: str, title: str, severity: str, because: str, needs: Tuple[str, ...], uses: Tuple[str, ...] = ()
) -> Callable[[RuleFunction], Rule]:
    """Stands above a judging function, so that a rule reads like its catalogue entry."""

    def declare(judge: RuleFunction) -> Rule:
        return Rule(id, title, severity, because, needs, uses, judge)

    return declare


def grouped(gaps: Iterable[Gap]) -> Iterator[Tuple[str, List[Gap]]]:
    """Gaps by reason, in order of first appearance of the reason, sorted."""
    by_reason: Dict[str, List[Gap]] = {}
    for gap in gaps:
        by_reason.setdefault(gap.reason, []).append(gap)
    for reason in sorted(by_reason):
        yield reason, by_reason[reason]


def worst(statuses: Iterable[str]) -> str:
    """The gravest status; pass when there is none."""
    return max(statuses, key=STATUSES.index, default=PASS)
