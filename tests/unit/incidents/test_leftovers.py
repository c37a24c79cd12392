"""Programs that nobody keeps, old binaries, sessions that never end (tests/incidents.md, O, E and G)."""

import pytest
from simulated import NOW, SimulatedHost, judge

from .scenes import service

CELERY = ("/usr/bin/python3", "-m", "celery", "worker", "-A", "shop")
LABEL = {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": "web", "SUPERVISOR_GROUP_NAME": "web"}


def supervised(host, above=1, group="/system.slice/supervisor.service"):
    """supervisord (2000) with its program web (2001)."""
    host.process(2000, above, "supervisord", exe="/usr/bin/python3", argv=("/usr/bin/python3", "/usr/bin/supervisord", "-n"), start=9000, cgroup=group)
    host.process(2001, 2000, "web", argv=("/opt/web",), pgrp=2001, session=2000, start=300, environ=LABEL, cgroup=group)
    return host


def test_o1_a_program_outside_its_supervisor():
    host = supervised(SimulatedHost())
    host.process(1500, 1, "web", argv=("/opt/web",), pgrp=1500, session=2000, start=8000, environ=LABEL, cgroup="/system.slice/supervisor.service")
    finding = judge(host, "PH-ORP-001").only("fail")
    assert "web:web (1500) runs outside supervisord with 1 process" in finding["message"] and "runs it again as 2001" in finding["message"]


def test_o3_two_generations_of_workers():
    """The master was killed; its pool lives on under PID 1 beside the new pool, and keeps its memory."""
    group = "/system.slice/celery.service"
    host = service(SimulatedHost(), "celery", exe="/usr/bin/python3", argv=CELERY, properties={"KillMode": "process", "NRestarts": 1}, start=3600)
    for number in range(4):
        host.process(800 + number, 700, "celery", exe="/usr/bin/python3", argv=CELERY, start=3590, cgroup=group)
        host.process(300 + number, 1, "celery", exe="/usr/bin/python3", argv=CELERY, start=90000, cgroup=group)
    finding = judge(host, "PH-SYS-006").only("fail")
    assert "celery.service has 4 processes from before its last start" in finding["message"] and "runs twice" in finding["message"]


def test_o5_processes_from_before_the_last_start():
    """Found left-over process in control group while starting unit. Ignoring."""
    host = service(SimulatedHost(), "app", properties={"KillMode": "none"}, start=3600)
    host.process(300, 1, "helper", argv=("/opt/helper",), start=90000, cgroup="/system.slice/app.service")
    assert "app.service has 1 process from before its last start (1 helper" in judge(host, "PH-SYS-006").only("warn")["message"]


def test_o7_adopted_by_the_init_of_its_container():
    host = SimulatedHost().process(1900, 1, "tini", start=20000)
    supervised(host, above=1900, group="/")
    host.process(1500, 1900, "web", argv=("/opt/web",), pgrp=1499, session=2000, start=8000, environ=LABEL, cgroup="/")
    assert "(pids 1500)" in judge(host, "PH-ORP-001").only("fail")["message"]


def replaced(host, pid, path, installed=86400.0):
    """The file that runs was replaced by an update."""
    host.link("/proc/%d/exe" % pid, path + " (deleted)").file(path + " (deleted)", "", nlink=0).file(path, "", ctime=NOW - installed)
    return host


def test_e1_a_stranger_in_the_group_of_cron():
    """atop was started by cron and lives in its group: cron is not what must be restarted."""
    host = service(SimulatedHost(), "cron", exe="/usr/sbin/cron")
    host.file("/usr/sbin/cron", "").process(800, 1, "atop", start=90000, cgroup="/system.slice/cron.service")
    finding = judge(replaced(host, 800, "/usr/bin/atop"), "PH-DEL-001").only("warn")
    assert "it is not the main one of cron.service, which need not be restarted for it" in finding["message"]
    assert finding["remedy"] is None


@pytest.mark.parametrize("line", [
    "7f0000000000-7f0000001000 rw-s 00000000 08:01 200 /var/spool/nagios/status.dat (deleted)",
    "7f0000000000-7f0000001000 r--p 00000000 08:01 200 /var/lib/postfix/prng_exch (deleted)",
])
def test_e3_deleted_data_is_not_code(line):
    host = service(SimulatedHost(), "nagios", exe="/usr/sbin/nagios").file("/usr/sbin/nagios", "")
    host.file("/proc/700/maps", "55d0c0000000-55d0c0001000 r-xp 00000000 08:01 100 /usr/sbin/nagios\n" + line + "\n")
    host.process(801, 800, "(sd-pam)", uid=1000, exe="/usr/lib/systemd/systemd", cgroup="/user.slice/user-1000.slice/user@1000.service/init.scope")
    for rule in ("PH-DEL-001", "PH-DEL-003"):
        assert judge(host, rule).status == "pass"


def test_e5_the_old_version_serves_on():
    """Restart=always starts a program that ends, not one whose file was replaced."""
    host = replaced(service(SimulatedHost(), "continuity", properties={"Restart": "always"}), 700, "/usr/bin/continuity", installed=40 * 86400)
    finding = judge(host, "PH-DEL-001").only("fail")
    assert "continuity.service: continuity (700) runs /usr/bin/continuity, which was replaced 40 d ago: restart continuity.service" in finding["message"]


SESSION = "UID=0\nUSER=root\nACTIVE=0\nSTATE=%s\nTYPE=unspecified\nCLASS=background\nSCOPE=session-%d.scope\nSERVICE=%s\nLEADER=%d\nREALTIME=%d\n"


def sessions(service_name, closing):
    host = SimulatedHost().directory("/run/systemd/sessions")
    for number in range(closing):
        host.file("/run/systemd/sessions/%d" % number, SESSION % ("closing", number, service_name, 100000 + number, (NOW - 5000) * 1e6))
        host.file("/run/systemd/transient/session-%d.scope" % number, "[Scope]\n")
    return host


def test_g1_the_maximum_number_of_sessions():
    finding = judge(sessions("crond", 8192), "PH-SES-001").only("fail")
    assert finding["severity"] == "CRIT" and "8192 crond" in finding["message"]


def test_g3_an_agent_that_calls_sudo_ten_times_a_minute():
    host = sessions("sudo", 4000)
    assert "opened by 4000 sudo" in judge(host, "PH-SES-001").only("fail")["message"]
    assert "4000 session scopes" in judge(host, "PH-SES-004").only("fail")["message"]


def test_g5_jobs_wait_for_a_bus_that_was_restarted():
    """800 jobs a minute, and logind has lost the bus: each job waits, and its session fails."""
    host = SimulatedHost().file("/etc/os-release", 'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="8"\n').directory("/run/systemd/sessions")
    host.process(400, 1, "crond", exe="/usr/sbin/crond", cgroup="/system.slice/crond.service").file("/usr/sbin/crond", "cronie 1.5.2")
    host.files["/proc/400/exe"] = host.files["/usr/sbin/crond"]
    host.file("/etc/pam.d/crond", "session required pam_limits.so\nsession optional pam_systemd.so\n")
    host.file("/etc/cron.d/jobs", "".join("* * * * * root /bin/job%d\n" % number for number in range(800)))
    host.log = [{"MESSAGE": "pam_systemd(crond:session): Failed to create session: Connection timed out", "at": "%.3f" % (NOW - 1800 * number)}
                for number in range(1, 6)]
    assert "about 48000 jobs an hour" in judge(host, "PH-SES-003").only("warn")["message"]
    assert "logind or the bus did not answer" in judge(host, "PH-SES-005").only("fail")["message"]
