"""The classic errors of limits.conf, for real: what logins get, what services do not, and what PAM takes from units (F08, F09, trap D13)."""

from __future__ import annotations

import time

import pytest

from .auditing import check, install, of_rule, only

SERVICE = "[Service]\nUser=oracle\nExecStart=/bin/sleep 100000\n"
STACK = "account required pam_permit.so\nsession required pam_limits.so\nsession required pam_permit.so\n"  # pam_systemd would move it to a scope
LIMITS_D = "/etc/security/limits.d/30-oracle.conf"

NETSVC = """#!/usr/bin/python3
import time
files = [open("/dev/null") for _number in range(700)]
open("/proc/self/comm", "w").write("netsvc")
open("/run/netsvc.ready", "w").close()
time.sleep(100000)
"""
SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: netsvc
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case "$1" in
start)
  rm -f /run/netsvc.ready
  setsid /usr/sbin/netsvc < /dev/null > /dev/null 2>&1 &
  while [ ! -e /run/netsvc.ready ]; do sleep 0.1; done ;;
stop)
  pkill -x netsvc ;;
esac
"""


@pytest.fixture
def host(new_host, suite):
    host = new_host(suite=suite)
    install(host)
    host.shell("groupadd -g 54321 oinstall; useradd -m -u 54321 -g oinstall -s /bin/bash oracle")
    return host


def start(host, name: str, text: str) -> None:
    host.write(f"/etc/systemd/system/{name}.service", text)
    host.run(["systemctl", "daemon-reload"])
    restart(host, name)


def restart(host, name: str) -> None:
    """Until the program itself runs: before that, the process has systemd's own limits. (Type=exec never ends with PAMName= on Debian 12.)"""
    host.run(["systemctl", "restart", name])
    deadline = time.monotonic() + 20
    while host.read(f"/proc/{host.pid_of(name + '.service')}/comm").strip() != "sleep":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def limits(host, item: str, pid: object) -> tuple[str, str]:
    for line in host.read(f"/proc/{pid}/limits").splitlines():
        if line.startswith(item):
            return line[26:46].strip(), line[47:67].strip()
    raise AssertionError(item)


def audited(host) -> dict:
    return check(host, "--rule", "PH-LIM-*")


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_limits_conf_against_unit(host):
    """F09: the login gets what limits.d says, the service does not, and the remedy's drop-in makes it so."""
    host.write(LIMITS_D, "oracle - nproc 3000\n")
    start(host, "db", SERVICE + "LimitNPROC=2000\n")
    assert host.run(["su", "-", "oracle", "-c", "ulimit -u"]).stdout.strip() == "3000"
    assert limits(host, "Max processes", host.pid_of("db.service"))[0] == "2000"
    finding = only(audited(host), "PH-LIM-003", "warn")
    assert finding["subject"]["id"] == "db.service" and "promises user oracle 3000" in finding["message"]
    value = finding["remedy"]["parameters"]["nproc"]
    host.write("/etc/systemd/system/db.service.d/zz-pidhygiene.conf", f"[Service]\nLimitNPROC={value}\n")
    start(host, "db", SERVICE)
    assert of_rule(audited(host), "PH-LIM-003") == []


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_pam_has_the_last_word(host, suite):
    """D13: the same unit, the same empty limits.conf; Debian 12 resets the session to process 1's limits, Debian 13 does not."""
    most = limits(host, "Max open files", 1)[1]
    host.write("/etc/pam.d/db", STACK)
    start(host, "db", SERVICE + f"PAMName=db\nLimitNOFILE=4096:{most}\n")
    running = limits(host, "Max open files", host.pid_of("db.service"))
    found = [finding["status"] for finding in of_rule(audited(host), "PH-LIM-010")]
    if suite == "bookworm":
        assert running == ("1024", most) and found == ["fail"]
    else:
        assert running == ("4096", most) and found == []
    host.write(LIMITS_D, "oracle - nofile 2048\n")
    restart(host, "db")
    assert limits(host, "Max open files", host.pid_of("db.service")) == ("2048", "2048")
    finding = only(audited(host), "PH-LIM-010", "fail")
    assert f'{LIMITS_D}:1, "oracle - nofile 2048", wins' in finding["message"]


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_missing_limits_conf(host, suite):
    """Before Linux-PAM 1.5.3 it locks everybody out; the audit, which needs no session, says so."""
    host.run(["mv", "/etc/security/limits.conf", "/root"])
    refused = host.run(["su", "-", "oracle", "-c", "true"], check=False).returncode != 0
    found = of_rule(audited(host), "PH-LIM-007")
    assert refused == (suite == "bookworm")
    assert [finding["severity"] for finding in found] == (["CRIT"] if refused else [])


@pytest.mark.parametrize("suite", ["bookworm"])
def test_a_line_that_locks_out(host):
    host.write(LIMITS_D, "oracle hard nproc 0x40\n")
    assert host.run(["su", "-", "oracle", "-c", "true; true; /bin/true"], check=False).returncode != 0
    assert only(audited(host), "PH-LIM-007", "fail")["severity"] == "CRIT"


@pytest.mark.parametrize("suite", ["bookworm"])
def test_one_way_in_without_pam_limits(host):
    host.write(LIMITS_D, "oracle - nproc 3000\n")
    host.run(["sed", "-i", "/pam_limits/d", "/etc/pam.d/su"])
    assert host.run(["su", "-", "oracle", "-c", "ulimit -u"]).stdout.strip() != "3000"
    assert host.run(["runuser", "-l", "oracle", "-c", "ulimit -u"]).stdout.strip() == "3000"
    found = {finding["subject"]["id"] for finding in of_rule(audited(host), "PH-LIM-009") if finding["status"] == "warn"}
    assert found == {"/etc/pam.d/su", "/etc/pam.d/su-l"}  # su-l includes su


@pytest.mark.parametrize("suite", ["bookworm"])
def test_boot_and_hand(host):
    """F08: the same script, started at boot and from root's login shell."""
    host.write("/root/.bash_profile", "ulimit -n 8192\n")
    host.write("/usr/sbin/netsvc", NETSVC, 0o755)
    host.write("/etc/init.d/netsvc", SCRIPT, 0o755)
    host.shell("systemctl daemon-reload; systemctl start netsvc")
    booted = only(audited(host), "PH-LIM-004", "fail")
    assert "booted with nofile 1024:" in booted["message"] and "/root/.bash_profile:1 gives 8192" in booted["message"]
    host.run(["systemctl", "stop", "netsvc"])
    host.ssh("bash", "-lc", "/etc/init.d/netsvc start")
    by_hand = only(audited(host), "PH-LIM-004", "fail")
    assert "runs with nofile 8192:8192, which /root/.bash_profile:1 gives to shells" in by_hand["message"]


@pytest.mark.parametrize("suite", ["trixie"])
def test_one_login_is_not_enforced(host):
    """With logind pam_limits only warns in the log when maxlogins is 1 (check_logins() of 1.7.0), and lets everybody in."""
    host.shell("mkdir -p /home/oracle/.ssh; cp /root/.ssh/authorized_keys /home/oracle/.ssh/; chown -R oracle: /home/oracle/.ssh; chmod 700 /home/oracle/.ssh")
    host.write(LIMITS_D, "oracle - maxlogins 1\n")
    host.shell("for n in 1 2 3; do su - oracle -c 'sleep 3' & done; wait")  # not one is refused
    assert only(audited(host), "PH-LIM-007", "warn")["message"].startswith(f'{LIMITS_D}:1, "oracle - maxlogins 1", is not enforced')
    host.write(LIMITS_D, "oracle - maxlogins 0\n")
    assert host.run(["su", "-", "oracle", "-c", "true"], check=False).returncode != 0
