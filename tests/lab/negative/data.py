"""Databases and queues of many threads, and two kinds of monitoring that look at them."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes, succeeds, unit

CLIENTS = """
import socket, threading, time
def ask(port, text):
    while True:
        with socket.create_connection(("127.0.0.1", port)) as line:
            for _ in range(1000):
                line.sendall(text)
                line.recv(65536)
                time.sleep(0.2)
for number in range(40):
    threading.Thread(target=ask, args=((6379, b"PING\\r\\n"), (11211, b"version\\r\\n"))[number % 2]).start()
"""


def start(host: LabHost) -> None:
    host.shell("""
        sed -i -E 's/^#? ?StartAgents=.*/StartAgents=100/' /etc/zabbix/zabbix_agentd.conf
        grep -q '^StartAgents=100' /etc/zabbix/zabbix_agentd.conf || echo StartAgents=100 >> /etc/zabbix/zabbix_agentd.conf
        systemctl restart mariadb redis-server memcached rabbitmq-server prometheus-node-exporter zabbix-agent""", timeout=180)
    host.write("/opt/clients.py", CLIENTS)
    unit(host, "clients", "[Service]\nDynamicUser=yes\nExecStart=/usr/bin/python3 /opt/clients.py\n")
    for number in range(25):
        unit(host, f"shop{number}", "[Service]\nUser=mysql\nExecStart=/bin/sh -c 'while :; do mariadb -e \"select sleep(2)\" > /dev/null; done'\n")


def busy(host: LabHost) -> bool:
    return processes(host, "zabbix_agentd") >= 100 and processes(host, "-x", "mariadb") >= 10 and succeeds(host, "rabbitmqctl", "-q", "status")


RECIPE = Recipe("data", "trixie", ("mariadb-server", "redis-server", "memcached", "rabbitmq-server", "prometheus-node-exporter", "zabbix-agent"), start, busy)
