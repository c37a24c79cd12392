"""What stands on many a host beside its task: log, time, mail, name service, watchers of all kinds, and a web server that forks ahead."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes, succeeds

APACHE = """
<IfModule mpm_prefork_module>
StartServers 140
MinSpareServers 120
MaxSpareServers 180
ServerLimit 200
MaxRequestWorkers 200
</IfModule>
"""
# An administrator's own daemon with a script as of old: systemd makes a unit of it.
SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: legacy
# Required-Start: $remote_fs
# Required-Stop: $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: an old daemon
### END INIT INFO
case $1 in
start) start-stop-daemon --start --background --make-pidfile --pidfile /run/legacy.pid --chuid www-data --exec /usr/local/bin/legacy -- 100000 ;;
stop) start-stop-daemon --stop --pidfile /run/legacy.pid ;;
restart) $0 stop; $0 start ;;
esac
"""


def start(host: LabHost) -> None:
    host.write("/etc/apache2/mods-available/mpm_prefork.conf", APACHE)
    host.write("/etc/init.d/legacy", SCRIPT, 0o755)
    host.write("/etc/monit/conf.d/cron", "check process cron matching \"/usr/sbin/cron\"\n  start program = \"/bin/systemctl start cron\"\n")
    host.shell("""
        cp /bin/sleep /usr/local/bin/legacy
        a2dismod -q mpm_event; a2enmod -q mpm_prefork
        systemctl daemon-reload
        update-rc.d legacy defaults
        systemctl restart apache2 monit
        systemctl start legacy fail2ban snmpd munin-node exim4 rsyslog named""", timeout=180)


def busy(host: LabHost) -> bool:
    return processes(host, "apache2") >= 135 and succeeds(host, "fail2ban-client", "ping") and succeeds(host, "pgrep", "-x", "legacy")


RECIPE = Recipe("daemons", "bookworm", (
    "rsyslog", "fail2ban", "monit", "munin-node", "snmpd", "exim4-daemon-light", "apache2", "bind9", "keepalived", "lldpd", "avahi-daemon",
    "unattended-upgrades", "collectd-core", "logrotate"), start, busy)
