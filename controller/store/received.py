# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was handed in, looked at with suspicion and made ready for the tables. Nothing here touches a database.

A host may answer anything: each text is made harmless, each number checked, and what is no result is refused with the reason.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..fleet.judging import moment
from ..render import folder as folders
from ..render import overview
from ..render.folder import ATTEMPT, AUDITED, FAILED, MOST_BYTES, NOT_RECORDED, RESULT, RUN, UNREACHABLE, NotAResult, harmless
from . import course
from .errors import Refused
from .packing import LEVEL, compact, digest, packed

LONGEST_NAME = 200  # characters of a name, which an index must hold
LONGEST_WORD = 100
MOST_TAGS = 200
GREATEST = 2**63 - 1

AGAIN = "audit the host again"
LOOK = "look at what that host has to say, then audit it again"
ELSE = "hand in what pidhygiene check --format json or audit.yml wrote"
RUN_AGAIN = "run the audit again; the results beside it are taken in without it"
UPGRADE = "upgrade pidhygiene on this machine, then ingest it again"

_VERSION = re.compile(r"^pidhygiene\.(result|attempt|run)/([0-9]{1,6})$")
_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u(?:00[01]|007[fF]|00[89]|00[aA][dD]|061[cC]|200[b-fB-F]|202[89a-eA-E]|206|[fF][eE][fF][fF]|[dD][89a-fA-F]))")
_LONE = re.compile("[\ud800-\udbff]")  # no file name has these


@dataclass(frozen=True, slots=True)
class Said:
    """One finding of a result."""

    fingerprint: str
    rule: str
    status: str
    waived: bool
    text: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One host's answer, a result or an attempt, ready for the tables."""

    name: str  # as the document says; who knows better (the name of its file) puts it right
    outcome: str
    at: float | None
    received: float
    status: str = "unknown"
    visibility: str = ""
    engine: str = ""
    policy: str = ""
    machine_id: str = ""
    boot_id: str = ""
    tasks: int | None = None
    zombies: int | None = None
    message: str = ""
    next_step: str = ""
    sha256: str = ""
    content: bytes = b""
    identity: bytes | None = None
    facts: bytes | None = None
    rules: bytes | None = None
    detail: bytes | None = None
    shape: bytes | None = None
    course: bytes | None = None
    findings: tuple[Said, ...] = ()
    tags: tuple[str, ...] = ()
    document: bytes | None = None  # compressed, as received

    @property
    def size(self) -> int:
        """Bytes it holds, roughly."""
        return 2000 + len(self.document or b"") + len(self.facts or b"") + sum(300 + len(each.text) for each in self.findings)


@dataclass(frozen=True)
class RunTold:
    """What run.json says: who was targeted, and what became of each."""

    name: str
    started_at: float
    ended_at: float
    by: str
    engine: str
    inventory_digest: str
    hosts: dict[str, tuple[str, str]]  # name: outcome, sha256 of its file
    files: dict[str, str]  # name of the file of each: its name


def parsed(data: bytes) -> Any:
    """Errors: Refused."""
    if len(data) > MOST_BYTES:
        raise Refused("it is larger than any result (over %d MB; an honest one has at most 0.2 MB)" % (MOST_BYTES // 2**20), LOOK)
    try:
        return json.loads(data)
    except RecursionError:
        raise Refused("it is nested deeper than any result", AGAIN)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError) and ("Unterminated" in error.msg or error.pos >= len(error.doc.rstrip()) - 1):
            raise Refused("it ends in the middle: the file is truncated", AGAIN)
        raise Refused("it is no JSON", AGAIN)


def kind_of(document: Any) -> tuple[str, int]:
    """("result", 1). Errors: Refused."""
    if not isinstance(document, dict):
        raise Refused("it is no JSON object", AGAIN)
    schema = document.get("schema")
    found = _VERSION.match(schema) if isinstance(schema, str) else None
    if not found:
        raise Refused("it is no document of pidhygiene (schema: %s)" % (word(schema) or "none"), ELSE)
    if int(found[2]) > 1:
        raise Refused("it was written by a newer pidhygiene (%s; this one reads up to pidhygiene.%s/1)" % (schema, found[1]), UPGRADE)
    return found[1], int(found[2])


def answer(data: bytes, document: Any, received: float) -> Answer:
    """From the bytes of a result or an attempt, already parsed. Errors: Refused."""
    kind, version = kind_of(document)
    try:
        if _suspect(data):
            document = harmless(document)
        content = digest(compact(document))
        if kind == "attempt":
            return _attempt(data, document, received, content)
        return _result(data, folders.checked(_older(document) if version < 1 else document), received, content)
    except NotAResult as error:
        raise Refused("it holds no result: %s" % error, AGAIN)
    except RecursionError:
        raise Refused("it is nested deeper than any result", AGAIN)


def _suspect(data: bytes) -> bool:
    """Whether harmless() may find something to change: other than ASCII, or escapes of control, format and broken characters."""
    return not data.isascii() or b"\x7f" in data or b"\\" in data and _ESCAPE.search(data) is not None


def _older(document: dict[str, Any]) -> dict[str, Any]:
    """A result from before the schema was settled: what it lacks is empty, and what of a finding it lacks too."""
    empty: dict[str, Any] = {name: kind() for name, kind in (
        ("host", dict), ("audit", dict), ("summary", dict), ("facts", dict), ("measures", dict), ("findings", list), ("rules", list), ("marks", dict))}
    filled = {**empty, **document, "schema": RESULT}
    if isinstance(filled["findings"], list):
        of_a_finding: dict[str, Any] = {
            "title": "", "severity": "INFO", "subject": {}, "message": "", "evidence": [], "fingerprint": "", "waiver": None, "remedy": None}
        filled["findings"] = [{**of_a_finding, **each} if isinstance(each, dict) else each for each in filled["findings"]]
    return filled


def _result(data: bytes, document: dict[str, Any], received: float, content: bytes) -> Answer:
    host, audit, measures = document["host"], document["audit"], document["measures"]
    zombies = measures.get("zombies")
    shape, numbers = course.split(measures)
    return Answer(
        name=name(host.get("name")), outcome=AUDITED, at=moment(audit.get("started_at")), received=received, status=overview.status_of(document)[:10],
        visibility=word(audit.get("visibility"))[:10], engine=word(audit.get("engine_version")), policy=word(audit.get("policy_digest")),
        machine_id=word(host.get("machine_id")), boot_id=word(host.get("boot_id")), tasks=count(measures.get("tasks")),
        zombies=count(zombies.get("total")) if isinstance(zombies, dict) else None, sha256=hashlib.sha256(data).hexdigest(), content=content,
        identity=compact(host), facts=compact(document["facts"]), rules=compact(_statuses(document["rules"])),
        detail=packed(compact({"audit": audit, "measures": measures, "summary": document["summary"]})),
        shape=shape, course=numbers, findings=tuple(_said(each) for each in document["findings"]), tags=_tags(host.get("tags")),
        document=zlib.compress(data, LEVEL))


def _said(finding: dict[str, Any]) -> Said:
    return Said(name(finding["fingerprint"]), name(finding["rule"]), finding["status"][:10], not overview.in_force(finding), compact(finding))


def _statuses(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Every rule that ran, with its status."""
    return {row["rule"]: row["status"] for row in rows if isinstance(row.get("rule"), str) and isinstance(row.get("status"), str)}


def _tags(given: Any) -> tuple[str, ...]:
    return tuple(sorted({name(tag) for tag in given if isinstance(tag, str)})[:MOST_TAGS]) if isinstance(given, list) else ()


def _attempt(data: bytes, document: dict[str, Any], received: float, content: bytes) -> Answer:
    outcome = document.get("outcome")
    if outcome not in (UNREACHABLE, FAILED, NOT_RECORDED) or not isinstance(document.get("host"), str):
        raise NotAResult("host or outcome of the attempt is missing or of the wrong kind")
    return Answer(
        name=name(document["host"]), outcome=outcome, at=moment(document.get("at")), received=received, message=sentence(document.get("message")),
        next_step=sentence(document.get("next_step")), sha256=hashlib.sha256(data).hexdigest(), content=content, document=zlib.compress(data, LEVEL))


def unusable(host: str, data_digest: str, received: float, why: str, next_step: str) -> Answer:
    """What stands in the report when a host's file holds no result: the host must not vanish."""
    return Answer(
        name=name(host), outcome=FAILED, at=None, received=received, message=sentence("what was received from it could not be used: " + why),
        next_step=sentence(next_step), sha256="", content=digest(compact(["unusable", data_digest, why, received])))


def not_recorded(host: str, received: float, message: str) -> Answer:
    return Answer(
        name=name(host), outcome=NOT_RECORDED, at=None, received=received, message=message,
        next_step="run the audit again with --limit %s" % name(host), content=digest(compact(["not recorded", message])))


def run_told(data: bytes, document: dict[str, Any], named: str | None) -> RunTold:
    """Of run.json. Errors: Refused."""
    rows = document.get("hosts")
    started, ended = moment(document.get("started_at")), moment(document.get("ended_at"))
    if not isinstance(rows, dict) or started is None:
        raise Refused("it tells no run: hosts or started_at is missing or of the wrong kind", RUN_AGAIN)
    hosts = {
        name(host): (word(row.get("outcome")), word(row.get("sha256"))) if isinstance(row, dict) else ("", "") for host, row in rows.items()
    }
    files = {folders.file_name(host): name(host) for host in rows if not _LONE.search(host)}
    made = "%s %s" % (word(document.get("started_at")), hashlib.sha256(data).hexdigest()[:8])
    return RunTold(named or made, started, started if ended is None else ended, word(document.get("by")), word(document.get("engine_version")),
                   word(document.get("inventory_digest")), hosts, files)


def name(given: Any) -> str:
    """A name that an index can hold: a long one is cut, and stays different from others that begin alike."""
    text = harmless(given) if isinstance(given, str) else ""
    if len(text) <= LONGEST_NAME:
        return str(text)
    return "%s…%s" % (text[: LONGEST_NAME - 17], hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16])


def word(given: Any) -> str:
    return str(harmless(given[:LONGEST_WORD]))[:LONGEST_WORD] if isinstance(given, str) else ""


def sentence(given: Any) -> str:
    return str(harmless(given[:2000])) if isinstance(given, str) else ""


def count(given: Any) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= GREATEST else None


__all__ = ["AGAIN", "ATTEMPT", "RUN", "Answer", "RunTold", "Said", "answer", "kind_of", "not_recorded", "parsed", "run_told", "unusable"]
