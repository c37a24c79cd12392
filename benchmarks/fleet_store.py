"""10,000 synthetic hosts x 30 runs in a store: what they weigh, and the time and memory to read the last run and its history.

By hand with fewer, or into PostgreSQL: python -m benchmarks.fleet_store [HOSTS [RUNS [URL]]]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .measuring import Finding, Note, Number, line

HOSTS, RUNS = 10_000, 30
READ_S, HISTORY_S, COURSE_S, MEMORY_MB = 6.0, 8.0, 12.0, 300.0
CHECKOUT = Path(__file__).resolve().parent.parent
PLACES = ("", "ansible_collection/plugins/module_utils", "ansible_collection/plugins/plugin_utils", "tests/unit", "tests/unit/controller")

# In processes of their own, so that the memory of one is not that of another.
FILL = """
import json, sys, time
import synthetic
from controller.store import Store, received, writing
url, hosts, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
templates = [synthetic.template(number) for number in range(hosts)]
spent = 0.0
with Store.open(url) as store:
    for run in range(runs):
        began = synthetic.START + run * synthetic.DAY
        target = writing.Target("run %d" % run, writing.REPORTED, began, began + 3600.0, targeted=hosts)
        intake = store.intake()
        start = time.monotonic()
        for number, template in enumerate(templates):
            data = synthetic.bulk(template, number, run)
            intake.answer(received.answer(data, json.loads(data), began + 3600.0), target)
        intake.flush()
        spent += time.monotonic() - start
json.dump({"seconds": spent, "bytes": sum(map(len, templates)) * runs}, sys.stdout)
"""
READ = """
import json, resource, sys, time
from controller.store import Store
def timed(question):
    start = time.monotonic()
    number = sum(1 for _ in question)
    return number, time.monotonic() - start
with Store.open(sys.argv[1]) as store:
    run = store.last_run().id
    leaking = [name for name in (host.name for host in store.hosts(run) if host.status == "warn")][:500] if sys.argv[2] == "series" else []
    question = {"hosts": lambda: store.hosts(run), "history": lambda: store.finding_history(), "counts": lambda: store.rule_counts(),
                "series": lambda: store.series(leaking, least_share=0.05), "course": lambda: store.series()}[sys.argv[2]]
    number, seconds = timed(question())
json.dump({"number": number, "seconds": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}, sys.stdout)
"""


def measure(hosts: int = HOSTS, runs: int = RUNS, url: str = "") -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="pidhygiene-", dir="/var/tmp") as folder:
        place = url or os.path.join(folder, "pidhygiene.db")
        filled = _python(FILL, place, str(hosts), str(runs))
        weight = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        each_ms = 1000 * filled["seconds"] / hosts / runs
        yield Note(f"{hosts * runs} results ({filled['bytes'] / 2**20:.0f} MB) taken in within {filled['seconds']:.0f} s, {each_ms:.2f} ms each")
        if not url:
            yield Note(f"the file has {weight:.0f} MB, {1024 * weight / hosts / runs:.2f} KB for each result")
        for what, words, most in (("hosts", "hosts of one run with facts and findings", READ_S), ("history", "findings over all runs", HISTORY_S),
                                  ("counts", "counts of rules by run", READ_S), ("series", "samples of the hosts with warnings, at most 500", READ_S),
                                  ("course", "samples of the whole fleet", COURSE_S)):
            read = _python(READ, place, what)
            yield Number(f"{read['number']:.0f} {words}", read["seconds"], most, "s")
            yield Number(f"memory for {what}", read["mb"], MEMORY_MB, "MB")


def _python(code: str, *arguments: str) -> dict[str, float]:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(str(CHECKOUT / place) for place in PLACES))
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, cwd="/", stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    start = time.monotonic()
    counts = [int(each) for each in sys.argv[1:3]]
    for finding in measure(*counts, url=sys.argv[3] if len(sys.argv) > 3 else ""):
        print(finding.text if isinstance(finding, Note) else line(finding), flush=True)
