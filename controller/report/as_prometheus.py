# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""prometheus: numbers for the textfile collector of node_exporter; alerts.yml beside this file has rules for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from . import urgency
from .safe import label
from .view import STATUSES, Report
from .writer import Format, Writer

MOST_SERIES = 200  # of one metric that names hosts or causes
ALERTS = Path(__file__).with_name("alerts.yml")
Sample = tuple[Mapping[str, str], float]


def families(report: Report) -> Iterator[tuple[str, str, list[Sample]]]:
    """Name, help, samples; all are gauges."""
    yield "pidhygiene_run_started_timestamp_seconds", "When the run began.", [({}, report.run.started_at)]
    yield "pidhygiene_run_ended_timestamp_seconds", "When the run ended.", [({}, report.run.ended_at)]
    yield "pidhygiene_hosts_expected", "Hosts of the inventory.", [({}, report.expected)]
    yield "pidhygiene_hosts_audited", "Hosts that gave a result.", [({}, report.audited)]
    yield "pidhygiene_hosts_not_audited", "Hosts that gave none, for whatever reason.", [({}, report.not_audited)]
    yield "pidhygiene_hosts_outcome", "Hosts by what became of them.", [({"outcome": outcome}, hosts) for outcome, hosts in sorted(report.outcomes.items())]
    yield (
        "pidhygiene_hosts_status",
        "Audited hosts by their gravest finding in force.",
        [({"status": status}, report.statuses.get(status, 0)) for status in STATUSES if status != "n/a"],
    )
    yield "pidhygiene_hosts_stale", "Hosts whose last audit is older than two intervals.", [({}, report.stale)]
    yield "pidhygiene_hosts_partial", "Hosts that were not audited as root.", [({}, report.partial)]
    yield (
        "pidhygiene_hosts_refusing_forks",
        "Hosts on which a limit refuses the next process.",
        [({}, len({each.host for each in report.urgent if each.now and each.forks}))],
    )
    yield (
        "pidhygiene_hosts_exhausted_within_72h",
        "Hosts whose limit will be reached within 72 hours.",
        [({}, len({each.host for each in report.urgent if urgency.soon(each, report.now)}))],
    )
    limits = {(each.host, each.limit.kind, each.limit.holder): each for each in reversed(report.urgent[:MOST_SERIES]) if each.limit is not None}
    named = [({"host": host, "kind": kind, "holder": holder}, each) for (host, kind, holder), each in sorted(limits.items())]
    yield "pidhygiene_limit_used", "Used of a limit that is reached or near.", [(labels, each.limit.used) for labels, each in named if each.limit]
    yield "pidhygiene_limit", "The limit itself.", [(labels, each.limit.limit) for labels, each in named if each.limit]
    yield "pidhygiene_limit_exhausted_timestamp_seconds", "When it will be reached.", [(labels, each.forecast.at) for labels, each in named if each.forecast]
    yield (
        "pidhygiene_cause_hosts",
        "Hosts of one cause.",
        [
            ({"key": cause.key, "rule": cause.rule, "what": cause.what, "status": cause.status, "severity": cause.severity}, len(cause.names))
            for cause in report.causes[:MOST_SERIES]
        ],
    )
    yield "pidhygiene_causes", "Causes, all of them.", [({}, len(report.causes))]
    yield (
        "pidhygiene_control_hosts",
        "Hosts by what the rules of a control say.",
        [({"control": control.id, "state": state}, value) for control in report.controls[:MOST_SERIES] for state, value in control.hosts.items()],
    )
    if report.changes is not None:
        kinds: dict[str, int] = {}
        for change in report.changes.changes:
            kinds[change.kind] = kinds.get(change.kind, 0) + len(change.hosts)
        yield "pidhygiene_changed_findings", "Findings that changed since the run before.", [({"change": kind}, value) for kind, value in sorted(kinds.items())]
        yield (
            "pidhygiene_waivers_due",
            "Waivers that have expired or expire within 14 days.",
            [
                ({"state": state}, sum(each.expired is expired for each in report.changes.waivers))
                for state, expired in (("expired", True), ("expiring", False))
            ],
        )


def text(report: Report) -> Iterator[str]:
    for name, about, samples in families(report):
        if samples:
            yield "# HELP %s %s\n# TYPE %s gauge\n" % (name, about, name)
            yield from _samples(name, samples)


def _samples(name: str, samples: Iterable[Sample]) -> Iterator[str]:
    told = set()
    for labels, value in samples:
        words = ",".join('%s="%s"' % (key, label(labels[key])) for key in sorted(labels))
        if words not in told:  # two of one name would make the whole file unreadable
            told.add(words)
            yield "%s%s %s\n" % (name, "{%s}" % words if words else "", repr(float(value)) if value != int(value) else int(value))


class Prometheus(Writer):
    def finish(self, report: Report) -> None:
        self.output.stream.writelines(text(report))
        self.output.readable_by_all()


class Alerts(Writer):
    def finish(self, report: Report) -> None:
        self.write(ALERTS.read_text(encoding="utf-8"))
        self.output.readable_by_all()


FORMAT = Format("prometheus", Prometheus)
ALERT_RULES = Format("alerts", Alerts)
