# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pidhygiene.controller diff OLD NEW``: what changed between two runs, as text or JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..fleet.changes import Change, Changes
    from ..fleet.model import FleetHost

FOUND, BROKEN, USAGE = 100, 1, 2
TITLES = {"regressed": "Came back", "new": "New", "worse": "Worse", "not judged any more": "Not judged any more (not fixed)", "fixed": "Fixed"}
MOST_HOSTS = 5


def add_to(commands: Any) -> None:
    diff = commands.add_parser(
        "diff", help="what changed between two runs", description="New, worse, fixed, come back, not audited any more, and waivers that run out.")
    diff.add_argument("old", metavar="OLD", type=Path, help="report folder, folder of results, or one result")
    diff.add_argument("new", metavar="NEW", type=Path, help="the same, later")
    diff.add_argument("--before", metavar="DIR", type=Path, action="append", default=[],
                      help="a run before OLD: what it had and OLD had not is no news, it came back")
    diff.add_argument("--policy", metavar="FILE", type=Path, help="policy in YAML, for its waivers that run out")
    diff.add_argument("--format", choices=("text", "json"), default="text")
    diff.add_argument("--fail-on", choices=("news", "never"), default="never", help="exit with 100 when something is new, worse, came back or fell silent")
    diff.set_defaults(run=run)


def hosts_of(place: Path) -> Iterator[FleetHost]:
    """Where runs come from. Runs of a store are read here, too, once a place may name one."""
    from ..fleet import results

    return results.read([place])


def run(options: argparse.Namespace) -> int:
    from ..fleet import changes, policy_file, results

    try:
        policy = policy_file.load(options.policy) if options.policy else None
        earlier: set[changes.Seen] = set()
        for place in options.before:
            earlier |= changes.seen(hosts_of(place))
        found = changes.changes(hosts_of(options.old), hosts_of(options.new), datetime.datetime.now(datetime.timezone.utc).date(), earlier, policy)
    except results.NoResults as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN
    except policy_file.BadPolicy as error:
        sys.stderr.write("pidhygiene: the policy cannot be used\n%s\n" % error)
        return USAGE
    sys.stdout.write(json.dumps(found.plain(), sort_keys=True, indent=1) + "\n" if options.format == "json" else as_text(found))
    return FOUND if options.fail_on == "news" and found.news else 0


def as_text(found: Changes) -> str:
    lines: list[str] = []
    for kind, title in TITLES.items():
        changes = found.of(kind)
        if changes:
            lines.append("%s:" % title)
            lines.extend(_line(change) for change in changes)
    if found.not_audited:
        lines.append("Not audited any more:")
        lines.extend("  %s (%s): %s; %s" % (each.host, each.outcome, each.message, each.next_step) for each in found.not_audited)
    for names, title in ((found.audited_again, "Audited again"), (found.joined, "Joined")):
        if names:
            lines.append("%s: %s" % (title, _some(names)))
    for expired, title in ((True, "Waivers that have expired"), (False, "Waivers that expire within 14 days")):
        due = [each for each in found.waivers if each.expired == expired]
        if due:
            lines.append("%s:" % title)
            lines.extend("  %s %s, %s: %s (%s)" % (
                each.expires, each.rule, each.owner, each.justification, _some(each.hosts) if each.hosts else "nothing needs it") for each in due)
    return "\n".join(lines or ["Nothing changed."]) + "\n"


def _line(change: Change) -> str:
    line = "  %-7s %s %s on %s" % (change.status, change.rule, change.what, _some(change.hosts))
    return line + (":\n          %s" % change.example if change.example else "")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MOST_HOSTS]) + (" and %d more" % (len(names) - MOST_HOSTS) if len(names) > MOST_HOSTS else "")
