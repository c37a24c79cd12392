# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report folder: one atomic JSON file per host, and one about the run.

    results/HOST.json        pidhygiene.result/1, of the last audit of that host
    not-audited/HOST.json    pidhygiene.attempt/1, only while the last attempt did not succeed
    run.json                 pidhygiene.run/1: who was targeted, what became of each
    report.html              the page

Files are readable by their owner only: they hold command lines of other people's hosts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

RESULT, ATTEMPT, RUN = "pidhygiene.result/1", "pidhygiene.attempt/1", "pidhygiene.run/1"
RESULTS, NOT_AUDITED, RUN_FILE, PAGE = "results", "not-audited", "run.json", "report.html"
AUDITED, UNREACHABLE, FAILED, NOT_RECORDED = "audited", "unreachable", "failed", "not recorded"
MOST_BYTES = 8 * 1024 * 1024  # of one result; an honest one has at most 200 KB
LONGEST_REASON = 4000  # characters
LONGEST_NAME = 200  # bytes of a file name, without its ending

_SHAPE: dict[str, type] = {
    "schema": str, "host": dict, "audit": dict, "summary": dict, "facts": dict, "measures": dict, "findings": list, "rules": list, "marks": dict,
}
_FINDING_SHAPE: dict[str, type] = {
    "rule": str, "title": str, "status": str, "severity": str, "subject": dict, "message": str, "evidence": list,
    "fingerprint": str,
}


# Control, format and broken characters: they could drive a terminal or turn the direction of text (text.py of the engine escapes them too,
# but a file need not come from an honest engine).
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


class NotAResult(Exception):
    """What came from a host, or stands in a file, is no result document. The text says why."""


class Written(NamedTuple):
    path: str
    sha256: str


class Entry(NamedTuple):
    """One file of the folder."""

    host: str
    path: Path
    document: dict[str, Any]  # a result or an attempt


def file_name(host: str) -> str:
    """One file name for each host name, whatever stands in it, and never another folder's."""
    name = quote(host, safe=",:@+=", errors="surrogateescape")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST_NAME:
        name = name[: LONGEST_NAME - 17] + "%" + hashlib.sha256(host.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return name + ".json"


def write(folder: Path, host: str, document: dict[str, Any]) -> Written:
    """Write a result or an attempt of this host. A result ends the host's time as not audited; an attempt keeps the last result."""
    place = RESULTS if document["schema"] == RESULT else NOT_AUDITED
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = replace(folder / place / file_name(host), _text(document))
    if place == RESULTS:
        (folder / NOT_AUDITED / file_name(host)).unlink(missing_ok=True)
    return written


def record(folder: Path, host: str, answer: Any, at: str, next_step: str) -> tuple[str, Written, str]:
    """What a host answered, written as result or as failed attempt: outcome, file, and why it is no result. Errors: OSError."""
    try:
        return AUDITED, write(folder, host, checked(answer)), ""
    except NotAResult as error:
        why = answer.strip()[:LONGEST_REASON] if isinstance(answer, str) and answer.strip() else "it answered something that is no result: %s" % error
    return FAILED, write(folder, host, attempt(host, FAILED, at, why, next_step)), why


def run_document(hosts: dict[str, dict[str, str]], started_at: str, ended_at: str, by: str, engine_version: str) -> dict[str, Any]:
    """pidhygiene.run/1 over the outcome and digest of every targeted host: the digests make the folder a manifest."""
    return {
        "schema": RUN, "started_at": started_at, "ended_at": ended_at, "by": by, "engine_version": engine_version,
        "inventory_digest": "sha256:" + hashlib.sha256("\n".join(sorted(hosts)).encode("utf-8", "surrogateescape")).hexdigest()[:16],
        "hosts": hosts,
    }


def write_run(folder: Path, document: dict[str, Any]) -> Written:
    return replace(folder / RUN_FILE, _text(document))


def replace(path: Path, data: bytes) -> Written:
    """Whole or not at all, also when the machine fails. Errors: OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".pidhygiene-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return Written(str(path), hashlib.sha256(data).hexdigest())


def _text(document: dict[str, Any]) -> bytes:
    """Canonical: sorted keys, one form for one content."""
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode("ascii")


def digest_of(path: Path) -> str:
    """As ``Written`` tells it. Errors: OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def marks(folder: Path, host: str) -> dict[str, Any] | None:
    """What the last result of this host remembers for the next audit; None without a usable one."""
    try:
        found = load(folder / RESULTS / file_name(host))["marks"]
    except (OSError, NotAResult):
        return None
    return found if isinstance(found, dict) else None


def load(path: Path) -> dict[str, Any]:
    """One result. Errors: OSError, NotAResult."""
    return checked(_read(path))


def _read(path: Path) -> Any:
    if path.stat().st_size > MOST_BYTES:
        raise NotAResult("it is larger than any result")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise NotAResult("it is no JSON") from error


def checked(document: Any) -> dict[str, Any]:
    """The same document, when its shape is that of a result: a host may answer anything. Errors: NotAResult."""
    if not isinstance(document, dict):
        raise NotAResult("it is no JSON object")
    if document.get("schema") != RESULT:
        raise NotAResult("its schema is not %s" % RESULT)
    _check_shape("", document, _SHAPE)
    for index, finding in enumerate(document["findings"]):
        if not isinstance(finding, dict):
            raise NotAResult("findings[%d] is no object" % index)
        _check_shape("findings[%d]." % index, finding, _FINDING_SHAPE)
        if not all(isinstance(seen, dict) for seen in finding["evidence"]):
            raise NotAResult("findings[%d].evidence is no list of objects" % index)
        for name in ("waiver", "remedy"):
            if not isinstance(finding.get(name), (dict, type(None))):
                raise NotAResult("findings[%d].%s is no object" % (index, name))
    if not all(isinstance(row, dict) for row in document["rules"]):
        raise NotAResult("rules is no list of objects")
    return document


def _check_shape(where: str, value: dict[str, Any], shape: dict[str, type]) -> None:
    for name, kind in shape.items():
        if not isinstance(value.get(name), kind):
            raise NotAResult("%s%s is missing or of the wrong kind" % (where, name))


def attempt(host: str, outcome: str, at: str, message: str, next_step: str) -> dict[str, Any]:
    """The record of a host that could not be audited."""
    return {"schema": ATTEMPT, "host": host, "outcome": outcome, "at": at, "message": message, "next_step": next_step}


def run(folder: Path) -> dict[str, Any] | None:
    """What run.json says about the last run; None when there is none."""
    try:
        document = _read(folder / RUN_FILE)
    except (OSError, NotAResult):
        return None
    if not isinstance(document, dict) or document.get("schema") != RUN or not isinstance(document.get("hosts"), dict):
        return None
    return document


def entry(folder: Path, host: str) -> Entry | None:
    """The last attempt when the host was not audited, else its result, else None."""
    for place in (NOT_AUDITED, RESULTS):
        path = folder / place / file_name(host)
        found = _entry(path, host)
        if found is not None:
            return found
    return None


def entries(folder: Path) -> Iterator[Entry]:
    """All hosts of the folder, sorted by name; results of other front ends may lie in the folder itself."""
    paths: dict[str, Path] = {}
    for place in ("", RESULTS, NOT_AUDITED):  # the later wins
        for path in sorted((folder / place).glob("*.json")):
            if path.name != RUN_FILE and not path.name.startswith("."):
                paths[unquote(path.name[: -len(".json")])] = path
    for host in sorted(paths):
        found = _entry(paths[host], host)
        if found is not None:
            yield found


def harmless(value: Any) -> Any:
    """The same data, with characters that a terminal or a page would act on written as escapes."""
    if isinstance(value, str):
        return _HARMFUL.sub(lambda found: "\\u%04x" % ord(found.group()), value)
    if isinstance(value, dict):
        return {harmless(name): harmless(each) for name, each in value.items()}
    if isinstance(value, list):
        return [harmless(each) for each in value]
    return value


def _entry(path: Path, host: str) -> Entry | None:
    host = harmless(host)
    try:
        document = harmless(_read(path))
        if isinstance(document, dict) and document.get("schema") == ATTEMPT:
            return Entry(host, path, document)
        return Entry(host, path, checked(document))
    except FileNotFoundError:
        return None
    except OSError as error:
        return Entry(host, path, attempt(host, FAILED, "", "its file cannot be read: %s" % error.strerror, "look at %s" % path))
    except NotAResult as error:
        return Entry(host, path, attempt(host, FAILED, "", "%s holds no result: %s" % (path.name, error), "audit the host again"))
