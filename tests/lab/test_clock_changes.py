"""Jobs over a change of the clocks, as the programs really run them: cron's daemons on a clock that the test turns, and systemd's own calendar."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import oracle_seed
import pytest

from .auditing import check, deviations, install, of_rule

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "ansible_collection/plugins/module_utils"), str(REPOSITORY / "tests/unit/readers")]

import random_calendars  # noqa: E402
from pidhygiene import clock_changes  # noqa: E402
from pidhygiene.readers import calendar_syntax, crontab, zone_info  # noqa: E402

CASES = int(os.environ.get("PIDHYGIENE_CALENDAR_CASES", "400"))
ZONEINFO = Path("/usr/share/zoneinfo")

# The daemon's clock stands until it sleeps, and then is later by just that: no test waits, and a slow machine changes nothing.
# It sleeps only when its jobs have ended, so that each of them finds its own minute in CLOCK_FILE.
CLOCK = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static time_t now, end;
static pid_t owner;
static void tell(void) {
    FILE *file = fopen(getenv("CLOCK_FILE"), "w");
    fprintf(file, "%ld\n", (long)now);
    fclose(file);
}
__attribute__((constructor)) static void start(void) {
    now = atol(getenv("CLOCK_START"));
    end = atol(getenv("CLOCK_END"));
    owner = getpid();
    tell();
}
time_t time(time_t *place) {
    if (place) *place = now;
    return now;
}
unsigned sleep(unsigned seconds) {
    struct timespec millisecond = {0, 1000000};
    siginfo_t child;
    if (getpid() != owner) return 0;
    while (child.si_pid = 0, waitid(P_ALL, 0, &child, WEXITED | WNOHANG) == 0)
        if (child.si_pid == 0) nanosleep(&millisecond, NULL);
    now += seconds;
    if (now > end) _exit(0);
    tell();
    return 0;
}
"""

# name, when, CRON_TZ
JOBS = (
    ("fixed", "30 2 * * *", ""), ("list", "0,30 2 * * *", ""), ("star", "*/30 2 * * *", ""), ("minutely", "* 2 * * *", ""), ("hourly", "5 * * * *", ""),
    ("window", "*/20 1-3 * * *", ""), ("early", "45 1 * * *", ""), ("half", "*/15 1 * * *", ""), ("late", "10 3 * * *", ""),
)
ZONED_JOBS = (
    ("berlin", "30 2 * * *", "Europe/Berlin"), ("berlin-star", "*/30 2 * * *", "Europe/Berlin"), ("tokyo", "30 10 * * *", "Asia/Tokyo"),
    ("tokyo-star", "*/30 10 * * *", "Asia/Tokyo"), ("tokyo-early", "30 9 * * *", "Asia/Tokyo"),
)
CHANGES = {"Europe/Berlin": ((2027, 3, 28, 1), (2027, 10, 31, 1)), "Australia/Lord_Howe": ((2027, 10, 2, 15.5), (2027, 4, 3, 15)), "UTC": ((2027, 3, 28, 1), (2027, 10, 31, 1))}


def moments(zone):
    """The changes of this zone (of Berlin for UTC), in seconds since the epoch."""
    for year, month, day, hour in CHANGES[zone]:
        yield int((datetime(year, month, day, tzinfo=ZoneInfo("UTC")) + timedelta(hours=hour)).timestamp())


def zone_of(name):
    return zone_info.parse((ZONEINFO / name).read_bytes())


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", folder / "clock.so", folder / "clock.c"], check=True)
    return folder / "clock.so"


def run_daemon(host, program, zone, jobs, start, end):
    """Job to the moments at which the daemon ran it."""
    lines = []
    for name, when, other in jobs:
        lines += [f"CRON_TZ={other}"] if any(each[2] for each in jobs) else []
        lines.append(f"{when} root echo {name} $(cat /run/clock) >> /run/ran")
    host.shell(f"rm -f /etc/cron.d/* /run/ran; : > /run/ran; ln -sfn /usr/share/zoneinfo/{zone} /etc/localtime")
    host.write("/etc/cron.d/jobs", "\n".join(lines) + "\n")
    environment = ["CLOCK_FILE=/run/clock", f"CLOCK_START={start}", f"CLOCK_END={end}", "LD_PRELOAD=/opt/clock.so"]
    host.run(["env", *environment, program, "-n" if program.endswith("crond") else "-f"], timeout=300)
    ran = {name: [] for name, _when, _zone in jobs}
    for line in host.read("/run/ran").splitlines():
        name, at = line.split()
        ran[name].append(int(at) // 60 * 60)
    return ran


def expected(when, change, other, own, star_zone):
    """How often the job runs within the change, by the engine: (before, after) are counts of nominal runs."""
    schedule = clock_changes.Schedule(crontab.parse_schedule(when, crontab.CRONIE).on, crontab.parse_schedule(when, crontab.CRONIE).times)
    starred = crontab.parse(f"{when} root x\n", True, crontab.CRONIE).jobs[0].starred
    if other:
        return clock_changes.under_cron_zone(schedule, starred, star_zone, own, zone_of(other))
    return clock_changes.under_cron(schedule, starred, own)


def wall(zone, moment):
    """As the engine counts: seconds since 1970-01-01 on the wall."""
    return moment + zone.at(moment)[0]


def judged(host, program, zone_name, jobs):
    """What happened to each job at each change, from the daemon's own runs, beside what the engine says."""
    own_zone = zone_of(zone_name)
    for moment in moments(zone_name):
        start, end = moment - 3 * 3600, moment + 5 * 3600
        ran = run_daemon(host, program, zone_name, jobs, start, end)
        own = [each for each in clock_changes.of_zone(own_zone, start) if each.moment == moment]
        for name, when, other in jobs:
            zone = zone_of(other) if other else own_zone
            theirs = [each for each in clock_changes.of_zone(zone, start) if each.moment == moment]
            effects = {each.kind: each for each in expected(when, moment, other, own, theirs)}
            walls = [wall(zone, at) for at in ran[name]]
            yield f"{name} {moment}", effects, walls, ran[name], (theirs or own or [None])[0]


def agree(case, effects, walls, ran, change, when_runs):
    """Whether the daemon did what the engine says."""
    if "late" in effects:
        effect = effects["late"]
        assert len([at for at in walls if effect.change.end <= at < effect.change.end + 600]) >= len(effect.runs), case
    elif "skipped" in effects:
        assert not set(effects["skipped"].runs) & set(walls), case
    elif "twice" in effects:
        assert all(walls.count(at) == 2 for at in effects["twice"].runs), (case, walls)
    elif change is not None and len(set(walls)) != len(walls):
        assert when_runs.startswith("*") or " * " in when_runs, case


@pytest.mark.parametrize("suite, program, package", [
    ("bookworm", "/usr/sbin/cron", ()), ("trixie", "/usr/sbin/cron", ()), ("trixie", "/usr/sbin/crond", ("cronie",)),
], ids=["bookworm", "trixie", "cronie"])
def test_the_daemons_do_as_the_engine_says(new_host, clock, suite, program, package):
    host = new_host(suite=suite, packages=package)
    host.push(clock, "/opt/clock.so")
    host.shell("for each in cron crond cronie; do systemctl stop $each 2> /dev/null || true; done; mv /etc/crontab /etc/crontab.away")
    seen = set()
    for zone in ("Europe/Berlin", "Australia/Lord_Howe"):
        for case, effects, walls, ran, change in judged(host, program, zone, JOBS):
            agree(case, effects, walls, ran, change, dict((each[0], each[1]) for each in JOBS)[case.split()[0]])
            seen.update(effects)
    assert seen == {"late", "skipped", "twice"}
    if package:
        for zone in ("Europe/Berlin", "UTC"):
            for case, effects, walls, ran, change in judged(host, program, zone, ZONED_JOBS):
                agree(case, effects, walls, ran, change, dict((each[0], each[1]) for each in ZONED_JOBS)[case.split()[0]])


# -- systemd -----------------------------------------------------------------------------------------------------

ELAPSES = """
while IFS= read -r each; do
  if found=$(TZ=$1 systemd-analyze calendar --iterations=$2 --base-time="$3" -- "$each" 2> /dev/null); then
    echo good $(echo "$found" | grep -v ormalized | grep -E 'Next elapse|#' | grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}( [A-Z0-9+-]+)?' | tr ' ' _)
  else echo bad; fi
done < /root/events
"""


def elapses(host, events, zone, count, base):
    host.write("/root/events", "\n".join(events) + "\n")
    text = host.run(["bash", "-c", ELAPSES, "-", zone, str(count), base], timeout=600).stdout
    return [line.split() for line in text.splitlines()]


def dice():
    seed = oracle_seed.seed()
    print("seed", seed)
    return random.Random(seed)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_calendar_events_are_read_as_systemd_reads_them(new_host, suite):
    host = new_host(suite=suite)
    thrown = dice()
    events = [random_calendars.event(thrown) for _ in range(CASES)]
    base = datetime(2026, 11, 28, 12)
    good = 0
    for event, (verdict, *stamps) in zip(events, elapses(host, events, "UTC", 5, "2026-11-28 11:59:59.999999"), strict=True):
        try:
            calendar = calendar_syntax.parse(event)
        except ValueError as error:
            assert verdict == "bad", (event, error)
            continue
        assert verdict == "good", event
        good += 1
        if suite == "bookworm" and any(part.repeat and (part.stop < 0 or calendar.from_the_end) for part in calendar.days):
            continue  # systemd 252 loses its place at the end of the month: of *-*-3/13 it leaves out 3 January
        theirs = list(dict.fromkeys(datetime.strptime(stamp.removesuffix("_UTC"), "%Y-%m-%d_%H:%M:%S").replace(second=0) for stamp in stamps))
        assert first_runs(calendar, base, len(theirs)) == theirs, event
    assert good > CASES / 4


def first_runs(calendar, base, count):
    found, day = [], base.date()
    while len(found) < count and day.year < 2200:
        if calendar.on(day):
            midnight = datetime(day.year, day.month, day.day)
            found += [midnight + timedelta(minutes=minute) for minute in calendar.times if midnight + timedelta(minutes=minute) >= base]
        day += timedelta(days=1)
    return found[:count]


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_a_time_that_does_not_exist_is_skipped_and_one_that_exists_twice_runs_once(new_host, suite, zone):
    host = new_host(suite=suite)
    thrown = dice()
    events = [random_calendars.night_time(thrown) for _ in range(40)]
    ours = zone_of(zone)
    for moment in moments(zone):
        change = next(each for each in clock_changes.of_zone(ours, moment - 86400) if each.moment == moment)
        start = moment - 5 * 3600
        base = datetime.fromtimestamp(start - 1, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")
        for event, (verdict, *stamps) in zip(events, elapses(host, events, zone, 12, base), strict=True):
            calendar = calendar_syntax.parse(event)
            schedule = clock_changes.Schedule(calendar.on, calendar.times)
            ran = [int((datetime.strptime("_".join(stamp.split("_")[:2]), "%Y-%m-%d_%H:%M:%S") - datetime(1970, 1, 1)).total_seconds()) for stamp in stamps]
            nominal = schedule.between(wall(ours, start), ran[-1] + 60)
            if change.forward:
                nominal = [at for at in nominal if not change.start <= at < change.end]
            assert verdict == "good" and ran == nominal, (event, zone, moment)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_fresh_host_that_changes_its_clocks_is_silent(new_host, suite):
    host = new_host(suite=suite)
    install(host)
    host.run(["ln", "-sfn", "/usr/share/zoneinfo/Europe/Berlin", "/etc/localtime"])
    if suite == "bookworm":
        host.write("/etc/timezone", "Europe/Berlin\n")
    result = check(host, "--rule", "PH-CRN-003")
    assert deviations(result) == []
    host.write("/etc/cron.d/night", "*/30 2 * * * root /bin/true\n")
    host.write("/etc/systemd/system/night.timer", "[Timer]\nOnCalendar=*-*-* 02:30\n[Install]\nWantedBy=timers.target\n")
    host.write("/etc/systemd/system/night.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "night.timer"])
    warned = [finding for finding in of_rule(check(host), "PH-CRN-003") if finding["status"] == "warn"]
    assert sorted(finding["subject"]["id"] for finding in warned) == ["/etc/cron.d/night:1", "night.timer"], json.dumps(warned)
    # A zone that changes at midnight: the packages' daily timers really lose a run, which is told once, as information.
    host.run(["ln", "-sfn", "/usr/share/zoneinfo/Africa/Cairo", "/etc/localtime"])
    if suite == "bookworm":
        host.write("/etc/timezone", "Africa/Cairo\n")
    host.shell("rm /etc/cron.d/night; systemctl stop night.timer; rm /etc/systemd/system/night.*; systemctl daemon-reload")
    findings = of_rule(check(host), "PH-CRN-003")
    assert [finding["status"] for finding in findings] == ["info"] and "of packages skip a run" in findings[0]["message"], json.dumps(findings)
