"""The report over 10,000 hosts x 30 runs: seconds, memory, size of the page, and when a browser shows its list of hosts.

By hand with fewer, or of a store that is there: python -m benchmarks.fleet_report [HOSTS [RUNS [URL]]]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .fleet_store import FILL, HOSTS, RUNS, _python
from .measuring import Finding, Note, Number, line

REPORT_S, MEMORY_MB, PAGE_MB, USABLE_S = 15.0, 500.0, 20.0, 3.0
EVERY_FORMAT_S = 30.0
FORMATS = {
    "html": "r.html", "text": "r.txt", "csv": "pack.zip", "ndjson": "r.ndjson", "json": "r.json", "junit": "r.xml", "sarif": "r.sarif",
    "prometheus": "r.prom", "nagios": "r.line",
}
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync")
REPORT = """
import contextlib, json, os, resource, sys, time
from controller.__main__ import main
start, before = time.monotonic(), os.times()
with contextlib.redirect_stdout(sys.stderr):
    status = main(sys.argv[1:])
after = os.times()
json.dump({"seconds": time.monotonic() - start, "cpu": after.user + after.system - before.user - before.system, "status": status,
           "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}, sys.stdout)
"""


def measure(hosts: int = HOSTS, runs: int = RUNS, url: str = "") -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="pidhygiene-", dir="/var/tmp") as folder:
        store = url or os.path.join(folder, "pidhygiene.db")
        if not url:
            filled = _python(FILL, store, str(hosts), str(runs))
            yield Note(f"{hosts} hosts x {runs} runs taken in within {filled['seconds']:.0f} s")
        page = Path(folder) / "r.html"
        made = _python(REPORT, "report", "--store", store, "--format", f"html:{page}")
        yield Number(f"the page ({made['cpu']:.1f} s of a processor)", made["seconds"], REPORT_S, "s")
        yield Number("memory for it", made["mb"], MEMORY_MB, "MB")
        yield Number("its size", page.stat().st_size / 2**20, PAGE_MB, "MB")
        yield from _usable(page)
        every = _python(REPORT, "report", "--store", store, *(word for name, file in FORMATS.items() for word in ("--format", f"{name}:{folder}/{file}")))
        yield Number(f"{len(FORMATS)} formats in one call ({every['cpu']:.1f} s of a processor)", every["seconds"], EVERY_FORMAT_S, "s")
        yield Number("memory for them", every["mb"], MEMORY_MB, "MB")


def _usable(page: Path) -> Iterator[Finding]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        yield Note("no Chromium here: when the page is usable was not measured")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        tab = browser.new_page()
        start = time.monotonic()
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready] #rows > div")
        usable = time.monotonic() - start
        start = time.monotonic()
        tab.fill("#search", "web000")
        tab.wait_for_function("!document.getElementById('told').textContent.startsWith(document.getElementById('told').textContent.split(' of ')[1])")
        searched = time.monotonic() - start
        browser.close()
    yield Number("opened, with its list of hosts, in Chromium", usable, USABLE_S, "s")
    yield Number("searched", searched, 1.0, "s")


if __name__ == "__main__":
    counts = [int(each) for each in sys.argv[1:3]]
    for finding in measure(*counts, url=sys.argv[3] if len(sys.argv) > 3 else ""):
        print(finding.text if isinstance(finding, Note) else line(finding), flush=True)
