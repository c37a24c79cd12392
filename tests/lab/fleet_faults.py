"""Twenty hosts: what is wrong with each, how it came to be, and what an audit must say of it.

A fault is a script that root runs on the host, and does what people, packages and programs did there. All hosts have the same service and the same job.
"""

from __future__ import annotations

from typing import NamedTuple

ZONES = "/usr/share/zoneinfo"
SERVICE, JOB = "app.service", "0 9 * * * root /usr/local/bin/report\n"
COMMON = {  # of every host, as if one installation had put it there
    "etc/systemd/system/app.service": "[Service]\nExecStart=/bin/sleep 100001\n[Install]\nWantedBy=multi-user.target\n",
    "etc/systemd/system/app.service.d/files.conf": "[Service]\nLimitNOFILE=8192\n",
    "etc/cron.d/report": JOB,
    "usr/local/bin/report": "#!/bin/sh\n",
}
# Twenty-four zombies of one parent; the unit may have a hundred tasks, so they are a good part of what it is given.
LEAK = r"""
cat > /usr/local/bin/collector <<'END'
#!/usr/bin/python3
import os, time
for _number in range(24):
    if os.fork() == 0:
        os._exit(0)
time.sleep(100000)
END
chmod 755 /usr/local/bin/collector
printf '[Service]\nExecStart=/usr/local/bin/collector\nTasksMax=100\n' > /etc/systemd/system/collector.service
systemctl daemon-reload; systemctl start collector
"""
CROWD = r"""
printf '[Service]\nExecStart=/bin/sh -c "for i in $$(seq 18); do sleep 100002 & done; wait"\nTasksMax=20\n' > /etc/systemd/system/crowd.service
systemctl daemon-reload; systemctl start crowd
until [ "$(pgrep -c -x -f 'sleep 100002')" -ge 18 ]; do sleep 0.1; done
"""
COPIED_ZONE = f"echo Etc/UTC > /etc/timezone; rm /etc/localtime; cp {ZONES}/Asia/Shanghai /etc/localtime"
BERLIN = f"echo Europe/Berlin > /etc/timezone; ln -sfn {ZONES}/Europe/Berlin /etc/localtime"
CLOCK_OF_A_JOB = "printf 'CRON_TZ=America/New_York\n30 9 * * * root true\n' > /etc/cron.d/abroad"
ORACLE = "groupadd -g 54321 oinstall; useradd -m -u 54321 -g oinstall -s /bin/bash oracle"
LOCKED = f"{ORACLE}; echo 'oracle hard nproc 0x40' > /etc/security/limits.d/30-oracle.conf"
PROMISED = ORACLE + r"""
echo 'oracle - nproc 3000' > /etc/security/limits.d/30-oracle.conf
printf '[Service]\nUser=oracle\nExecStart=/bin/sleep 100003\nLimitNPROC=2000\n' > /etc/systemd/system/db.service
systemctl daemon-reload; systemctl start db
"""
NO_EFFECT = "echo '[Service]\nLimitNOFILE=64k' > /etc/systemd/system/app.service.d/files.conf; systemctl daemon-reload; systemctl restart app"
PENDING = "printf '[Service]\nTasksMax=900\n' > /etc/systemd/system/ssh.service.d-new; mkdir /etc/systemd/system/ssh.service.d; " \
    "mv /etc/systemd/system/ssh.service.d-new /etc/systemd/system/ssh.service.d/tasks.conf"
GONE = r"""
cp /bin/sleep /usr/local/bin/worker
printf '[Service]\nExecStart=/usr/local/bin/worker 100004\n' > /etc/systemd/system/worker.service
systemctl daemon-reload; systemctl start worker
until [ "$(readlink /proc/$(systemctl show -P MainPID worker)/exe)" = /usr/local/bin/worker ]; do sleep 0.1; done
rm /usr/local/bin/worker
"""
BUS = "cp -p /usr/bin/dbus-daemon /usr/bin/dbus-daemon.dpkg-new; mv /usr/bin/dbus-daemon.dpkg-new /usr/bin/dbus-daemon"
# A supervised agent that starts a helper as start-stop-daemon does: its parent is process 1, and it is no leak.
SUPERVISED = r"""
systemctl stop supervisor
printf '#!/bin/sh\nstart-stop-daemon --start --oknodo --background --exec /usr/local/bin/helper -- 100006\nexec sleep 100007\n' > /usr/local/bin/agent
chmod 755 /usr/local/bin/agent; cp /bin/sleep /usr/local/bin/helper
printf '[program:agent]\ncommand=/usr/local/bin/agent\n' > /etc/supervisor/conf.d/agent.conf
systemctl start supervisor
until pgrep -x -f 'sleep 100007' > /dev/null && pgrep -x -f '/usr/local/bin/helper 100006' > /dev/null; do sleep 0.1; done
"""
# Six seconds: helpers that are only a little older than the main process are its own.
TWICE = SUPERVISED + r"""
until [ "$(ps -o etimes= -p "$(pgrep -x -f 'sleep 100007')")" -ge 6 ]; do sleep 0.1; done
systemctl kill --kill-whom=main --signal=KILL supervisor
until [ "$(systemctl show -P SubState supervisor)" = auto-restart ]; do sleep 0.1; done
systemctl restart supervisor   # a start would wait until RestartSec= is over
until [ "$(pgrep -c -x -f 'sleep 100007')" = 2 ]; do sleep 0.1; done
until [ "$(ps -o etimes= -p "$(pgrep -n -x -f 'sleep 100007')")" -ge 10 ]; do sleep 0.5; done   # a younger one may still become another program
"""
# Six seconds, as above.
LEFT = r"""
printf '[Service]\nExecStart=/bin/sh -c "sleep 100005 & wait"\nKillMode=process\nRestart=always\nRestartSec=6\n' > /etc/systemd/system/leaky.service
systemctl daemon-reload; systemctl start leaky
until pgrep -x -f 'sleep 100005' > /dev/null; do sleep 0.1; done
systemctl kill --kill-whom=main --signal=KILL leaky
until [ "$(pgrep -c -x -f 'sleep 100005')" = 2 ]; do sleep 0.1; done
"""
NEVER_CAME = r"""
mkdir -p /run/systemd/shutdown; touch /run/nologin
printf 'USEC=%d000000\nWARN_WALL=1\nMODE=reboot\n' "$(($(date +%s) - 7200))" > /run/systemd/shutdown/scheduled
"""
DOTTED = "echo '* * * * * root true' > /etc/cron.d/job.sh"
OUT_OF_ZONE = "echo TZ=Europe/Berlln > /etc/default/cron"


class Told(NamedTuple):
    """What is wrong, and what must be said: rules that warn or fail on this host alone."""

    broken: str
    rules: frozenset[str]
    suite: str  # of Debian


def _told(broken: str, rules: str = "", suite: str = "bookworm") -> Told:
    return Told(broken, frozenset("PH-" + rule for rule in rules.split()), suite)


HOSTS = {  # those that take longest first
    "twice": _told(TWICE, "ORP-001 ORP-002 SYS-006"),
    "left": _told(LEFT, "SYS-006"),
    "lookalike": _told(SUPERVISED),
    "newer": _told("", suite="trixie"),
    "clone1": _told(""),
    "clone2": _told(""),
    "leak1": _told(LEAK, "ZMB-001"),
    "leak2": _told(LEAK, "ZMB-001"),
    "crowd": _told(CROWD, "SYS-004"),
    "odd": _told(NO_EFFECT, "SYS-001"),
    "shanghai": _told(COPIED_ZONE, "TZ-001 TZ-002"),
    "berlin1": _told(BERLIN),
    "berlin2": _told(f"{BERLIN}; {CLOCK_OF_A_JOB}", "TZ-009"),
    "typo": _told(OUT_OF_ZONE, "TZ-004"),
    "locked": _told(LOCKED, "LIM-007"),
    "promised": _told(PROMISED, "LIM-003"),
    "pending": _told(PENDING, "SYS-003"),
    "gone": _told(GONE, "DEL-001", "trixie"),
    "bus": _told(BUS, "DEL-004"),
    "closed": _told(NEVER_CAME + DOTTED, "SES-006 CRN-002"),
}
CLONES = ("clone1", "clone2")
ACROSS = {  # rule of the fleet → hosts that each of its findings names
    "PH-FLT-001": [("odd",), ("pending",)],
    "PH-FLT-002": [("leak1", "leak2")],
    "PH-FLT-003": [("berlin1", "berlin2", "shanghai")],
    "PH-FLT-004": [CLONES],
}
