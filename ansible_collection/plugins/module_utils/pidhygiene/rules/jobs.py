# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-CRN: jobs of cron and timers that run into each other, and jobs that never run."""

import re
from typing import Any, Dict, Iterator, List, Tuple

from .. import of_users, wording
from ..model import (
    FAIL, HIGH, INFO, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, WARN, Finding, NotApplicable, Passed, Seen, Subject, Unknown, Verdict, rule,
)
from ..pattern import pattern
from ..readers.cron import ANACRON, CRONIE_CRON, DEBIAN_CRON
from ..readers.crontab import shortest_pause
from ..readers.password_ages import EXPIRED, SHADOW
from ..text import masked, shown

APART_S = 60.0  # what one run of a job starts is started within this time
RISING = 4  # runs at once, one more in each of the last three intervals
# What editors, package managers and people leave behind, or name so that it does not run.
SET_ASIDE = pattern(r"(~|\.(dpkg-\w+|ucf-\w+|rpm(save|orig|new)|bak|old|orig|save|disabled?|off|swp|example|sample|placeholder)|[-_.]disabled)$", re.I)


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
    ("job_runs", "cron", "processes", "clock"), ("units", "leftovers", "users", "user_units"),
)
def overlapping_runs(evidence: Any, policy: Any) -> Iterator[Verdict]:
    cron, table = evidence.cron, evidence.processes
    yield from _left_by_timers(evidence)
    yield from of_users.unseen(evidence)
    gaps = evidence.job_runs.gaps + cron.gaps + of_users.unread_of_system(evidence)
    if gaps:
        yield Unknown(gaps)
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


def _left_by_timers(evidence: Any) -> Iterator[Finding]:
    """systemd starts no unit that is active or starting, so a timer's runs overlap only by what KillMode= lets outlive them."""
    if not (evidence.has("units") and evidence.has("leftovers")):
        return
    timers = {timer.unit: timer for timer in of_users.timers(evidence) if timer.active is not False}
    for leaving in evidence.leftovers.between_runs:
        timer = timers.get(leaving.unit.id)
        if timer is None:
            continue
        for command, pids in sorted(_started_apart(evidence.processes, leaving).items()):
            yield Finding(
                WARN, MED, Subject("job", timer.id, "%s|%s" % (timer.id, wording.base_name(command[0]))),
                "%s: %d runs of %s have left \"%s\" alive, the oldest %s ago, because KillMode=%s spares it: leave KillMode= at its default, or let "
                "the job wait for what it starts." % (
                    wording.unit_name(evidence, timer.id), len(pids), wording.unit_name(evidence, leaving.unit.id), wording.command_line(command[0], command),
                    wording.duration(evidence.processes.age(evidence.processes.processes[pids[0]])), leaving.unit.kill_mode),
                evidence=tuple(Seen("/proc/%d/stat" % pid, "started %s ago, parent %d" % (
                    wording.duration(evidence.processes.age(evidence.processes.processes[pid])), evidence.processes.processes[pid].ppid))
                    for pid in pids[:5]),
                confidence=MEDIUM_CONFIDENCE, references=("man:systemd.timer(5)", "man:systemd.kill(5)"),
            )


def _started_apart(table: Any, leaving: Any) -> Dict[Tuple[str, ...], List[int]]:
    """Command line to the first process of each run, oldest first, where there are two runs: one run may start several at once."""
    found: Dict[Tuple[str, ...], List[int]] = {}
    for pid in leaving.left:
        command = leaving.commands[pid].arguments if pid in leaving.commands else ()
        before = found.get(command)
        if not command:
            continue
        if before is None:
            found[command] = [pid]
        elif table.processes[pid].start - table.processes[before[-1]].start > APART_S * table.machine.ticks_per_second:
            before.append(pid)
    return {command: pids for command, pids in found.items() if len(pids) > 1}


@rule(
    "PH-CRN-002", "Job files that silently never run", HIGH, "the backup that nobody misses until it is needed",
    ("cron", "clock", "processes"), ("distribution", "password_ages"),
)
def never_run(evidence: Any, policy: Any) -> Iterator[Verdict]:
    cron = evidence.cron
    gaps = cron.gaps + (evidence.users.gaps if evidence.has("users") else ())
    if gaps:
        yield Unknown(gaps)
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
    if evidence.has("password_ages"):
        yield from _refused_users(evidence)


def _refused_users(evidence: Any) -> Iterator[Verdict]:
    """PAM says no before each job, for the date of the account or the age of a password that nobody types."""
    ages, today = evidence.password_ages, int(evidence.clock.wall // 86400)
    if ages.gaps:
        yield Unknown(ages.gaps)
    jobs: Dict[str, List[Tuple[Any, Any]]] = {}
    for table, job in evidence.cron.jobs():
        if table.kind != ANACRON:  # starts its jobs itself, as root
            jobs.setdefault(job.user or table.user, []).append((table, job))
    for user in sorted(jobs):
        why = ages.refusal(user, today)
        if not why:
            yield Passed()
            continue
        dates = ages.dates[user]
        name = shown(user)
        if why == EXPIRED:
            text = "the account expired %d days ago: set another date (chage -E), or take the jobs away" % (today - dates.expires)
        elif dates.last_change == 0:
            text = "a new password is wanted at the next login: set one, or let it not age (chage -d %d -M -1 %s)" % (today, name)
        else:
            text = "its password is %d days old and may be %d: set a new one, or let it not age (chage -M -1 %s)" % (
                today - dates.last_change, dates.maximum, name)
        yield Finding(
            FAIL, HIGH, Subject("user", user, "cron|" + user),
            "cron starts %s of user %s, because %s." % (
                "none of the %d jobs" % len(jobs[user]) if len(jobs[user]) > 1 else "no job", name, text),
            evidence=(Seen(SHADOW, "%s: last change %s, maximum %s, inactive %s, expires %s" % ((name,) + tuple(
                "-" if each is None else "day %d" % each if index in (0, 3) else "%d days" % each for index, each in enumerate(dates)))),)
            + tuple(Seen(place_of(table, job), shown(job.when) + " " + command_of(job.command)) for table, job in jobs[user][:3]),
            references=("man:shadow(5)", "man:pam_unix(8)", "man:chage(1)"),
        )


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
