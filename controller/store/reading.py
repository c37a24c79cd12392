# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the store. Hosts come in pages of a few hundred: whoever reads ten thousand never holds more, and keeps no transaction open."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, func, select

from ..fleet.model import FleetHost
from ..render.folder import AUDITED
from . import course
from .errors import NoSuchRun, NotKept
from .intake import AHEAD_S, BEHIND_S
from .packing import unpacked
from .rows import FindingHistory, RuleCount, Run, Sample
from .tables import audits, documents, finding_keys, findings, hosts, run_groups, runs, texts
from .writing import chunks

PAGE = 400  # hosts in memory
ROWS = 2000  # small rows fetched at a time
REMEMBERED = 8192  # texts that many hosts share, unpacked


def all_runs(connection: Connection) -> list[Run]:
    """In the order of time."""
    outcomes: dict[int, dict[str, int]] = {}
    statuses: dict[int, dict[str, int]] = {}
    counted = select(audits.c.run_id, audits.c.outcome, audits.c.status, func.count()).group_by(audits.c.run_id, audits.c.outcome, audits.c.status)
    for run, outcome, status, number in connection.execute(counted):
        of_run = outcomes.setdefault(run, {})
        of_run[outcome] = of_run.get(outcome, 0) + number
        if outcome == AUDITED:
            statuses.setdefault(run, {})[status] = number
    return [
        Run(row.id, row.name, row.kind, row.started_at, row.ended_at, row.made_by, row.engine, row.inventory_digest, row.targeted,
            outcomes.get(row.id, {}), statuses.get(row.id, {}))
        for row in connection.execute(select(runs).order_by(runs.c.started_at, runs.c.id))
    ]


def run(connection: Connection, wanted: int | str) -> Run:
    """By number or name. Errors: NoSuchRun."""
    for each in all_runs(connection):
        if wanted in (each.id, each.name):
            return each
    raise NoSuchRun("there is no run %s: python -m pidhygiene.controller runs lists them" % wanted)


def last_run(connection: Connection, group: str | None) -> Run | None:
    """The latest, or the latest that recorded a host with this tag."""
    question = select(runs.c.id).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(1)
    if group is not None:
        question = question.join(run_groups, run_groups.c.run_id == runs.c.id).where(run_groups.c.name == group)
    found = connection.execute(question).scalar()
    return None if found is None else run(connection, found)


def fleet(engine: Engine, run_id: int, names: Sequence[str] | None, lean: bool = False) -> Iterator[FleetHost]:
    """The hosts of a run, sorted by name."""
    shared = _Shared(engine)
    for page in _pages(engine, run_id, names):
        ids = [row.host_id for row in page]
        with engine.connect() as connection:
            said = _said(connection, run_id, ids)
            shared.learn(connection, {text for of_host in said.values() for text in of_host} | {
                text for row in page for text in (row.identity_id, row.rules_id) if text is not None})
            facts = _bodies(connection, {row.facts_id for row in page if row.facts_id is not None and not lean})
        for row in page:
            yield _fleet_host(row, said.get(row.host_id, ()), shared, facts, lean)


def last_audits(engine: Engine, names: Sequence[str], until: float) -> Iterator[FleetHost]:
    """These hosts as their last audits saw them; by run, then by name."""
    question = (
        select(hosts.c.name, audits.c.run_id).join(hosts, hosts.c.id == audits.c.host_id).join(runs, runs.c.id == audits.c.run_id)
        .where(audits.c.outcome == AUDITED, runs.c.started_at <= until).order_by(runs.c.started_at, runs.c.id))
    last: dict[str, int] = {}
    for some in chunks(sorted(set(names))):
        with engine.connect() as connection:
            last.update((name, run_id) for name, run_id in connection.execute(question.where(hosts.c.name.in_(some))))
    for run_id in sorted(set(last.values())):
        yield from fleet(engine, run_id, [name for name, its in last.items() if its == run_id])


def _pages(engine: Engine, run_id: int, names: Sequence[str] | None) -> Iterator[Sequence[Row[Any]]]:
    question = select(hosts.c.name, *audits.c).join(audits, audits.c.host_id == hosts.c.id).where(audits.c.run_id == run_id).order_by(hosts.c.name)
    if names is not None:
        for some in chunks(sorted(set(names))):
            with engine.connect() as connection:
                page = connection.execute(question.where(hosts.c.name.in_(some))).all()
            yield page
        return
    last: str | None = None
    while True:
        with engine.connect() as connection:
            page = connection.execute((question if last is None else question.where(hosts.c.name > last)).limit(PAGE)).all()
        if not page:
            return
        yield page
        last = page[-1].name


def _said(connection: Connection, run_id: int, ids: Sequence[int]) -> dict[int, list[int]]:
    """The texts of the findings of each host, in order."""
    found: dict[int, list[int]] = {}
    question = select(findings.c.host_id, findings.c.text_id).where(findings.c.run_id == run_id, findings.c.host_id.in_(ids))
    for host, text in connection.execute(question.order_by(findings.c.host_id, findings.c.place)):
        found.setdefault(host, []).append(text)
    return found


def _bodies(connection: Connection, ids: set[int]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for some in chunks(sorted(ids)):
        found.update((number, body) for number, body in connection.execute(select(texts.c.id, texts.c.body).where(texts.c.id.in_(some))))
    return found


class _Shared:
    """Texts that many hosts have in common, unpacked once. Whoever gets them does not change them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[int, Any] = {}

    def learn(self, connection: Connection, ids: set[int]) -> None:
        if len(self._known) + len(ids) > REMEMBERED:
            self._known = {number: text for number, text in self._known.items() if number in ids}
        for number, body in _bodies(connection, {each for each in ids if each not in self._known}).items():
            self._known[number] = unpacked(body)

    def text(self, number: int | None) -> Any:
        return {} if number is None else self._known[number]


def _fleet_host(row: Row[Any], said: Sequence[int], shared: _Shared, facts: dict[int, bytes], lean: bool) -> FleetHost:
    detail = {"audit": {"policy_digest": row.policy}} if lean else {} if row.detail is None else unpacked(row.detail)
    identity = shared.text(row.identity_id)
    tags = identity.get("tags")
    return FleetHost(
        name=row.name, outcome=row.outcome, at=row.at, received=row.received, status=row.status,
        groups=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        host=identity, audit=detail.get("audit", {}), facts={} if row.facts_id is None or lean else unpacked(facts[row.facts_id]),
        measures=detail.get("measures", {}), findings=tuple(shared.text(number) for number in said), rules=shared.text(row.rules_id),
        sha256=row.sha256, message=row.message, next_step=row.next_step)


def finding_history(engine: Engine, until: float | None, names: Sequence[str] | None) -> Iterator[FindingHistory]:
    """Each finding of each host, when it was first and last found; sorted by host, rule, fingerprint."""
    with engine.connect() as connection:
        by_time = {at: number for number, at in connection.execute(select(runs.c.id, runs.c.started_at).order_by(runs.c.id))}
    question = (
        select(findings.c.host_id, findings.c.key_id, func.min(runs.c.started_at).label("first"), func.max(runs.c.started_at).label("last"),
               func.count(func.distinct(findings.c.run_id)).label("number"))
        .join(runs, runs.c.id == findings.c.run_id).group_by(findings.c.host_id, findings.c.key_id))
    if until is not None:
        question = question.where(runs.c.started_at <= until)
    if names is not None:
        for some in chunks(sorted(set(names))):
            yield from _history(engine, question.where(findings.c.host_id.in_(select(hosts.c.id).where(hosts.c.name.in_(some)))), by_time)
    else:
        yield from _history(engine, question, by_time)


def _history(engine: Engine, question: Any, by_time: dict[float, int]) -> Iterator[FindingHistory]:
    grouped = question.subquery()
    ordered = (
        select(hosts.c.name, finding_keys.c.rule, finding_keys.c.fingerprint, grouped.c.first, grouped.c.last, grouped.c.number)
        .join(hosts, hosts.c.id == grouped.c.host_id).join(finding_keys, finding_keys.c.id == grouped.c.key_id)
        .order_by(hosts.c.name, finding_keys.c.rule, finding_keys.c.fingerprint))
    with engine.connect().execution_options(yield_per=ROWS) as connection:
        for host, rule, fingerprint, first, last, number in connection.execute(ordered):
            yield FindingHistory(host, rule, fingerprint, by_time.get(first, 0), first, by_time.get(last, 0), last, number)


def rule_counts(engine: Engine) -> Iterator[RuleCount]:
    """Of each run in the order of time, how many audited hosts had which status of which rule."""
    question = (
        select(audits.c.run_id, audits.c.rules_id, func.count()).join(runs, runs.c.id == audits.c.run_id)
        .where(audits.c.outcome == AUDITED).group_by(runs.c.started_at, audits.c.run_id, audits.c.rules_id)
        .order_by(runs.c.started_at, audits.c.run_id))
    with engine.connect() as connection:
        counted = connection.execute(question).all()

        @lru_cache(maxsize=REMEMBERED)
        def unpack(number: int) -> dict[str, str]:
            body = connection.execute(select(texts.c.body).where(texts.c.id == number)).scalar_one()
            found: dict[str, str] = unpacked(body)
            return found

        counts: dict[tuple[str, str], int] = {}
        for place, (run_id, rules_id, number) in enumerate(counted):
            for pair in unpack(rules_id).items() if rules_id is not None else ():
                counts[pair] = counts.get(pair, 0) + number
            if place + 1 == len(counted) or counted[place + 1].run_id != run_id:
                for (rule, status), hosts_of in sorted(counts.items()):
                    yield RuleCount(run_id, rule, status, hosts_of)
                counts = {}


def series(engine: Engine, names: Sequence[str] | None, since: float | None, least_share: float) -> Iterator[Sample]:
    """The measures of each host over its runs; sorted by host, then by time of the run."""
    question = (
        select(hosts.c.name, audits.c.run_id, audits.c.at, audits.c.received, audits.c.boot_id, audits.c.tasks, audits.c.zombies, audits.c.shape_id,
               audits.c.course, case((audits.c.course.is_(None), audits.c.detail)).label("detail"))
        .join(hosts, hosts.c.id == audits.c.host_id).join(runs, runs.c.id == audits.c.run_id).where(audits.c.outcome == AUDITED)
        .order_by(hosts.c.name, runs.c.started_at, runs.c.id))
    if since is not None:
        question = question.where(runs.c.started_at >= since)
    with engine.connect() as connection:
        wanted = list(connection.execute(select(hosts.c.name).order_by(hosts.c.name)).scalars()) if names is None else sorted(set(names))
    shared = _Shared(engine)
    for some in chunks(wanted):
        with engine.connect().execution_options(yield_per=ROWS) as connection, engine.connect() as beside:
            for rows in connection.execute(question.where(hosts.c.name.in_(some))).partitions():
                shared.learn(beside, {row.shape_id for row in rows if row.shape_id is not None})
                for row in rows:
                    yield _sample(row, shared, least_share)


def _sample(row: Any, shared: _Shared, least_share: float) -> Sample:
    name, run_id, at, received, boot_id, tasks, zombies, shape_id, numbers, detail = row
    if at is None or not -BEHIND_S <= at - received <= AHEAD_S:
        at = received
    if numbers is not None:
        broods, headroom = course.joined(shared.text(shape_id), numbers, least_share)
    else:  # of before version 0003
        measures = unpacked(detail).get("measures", {}) if detail is not None else {}
        broods, headroom = tuple(course.broods(measures)), tuple(course.headroom(measures, least_share))
    return Sample(name, run_id, at, boot_id, tasks, zombies, broods, headroom)


def raw_document(connection: Connection, host: str, run_id: int) -> bytes:
    """The bytes as they were received; their SHA-256 is in FleetHost. Errors: NotKept."""
    question = (
        select(documents.c.body).join(hosts, hosts.c.id == documents.c.host_id).where(hosts.c.name == host, documents.c.run_id == run_id))
    body = connection.execute(question).scalar()
    if body is None:
        raise NotKept("no document of %s is kept of run %d: none was received, or it was pruned" % (host, run_id))
    return zlib.decompress(body)


def document(connection: Connection, host: str, run_id: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(raw_document(connection, host, run_id))
    return found
