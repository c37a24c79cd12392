"""Replaced and moved programs, leftover sessions, overlapping jobs and jobs that never run, on a real host (F06, F07)."""

from __future__ import annotations

import subprocess
import time

import pytest

from .auditing import check, deviations, install, of_rule, only

LEFTOVERS = 7900
LIVE = 12
WRITE_LEFTOVERS = r"""
import sys, time
for number in range(100000, 100000 + int(sys.argv[1])):
    with open("/run/systemd/sessions/%d" % number, "w") as stream:
        stream.write("UID=0\nUSER=root\nACTIVE=0\nSTATE=closing\nTYPE=unspecified\nCLASS=background\nSCOPE=session-%d.scope\n"
                     "SERVICE=crond\nLEADER=%d\nREALTIME=%d\n" % (number, 3000000 + number, (time.time() - 5000) * 1e6))
"""
UNIT = "[Service]\nExecStart=/usr/local/bin/worker 100000\n"


@pytest.fixture(scope="module")
def host(new_module_host):
    host = new_module_host("stale")
    install(host)
    host.write("/etc/systemd/system/worker.service", UNIT)
    host.run(["cp", "/bin/sleep", "/usr/local/bin/worker"])
    host.write("/etc/cron.d/overlap", "* * * * * root /bin/sleep 1000\n* * * * * root touch /run/ran-control\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "worker.service"])
    return host


def replace(host, path: str) -> None:
    """As a package manager does it: a new file under the old name."""
    host.run(["cp", "-p", path, path + ".dpkg-new"])
    host.run(["mv", path + ".dpkg-new", path])


def test_a_replaced_bus_and_a_replaced_library(host):
    before = check(host)
    assert deviations(before) == []
    replace(host, "/usr/bin/dbus-daemon")
    library = host.run(["sh", "-c", "readlink -f /lib/*/libpam.so.0"]).stdout.strip()
    replace(host, library)
    result = check(host)
    bus = only(result, "PH-DEL-004", "warn")
    assert bus["subject"]["id"] == "dbus.service" and "schedule a reboot" in bus["message"]
    assert "see PH-DEL-004" in only(result, "PH-DEL-001", "info")["message"]
    stale = only(result, "PH-DEL-003", "warn")
    assert stale["subject"]["id"].endswith("/" + library.rpartition("/")[2])
    assert "cron.service" in stale["message"]
    mapped = set(host.run(["sh", "-c", "grep -l 'libpam.so.*deleted' /proc/[0-9]*/maps || true"]).stdout.split())
    assert mapped, "the witness saw it too"


def test_a_program_moved_aside_has_no_mark(host):
    time.sleep(3)  # start times are certain to a second only
    host.run(["mv", "/usr/local/bin/worker", "/usr/local/bin/worker.old"])
    host.run(["cp", "/bin/sleep", "/usr/local/bin/worker"])
    pid = host.run(["systemctl", "show", "-P", "MainPID", "worker.service"]).stdout.strip()
    assert host.run(["readlink", f"/proc/{pid}/exe"]).stdout.strip() == "/usr/local/bin/worker.old"
    assert "worker.old" in only(check(host), "PH-DEL-002", "warn")["message"]
    host.run(["systemctl", "restart", "worker.service"])
    assert not of_rule(check(host), "PH-DEL-002")


def test_a_program_without_any_file_fails(host):
    host.run(["rm", "/usr/local/bin/worker"])
    assert "cannot be started again" in only(check(host), "PH-DEL-001", "fail")["message"]
    host.run(["cp", "/bin/sleep", "/usr/local/bin/worker"])
    assert "restart worker.service" in only(check(host), "PH-DEL-001", "warn")["message"]
    host.run(["systemctl", "restart", "worker.service"])
    assert not [finding for finding in of_rule(check(host), "PH-DEL-001") if finding["status"] != "info"]


def test_leftover_sessions_are_counted_and_live_ones_are_not(host):
    sessions = [subprocess.Popen(host.ssh_command("sleep", "60"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(LIVE)]
    try:
        deadline = time.monotonic() + 30
        while int(host.run(["sh", "-c", "grep -l STATE=active /run/systemd/sessions/*[0-9] | wc -l"]).stdout) < LIVE:
            assert time.monotonic() < deadline
            time.sleep(1)
        assert not of_rule(check(host), "PH-SES-001")
        host.write("/root/leftovers.py", WRITE_LEFTOVERS)
        host.run(["python3", "/root/leftovers.py", str(LEFTOVERS)])
        finding = only(check(host), "PH-SES-001", "fail")
    finally:
        for session in sessions:
            session.kill()
            session.wait()
    assert finding["severity"] == "CRIT"
    assert f"{LEFTOVERS} dead sessions (opened by {LEFTOVERS} crond; {LIVE} live)" in finding["message"]
    host.run(["sh", "-c", "cd /run/systemd/sessions && rm -f 1?????"])
    assert not of_rule(check(host), "PH-SES-001")


def test_a_forgotten_nologin(host):
    host.write("/run/nologin", "")
    assert not of_rule(check(host), "PH-SES-006"), "somebody may just be at work"
    host.run(["rm", "/run/nologin"])


def test_jobs_that_never_run_and_jobs_that_overlap(host):
    """The clock is the witness: the control job runs each minute, the four others never do."""
    bad = {"dotted.sh": ("* * * * * root touch /run/ran-dotted\n", "644"), "unfinished": ("* * * * * root touch /run/ran-unfinished", "644"),
           "open": ("* * * * * root touch /run/ran-open\n", "666"), "stranger": ("* * * * * no-such-user touch /run/ran-stranger\n", "644")}
    for name, (text, mode) in bad.items():
        host.write("/etc/cron.d/" + name, text)
        host.run(["chmod", mode, "/etc/cron.d/" + name])
    host.run(["rm", "-f", "/run/ran-control"])
    found = {finding["subject"]["id"] for finding in of_rule(check(host), "PH-CRN-002")}
    assert found == {"/etc/cron.d/" + name for name in bad}
    deadline = time.monotonic() + 330
    overlapping: list = []
    while not overlapping:
        assert time.monotonic() < deadline
        time.sleep(10)
        overlapping = [finding for finding in of_rule(check(host, "--rule", "PH-CRN-001"), "PH-CRN-001") if finding["status"] in ("warn", "fail")]
    assert overlapping[0]["subject"]["id"] == "/etc/cron.d/overlap:1"
    assert int(host.run(["pgrep", "-c", "-f", "^/bin/sh -c /bin/sleep 1000"]).stdout) >= 2
    ran = host.run(["sh", "-c", "ls /run/ran-*"]).stdout.split()
    assert ran == ["/run/ran-control"]


def test_a_script_that_was_replaced_under_its_service(host):
    """needrestart's rule: the ctime of what is interpreted, against the start of the process. Its mtime may be years old."""
    host.write("/usr/local/sbin/agent", "import time\ntime.sleep(100000)\n")
    host.run(["systemd-run", "--unit=agent", "/usr/bin/python3", "-u", "/usr/local/sbin/agent"])
    started = host.shell("stat -c %Z /usr/local/sbin/agent").strip()
    deadline = time.monotonic() + 60
    while int(host.shell("date +%s")) < int(started) + 13:  # a change within ten seconds of the start is taken for a part of it
        assert time.monotonic() < deadline
        time.sleep(1)
    assert not [finding for finding in of_rule(check(host), "PH-DEL-003") if finding["subject"]["id"] == "/usr/local/sbin/agent"]
    host.run(["touch", "-d", "2001-01-01", "/usr/local/sbin/agent"])
    replace(host, "/usr/local/sbin/agent")
    (finding,) = [finding for finding in of_rule(check(host), "PH-DEL-003") if finding["subject"]["id"] == "/usr/local/sbin/agent"]
    assert finding["status"] == "warn" and "after agent.service started from it" in finding["message"]
    host.run(["systemctl", "stop", "agent.service"])
