# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ndjson: one JSON object a line: the run, each host, each finding with its evidence, what is found over the fleet. For logs and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..fleet.model import FleetHost
from .safe import dumped
from .view import Report, in_force
from .writer import Format, Writer


REMEMBERED = 4096  # findings that hosts share, dumped once


class Ndjson(Writer):
    def _line(self, kind: str, **members: Any) -> None:
        self.write(dumped({"type": kind, "run": self.context.run.name, **members}) + "\n")

    def begin(self) -> None:
        run = self.context.run
        self._dumped: dict[int, tuple[Mapping[str, Any], str]] = {}
        told = {"by": run.by, "engine": run.engine, "inventory_digest": run.inventory_digest, "targeted": run.targeted}
        self._line("run", started_at=run.started_at, ended_at=run.ended_at, **told)

    def take(self, host: FleetHost) -> None:
        about = {"outcome": host.outcome, "status": host.status, "at": host.at, "received": host.received, "sha256": host.sha256}
        self._line("host", host=host.name, groups=list(host.groups), message=host.message, next_step=host.next_step, rules=dict(host.rules), **about)
        head = dumped({"type": "finding", "run": self.context.run.name, "host": host.name, "groups": list(host.groups)})[:-1]
        for finding in host.findings:
            key = dumped("%s/%s" % (host.name, finding.get("fingerprint")))
            self.write('%s,"in_force":%s,"key":%s,"finding":%s}\n' % (head, dumped(in_force(finding)), key, self._text(finding)))

    def _text(self, finding: Mapping[str, Any]) -> str:
        known = self._dumped.get(id(finding))
        if known is None:
            if len(self._dumped) >= REMEMBERED:
                self._dumped.clear()
            known = self._dumped[id(finding)] = finding, dumped(finding)  # kept, so that its id stays its own
        return known[1]

    def finish(self, report: Report) -> None:
        for each in report.fleet:
            self._line("fleet finding", finding=asdict(each), key=each.fingerprint)


FORMAT = Format("ndjson", Ndjson, True)
