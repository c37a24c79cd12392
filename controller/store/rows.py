# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store tells, as typed rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Run:
    """One audit of a fleet at one time."""

    id: int
    name: str
    kind: str  # "reported" by its run.json, "named" by the operator, "day": made from the files of that day
    started_at: float  # seconds since the epoch
    ended_at: float
    by: str = ""
    engine: str = ""
    inventory_digest: str = ""
    targeted: int | None = None  # hosts; None where nobody said
    outcomes: Mapping[str, int] = field(default_factory=dict)  # hosts by outcome
    statuses: Mapping[str, int] = field(default_factory=dict)  # audited hosts by their gravest status

    @property
    def recorded(self) -> int:
        return sum(number for outcome, number in self.outcomes.items() if outcome != "not recorded")


class FindingHistory(NamedTuple):
    """One finding of one host over the runs."""

    host: str
    rule: str
    fingerprint: str
    first_run: int
    first_at: float  # when that run started
    last_run: int
    last_at: float
    runs: int  # in how many it was found: fewer than lie between means that it was away


class Brood(NamedTuple):
    """Zombies of one parent."""

    parent: str
    unit: str
    pid: int
    zombies: int
    persistent: int
    oldest_s: float | None
    parent_age_s: float | None = None  # older engines do not tell
    leak_per_day: float | None = None  # where one audit could tell a leak from a pool


class Headroom(NamedTuple):
    """How full one budget was."""

    kind: str  # RLIMIT_NPROC, pids.max, pid_max …
    holder: str
    used: int
    limit: int


class Sample(NamedTuple):
    """The measures of one host in one run."""

    host: str
    run_id: int
    at: float  # by the host's clock, or when it was received where that clock is wrong
    boot_id: str  # another one: counters began anew
    tasks: int | None
    zombies: int | None
    broods: tuple[Brood, ...]
    headroom: tuple[Headroom, ...]


class RuleCount(NamedTuple):
    """How many audited hosts of a run had this status of this rule."""

    run_id: int
    rule: str
    status: str
    hosts: int
