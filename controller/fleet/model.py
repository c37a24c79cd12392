# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a fleet: a host as one run saw it, and what is found over many of them.

A host is what its result document says (``pidhygiene.result/1``), made harmless when it was taken in. Thousands of them pass by, one at a
time: whoever judges keeps of each no more than a few words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AUDITED, UNREACHABLE, FAILED, NOT_RECORDED = "audited", "unreachable", "failed", "not recorded"


@dataclass(frozen=True)
class FleetHost:
    """One host in one run. What the run did not see is empty; a host that was not audited has a message and a next step instead."""

    name: str
    outcome: str  # AUDITED, UNREACHABLE, FAILED or NOT_RECORDED
    at: float | None = None  # seconds since the epoch, by the host's clock
    received: float | None = None  # the same by the controller's
    status: str = "unknown"  # the gravest in force
    groups: tuple[str, ...] = ()  # host.tags: groups of the inventory, and words of the operator
    host: Mapping[str, Any] = field(default_factory=dict)  # as in the result: machine_id, boot_id, kernel, distro, cgroup …
    audit: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    rules: Mapping[str, str] = field(default_factory=dict)  # every rule that ran, with its status
    sha256: str = ""  # of the document as it was received
    message: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class FleetEvidence:
    host: str
    source: str  # a file, a property, an audit
    value: str


@dataclass(frozen=True)
class FleetFinding:
    """What is wrong with a fleet. One cause is one finding, on however many hosts."""

    rule: str  # PH-FLT-001 …
    title: str
    status: str  # as of hosts: fail, warn, info, unknown
    severity: str
    subject: str  # the group, program, package or identity that it is about
    message: str  # one sentence a person acts on
    hosts: tuple[str, ...]  # sorted
    evidence: tuple[FleetEvidence, ...] = ()
    remedy: Mapping[str, Any] | None = None  # as in a result: state, params, disruptive
    fingerprint: str = ""  # stable over runs: rule and subject
