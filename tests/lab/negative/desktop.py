"""People: lingering managers, session buses, sound, virtual folders, terminals that outlive their logins, agents of ssh."""

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
"""


def person(number: int) -> str:
    return f"person{number}"


def start(host: LabHost) -> None:
    host.write("/opt/session.sh", SESSION)
    for number in range(PEOPLE):
        name = person(number)
        host.shell(f"""
            useradd --create-home --shell /bin/bash {name}
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
