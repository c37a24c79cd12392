"""When a host will be full: a date where it is honest, and none where it is not."""

import random

import pytest
from benchmarks import forecast_backtest
from benchmarks.measuring import Number

from controller.fleet import forecast, trend
from controller.fleet.forecast import BOUNDED, LEAK, ONE_AUDIT, RECENT, RESTARTED
from controller.fleet.trend import Point
from controller.store.rows import Brood, Headroom, Sample

DAY = 86400.0
START = 1_790_000_000.0
UNIT = "VRTSralus.service"
GROUP = "/system.slice/" + UNIT


def sample(day, zombies, boot="b1", pid=8102, limit=4096, rest=100, age_days=None, per_day=None, clock=0.0, used=None):
    used = zombies + rest if used is None else used
    broods = (Brood("/opt/beremote", UNIT, pid, zombies, zombies, None, None if age_days is None else age_days * DAY, per_day),) if zombies else ()
    return Sample("backup1", int(day), START + day * DAY + clock, boot, used, zombies, broods, (
        Headroom("pids.max", GROUP, used, limit), Headroom("pid_max", "this machine", used + 50, 32468)))


def outlook(samples, now_day=None, findings=()):
    now = samples[-1].at if now_day is None else START + now_day * DAY
    return next(iter(forecast.of_host(samples, now, findings)), None)


def steady(days=10, per_day=100, **options):
    return [sample(day, per_day * day, **options) for day in range(days)]


def days(at):
    return (at - START) / DAY


def test_a_steady_leak_gets_its_date_interval_and_restart():
    found = outlook(steady())
    assert (found.verdict, found.program, found.unit, found.count) == (LEAK, "/opt/beremote", UNIT, 900)
    full = found.binding
    assert (full.kind, full.holder, full.used, full.limit) == ("pids.max", GROUP, 1000, 4096)
    assert days(full.at) == pytest.approx(9 + 30.96, abs=0.1) and full.earliest < full.at < full.latest
    assert found.rate.per_day == pytest.approx(100) and found.rate.low <= 100 <= found.rate.high
    empty_to_full_s = (4096 - 100) / 100 * DAY
    assert 0.9 * empty_to_full_s / 2 <= found.restart_every_s <= empty_to_full_s / 2 and found.restart_every_s % 3600 == 0


def test_the_date_does_not_move_with_the_time_of_asking():
    assert outlook(steady(), now_day=12).binding.at == outlook(steady()).binding.at
    late = outlook(steady(), now_day=60).binding
    assert late.at == late.earliest == START + 60 * DAY, "it would be full by now"


def test_noise_widens_the_interval_but_keeps_the_date():
    chance = random.Random(7)
    found = outlook([sample(day, max(0, int(100 * day + chance.gauss(0, 40)))) for day in range(12)])
    assert found.verdict == LEAK and found.rate.low < 100 < found.rate.high and days(found.binding.at) == pytest.approx(40, abs=5)


@pytest.mark.parametrize("counts, verdict", [
    ([900] * 12, BOUNDED),
    ([int(600 * (1 - 0.5 ** day)) for day in range(14)], BOUNDED),
    ([0, 0, 0, 800, 800, 801, 800, 800, 800, 800], BOUNDED),
    ([100 * (day % 7) + 20 for day in range(20)], BOUNDED),
    ([20 + day % 3 for day in range(20)], BOUNDED),
    ([50, 150], RECENT),
    ([900], RECENT),
    ([0] * 10 + [400], RECENT),
], ids=["constant", "pool that fills", "one burst", "batch reaper", "comings and goings", "two audits", "one audit", "since last night"])
def test_no_date_where_none_is_honest(counts, verdict):
    found = outlook([sample(day, count) for day, count in enumerate(counts)])
    assert found.verdict == verdict and found.binding is None and found.why


def test_a_handful_is_not_spoken_of():
    assert outlook([sample(day, 4) for day in range(10)]) is None and outlook([sample(day, 0) for day in range(10)]) is None and forecast.of_host([], START) == []


def test_a_reaper_that_has_stopped_is_a_leak():
    teeth = [sample(day, 100 * (day % 4) + 10) for day in range(12)]
    found = outlook(teeth + [sample(day, 100 * (day - 12) + 10) for day in range(12, 23)])
    assert found.verdict == LEAK and found.rate.per_day == pytest.approx(100)


def test_a_leak_that_began_later_is_dated_by_its_own_pace():
    found = outlook([sample(day, 6) for day in range(20)] + [sample(20 + day, 6 + 300 * day) for day in range(5)])
    assert found.verdict == LEAK and found.rate.per_day == pytest.approx(300, rel=0.1)


def test_after_a_restart_the_pace_of_before_goes_on():
    found = outlook([*steady(10, 200), sample(10, 150, pid=9000, age_days=0.7)])
    assert found.verdict == LEAK and "restart" in found.why and days(found.binding.at) == pytest.approx(10 + (4096 - 250) / 200, abs=1)


def test_after_a_reboot_too_and_a_pid_that_comes_again_is_another_process():
    assert "reboot" in outlook([*steady(10, 200), sample(10, 150, boot="b2")]).why
    assert "restart" in outlook([*(sample(day, 200 * day, age_days=day + 1) for day in range(10)), sample(10, 150, age_days=0.7)]).why


def test_restarts_that_come_in_time_are_no_alarm_and_those_that_come_late_are():
    def weekly(per_day, until=24):
        return [sample(day, per_day * (day % 7) + 10, pid=8000 + day // 7) for day in range(until)]
    assert outlook(weekly(100)).verdict == RESTARTED
    assert outlook(weekly(700)).verdict == LEAK
    stopped = weekly(100, 21) + [sample(day, 100 * (day - 21) + 10, pid=8003) for day in range(21, 34)]
    assert outlook(stopped).verdict == LEAK, "this week nobody restarted it"


def test_one_audit_suffices_where_start_times_tell():
    found = outlook([sample(3, 900, age_days=9, per_day=100.0)])
    assert (found.verdict, found.rate.source) == (LEAK, ONE_AUDIT) and found.rate.low < 100 < found.rate.high
    assert days(found.binding.at) == pytest.approx(3 + 30.96, abs=0.1)


def test_no_date_much_further_ahead_than_was_seen():
    found = outlook([sample(day, 10 + 2 * day, limit=32000) for day in range(6)])
    assert found.verdict == LEAK and found.binding is None and "longer than can be told" in found.why


@pytest.mark.parametrize("change", [
    lambda rows: rows[:5] + rows[8:],
    lambda rows: [row for row in rows for _twice in range(2)],
    lambda rows: [*rows[:6], rows[6]._replace(at=rows[6].at + 40 * DAY), *rows[7:]],
    lambda rows: [*rows[:6], rows[6]._replace(at=rows[6].at - 4000 * DAY), *rows[7:]],
    lambda rows: [*rows[:6], rows[6]._replace(at=rows[6].at - 2 * DAY), *rows[7:]],
    lambda rows: [*rows[:6], rows[6]._replace(broods=(rows[6].broods[0]._replace(persistent=9000),)), *rows[7:]],
], ids=["gap", "twice", "clock ahead", "clock far behind", "clock behind", "one wild count"])
def test_what_histories_are_like_in_truth(change):
    found = outlook(change(steady(14)), now_day=13.5)
    assert found.verdict == LEAK and found.rate.per_day == pytest.approx(100, rel=0.05) and days(found.binding.at) == pytest.approx(39.96, abs=1)


def test_a_last_audit_with_a_clock_far_ahead_is_left_out():
    rows = steady()
    assert outlook([*rows, sample(10, 1000, clock=900 * DAY)], now_day=10).binding.at == outlook(rows, now_day=10).binding.at


def test_a_full_budget_is_full_now():
    found = outlook([sample(0, 0, used=4096)])
    assert found.verdict == LEAK and found.why == "it is full now" and found.binding.at == found.binding.latest == START and found.unit == UNIT
    leaking = outlook(steady(42))
    assert leaking.binding.used >= leaking.binding.limit and leaking.binding.at == START + 41 * DAY and leaking.binding.latest == leaking.binding.at


def test_threads_that_grow_without_zombies_are_dated_and_a_week_of_load_is_not():
    growing = [sample(day, 0, used=200 + 150 * day) for day in range(12)]
    found = outlook(growing)
    assert (found.program, found.verdict, found.unit) == ("", LEAK, UNIT) and days(found.binding.at) == pytest.approx(26, abs=1)
    week = [sample(day, 0, used=1000 + 900 * (day % 7 < 5) + 60 * (day % 7)) for day in range(26)]
    assert all(outlook(week[:length]) is None for length in range(1, 27))


def test_the_users_limit_is_charged_where_a_finding_names_it_or_it_grows_alike():
    finding = {"rule": "PH-ZMB-001", "subject": {"type": "process", "id": "beremote (8102)"}, "binding": "RLIMIT_NPROC of uid 500: 1000 of 2000"}
    assert outlook(steady(), findings=[finding]).binding.kind == "RLIMIT_NPROC"
    for hostile in (None, 7, "of", "RLIMIT_NPROC of x: 9 of 0", "a of b: 1 of " + "9" * 99):
        assert outlook(steady(), findings=[{**finding, "binding": hostile}]).binding.kind == "pids.max"
    alike = [row._replace(headroom=(*row.headroom, Headroom("RLIMIT_NPROC", "uid 500", row.zombies + 30, 1200))) for row in steady()]
    assert outlook(alike).binding.holder == "uid 500"
    apart = [row._replace(headroom=(*row.headroom, Headroom("RLIMIT_NPROC", "uid 0", 1100, 1200))) for row in steady()]
    assert outlook(apart).binding.holder == GROUP


def test_the_same_program_over_the_fleet():
    rows = [row._replace(host=host) for host, per_day in (("a", 100), ("b", 300)) for row in steady(per_day=per_day)] + [
        row._replace(host="c") for row in [sample(day, 20) for day in range(9)]]
    outlooks = list(forecast.fleet(rows, START + 10 * DAY))
    (leaking,) = forecast.by_program(outlooks)
    assert (leaking.program, leaking.hosts, leaking.worst_host) == ("/opt/beremote", ("a", "b"), "b")
    assert leaking.per_day == pytest.approx(200) and leaking.highest == pytest.approx(300)


def test_the_median_slope_withstands_a_wild_quarter():
    points = [Point(day, 10.0 * day) for day in range(12)]
    points[2], points[6], points[9] = Point(2, 900), Point(6, 0), Point(9, 5000)
    line = trend.theil_sen([points])
    assert line.slope == pytest.approx(10, abs=1.5) and line.low <= 10 <= line.high


def test_nine_in_ten_intervals_hold_the_slope():
    chance = random.Random(3)
    lines = [trend.theil_sen([[Point(day, 5 * day + chance.gauss(0, 8)) for day in range(15)]]) for _each in range(300)]
    assert 0.85 <= sum(line.low <= 5 <= line.high for line in lines) / 300 <= 0.99


def test_the_backtest_holds():
    numbers = [found for found in forecast_backtest.measure(3) if isinstance(found, Number)]
    assert len(numbers) == 4 and all(number.held for number in numbers), numbers
