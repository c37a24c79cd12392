# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule over a fleet, listed explicitly, as the engine's are."""

from __future__ import annotations

from collections.abc import Iterable

from pidhygiene.policy import Policy

from . import identity, judging, leaks, limits, quorum, reports, schedules, time_split, upgrades, zone_data
from .model import FleetHost

RULES: tuple[judging.FleetRule, ...] = tuple(each.rule for each in (
    limits.LimitsDiffer,
    leaks.Leaks,
    time_split.TimeSplit,
    identity.Clones,
    upgrades.HalfRestarted,
    quorum.QuorumGate,
    zone_data.ZoneData,
    reports.StaleOrBlind,
    schedules.SameMinute,
))


def begin(policy: Policy, now: float) -> judging.Judging:
    """All rules over hosts that somebody else looks through."""
    return judging.Judging(policy, now, RULES)


def judge(hosts: Iterable[FleetHost], policy: Policy | None = None, now: float = 0.0) -> judging.FleetJudgement:
    """All rules, in one pass over the hosts; a policy is not needed. ``now``: seconds since the epoch, from which ages are measured."""
    return judging.judge(hosts, policy or Policy(), now, RULES)
