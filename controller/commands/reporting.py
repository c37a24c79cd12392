# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``pidhygiene.controller report``: of a folder of results, one page and one text; of the store, every format, several at a time."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .storing import STORE

if TYPE_CHECKING:
    from ..report.keeping import Keeping
    from ..report.source import Source
    from ..report.view import Report
    from ..report.writer import Writer
    from ..store.rows import Run

FOUND, BROKEN, USAGE = 100, 1, 2
PAGE = "report.html"
# What each is for; the writers are in report/formats.py, which --help need not import.
FORMATS = {
    "html": "one page for people: what fails first, causes, changes, controls, every host with evidence and remedy",
    "text": "at most twenty lines, for a mail or a chat",
    "csv": "the auditor pack, a folder or a .zip: host × control with passes, raw evidence, a manifest with the SHA-256 of each result",
    "ndjson": "one JSON object a line for run, host and finding, with a key that stays the same over runs: for logs and webhooks",
    "json": "the first screen and a line for each host as one document",
    "junit": "a suite for each host and a case for each rule, for the test page of a CI; --fail-on says what counts as a failure",
    "sarif": "SARIF 2.1.0 for code scanning pages: what warns and fails, waived ones suppressed",
    "prometheus": "gauges for node_exporter's textfile collector, written as a .prom file",
    "alerts": "alert rules for Prometheus over those gauges, as alerts.yml",
    "nagios": "one line with performance data; on standard output the exit status is that of a plugin (0, 1, 2, 3)",
    "news": "what changed since the run before, for a journal; nothing when nothing did",
    "mail": "the same to an address (mail:ops@example.org) through this machine's sendmail; no mail when there is no news",
    "webhook": "an event for each cause that changed, posted as JSON to https://…, or to the address in the first line of @FILE, with the headers below it",
}


def add_to(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="a page, a text, and what machines read, from a folder of results or the store",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Of DIR alone: one page and one text. With --store or --format: from the store, or of DIR, in every format that is named.",
        epilog="formats:\n" + "\n".join("  %-11s %s" % each for each in FORMATS.items()),
    )
    report.add_argument("folder", type=Path, metavar="DIR", nargs="?", help="folder that audit.yml wrote, or any folder of results of pidhygiene check")
    report.add_argument("-o", "--output", type=Path, metavar="PAGE", help="the HTML page (default: DIR/report.html; of the store: report.html)")
    report.add_argument(
        "--format",
        action="append",
        default=[],
        type=_format,
        dest="formats",
        metavar="NAME:PATH",
        help="html:out.html, junit:out.xml, nagios:- …; may be repeated; - is standard output",
    )
    report.add_argument("--store", metavar="URL", help="report of this store (default without DIR: $%s, else pidhygiene.db here)" % STORE)
    report.add_argument("--run", dest="of_run", metavar="NAME", help="of the store: this run, by number or name (default: the last)")
    report.add_argument("--host", action="append", default=[], metavar="PATTERN", help="only hosts like this; may be repeated")
    report.add_argument("--group", action="append", default=[], metavar="PATTERN", help="only hosts with a tag like this; may be repeated")
    report.add_argument("--policy", type=Path, metavar="FILE", help="policy in YAML: its controls, waivers over the fleet, interval")
    report.add_argument("--tickets", type=Path, metavar="FILE", help="YAML: rule, or key of a cause, to the ticket it is known by")
    report.add_argument("--fail-on", choices=("fail", "warn", "unknown", "never"), default="never", help="exit with 100 on findings from here on")
    report.add_argument("--title", default="pidhygiene", help="of the page")
    report.add_argument("--events", choices=("news", "all"), default="news", help="for a webhook: what changed since the run before, or all that is there")
    report.add_argument("--told", type=Path, metavar="FILE",
                        help="where it is remembered which run news, mail and webhook told last: they tell what changed since that run, and each run once")
    report.set_defaults(run=_run)


def _format(text: str) -> tuple[str, str]:
    name, colon, path = text.partition(":")
    if name not in FORMATS:
        raise argparse.ArgumentTypeError("there is no format %s; there are %s" % (name, ", ".join(FORMATS)))
    if colon and not path or not colon and name in ("mail", "webhook"):
        raise argparse.ArgumentTypeError("%s: where to?" % text)
    return name, path or "-"


def _run(options: argparse.Namespace) -> int:
    if options.folder is not None and options.store is not None:
        return _usage("name a folder or a store, not both")
    if options.folder is not None and options.of_run is not None:
        return _usage("--run is of the store: a folder holds one run")
    if options.folder is not None and options.told is not None:
        return _usage("--told is of the store: a folder holds one run")
    if options.folder is not None and not options.formats and not options.policy and not options.host and not options.group and not options.tickets:
        return _of_folder(options)
    return _of_all(options)


def _usage(message: str) -> int:
    sys.stderr.write("pidhygiene: %s\n" % message)
    return USAGE


def _of_folder(options: argparse.Namespace) -> int:
    """Needs neither store nor its libraries."""
    from ..render import digest, folder, overview, page

    if not options.folder.is_dir():
        raise NotADirectoryError("%s is no folder" % options.folder)
    found = overview.of_folder(options.folder)
    written = page.write(found, options.output or options.folder / folder.PAGE, options.title)
    sys.stdout.write(digest.render(found, _paint(sys.stdout)))
    sys.stdout.write("\nPage: %s\n" % written)
    return FOUND if found.gated(options.fail_on) else 0


def _paint(stream: TextIO) -> Callable[[str, str], str]:
    from ..render import digest

    wanted = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return digest.coloured if wanted else digest.plain


def _of_all(options: argparse.Namespace) -> int:
    from ..fleet import policy_file
    from ..report.keeping import Keeping
    from ..report.source import FolderSource
    from ..store import Store, StoreError

    outputs = [(name, path) for name, path in options.formats]
    if not outputs:
        outputs.append(("text", "-"))
    if options.output is not None or not options.formats:
        outputs.append(("html", str(options.output or (options.folder or Path()) / PAGE)))
    standard = [name for name, path in outputs if path == "-"]
    if len(standard) > 1:
        return _usage("%s cannot share standard output: give all but one a file" % " and ".join(standard))
    if ("csv", "-") in outputs:
        return _usage("the auditor pack is several files: --format csv:FOLDER or csv:FILE.zip")
    try:
        policy = policy_file.load(options.policy) if options.policy else None
        tickets = _tickets(options.tickets)
    except policy_file.BadPolicy as error:
        return _usage("the policy cannot be used\n%s" % error)
    except ValueError as error:
        return _usage("%s: %s" % (options.tickets, error))
    try:
        if options.folder is not None:
            if not options.folder.is_dir():
                raise NotADirectoryError("%s is no folder" % options.folder)
            return _written(options, FolderSource(options.folder), None, outputs, policy, tickets)
        url = options.store or os.environ.get(STORE) or "pidhygiene.db"
        with Store.open(url) as store:
            run = store.run(int(options.of_run) if options.of_run.isdigit() else options.of_run) if options.of_run else store.last_run()
            if run is None:
                sys.stderr.write("pidhygiene: %s holds no run: ingest a report folder\n" % store.place)
                return BROKEN
            return _written(options, store, run, outputs, policy, tickets, Keeping(store))
    except StoreError as error:
        sys.stderr.write("pidhygiene: %s\n" % error)
        return BROKEN


def _tickets(path: Path | None) -> dict[str, str]:
    """Errors: OSError, ValueError."""
    if path is None:
        return {}
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError("no YAML: %s" % error) from error
    if not isinstance(document, dict):
        raise ValueError("not a mapping of rules to tickets")
    return {str(name): str(ticket) for name, ticket in document.items()}


def _written(options: argparse.Namespace, source: Source, run: Run | None, outputs: list[tuple[str, str]], policy: Any, tickets: dict[str, str],
             keeping: Keeping | None = None) -> int:
    from ..report import as_nagios
    from ..report.formats import BY_NAME
    from ..report.gather import Choice, Wishes, gather
    from ..report.keeping import last_told, remember
    from ..report.writer import Context

    if run is None:
        run = source.runs()[-1]
    page = next((path for name, path in outputs if name == "html" and path != "-"), None)
    pack = next((path for name, path in outputs if name == "csv"), "")
    if page and pack:
        pack = Path(os.path.relpath(pack, Path(page).absolute().parent)).as_posix()
    context = Context(run, options.fail_on if options.fail_on != "never" else "fail", pack, options.events)
    last = last_told(options.told)
    if last == run.name:
        outputs = [(name, path) for name, path in outputs if not BY_NAME[name].tells]
    wishes = Wishes(options.title, tickets, Choice(tuple(options.host), tuple(options.group)), policy, last)
    writers: list[Writer] = []
    try:
        for name, path in outputs:
            writers.append(BY_NAME[name].writer(path, context))
        sees = [writer.take for (name, _path), writer in zip(outputs, writers, strict=True) if BY_NAME[name].sees_hosts]
        if keeping is not None and policy is not None:
            keeping.policy(policy)
        report = gather(source, run, time.time(), wishes, sees)
        if keeping is not None:
            keeping.judgement(report, policy)
        for writer in writers:
            writer.finish(report)
        sending = [writer for (name, _path), writer in zip(outputs, writers, strict=True) if BY_NAME[name].sends]
        for writer in writers:
            if writer not in sending:
                writer.keep()
    except BaseException:
        for writer in writers:
            writer.drop()
        raise
    sent = _sent(sending)
    if sent and options.told is not None and last != run.name:
        remember(options.told, run.name)
    if options.formats and "-" not in (path for _name, path in options.formats):
        _tell(report, [(name, writer.place) for (name, _path), writer in zip(outputs, writers, strict=True) if writer.told])
    elif not options.formats:
        sys.stdout.write("\nPage: %s\n" % Path(page or "").absolute())
    if not sent:
        return BROKEN
    if ("nagios", "-") in outputs:
        return as_nagios.status(report)
    return FOUND if report.gated(options.fail_on) else 0


def _sent(writers: list[Writer]) -> bool:
    """One that fails is told, and keeps no other from being sent."""
    well = True
    for writer in writers:
        try:
            writer.keep()
        except OSError as error:
            sys.stderr.write("pidhygiene: %s\n" % error)
            well = False
    return well


def _tell(report: Report, outputs: list[tuple[str, str]]) -> None:
    from ..report import wording
    from ..report.safe import line

    sys.stdout.write("%s.\n" % line(wording.verdict(report)))
    for name, path in outputs:
        sys.stdout.write("%s: %s\n" % (name, path))
