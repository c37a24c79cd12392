# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch of answers into the tables, in one transaction: wholly or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, Table, delete, insert, select, tuple_, update

from ..render.folder import AUDITED, NOT_RECORDED
from . import lock
from .packing import digest, packed
from .received import Answer
from .tables import audits, documents, finding_keys, findings, hosts, run_groups, runs, texts

REPORTED, NAMED, DAY = "reported", "named", "day"
MOST_ASKED = 500  # values in one question; an old SQLite takes 999
MOST_REMEMBERED = 200_000

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Target:
    """The run that an answer belongs to; made when there is none of that name."""

    name: str
    kind: str
    started_at: float
    ended_at: float
    by: str = ""
    engine: str = ""
    inventory_digest: str = ""
    targeted: int | None = None


# What became of an answer.
RECORDED, REPLACED, ALREADY, MOVED, EARLIER = "recorded", "replaced", "already", "moved", "earlier"


@dataclass
class Memory:
    """Numbers of rows that were seen, so that they are not asked for again; void after a prune."""

    generation: int = 0
    hosts: dict[str, int] = field(default_factory=dict)
    texts: dict[bytes, int] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)

    def settle(self, generation: int) -> None:
        if generation != self.generation:
            self.generation = generation
            for each in (self.hosts, self.texts, self.keys):
                each.clear()
        for each in (self.hosts, self.texts, self.keys):
            if len(each) > MOST_REMEMBERED:
                each.clear()


def batch(engine: Engine, memory: Memory, taken: Sequence[tuple[Target, Answer]]) -> list[str]:
    """What became of each, in order. No host may stand twice in one run of the batch. Errors: DBAPIError."""
    try:
        with lock.writing(engine) as connection:
            memory.settle(lock.number(connection))
            return _batch(connection, memory, taken)
    except BaseException:
        memory.settle(-1)  # rows that it numbered were not kept
        raise


def _batch(connection: Connection, memory: Memory, taken: Sequence[tuple[Target, Answer]]) -> list[str]:
    run_ids = _runs(connection, [target for target, _answer in taken])
    _number(connection, memory.hosts, hosts, [hosts.c.name], {answer.name: {"name": answer.name} for _target, answer in taken})
    rows = [(run_ids[target.name], memory.hosts[answer.name], target, answer) for target, answer in taken]
    present = _present(connection, rows)
    became, write, replaced, moved = [], [], [], []
    for run, host, target, answer in rows:
        here, elsewhere = present.get((run, host)), present.get((host, answer.content))
        if here is not None and here.content == answer.content:
            became.append(ALREADY)
        elif here is not None and not _later(answer, here):
            became.append(EARLIER)
        elif elsewhere is not None and (target.kind == DAY or elsewhere.kind != DAY):
            became.append(ALREADY)
        else:
            if here is not None:
                replaced.append((run, host))
            if elsewhere is not None:
                moved.append((elsewhere.run_id, host, run))
            else:
                write.append((run, host, answer))
            became.append(MOVED if elsewhere is not None else REPLACED if here is not None and here.outcome != NOT_RECORDED else RECORDED)
    for run, host in replaced:
        connection.execute(delete(audits).where(audits.c.run_id == run, audits.c.host_id == host))
    for old, host, run in moved:
        connection.execute(update(audits).where(audits.c.run_id == old, audits.c.host_id == host).values(run_id=run))
    _write(connection, memory, write)
    _groups(connection, {(run, tag) for (run, _host, _target, answer), what in zip(rows, became) if what not in (ALREADY, EARLIER) for tag in answer.tags})
    _drop_empty(connection, {*run_ids.values(), *(old for old, _host, _run in moved)})
    return became


def _later(new: Answer, old: Any) -> bool:
    """Two results of one host are compared by its own clock; else by the controller's. Of two alike, what was handed in last."""
    if NOT_RECORDED in (new.outcome, old.outcome):
        return new.outcome != NOT_RECORDED
    if new.outcome == old.outcome == AUDITED and new.at is not None and old.at is not None:
        return bool(new.at >= old.at)
    return bool(new.received >= old.received)


def _runs(connection: Connection, targets: Sequence[Target]) -> dict[str, int]:
    """The number of each run by its name; its span grows with what comes in."""
    wanted: dict[str, Target] = {}
    for target in targets:
        known = wanted.get(target.name)
        wanted[target.name] = target if known is None else _joined(known, target)
    found: dict[str, int] = {}
    for name in sorted(wanted):
        target = wanted[name]
        row = connection.execute(select(runs).where(runs.c.name == name)).one_or_none()
        if row is None:
            values = {"name": name, "kind": target.kind, "started_at": target.started_at, "ended_at": target.ended_at, "made_by": target.by,
                      "engine": target.engine, "inventory_digest": target.inventory_digest, "targeted": target.targeted}
            inserted = connection.execute(insert(runs).values(**values)).inserted_primary_key
            found[name] = int(inserted[0]) if inserted else 0
            continue
        found[name] = row.id
        changed: dict[str, Any] = {}
        if target.kind == REPORTED and row.kind != REPORTED:  # its run.json came after the first results
            changed = {"kind": REPORTED, "made_by": target.by, "engine": target.engine, "inventory_digest": target.inventory_digest,
                       "targeted": target.targeted, "started_at": target.started_at, "ended_at": target.ended_at}
        elif row.kind != REPORTED and (target.started_at < row.started_at or target.ended_at > row.ended_at):
            changed = {"started_at": min(row.started_at, target.started_at), "ended_at": max(row.ended_at, target.ended_at)}
        if changed:
            connection.execute(update(runs).where(runs.c.id == row.id).values(**changed))
    return found


def _joined(one: Target, other: Target) -> Target:
    if one.kind == REPORTED or other.kind == REPORTED:
        return one if one.kind == REPORTED else other
    return Target(one.name, one.kind, min(one.started_at, other.started_at), max(one.ended_at, other.ended_at))


def _present(connection: Connection, rows: Sequence[tuple[int, int, Target, Answer]]) -> dict[tuple[int, Any], Any]:
    """What is there of these hosts: by (run, host), and by (host, content) wherever it is."""
    columns = (audits.c.run_id, audits.c.host_id, audits.c.content, audits.c.outcome, audits.c.at, audits.c.received, runs.c.kind)
    question = select(*columns).join(runs, runs.c.id == audits.c.run_id)
    found: dict[tuple[int, Any], Any] = {}
    for run in {run for run, _host, _target, _answer in rows}:
        for ids in chunks(host for other, host, _target, _answer in rows if other == run):
            for row in connection.execute(question.where(audits.c.run_id == run, audits.c.host_id.in_(ids))):
                found[row.run_id, row.host_id] = row
    for contents in chunks(answer.content for _run, _host, _target, answer in rows if answer.outcome != NOT_RECORDED):
        for row in connection.execute(question.where(audits.c.content.in_(contents))):
            found[row.host_id, row.content] = row
    return found


def _write(connection: Connection, memory: Memory, answers: Sequence[tuple[int, int, Answer]]) -> None:
    said = [each for _run, _host, answer in answers for each in answer.findings]
    _number(connection, memory.keys, finding_keys, [finding_keys.c.fingerprint, finding_keys.c.rule],
            {(each.fingerprint, each.rule): {"fingerprint": each.fingerprint, "rule": each.rule} for each in said})
    bodies = {digest(each.text): each.text for each in said}
    for _run, _host, answer in answers:
        bodies.update((digest(text), text) for text in (answer.identity, answer.facts, answer.rules, answer.shape) if text is not None)
    _number(connection, memory.texts, texts, [texts.c.digest], {key: {"digest": key, "body": body} for key, body in bodies.items()},
            lambda row: {"digest": row["digest"], "body": packed(row["body"])})

    def text_id(text: bytes | None) -> int | None:
        return None if text is None else memory.texts[digest(text)]

    _insert(connection, audits, [
        {
            "run_id": run, "host_id": host, "outcome": answer.outcome, "at": answer.at, "received": answer.received, "status": answer.status,
            "visibility": answer.visibility, "engine": answer.engine, "policy": answer.policy, "machine_id": answer.machine_id,
            "boot_id": answer.boot_id, "tasks": answer.tasks, "zombies": answer.zombies, "message": answer.message,
            "next_step": answer.next_step, "sha256": answer.sha256, "content": answer.content, "identity_id": text_id(answer.identity),
            "facts_id": text_id(answer.facts), "rules_id": text_id(answer.rules), "detail": answer.detail,
            "shape_id": text_id(answer.shape), "course": answer.course,
        } for run, host, answer in answers])
    _insert(connection, findings, [
        {
            "run_id": run, "host_id": host, "place": place, "key_id": memory.keys[each.fingerprint, each.rule], "text_id": text_id(each.text),
            "status": each.status, "waived": each.waived,
        } for run, host, answer in answers for place, each in enumerate(answer.findings)])
    _insert(connection, documents, [
        {"run_id": run, "host_id": host, "body": answer.document} for run, host, answer in answers if answer.document is not None])


def _number(connection: Connection, known: dict[Any, int], table: Table, columns: Sequence[Column[Any]], wanted: dict[Any, dict[str, Any]],
            prepare: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row) -> None:
    """Learn the number of each row by its key; add those that are missing."""

    def learn(keys: Iterable[Any]) -> None:
        for some in chunks(keys):
            condition = columns[0].in_(some) if len(columns) == 1 else tuple_(*columns).in_(some)
            for row in connection.execute(select(table.c.id, *columns).where(condition)):
                known[row[1] if len(columns) == 1 else (row[1], row[2])] = row[0]

    learn(key for key in wanted if key not in known)
    missing = [key for key in wanted if key not in known]
    _insert(connection, table, [prepare(wanted[key]) for key in missing])
    learn(missing)


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _groups(connection: Connection, wanted: set[tuple[int, str]]) -> None:
    for run in {run for run, _tag in wanted}:
        known = set(connection.execute(select(run_groups.c.name).where(run_groups.c.run_id == run)).scalars())
        _insert(connection, run_groups, [{"run_id": run, "name": tag} for other, tag in sorted(wanted) if other == run and tag not in known])


def _drop_empty(connection: Connection, run_ids: set[int]) -> None:
    """Runs that nobody told of, and whose hosts all turned out to belong to another."""
    for run in run_ids:
        if connection.execute(select(audits.c.host_id).where(audits.c.run_id == run).limit(1)).first() is None:
            connection.execute(delete(runs).where(runs.c.id == run, runs.c.kind != REPORTED))


def chunks(values: Iterable[_Key]) -> Iterable[list[_Key]]:
    iterator = iter(values)
    some = list(islice(iterator, MOST_ASKED))
    while some:
        yield some
        some = list(islice(iterator, MOST_ASKED))
