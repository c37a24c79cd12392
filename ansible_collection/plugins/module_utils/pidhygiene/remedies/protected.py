# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that are not restarted without being told so: they hold other people's work, or the way in."""

from .model import Refused

PROTECTED = ("postgresql", "mysql", "mariadb", "oracle", "mongod", "kubelet", "containerd", "docker", "crio", "salt-minion", "ssh", "sshd", "pacemaker",
             "corosync", "dbus", "dbus-broker", "systemd-logind", "NetworkManager", "libvirtd")


def refuse_protected(unit: str, told: bool, otherwise: str) -> None:
    """Errors: Refused. ``otherwise``: what to do in its place."""
    if unit.rpartition(".")[0].partition("@")[0] in PROTECTED and not told:
        raise Refused("%s is not restarted without being told so (it is a database, a container engine, or what people log in with): set "
                      "restart_protected, or %s" % (unit, otherwise))
