"""scheduled_restart on a host without systemd: real cron, a real script of SysV init, a restart that really happens.

A lab host boots systemd; here a shell is PID 1 of namespaces of its own on it, with a /run of its own, so nothing says that systemd booted this.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from ..auditing import check, of_rule
from ..host import LabHost
from ..machine import Machine
from .doors import DOORS, Door, answers, everything, unchanged

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
BOOT = ("mount -t tmpfs tmpfs /run; mkdir -p /run/lock /run/sshd; python3 /opt/syslog.py & cron; /usr/sbin/sshd -p 2222; /etc/init.d/agent start; touch /run/booted; "
        "exec sleep 1000001")  # not the agent's own: this is process 1
TABLE = "# by hand\n0 14 * * 6 /etc/init.d/agent restart\n5 5 * * * /usr/bin/true\n"
FILE = "/etc/cron.d/pidhygiene-restart-agent"
LINE = "/var/spool/cron/crontabs/root:2"
GIVEN = {"unit": "agent.service", "owner": "backup team", "reason": "ticket 4711", "take_over": LINE}


class WithoutSystemd(Machine):
    """What a lab host has become inside: a machine without systemd, which ssh reaches at a port of its own."""

    port = 2222

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.name, self.suite, self.address, self.gateway, self.key, self.console = host.name, host.suite, host.address, host.gateway, host.key, host.console
        self.init = ""
        host.run(["systemctl", "mask", "--now", "cron.service"])  # one cron: that of the inside
        self.boot()

    def boot(self) -> None:
        self.host.shell("setsid unshare --mount --pid --fork --kill-child --mount-proc sh -c %s </dev/null >/dev/null 2>&1 &" % shlex.quote(BOOT))
        deadline = time.monotonic() + 60
        while not self.alive():
            assert time.monotonic() < deadline, "the inside does not boot"
            time.sleep(0.1)

    def reboot(self) -> None:
        """As a power cut is: all of it ends with its first process; files stay."""
        self.host.run(["kill", "-KILL", self.init])
        deadline = time.monotonic() + 60
        while self.host.run(["test", "-e", f"/proc/{self.init}"], check=False).returncode == 0:
            assert time.monotonic() < deadline, "the inside does not end"
            time.sleep(0.05)
        self.boot()

    def alive(self) -> bool:
        self.init = self.host.run(["pgrep", "-xf", "sleep 1000001"], check=False).stdout.strip()
        return bool(self.init) and self.host.run(["test", "-e", f"/proc/{self.init}/root/run/booted"], check=False).returncode == 0

    def entering(self, argv: Sequence[str]) -> list[str]:
        return self.host.entering(["nsenter", "--mount", "--pid", "--target", self.init, *argv])

    def down(self) -> None:
        """It goes with the host."""

    def file(self, path: str) -> str:
        return self.run(["cat", path], check=False).stdout


def daemons(inside: WithoutSystemd) -> str:
    return inside.shell("cat /run/agent.pid; pgrep -x cron")


def chosen_by_nobody(inside: WithoutSystemd) -> list[str]:
    return [each["message"] for each in of_rule(check(inside), "PH-SYS-007") if "agent" in each["message"]]


def test_cron_restarts_the_service_and_the_old_line_comes_back(door: Door) -> None:
    host = door.host
    for path, text, mode in (("/etc/init.d/agent", SCRIPT, 0o755), ("/opt/syslog.py", SYSLOG, 0o644), ("/var/spool/cron/crontabs/root", TABLE, 0o600)):
        host.write(path, text, mode)
    inside = WithoutSystemd(host)
    through = DOORS[door.name](inside)
    assert chosen_by_nobody(inside), check(inside)["findings"]

    # Looked at: the line would be taken over with its times, and the owner named.
    before, alive = everything(inside), daemons(inside)
    looked = through.look("scheduled_restart", **GIVEN)
    assert looked.ok and looked.changed and looked.differences[FILE][1].splitlines()[-1].startswith("0 14 * * 6 root flock -n"), looked
    unchanged(inside, before)
    applied = through.apply("scheduled_restart", **GIVEN)
    assert applied.ok and applied.changed and applied.differences == looked.differences, applied
    assert inside.file(FILE) == looked.differences[FILE][1].rstrip("\n") + "\n"
    assert inside.file("/var/spool/cron/crontabs/root").splitlines()[1].startswith("# pidhygiene scheduled_restart of agent.service: 0 14 * * 6")
    assert chosen_by_nobody(inside) == [] and daemons(inside) == alive
    before = everything(inside)
    again = through.apply("scheduled_restart", **GIVEN)
    assert again.ok and not again.changed, again
    unchanged(inside, before)
    inside.reboot()
    assert chosen_by_nobody(inside) == [] and inside.file(FILE)

    # Refused: nobody could restart it, a time that cron cannot say, a zone.
    cases = ({"unit": "other.service", "calendar": "daily"}, {**GIVEN, "calendar": "2027-*-* 03:00"}, {**GIVEN, "calendar": "daily Europe/Berlin"},
             {**GIVEN, "owner": "it's me"}, {**GIVEN, "owner": "me\n* * * * * root reboot"})
    words = ("nobody could restart", "cron cannot say that", "names a zone", "must not hold", "control character")
    for said, word in zip(answers(inside, "scheduled_restart", list(cases)), words, strict=True):
        assert said.startswith("Refused") and word in said, said

    if door.name == "salt":  # a real firing, once: a new process, a line of syslog
        pid = inside.file("/run/agent.pid")
        assert "changed=True" in answers(inside, "scheduled_restart", [{**GIVEN, "calendar": "minutely"}])[0]
        deadline = time.monotonic() + 150  # cron looks once a minute
        while inside.file("/run/agent.pid") in ("", pid) or "started" not in inside.file("/run/syslog"):
            assert time.monotonic() < deadline, inside.file("/run/syslog")
            time.sleep(0.5)
        assert "pidhygiene: Scheduled restart of agent.service; owner: backup team; because: ticket 4711" in inside.file("/run/syslog")

    gone = through.apply("scheduled_restart", unit="agent.service", state="absent")
    assert gone.ok and gone.changed and "changed=False" in answers(inside, "scheduled_restart", [{"unit": "agent.service", "state": "absent"}])[0], gone
    assert inside.file("/var/spool/cron/crontabs/root") == TABLE and inside.run(["test", "-e", FILE], check=False).returncode == 1
    assert chosen_by_nobody(inside)
