"""A database with connections through a pool and past it, and autovacuum that never rests."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes, succeeds, unit

SETTINGS = """
max_connections = 300
autovacuum_naptime = 1s
autovacuum_max_workers = 5
autovacuum_vacuum_threshold = 1
"""
POOL = """
[databases]
bench = host=/var/run/postgresql dbname=bench user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6432
unix_socket_dir = /var/run/postgresql
auth_type = any
pool_mode = session
default_pool_size = 80
pidfile = /var/run/postgresql/pgbouncer.pid
logfile = /var/log/postgresql/pgbouncer.log
"""
CLIENT = """[Unit]
Description=Clients of the database
[Service]
User=postgres
ExecStart=/usr/bin/pgbench -n -h %s -p %d -c %d -j 2 -T 100000 -R 20 bench
"""
SOCKET = "/var/run/postgresql"


def start(host: LabHost) -> None:
    host.write("/etc/postgresql/15/main/conf.d/bench.conf", SETTINGS)
    host.write("/etc/pgbouncer/pgbouncer.ini", POOL)
    host.shell("""
        systemctl restart postgresql@15-main
        runuser -u postgres -- createdb bench
        runuser -u postgres -- pgbench -q -i -s 2 bench
        systemctl restart pgbouncer""", timeout=120)
    unit(host, "direct", CLIENT % (SOCKET, 5432, 80))
    unit(host, "pooled", CLIENT % (SOCKET, 6432, 70))


def busy(host: LabHost) -> bool:
    return processes(host, "-f", "^postgres: 15/main: postgres bench") >= 145 and succeeds(
        host, "runuser", "-u", "postgres", "--", "psql", "-qAt", "-c", "select 1", "bench")


RECIPE = Recipe("postgres", "bookworm", ("postgresql", "postgresql-contrib", "pgbouncer"), start, busy)
