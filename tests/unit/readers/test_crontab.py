"""Crontab lines. tests/lab/test_crontab_oracle.py compares with the daemons themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.readers import crontab
from pidhygiene.readers.crontab import CRONIE, DEBIAN, OLD_DEBIAN

DIALECTS = (DEBIAN, OLD_DEBIAN, CRONIE)


def only(text, with_user=True, dialect=DEBIAN):
    table = crontab.parse(text, with_user, dialect)
    assert not table.mistakes and len(table.jobs) == 1, table
    return table.jobs[0]


def test_a_line():
    job = only("# daily report\n\t 0  9 * * 1-5  root  /opt/report --mail a=b \n")
    assert (job.line, job.when, job.user, job.command) == (2, "0 9 * * 1-5", "root", "/opt/report --mail a=b ")
    assert job.schedule.hours == {9} and job.schedule.weekdays == {1, 2, 3, 4, 5} and job.schedule.any_day


def test_own_tables_have_no_user():
    assert only("*/15 * * * * date\n", with_user=False).command == "date"
    assert only("@reboot /opt/start\n", with_user=False).schedule is None


def test_names_and_sunday_twice():
    schedule = only("0 0 1 jan,DEC sun,7 root x\n").schedule
    assert schedule.months == {1, 12} and schedule.weekdays == {0} and not schedule.any_day


@pytest.mark.parametrize("line, dialect, reason", [
    ("60 * * * * root x", DEBIAN, "bad minute"), ("* 24 * * * root x", CRONIE, "bad hour"), ("* * 0 * * root x", DEBIAN, "bad day-of-month"),
    ("* * * 13 * root x", DEBIAN, "bad month"), ("* * * * 8 root x", DEBIAN, "bad day-of-week"), ("* * * * foo root x", CRONIE, "bad day-of-week"),
    ("1/20 * * * * root x", DEBIAN, "bad minute"), ("*/0 * * * * root x", CRONIE, "bad minute"), ("5; * * * * root x", CRONIE, "bad minute"),
    ("@dayly root x", DEBIAN, "bad time specifier"), ("* * * *", DEBIAN, "bad day-of-week"), ("0 9 * * * root", DEBIAN, "bad command"),
    ("0 9 * * * * root x", CRONIE, "bad command"), ("0 9 * * * root " + "x" * 999, DEBIAN, "command too long"),
    ("TZ=", OLD_DEBIAN, "bad minute"), ("1~5 * * * * root x", DEBIAN, None), ("5; * * * * root x", DEBIAN, None), ("1~5 * * * * root x", CRONIE, None),
    ("TZ=", DEBIAN, None), ("TZ=", CRONIE, None), ("0 9 * * * root " + "x" * 999, CRONIE, None), ("7-3 * * * * root x", DEBIAN, None),
])
def test_mistakes(line, dialect, reason):
    found = [mistake.reason for mistake in crontab.parse(line + "\n", True, dialect).mistakes]
    assert found == ([reason] if reason else [])


def test_debian_drops_the_whole_table_cronie_the_line():
    text = "0 9 * * * root good\n61 9 * * * root bad\n"
    assert crontab.parse(text, True, DEBIAN).dropped == "bad minute in line 2"
    assert crontab.parse(text, True, CRONIE).dropped == "" and len(crontab.parse(text, True, CRONIE).jobs) == 1


def test_last_line_without_its_end():
    text = "0 9 * * * root good\n0 10 * * * root lost"
    assert crontab.parse(text, True, DEBIAN).dropped == "no newline at the end of the file in line 2"
    assert len(crontab.parse(text, True, CRONIE).jobs) == 1
    assert crontab.parse("0 9 * * * root good\n# comment", True, DEBIAN).dropped == ""
    assert crontab.parse("", True, DEBIAN) == ((), (), (), "")


def test_too_many_lines():
    assert crontab.parse("#\n" * 10001, True, DEBIAN).dropped == "more than 10000 lines"


@pytest.mark.parametrize("line, expected", [
    ("TZ=UTC", ("TZ", "UTC")), (" CRON_TZ = 'Asia/Shanghai' ", ("CRON_TZ", "Asia/Shanghai")), ('"TZ"="a b"', ("TZ", "a b")), ("TZ=a b  ", ("TZ", "a b")),
    ("TZ=''", ("TZ", "")), ("TZ='open", None), ("A B=c", None), ("0 9 * * * x a=b", None), ("=x", ("", "x")),
])
def test_assignments(line, expected):
    assert crontab.assignment(line.strip(" "), DEBIAN) == expected


def test_zone_variables_hold_for_the_lines_below():
    table = crontab.parse("0 1 * * * root a\nTZ=UTC\nPASSWORD=hunter2\n0 2 * * * root b\nCRON_TZ=Asia/Tokyo\n0 3 * * * root c\n", True, CRONIE)
    assert [dict(job.zone) for job in table.jobs] == [{}, {"TZ": "UTC"}, {"TZ": "UTC", "CRON_TZ": "Asia/Tokyo"}]
    assert [(each.line, each.name, each.value) for each in table.variables] == [(2, "TZ", "UTC"), (5, "CRON_TZ", "Asia/Tokyo")]
    assert "hunter2" not in str(table)


def test_digest_is_of_the_meaning():
    one, other = only("0 9 * * MON  root   x  y\n"), only("# c\n0  9  *\t* mon root x y\n")
    assert one.digest == other.digest and len(one.digest) == 64
    assert one.digest != only("0 9 * * mon root x z\n").digest != only("0 9 * * mon www-data x z\n").digest
    assert one.digest != only("CRON_TZ=UTC\n0 9 * * mon root x y\n").digest


@pytest.mark.parametrize("when, seconds", [
    ("* * * * *", 60), ("*/15 * * * *", 900), ("0 * * * *", 3600), ("0 9 * * *", 86400), ("0 14 * * 6", 7 * 86400), ("0 9,17 * * *", 16 * 3600),
    ("0 9 * * 1-5", 3 * 86400), ("0 0 1 * *", 31 * 86400), ("0 0 29 2 *", None), ("5-2 * * * *", None), ("0 0 1 * 1", 7 * 86400),
])
def test_longest_pause(when, seconds):
    assert crontab.longest_pause(crontab.parse_schedule(when, DEBIAN)) == seconds


def test_never():
    assert crontab.parse_schedule("5-2 * * * *", DEBIAN).never and not crontab.parse_schedule("* * * * *", DEBIAN).never


def test_anacron():
    table = crontab.parse_anacron("SHELL=/bin/sh\nTZ=UTC\n1\t5\tcron.daily\tnice run-parts /etc/cron.daily\n@monthly 45 m x\nx y z\n")
    assert [(job.when, job.command) for job in table.jobs] == [("1 5 cron.daily", "nice run-parts /etc/cron.daily"), ("@monthly 45 m", "x")]
    assert [tuple(each) for each in table.mistakes] == [(5, "invalid syntax")] and table.dropped == ""


LINES = st.text(st.sampled_from("0123459*/,-~@dailyTZ=CRON_'\" \t\n#rootMONxjan\r\x00é"), max_size=120)


@given(LINES, st.booleans(), st.sampled_from(DIALECTS))
def test_never_raises(text, with_user, dialect):
    table = crontab.parse(text, with_user, dialect)
    for job in table.jobs:
        if job.schedule is not None:
            crontab.longest_pause(job.schedule)
    crontab.parse_anacron(text)


@given(st.sets(st.integers(0, 59), min_size=1), st.sampled_from(DIALECTS))
def test_lists_come_back(minutes, dialect):
    assert crontab.parse_field(",".join(map(str, sorted(minutes))), 0, 59, (), dialect) == minutes
