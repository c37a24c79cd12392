"""Record healthy hosts: python -m tests.lab.record_negative [NAME ...]

Boots each host, starts what its recipe says, waits until that works, looks twice at it, and stores the second look (NAME.json.gz), the marks of
the first (NAME.marks.json.gz) and, where there is none yet, an empty list of what is accepted (NAME.expected) in tests/fixtures/negative.
A recording holds what the engine looked at: when it looks at something new, record again. What the audit says of the host is printed: find out whether it is true before it is written into the list, with the reason.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import Any

from .auditing import SHELL, check, deviations, install
from .host import LabHost
from .negative import RECIPES
from .negative.everyday import live_here
from .negative.recipe import FEWEST, NotBusy, Recipe, processes, wait_until
from .place import LabError

PLACE = Path(__file__).resolve().parents[1] / "fixtures" / "negative"
INSIDE = "/root/look.json.gz"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.record_negative", description="Record healthy hosts.")
    parser.add_argument("name", nargs="*", help=f"of {', '.join(RECIPES)}; default: all")
    parser.add_argument("--dry-run", action="store_true", help="print what is said of each host and store nothing")
    options = parser.parse_args(arguments)
    for name in options.name:
        if name not in RECIPES:
            parser.error(f"there is no recipe {name}")
    failed = 0
    for name in options.name or RECIPES:
        try:
            record(RECIPES[name], store=not options.dry_run)
        except (LabError, NotBusy) as error:
            failed = 1
            print(f"{name}: {error}", file=sys.stderr)
    return failed


def record(recipe: Recipe, store: bool = True) -> None:
    with LabHost.boot(recipe.tree(), recipe.name) as host:
        install(host)
        live_here(host)
        recipe.start(host)
        wait_until(host, "its work", lambda: recipe.busy(host))
        first = check(host)
        wait_until(host, f"{FEWEST} processes", lambda: recipe.busy(host) and processes(host) >= FEWEST)
        host.write("/root/first.json", json.dumps(first))
        host.run([*SHELL, "snapshot", INSIDE])
        second = check(host, "--snapshot", INSIDE, "--previous", "/root/first.json")
        print(f"{recipe.name}: {processes(host)} processes")
        for line in sorted({*deviations(first), *deviations(second)}):
            print(f"  {line}")
        if store:
            _store(recipe.name, host, first["marks"])


def _store(name: str, host: LabHost, marks: dict[str, Any]) -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    host.run(["gzip", "-d", INSIDE])
    look = _without_descriptions(json.loads(host.read(INSIDE.removesuffix(".gz"))))
    for path, document in ((PLACE / f"{name}.json.gz", look), (PLACE / f"{name}.marks.json.gz", marks)):
        path.write_bytes(gzip.compress(json.dumps(document, sort_keys=True, separators=(",", ":")).encode(), 9, mtime=0))
    expected = PLACE / f"{name}.expected"
    if not expected.exists():
        expected.write_text("# PH-RULE subject # reason: true of this host, and not to be helped in the lab\n")


def _without_descriptions(look: dict[str, Any]) -> dict[str, Any]:
    """Half of a recording is what packages say about themselves, of which nothing but these lines is read."""
    for sample in look["samples"]:
        for key, answer in sample.items():
            if '"/var/lib/dpkg/status"' in key and isinstance(answer.get("ok"), str):
                lines = answer["ok"].split("\n")
                answer["ok"] = "\n".join(line for line in lines if not line or line.startswith(("Package:", "Status:", "Version:")))
    return look


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
