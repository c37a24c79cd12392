# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: one HTML file that asks nothing of any network. The first screen is plain HTML; the list of hosts is drawn by the page's one script.

The template escapes everything (autoescape); what the script gets is base64, so that no text of a host can end an element; the script makes
nodes with text, never markup. A policy in the page allows this script and this style, by their digests, and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import jinja2
from markupsafe import Markup

from ..fleet.changes import KINDS
from . import controls, drawing, payload, urgency, wording, zones
from .view import STATUSES, HostRow, Report

HERE = Path(__file__).parent
MOST_URGENT, MOST_MISSING, MOST_CAUSES, MOST_CONTROLS, MOST_GROUPS, MOST_PROGRAMS = 25, 15, 40, 60, 12, 20


def parts(report: Report, pack: str = "") -> Iterator[str]:
    """The page, piece by piece. ``pack``: the file of the auditor pack as seen from the page."""
    style, script = _read("page.css"), _read("page.js")
    data, left = payload.packed(report)
    places = zones.of(report)
    changes = report.changes
    groups, shares = controls.by_group(report, MOST_GROUPS)
    missing = sorted((row for row in report.hosts if not row.audited), key=HostRow.gravity)
    # The data need no escaping (base64), style and script are ours; the policy names their digests.
    yield from _template().generate(
        report=report,
        verdict=wording.verdict(report),
        scope=wording.scope(report),
        about=wording.about(report),
        urgent_words=wording.urgent_words(report),
        urgent=report.urgent[:MOST_URGENT],
        more_urgent=max(0, len(report.urgent) - MOST_URGENT),
        missing=missing[:MOST_MISSING],
        causes=report.causes[:MOST_CAUSES],
        controls=report.controls[:MOST_CONTROLS],
        groups=groups,
        shares=shares,
        leaking=report.leaking[:MOST_PROGRAMS],
        zones=places,
        zone_map=drawing.world(places),
        trend_chart=drawing.trend(report),
        sparks=report.sparks,
        changed=[(kind, [(each, len(each.hosts)) for each in changes.of(kind)]) for kind in KINDS] if changes else [],
        pack=pack,
        statuses=STATUSES,
        left_out=_left_out(left),
        style=Markup(style),
        script=Markup(script),
        data=Markup(data),
        security=_security(style, script),
        number=wording.number,
        count=wording.count,
        percent=wording.percent,
        when=wording.when,
        day=wording.day,
        between=wording.between,
        local=wording.local,
        soon=urgency.soon,
        spark=drawing.spark,
        missing_of=drawing.missing_of,
        style_of=style_of,
    )


@functools.cache
def _template() -> jinja2.Template:
    """Compiled once: that costs more than a small page."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_read("page.html.j2"))


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def style_of(word: str) -> str:
    return "na" if word == "n/a" else word if word in STATUSES else "missing"


def _left_out(findings: int) -> str:
    if not findings:
        return "Evidence and remedy of every finding are in this page."
    return (
        "%s of information, or of hosts that are better off, are counted only, to keep this page small; "
        "--host NAME makes a page with all of one host, --format ndjson has all of all." % (wording.count(findings, "finding"))
    )


def _security(style: str, script: str) -> str:
    def digest(text: str) -> str:
        return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")

    return "default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'" % (
        digest(script),
        digest(style),
    )
