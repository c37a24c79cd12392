# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""webhook: one event for each cause, posted as JSON, pidhygiene.events/1. What changed since the run before, or all; nothing to tell, no request."""

from __future__ import annotations

from typing import Any

from . import news, posting, wording
from .safe import dumped
from .view import Report
from .writer import Context, Format, Writer

SCHEMA = "pidhygiene.events/1"
MOST_EVENTS = 100  # of one request


class Webhook(Writer):
    """Whatever is wrong with the address is told when it is used: the other formats do not wait for it."""

    def __init__(self, path: str, context: Context) -> None:
        self.context = context
        self.given = path
        self.told = False
        self.bodies: list[bytes] = []
        self.posted = 0

    @property
    def place(self) -> str:
        return "%d request%s taken" % (self.posted, "" if self.posted == 1 else "s")

    def finish(self, report: Report) -> None:
        found = [each.plain() for each in news.events(report, self.context.events)]
        head = self._head(report)
        for start in range(0, len(found), MOST_EVENTS):
            self.bodies.append(dumped({**head, "events": found[start:start + MOST_EVENTS]}).encode("ascii"))

    def _head(self, report: Report) -> dict[str, Any]:
        run, before = report.run, report.before
        return {
            "schema": SCHEMA, "title": report.title, "verdict": wording.verdict(report), "run": run.name, "run_started_at": run.started_at,
            "since": before.name if before is not None else None, "expected": report.expected, "audited": report.audited, "which": self.context.events,
        }

    def keep(self) -> None:
        """Errors: posting.NotTaken."""
        if not self.bodies:
            return
        target = posting.target(self.given)
        for body in self.bodies:
            try:
                posting.post(target, body)
            except posting.NotTaken as error:
                raise posting.NotTaken("webhook %s: %s; %d of %d requests were taken, the same report again sends them all (keys stay the same)" % (
                    target.shown, error, self.posted, len(self.bodies))) from error
            self.posted += 1
        self.told = True

    def drop(self) -> None:
        self.bodies.clear()


FORMAT = Format("webhook", Webhook, tells=True, sends=True)
