# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ingest``, ``runs`` and ``prune``: what fills the store, what is in it, what leaves it. Libraries are imported when a command runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..store import Account, Pruned, Run, Store

BROKEN, WRONG_USAGE = 1, 2
DAY_S = 86400.0
SHOWN = 20  # lines of one kind
STORE = "PIDHYGIENE_STORE"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ingest = commands.add_parser(
        "ingest", help="take results into the store", description="Takes results into the store. The same again changes nothing. Exit status 1: something was "
        "refused, or with --require-all missing.")
    ingest.add_argument("paths", nargs="+", metavar="PATH",
                        help="report folder of audit.yml, folder or file of results (JSON, or one a line; .gz too), - for standard input")
    ingest.add_argument("--run", dest="of_run", metavar="NAME", help="the run they belong to (default: as run.json says, else the day of each audit)")
    ingest.add_argument("--require-all", action="store_true", help="fail when fewer hosts were recorded than run.json says were targeted")
    _of_the_store(ingest)
    _retention(ingest)
    ingest.set_defaults(run=_ingest)
    runs = commands.add_parser("runs", help="the runs that the store holds")
    _of_the_store(runs)
    runs.set_defaults(run=_runs)
    prune = commands.add_parser("prune", help="delete what is older than is to be kept")
    _of_the_store(prune)
    _retention(prune)
    prune.set_defaults(run=_prune)


def _of_the_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", default=os.environ.get(STORE) or "pidhygiene.db", metavar="URL",
                        help="file of SQLite, or postgresql://USER@HOST/DATABASE (default: $%s, else pidhygiene.db here)" % STORE)


def _retention(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--policy", metavar="FILE", type=Path, help="its store.keep and store.keep_documents hold; ingest keeps its text, for later reports")
    parser.add_argument("--keep", type=_days, metavar="DAYS", help="of runs (default: as the policy says, else 396, which is 13 months; 0: for ever)")
    parser.add_argument("--keep-documents", type=_days, metavar="DAYS",
                        help="of the results as received (default: as the policy says, else as long as the run)")


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 400_000:
        raise argparse.ArgumentTypeError("%s is no number of days" % text)
    return value


def _opened(options: argparse.Namespace, work: Callable[[Store], int]) -> int:
    from pidhygiene.policy import Policy

    from ..fleet import policy_file
    from ..store import Store, StoreError

    try:
        options.of_policy = policy_file.load(options.policy) if getattr(options, "policy", None) else Policy({})
    except policy_file.BadPolicy as error:
        sys.stderr.write("pidhygiene: the policy cannot be used\n%s\n" % error)
        return WRONG_USAGE
    try:
        with Store.open(options.store) as store:
            return work(store)
    except StoreError as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN


def _ingest(options: argparse.Namespace) -> int:
    from .. import store as stores

    absent = [path for path in options.paths if path != "-" and not os.path.exists(path)]
    if absent:
        sys.stderr.write("pidhygiene: there is no %s\n" % ", ".join(absent))
        return BROKEN

    def work(store: Store) -> int:
        if options.policy:
            store.keep_policy(options.of_policy)
        progress = _Progress()
        intake = store.intake(options.of_run, progress.show)
        try:
            intake.paths([Path(path) for path in options.paths if path != "-"])
            if "-" in options.paths:
                intake.stream(sys.stdin.buffer)
        except (stores.StoreError, KeyboardInterrupt) as error:
            progress.end()
            sys.stderr.write("pidhygiene: stopped after %s; the same command again takes in the rest\n" % _hosts(intake.account.recorded))
            if isinstance(error, KeyboardInterrupt):
                return BROKEN
            raise
        progress.end()
        _tell(intake.account, store)
        _tell_pruned(_pruned(store, options))
        return _status(intake.account, options.require_all)

    return _opened(options, work)


class _Progress:
    """One line that is written over, on a terminal only."""

    def __init__(self) -> None:
        self._wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = False

    def show(self, account: Account) -> None:
        if self._wanted:
            self._shown = True
            sys.stderr.write("\r\x1b[K%s recorded, %d known already, %d refused" % (_hosts(account.recorded), account.already, account.number("refused")))
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write("\r\x1b[K")


def _tell(account: Account, store: Store) -> None:
    """What happened, to standard output; what is wrong, to standard error."""
    of = " of %d targeted" % account.targeted if account.targeted is not None else ""
    said = "%s%s recorded in %s" % (_hosts(account.recorded), of, store.place)
    if account.runs:
        said += " (run %s)" % ", ".join(sorted(account.runs)[:3]) + (" and %d more" % (len(account.runs) - 3) if len(account.runs) > 3 else "")
    for number, words in ((account.already, "known already"), (account.moved, "put into the run they belong to"), (account.number("replaced"), "replaced"),
                          (account.number("earlier"), "older than what is there"), (account.number("refused"), "refused")):
        if number:
            said += ", %d %s" % (number, words)
    sys.stdout.write(said + ".\n")
    for kind in ("replaced", "earlier"):
        _list(getattr(account, kind), account.number(kind), "")
    _list(account.clocks, account.number("clocks"), "clock: ")
    _list(account.refused, account.number("refused"), "refused: ")
    for run, hosts in account.missing.items():
        some = ", ".join(hosts[:10]) + (", …" if len(hosts) > 10 else "")
        sys.stderr.write("pidhygiene: run %s has no answer of %d of its hosts: %s\n" % (run, len(hosts), some))


def _list(lines: list[str], number: int, head: str) -> None:
    for line in lines[:SHOWN]:
        sys.stderr.write("pidhygiene: %s%s\n" % (head, line))
    if number > SHOWN:
        sys.stderr.write("pidhygiene: %sand %d more\n" % (head, number - SHOWN))


def _status(account: Account, require_all: bool) -> int:
    if require_all and account.targeted is None:
        sys.stderr.write("pidhygiene: --require-all: no run.json says how many hosts were targeted; hand in the report folder of audit.yml\n")
        return BROKEN
    return BROKEN if account.number("refused") or require_all and account.not_recorded else 0


def _pruned(store: Store, options: argparse.Namespace) -> Pruned:
    keep, documents = (own if own is not None else options.of_policy[key] for key, own in (
        ("store.keep", options.keep), ("store.keep_documents", options.keep_documents)))
    return store.prune(DAY_S * (keep or 400_000), DAY_S * documents if documents else None)


def _prune(options: argparse.Namespace) -> int:
    def work(store: Store) -> int:
        pruned = _pruned(store, options)
        if not (pruned.runs or pruned.documents):
            sys.stdout.write("Nothing in %s is older than is to be kept.\n" % store.place)
        _tell_pruned(pruned)
        return 0

    return _opened(options, work)


def _tell_pruned(pruned: Pruned) -> None:
    if pruned.runs or pruned.documents:
        sys.stdout.write("Deleted as too old: %d runs, %d documents.\n" % (pruned.runs, pruned.documents))
    if pruned.advice:
        sys.stdout.write(pruned.advice + "\n")


def _runs(options: argparse.Namespace) -> int:
    def work(store: Store) -> int:
        runs = store.runs()
        sys.stdout.write("".join(_line(run) for run in runs) or "%s holds no run: ingest a report folder.\n" % store.place)
        return 0

    return _opened(options, work)


def _line(run: Run) -> str:
    """2026-11-28 18:20  NAME  4000 targeted, 3962 audited, 21 unreachable: 3 fail, 17 warn"""
    parts = ["%d targeted" % run.targeted] if run.targeted is not None else []
    parts.extend("%d %s" % (run.outcomes[name], name) for name in ("audited", "unreachable", "failed", "not recorded") if run.outcomes.get(name))
    statuses = ", ".join("%d %s" % (run.statuses[name], name) for name in ("fail", "warn", "unknown", "info", "pass") if run.statuses.get(name))
    return "%s  %s  %s\n" % (time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.started_at)), run.name, ", ".join(parts) + (": " + statuses if statuses else ""))


def _hosts(number: int) -> str:
    return "%d host%s" % (number, "" if number == 1 else "s")
