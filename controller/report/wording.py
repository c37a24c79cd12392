# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and numbers for people, the same in the page, the mail and the one line for Nagios."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from ..fleet.model import AUDITED, FAILED, NOT_RECORDED, UNREACHABLE
from . import urgency
from .view import Forecast, Report, Urgent


def number(value: int | None) -> str:
    return "" if value is None else "{:,}".format(value)


def count(value: int, noun: str) -> str:
    return "%s %s%s" % (number(value), noun, "" if value == 1 else "s")


def percent(share: float) -> str:
    return "%.1f %%" % (100 * share)


def when(seconds: float | None, zone: str = "") -> str:
    """2026-11-28 18:20; of no time, nothing."""
    if seconds is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds)) + (" " + zone if zone else "")
    except (ValueError, OverflowError, OSError):
        return ""


def day(seconds: float | None) -> str:
    return when(seconds)[:10]


def between(forecast: Forecast) -> str:
    latest = when(forecast.latest) if forecast.latest is not None else "never"
    return "%s – %s" % (when(forecast.earliest), latest)


def local(each: Urgent) -> str:
    """The time of exhaustion by the clock of the host."""
    if each.forecast is None or not each.zone or each.zone == "UTC":
        return ""
    try:
        return datetime.fromtimestamp(each.forecast.at, timezone.utc).astimezone(ZoneInfo(each.zone)).strftime("%Y-%m-%d %H:%M %Z")
    except (ValueError, OSError, OverflowError, LookupError):  # a name that the host made up
        return ""


def verdict(report: Report) -> str:
    """One sentence. It never says "compliant"."""
    now = {each.host for each in report.urgent if each.now and each.forks}
    soon = {each.host for each in report.urgent if urgency.soon(each, report.now)} - now
    missing = "; %s not audited" % count(report.not_audited, "host") if report.not_audited else ""
    if now or soon:
        parts = ["%s now" % _refuse(len(now))] if now else []
        if soon:
            parts.append("%s will%s within 72 h" % (number(len(soon)) if now else count(len(soon), "host"), "" if now else " refuse forks"))
        return "; ".join(parts) + missing
    if not report.audited:
        return "No host was audited"
    deviating = report.with_status("fail", "warn")
    unknown = report.with_status("unknown")
    if deviating:
        return "Deviations on %s of %s" % (number(deviating), count(report.audited, "audited host")) + missing
    if report.causes and any(cause.status in ("fail", "warn") for cause in report.causes):
        return "No host deviates alone, but the fleet does: see the causes" + missing
    return (
        "No deviation found in %s on %s" % (count(len(report.rules) + len(report.fleet_rules), "check"), count(report.audited, "host"))
        + ("; %s with unknowns" % count(unknown, "host") if unknown else "")
        + missing
    )


def _refuse(hosts: int) -> str:
    return "%s %s forks" % (count(hosts, "host"), "refuses" if hosts == 1 else "refuse")


def scope(report: Report) -> list[tuple[str, bool]]:
    """What was expected and what became of it; the second: whether to stress it."""
    inventory = " (inventory %s)" % report.run.inventory_digest if report.run.inventory_digest and not report.chosen else ""
    parts = [
        (
            "%s expected%s" % (number(report.expected), inventory)
            if report.run.targeted is not None or report.chosen
            else "%s known; no inventory said how many were expected" % count(len(report.hosts), "host"),
            True,
        ),
        ("%s audited" % number(report.audited), True),
    ]
    not_recorded = report.outcomes.get(NOT_RECORDED, 0) + report.expected - len(report.hosts)
    for value, word in (
        (report.outcomes.get(UNREACHABLE, 0), "unreachable"),
        (report.outcomes.get(FAILED, 0), "failed"),
        (not_recorded, "not recorded"),
        (report.stale, "stale"),
        (report.partial, "partial"),
    ):
        parts.append(("%s %s" % (number(value), word), value > 0))
    others = sum(value for outcome, value in report.outcomes.items() if outcome not in (AUDITED, UNREACHABLE, FAILED, NOT_RECORDED))
    return parts + ([("%s of another outcome" % number(others), True)] if others else [])


def about(report: Report) -> list[str]:
    """By which policy and engine, by whom, when."""
    parts = ["policy %s%s" % (digest, " on %s" % number(hosts) if len(report.policies) > 1 else "") for digest, hosts in _most(report.policies)]
    parts.extend("engine %s%s" % (version, " on %s" % number(hosts) if len(report.engines) > 1 else "") for version, hosts in _most(report.engines))
    if report.run.by:
        parts.append("by %s" % report.run.by)
    parts.append("%s – %s UTC" % (when(report.run.started_at), when(report.run.ended_at)))
    return parts


def _most(table: dict[str, int], most: int = 3) -> list[tuple[str, int]]:
    ranked = sorted(table.items(), key=lambda row: (-row[1], row[0]))
    return ranked[:most] + ([("and %d others" % (len(ranked) - most), sum(row[1] for row in ranked[most:]))] if len(ranked) > most else [])


def urgent_words(report: Report) -> str:
    now = len({each.host for each in report.urgent if each.now and each.forks})
    soon = len({each.host for each in report.urgent if urgency.soon(each, report.now)})
    return "%s now, %s within 72 h, %s near a limit" % (_refuse(now), number(soon), count(len({each.host for each in report.urgent}), "host"))
