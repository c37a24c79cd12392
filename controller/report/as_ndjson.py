# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ndjson: one JSON object a line: the run, each host, each finding with its evidence, what is found over the fleet. For logs and webhooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..fleet.model import FleetHost
from .safe import dumped
from .view import Report, in_force
from .writer import Format, Writer


class Ndjson(Writer):
    def _line(self, kind: str, **members: Any) -> None:
        self.write(dumped({"type": kind, "run": self.context.run.name, **members}) + "\n")

    def begin(self) -> None:
        run = self.context.run
        self._line(
            "run", started_at=run.started_at, ended_at=run.ended_at, by=run.by, engine=run.engine, inventory_digest=run.inventory_digest, targeted=run.targeted
        )

    def take(self, host: FleetHost) -> None:
        self._line(
            "host",
            host=host.name,
            outcome=host.outcome,
            status=host.status,
            groups=list(host.groups),
            at=host.at,
            received=host.received,
            sha256=host.sha256,
            message=host.message,
            next_step=host.next_step,
            rules=dict(host.rules),
        )
        for finding in host.findings:
            self._line(
                "finding",
                host=host.name,
                groups=list(host.groups),
                in_force=in_force(finding),
                finding=finding,
                key="%s/%s" % (host.name, finding.get("fingerprint")),
            )

    def finish(self, report: Report) -> None:
        for each in report.fleet:
            self._line("fleet finding", finding=asdict(each), key=each.fingerprint)


FORMAT = Format("ndjson", Ndjson, True)
