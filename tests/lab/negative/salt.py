"""A salt-master and its minion on one host, with jobs under way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ..host import LabHost
from ..tree import Tree, with_layer
from .recipe import Recipe, processes, wait_until

SALT = "salt==3008.3"
PYTHON = (3, 11)  # bookworm's: what another Python's pip installs does not run there
MASTER = "interface: 127.0.0.1\nauto_accept: True\nworker_threads: 50\nuser: root\nenable_fqdns_grains: False\ntimeout: 60\n"
MINION = "master: 127.0.0.1\nid: here\nenable_fqdns_grains: False\nacceptance_wait_time: 1\nuser: root\n"
PROGRAM = "#!/usr/bin/python3\nimport sys\nsys.path.insert(0, '/opt/salt')\nfrom salt.scripts import {0}\n{0}()\n"
UNIT = """[Unit]
Description=The {0}
[Service]
Type=notify
NotifyAccess=all
KillMode=process
LimitNOFILE=8192
ExecStart=/usr/bin/{0}
[Install]
WantedBy=multi-user.target
"""  # as the project ships them


def layer(below: Tree) -> Tree:
    if sys.version_info[:2] != PYTHON:
        raise RuntimeError("bookworm has Python 3.11, so only that Python can install Salt for it")

    def install(place: Path) -> None:
        subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", str(place / "opt/salt"), SALT],
                       check=True, capture_output=True)

    return with_layer(below, [SALT], install)


def start(host: LabHost) -> None:
    host.write("/etc/salt/master", MASTER)
    host.write("/etc/salt/minion", MINION)
    for name in ("salt-master", "salt-minion", "salt"):
        host.write(f"/usr/bin/{name}", PROGRAM.format("salt_main" if name == "salt" else name.replace("-", "_")), 0o755)
    for name in ("salt-master", "salt-minion"):
        host.write(f"/usr/lib/systemd/system/{name}.service", UNIT.format(name))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "enable", "--quiet", "--now", "salt-master", "salt-minion"], timeout=120)
    wait_until(host, "the minion's answer", lambda: "True" in host.run(["salt", "-t", "5", "here", "test.ping"], check=False).stdout)
    for _ in range(5):
        host.run(["salt", "--async", "here", "test.sleep", "600"])
    host.run(["systemctl", "restart", "salt-minion"], timeout=120)  # as an update does it: the jobs live on
    wait_until(host, "the minion's answer", lambda: "True" in host.run(["salt", "-t", "5", "here", "test.ping"], check=False).stdout)
    host.run(["systemd-run", "--unit=orders", "sh", "-c", "for n in $(seq 40); do salt -t 900 here test.sleep 600 & done; wait"])


def busy(host: LabHost) -> bool:
    return processes(host, "-f", "/usr/bin/salt-m") >= 90 and processes(host) >= 150


RECIPE = Recipe("salt", "bookworm", (), start, busy, layer)
