# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page holds beside its first screen: every host as columns of small numbers, and each text once; deflated, base64."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Hashable, Mapping
from typing import Any

from . import remedy
from .view import STATUSES, HostRow, Report, place

MOST_BYTES_OF_TEXTS = 6 * 2**20  # before deflate
MOST_EVIDENCE = 12  # lines of one finding
LONGEST = 600  # characters of one line of evidence
MOST_DIGESTS = 2_000  # hosts, beyond which digests are left to the manifest of the auditor pack
MOST_CAUSES = 400


class _Table:
    """Values that occur often, by number."""

    def __init__(self, *first: Hashable) -> None:
        self.rows: list[Any] = []
        self._places: dict[Hashable, int] = {}
        for each in first:
            self.place(each)

    def place(self, value: Hashable) -> int:
        found = self._places.get(value)
        if found is None:
            found = self._places[value] = len(self.rows)
            self.rows.append(value)
        return found


def packed(report: Report) -> tuple[str, int]:
    """Base64 of it, and how many findings are counted only."""
    made, left = build(report)
    data = json.dumps(made, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    return base64.b64encode(zlib.compress(data, 6)).decode("ascii"), left


def build(report: Report) -> tuple[dict[str, Any], int]:
    rules = _Table()
    remedies = _Table()
    places, texts = _chosen_texts(report, rules, remedies)
    groups, zones, systems, kernels = _Table(), _Table(""), _Table(""), _Table("")
    groupsets, countsets, marksets, textsets, limits = (_Table() for _ in range(5))
    outcomes = _Table("audited")
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("name", "outcome", "status", "groups", "zone", "system", "kernel", "counts", "marks", "texts", "limit", "at", "flags", "tasks", "zombies")
    }
    messages: dict[int, list[str]] = {}
    errors: dict[int, list[str]] = {}
    left = 0
    for number, row in enumerate(report.hosts):
        kept = tuple(sorted((places.get(text, -1) for text in row.texts), key=lambda text: (text < 0, text)))
        left += sum(text < 0 for text in kept)
        for name, value in (
            ("name", row.name),
            ("outcome", outcomes.place(row.outcome)),
            ("status", _status(row)),
            ("groups", groupsets.place(tuple(groups.place(each) for each in row.groups))),
            ("zone", zones.place(row.zone)),
            ("system", systems.place(row.system)),
            ("kernel", kernels.place(row.kernel)),
            ("counts", countsets.place(row.counts[:3])),
            ("marks", marksets.place(tuple(rules.place(rule) << 3 | min(place(STATUSES, status), 7) for rule, status in row.marks))),
            ("texts", textsets.place(kept)),
            ("limit", limits.place(tuple(row.tightest)) if row.tightest else -1),
            ("at", int(row.at if row.at is not None else row.received or 0)),
            ("flags", row.partial | row.stale << 1),
            ("tasks", row.tasks),
            ("zombies", row.zombies),
        ):
            columns[name].append(value)
        if row.message or row.next_step:
            messages[number] = [row.message, row.next_step]
        if row.errors:
            errors[number] = list(row.errors)
    found = {rule for row_marks in marksets.rows for rule in (mark >> 3 for mark in row_marks)}
    return {
        "outcomes": outcomes.rows,
        "groups": groups.rows,
        "groupsets": groupsets.rows,
        "zones": zones.rows,
        "systems": systems.rows,
        "kernels": kernels.rows,
        "countsets": countsets.rows,
        "marksets": marksets.rows,
        "textsets": textsets.rows,
        "limits": limits.rows,
        "hosts": columns,
        "messages": messages,
        "errors": errors,
        "rules": [{"id": rule, "title": report.titles.get(rule, ""), "found": number in found} for number, rule in enumerate(rules.rows)],
        "texts": texts,
        "remedies": [json.loads(each) for each in remedies.rows],
        "causes": [{"rule": cause.rule, "what": cause.what, "hosts": cause.hosts} for cause in report.causes[:MOST_CAUSES]],
        "digests": [row.sha256 for row in report.hosts] if len(report.hosts) <= MOST_DIGESTS else None,
    }, left


def _status(row: HostRow) -> int:
    return min(place(STATUSES, row.status), len(STATUSES) - 1) if row.status in STATUSES else STATUSES.index("unknown")


def _chosen_texts(report: Report, rules: _Table, remedies: _Table) -> tuple[dict[int, int], list[dict[str, Any]]]:
    """Of the gravest hosts first, as many texts as fit; where in Report.texts → where here."""
    places: dict[int, int] = {}
    texts: list[dict[str, Any]] = []
    room = MOST_BYTES_OF_TEXTS
    for row in sorted(report.hosts, key=HostRow.gravity):
        for number in row.texts:
            if number < 0 or number in places:
                continue
            text = _text(report.texts[number], rules, remedies)
            room -= 160 + len(str(text))
            if room < 0:
                return places, texts
            places[number] = len(texts)
            texts.append(text)
    return places, texts


def _text(finding: Mapping[str, Any], rules: _Table, remedies: _Table) -> dict[str, Any]:
    evidence = [each for each in finding.get("evidence") or () if isinstance(each, Mapping)]
    exact = remedy.exact(finding)
    waiver = finding.get("waiver")
    proposed = finding.get("remedy")
    subject = finding.get("subject")
    made = None if exact is None else {**exact._asdict(), "disruptive": bool(proposed.get("disruptive")) if isinstance(proposed, Mapping) else False}
    return {
        "rule": rules.place(str(finding.get("rule"))),
        "status": min(place(STATUSES, str(finding.get("status"))), len(STATUSES) - 1),
        "severity": str(finding.get("severity", "")),
        "subject": str(subject.get("id", "")) if isinstance(subject, Mapping) else "",
        "message": str(finding.get("message", "")),
        "binding": str(finding.get("binding") or ""),
        "evidence": [[str(each.get("source", ""))[:LONGEST], str(each.get("value", ""))[:LONGEST]] for each in evidence[:MOST_EVIDENCE]],
        "more": max(0, len(evidence) - MOST_EVIDENCE),
        "remedy": -1 if made is None else remedies.place(json.dumps(made, sort_keys=True)),
        "references": [str(each) for each in finding.get("references") or () if isinstance(each, str)][:6],
        "waiver": {**{name: str(waiver.get(name) or "") for name in ("owner", "expires", "justification")}, "expired": bool(waiver.get("expired"))}
        if isinstance(waiver, Mapping)
        else None,
    }
