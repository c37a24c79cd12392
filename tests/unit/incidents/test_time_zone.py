"""Jobs at the wrong hour (tests/incidents.md, T1 to T15)."""

from simulated import NOW, SimulatedHost, judge
from zone_files import SHANGHAI, UTC, Z, with_cron, with_zones, zoned

DAY = 86400.0


def test_t1_two_places_name_two_zones():
    """timedatectl writes the link and leaves /etc/timezone."""
    finding = judge(zoned("Europe/Berlin", "Etc/UTC"), "PH-TZ-001").only("fail")
    assert "/etc/timezone says Etc/UTC, but programs run in Europe/Berlin" in finding["message"]
    assert judge(zoned("Europe/Berlin", "Europe/Berlin"), "PH-TZ-001").status == "pass"


def test_t3_cron_started_before_the_zone_was_changed():
    host = with_cron(zoned("Asia/Shanghai", "Etc/UTC", ctime=NOW - 5 * DAY), "3.0pl1-137")
    assert "cron (600) was started on" in judge(host, "PH-TZ-006").only("warn")["message"]
    assert judge(with_cron(zoned("Asia/Shanghai", "Etc/UTC", ctime=NOW - 5 * DAY), "3.0pl1-137", start=DAY), "PH-TZ-006").row["counts"] == {"pass": 1}


def test_t5_the_log_daemon_writes_the_old_hours():
    """fail2ban compares the hours in the log with its own, and bans nobody."""
    host = zoned(ctime=NOW - DAY).process(700, 1, "rsyslogd", start=900_000)
    assert "rsyslog (700)" in judge(host, "PH-TZ-007").only("warn")["message"]
    host.process(700, 1, "rsyslogd", start=3600)
    assert judge(host, "PH-TZ-007").row["counts"] == {"pass": 1}


def test_t7_the_database_started_between_the_two_changes():
    """MySQL came up after /etc/timezone was written, and before /etc/localtime."""
    host = zoned("America/New_York", "America/New_York", ctime=NOW - 2 * 3600)
    host.file("/etc/timezone", "America/New_York\n", mtime=NOW - 4 * 3600, ctime=NOW - 4 * 3600).process(700, 1, "mysqld", start=3 * 3600)
    assert "MySQL (700) was started before the zone changed" in judge(host, "PH-TZ-007").only("warn")["message"]


def test_t9_a_mount_over_what_the_link_leads_to():
    """The hours are the mounted file's, the name is the link's; Java goes by the name."""
    host = zoned("Etc/UTC", None).file(Z + "Etc/UTC", SHANGHAI).file("/etc/os-release", "ID=alpine\n")
    host.file("/proc/self/mountinfo", host.files["/proc/self/mountinfo"] + b"40 1 0:40 /x /usr/share/zoneinfo/Etc/UTC ro - ext4 /dev/sda1 ro\n")
    assert "is named Etc/UTC, but what is mounted over it is Asia/Shanghai" in judge(host, "PH-TZ-001").only("warn")["message"]


def test_t11_an_update_brings_the_old_zone_back():
    """CentOS 6 makes /etc/localtime anew from ZONE= at every update of tzdata."""
    host = zoned("Europe/Berlin", None).file("/etc/sysconfig/clock", 'ZONE="America/New_York"\n')
    host.file("/etc/os-release", 'ID="centos"\nID_LIKE="rhel"\nVERSION_ID="6"\n')
    assert "America/New_York" in judge(host, "PH-TZ-001").only("fail")["message"]


def test_t13_the_sign_of_the_posix_names():
    assert judge(zoned("Etc/GMT+5", None), "PH-TZ-010").only("warn")
    assert judge(zoned("America/New_York", None), "PH-TZ-010").status == "pass"


def test_t15_two_names_of_one_zone():
    assert judge(zoned("Etc/UTC", "UTC"), "PH-TZ-001").status == "pass"
    copied = with_zones(SimulatedHost()).file("/etc/localtime", UTC).file("/etc/timezone", "UTC\n")
    assert judge(copied, "PH-TZ-001").status == "pass"
    assert judge(copied, "PH-TZ-002").only("warn"), "a copy is another matter"
