"""Hundreds of jobs: crontabs of many users, at, anacron, timers of systemd; most of them run at this moment."""

from __future__ import annotations

import time

from ..host import LabHost
from .recipe import Recipe, processes, wait_until

USERS = 12
TIMER = "[Timer]\nOnCalendar=*-*-* *:*:00/20\nAccuracySec=1s\n[Install]\nWantedBy=timers.target\n"


def start(host: LabHost) -> None:
    host.run(["systemctl", "enable", "--quiet", "--now", "cron", "atd", "sysstat"])
    for number in range(USERS):
        host.run(["useradd", "--create-home", "--shell", "/bin/bash", f"team{number}"])
        job = "MAILTO=\"\"\n* * * * * /bin/sleep 40\n*/5 * * * * /bin/true\n0 3 * * * /usr/bin/find /tmp -mtime +3\n@daily /bin/true\n"
        host.run(["crontab", "-u", f"team{number}", "-"], stdin=job)
        host.write(f"/etc/systemd/system/report{number}.timer", TIMER)
        host.write(f"/etc/systemd/system/report{number}.service", "[Service]\nType=oneshot\nExecStart=/bin/sleep 8\n")
    host.write("/etc/cron.d/site", "PATH=/usr/bin:/bin\n" + "".join(f"* * * * * www-data sleep {30 + number % 15} # {number}\n" for number in range(40))
               + "".join(f"{number % 60} {number % 24} * * * root true\n" for number in range(200)))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--quiet", "--now", *(f"report{number}.timer" for number in range(USERS))])
    for number in range(15):
        host.run(["runuser", "-u", f"team{number % USERS}", "--", "at", "now"], stdin="sleep 600\n")
        host.run(["at", "now + 3 hours"], stdin="true\n")
    wait_until(host, "jobs of a minute", lambda: processes(host, "-x", "sleep") >= 30, 80)
    host.run(["systemctl", "restart", "cron", "atd"])  # KillMode=process: what runs lives on


def busy(host: LabHost) -> bool:
    """In the first half of a minute, when its jobs run."""
    wait_until(host, "the first seconds of a minute", lambda: 3 <= time.time() % 60 < 15, 70)
    return processes(host, "-x", "sleep") >= 60


RECIPE = Recipe("crons", "trixie", ("cron", "at", "anacron", "sysstat", "logrotate"), start, busy)
