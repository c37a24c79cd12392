# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m pidhygiene.controller report DIR [-o PAGE]``: the page and the text of a folder of results;
``plan RESULT|DIR ... [-o PLAN]``: what would repair it;
``ingest``, ``runs``, ``prune``: the store that remembers.

Exit status: 0 nothing at or above --fail-on, 1 the tool itself failed, 2 wrong usage, 100 findings at or above it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from .commands import comparing, policies, storing

FOUND, BROKEN, USAGE = 100, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        return status
    except ModuleNotFoundError as error:
        sys.stderr.write("pidhygiene: %s is missing; install pidhygiene[controller]\n" % error.name)
    except OSError as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
    return BROKEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pidhygiene.controller", description="Reports over many audited hosts.")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="one page and one text from a folder of results")
    report.add_argument("folder", type=Path, metavar="DIR", help="folder that audit.yml wrote, or any folder of results of pidhygiene check")
    report.add_argument("-o", "--output", type=Path, metavar="PAGE", help="the HTML page (default: DIR/report.html)")
    report.add_argument("--fail-on", choices=("fail", "warn", "unknown", "never"), default="never", help="exit with 100 on findings from here on")
    report.add_argument("--title", default="pidhygiene", help="of the page")
    report.set_defaults(run=_report)
    plan = commands.add_parser("plan", help="a reviewable plan that repairs what was found", description="Writes a plan; changes nothing.")
    plan.add_argument("places", type=Path, metavar="RESULT|DIR", nargs="+", help="results of pidhygiene check --format json, or folders that audit.yml wrote")
    plan.add_argument("-o", "--output", type=Path, metavar="PLAN", help="the plan file (default: standard output)")
    plan.add_argument("--rule", action="append", default=[], metavar="ID", help="repair only what this rule or pattern found; may be repeated")
    plan.add_argument("--host", action="append", default=[], metavar="NAME", help="only this host or pattern; may be repeated")
    plan.add_argument("--policy", type=Path, metavar="FILE", help="policy in YAML: its quorum groups are never taken below their majority")
    plan.add_argument("--ticket", default="", help="id of the change, carried in the plan")
    plan.add_argument("--owner", default="", help="who answers for restarts on schedule; without one the next audit says that nobody does")
    plan.add_argument("--reboot-at", default="", metavar="WHEN", help="let hosts that need it reboot: +30, 03:30, 2027-03-31T02:30:00Z")
    plan.set_defaults(run=_plan)
    storing.add_to(commands)
    comparing.add_to(commands)
    policies.add_to(commands)
    return parser


def _report(options: argparse.Namespace) -> int:
    from .render import digest, folder, overview, page

    if not options.folder.is_dir():
        raise NotADirectoryError("%s is no folder" % options.folder)
    found = overview.of_folder(options.folder)
    written = page.write(found, options.output or options.folder / folder.PAGE, options.title)
    sys.stdout.write(digest.render(found, _paint(sys.stdout)))
    sys.stdout.write("\nPage: %s\n" % written)
    return FOUND if found.gated(options.fail_on) else 0


def _plan(options: argparse.Namespace) -> int:
    from . import plan

    try:
        policy = plan.policy(options.policy) if options.policy else None
        document = plan.make(options.places, options.rule, options.host, options.ticket, policy=policy, owner=options.owner, reboot_at=options.reboot_at)
    except (plan.NothingToPlan, plan.BadPolicy) as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN if isinstance(error, plan.NothingToPlan) else USAGE
    if options.output is None:
        sys.stdout.write(plan.text(document))
        return 0
    options.output.write_text(plan.text(document), encoding="utf-8")
    sys.stdout.write(plan.summary(document))
    sys.stdout.write("\nPlan: %s\n" % options.output)
    return 0


def _paint(stream: TextIO) -> Callable[[str, str], str]:
    from .render import digest

    wanted = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return digest.coloured if wanted else digest.plain


if __name__ == "__main__":
    sys.exit(main())
