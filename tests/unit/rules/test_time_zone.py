"""PH-TZ through audit(): the fixtures F05 with its variants, the incidents T1 to T15 as far as an audit sees them."""

import pytest
from simulated import NOW, UPTIME, ClockState, SimulatedHost, judge
from zone_files import BERLIN, MEXICO_BEFORE, SHANGHAI, UTC, Z, tzif, with_cron, with_zones, zoned

from pidhygiene.audit import audit
from pidhygiene.facts_time import time_zone_facts, time_zone_marks
from pidhygiene.evidence import gather

HOUR, DAY = 3600.0, 86400.0
RULES = ["PH-TZ-%03d" % number for number in range(1, 12)]


def split_host(cron="1.5.2", changed=NOW - 5 * DAY):
    """F05, the seed's host: /etc/timezone says Etc/UTC, /etc/localtime is a copy of Asia/Shanghai, made while cron was running."""
    host = with_zones(SimulatedHost())
    host.file("/etc/timezone", "Etc/UTC\n").file("/etc/localtime", SHANGHAI, ctime=changed, mtime=changed)
    return with_cron(host, cron)


def statuses(host, previous=None):
    result = audit(host, previous=previous, rules=["PH-TZ-*"])
    assert result["audit"]["errors"] == []
    return {row["rule"]: row["status"] for row in result["rules"]}


def marks_of(host, previous=None):
    return {"version": 1, "time_zone": time_zone_marks(gather(host, ["time_zone", "clock"], previous))}


# -- F05 and its variants ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cron", ["1.5.2", "3.0pl1-137"])
def test_f05_is_found_whole(cron):
    found = statuses(split_host(cron))
    assert (found["PH-TZ-001"], found["PH-TZ-002"], found["PH-TZ-006"]) == ("fail", "warn", "warn")


@pytest.mark.case("PH-TZ-001", "fires")
def test_f05_sources_disagree():
    finding = judge(split_host(), "PH-TZ-001").only("fail")
    assert finding["severity"] == "HIGH"
    assert "/etc/timezone says Etc/UTC, but programs run in Asia/Shanghai, 8 h apart" in finding["message"]
    assert finding["remedy"] == {"state": "time_zone", "parameters": {"name": "Asia/Shanghai"}, "disruptive": False}


@pytest.mark.case("PH-TZ-002", "fires")
def test_f05_localtime_is_a_copy():
    finding = judge(split_host(), "PH-TZ-002").only("warn")
    assert "is a copy of Asia/Shanghai instead of a link" in finding["message"]


@pytest.mark.case("PH-TZ-006", "fires")
def test_f05_cron_in_the_old_zone():
    finding = judge(split_host(), "PH-TZ-006").only("warn")
    assert "crond (600) was started on" in finding["message"]
    assert "8 h later than they should" in finding["message"]  # by what /etc/timezone still says: from 9:00 to 17:00
    assert finding["remedy"]["parameters"] == {"unit": "crond.service"}


def test_f05_second_evidence_makes_it_certain():
    before = zoned("Etc/UTC", "Etc/UTC")
    before.wall = NOW - 6 * DAY
    finding = judge(split_host(), "PH-TZ-006", previous=marks_of(before)).only("fail")
    assert finding["severity"] == "HIGH"
    assert "8 h later than they should" in finding["message"]
    journal = split_host()
    journal.log = [{"at": str(NOW - 5 * DAY), "MESSAGE": "Changed time zone to 'Asia/Shanghai' (CST).", "_SYSTEMD_UNIT": "systemd-timedated.service"}]
    assert "Changed time zone" in str(judge(journal, "PH-TZ-006").only("fail")["evidence"])


@pytest.mark.case("PH-TZ-001", "silent")
def test_f05b_an_alias_agrees():
    assert judge(zoned("PRC", "Asia/Shanghai"), "PH-TZ-001").status == "pass"
    assert judge(zoned("Asia/Shanghai", "PRC"), "PH-TZ-001").status == "pass"
    assert judge(zoned("Etc/UTC", "UTC"), "PH-TZ-001").status == "pass"  # T15


@pytest.mark.case("PH-TZ-006", "silent")
def test_f05c_a_cron_that_asks_every_minute():
    assert judge(split_host("3.0pl1-162"), "PH-TZ-006").row["counts"] == {"pass": 1}
    assert judge(split_host("3.0pl1-152"), "PH-TZ-006").row["counts"] == {"pass": 1}


def test_f05d_trixie_without_timezone_file_passes():
    host = zoned("Asia/Shanghai", None, legacy=False)
    host.file("/etc/os-release", 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n')
    assert set(statuses(host).values()) <= {"pass", "n/a", "info"}
    assert judge(host, "PH-TZ-001").status == "pass"


@pytest.mark.case("PH-TZ-004", "fires")
def test_f05d_old_name_without_tzdata_legacy():
    host = zoned("Asia/Shanghai", None, legacy=False).process(700, 1, "reportd", environ={"TZ": "PRC"})
    finding = judge(host, "PH-TZ-004").only("fail")
    assert finding["severity"] == "HIGH"
    assert "reportd runs with TZ=PRC, which is UTC in silence" in finding["message"]
    assert "old name of Asia/Shanghai, and the package tzdata-legacy is not installed" in finding["message"]


def test_two_hosts_of_f05_can_be_compared_by_their_facts():
    """PH-FLT-003 is computed from facts alone."""
    split = time_zone_facts(gather(split_host(), ["time_zone", "clock", "cron"]))
    good = time_zone_facts(gather(with_cron(zoned()), ["time_zone", "clock", "cron"]))
    assert split["zone"]["name"] == good["zone"]["name"] == "Asia/Shanghai"
    assert split["zone"]["localtime"] == "file" and good["zone"]["localtime"] == "link"
    assert split["zone"]["offset_s"] == 28800
    assert split["cron"]["implementation"] == "cronie" and good["cron"] == {
        "implementation": "debian", "version": "3.0pl1-162", "running": True, "lines": []}


# -- healthy hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Asia/Shanghai", "Etc/UTC", "Europe/Berlin"])
def test_healthy_host_is_silent(name):
    host = with_cron(zoned(name, name)).process(800, 1, "chronyd").process(801, 1, "rsyslogd").process(802, 1, "postgres")
    assert set(statuses(host).values()) == {"pass"}


def test_host_without_any_zone_is_utc_by_choice():
    assert set(statuses(SimulatedHost()).values()) <= {"pass", "n/a", "info"}


# -- 001 --------------------------------------------------------------------------------------------------------------


def test_timedatectl_changes_only_the_link():
    """T1: bookworm's /etc/timezone keeps the old name."""
    assert "Europe/Berlin" in judge(zoned("Europe/Berlin", "Etc/UTC"), "PH-TZ-001").only("fail")["message"]


def test_another_name_for_the_same_hours_is_information():
    assert "other names for the same hours" in judge(zoned("Europe/Berlin", "Europe/Vienna"), "PH-TZ-001").only("info")["message"]


def test_line_ends_are_no_disagreement():
    assert judge(zoned("Asia/Shanghai", "Asia/Shanghai\r"), "PH-TZ-001").status == "pass"
    assert judge(zoned("Asia/Shanghai", "# set by hand\nAsia/Shanghai"), "PH-TZ-001").status == "pass"


def test_stale_sysconfig_clock():
    """T11: an update of tzdata on RHEL 6 makes /etc/localtime from it; later releases leave it alone."""
    host = zoned("Europe/Berlin", None).file("/etc/sysconfig/clock", 'ZONE="America/New_York"\nUTC=true\n')
    host.file("/etc/os-release", 'ID="rhel"\nID_LIKE="fedora"\nVERSION_ID="6.10"\n')
    assert judge(host, "PH-TZ-001").only("warn")  # rhel says "fedora" among its relatives: told as a warning
    host.file("/etc/os-release", 'ID="centos"\nID_LIKE="rhel"\nVERSION_ID="6"\n')
    assert "6 h apart" in judge(host, "PH-TZ-001").only("fail")["message"]
    host.file("/etc/os-release", 'ID="centos"\nID_LIKE="rhel"\nVERSION_ID="7"\n')
    assert judge(host, "PH-TZ-001").only("warn")


def test_missing_timezone_file_on_bookworm_is_information():
    assert "Debian 12 normally has" in judge(zoned("Etc/UTC", None), "PH-TZ-001").only("info")["message"]


def test_name_of_no_zone_in_timezone_file():
    assert "names Asia/Shangai, which is no zone" in judge(zoned("Asia/Shanghai", "Asia/Shangai"), "PH-TZ-001").only("warn")["message"]


def test_bind_mount_over_what_the_link_leads_to():
    """T9: docker -v /etc/localtime:/etc/localtime mounts over the target; Java goes by the name of the link."""
    host = zoned("Etc/UTC", None).file(Z + "Etc/UTC", SHANGHAI)
    host.file("/etc/os-release", "ID=alpine\n")
    mounts = host.files["/proc/self/mountinfo"]
    host.file("/proc/self/mountinfo", mounts + b"40 1 0:40 /x /usr/share/zoneinfo/Etc/UTC ro - ext4 /dev/sda1 ro\n")
    same = zoned("Europe/Berlin", "Europe/Berlin")
    same.file("/proc/self/mountinfo", mounts + b"40 1 0:40 /x /usr/share/zoneinfo/Europe/Berlin ro - ext4 /dev/sda1 ro\n")
    assert judge(same, "PH-TZ-001").status == "pass"
    assert "is named Etc/UTC, but what is mounted over it is Asia/Shanghai" in judge(host, "PH-TZ-001").only("warn")["message"]


def test_policy_names_the_expected_zone():
    policy = {"zone": {"expected": "UTC"}}
    assert judge(zoned("Etc/UTC", "Etc/UTC"), "PH-TZ-001", policy).status == "pass"
    finding = judge(zoned(), "PH-TZ-001", policy).only("fail")
    assert finding["message"] == "The host is in Asia/Shanghai, the policy wants UTC."


def test_hardware_clock_in_local_time():
    host = zoned().file("/etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")
    assert "hardware clock keeps local time" in judge(host, "PH-TZ-001").only("info")["message"]
    assert judge(zoned().file("/etc/adjtime", "0.0 0 0.0\n0\nUTC\n"), "PH-TZ-001").status == "pass"


@pytest.mark.case("PH-TZ-001", "unreadable")
@pytest.mark.case("PH-TZ-002", "unreadable")
@pytest.mark.case("PH-TZ-003", "unreadable")
@pytest.mark.case("PH-TZ-007", "unreadable")
@pytest.mark.parametrize("rule", ["PH-TZ-001", "PH-TZ-002", "PH-TZ-003", "PH-TZ-007"])
def test_unreadable_localtime_is_unknown(rule):
    host = zoned().forbid("/etc/localtime")
    assert judge(host, rule).only("unknown")["evidence"][0]["source"] == "/etc/localtime"


def test_unreadable_timezone_file_is_unknown():
    assert judge(zoned().forbid("/etc/timezone"), "PH-TZ-001").only("unknown")


# -- 002, 003 -----------------------------------------------------------------------------------------------------------


@pytest.mark.case("PH-TZ-002", "silent")
def test_a_link_is_as_it_should_be():
    assert judge(zoned(), "PH-TZ-002").status == "pass"
    assert judge(with_zones(SimulatedHost()).link("/etc/localtime", "../usr/share/zoneinfo/Europe/Berlin"), "PH-TZ-002").status == "pass"


def test_old_copy_of_a_zone_whose_rules_changed():
    host = with_zones(SimulatedHost()).file("/etc/localtime", MEXICO_BEFORE)
    assert "is an old copy of America/Mexico_City, whose rules have changed since" in judge(host, "PH-TZ-002").only("fail")["message"]


def test_copy_from_another_build_of_the_database():
    """The slim form has the same rules in fewer bytes."""
    slim = tzif("CET-1CEST,M3.5.0,M10.5.0/3", [(3600, False, "CET"), (7200, True, "CEST")], [(354675600, 1), (370400400, 0), (846378000, 0)])
    host = with_zones(SimulatedHost()).file("/etc/localtime", slim)
    assert "is a copy of Europe/" in judge(host, "PH-TZ-002").only("warn")["message"]


def test_copy_of_no_zone():
    host = with_zones(SimulatedHost()).file("/etc/localtime", tzif("XYZ-3:17", [(11820, False, "XYZ")]))
    assert "matches no installed zone" in judge(host, "PH-TZ-002").only("fail")["message"]


def test_copies_do_not_match_the_trees_that_are_no_zones():
    """zoneinfo/localtime leads back to the copy itself; posix/ and right/ are other trees."""
    host = with_zones(SimulatedHost()).file("/etc/localtime", SHANGHAI)
    assert "a copy of Asia/Shanghai " in judge(host, "PH-TZ-002").only("warn")["message"]
    right = host.files[Z + "right/Asia/Shanghai"]
    host.file("/etc/localtime", right)
    assert "matches no installed zone" in judge(host, "PH-TZ-002").only("fail")["message"]


def test_bind_mounted_file_is_information():
    host = with_zones(SimulatedHost()).file("/etc/localtime", SHANGHAI)
    host.file("/proc/self/mountinfo", host.files["/proc/self/mountinfo"] + b"40 1 0:40 /x /etc/localtime ro - ext4 /dev/sda1 ro\n")
    assert judge(host, "PH-TZ-002").only("info")
    assert judge(SimulatedHost().file("/etc/localtime", SHANGHAI), "PH-TZ-002").only("info")  # Alpine's way: no database at all


@pytest.mark.case("PH-TZ-003", "fires")
def test_dangling_link():
    host = with_zones(SimulatedHost()).link("/etc/localtime", Z + "Asia/Shangai")
    finding = judge(host, "PH-TZ-003").only("fail")
    assert finding["severity"] == "HIGH"
    assert "/etc/localtime leads nowhere: every program here runs in UTC, not in Asia/Shangai" in finding["message"]


@pytest.mark.parametrize("content", [b"", b"TZif", b"Asia/Shanghai\n", SHANGHAI[:60]], ids=["empty", "magic", "text", "cut"])
def test_invalid_content(content):
    host = with_zones(SimulatedHost()).file("/etc/localtime", content)
    assert "is no compiled zone" in judge(host, "PH-TZ-003").only("fail")["message"]
    assert judge(host, "PH-TZ-002").status == "pass"


def test_link_out_of_the_database():
    host = with_zones(SimulatedHost()).link("/etc/localtime", "/opt/zone").file("/opt/zone", BERLIN)
    assert "leads to /opt/zone, outside of the zone database" in judge(host, "PH-TZ-003").only("fail")["message"]


def test_fifo_or_directory_for_a_zone():
    host = with_zones(SimulatedHost()).link("/etc/localtime", "/dev/null")
    assert "not a regular file" in judge(host, "PH-TZ-003").only("fail")["message"]


@pytest.mark.case("PH-TZ-003", "silent")
def test_missing_is_utc_by_choice():
    assert judge(with_zones(SimulatedHost()), "PH-TZ-003").only("info")
    assert judge(zoned(), "PH-TZ-003").status == "pass"
    assert judge(with_zones(SimulatedHost()).link("/etc/localtime", "/etc/alternatives/zone").link("/etc/alternatives/zone", Z + "Etc/UTC"),
                 "PH-TZ-003").status == "pass"


def test_dangling_utc_link_without_tzdata():
    assert judge(SimulatedHost().link("/etc/localtime", Z + "Etc/UTC"), "PH-TZ-003").only("info")
    assert "install tzdata" in judge(SimulatedHost().link("/etc/localtime", Z + "Europe/Berlin"), "PH-TZ-003").only("fail")["message"]


# -- 004, 005, 010: TZ --------------------------------------------------------------------------------------------------


def configured(value, path="/etc/default/cron"):
    return zoned().file(path, "TZ=%s\n" % value)


@pytest.mark.parametrize("path", ["/etc/environment", "/etc/default/locale", "/etc/sysconfig/crond", "/etc/profile.d/zone.sh", "/etc/profile"])
def test_misspelled_zone_wherever_it_stands(path):
    host = zoned().file(path, "# zone\nexport TZ=Asia/Shangai\nPASSWORD=hunter2\n")
    finding = judge(host, "PH-TZ-004").only("fail")
    assert finding["message"].startswith("%s, line 2, sets TZ=Asia/Shangai, which is UTC in silence" % path)
    assert "hunter2" not in str(judge(host, "PH-TZ-004").result)


@pytest.mark.case("PH-TZ-004", "silent")
@pytest.mark.parametrize("value", ["CST-8", ":Asia/Shanghai", "<+08>-8", "/usr/share/zoneinfo/Asia/Shanghai", "", "UTC", "PRC", ":/etc/localtime",
                                   "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT", "'Asia/Shanghai'", "$(cat /etc/timezone)"])
def test_values_that_mean_something(value):
    assert judge(configured(value), "PH-TZ-004").status == "pass"


@pytest.mark.parametrize("value", ["Asia/Shangai", "CST", "utc+", "Nowhere/Land", "8", "+08:00", "CCT"])
def test_values_that_are_utc_in_silence(value):
    assert judge(configured(value), "PH-TZ-004").only("fail")


def test_half_understood_string():
    assert "whose rules are not understood and ignored (now it is taken for UTC+2)" in judge(configured("CET-1CEST,M13.5.0"), "PH-TZ-004").only("warn")["message"]


def test_misspelled_zone_of_a_unit():
    host = zoned().process(700, 1, "rsyslogd", cgroup="/system.slice/rsyslog.service", exe="/usr/sbin/rsyslogd").group("/system.slice/rsyslog.service")
    host.unit("rsyslog.service", FragmentPath="/usr/lib/systemd/system/rsyslog.service", MainPID=700, ControlGroup="/system.slice/rsyslog.service",
              DropInPaths=["/etc/systemd/system/rsyslog.service.d/zone.conf"])
    host.file("/usr/lib/systemd/system/rsyslog.service", "[Service]\nExecStart=/usr/sbin/rsyslogd -n\n")
    host.file("/etc/systemd/system/rsyslog.service.d/zone.conf", '[Service]\nEnvironment="TOKEN=secret" "TZ=Europe/Belin"\n')
    finding = judge(host, "PH-TZ-004").only("fail")
    assert finding["subject"] == {"type": "unit", "id": "rsyslog.service"}
    assert "secret" not in str(finding)


def test_workers_of_one_program_are_one_finding():
    host = zoned()
    for pid in range(700, 750):
        host.process(pid, 1, "postgres", environ={"TZ": "Mars/Phobos", "PGPASSWORD": "hunter2"})
    finding = judge(host, "PH-TZ-004").only("fail")
    assert "postgres (50 processes) runs with TZ=Mars/Phobos" in finding["message"]
    assert "hunter2" not in str(judge(host, "PH-TZ-004").result)


def test_container_is_judged_by_its_own_database():
    host = zoned().process(700, 1, "app", environ={"TZ": "Europe/Berlin"}, ns_pids=(700, 1)).link("/proc/700/ns/mnt", "mnt:[4026532000]")
    assert "in its container" in judge(host, "PH-TZ-004").only("warn")["message"]
    host.file("/proc/700/root" + Z + "Europe/Berlin", BERLIN)
    assert judge(host, "PH-TZ-004").status == "pass"


def test_terminal_sessions_are_nobodys_business():
    assert judge(zoned().process(700, 1, "bash", tty=34816, environ={"TZ": "Mars/Phobos"}), "PH-TZ-004").status == "pass"


@pytest.mark.case("PH-TZ-004", "unreadable")
@pytest.mark.case("PH-TZ-005", "unreadable")
@pytest.mark.case("PH-TZ-010", "unreadable")
@pytest.mark.parametrize("rule", ["PH-TZ-004", "PH-TZ-005", "PH-TZ-010"])
def test_unreadable_environment_is_unknown(rule):
    host = zoned().process(700, 1, "rsyslogd").forbid("/proc/700/environ")
    assert judge(host, rule).only("unknown")["evidence"][0]["source"] == "/proc/700/environ"


@pytest.mark.case("PH-TZ-005", "fires")
def test_cron_with_a_zone_of_its_own():
    host = with_cron(zoned("Etc/UTC", "Etc/UTC"), environ={"TZ": "Asia/Shanghai"})
    finding = judge(host, "PH-TZ-005").only("warn")
    assert "cron runs with TZ=Asia/Shanghai, but the host is in Etc/UTC, 8 h apart: it starts jobs by that clock" in finding["message"]


@pytest.mark.case("PH-TZ-005", "silent")
def test_databases_in_utc_are_meant():
    host = zoned().process(700, 1, "postgres", environ={"TZ": "UTC"}).process(701, 1, "rsyslogd", environ={"TZ": "PRC"})
    host.process(702, 1, "someprog", environ={"TZ": "America/New_York"})
    assert judge(host, "PH-TZ-005").status == "pass"
    assert judge(host, "PH-TZ-005", {"zone": {"utc_allowed": []}}).only("warn")


@pytest.mark.case("PH-TZ-010", "fires")
@pytest.mark.parametrize("value, truth", [("UTC+8", "UTC-8"), ("GMT-3", "UTC+3"), ("UTC+5:30", "UTC-5:30"), ("<+08>+8", "UTC-8")])
def test_inverted_sign(value, truth):
    assert "which is %s: in POSIX west is plus" % truth in judge(configured(value), "PH-TZ-010").only("warn")["message"]


def test_inverted_zone_name():
    """T13: Etc/GMT+5 is UTC-5."""
    assert "The host is in Etc/GMT+5, which is UTC-5" in judge(zoned("Etc/GMT+5", None), "PH-TZ-010").only("warn")["message"]
    assert len(judge(zoned("Etc/GMT+5", "Etc/GMT+5"), "PH-TZ-010").findings) == 2


@pytest.mark.case("PH-TZ-010", "silent")
@pytest.mark.parametrize("value", ["CST-8", "<+08>-8", "<-03>3", "UTC0", "EST5EDT", "Asia/Shanghai", "Asia/Shangai"])
def test_right_signs(value):
    assert judge(configured(value), "PH-TZ-010").status == "pass"


# -- 006, 007 -----------------------------------------------------------------------------------------------------------


def test_cron_started_after_the_change():
    assert judge(split_host(changed=NOW - UPTIME - DAY), "PH-TZ-006").row["counts"] == {"pass": 1}


def test_jobs_of_the_cron_before_are_no_cron():
    """cron was restarted after the change, as it should be; a job of the old one runs on, and its watcher with it, under PID 1."""
    host = split_host()
    host.process(600, 1, "crond", start=60, exe="/usr/sbin/crond", argv=("/usr/sbin/crond", "-n"), cgroup="/system.slice/crond.service")
    assert judge(host, "PH-TZ-006").row["counts"] == {"pass": 1}
    host.process(550, 1, "crond", start=900_000, exe="/usr/sbin/crond", argv=("/usr/sbin/CROND", "-n"), session=400, cgroup="/system.slice/crond.service")
    assert judge(host, "PH-TZ-006").row["counts"] == {"pass": 1}
    host.process(551, 1, "crond", start=900_000, exe="/usr/sbin/crond", argv=("/usr/sbin/crond", "-n"), cgroup="/system.slice/crond.service")
    assert judge(host, "PH-TZ-006").only("warn"), "a cron that the restart has left"


def test_tzdata_update_alone_is_information_on_the_first_run_and_nothing_later():
    """FIELD: ctime of the zone file moves with every update."""
    host = with_cron(zoned(), "1.5.2")
    host.stats[Z + "Asia/Shanghai"] = {"ctime": NOW - DAY}
    assert judge(host, "PH-TZ-006").only("info")
    assert judge(host, "PH-TZ-006", previous=marks_of(zoned())).row["counts"] == {"pass": 1}


def test_rules_of_the_zone_changed():
    """T5: the same link, other hours after an update of tzdata."""
    before = zoned("America/Mexico_City", None).file(Z + "America/Mexico_City", MEXICO_BEFORE)
    before.wall = NOW - 6 * DAY
    host = with_cron(zoned("America/Mexico_City", None), "1.5.2")
    host.wall = before.wall + 6 * DAY
    summer = host.wall - 5 * 30 * DAY  # July, when the two differ
    before.wall, host.wall = summer - DAY, summer
    assert judge(host, "PH-TZ-006", previous=marks_of(before)).only("fail")


def test_a_link_that_is_written_again_is_no_change():
    """Some tools make the link anew at every run."""
    host = with_cron(zoned(), "1.5.2").process(700, 1, "rsyslogd", start=900_000)
    first = marks_of(host)
    host.link("/etc/localtime", Z + "Asia/Shanghai", ctime=NOW - DAY)
    assert judge(host, "PH-TZ-006").only("warn")
    assert judge(host, "PH-TZ-006", previous=first).row["counts"] == {"pass": 1}
    assert judge(host, "PH-TZ-007", previous=first).row["counts"] == {"pass": 1}


def test_a_change_is_remembered_over_audits():
    host = with_cron(zoned("Etc/UTC", None), "1.5.2")
    host.wall = NOW - 6 * DAY
    first = marks_of(host)
    host.wall = NOW
    host.link("/etc/localtime", Z + "Asia/Shanghai", ctime=NOW - 5 * DAY)
    second = marks_of(host, first)
    assert "8 h later than they should" in judge(host, "PH-TZ-006", previous=second).only("fail")["message"]
    third = marks_of(host, second)
    host.link("/etc/localtime", Z + "Asia/Shanghai", ctime=NOW - DAY)
    assert judge(host, "PH-TZ-006", previous=third).only("fail")
    with_cron(host, "1.5.2", start=3600.0)
    assert judge(host, "PH-TZ-006", previous=third).row["counts"] == {"pass": 1}


def test_other_bytes_with_the_same_hours_are_no_change():
    host = with_cron(zoned("Europe/Berlin", None), "1.5.2")
    first = marks_of(host)
    slim = tzif("CET-1CEST,M3.5.0,M10.5.0/3", [(3600, False, "CET"), (7200, True, "CEST")], [(354675600, 1), (370400400, 0), (846378000, 0)])
    host.file(Z + "Europe/Berlin", slim, ctime=NOW - DAY)
    assert judge(host, "PH-TZ-006", previous=first).row["counts"] == {"pass": 1}


@pytest.mark.parametrize("marks", [[], {"offsets": "x"}, {"offsets": [["a", 1]]}, {"offsets": [[1, 2]]}, {"offsets": []}, 5, None])
def test_marks_that_make_no_sense_are_none(marks):
    assert judge(split_host(), "PH-TZ-006", previous={"version": 1, "time_zone": marks}).only("warn")


def test_equal_hours_are_no_change():
    before = zoned("Europe/Vienna", None)
    before.wall = NOW - 6 * DAY
    host = with_cron(zoned("Europe/Berlin", None, ctime=NOW - 5 * DAY), "1.5.2")
    assert judge(host, "PH-TZ-006", previous=marks_of(before)).row["counts"] == {"pass": 1}
    shanghai = with_zones(zoned("Asia/Shanghai", None, ctime=NOW - 5 * DAY), **{"Asia/Manila": tzif("PST-8", [(28800, False, "PST")])})
    other = with_zones(zoned("Asia/Manila", None), **{"Asia/Manila": tzif("PST-8", [(28800, False, "PST")])})
    other.wall = NOW - 6 * DAY
    assert judge(with_cron(shanghai, "1.5.2"), "PH-TZ-006", previous=marks_of(other)).row["counts"] == {"pass": 1}


def test_change_of_summer_time_heals_cronie():
    """set_time asks again when tm_isdst flips."""
    host = zoned("Europe/Berlin", "Etc/UTC", ctime=NOW - 60 * DAY)
    host.boot = 80 * DAY
    with_cron(host, "1.5.2", start=70 * DAY)
    assert judge(host, "PH-TZ-006").row["counts"] == {"pass": 1}


def test_a_change_into_summer_time_heals_cronie_at_once():
    july = NOW - 130 * DAY
    host = zoned("Europe/Berlin", "Etc/UTC", ctime=july - DAY)
    host.wall = july
    assert judge(with_cron(host, "1.5.2"), "PH-TZ-006").row["counts"] == {"pass": 1}
    host.file("/etc/timezone", "America/New_York\n")  # summer there, too
    assert judge(host, "PH-TZ-006").only("warn")


def test_zones_that_differ_in_summer_only():
    before = with_zones(zoned("Europe/Berlin", None))
    before.wall = NOW - 6 * DAY
    lagos = {"Africa/Lagos": tzif("WAT-1", [(3600, False, "WAT")])}
    host = with_cron(with_zones(zoned("Africa/Lagos", None, ctime=NOW - 5 * DAY), **lagos), "1.5.2")
    assert "the same hours today" in judge(host, "PH-TZ-006", previous=marks_of(before)).only("info")["message"]


def test_boot_noise_is_no_change():
    """The clock is stepped, files are unpacked while the machine boots."""
    host = with_cron(zoned("Asia/Shanghai", None, ctime=NOW - UPTIME + 300), "1.5.2", start=UPTIME - 20)
    assert judge(host, "PH-TZ-006").row["counts"] == {"pass": 1}


def test_cron_with_its_own_tz_does_not_care():
    host = with_cron(zoned("Asia/Shanghai", "Asia/Shanghai", ctime=NOW - DAY), "1.5.2", environ={"TZ": "Asia/Shanghai"})
    assert judge(host, "PH-TZ-006").row["counts"] == {"pass": 1}
    cached = with_cron(zoned("Asia/Shanghai", "Asia/Shanghai", ctime=NOW - DAY), "1.5.2", environ={"TZ": ":/etc/localtime"})
    assert judge(cached, "PH-TZ-006").only("warn")


def test_no_cron_is_not_applicable():
    assert judge(zoned(), "PH-TZ-006").status == "n/a"


@pytest.mark.case("PH-TZ-006", "unreadable")
def test_cron_of_unknown_version_is_unknown():
    host = split_host("3.0pl1-137").forbid("/var/lib/dpkg/status")
    assert judge(host, "PH-TZ-006").only("unknown")["evidence"][0]["source"] == "/var/lib/dpkg/status"


@pytest.mark.case("PH-TZ-007", "fires")
def test_daemons_older_than_the_zone():
    """T5, T7: rsyslog and MySQL were started before the change."""
    host = zoned("Asia/Shanghai", "Asia/Shanghai", ctime=NOW - DAY)
    host.process(700, 1, "rsyslogd", start=900_000).process(701, 1, "mysqld", start=900_000).process(702, 1, "java", start=3600)
    finding = judge(host, "PH-TZ-007").only("warn")
    assert "MySQL (701), rsyslog (700) were started before the zone changed" in finding["message"]
    assert "Java" not in finding["message"] and finding["remedy"]["parameters"] == {"units": ["prog.service"]}
    for pid, unit in ((700, "rsyslog.service"), (701, "mysql.service")):
        host.files["/proc/%d/cgroup" % pid] = b"0::/system.slice/%s\n" % unit.encode()
    assert judge(host, "PH-TZ-007").only("warn")["remedy"]["parameters"] == {"units": ["mysql.service", "rsyslog.service"]}


@pytest.mark.case("PH-TZ-007", "silent")
def test_daemons_younger_than_the_zone():
    host = zoned().process(700, 1, "rsyslogd", start=900_000).process(701, 1, "bash", start=900_000)
    assert judge(host, "PH-TZ-007").row["counts"] == {"pass": 1}
    own = zoned("Asia/Shanghai", None, ctime=NOW - DAY).process(700, 1, "java", start=900_000, environ={"TZ": "UTC"})
    assert judge(own, "PH-TZ-007").row["counts"] == {"pass": 1}


def test_content_replaced_in_place():
    """V9: rsync --inplace -t keeps inode and time; no program notices."""
    before = with_zones(SimulatedHost()).file("/etc/localtime", UTC, mtime=NOW - 90 * DAY)
    host = with_zones(SimulatedHost()).file("/etc/localtime", SHANGHAI, mtime=NOW - 90 * DAY)
    assert "even programs that look again miss it" in judge(host, "PH-TZ-007", previous=marks_of(before)).only("warn")["message"]
    assert judge(host, "PH-TZ-007", previous=marks_of(host)).status == "pass"


# -- 008, 009 -----------------------------------------------------------------------------------------------------------


@pytest.mark.case("PH-TZ-008", "fires")
def test_older_than_the_fleet():
    policy = {"zone": {"database_at_least": "2026c"}}
    assert "is of release 2025b, others have 2026c" in judge(zoned(), "PH-TZ-008", policy).only("warn")["message"]


@pytest.mark.case("PH-TZ-008", "silent")
def test_as_new_as_the_fleet():
    assert judge(zoned(), "PH-TZ-008", {"zone": {"database_at_least": "2025b"}}).status == "pass"
    assert judge(zoned(), "PH-TZ-008").status == "pass"
    assert judge(SimulatedHost(), "PH-TZ-008").status == "n/a"


@pytest.mark.case("PH-TZ-008", "unreadable")
def test_release_not_readable():
    assert judge(zoned().forbid(Z + "tzdata.zi"), "PH-TZ-008").only("unknown")


JOBS = "%s\n0 9 * * * root /usr/local/bin/report\n"


@pytest.mark.case("PH-TZ-009", "fires")
def test_debian_cron_knows_no_cron_tz():
    host = with_cron(zoned("Etc/UTC", "Etc/UTC")).file("/etc/cron.d/report", JOBS % "CRON_TZ=Asia/Shanghai")
    finding = judge(host, "PH-TZ-009").only("warn")
    assert finding["message"].startswith("/etc/cron.d/report, line 1, sets CRON_TZ=Asia/Shanghai, but this cron (debian) knows no such variable")


def test_cronie_with_a_zone_that_does_not_exist():
    host = with_cron(zoned("Etc/UTC", "Etc/UTC"), "1.7.2").file("/etc/cron.d/report", JOBS % "CRON_TZ=Asia/Shangai")
    assert judge(host, "PH-TZ-009").only("fail")


@pytest.mark.case("PH-TZ-009", "silent")
def test_variables_that_do_what_they_say():
    cronie = with_cron(zoned("Etc/UTC", "Etc/UTC"), "1.7.2").file("/etc/cron.d/report", JOBS % "CRON_TZ=Asia/Shanghai")
    assert judge(cronie, "PH-TZ-009").status == "pass"
    same = with_cron(zoned()).file("/etc/cron.d/report", JOBS % "TZ=PRC")
    assert judge(same, "PH-TZ-009").status == "pass"
    assert judge(zoned(), "PH-TZ-009").status == "n/a"


def test_tz_for_the_job_is_information():
    host = with_cron(zoned("Etc/UTC", "Etc/UTC")).file("/etc/cron.d/report", JOBS % "TZ=Asia/Shanghai")
    assert "start by the clock of the host (Etc/UTC)" in judge(host, "PH-TZ-009").only("info")["message"]


@pytest.mark.case("PH-TZ-009", "unreadable")
def test_unreadable_crontab_is_unknown():
    host = with_cron(zoned()).file("/etc/crontab", JOBS % "").forbid("/etc/crontab")
    assert judge(host, "PH-TZ-009").only("unknown")["evidence"][0]["source"] == "/etc/crontab"


# -- 011 ------------------------------------------------------------------------------------------------------------------

LOST = ClockState(5, 0x41, 0, 16_000_000)


def clock(state, *programs):
    host = zoned()
    host.clock_answer = state
    for pid, comm in enumerate(programs, 800):
        host.process(pid, 1, comm)
    return host


@pytest.mark.case("PH-TZ-011", "fires")
def test_clock_not_synchronised():
    finding = judge(clock(LOST), "PH-TZ-011").only("fail")
    assert finding["severity"] == "HIGH" and "no time daemon runs" in finding["message"]
    assert "chronyd runs, but reaches no server" in judge(clock(LOST, "chronyd"), "PH-TZ-011").only("fail")["message"]


def test_two_time_daemons():
    assert "2 time daemons at once (chronyd 800, systemd-timesyncd 801)" in judge(
        clock(ClockState(0, 1, 0, 5000), "chronyd", "systemd-timesyn"), "PH-TZ-011").only("warn")["message"]


@pytest.mark.case("PH-TZ-011", "silent")
def test_kept_clock():
    assert judge(clock(ClockState(0, 1, 0, 5000), "chronyd"), "PH-TZ-011").status == "pass"
    # chronyd without "rtcsync" leaves STA_UNSYNC set on purpose
    assert judge(clock(ClockState(5, 0x41, 0, 5000), "chronyd"), "PH-TZ-011").status == "pass"
    helper = clock(ClockState(0, 1, 0, 5000), "chronyd").process(801, 800, "chronyd")
    assert judge(helper, "PH-TZ-011").status == "pass"


def test_container_has_no_clock():
    host = clock(LOST)
    host.links["/proc/self/ns/pid"] = "pid:[4026532999]"
    assert judge(host, "PH-TZ-011").status == "n/a"


def test_freshly_booted():
    host = clock(LOST)
    host.boot = 600.0
    assert judge(host, "PH-TZ-011").status == "n/a"


def test_guest_agent_may_keep_the_clock():
    assert "VMware Tools may set it" in judge(clock(LOST, "vmtoolsd"), "PH-TZ-011").only("warn")["message"]


@pytest.mark.case("PH-TZ-011", "unreadable")
def test_kernel_does_not_answer():
    assert judge(zoned().forbid("clock"), "PH-TZ-011").only("unknown")


# -- hostile hosts ----------------------------------------------------------------------------------------------------------


def test_terminal_escapes_in_zone_files_reach_nobody():
    host = zoned("Asia/Shanghai", "\x1b[31mEvil\x07/Zone").file("/etc/default/cron", "TZ='\x1b]0;x\x07'\n")
    host.process(700, 1, "a\x1b[1m", environ={"TZ": "\x1b[2J"})
    result = audit(host, rules=["PH-TZ-*"])
    assert "\x1b" not in str(result["findings"]) and "\\x1b" in str(result["findings"])


def test_every_rule_survives_a_host_without_anything():
    host = SimulatedHost()
    for path in ("/etc/localtime", "/etc/timezone", "/etc", "/usr/share/zoneinfo", "/etc/cron.d", "/proc/self/mountinfo"):
        host.forbid(path)
    result = audit(host, rules=["PH-TZ-*"])
    assert result["audit"]["errors"] == []
    assert {row["rule"] for row in result["rules"]} == set(RULES)
