# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as about twenty lines of text: for a terminal, a mail, a log."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

from .folder import FAILED, NOT_RECORDED, UNREACHABLE
from .overview import Cause, Overview

MOST_CAUSES = 12
MOST_HOSTS = 8  # named in one line
MOST_URGENT = 5
WIDTH = 100
COLOURS = {"fail": "1;31", "warn": "33", "unknown": "35", "pass": "32", "bold": "1"}

Paint = Callable[[str, str], str]


def plain(text: str, _name: str) -> str:
    return text


def coloured(text: str, name: str) -> str:
    return "\x1b[%sm%s\x1b[0m" % (COLOURS[name], text) if name in COLOURS else text


def render(overview: Overview, paint: Paint = plain) -> str:
    """The whole text, ending in a newline."""
    return "\n".join(_lines(overview, paint)) + "\n"


def scope(overview: Overview) -> str:
    """How many were targeted and what became of them: the denominator is always said."""
    parts = ["%d targeted" % len(overview.hosts), "%d audited" % len(overview.audited)]
    parts.extend("%d %s" % (len(overview.outcome(name)), name) for name in (UNREACHABLE, FAILED, NOT_RECORDED) if overview.outcome(name))
    if overview.partial:
        parts.append("%d with a partial view" % overview.partial)
    if overview.others:
        parts.append("%d more in the folder from earlier runs, not shown" % overview.others)
    return " · ".join(parts)


def verdict(overview: Overview) -> str:
    """One sentence that never says "compliant"."""
    hosts = len(overview.audited)
    if not hosts:
        return "No host was audited."
    troubled = [host for host in overview.audited if host.status in ("fail", "warn")]
    missing = len(overview.not_audited)
    found = "Deviations on %d of %s" % (len(troubled), count(hosts, "audited host")) if troubled else (
        "No deviation found by %s on %s" % (count(len(overview.rules), "rule"), count(hosts, "host")))
    return found + ("; %s not audited." % count(missing, "host") if missing else ".")


def _lines(overview: Overview, paint: Paint) -> Iterator[str]:
    troubled = any(host.status in ("fail", "warn") for host in overview.hosts) or overview.not_audited
    yield paint(verdict(overview), "bold" if troubled else "pass")
    yield scope(overview)
    for host in overview.not_audited[:MOST_HOSTS]:
        yield ""
        yield paint("%-7s %s" % (host.outcome.upper(), host.name), "fail")
        yield from _wrapped(host.message)
        yield from _wrapped("Next: " + host.next_step)
    yield from _more(len(overview.not_audited) - MOST_HOSTS, "host not audited", "hosts not audited")
    causes = _alike(overview.ranked_causes())
    for group in causes[:MOST_CAUSES]:
        yield ""
        yield from _unjudged(group, len(overview.audited), paint) if len(group) > 1 else _cause(group[0], len(overview.audited), paint)
    yield from _more(len(causes) - MOST_CAUSES, "cause", "causes")
    if overview.waived:
        yield ""
        yield "Waived: %s." % count(overview.waived, "finding")


def _alike(causes: list[Cause]) -> list[list[Cause]]:
    """What several rules could not judge for one reason on the same hosts is one cause."""
    groups: dict[tuple[object, ...], list[Cause]] = {}
    for cause in causes:
        unknown = cause.status == "unknown"
        groups.setdefault((cause.reason, cause.severity, tuple(cause.hosts)) if unknown else (cause.rule, cause.status), []).append(cause)
    return list(groups.values())


def _unjudged(causes: list[Cause], audited: int, paint: Paint) -> Iterator[str]:
    first = causes[0]
    yield paint("%-7s %-4s" % (first.status.upper(), first.severity), first.status) + " %d rules  %s%s" % (len(causes), first.reason, _where(first, audited))
    yield from _wrapped("Could not be judged: %s." % ", ".join("%s (%s)" % (cause.title, cause.rule) for cause in causes))


def _where(cause: Cause, audited: int) -> str:
    hosts = ", ".join(cause.hosts[:MOST_HOSTS]) + (", … (%d)" % len(cause.hosts) if len(cause.hosts) > MOST_HOSTS else "")
    return "%s: %s" % (" on %d of %d" % (len(cause.hosts), audited) if audited > 1 else "", hosts)


def _cause(cause: Cause, audited: int, paint: Paint) -> Iterator[str]:
    yield paint("%-7s %-4s" % (cause.status.upper(), cause.severity), cause.status) + " %s  %s%s" % (cause.rule, cause.title, _where(cause, audited))
    yield from _wrapped(cause.example)
    if cause.findings > 1:
        yield "    (%d findings of this rule)" % cause.findings


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _more(number: int, one: str, many: str) -> Iterator[str]:
    if number > 0:
        yield ""
        yield "… and %d more %s; the page has them all." % (number, one if number == 1 else many)


def count(number: int, noun: str) -> str:
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")
