# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host counts as a voter of a quorum group now: its units run, its probe is answered, nobody is changing it. Looks only, no child."""

import os
import re
import time
import urllib.error
import urllib.request
from typing import Any, Iterator, Sequence

from ..host import HostError
from ..policy import PROBE
from . import manager
from .apply import LOCK
from .model import Failed

ANSWER_S = 5.0  # a voter that takes longer to answer its own probe is none
REJOIN_S = 180.0  # after a restart, until it counts again
LISTENING = "0A"  # TCP_LISTEN, include/net/tcp_states.h
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def problem(units: Sequence[str], probe: str, alone: bool = False) -> str:
    """Why it does not count, as the rest of a sentence; empty when it does. ``alone``: whoever asks is itself the one who changes this host."""
    for found in _problems(units, probe, alone):
        return found
    return ""


def _problems(units: Sequence[str], probe: str, alone: bool) -> Iterator[str]:
    if not alone and being_changed():
        yield "is being changed by another remedy"
    for unit in units:
        state = _state(unit)
        if state != "active":
            yield "is no voter: %s is %s" % (unit, state)
    if probe:
        said = _probed(probe)
        if said:
            yield "is no voter: %s %s" % (probe, said)


def wait(units: Sequence[str], probe: str, patience_s: float = REJOIN_S) -> str:
    """The same, once it counts again or has had its time; a unit that has ended does not come back by itself."""
    deadline = time.monotonic() + patience_s
    while True:
        found = problem(units, probe, alone=True)
        if not found or time.monotonic() > deadline or any(_state(unit) in ("failed", "inactive") for unit in units):
            return found
        time.sleep(0.5)


def _state(unit: str) -> str:
    try:
        return str(manager.properties(("ActiveState",), unit).get("ActiveState") or "unknown to systemd")
    except HostError as error:
        return "unknown (%s: %s)" % (error.path, error.reason)
    except Failed as error:
        return "unknown (%s)" % error


def being_changed() -> bool:
    """Whether somebody holds the lock of remedies: as /proc/locks tells it, so that asking is in nobody's way."""
    try:
        found = os.stat(LOCK)
        with open("/proc/locks") as stream:
            held = stream.read()
    except OSError:
        return False
    return bool(re.search(r" FLOCK .* %02x:%02x:%d " % (os.major(found.st_dev), os.minor(found.st_dev), found.st_ino), held))


def _probed(probe: str) -> str:
    if not re.match(PROBE, probe):
        return "is no probe"
    kind, _colon, rest = probe.partition(":")
    return _listens(int(rest)) if kind == "tcp" else _answers(probe)


def _listens(port: int) -> str:
    for table in TABLES:
        try:
            with open(table) as stream:
                rows = [line.split() for line in stream.readlines()[1:]]
        except OSError:  # no IPv6
            continue
        if any(row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port for row in rows):
            return ""
    return "is not listened on"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def _answers(address: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    try:
        with opener.open(address, timeout=ANSWER_S) as answer:
            return "" if 200 <= answer.getcode() < 300 else "answers %d" % answer.getcode()
    except urllib.error.HTTPError as error:
        return "answers %d" % error.code
    except (OSError, ValueError) as error:
        return "does not answer (%s)" % getattr(error, "reason", error)
    except Exception as error:  # http.client: what answers there speaks no HTTP
        return "does not answer as HTTP (%s)" % type(error).__name__
