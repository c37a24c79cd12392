# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-CRN: jobs of cron that run into each other, and jobs that never run."""

import re
from typing import Any, Dict, Iterator, List, Tuple

from .. import wording
from ..model import FAIL, HIGH, INFO, MED, SEVERITY_INFO, WARN, Finding, NotApplicable, Passed, Seen, Subject, Unknown, Verdict, rule
from ..readers.cron import CRONIE_CRON, DEBIAN_CRON
from ..readers.crontab import shortest_pause
from ..text import masked, shown

RISING = 4  # runs at once, one more in each of the last three intervals
# What editors, package managers and people leave behind, or name so that it does not run.
SET_ASIDE = re.compile(r"(~|\.(dpkg-\w+|ucf-\w+|rpm(save|orig|new)|bak|old|orig|save|disabled?|off|swp|example|sample|placeholder)|[-_.]disabled)$", re.I)


def place_of(table: Any, job: Any) -> str:
    return "%s:%d" % (table.path, job.line)


def command_of(text: str) -> str:
    return shown(masked(text), wording.COMMAND_SHOWN)


def given(command: str) -> str:
    """What cron hands to the shell: up to the first percent sign, unless a backslash stands before it (cron(8), do_command.c)."""
    found: List[str] = []
    escaped = False
    for char in command:
        if char == "%" and not escaped:
            break
        if char == "%" and escaped:
            found.pop()
        found.append(char)
        escaped = char == "\\" and not escaped
    return "".join(found)


@rule(
    "PH-CRN-001", "Runs of one job overlap", HIGH, "each run is later than the last, until nothing can be started",
    ("job_runs", "cron", "processes", "clock"),
)
def overlapping_runs(evidence: Any, policy: Any) -> Iterator[Verdict]:
    cron, table = evidence.cron, evidence.processes
    if evidence.job_runs.gaps:
        yield Unknown(evidence.job_runs.gaps)
    if cron.gaps:
        yield Unknown(cron.gaps)
    if not cron.daemons:
        yield NotApplicable("no cron runs")
        return
    ages: Dict[str, List[float]] = {}
    for run in evidence.job_runs.runs:
        ages.setdefault(run.command.strip(), []).append(table.age(run.process))
    jobs: Dict[str, List[Tuple[Any, Any]]] = {}
    for place, job in cron.jobs():
        jobs.setdefault(given(job.command).strip(), []).append((place, job))
    for command in sorted(jobs):
        if len(jobs[command]) > 1 or jobs[command][0][1].schedule is None:
            yield Passed()  # of several equal lines nobody can tell which one started a run
            continue
        place, job = jobs[command][0]
        pause = shortest_pause(job.schedule)
        late = sorted(age for age in ages.get(command, ()) if pause is not None and age > pause)
        if pause is None or len(late) < 2:
            yield Passed()
            continue
        every = sorted(ages[command])
        rising = len(every) >= RISING and all(any(step * pause <= age < (step + 1) * pause for age in every) for step in range(3))
        yield Finding(
            FAIL if rising else WARN, HIGH if rising else MED, Subject("job", place_of(place, job), job.digest),
            "%s: %d runs of \"%s\" are alive at once, started every %s, the oldest %s ago%s: let it take a lock (flock -n), or find out what it waits for." % (
                place_of(place, job), len(every), command_of(job.command), wording.duration(pause), wording.duration(late[-1]),
                ", and each interval adds one" if rising else ""),
            evidence=(Seen(place_of(place, job), shown(job.when) + " " + command_of(job.command)),) + tuple(
                Seen("/proc/%d/stat" % run.process.pid, "started %s ago" % wording.duration(table.age(run.process)))
                for run in evidence.job_runs.runs if run.command.strip() == command)[:5],
        )


@rule("PH-CRN-002", "Job files that silently never run", HIGH, "the backup that nobody misses until it is needed", ("cron", "clock"), ("distribution",))
def never_run(evidence: Any, policy: Any) -> Iterator[Verdict]:
    cron = evidence.cron
    if cron.gaps:
        yield Unknown(cron.gaps)
    if not cron.daemons:
        yield NotApplicable("no cron runs")
        return
    if cron.implementation not in (DEBIAN_CRON, CRONIE_CRON):
        yield NotApplicable("which files this cron passes over is not known")
        return
    for table in cron.tables:
        yield from _table(table)
    debian = evidence.has("distribution") and "debian" in evidence.distribution.family
    for script in cron.scripts:
        yield _script(script, debian)


def _table(table: Any) -> Iterator[Verdict]:
    name = table.path.rpartition("/")[2]
    jobs, mistakes = table.table.jobs, table.table.mistakes
    why = table.not_run or table.table.dropped
    if SET_ASIDE.search(name) or not (jobs or mistakes):
        yield Passed()
    elif why:
        yield Finding(
            FAIL, HIGH, Subject("file", table.path),
            "%s: cron runs none of its %s, because %s: correct it, then see that cron takes it." % (
                shown(table.path), wording.noun(len(jobs) or len(mistakes), "job"), _reason(why)),
            evidence=tuple(Seen(place_of(table, job), shown(job.when) + " " + command_of(job.command)) for job in jobs[:3])
            or tuple(Seen(place_of(table, mistake), shown(mistake.reason)) for mistake in mistakes[:3]),
            references=("man:cron(8)", "man:crontab(5)"),
        )
    elif mistakes:
        for mistake in mistakes[:5]:
            yield Finding(
                FAIL, HIGH, Subject("file", place_of(table, mistake), "%s|%s" % (table.path, mistake.reason)),
                "%s: cron passes over this line, because of: %s; correct it." % (shown(place_of(table, mistake)), shown(mistake.reason)),
                evidence=(Seen(place_of(table, mistake), shown(mistake.reason)),), references=("man:crontab(5)",),
            )
    else:
        yield Passed()
        for job in jobs:
            if job.schedule is not None and job.schedule.never:
                yield Finding(
                    FAIL, HIGH, Subject("job", place_of(table, job), job.digest),
                    "%s: no minute matches \"%s\", so it never runs: correct the times." % (shown(place_of(table, job)), shown(job.when)),
                    evidence=(Seen(place_of(table, job), shown(job.when) + " " + command_of(job.command)),),
                )


def _reason(why: str) -> str:
    return shown(why if not why.startswith(("mode", "is a ", "belongs")) else "the file " + (why if not why.startswith("mode") else "has " + why))


def _script(script: Any, debian: bool) -> Verdict:
    name = script.path.rpartition("/")[2]
    if not script.not_run or SET_ASIDE.search(name):
        return Passed()
    subject = Subject("file", script.path)
    if script.not_run == "is not executable":
        return Finding(
            INFO, SEVERITY_INFO, subject, "%s is not executable, so run-parts passes over it: make it executable if it should run." % shown(script.path),
            evidence=(Seen(script.path, script.not_run),),
        )
    if script.not_run != "leads nowhere" and not debian:
        return Passed()  # run-parts of Red Hat takes names with dots
    return Finding(
        FAIL, HIGH, subject,
        "%s never runs: %s; rename it." % (shown(script.path), script.not_run) if script.not_run != "leads nowhere" else
        "%s never runs: the link leads nowhere; remove it or correct it." % shown(script.path),
        evidence=(Seen(script.path, script.not_run),), references=("man:run-parts(8)",),
    )
