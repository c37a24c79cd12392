"""A supervisord with many programs: pools, shells that exec, programs of several processes that are ended as a group."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes, succeeds

WORKER = """
import os, sys, time
if len(sys.argv) > 1:
    for _ in range(int(sys.argv[1])):
        if os.fork() == 0:
            break
while True:
    time.sleep(1)
    open("/dev/null").close()
"""
PROGRAMS = """[program:queue]
command=/usr/bin/python3 /opt/worker.py
process_name=%(program_name)s_%(process_num)02d
numprocs=90
user=www-data
autorestart=true

[program:pool]
command=/usr/bin/python3 /opt/worker.py 12
process_name=%(program_name)s_%(process_num)02d
numprocs=4
stopasgroup=true
killasgroup=true

[program:shell]
command=/bin/sh -c 'exec /usr/bin/python3 /opt/worker.py'
environment=SITE="one",SECRET="hunter2"
user=www-data

[program:tail]
command=/usr/bin/tail -F /var/log/supervisor/supervisord.log

[group:site]
programs=queue,shell
"""


def start(host: LabHost) -> None:
    host.write("/opt/worker.py", WORKER)
    host.run(["systemctl", "stop", "supervisor"])
    host.write("/etc/supervisor/conf.d/site.conf", PROGRAMS)
    host.run(["systemctl", "start", "supervisor"])


def busy(host: LabHost) -> bool:
    return processes(host, "-f", "/opt/worker.py") >= 140 and "STARTING" not in host.run(["supervisorctl", "status"], check=False).stdout and succeeds(
        host, "supervisorctl", "status")


RECIPE = Recipe("supervisor", "trixie", ("supervisor",), start, busy)
