# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that were killed in the last day because they did not stop in time, as dockerd and podman say it in the log.

dockerd (daemon/stop.go) names the container by its id, podman (libpod) by its name. What containerd and the kubelet log of a kill does
not tell whether there was a SIGTERM and a wait before it.
"""

from typing import Optional, Tuple

from ..host import Host
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import logs

MATCHES = ("_SYSTEMD_UNIT=docker.service", "SYSLOG_IDENTIFIER=dockerd", "SYSLOG_IDENTIFIER=podman")
CONTAINS = ("using the force", "resorting to sigkill")
TEXT_LOGS = ("/var/log/syslog", "/var/log/messages", "/var/log/daemon.log")

_DOCKER = pattern(
    r"ontainer (?P<old>[0-9a-f]{64})? ?failed to exit within (?P<wait>[0-9]+)[ s].{0,40}using the force(?:.{0,200}?container=(?P<new>[0-9a-f]{64}))?")
_PODMAN = pattern(r"failed to stop container (?P<name>[\w.-]{1,200}) in (?P<wait>[0-9]+) seconds, resorting to SIGKILL")


class Killed(NamedTuple):
    at: Optional[float]  # seconds since the epoch; None where the log does not tell it exactly
    runtime: str  # docker, podman
    container: str  # id of docker's, name of podman's
    waited_s: int
    message: str


class StopKills(NamedTuple):
    killed: Tuple[Killed, ...]  # newest first
    complete: bool  # whether the whole day was looked through
    gaps: Tuple[Gap, ...]


def read(host: Host) -> StopKills:
    """Never raises."""
    log = logs.read(host, MATCHES, CONTAINS, TEXT_LOGS)
    if log.entries is not None:
        found = [classify(entry.get("MESSAGE", ""), float(entry["at"])) for entry in log.entries]
    else:  # the same line may stand in another log
        found = [classify(line, None) for _path, each in log.lines[:1] for line in reversed(each)]
    return StopKills(tuple(each for each in found if each is not None), log.complete, log.gaps)


def classify(message: str, at: Optional[float]) -> Optional[Killed]:
    """None as well for a stop that did not mean to wait."""
    for runtime, sentence in (("docker", _DOCKER), ("podman", _PODMAN)):
        match = sentence.search(message)
        if match is not None:
            named = match.groupdict()
            container = named.get("name") or named.get("old") or named.get("new") or ""
            waited = int(named["wait"])
            return Killed(at, runtime, container, waited, message) if container and waited else None
    return None
