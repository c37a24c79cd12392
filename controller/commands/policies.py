# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pidhygiene.controller policy suggest``: a baseline from results; ``policy check``: what is wrong with a policy, by file and line."""

from __future__ import annotations

import argparse
import datetime
import sys
import textwrap
from pathlib import Path
from typing import Any

BROKEN, USAGE = 1, 2
WRAPPERS = {"ansible": "pidhygiene_policy", "salt": "pidhygiene"}


def add_to(commands: Any) -> None:
    policy = commands.add_parser("policy", help="make a policy from results, or check one")
    actions = policy.add_subparsers(metavar="suggest|check", required=True)
    suggest = actions.add_parser("suggest", help="a baseline: today is accepted, tomorrow's news is reported")
    suggest.add_argument("places", metavar="DIR|FILE", type=Path, nargs="+", help="report folders, folders of results, or results")
    suggest.add_argument("-o", "--output", metavar="POLICY", type=Path, help="the policy file (default: standard output); never overwritten")
    suggest.add_argument("--days", type=_days, default=90, help="how long today's warnings are accepted (default: %(default)s); failures a third of it")
    suggest.add_argument("--owner", default="", help="who answers for what is accepted")
    suggest.add_argument("--for", dest="door", choices=sorted(WRAPPERS), help="as the variable of Ansible (-e @POLICY), or the pillar of Salt")
    suggest.set_defaults(run=_suggest)
    check = actions.add_parser("check", help="every mistake with its line")
    check.add_argument("files", metavar="FILE", type=Path, nargs="+")
    check.set_defaults(run=_check)


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 3660:
        raise argparse.ArgumentTypeError("between 1 and 3660 days")
    return days


def _suggest(options: argparse.Namespace) -> int:
    from ..fleet import results, suggest

    today = datetime.datetime.now(datetime.timezone.utc).date()
    try:
        made = _wrapped(suggest.suggest(results.read(options.places), today, options.days, options.owner), WRAPPERS.get(options.door, ""))
    except (results.NoResults, suggest.NothingToAccept) as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN
    if options.output is None:
        sys.stdout.write(made)
        return 0
    with options.output.open("x", encoding="utf-8") as stream:  # people edit it: it is never overwritten
        stream.write(made)
    sys.stdout.write("Policy: %s; read it, and fill in what says TODO.\n" % options.output)
    return 0


def _wrapped(policy: str, name: str) -> str:
    return "%s:\n%s" % (name, textwrap.indent(policy, "  ")) if name else policy


def _check(options: argparse.Namespace) -> int:
    from ..fleet import policy_file

    wrong = 0
    for path in options.files:
        found = policy_file.mistakes(path)
        wrong += bool(found)
        sys.stdout.write("".join(str(each) + "\n" for each in found) or "%s: no mistakes\n" % path)
    return USAGE if wrong else 0
