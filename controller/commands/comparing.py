# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pidhygiene.controller diff OLD NEW``: what changed between two runs, as text or JSON."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .storing import STORE

if TYPE_CHECKING:
    from pidhygiene.policy import Policy

    from ..fleet.changes import Changes
    from ..store import Run, Store

FOUND, BROKEN, USAGE = 100, 1, 2


def add_to(commands: Any) -> None:
    diff = commands.add_parser(
        "diff", help="what changed between two runs", description="New, worse, fixed, come back, not audited any more, and waivers that run out.")
    diff.add_argument("old", metavar="OLD", nargs="?", help="report folder, folder of results, or one result; with --store a run, by number or name")
    diff.add_argument("new", metavar="NEW", nargs="?", help="the same, later (default: the last two runs of the store)")
    diff.add_argument("--store", metavar="URL", help="compare runs of this store (default without OLD and NEW: $%s, else pidhygiene.db here)" % STORE)
    diff.add_argument("--before", metavar="DIR", type=Path, action="append", default=[],
                      help="a run before OLD: what it had and OLD had not is no news, it came back; the store knows its own")
    diff.add_argument("--policy", metavar="FILE", type=Path, help="policy in YAML, for its waivers that run out")
    diff.add_argument("--format", choices=("text", "json"), default="text")
    diff.add_argument("--fail-on", choices=("news", "never"), default="never", help="exit with 100 when something is new, worse, came back or fell silent")
    diff.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from ..fleet import policy_file, results
    from ..report import news

    if options.old is not None and options.new is None:
        return _usage("name two runs, or none for the last two of the store")
    try:
        policy = policy_file.load(options.policy) if options.policy else None
        found = _of_places(options, policy) if options.store is None and options.old is not None else _of_store(options, policy)
    except results.NoResults as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN
    except policy_file.BadPolicy as error:
        return _usage("the policy cannot be used\n%s" % error)
    if found is None:
        return BROKEN
    text = "\n".join(news.lines(found, found.waivers)) or "Nothing changed."
    sys.stdout.write(json.dumps(found.plain(), sort_keys=True, indent=1) + "\n" if options.format == "json" else text + "\n")
    return FOUND if options.fail_on == "news" and found.news else 0


def _usage(message: str) -> int:
    sys.stderr.write("pidhygiene: %s\n" % message)
    return USAGE


def _of_places(options: argparse.Namespace, policy: Policy | None) -> Changes:
    from ..fleet import changes, results

    earlier: set[changes.Seen] = set()
    for place in options.before:
        earlier |= changes.seen(results.read([place]))
    old, new = (results.read([Path(place)]) for place in (options.old, options.new))
    return changes.changes(old, new, datetime.datetime.now(datetime.timezone.utc).date(), earlier, policy)


def _of_store(options: argparse.Namespace, policy: Policy | None) -> Changes | None:
    from ..store import Store, StoreError

    try:
        with Store.open(options.store or os.environ.get(STORE) or "pidhygiene.db") as store:
            runs = store.runs()
            if options.old is not None:
                runs = [store.run(int(name) if name.isdigit() else name) for name in (options.old, options.new)]
            if len(runs) > 1:
                return _between(store, runs[-2], runs[-1], policy)
            sys.stderr.write("pidhygiene: %s holds %s: ingest a second one, and compare then\n" % (store.place, "one run" if runs else "no run"))
    except StoreError as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
    return None


def _between(store: Store, old: Run, new: Run, policy: Policy | None) -> Changes:
    """As a report of the new run would say it, had the old one been the run before."""
    import time

    from ..report import gather

    return gather.between(store, old, new, time.time(), policy)
