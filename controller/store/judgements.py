# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a run as a whole: what was found over its fleet, and by which policies its hosts were judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pidhygiene.model import FAIL, UNKNOWN, WARN
from pidhygiene.policy import Policy
from sqlalchemy import Connection, Engine, delete, func, insert, select

from ..fleet.model import FleetEvidence, FleetFinding
from . import lock, received
from .packing import compact, digest, packed, unpacked
from .tables import fleet_findings, judgements, policies, runs
from .writing import chunks


def keep_policy(engine: Engine, policy: Policy, now: float) -> None:
    name = policy.digest()
    known = select(policies.c.digest).where(policies.c.digest == name)
    with engine.connect() as connection:
        if connection.execute(known).first() is not None:
            return
    body = packed(compact(json.loads(json.dumps(policy.document, default=str))))  # dates of YAML as text, as in the digest
    with lock.writing(engine) as connection:
        if connection.execute(known).first() is None:
            connection.execute(insert(policies).values(digest=name, kept_at=now, body=body))


def policies_of(connection: Connection, digests: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for some in chunks(digests):
        for name, body in connection.execute(select(policies.c.digest, policies.c.body).where(policies.c.digest.in_(some))):
            found[name] = unpacked(body)
    return found


def keep(engine: Engine, run_id: int, findings: Sequence[FleetFinding]) -> None:
    """Who reports the same run again writes nothing, and waits for nobody."""
    bodies = [compact(asdict(each)) for each in findings]
    content = digest(b"\n".join(bodies))
    known = select(judgements.c.content).where(judgements.c.run_id == run_id)
    with engine.connect() as connection:
        if connection.execute(known).scalar() == content:
            return
    with lock.writing(engine) as connection:
        if connection.execute(select(runs.c.id).where(runs.c.id == run_id)).first() is None:
            return  # pruned meanwhile
        connection.execute(delete(fleet_findings).where(fleet_findings.c.run_id == run_id))
        connection.execute(delete(judgements).where(judgements.c.run_id == run_id))
        connection.execute(insert(judgements).values(run_id=run_id, content=content))
        for place, (finding, body) in enumerate(zip(findings, bodies, strict=True)):
            values = {"run_id": run_id, "place": place, "fingerprint": received.name(finding.fingerprint), "status": finding.status, "body": packed(body)}
            connection.execute(insert(fleet_findings).values(**values))


def of_run(connection: Connection, run_id: int) -> list[FleetFinding] | None:
    if connection.execute(select(judgements.c.run_id).where(judgements.c.run_id == run_id)).first() is None:
        return None
    bodies = connection.execute(select(fleet_findings.c.body).where(fleet_findings.c.run_id == run_id).order_by(fleet_findings.c.place)).scalars()
    return [_finding(unpacked(body)) for body in bodies]


def _finding(plain: dict[str, Any]) -> FleetFinding:
    return FleetFinding(**{**plain, "hosts": tuple(plain["hosts"]), "evidence": tuple(FleetEvidence(**each) for each in plain["evidence"])})


def history(connection: Connection, until: float) -> dict[str, float]:
    question = (
        select(fleet_findings.c.fingerprint, func.min(runs.c.started_at)).join(runs, runs.c.id == fleet_findings.c.run_id)
        .where(runs.c.started_at <= until, fleet_findings.c.status.in_((FAIL, WARN, UNKNOWN))).group_by(fleet_findings.c.fingerprint))
    return {fingerprint: first for fingerprint, first in connection.execute(question)}
