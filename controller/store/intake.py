# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking in: results, attempts and run.json from files, folders and streams, batch by batch.

Idempotent: what is there already is passed over, so that after whatever went wrong the same command again completes. A report folder holds
the last run (run.json) and the last result of each host, which may be of another run: run.json names the digest of each file that is its
own. The others, and files without a run.json, belong to the run that the operator named, or to one made of their day.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from sqlalchemy import Engine

from ..render.folder import AUDITED, NOT_AUDITED, NOT_RECORDED, RESULTS, RUN_FILE
from . import received, sources, writing
from .errors import Refused
from .opening import speaking
from .received import Answer, RunTold
from .sources import Handed
from .writing import DAY, NAMED, REPORTED, Memory, Target

MOST_IN_A_BATCH = 200  # hosts of one transaction
MOST_BYTES_IN_A_BATCH = 16 * 2**20
MOST_LISTED = 1000  # lines of each kind that are kept for the account
AHEAD_S = 600.0  # nothing can be received before it was made
BEHIND_S = 30 * 86400.0  # later than that is more likely a wrong clock than an old file
ENDINGS = (".json", ".json.gz", ".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")


@dataclass
class Account:
    """What became of what was handed in."""

    recorded: int = 0  # hosts, new in their run
    replaced: list[str] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)
    already: int = 0
    moved: int = 0  # to the run that they turned out to belong to
    refused: list[str] = field(default_factory=list)
    clocks: list[str] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)  # by run: hosts that it targeted and that were not recorded
    counted: dict[str, int] = field(default_factory=dict)  # of each list, also beyond MOST_LISTED
    runs: set[str] = field(default_factory=set)
    targeted: int | None = None

    def note(self, kind: str, text: str) -> None:
        kept: list[str] = getattr(self, kind)
        if len(kept) < MOST_LISTED:
            kept.append(text)
        self.counted[kind] = self.counted.get(kind, 0) + 1

    def number(self, kind: str) -> int:
        return self.counted.get(kind, 0)

    @property
    def not_recorded(self) -> int:
        return sum(len(hosts) for hosts in self.missing.values())


class Intake:
    """One ingest. Memory: one batch. Errors of every method: StoreUnavailable, StoreError; what was handed in before stays recorded."""

    def __init__(self, engine: Engine, run: str | None = None, progress: Callable[[Account], None] | None = None, now: Callable[[], float] = time.time) -> None:
        self.account = Account()
        self._engine = engine
        self._named = received.name(run) if run else None
        self._progress = progress
        self._now = now
        self._memory = Memory()
        self._pending: dict[tuple[str, str], tuple[Target, Answer, str]] = {}
        self._bytes = 0

    def paths(self, paths: Iterable[Path]) -> None:
        """Folders and files; a run.json among the files is read first. Errors: OSError."""
        files: list[Path] = []
        for path in paths:
            if path.is_dir():
                self.folder(path)
            else:
                files.append(path)
        with _Told(self, files) as told:
            for path in files:
                if path.name != RUN_FILE or told.run is None:
                    self._file(path, told, None)

    def folder(self, place: Path) -> None:
        """A report folder, or any folder of results. A file is called as its host is. Errors: OSError."""
        held = 0
        with _Told(self, [place / RUN_FILE] if (place / RUN_FILE).is_file() else []) as told:
            for folder in (place, place / RESULTS, place / NOT_AUDITED):
                for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
                    if name.endswith(ENDINGS) and not name.startswith(".") and not (folder == place and name == RUN_FILE):
                        held += 1
                        self._file(folder / name, told, _host_of(name, told), sure=folder != place)
            if not held and told.run is None:
                self._refuse(str(place), Refused("it holds no result", "name the folder that audit.yml wrote"))

    def stream(self, stream: IO[bytes], where: str = "standard input") -> None:
        with _Told(self, []) as told:
            self._all(sources.of_stream(stream, where), told, None, self._now())

    def document(self, document: Mapping[str, Any], host: str | None = None) -> None:
        """A result or an attempt that is in memory, of this host where another name than its own counts; flush() after the last."""
        data = json.dumps(document, sort_keys=True).encode("ascii")
        handed = Handed("answer of %s" % host if host else "answer", data=data, document=json.loads(data))
        self._take(handed, _Told(self, []), host, self._now(), host is not None)

    def answer(self, answer: Answer, target: Target, where: str = "") -> None:
        """One answer whose run is known."""
        key = (target.name, answer.name)
        if key in self._pending or len(self._pending) >= MOST_IN_A_BATCH or self._bytes > MOST_BYTES_IN_A_BATCH:
            self.flush()
        self._pending[key] = (target, answer, where)
        self._bytes += answer.size

    def flush(self) -> None:
        """Write what is pending, wholly or not at all."""
        if not self._pending:
            return
        taken = list(self._pending.values())
        with speaking(self._engine.url):
            became = writing.batch(self._engine, self._memory, [(target, answer) for target, answer, _where in taken])
        self._pending.clear()
        self._bytes = 0
        for (target, answer, where), what in zip(taken, became):
            self._count(target, answer, where, what)
        if self._progress:
            self._progress(self.account)

    def _count(self, target: Target, answer: Answer, where: str, what: str) -> None:
        account = self.account
        if what not in (writing.ALREADY, writing.EARLIER):
            account.runs.add(target.name)
        if what == writing.ALREADY:
            account.already += 1
        elif what == writing.MOVED:
            account.moved += 1
        elif what == writing.EARLIER:
            if answer.outcome != NOT_RECORDED:
                account.note("earlier", "%s: run %s has a later answer of %s" % (where, target.name, answer.name))
        else:
            account.recorded += answer.outcome != NOT_RECORDED
            if what == writing.REPLACED:
                account.note("replaced", "%s: takes the place of an earlier answer of %s in run %s" % (where, answer.name, target.name))

    def _file(self, path: Path, told: _Told, host: str | None, sure: bool = False) -> None:
        """``host`` is what the file is called by; sure: it is an audited host's file, whatever stands in it."""
        listed = told.name_of(path.name)
        try:
            self._all(sources.of_file(path, host is not None), told, listed or host, path.stat().st_mtime, sure or listed is not None)
        except OSError as error:
            self._refuse(str(path), Refused("it cannot be read: %s" % error.strerror, "look at its owner and mode"))

    def _all(self, handed: Iterator[Handed], told: _Told, host: str | None, at: float, sure: bool = False) -> None:
        for each in handed:
            first = each.number == 1
            self._take(each, told, host if first else None, at, sure and first)

    def _take(self, handed: Handed, told: _Told, host: str | None, at: float, sure: bool) -> None:
        try:
            if handed.refused is not None:
                raise handed.refused
            if received.kind_of(handed.document)[0] == "run":
                told.enter(received.run_told(handed.data, handed.document, self._named))
                return
            answer = received.answer(handed.data, handed.document, at)
        except Refused as refused:
            self._refuse(handed.where, refused)
            if host is not None and sure:
                digest = hashlib.sha256(handed.data).hexdigest()
                unusable = received.unusable(host, digest, at, refused.why, refused.next_step)
                self.answer(unusable, told.target_of_unusable(unusable), handed.where)
            return
        if answer.outcome == AUDITED and host is not None or not answer.name:
            answer = dataclasses.replace(answer, name=received.name(host) if host is not None else "(no name)")
        self._look_at_clock(answer)
        self.answer(answer, told.target_of(answer), handed.where)

    def _refuse(self, where: str, refused: Refused) -> None:
        self.account.note("refused", "%s: %s; %s" % (where, refused.why, refused.next_step))

    def _look_at_clock(self, answer: Answer) -> None:
        if answer.at is not None and not -BEHIND_S <= answer.at - answer.received <= AHEAD_S:
            away = answer.at - answer.received
            self.account.note("clocks", "%s: its clock said %s when this was received at %s (%s %s)" % (
                answer.name, _time(answer.at), _time(answer.received), _span(abs(away)), "ahead" if away > 0 else "behind, or the file is that old"))

    def named_or_day(self, answer: Answer) -> Target:
        """The run of an answer that no run.json claims."""
        when = plausible(answer)
        if self._named is not None:
            return Target(self._named, NAMED, when, when)
        return Target(_time(when)[:10], DAY, when, when)

    @property
    def is_named(self) -> bool:
        return self._named is not None


class _Told:
    """What run.json says, if there is one, and which of its hosts have come; on leaving, the others are recorded as missing."""

    def __init__(self, intake: Intake, candidates: Sequence[Path]) -> None:
        self.run: RunTold | None = None
        self._intake = intake
        self._candidates = [path for path in candidates if path.name == RUN_FILE]
        self._target: Target | None = None
        self._came: set[str] = set()

    def __enter__(self) -> _Told:
        for path in self._candidates:
            try:
                for handed in sources.of_file(path):
                    if handed.refused is not None:
                        raise handed.refused
                    if received.kind_of(handed.document)[0] != "run":
                        raise Refused("it tells no run", received.RUN_AGAIN)
                    self.enter(received.run_told(handed.data, handed.document, self._intake._named))
            except Refused as refused:
                self._intake._refuse(str(path), refused)
        return self

    def enter(self, run: RunTold) -> None:
        self._leave()
        self.run = run
        self._came = set()
        self._target = Target(run.name, REPORTED, run.started_at, run.ended_at, run.by, run.engine, run.inventory_digest, len(run.hosts))
        account = self._intake.account
        account.runs.add(run.name)
        account.targeted = (account.targeted or 0) + len(run.hosts)

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            self._leave()
            self._intake.flush()

    def _leave(self) -> None:
        """Whoever was targeted and did not come is recorded as such, so that the denominator is always there."""
        if self.run is None or self._target is None:
            return
        now = self._intake._now()
        for host, (outcome, _sha256) in self.run.hosts.items():
            if host not in self._came:
                message = "the run ended without an answer of this host" if outcome not in (AUDITED, "unreachable", "failed") else (
                    "run.json says %s, but the file of this host is missing or is of another run" % outcome)
                self._intake.account.missing.setdefault(self.run.name, []).append(host)
                self._intake.answer(received.not_recorded(host, now, message), self._target)

    def name_of(self, file: str) -> str | None:
        return self.run.files.get(file) if self.run else None

    def target_of(self, answer: Answer) -> Target:
        """The told run if it names this very answer."""
        if self.run is not None and self._target is not None:
            row = self.run.hosts.get(answer.name)
            if row is not None and row[0] == answer.outcome and row[1] in ("", answer.sha256):
                self._came.add(answer.name)
                return self._target
        return self._intake.named_or_day(answer) if self.run is None or not self._intake.is_named else _other_day(answer)

    def target_of_unusable(self, answer: Answer) -> Target:
        """A damaged file cannot be told by its digest: its host is what it belongs to."""
        if self.run is not None and self._target is not None and answer.name in self.run.hosts:
            self._came.add(answer.name)
            return self._target
        return self._intake.named_or_day(answer)


def _other_day(answer: Answer) -> Target:
    when = plausible(answer)
    return Target(_time(when)[:10], DAY, when, when)


def plausible(answer: Answer) -> float:
    """When it was audited: by its own clock, unless that cannot be right."""
    if answer.at is not None and -BEHIND_S <= answer.at - answer.received <= AHEAD_S:
        return answer.at
    return answer.received


def _host_of(file: str, told: _Told) -> str | None:
    """A file of a folder is called as its host is; one that holds many, one a line, is not."""
    stem = file.removesuffix(".gz")
    if not stem.endswith(".json"):
        return None
    return told.name_of(stem) or unquote(stem.removesuffix(".json"))


def _time(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):
        return "%d s" % seconds


def _span(seconds: float) -> str:
    for unit, size in (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0)):
        if seconds >= 1.5 * size:
            return "%.1f %s" % (seconds / size, unit)
    return "%d minutes" % (seconds / 60)
