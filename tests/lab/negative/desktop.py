"""People: lingering managers with units and timers of their own, session buses, sound, virtual folders, terminals that outlive logins, agents of ssh."""

from __future__ import annotations

import subprocess

from ..host import LabHost
from .recipe import Recipe, processes

PEOPLE = 10
SESSION = r"""
set -eu
export XDG_RUNTIME_DIR=/run/user/$(id -u) DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u)/bus
tmux new-session -d -s work 'vmstat 5'; tmux new-window -t work 'sleep 100000'
screen -dmS old sh -c 'sleep 100000'
setsid -f ssh-agent -D -a "$HOME/agent" > /dev/null 2>&1 < /dev/null
gio list trash:/// > /dev/null 2>&1 || true
systemctl --user start pipewire wireplumber
nohup sleep 50000 > /dev/null 2>&1 < /dev/null &
systemctl --user daemon-reload
systemctl --user enable --quiet --now tidy.timer sync.service share.service
sleep 6
systemctl --user restart sync share
"""
# What people keep in ~/.config/systemd/user
OWN_UNITS = {
    "tidy.timer": "[Timer]\nOnCalendar=daily\nPersistent=true\n[Install]\nWantedBy=timers.target\n",
    "tidy.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/find %h/tmp -mtime +9 -delete\n",
    "sync.service": "[Service]\nRestart=on-failure\nLimitNOFILE=2048:4096\nTasksMax=200\n"
                    "ExecStart=/bin/sh -c 'sleep 60000 & exec sleep 50000'\n[Install]\nWantedBy=default.target\n",
    "sync.service.d/10-limits.conf": "[Service]\nLimitNOFILE=3000:4096\n",
    "sync.service.d/20-limits.conf": "[Service]\nLimitNOFILE=4000:4096\n",
    # its first process ends, the manager adopts the second
    "share.service": "[Service]\nType=forking\nPIDFile=%t/share.pid\nKillMode=process\n"
                     "ExecStart=/bin/sh -c 'sleep 40000 & echo $! > %t/share.pid'\n[Install]\nWantedBy=default.target\n",
}


def person(number: int) -> str:
    return f"person{number}"


def start(host: LabHost) -> None:
    host.write("/opt/session.sh", SESSION)
    for number in range(PEOPLE):
        name = person(number)
        host.shell(f"useradd --create-home --shell /bin/bash {name}")
        for path, text in OWN_UNITS.items():
            host.write(f"/home/{name}/.config/systemd/user/{path}", text)
        host.shell(f"""
            chown -R {name}: /home/{name}/.config
            install -d -m 700 -o {name} /home/{name}/.ssh
            install -m 600 -o {name} /root/.ssh/authorized_keys /home/{name}/.ssh/authorized_keys
            loginctl enable-linger {name}""")
    for number in range(PEOPLE):
        done = subprocess.run(host.ssh_command("sh", "/opt/session.sh", user=person(number)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    for number in range(6):  # logins that are open while the host is recorded; they end with it
        subprocess.Popen(host.ssh_command("sleep", "600", user=person(number)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def busy(host: LabHost) -> bool:
    return processes(host, "-x", "pipewire") >= PEOPLE and processes(host, "-f", "^sshd: person.*@notty") >= 6 and processes(host, "gvfsd") >= PEOPLE


RECIPE = Recipe("desktop", "bookworm", ("dbus-user-session", "tmux", "screen", "gvfs", "pipewire", "wireplumber", "libglib2.0-bin", "openssh-client"), start, busy)
