# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m pidhygiene.controller report [DIR] [--format NAME:PATH ...]``: a page, a text, and what machines read, of a folder or the store;
``plan RESULT|DIR ... [-o PLAN]``: what would repair it; ``ingest``, ``runs``, ``prune``: the store that remembers.

Exit status: 0 nothing at or above --fail-on, 1 the tool itself failed, 2 wrong usage, 100 findings at or above it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .commands import comparing, policies, reporting, storing

FOUND, BROKEN, USAGE = 100, 1, 2


def main(arguments: Sequence[str] | None = None, prog: str = "python -m pidhygiene.controller") -> int:
    options = _parser(prog).parse_args(arguments)
    try:
        status: int = options.run(options)
        return status
    except ModuleNotFoundError as error:
        sys.stderr.write("pidhygiene: %s is missing; install pidhygiene[controller]\n" % error.name)
    except OSError as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
    return BROKEN


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Reports over many audited hosts.")
    commands = parser.add_subparsers(dest="command", required=True)
    reporting.add_to(commands)
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
    comparing.add_to(commands)
    policies.add_to(commands)
    storing.add_to(commands)
    return parser


def _plan(options: argparse.Namespace) -> int:
    from . import plan
    from .fleet import policy_file

    try:
        policy = policy_file.load(options.policy) if options.policy else None
    except (policy_file.BadPolicy, OSError) as error:
        sys.stderr.write("pidhygiene: the policy cannot be used\n%s\n" % error)
        return USAGE
    try:
        document = plan.make(options.places, options.rule, options.host, options.ticket, policy=policy, owner=options.owner, reboot_at=options.reboot_at)
    except plan.NothingToPlan as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN
    if options.output is None:
        sys.stdout.write(plan.text(document))
        return 0
    options.output.write_text(plan.text(document), encoding="utf-8")
    sys.stdout.write(plan.summary(document))
    sys.stdout.write("\nPlan: %s\n" % options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
