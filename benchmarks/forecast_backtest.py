"""When hosts run full: the forecast against a line through the last two audits, on simulated hosts whose future is known.

    python -m benchmarks.forecast_backtest [HOSTS OF EACH KIND [SEED | random]]
"""

from __future__ import annotations

import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from controller.fleet import forecast
from controller.store.rows import Brood, Headroom, Sample

from .measuring import Finding, Note, Number

SEED, HOSTS = 20261128, 25
DAYS, STEPS = 70, 24  # looked at once a day; the truth once an hour
DAY_S = 86400.0
START = 1_790_000_000.0
ALARM_DAYS = 7.0  # as PH-ZMB-002 fails
TWICE = 2 * ALARM_DAYS  # an alarm is false when nothing fills up in twice that time
PROGRAM, UNIT = "/opt/VRTSralus/bin/beremote", "VRTSralus.service"
GROUP = "/system.slice/" + UNIT


class Truth(NamedTuple):
    """One host, hour by hour."""

    kind: str
    zombies: list[int]
    rest: list[int]  # other tasks of the same budget
    pid: list[int]  # of the parent: another one after a restart
    boot: list[int]
    limit: int

    def full_at(self, hour: int) -> float | None:
        """Days, of the first time from this hour on that nothing more fits."""
        return next((later / STEPS for later in range(hour, len(self.zombies)) if self.zombies[later] + self.rest[later] >= self.limit), None)


class Audit(NamedTuple):
    hour: int
    sample: Sample


class Verdict(NamedTuple):
    at: float | None  # days
    earliest: float | None = None
    latest: float | None = None


class Score(NamedTuple):
    quiet: int  # audits with nothing to come
    false: int  # of them, alarms
    healthy: int  # hosts that never fill up
    disturbed: int  # of them, with any alarm
    full: int  # true exhaustions
    warned: int  # of them, with an alarm a day ahead or earlier
    errors: list[float]  # days, of dates within the alarm's reach
    inside: int  # of them, truth within the interval


# The hosts


def steady(chance: random.Random) -> Truth:
    return _leak(chance, "steady leak", noise=0.0)


def noisy(chance: random.Random) -> Truth:
    return _leak(chance, "leak with noise", noise=chance.uniform(0.02, 0.1))


def begins_later(chance: random.Random) -> Truth:
    return _leak(chance, "leak that begins later", noise=0.01, begin=chance.uniform(10, 35))


def rebooted(chance: random.Random) -> Truth:
    return _leak(chance, "leak with reboots", noise=0.0, boots=lambda: chance.uniform(6, 25))


def restarted(chance: random.Random) -> Truth:
    return _leak(chance, "weekly restarts", noise=0.0, restarts=7.0, days=chance.choice((chance.uniform(5, 6.5), chance.uniform(9, 30))))


def pool(chance: random.Random) -> Truth:
    limit = chance.choice((512, 4096, 16384))
    size, pace = chance.uniform(0.02, 0.6) * limit, chance.uniform(0.5, 8)
    return _host(chance, "bounded pool", limit, lambda day, since: size * (1 - math.exp(-since / pace)) + chance.gauss(0, 0.01 * size))


def batches(chance: random.Random) -> Truth:
    limit = chance.choice((512, 4096, 16384))
    size, period = chance.uniform(0.05, 0.6) * limit, chance.choice((0.5, 1.0, 3.0, 7.0, 7.0))
    offset = chance.random() * period
    return _host(chance, "batch reaper", limit, lambda day, since: size * (((day + offset) % period) / period) * chance.uniform(0.95, 1.05))


def load(chance: random.Random) -> Truth:
    limit = chance.choice((512, 4096, 16384))
    return _host(chance, "load by day and week", limit, lambda day, since: abs(chance.gauss(0, 0.01 * limit)), swing=chance.uniform(0.1, 0.35))


def healthy(chance: random.Random) -> Truth:
    limit = chance.choice((512, 4096, 16384))
    return _host(chance, "no leak", limit, lambda day, since: chance.choice((0, 0, 0, 1, 2, chance.randrange(20))))


def _leak(chance: random.Random, kind: str, noise: float, begin: float = 0.0, boots: Callable[[], float] | None = None, restarts: float | None = None,
          days: float | None = None) -> Truth:
    limit = chance.choice((512, 4096, 16384))
    per_day = 0.8 * limit / (chance.uniform(5, 45) if days is None else days)
    return _host(chance, kind, limit, lambda day, since: per_day * min(since, max(0.0, day - begin)) + chance.gauss(0, noise * per_day * min(7, since)),
                 boots=boots, restarts=restarts, swing=chance.uniform(0.01, 0.1))


def _host(chance: random.Random, kind: str, limit: int, count: Callable[[float, float], float], boots: Callable[[], float] | None = None,
          restarts: float | None = None, swing: float = 0.03) -> Truth:
    """A host that is full is mended within hours: the program is restarted."""
    truth = Truth(kind, [], [], [], [], limit)
    base, pid, boot, begun = 0.15 * limit, 8000, 0, 0.0
    next_boot = boots() if boots else math.inf
    next_restart = chance.uniform(0, restarts) if restarts else math.inf
    full_for = 0
    for hour in range(DAYS * STEPS):
        day = hour / STEPS
        if day >= next_boot:
            boot, pid, begun, next_boot = boot + 1, pid + 1, day, day + (boots() if boots else math.inf)
        if day >= next_restart or full_for > 12:
            pid, begun, next_restart, full_for = pid + 7, day, (next_restart + restarts if restarts and day >= next_restart else next_restart), 0
        wave = math.sin(2 * math.pi * (day % 1)) * (0.5 if int(day) % 7 in (5, 6) else 1)
        rest = int(max(0, base + swing * limit * wave + chance.gauss(0, 0.01 * limit)))
        zombies = int(max(0, count(day, day - begun)))
        full_for = full_for + 1 if zombies + rest >= limit else 0
        for row, value in zip(truth[1:5], (zombies, min(rest, limit), pid, boot), strict=True):
            row.append(value)
    return truth


def audits(truth: Truth, chance: random.Random) -> Iterator[Audit]:
    """Nightly, not always: some nights are missing, some audits come twice, some clocks are wrong."""
    hour = chance.randrange(STEPS)
    for day in range(DAYS):
        at = day * STEPS + min(STEPS - 1, hour + chance.choice((0, 0, 0, 1)))
        if chance.random() < 0.08:
            continue
        told = START + at * 3600.0
        if chance.random() < 0.01:
            told += chance.choice((-1, 1)) * chance.uniform(0.2, 20) * DAY_S
        used = min(truth.limit, truth.zombies[at] + truth.rest[at])
        zombies = used - min(used, truth.rest[at])
        broods = (Brood(PROGRAM, UNIT, truth.pid[at], zombies, zombies, None),) if zombies else ()
        sample = Sample("host", day, told, str(truth.boot[at]), used + 100, zombies, broods, (
            Headroom("pids.max", GROUP, used, truth.limit), Headroom("pid_max", "this machine", used + 100, 4 * truth.limit)))
        yield Audit(at, sample)
        if chance.random() < 0.03:
            yield Audit(at, sample)


# The two that forecast


def ours(seen: Sequence[Sample], now: float) -> Verdict:
    for outlook in forecast.of_host(seen, now):
        if outlook.verdict == forecast.LEAK and outlook.binding:
            found = outlook.binding
            return Verdict((found.at - START) / DAY_S, (found.earliest - START) / DAY_S, None if found.latest is None else (found.latest - START) / DAY_S)
    return Verdict(None)


def two_points(seen: Sequence[Sample], now: float) -> Verdict:
    if len(seen) < 2:
        return Verdict(None)
    (before, after), days = (seen[-2].headroom[0], seen[-1].headroom[0]), (seen[-1].at - seen[-2].at) / DAY_S
    if days <= 0 or after.used <= before.used:
        return Verdict(None)
    return Verdict((seen[-1].at - START) / DAY_S + (after.limit - after.used) / ((after.used - before.used) / days))


def judge(truths: Sequence[Truth], forecaster: Callable[[Sequence[Sample], float], Verdict], seed: int) -> Score:
    quiet = false = healthy = disturbed = full = warned = inside = 0
    errors: list[float] = []
    for number, truth in enumerate(truths):
        seen: list[Sample] = []
        alarms: list[float] = []
        any_false = False
        for hour, sample in audits(truth, random.Random(seed + number)):
            seen.append(sample)
            day, expected = hour / STEPS, truth.full_at(hour)
            if expected is not None and expected <= day:
                continue  # it is full already: anybody sees that
            verdict = forecaster(seen, START + hour * 3600.0)
            alarm = verdict.at is not None and verdict.at - day <= ALARM_DAYS
            if alarm:
                alarms.append(day)
            if expected is None and day + TWICE <= DAYS or expected is not None and expected - day > TWICE:
                quiet, false, any_false = quiet + 1, false + alarm, any_false or alarm
            if expected is not None and expected - day <= ALARM_DAYS and verdict.at is not None:
                errors.append(abs(min(verdict.at, day + 10 * ALARM_DAYS) - expected))
                inside += verdict.earliest is not None and verdict.earliest <= expected <= (verdict.latest or math.inf)
        happened = _exhaustions(truth)
        full += len(happened)
        warned += sum(any(when - ALARM_DAYS - 1 <= day <= when - 1 for day in alarms) for when in happened)
        healthy, disturbed = healthy + (not happened), disturbed + (not happened and any_false)
    return Score(quiet, false, healthy, disturbed, full, warned, errors, inside)


def _exhaustions(truth: Truth) -> list[float]:
    """Each first hour that is full, a day or more after the last; what is full within the first four days had no history."""
    hours = [hour for hour in range(len(truth.zombies)) if truth.zombies[hour] + truth.rest[hour] >= truth.limit]
    return [hour / STEPS for place, hour in enumerate(hours) if (not place or hour - hours[place - 1] > STEPS) and hour / STEPS >= 4]


KINDS = (steady, noisy, begins_later, rebooted, restarted, pool, batches, load, healthy)


def measure(hosts: int = HOSTS, seed: int = SEED) -> Iterator[Finding]:
    truths = {kind.__name__: [kind(random.Random("%d %s %d" % (seed, kind.__name__, number))) for number in range(hosts)] for kind in KINDS}
    yield Note("%d hosts of each kind, %d nights, seed %d; an alarm is a date within %d days, false when nothing fills up in %d" % (
        hosts, DAYS, seed, ALARM_DAYS, TWICE))
    yield Note("%-23s %-10s %12s %15s %14s %20s %9s" % ("", "", "false alarms", "hosts disturbed", "warned >= 24 h", "error median / p90", "interval"))
    whole: dict[str, list[Score]] = {}
    spent = 0.0
    for of_kind in truths.values():
        for name, forecaster in (("forecast", ours), ("two points", two_points)):
            begin = time.perf_counter()
            score = judge(of_kind, forecaster, seed)
            spent += time.perf_counter() - begin if forecaster is ours else 0.0
            whole.setdefault(name, []).append(score)
            yield Note(_row(of_kind[0].kind, name, score))
    total = {name: _sum(scores) for name, scores in whole.items()}
    for name, score in total.items():
        yield Note(_row("all", name, score))
    yield Note("%.1f ms a forecast" % (1000 * spent / (hosts * len(KINDS) * DAYS)))
    mine, theirs = total["forecast"], total["two points"]
    yield Number("false alarms / those of two points", (mine.false / mine.quiet) / max(1e-9, theirs.false / theirs.quiet), 0.5, "times")
    yield Number("false alarms", 100 * mine.false / mine.quiet, 2.0, "%")
    yield Number("exhaustions not warned of a day ahead", 100 * (1 - mine.warned / mine.full), 10.0, "%")
    yield Number("median error / that of two points", statistics.median(mine.errors) / statistics.median(theirs.errors), 1.0, "times")


def _sum(scores: Sequence[Score]) -> Score:
    counts = [sum(column) for column in zip(*(score[:6] for score in scores), strict=True)]
    return Score(*counts, [error for score in scores for error in score.errors], sum(score.inside for score in scores))


def _row(kind: str, name: str, score: Score) -> str:
    errors = sorted(score.errors)
    error = "%.1f / %.1f days" % (statistics.median(errors), errors[int(0.9 * (len(errors) - 1))]) if errors else "-"
    return "%-23s %-10s %12s %15s %14s %20s %9s" % (
        kind, name, _share(score.false, score.quiet), "%d of %d" % (score.disturbed, score.healthy), _share(score.warned, score.full), error,
        _share(score.inside, len(errors)) if name == "forecast" else "")


def _share(part: int, whole: int) -> str:
    return "%.1f %%" % (100 * part / whole) if whole else "-"


def main(arguments: Sequence[str]) -> int:
    seed = random.SystemRandom().randrange(1 << 30) if "random" in arguments[1:] else int(arguments[1]) if arguments[1:] else SEED
    held = True
    for finding in measure(int(arguments[0]) if arguments else HOSTS, seed):
        print(finding.text if isinstance(finding, Note) else "%s: %.2f %s, at most %g" % (finding.what, finding.value, finding.unit, finding.most), flush=True)
        held = held and (isinstance(finding, Note) or finding.held)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
