"""POSIX TZ strings. Expected values were taken from glibc 2.36 and 2.41; test_zone_oracle.py asks the one that is here."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.readers import posix_tz
from pidhygiene.readers.posix_tz import ALL, NOTHING, PART, ChangeDay

WINTER, SUMMER = 1_736_899_200, 1_752_537_600  # 2025-01-15 and 2025-07-15, 00:00 UTC


@pytest.mark.parametrize("text, winter, summer, understood", [
    ("UTC0", 0, 0, ALL),
    ("CST-8", 28800, 28800, ALL),
    ("UTC+8", -28800, -28800, ALL),  # the sign counts west
    ("<+08>-8", 28800, 28800, ALL),
    ("<-0330>3:30", -12600, -12600, ALL),
    ("CET-1CEST,M3.5.0,M10.5.0/3", 3600, 7200, ALL),
    ("EST5EDT", -18000, -14400, ALL),
    ("NZST-12NZDT,M9.5.0,M4.1.0/3", 46800, 43200, ALL),  # the southern year begins in summer
    ("IST-1GMT0,M10.5.0,M3.5.0/1", 0, 3600, ALL),  # Ireland's winter is the exception, by its law
    ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -7200, -3600, ALL),
    ("XXX3YYY,J60/2,J300/2", -10800, -7200, ALL),
    ("XXX3YYY,59,299", -10800, -7200, ALL),
    ("ABC99", -86400, -86400, ALL),  # 24 at most
    ("ABC5:99:99", -21599, -21599, ALL),
    ("ABC+-5", -86400, -86400, ALL),  # scanf reads -5 into an unsigned number
    ("CST-8junk/", 28800, 28800, PART),
    ("CET-1CEST,M3.5.0,M10.5.0/3,x", 3600, 7200, PART),
    ("Asia/Shangai", 0, 0, NOTHING),
    ("ABC", 0, 0, NOTHING),
    ("ABC+", 0, 0, NOTHING),
    ("AB5", 0, 0, NOTHING),
    ("<AB>5", 0, 0, NOTHING),
    ("", 0, 0, NOTHING),
    ("+08:00", 0, 0, NOTHING),
])
def test_meanings(text, winter, summer, understood):
    zone = posix_tz.parse(text)
    assert zone.understood == understood
    assert (zone.shift(WINTER), zone.shift(SUMMER)) == (winter, summer) or understood == PART


def test_abbreviation_of_a_misspelled_name_is_its_beginning():
    assert posix_tz.parse("Asia/Shangai").at(0) == (0, False, "Asia")


def test_rules():
    zone = posix_tz.parse("CET-1CEST,M3.5.0,M10.5.0/3")
    assert zone.start == ChangeDay("M", 3, 5, 0, 7200) and zone.end == ChangeDay("M", 10, 5, 0, 10800)
    assert sorted(set(zone.changes(WINTER, WINTER + 365 * 86400)) - {1_767_225_600}) == [1_743_296_400, 1_761_440_400]  # 30 March and 26 October 2025, 1:00 UTC
    assert list(posix_tz.parse("CST-8").changes(0, 2 * 10 ** 9)) == []
    assert posix_tz.parse("AAA3BBB").default_rules and not zone.default_rules


@given(st.integers(min_value=1, max_value=9000))
def test_days_before_a_year(year):
    assert posix_tz.days_before(year) == (datetime.date(year, 1, 1) - datetime.date(1970, 1, 1)).days


@given(st.integers(min_value=-62135596800, max_value=250_000_000_000))
def test_year_of_a_moment(moment):
    assert posix_tz.year_of(moment) == (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=moment)).year


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 6), st.integers(1971, 2100))
def test_weekdays_are_those_of_the_calendar(month, week, day, year):
    moment = posix_tz._change(ChangeDay("M", month, week, day, 0), 0, year)
    found = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=moment)
    assert (found.year, found.month, found.isoweekday() % 7) == (year, month, day)
    assert (found.day - 1) // 7 == week - 1 or (week == 5 and (found + datetime.timedelta(days=7)).month != month)


TEXT = st.text(max_size=40) | st.from_regex(r"[A-Z<>+0-9-]{1,9}[+-]?[0-9:]{0,9}[A-Z<>+0-9-]{0,9}(,[MJ0-9./+-]{0,12}){0,3}", fullmatch=True)


@given(TEXT, st.integers(-2 ** 40, 2 ** 40))
def test_never_raises(text, moment):
    zone = posix_tz.parse(text)
    offset, _summer, _name = zone.at(moment)
    assert abs(offset) <= 25 * 3600
    assert all(moment < each <= moment + 10 ** 8 for each in zone.changes(moment, moment + 10 ** 8))


@given(TEXT, st.integers(0, 4 * 10 ** 9), st.integers(0, 10 ** 8))
def test_the_shift_changes_only_where_changes_says(text, since, length):
    zone = posix_tz.parse(text)
    moments = sorted({since, *zone.changes(since, since + length), since + length})
    for earlier, later in zip(moments, moments[1:]):
        assert zone.shift(earlier) == zone.shift(later - 1) == zone.shift((earlier + later - 1) // 2)
