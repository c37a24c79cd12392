"""What administrators do on any host, so that a recording is not of a host that nobody has ever touched."""

from __future__ import annotations

from ..host import LabHost

FILES = {
    # limits for people, and for root; those of services are in their units
    "/etc/security/limits.d/50-people.conf": "# people build things\n* soft nofile 8192\n* hard nofile 16384\nroot soft nofile 8192\n@adm - nproc 20000\n",
    "/etc/systemd/system/ssh.service.d/override.conf": "[Service]\nLimitNOFILE=8192:16384\n",
    "/etc/systemd/system/cron.service.d/10-tasks.conf": "[Service]\nTasksMax=2000\n",
    "/etc/systemd/system/cron.service.d/20-tasks.conf": "[Service]\nTasksMax=4000\n",
    "/etc/systemd/system/tidy.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/find /tmp -mtime +9 -delete\n",
    "/etc/systemd/system/tidy.timer": "[Timer]\nOnCalendar=daily\nPersistent=true\n[Install]\nWantedBy=timers.target\n",
    "/etc/sysctl.d/60-site.conf": "kernel.pid_max = 4194304\n",
    # cron: a job, what an update set aside, an editor's copy, a comment without an end of line
    "/etc/cron.d/site": "MAILTO=root\nPATH=/usr/bin:/bin\n17 4 * * * root find /var/tmp -mtime +9 -delete\n@reboot root true\n",
    "/etc/cron.d/site.dpkg-old": "17 4 * * * root find /var/tmp -mtime +5 -delete\n",
    "/etc/cron.d/site~": "17 4 * * * root find /var/tmp -mtime +7 -delete\n",
    "/etc/cron.daily/README.txt": "Scripts in here run daily.\n",
    "/etc/profile.d/site.sh": "export EDITOR=vi\numask 027\n",
}
SCRIPT = """
groupadd -f adm
useradd --create-home --shell /bin/bash --groups adm keeper
echo 'keeper ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/keeper
echo '15 * * * * /bin/true' | crontab -u keeper -
ln -sf /usr/share/zoneinfo/Europe/Berlin /etc/localtime
[ ! -e /etc/timezone ] || echo Europe/Berlin > /etc/timezone
systemctl daemon-reload
systemctl restart ssh cron systemd-journald
systemctl enable --quiet --now tidy.timer
sysctl -q -p /etc/sysctl.d/60-site.conf
"""


def live_here(host: LabHost) -> None:
    for path, text in FILES.items():
        host.write(path, text)
    host.shell(SCRIPT)
    host.write("/opt/errand.sh", "sudo -n true; nohup sleep 50000 > /dev/null 2>&1 < /dev/null & mkdir -p ~/bin; cp /bin/sleep ~/bin/tool; ~/bin/tool 50000 &\n"
               "sleep 0.5; cp /bin/sleep ~/bin/new; mv ~/bin/new ~/bin/tool; exit 0\n")
    host.run(["runuser", "-l", "keeper", "-c", "setsid -f sh /opt/errand.sh > /dev/null 2>&1 < /dev/null"])
