# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""csv: the auditor pack, a folder or a zip: what each control says on each host, the raw evidence, and digests of everything."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ..fleet.controls import NOT_AUDITED, OUTCOMES
from ..fleet.judging import mapping
from ..fleet.model import FleetHost
from . import as_json, wording
from .output import STANDARD
from .safe import cell
from .view import Report, in_force
from .writer import Context, Format, Writer

MANIFEST, CONTROLS, EVIDENCE, RESULTS, POLICIES, FLEET = (
    "manifest.json",
    "host_controls.csv",
    "evidence.csv",
    "results.csv",
    "policy_difference.json",
    "fleet.csv",
)
SCHEMA = "pidhygiene.pack/1"
HEADS = {
    CONTROLS: ("host", "groups", "control", "state", "rules_that_fail", "waived_by"),
    EVIDENCE: (
        "host",
        "rule",
        "status",
        "severity",
        "in_force",
        "subject_type",
        "subject",
        "message",
        "binding_limit",
        "fingerprint",
        "waived_by",
        "waived_until",
        "justification",
        "source",
        "value",
    ),
    RESULTS: ("host", "outcome", "status", "audited_at", "policy_digest", "engine", "visibility", "sha256", "message"),
    FLEET: ("rule", "status", "severity", "subject", "message", "hosts", "fingerprint"),
}


class NotOurs(OSError):
    """What is there is no pack: it is not replaced."""


class Pack(Writer):
    def __init__(self, path: str, context: Context) -> None:  # a folder has no stream
        if path == STANDARD:
            raise NotOurs("the auditor pack is several files: --format csv:FOLDER or csv:FILE.zip")
        self.context = context
        self.target = Path(path).absolute()
        self.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.target.is_dir() and any(self.target.iterdir()) and not _is_pack(self.target):
            raise NotOurs("%s holds other files than a pack: name another folder" % self.target)
        self.folder = Path(tempfile.mkdtemp(prefix=".pidhygiene-", dir=self.target.parent))
        self.files: dict[str, TextIO] = {}
        self.tables: dict[str, Any] = {}
        for name, head in HEADS.items():
            self.files[name] = (self.folder / name).open("w", encoding="utf-8", errors="backslashreplace", newline="")
            self.tables[name] = csv.writer(self.files[name], lineterminator="\r\n")
            self.tables[name].writerow(head)

    def take(self, host: FleetHost) -> None:
        name = cell(host.name)
        audit = host.audit
        self.tables[RESULTS].writerow(
            [
                name,
                host.outcome,
                host.status,
                wording.when(host.at),
                *(cell(audit.get(each, "")) for each in ("policy_digest", "engine_version", "visibility")),
                host.sha256,
                cell(host.message),
            ]
        )
        write = self.tables[EVIDENCE].writerow
        for finding in host.findings:
            waiver, subject = mapping(finding.get("waiver")), mapping(finding.get("subject"))
            first = [
                name,
                *(cell(finding.get(each, "")) for each in ("rule", "status", "severity")),
                "yes" if in_force(finding) else "no",
                cell(subject.get("type", "")),
                cell(subject.get("id", "")),
                *(cell(finding.get(each) or "") for each in ("message", "binding", "fingerprint")),
                *(cell(waiver.get(each, "")) for each in ("owner", "expires", "justification")),
            ]
            for seen in [each for each in finding.get("evidence") or () if isinstance(each, Mapping)] or [{}]:
                write([*first, cell(seen.get("source", "")), cell(seen.get("value", ""))])

    def finish(self, report: Report) -> None:
        for each in report.fleet:
            self.tables[FLEET].writerow(
                [cell(value) for value in (each.rule, each.status, each.severity, each.subject, each.message, " ".join(each.hosts), each.fingerprint)]
            )
        self._controls(report)
        missing = report.expected - len(report.hosts)
        if missing:
            self.tables[RESULTS].writerow(["%d more hosts of the inventory, of which nothing is known" % missing, NOT_AUDITED])
        for file in self.files.values():
            file.close()
        before, now = report.policies_before, report.policies
        self._json(
            POLICIES,
            {
                "this_run": now,
                "run_before": before,
                "run_before_name": report.before.name if report.before else None,
                "same": sorted(before) == sorted(now) if before else None,
                "change": as_json.policy_change(report),
                "documents": dict(report.policy_change.documents) if report.policy_change is not None else {},
            },
        )
        run = report.run
        self._json(
            MANIFEST,
            {
                "schema": SCHEMA,
                "run": {
                    "name": run.name,
                    "started_at": wording.when(run.started_at),
                    "ended_at": wording.when(run.ended_at),
                    "by": run.by,
                    "inventory_digest": run.inventory_digest,
                },
                "scope": [words for words, _strong in wording.scope(report)],
                "controls_mapped_by_the_policy": report.controls_mapped,
                "chosen": report.chosen,
                "files": {path.name: {"sha256": _digest(path), "bytes": path.stat().st_size} for path in sorted(self.folder.iterdir())},
                "results": {row.name: {"outcome": row.outcome, "sha256": row.sha256} for row in report.hosts},
                "of_a_result": "sha256 is of the result document as it was received from the host",
            },
        )

    def _controls(self, report: Report) -> None:
        write = self.tables[CONTROLS].writerow
        rules = {control.id: frozenset(control.rules) for control in report.controls}
        names = {each: cell(each) for each in rules}
        for place, host in enumerate(report.lean):
            name, groups = cell(host.name), cell(" ".join(host.groups))
            failing = sorted({str(each.get("rule")) for each in host.findings if each.get("status") in ("warn", "fail") and in_force(each)})
            waived = [
                (str(each.get("rule")), "%s until %s" % (each["waiver"].get("owner"), each["waiver"].get("expires")))
                for each in host.findings
                if isinstance(each.get("waiver"), Mapping)
            ]
            for control, states in report.states.items():
                write(
                    [
                        name,
                        groups,
                        names[control],
                        OUTCOMES[states[place]],
                        " ".join(rule for rule in failing if rule in rules[control]),
                        cell("; ".join(sorted({by for rule, by in waived if rule in rules[control]}))),
                    ]
                )

    def _json(self, name: str, document: Any) -> None:
        (self.folder / name).write_text(json.dumps(document, sort_keys=True, indent=1) + "\n", encoding="ascii")

    def keep(self) -> None:
        if self.target.suffix == ".zip":
            handle, temporary = tempfile.mkstemp(prefix=".pidhygiene-", dir=self.target.parent)
            try:
                with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
                    for path in sorted(self.folder.iterdir()):
                        archive.write(path, "%s/%s" % (self.target.stem, path.name))
                os.replace(temporary, self.target)
            except BaseException:
                os.unlink(temporary)
                raise
            shutil.rmtree(self.folder)
            return
        old = self.folder.with_name(self.folder.name + "-old")
        if self.target.exists():
            os.rename(self.target, old)
        os.rename(self.folder, self.target)
        if old.exists():
            shutil.rmtree(old)

    @property
    def place(self) -> str:
        return str(self.target)

    def drop(self) -> None:
        for file in self.files.values():
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_pack(folder: Path) -> bool:
    """By what its manifest says: others have a manifest.json as well."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("schema") == SCHEMA


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


FORMAT = Format("csv", Pack, True)
