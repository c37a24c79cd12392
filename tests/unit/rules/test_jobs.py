"""PH-CRN through audit()."""

import json

import pytest
from pidhygiene.readers import crontab
from pidhygiene.rules.jobs import given
from simulated import NOW, SimulatedHost, judge


def with_cron(table="", path="/etc/cron.d/job", cronie=False, **stat):
    host = SimulatedHost()
    name = "crond" if cronie else "cron"
    if cronie:
        host.file("/etc/os-release", 'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="9"\n')
    host.process(400, 1, name, exe="/usr/sbin/" + name, cgroup="/system.slice/%s.service" % name)
    host.file("/usr/sbin/" + name, "cronie 1.5.7" if cronie else "INSECURE MODE (mode 0600 expected)")
    return host.file(path, table, **stat) if table else host


def run(host, number, age, command, state="S", dead=None):
    """cron → cron → sh -c command."""
    host.process(1000 + number, 400, "cron", start=age + 0.1, cgroup="/system.slice/cron.service")
    return host.process(2000 + number, 1000 + number, "sh", state=state, start=age, dead=dead, cgroup="/system.slice/cron.service", argv=("/bin/sh", "-c", command))


def overlapping(ages, when="* * * * *", command="/opt/sync"):
    host = with_cron("%s root %s\n" % (when, command))
    for number, age in enumerate(ages):
        run(host, number, age, command)
    return host


# -- PH-CRN-001


@pytest.mark.case("PH-CRN-001", "fires")
def test_two_late_runs_of_one_line_warn():
    finding = judge(overlapping([70, 400, 20]), "PH-CRN-001").only("warn")
    assert "/etc/cron.d/job:1: 3 runs of \"/opt/sync\" are alive at once, started every 60 s, the oldest 6.7 min ago" in finding["message"]


@pytest.mark.case("PH-CRN-001", "fires")
def test_one_more_in_each_interval_fails():
    assert judge(overlapping([10, 70, 130, 190]), "PH-CRN-001").only("fail")["severity"] == "HIGH"


def test_the_command_before_a_percent_sign_is_what_runs():
    host = with_cron("* * * * * root cat %input\n")
    for number, age in enumerate((100, 200)):
        run(host, number, age, "cat ")
    assert judge(host, "PH-CRN-001").only("warn")
    assert given(r"date +\%F %in") == "date +%F "


@pytest.mark.case("PH-CRN-001", "silent")
@pytest.mark.parametrize("host", [
    overlapping([500]),
    overlapping([10, 500]),  # one late run, and the one that was started since
    overlapping([10, 20, 30]),
    overlapping([100, 200], when="*/30 * * * *"),
    overlapping([100, 200], when="@reboot"),
    run(run(with_cron("* * * * * root /opt/sync\n"), 1, 100, "/opt/other"), 2, 200, "/opt/other"),
], ids=range(6))
def test_one_late_run_is_silent(host):
    assert judge(host, "PH-CRN-001").status == "pass"


def left_by_runs(*ages, kill_mode="process", command=("/bin/sleep", "1000"), timer=True, main=0):
    """A service that a timer starts, and what its runs put into the background that long ago."""
    host = SimulatedHost().unit("work.service", ActiveState="active" if main else "inactive", SubState="dead", MainPID=main, KillMode=kill_mode)
    host.file("/etc/systemd/system/work.service", "[Service]\nType=oneshot\nExecStart=/opt/work\nKillMode=%s\n" % kill_mode)
    if timer:
        host.unit("work.timer").file("/etc/systemd/system/work.timer", "[Timer]\nOnCalendar=hourly\n")
    for number, age in enumerate(ages):
        host.process(900 + number, 1, "sleep", start=age, cgroup="/system.slice/work.service", argv=command)
    return host


@pytest.mark.case("PH-CRN-001", "fires")
def test_what_two_runs_of_a_timer_left_behind():
    finding = judge(left_by_runs(7000, 3400), "PH-CRN-001").only("warn")
    assert finding["subject"]["id"] == "work.timer"
    assert "2 runs of work.service have left \"/bin/sleep 1000\" alive, the oldest 117 min ago, because KillMode=process spares it" in finding["message"]


@pytest.mark.case("PH-CRN-001", "silent")
@pytest.mark.parametrize("host", [
    left_by_runs(7000), left_by_runs(7000, 6990),  # one run, with two in the background
    left_by_runs(7000, 3400, timer=False), left_by_runs(7000, 3400, kill_mode="control-group"),
    left_by_runs(7000).process(950, 1, "agent", start=3400, cgroup="/system.slice/work.service"),
], ids=["one", "at once", "no timer", "stopped with it", "others"])
def test_a_timer_that_leaves_one_thing_behind(host):
    assert judge(host, "PH-CRN-001").findings == []


@pytest.mark.case("PH-CRN-001", "unreadable")
def test_runs_that_cannot_be_read_are_unknown():
    assert judge(run(overlapping([100]), 7, 200, "/opt/sync", state="D", dead=150.0), "PH-CRN-001").status == "unknown"
    assert judge(run(overlapping([100]), 7, 200, "/opt/sync", state="D", dead=0.1), "PH-CRN-001").status == "pass", "it reads its disk"
    assert judge(overlapping([100]).forbid("/etc/cron.d"), "PH-CRN-001").status == "unknown"


# -- PH-CRN-002


@pytest.mark.case("PH-CRN-002", "fires")
@pytest.mark.parametrize("host, why", [
    (with_cron("0 1 * * * root /opt/backup\n", "/etc/cron.d/backup.sh"), "other characters than letters"),
    (with_cron("0 1 * * * root /opt/backup", "/etc/cron.d/backup"), "no newline at the end"),
    (with_cron("0 1 * * * root /opt/backup\n", "/etc/cron.d/backup", mode=0o666), "the file has mode 0666"),
    (with_cron("0 1 * * * root /opt/backup\n", "/etc/cron.d/backup", uid=500), "the file belongs to uid 500"),
    (with_cron("0 1 * * * nobody-here /opt/backup\n", "/etc/cron.d/backup"), "unknown user"),
    (with_cron("0 25 * * * root /opt/backup\n", "/etc/cron.d/backup"), "bad hour"),
    (with_cron("0 1 * * * /opt/backup\n", "/var/spool/cron/crontabs/nobody-here", mode=0o600), "no such user"),
    (with_cron("0 25 * * * root /opt/backup\n0 1 * * * root /opt/other\n", "/etc/cron.d/backup", cronie=True), "passes over this line"),
    (with_cron("0 1 31 5-2 * root /opt/backup\n", "/etc/cron.d/backup", cronie=True), "no minute matches"),
], ids=["dot", "newline", "mode", "owner", "user", "hour", "spool", "cronie", "never"])
def test_a_file_that_cron_passes_over_fails(host, why):
    finding = judge(host, "PH-CRN-002").only("fail")
    assert why in finding["message"] and finding["severity"] == "HIGH"


@pytest.mark.case("PH-CRN-002", "fires")
def test_a_script_with_a_dot_in_its_name_fails_on_debian():
    host = with_cron().file("/etc/cron.daily/backup.sh", "#!/bin/sh\n", mode=0o755)
    assert "/etc/cron.daily/backup.sh never runs: run-parts passes over" in judge(host, "PH-CRN-002").only("fail")["message"]
    host = with_cron(cronie=True).file("/etc/cron.daily/backup.sh", "#!/bin/sh\n", mode=0o755)
    assert judge(host, "PH-CRN-002").status == "pass"


def test_a_script_that_is_not_executable_is_information():
    assert judge(with_cron().file("/etc/cron.daily/backup", "#!/bin/sh\n"), "PH-CRN-002").only("info")
    assert judge(with_cron().file("/etc/cron.daily/backup.sh", "#!/bin/sh\n"), "PH-CRN-002").only("info")


@pytest.mark.case("PH-CRN-002", "silent")
@pytest.mark.parametrize("host", [
    with_cron("0 1 * * * root /opt/backup\n"),
    with_cron("# 0 1 * * * root /opt/backup\n", "/etc/cron.d/backup.sh"),
    with_cron("0 1 * * * root /opt/backup\n", "/etc/cron.d/backup.dpkg-old"),
    with_cron("0 1 * * * root /opt/backup\n", "/etc/cron.d/backup.disabled"),
    with_cron().file("/etc/cron.daily/backup.dpkg-dist", "", mode=0o755).file("/etc/cron.daily/.placeholder", ""),
    with_cron("0 1 * * * root /opt/backup\n", "/etc/cron.d/backup.sh", cronie=True),
    with_cron().file("/etc/cron.daily/README.txt", "What runs here\n").file("/etc/cron.weekly/names.conf", "a=b\n"),
], ids=range(7))
def test_files_that_run_or_are_set_aside_are_silent(host):
    assert judge(host, "PH-CRN-002").status == "pass"


def test_without_cron_it_does_not_apply():
    assert judge(SimulatedHost().file("/etc/cron.d/a.b", "* * * * * root x\n"), "PH-CRN-002").status == "n/a"


TODAY = int(NOW // 86400)
DEBIAN_ACCOUNT = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n"
REDHAT_ACCOUNT = "account required pam_access.so\naccount required pam_unix.so\naccount sufficient pam_localuser.so\naccount required pam_permit.so\n"


def with_account(change=TODAY, maximum=99999, inactive="", expires="", password="!", account=DEBIAN_ACCOUNT, cronie=False, shadowed="x"):
    """A job of oracle, and what /etc/shadow holds of his account."""
    host = with_cron("0 1 * * * oracle /opt/backup\n", cronie=cronie)
    host.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\noracle:%s:500:500::/home/oracle:/usr/sbin/nologin\n" % shadowed)
    host.file("/etc/shadow", "root:*:%d:0:99999:7:::\noracle:%s:%s:0:%s:7:%s:%s:\n" % (TODAY, password, change, maximum, inactive, expires), mode=0o640)
    return host.file("/etc/pam.d/%s" % ("crond" if cronie else "cron"), account)


@pytest.mark.case("PH-CRN-002", "fires")
@pytest.mark.parametrize("host, why", [
    (with_account(expires=TODAY - 3), "the account expired 3 days ago"),
    (with_account(expires=0), "the account expired %d days ago" % TODAY),
    (with_account(change=0), "a new password is wanted at the next login"),
    (with_account(TODAY - 100, 90), "its password is 100 days old and may be 90: set a new one, or let it not age (chage -M -1 oracle)"),
    (with_account(TODAY - 100, 90, 5), "its password is 100 days old and may be 90"),
    (with_account(TODAY - 100, 90, account=REDHAT_ACCOUNT, cronie=True), "its password is 100 days old and may be 90"),
    (with_account(expires=3, account=DEBIAN_ACCOUNT.replace("unix.so", "unix.so no_pass_expiry")), "the account expired"),
], ids=["expired", "at once", "must change", "aged", "inactive", "cronie", "only expiry counts"])
def test_a_user_whom_pam_refuses_fails(host, why):
    """As real cron does on both suites."""
    finding = judge(host, "PH-CRN-002").only("fail")
    assert finding["subject"] == {"type": "user", "id": "oracle"} and why in finding["message"]
    assert finding["evidence"][1]["source"] == "/etc/cron.d/job:1"


@pytest.mark.case("PH-CRN-002", "silent")
@pytest.mark.parametrize("host", [
    with_account(), with_account(password="$6$salt$hunter2"), with_account(password="!$6$salt$hunter2"),
    with_account(expires=TODAY), with_account(TODAY - 90, 90), with_account(TODAY + 10, 90), with_account("", 90), with_account(TODAY - 100, ""),
    with_account(TODAY - 100, -1), with_account(TODAY - 100, 90, shadowed="*"),
    with_account(TODAY - 100, 90, account="account sufficient pam_succeed_if.so user = oracle\n" + DEBIAN_ACCOUNT),
    with_account(TODAY - 100, 90, account=DEBIAN_ACCOUNT.replace("unix.so", "unix.so no_pass_expiry")),
    with_account(expires=3, account="account optional pam_unix.so\naccount required pam_permit.so\n"),
    with_account(TODAY - 100, 90, account="session required pam_unix.so\n"),
], ids=["locked", "password", "locked password", "last day", "last day of the password", "clock", "no day", "no maximum", "-1", "not shadowed",
        "let in before", "no_pass_expiry", "optional", "not asked"])
def test_locked_passwords_and_shells_are_nothing_to_cron(host):
    verdict = judge(host, "PH-CRN-002")
    assert verdict.status == "pass" and "hunter2" not in json.dumps(verdict.result)


def test_anacron_asks_nobody():
    host = with_account(TODAY - 100, 90).remove("/etc/cron.d/job")
    assert judge(host.file("/etc/anacrontab", "1 5 backup /opt/backup\n"), "PH-CRN-002").findings == []


@pytest.mark.case("PH-CRN-002", "unreadable")
def test_dates_or_stack_that_cannot_be_read_are_unknown():
    assert judge(with_account().forbid("/etc/shadow"), "PH-CRN-002").status == "unknown"
    assert judge(with_account().forbid("/etc/pam.d/cron"), "PH-CRN-002").status == "unknown"


@pytest.mark.case("PH-CRN-002", "unreadable")
def test_an_unreadable_table_is_unknown():
    assert judge(with_cron("0 1 * * * root /opt/backup\n").forbid("/etc/cron.d/job"), "PH-CRN-002").status == "unknown"


@pytest.mark.parametrize("when, shortest, hourly", [
    ("* * * * *", 60, 60), ("*/5 8-17 * * *", 300, 5), ("0 3 * * *", 86400, 1 / 24), ("0,30 * * * 1", 1800, 2 / 7),
])
def test_pauses_and_rates(when, shortest, hourly):
    schedule = crontab.parse_schedule(when, crontab.DEBIAN)
    assert crontab.shortest_pause(schedule) == shortest
    assert crontab.runs_per_hour(schedule) == pytest.approx(hourly, rel=0.01)
