# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a report: what the first screen says, and a line for each host. Plain data; whoever shows it escapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..fleet.changes import Changes
from ..fleet.controls import Control
from ..fleet.forecast import Leaking
from ..fleet.judging import RuleRow
from ..fleet.model import AUDITED, FleetFinding, FleetHost
from ..fleet.waivers import Ruling
from ..store.rows import Run
from .policies import PolicyChange

STATUSES = ("fail", "warn", "unknown", "info", "n/a", "pass")  # gravest first
SEVERITIES = ("CRIT", "HIGH", "MED", "LOW", "INFO")
GATING = {"fail": ("fail",), "warn": ("fail", "warn"), "unknown": ("fail", "warn", "unknown"), "never": ()}
GRAVE = ("fail", "warn", "unknown")


def place(names: Sequence[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def rank(status: str, severity: str) -> tuple[int, int]:
    """Gravest first."""
    return place(STATUSES, status), place(SEVERITIES, severity)


def in_force(finding: Mapping[str, Any]) -> bool:
    """Not waived, or the waiver has expired."""
    waiver = finding.get("waiver")
    return not isinstance(waiver, Mapping) or bool(waiver.get("expired"))


class Limit(NamedTuple):
    """A budget and how full it was."""

    kind: str  # RLIMIT_NPROC, pids.max, pid_max …
    holder: str
    used: int
    limit: int

    @property
    def share(self) -> float:
        return self.used / self.limit if self.limit > 0 else 1.0


class Forecast(NamedTuple):
    """When a limit is reached: seconds since the epoch. From and to are the ends of the interval."""

    at: float
    earliest: float
    latest: float | None  # None: perhaps never


@dataclass(frozen=True)
class Urgent:
    """One host at a limit, or near one."""

    host: str
    status: str
    severity: str
    binding: str  # as the rule said it
    limit: Limit | None
    filled_by: str
    now: bool  # no further process (file, session) is given
    forks: bool  # it is processes that are refused
    forecast: Forecast | None
    action: str
    owner: str
    zone: str
    rule: str
    message: str


@dataclass
class Cause:
    """One cause, on however many hosts."""

    key: str  # stable over runs
    rule: str
    title: str
    what: str  # program, unit, package or file
    status: str
    severity: str
    example: str = ""
    remedy: Mapping[str, Any] | None = None
    hosts: list[int] = field(default_factory=list)  # places in Report.hosts; of a cause of the whole fleet too
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    first_at: float | None = None
    new: bool | None = None  # None: there is nothing to compare with
    ticket: str = ""
    evidence: tuple[tuple[str, str, str], ...] = ()  # host, source, value: of causes of the whole fleet


@dataclass
class HostRow:
    """What the report keeps of one host."""

    name: str
    outcome: str
    status: str
    groups: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()  # findings in force by status, as in STATUSES
    waived: int = 0
    at: float | None = None
    received: float | None = None
    zone: str = ""
    system: str = ""  # distribution and release
    kernel: str = ""
    partial: bool = False
    stale: bool = False
    tasks: int | None = None
    zombies: int | None = None
    tightest: Limit | None = None
    texts: tuple[int, ...] = ()  # of its findings, in Report.texts; -1: not kept
    marks: tuple[tuple[str, str], ...] = ()  # (rule, status) of what was found
    errors: tuple[str, ...] = ()
    message: str = ""
    next_step: str = ""
    sha256: str = ""

    @property
    def audited(self) -> bool:
        return self.outcome == AUDITED

    def count(self, status: str) -> int:
        return self.counts[STATUSES.index(status)] if self.counts else 0

    def gravity(self) -> tuple[bool, int, int, str]:
        """Hosts that were not audited first: what is not known can be the worst."""
        return self.audited, place(STATUSES, self.status), -self.count(self.status) if self.status in STATUSES else 0, self.name


@dataclass
class Report:
    """All that a report says. Hosts sorted by name."""

    title: str
    run: Run
    now: float
    hosts: list[HostRow] = field(default_factory=list)
    texts: list[Mapping[str, Any]] = field(default_factory=list)  # findings that hosts say, each once
    outcomes: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)  # audited hosts
    policies: dict[str, int] = field(default_factory=dict)
    policies_before: dict[str, int] = field(default_factory=dict)
    policy_change: PolicyChange | None = None  # None: the same as in the run before
    engines: dict[str, int] = field(default_factory=dict)
    rules: dict[str, dict[str, int]] = field(default_factory=dict)  # every rule that ran: hosts by status
    titles: dict[str, str] = field(default_factory=dict)  # of rules
    urgent: list[Urgent] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    fleet: tuple[FleetFinding, ...] = ()  # in force
    fleet_rules: tuple[RuleRow, ...] = ()
    changes: Changes | None = None  # against the run before; None: there is none
    before: Run | None = None
    fleet_waived: tuple[Ruling, ...] = ()
    controls: list[Control] = field(default_factory=list)
    controls_mapped: bool = False
    states: dict[str, bytearray] = field(default_factory=dict)  # of each control, its outcome on each host: places in fleet.controls.OUTCOMES
    trends: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of each control, hosts that fail in each run
    lean: list[FleetHost] = field(default_factory=list)  # as hosts, with no more than their rules and what is grave or waived
    runs: list[Run] = field(default_factory=list)  # up to this one, in the order of time
    leaking: list[Leaking] = field(default_factory=list)  # programs that leak, of the hosts whose history was read; on most hosts first
    sparks: dict[str, tuple[float, ...]] = field(default_factory=dict)  # tasks of urgent hosts over their runs
    partial: int = 0
    stale: int = 0
    chosen: str = ""  # the words by which hosts were chosen, where not all are shown

    @property
    def expected(self) -> int:
        """The denominator is the inventory, where it is known."""
        return max(self.run.targeted or 0, len(self.hosts)) if not self.chosen else len(self.hosts)

    @property
    def audited(self) -> int:
        return self.outcomes.get(AUDITED, 0)

    @property
    def not_audited(self) -> int:
        return self.expected - self.audited

    def with_status(self, *statuses: str) -> int:
        return sum(self.statuses.get(status, 0) for status in statuses)

    def gated(self, fail_on: str) -> bool:
        return any(row.count(status) for row in self.hosts for status in GATING[fail_on]) or any(finding.status in GATING[fail_on] for finding in self.fleet)
