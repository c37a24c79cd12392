"""scheduled_restart on a host without systemd: real cron, a real script of SysV init, a restart that really happens.

A lab host boots systemd; here a shell is PID 1 of namespaces of its own on it, with a /run of its own, so nothing says that systemd booted this.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time

from ..auditing import PLACE, install
from ..host import LabHost
from .test_faults import APPLY

# As vendors write them: a pid file, the usual words.
SCRIPT = """#!/bin/sh
pid=/run/agent.pid
runs() { [ -e $pid ] && kill -0 "$(cat $pid)" 2>/dev/null; }
case "$1" in
  start) runs || { setsid sleep 1000000 </dev/null >/dev/null 2>&1 & echo $! > $pid; echo started; } ;;
  stop) runs && kill "$(cat $pid)"; rm -f $pid ;;
  restart) $0 stop; $0 start ;;
  status) runs ;;
  *) exit 2 ;;
esac
"""
# Takes syslog's place: one line for each message.
SYSLOG = """import os, socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
os.makedirs("/run/systemd/journal")
log.bind("/run/systemd/journal/dev-log")
while True:
    with open("/run/syslog", "ab") as file:
        file.write(log.recv(65536) + b"\\n")
"""
BOOT = "mount -t tmpfs tmpfs /run; mkdir -p /run/lock; python3 /opt/syslog.py & cron; /etc/init.d/agent start; touch /run/booted; exec sleep 1000000"
TABLE = "# by hand\n0 14 * * 6 /etc/init.d/agent restart\n5 5 * * * /usr/bin/true\n"
FILE = "/etc/cron.d/pidhygiene-restart-agent"
GIVEN = {"unit": "agent.service", "owner": "backup team", "reason": "ticket 4711"}


class WithoutSystemd:
    """Runs commands on the host that a lab host has become inside."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        host.run(["systemctl", "mask", "--now", "cron.service"])  # one cron: that of the inside
        host.shell("setsid unshare --mount --pid --fork --mount-proc sh -c %s </dev/null >/dev/null 2>&1 &" % shlex.quote(BOOT))
        deadline = time.monotonic() + 60
        self.init = ""
        while not self._booted():
            assert time.monotonic() < deadline, "the inside does not boot"
            time.sleep(0.1)

    def _booted(self) -> bool:
        self.init = self.host.run(["pgrep", "-xf", "sleep 1000000", "-o"], check=False).stdout.strip()
        return bool(self.init) and self.host.run(["test", "-e", f"/proc/{self.init}/root/run/booted"], check=False).returncode == 0

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.run(["nsenter", "--mount", "--pid", "--target", self.init, *argv], check=check)

    def apply(self, **more: object) -> str:
        return self.run("env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", "scheduled_restart",
                        json.dumps({**GIVEN, **more})).stdout.strip()

    def read(self, path: str) -> str:
        return self.run("cat", path, check=False).stdout


def test_cron_restarts_the_service_and_the_old_line_comes_back(new_host) -> None:
    host = new_host("sysv")
    install(host)
    for path, text, mode in (("/etc/init.d/agent", SCRIPT, 0o755), ("/opt/syslog.py", SYSLOG, 0o644), ("/opt/apply.py", APPLY, 0o644),
                             ("/var/spool/cron/crontabs/root", TABLE, 0o600)):
        host.write(path, text, mode)
    inside = WithoutSystemd(host)

    # The line is taken over with its times, and the owner is named.
    assert inside.apply(take_over="/var/spool/cron/crontabs/root:2") == "changed"
    assert inside.read(FILE).splitlines()[-1].startswith("0 14 * * 6 root flock -n")
    assert inside.read("/var/spool/cron/crontabs/root").splitlines()[1].startswith("# pidhygiene scheduled_restart of agent.service: 0 14 * * 6")
    assert inside.apply(take_over="/var/spool/cron/crontabs/root:2") == "same"

    # Refused: nobody could restart it, a time that cron cannot say, a zone.
    assert "nobody could restart" in inside.apply(unit="other.service", calendar="daily")
    assert "cron cannot say that" in inside.apply(calendar="2027-*-* 03:00")
    assert "names a zone" in inside.apply(calendar="daily Europe/Berlin")

    # Every minute: a real firing, a new process, a line of syslog.
    before = inside.read("/run/agent.pid")
    assert inside.apply(calendar="minutely") == "changed"
    deadline = time.monotonic() + 150  # cron looks once a minute
    while inside.read("/run/agent.pid") in ("", before):
        assert time.monotonic() < deadline, inside.read("/run/syslog")
        time.sleep(0.5)
    while "started" not in inside.read("/run/syslog"):
        assert time.monotonic() < deadline, inside.read("/run/syslog")
        time.sleep(0.2)
    assert "pidhygiene: Scheduled restart of agent.service; owner: backup team; because: ticket 4711" in inside.read("/run/syslog")

    assert inside.apply(state="absent") == "changed" and inside.apply(state="absent") == "same"
    assert inside.read("/var/spool/cron/crontabs/root") == TABLE and inside.run("test", "-e", FILE, check=False).returncode == 1
