"""PH-CRN-003 through audit(), and what becomes of a job when the clocks change. Lord Howe changes by half an hour, Cairo at midnight."""

from datetime import date

import pytest
from pidhygiene import clock_changes
from pidhygiene.readers import crontab
from pidhygiene.readers.zone_info import parse
from simulated import SimulatedHost, judge
from zone_files import BERLIN, UTC, Z, tzif, with_cron, with_zones

RULE = "PH-CRN-003"
CAIRO = tzif("EET-2EEST,M4.5.5/0,M10.5.4/24", [(7200, False, "EET"), (10800, True, "EEST")], [(1000000000, 1), (1010000000, 0)])
LORD_HOWE = tzif("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", [(37800, False, "+1030"), (39600, True, "+11")], [(1000000000, 1), (1010000000, 0)])
MARCH, OCTOBER = "2027-03-28", "2027-10-31"
ZONES = {"Europe/Berlin": BERLIN, "Africa/Cairo": CAIRO, "Australia/Lord_Howe": LORD_HOWE, "Etc/UTC": UTC, "Asia/Tokyo": tzif("JST-9", [(32400, False, "JST")])}


def in_zone(name):
    return with_zones(SimulatedHost(), **ZONES).link("/etc/localtime", Z + name)


def host(table="", zone="Europe/Berlin", version="3.0pl1-162"):
    """A cron, a table of its jobs, and a zone."""
    found = with_cron(in_zone(zone), version)
    return found.file("/etc/cron.d/job", table) if table else found


def with_timer(event, zone="Europe/Berlin", place="/etc/systemd/system/", name="backup"):
    found = in_zone(zone)
    found.file("%s%s.timer" % (place, name), "[Timer]\nOnCalendar=%s\n" % event)
    return found.unit(name + ".timer", FragmentPath="%s%s.timer" % (place, name))


# -- cron


@pytest.mark.case("PH-CRN-003", "fires")
@pytest.mark.parametrize("when, cron", [("*/30 2 * * *", "3.0pl1-162"), ("* 2 * * *", "1.7.2"), ("*/20 2,14 * * *", "3.0pl1-137"), ("*/15 */2 * * *", "1.7.2")])
def test_jobs_by_the_clock_are_skipped_and_run_twice(when, cron):
    finding = judge(host(when + " root /opt/backup\n", version=cron), RULE).only("warn")
    assert finding["severity"] == "MED"
    assert finding["message"].startswith("/etc/cron.d/job:1: \"/opt/backup\" (%s) is skipped on %s, when clocks of Europe/Berlin go from 02:00 to 03:00" % (when, MARCH))
    assert "and runs twice on %s, when clocks of Europe/Berlin go from 03:00 to 02:00; move it out of that hour." % OCTOBER in finding["message"]


@pytest.mark.parametrize("when", ["30 2 * * *", "0,30 2 * * *", "0-59/5 2 * * *", "30 2 * * 0"])
def test_what_cron_makes_up_for_is_information(when):
    finding = judge(host(when + " root /opt/backup\n"), RULE).only("info")
    assert "runs at 03:00 instead of 02:" in finding["message"] and MARCH in finding["message"] and OCTOBER not in finding["message"]


@pytest.mark.case("PH-CRN-003", "silent")
@pytest.mark.parametrize("when", ["0 * * * *", "@hourly", "*/10 * * * *", "*/10 1-3 * * *", "*/20 2-5 * * *", "30 3 * * *", "59 1 * * *", "@daily", "@reboot", "* 2 1 * *"])
def test_jobs_that_miss_nothing_are_silent(when):
    judged = judge(host(when + " root /opt/backup\n"), RULE)
    assert judged.status == "pass" and not judged.findings


@pytest.mark.case("PH-CRN-003", "silent")
@pytest.mark.parametrize("zone", ["Etc/UTC", "Asia/Tokyo"])
def test_zones_that_do_not_change_have_no_such_jobs(zone):
    assert judge(host("*/30 2 * * *  root x\n", zone), RULE).findings == []
    assert judge(host("", zone), RULE).status == "n/a"


def test_a_change_of_half_an_hour():
    message = judge(host("*/15 2 * * * root a\n", "Australia/Lord_Howe"), RULE)
    assert message.status == "pass", "the second half of the hour is there"
    finding = judge(host("10 2 * * * root a\n", "Australia/Lord_Howe"), RULE).only("info")
    assert "runs at 02:30 instead of 02:10 on 2027-10-03" in finding["message"]
    finding = judge(host("*/5 1 4 4 * root a\n45 1 * * * root b\n", "Australia/Lord_Howe"), RULE)
    assert finding.status == "pass"


def test_a_change_at_midnight():
    finding = judge(host("*/20 0 * * * root a\n@daily root b\n", "Africa/Cairo"), RULE)
    assert "is skipped on 2027-04-30, when clocks of Africa/Cairo go from 00:00 to 01:00" in finding.only("warn")["message"]
    assert "runs at 01:00 instead of 00:00 on 2027-04-30" in finding.only("info")["message"]


def test_the_zone_of_the_daemon_counts():
    found = host("*/30 2 * * * root a\n", "Etc/UTC")
    path = "/proc/600/environ"
    found.file(path, "TZ=Europe/Berlin\0")
    assert "clocks of Europe/Berlin" in judge(found, RULE).only("warn")["message"]


def test_a_cron_that_is_not_known_is_not_judged():
    found = host("*/30 2 * * * root a\n").file("/usr/sbin/cron", "busybox of its own").file("/proc/600/exe", "")
    found.links.pop("/proc/600/exe", None)
    found.file("/proc/600/exe", "something else")
    judged = judge(found, RULE)
    assert "what this cron does when the clocks change is not known" in judged.row["not_applicable"] and not judged.findings


# -- CRON_TZ


@pytest.mark.parametrize("zone, text", [
    ("Etc/UTC", ["is skipped on %s" % MARCH, "runs twice on %s" % OCTOBER]),
    ("Europe/Berlin", ["is skipped on %s" % MARCH]),  # while cron's own hour is repeated, fixed jobs rest
])
def test_fixed_jobs_of_another_zone_are_not_protected(zone, text):
    message = judge(host("CRON_TZ=Europe/Berlin\n30 2 * * * root a\n", zone, "1.7.2"), RULE).only("warn")["message"]
    assert all(each in message for each in text) and message.count(" on 2027") == len(text)


def test_fixed_jobs_of_other_zones_rest_while_the_own_hour_is_repeated():
    message = judge(host("CRON_TZ=Asia/Tokyo\n30 10 * * * root a\n", version="1.7.2"), RULE).only("warn")["message"]
    assert "is skipped on %s at 10:30, because cron runs no fixed jobs of other zones while its own repeats" % OCTOBER in message
    assert judge(host("CRON_TZ=Asia/Tokyo\n*/30 10 * * * root a\n30 9 * * * root b\n0 11 * * * root c\n", version="1.7.2"), RULE).status == "pass"


def test_debians_cron_has_no_other_zone():
    assert judge(host("CRON_TZ=Europe/Berlin\n*/30 2 * * * root a\n", "Etc/UTC"), RULE).findings == []


# -- timers


@pytest.mark.case("PH-CRN-003", "fires")
@pytest.mark.parametrize("event, zone", [
    ("*-*-* 02:30", "Europe/Berlin"), ("Sun 02:00", "Europe/Berlin"), ("*-*-* 02,14:30:00", "Europe/Berlin"), ("*-*-* 02:0/15", "Europe/Berlin"),
    ("*-*-* 02:30 Europe/Berlin", "Etc/UTC"), ("daily", "Africa/Cairo"), ("02:15", "Australia/Lord_Howe"),
])
def test_a_timer_in_the_hour_that_does_not_exist_is_skipped(event, zone):
    finding = judge(with_timer(event, zone), RULE).only("warn")
    assert finding["message"].startswith("backup.timer (OnCalendar=%s) is skipped on 2027-" % event)
    assert "twice" not in finding["message"] and finding["subject"]["id"] == "backup.timer"


@pytest.mark.case("PH-CRN-003", "silent")
@pytest.mark.parametrize("event, zone", [
    ("*-*-* 02:30 UTC", "Europe/Berlin"), ("hourly UTC", "Europe/Berlin"), ("daily", "Europe/Berlin"), ("*-*-* 03:30", "Europe/Berlin"),
    ("*-*-* 1,2,3:30", "Europe/Berlin"), ("Mon 02:30", "Europe/Berlin"), ("*-*-* 02:30", "Asia/Tokyo"), ("2026-03-29 02:30", "Europe/Berlin"),
    ("@1824945000", "Europe/Berlin"), ("*-*-* 02:30 Asia/Tokyo", "Europe/Berlin"),
])
def test_timers_that_miss_nothing_are_silent(event, zone):
    judged = judge(with_timer(event, zone), RULE)
    assert judged.status in ("pass", "n/a") and not judged.findings


def test_a_timer_at_rest_in_the_repeated_hour_is_information():
    finding = judge(with_timer("*:0/15"), RULE).only("info")
    assert "1 timer (backup.timer) rest for 60 min on %s" % OCTOBER in finding["message"]


def test_timers_of_packages_are_one_information():
    found = with_timer("daily", "Africa/Cairo", "/usr/lib/systemd/system/")
    found.file("/usr/lib/systemd/system/rotate.timer", "[Timer]\nOnCalendar=daily\nPersistent=true\n").unit("rotate.timer", FragmentPath="/usr/lib/systemd/system/rotate.timer")
    finding = judge(found, RULE).only("info")
    assert "2 timers (backup.timer, rotate.timer) of packages skip a run on 2027-04-30" in finding["message"]
    found.file("/etc/systemd/system/rotate.timer.d/x.conf", "[Timer]\nOnCalendar=\nOnCalendar=00:30\n")
    assert judge(found, RULE).only("warn")["subject"]["id"] == "rotate.timer", "the administrator chose that time"


def test_a_timer_that_rests_is_not_judged():
    found = with_timer("*-*-* 02:30")
    found.units["backup.timer"]["ActiveState"] = "inactive"
    assert judge(found, RULE).status == "pass" or not judge(found, RULE).findings


# -- unreadable


@pytest.mark.case("PH-CRN-003", "unreadable")
@pytest.mark.parametrize("broken", [
    host("*/30 2 * * * root a\n").forbid("/etc/cron.d/job"), host("0 1 * * * root a\n").forbid("/etc/localtime"),
    with_timer("*-*-* 02:30 CET"), with_timer("every day"), with_timer("*-*-* 02:30 Mars/Olympus"),
], ids=["crontab", "zone", "abbreviation", "nonsense", "no zone"])
def test_what_cannot_be_read_is_unknown(broken):
    assert judge(broken, RULE).status == "unknown"


# -- the changes themselves


def test_changes_of_the_next_twelve_months():
    changes = clock_changes.of_zone(parse(BERLIN), 1_795_400_000)
    assert [(clock_changes.day(each.start), clock_changes.told(each), each.length, each.season) for each in changes] == [
        (MARCH, "from 02:00 to 03:00", 3600, True), (OCTOBER, "from 03:00 to 02:00", 3600, True)]
    assert clock_changes.of_zone(parse(UTC), 1_795_400_000) == []


def test_a_change_of_many_hours_is_a_clock_that_was_set():
    """Three hours and more: cron makes up for nothing, and repeats all (Antarctica's stations moved so far)."""
    schedule = clock_changes.Schedule(crontab.parse_schedule("30 2 * * *", crontab.DEBIAN).on, [150])
    forward, back = clock_changes.Change(86400, 0, 14400, True), clock_changes.Change(2 * 86400, 14400, 0, True)
    assert [each.kind for each in clock_changes.under_cron(schedule, False, [forward, back])] == ["skipped", "twice"]
    small = clock_changes.Change(86400 + 3600, 0, 7200, True)
    assert [each.kind for each in clock_changes.under_cron(schedule, False, [small])] == ["late"]
    assert schedule.on(date(2027, 3, 28))
