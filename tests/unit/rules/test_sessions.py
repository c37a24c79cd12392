"""PH-SES through audit()."""

import struct
import time

import pytest
from pidhygiene.readers import sessions as reader
from pidhygiene.snapshot import without_secrets
from simulated import NOW, UPTIME, SimulatedHost, judge

FILE = """# This is private data. Do not parse.
UID=500
USER=oracle
ACTIVE=0
STATE=%s
TYPE=unspecified
CLASS=background
SCOPE=session-%d.scope
SERVICE=crond
LEADER=%d
REALTIME=%d
"""


def host_with(closing=0, live=0, populated=False, started=5000.0):
    """Sessions of cron: ``closing`` whose leaders are dead, ``live`` whose leaders run."""
    host = SimulatedHost().directory("/run/systemd/sessions")
    for number in range(1, closing + live + 1):
        state = "closing" if number <= closing else "active"
        session = (NOW - started) * 1e6
        host.file("/run/systemd/sessions/%d" % number, FILE % (state, number, 100000 + number, session))
        host.file("/run/systemd/sessions/%d.ref" % number, "")
        if number > closing:
            host.process(100000 + number, 1, "bash", uid=500, start=started + 1, cgroup="/user.slice/user-500.slice/session-%d.scope" % number)
        elif populated:
            host.process(200000 + number, 1, "tmux", uid=500, start=started, cgroup="/user.slice/user-500.slice/session-%d.scope" % number)
    return host


# -- PH-SES-001


@pytest.mark.case("PH-SES-001", "fires")
def test_thousands_of_leftovers_fail_and_the_live_ones_are_not_counted():
    """F07."""
    finding = judge(host_with(closing=7900, live=12), "PH-SES-001").only("fail")
    assert finding["severity"] == "CRIT"
    assert "keeps 7900 dead sessions (opened by 7900 crond; 12 live) of at most 8192" in finding["message"]
    assert finding["binding"] == "SessionsMax: 7912 of 8192"


@pytest.mark.case("PH-SES-001", "fires")
def test_fifty_warn_and_a_lower_maximum_counts():
    assert judge(host_with(closing=50), "PH-SES-001").only("warn")
    host = host_with(closing=40).file("/etc/systemd/logind.conf", "[Login]\n#SessionsMax=9\nSessionsMax=9000\n")
    host.file("/etc/systemd/logind.conf.d/50-less.conf", "[Login]\nSessionsMax=60\n")
    assert judge(host, "PH-SES-001").only("fail")["binding"] == "SessionsMax: 40 of 60"


def test_a_reused_leader_is_dead():
    host = host_with(closing=60)
    for number in range(1, 61):
        host.process(100000 + number, 1, "other", start=10.0)
    assert judge(host, "PH-SES-001").only("warn")


@pytest.mark.case("PH-SES-001", "silent")
def test_closing_sessions_with_processes_are_not_leaked():
    assert judge(host_with(closing=300, populated=True, live=3), "PH-SES-001").status == "pass"
    assert judge(host_with(closing=49), "PH-SES-001").status == "pass"


def test_without_logind_it_does_not_apply():
    assert judge(SimulatedHost(), "PH-SES-001").status == "n/a"


@pytest.mark.case("PH-SES-001", "unreadable")
def test_unreadable_sessions_are_unknown():
    assert judge(host_with(closing=3).forbid("/run/systemd/sessions/2"), "PH-SES-001").status == "unknown"
    assert judge(host_with().forbid("/run/systemd/sessions"), "PH-SES-001").status == "unknown"


@pytest.mark.parametrize("text", ["UID=x\n", "LEADER=" + "9" * 5000, "REALTIME=-\n", "\0\xff=\n=\nUID\n"])
def test_hostile_session_files_raise_only_value_error(text):
    try:
        reader.parse("1", text)
    except ValueError:
        pass


# -- PH-SES-002


def with_logind(anonymous, peak=200000, live=0):
    host = host_with(live=live)
    host.process(300, 1, "systemd-logind", cgroup="/system.slice/systemd-logind.service")
    status = host.files["/proc/300/status"].decode().replace("RssAnon:\t500", "RssAnon:\t%d" % anonymous).replace("VmPeak:\t1000", "VmPeak:\t%d" % peak)
    return host.file("/proc/300/status", status)


@pytest.mark.case("PH-SES-002", "fires")
@pytest.mark.parametrize("anonymous, peak, status", [(150 << 10, 200000, "warn"), (2 << 20, 200000, "fail"), (0, 5270484, "fail")])
def test_a_logind_that_grew(anonymous, peak, status):
    assert "PH-SES-001" in judge(with_logind(anonymous, peak), "PH-SES-002").only(status)["message"]


@pytest.mark.case("PH-SES-002", "silent")
def test_many_real_sessions_need_memory():
    assert judge(with_logind(244), "PH-SES-002").status == "pass"
    assert judge(with_logind(105 << 10, live=200), "PH-SES-002").status == "pass"


@pytest.mark.case("PH-SES-002", "unreadable")
def test_unreadable_status_of_logind_is_unknown():
    assert judge(with_logind(244).forbid("/proc/300/status"), "PH-SES-002").status == "unknown"


# -- PH-SES-003


def with_cron(jobs, debian=True, pam=True, leaks=0):
    host = host_with(closing=leaks)
    name = "cron" if debian else "crond"
    if not debian:
        host.file("/etc/os-release", 'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="9"\n')
    host.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    host.process(400, 1, name, exe="/usr/sbin/" + name, cgroup="/system.slice/%s.service" % name)
    host.file("/usr/sbin/cron", "INSECURE MODE (mode 0600 expected)").file("/usr/sbin/crond", "cronie 1.5.7")
    host.files["/proc/400/exe"] = host.files["/usr/sbin/" + name]
    host.file("/etc/pam.d/" + name, "session required pam_limits.so\n" + ("session optional pam_systemd.so\n" if pam else ""))
    host.file("/etc/cron.d/jobs", "".join("* * * * * root /bin/job%d\n" % number for number in range(jobs)))
    return host


@pytest.mark.case("PH-SES-003", "fires")
def test_many_jobs_with_a_session_each_warn():
    finding = judge(with_cron(10, debian=False), "PH-SES-003").only("warn")
    assert "about 600 jobs an hour" in finding["message"] and finding["remedy"] is None, "a stack is edited by people"


@pytest.mark.case("PH-SES-003", "fires")
def test_real_leaks_of_cron_warn_whatever_its_rate():
    finding = judge(with_cron(1, debian=False, leaks=15), "PH-SES-003").only("warn")
    assert "15 sessions of it never ended" in finding["message"]
    assert (finding["remedy"]["state"], finding["remedy"]["parameters"]) == ("sessions", {"end": "leaked"})


def test_on_debian_its_presence_is_information():
    assert "a local edit" in judge(with_cron(1), "PH-SES-003").only("info")["message"]


@pytest.mark.case("PH-SES-003", "silent")
def test_a_vendor_stack_with_few_jobs_and_debians_own_are_silent():
    assert judge(with_cron(2, debian=False), "PH-SES-003").status == "pass"
    assert judge(with_cron(20, pam=False), "PH-SES-003").status == "pass"


@pytest.mark.case("PH-SES-003", "unreadable")
def test_an_unreadable_stack_is_unknown():
    assert judge(with_cron(20).forbid("/etc/pam.d/cron"), "PH-SES-003").status == "unknown"


# -- PH-SES-004


def scopes(count, populated=False):
    host = host_with()
    for number in range(count):
        host.file("/run/systemd/transient/session-%d.scope" % number, "[Scope]\n")
        if populated:
            host.process(1000 + number, 1, "bash", cgroup="/user.slice/user-500.slice/session-%d.scope" % number)
    return host


@pytest.mark.case("PH-SES-004", "fires")
@pytest.mark.parametrize("count, status", [(200, "warn"), (2000, "fail")])
def test_empty_scopes_pile_up(count, status):
    assert "keeps %d session scopes" % count in judge(scopes(count), "PH-SES-004").only(status)["message"]


@pytest.mark.case("PH-SES-004", "silent")
def test_scopes_with_processes_are_sessions():
    assert judge(scopes(250, populated=True), "PH-SES-004").status == "pass"
    assert judge(scopes(199), "PH-SES-004").status == "pass"


@pytest.mark.case("PH-SES-004", "unreadable")
def test_an_unreadable_folder_of_scopes_is_unknown():
    assert judge(scopes(3).forbid("/run/systemd/transient"), "PH-SES-004").status == "unknown"


# -- PH-SES-005


def refused(*hours_ago, text="pam_systemd(cron:session): Failed to create session: Maximum number of sessions (8192) reached"):
    host = SimulatedHost()
    host.log = [{"MESSAGE": text, "at": "%.3f" % (NOW - 3600 * hours)} for hours in hours_ago]
    return host


@pytest.mark.case("PH-SES-005", "fires")
def test_refused_sessions_in_several_hours_fail():
    assert "3 sessions could not be opened within a day (the maximum is reached)" in judge(refused(1, 2, 2.1), "PH-SES-005").only("fail")["message"]


def test_text_logs_stand_in_for_the_journal():
    host = refused()
    host.log = None
    line = "2026-11-23T%02d:00:01 web sshd[1]: pam_systemd(sshd:session): Failed to create session: Connection timed out\n"
    day = time.strftime("%Y-%m-%d", time.gmtime(NOW))
    host.file("/var/log/auth.log", "".join((line % hour).replace("2026-11-23", day) for hour in (1, 1, 2)))
    assert "did not answer" in judge(host, "PH-SES-005").only("fail")["message"]


@pytest.mark.case("PH-SES-005", "silent")
@pytest.mark.parametrize("host", [refused(), refused(1, 5), refused(1, 1, 1, 1), refused(1, 2, 3, text="session opened")])
def test_a_reboot_and_other_messages_are_silent(host):
    assert judge(host, "PH-SES-005").status == "pass"


@pytest.mark.case("PH-SES-005", "unreadable")
def test_without_any_log_it_is_unknown():
    host = refused()
    host.log = None
    assert judge(host, "PH-SES-005").status == "unknown"


# -- PH-SES-006


@pytest.mark.case("PH-SES-006", "fires")
def test_a_forgotten_nologin_fails():
    finding = judge(SimulatedHost().file("/run/nologin", "", ctime=NOW - 7200), "PH-SES-006").only("fail")
    assert "for 2.0 h, and no shutdown is scheduled" in finding["message"]


@pytest.mark.case("PH-SES-006", "fires")
def test_a_shutdown_that_never_came_fails():
    host = SimulatedHost().file("/run/systemd/shutdown/scheduled", "USEC=%d\nWARN_WALL=1\nMODE=reboot\n" % ((NOW - 7200) * 1e6))
    assert "shutdown -c" in judge(host, "PH-SES-006").only("fail")["message"]


@pytest.mark.case("PH-SES-006", "silent")
def test_booting_and_coming_shutdowns_are_silent():
    host = SimulatedHost().file("/run/nologin", "", ctime=NOW - 100)
    assert judge(host, "PH-SES-006").status == "pass"
    host = SimulatedHost().file("/run/nologin", "", ctime=NOW - 7200).file("/run/systemd/shutdown/scheduled", "USEC=%d\n" % ((NOW + 60) * 1e6))
    assert judge(host, "PH-SES-006").only("info")
    host = SimulatedHost().file("/run/nologin", "", ctime=NOW - 7200)
    host.boot = 300.0
    assert host.boot < UPTIME and judge(host, "PH-SES-006").status == "pass"


@pytest.mark.case("PH-SES-006", "fires")
def test_etc_nologin_blocks_as_well_and_is_read_second():
    host = SimulatedHost().file("/etc/nologin", "maintenance", ctime=NOW - 7200)
    assert judge(host, "PH-SES-006").only("fail")["message"] == (
        "/etc/nologin has blocked all logins but root's for 2.0 h, and no shutdown is scheduled: remove it.")
    host.file("/run/nologin", "", ctime=NOW - 7200)
    assert judge(host, "PH-SES-006").only("fail")["subject"]["id"] == "/run/nologin"


def entry(pid, user="oracle", since=NOW - 500000, kind=7, host="10.9.8.7"):
    return struct.pack("=hxxi32s4s32s256shhiii4i20x", kind, pid, b"pts/3", b"ts/3", user.encode(), host.encode(), 0, 0, 0, int(since), 0, 0, 0, 0, 0)


def with_logins(*entries, line="oracle - maxlogins 2", pam="1.5.2-6+deb12u1", stack="session required pam_limits.so\n"):
    host = SimulatedHost().file("/run/utmp", b"".join(entries)).file("/etc/security/limits.conf", line + "\n").file("/etc/pam.d/sshd", stack)
    host.process(700, 1, "cron", start=1000.0).process(701, 1, "sshd", start=500001.0)
    return host.file("/var/lib/dpkg/status", "Package: libpam-modules\nStatus: install ok installed\nVersion: %s\n\n" % pam)


def with_closing(number, line):
    """Sessions that logind holds on to, on a release whose pam asks logind."""
    host = with_logins(line=line, pam="1.7.0-5").remove("/run/utmp").directory("/run/systemd/sessions")
    for each in range(1, number + 1):
        host.file("/run/systemd/sessions/%d" % each, (FILE % ("closing", each, 100000 + each, (NOW - 5000) * 1e6)).replace("=background", "=user"))
    return host


@pytest.mark.case("PH-SES-006", "fires")
@pytest.mark.parametrize("host, counted, ended", [
    (with_logins(entry(700), entry(701)), 2, 1),  # 700 is a daemon that got the number later
    (with_logins(entry(700), entry(700), entry(700)), 3, 3),
    (with_logins(entry(9), entry(8), line="* - maxsyslogins 2"), 2, 2),
    (with_closing(2, "oracle - maxlogins 2"), 2, 2),
], ids=["one reused", "reused", "all logins", "logind"])
def test_logins_that_ended_use_up_the_limit(host, counted, ended):
    """As su on a real host, with such entries."""
    finding = judge(host, "PH-SES-006").only("fail")
    assert "The next login of oracle is refused: /etc/security/limits.conf:1 allows 2 logins, %d are counted, and %d of these ended" % (
        counted, ended) in finding["message"]


@pytest.mark.case("PH-SES-006", "silent")
@pytest.mark.parametrize("host", [
    with_logins(entry(9), entry(8), entry(6)),  # pam_limits passes over those without a process
    with_logins(entry(701), entry(701)), with_logins(entry(700)), with_logins(entry(700, "other"), entry(700, "other")),
    with_logins(entry(700, kind=8), entry(700, kind=8)), with_logins(entry(700, since=NOW - 2 * UPTIME), entry(700, since=NOW - 2 * UPTIME)),
    with_logins(entry(700), entry(700), line=""), with_logins(entry(700), entry(700), line="oracle - maxlogins 3"),
    with_logins(entry(700), entry(700), line="root - maxlogins 2"), with_logins(entry(700), entry(700), pam="1.7.0-5"),
    with_logins(entry(700), entry(700), stack="session required pam_unix.so\n"), with_closing(2, "oracle - maxlogins 3"),
], ids=["no process", "live", "one", "other", "dead", "clock", "no limit", "room", "root", "logind is asked", "no pam_limits", "room in logind"])
def test_entries_that_nobody_counts_or_with_room(host):
    assert judge(host, "PH-SES-006").status == "pass"


def test_a_snapshot_does_not_tell_where_people_came_from():
    data = entry(700) + entry(701)
    kept = without_secrets("/run/utmp", data)
    assert len(kept) == len(data) and b"10.9.8.7" not in kept and b"oracle" in kept
    assert without_secrets("/run/utmp", b"10.9.8.7") == b""


@pytest.mark.case("PH-SES-006", "unreadable")
def test_an_unreadable_schedule_is_unknown():
    assert judge(SimulatedHost().forbid("/run/systemd/shutdown/scheduled"), "PH-SES-006").status == "unknown"
    assert judge(SimulatedHost().file("/run/systemd/shutdown/scheduled", "USEC=soon\n"), "PH-SES-006").status == "unknown"
    assert judge(SimulatedHost().forbid("/etc/nologin"), "PH-SES-006").status == "unknown"
    assert judge(with_logins(entry(700)).forbid("/run/utmp"), "PH-SES-006").status == "unknown"
    assert judge(with_logins(b"x" * 100), "PH-SES-006").status == "unknown"
