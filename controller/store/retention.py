# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is old goes: documents first if that is wanted, then whole runs, then what nothing refers to any more."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, delete, select, text, union_all

from . import lock
from .tables import audits, documents, finding_keys, findings, fleet_findings, hosts, judgements, policies, runs, texts

VACUUM_SHARE = 0.25  # of a file of SQLite that is free, from which on the advice is given
LEAST_FREE = 2**20  # bytes


@dataclass(frozen=True)
class Pruned:
    runs: int = 0
    documents: int = 0
    texts: int = 0
    advice: str = ""


def prune(engine: Engine, now: float, keep_s: float, keep_documents_s: float | None = None) -> Pruned:
    """Delete runs that ended longer ago than keep_s, and documents of runs longer ago than keep_documents_s. One transaction for each run."""
    with engine.connect() as connection:
        old = connection.execute(select(runs.c.id).where(runs.c.ended_at < now - keep_s).order_by(runs.c.id)).scalars().all()
        fading = [] if keep_documents_s is None else connection.execute(
            select(runs.c.id).where(runs.c.ended_at < now - keep_documents_s, runs.c.id.not_in(old)).order_by(runs.c.id)).scalars().all()
    gone = 0
    for run in (*old, *fading):
        with lock.writing(engine) as connection:
            gone += connection.execute(delete(documents).where(documents.c.run_id == run)).rowcount
    for run in old:
        with lock.writing(engine) as connection:
            connection.execute(delete(findings).where(findings.c.run_id == run))
            connection.execute(delete(audits).where(audits.c.run_id == run))
            connection.execute(delete(fleet_findings).where(fleet_findings.c.run_id == run))
            connection.execute(delete(judgements).where(judgements.c.run_id == run))
            connection.execute(delete(runs).where(runs.c.id == run))
    freed = _forget(engine) if old else 0
    return Pruned(len(old), gone, freed, _advice(engine))


def _forget(engine: Engine) -> int:
    """Texts, keys and hosts that nothing refers to."""
    with lock.writing(engine) as connection:
        lock.next_number(connection)
        used = union_all(select(findings.c.text_id), *(
            select(column).where(column.is_not(None)) for column in (audits.c.identity_id, audits.c.facts_id, audits.c.rules_id, audits.c.shape_id)))
        freed = connection.execute(delete(texts).where(texts.c.id.not_in(used))).rowcount
        connection.execute(delete(finding_keys).where(finding_keys.c.id.not_in(select(findings.c.key_id))))
        connection.execute(delete(policies).where(policies.c.digest.not_in(select(audits.c.policy).distinct())))
        connection.execute(delete(hosts).where(hosts.c.id.not_in(select(audits.c.host_id))))
        return freed


def _advice(engine: Engine) -> str:
    """Deleting makes room for what comes; it gives the disk nothing back."""
    if engine.dialect.name != "sqlite":
        return ""
    with engine.connect() as connection:
        pages, free = (int(connection.execute(text("PRAGMA " + name)).scalar() or 0) for name in ("page_count", "freelist_count"))
        size = int(connection.execute(text("PRAGMA page_size")).scalar() or 0)
    if free < VACUUM_SHARE * pages or free * size < LEAST_FREE:
        return ""
    return "%d of %d MB of %s are free and will be used again; to give them back: sqlite3 %s VACUUM (it needs as much room once more, and nobody else)" % (
        free * size // 2**20, pages * size // 2**20, engine.url.database, engine.url.database)
