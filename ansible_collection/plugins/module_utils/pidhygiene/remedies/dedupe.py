# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dedupe: of a service that runs twice, the leaked processes end, and the managed ones stay.

Only what an audit names at this moment is ended (PH-ORP-001, PH-ORP-002, PH-ORP-005, PH-SYS-006), only with a live managed twin, and never the
only one that listens on a port.
"""

import os
from typing import Any, Dict, List, Optional, Set

from ..host import Host
from ..text import shown
from . import judged
from .model import Parameter, Proposal, Refused, Remedy
from .running import EndProcesses

RULES = ("PH-ORP-001", "PH-ORP-002", "PH-ORP-005", "PH-SYS-006")
LISTENS = "0A"  # TCP_LISTEN, in /proc/net/tcp

PARAMETERS = (
    Parameter("keep", "number", "Pid of the managed instance, which stays.", required=True),
    Parameter("end", "text", "Pids of the leaked ones, with commas between them, as the finding names them.", required=True),
)


def pids_of(text: str) -> List[int]:
    """Errors: Refused."""
    found = []
    for word in text.replace(" ", ",").split(","):
        if word and not (word.isdigit() and 1 < int(word) < 2 ** 22):
            raise Refused("end must be pids with commas between them, not %r" % text)
        if word:
            found.append(int(word))
    if not found:
        raise Refused("end names no process")
    return found


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    wanted = pids_of(given["end"])
    if given["keep"] in wanted:
        raise Refused("process %d can either stay or end" % given["keep"])
    evidence, found = judged.findings(host, RULES, ("processes", "details"))
    table = evidence.processes.processes
    alive = [pid for pid in wanted if pid in table and not table[pid].zombie]
    if not alive:
        return Proposal((), ("none of these processes is there any more",))
    named = _named(found, given["keep"])
    strangers = [pid for pid in alive if pid not in named]
    if strangers:
        raise Refused("the audit does not name %s (%s) as a copy of %d now: audit again, and look at what it is" % (
            strangers[0], shown(table[strangers[0]].comm), given["keep"]))
    if given["keep"] not in table or table[given["keep"]].zombie:
        raise Refused("the instance that should stay (%d) is not there: nothing would serve; start it through its manager first" % given["keep"])
    for pid in alive:
        ports = _listening(pid) - _listening(given["keep"])
        if ports:
            raise Refused("process %d alone listens on port %s: it serves somebody; find out who, and move them first" % (pid, ", ".join(sorted(ports))))
    return Proposal((EndProcesses([table[pid] for pid in alive], "a copy of %d, which is managed" % given["keep"]),))


def _named(found: Any, keep: int) -> Set[int]:
    return {pid for each in judged.proposed(found, "dedupe") if each.get("keep") == keep for pid in pids_of(str(each.get("end") or "0"))}


def _listening(pid: int) -> Set[str]:
    """Ports on which the process listens (TCP), as text. Nothing for one that has gone."""
    sockets = set()
    try:
        for name in os.listdir("/proc/%d/fd" % pid):
            target = _link("/proc/%d/fd/%s" % (pid, name))
            if target and target.startswith("socket:["):
                sockets.add(target[len("socket:["):-1])
    except OSError:
        return set()
    ports: Set[str] = set()
    for family in ("tcp", "tcp6"):
        try:
            with open("/proc/%d/net/%s" % (pid, family)) as stream:
                rows = [line.split() for line in stream.readlines()[1:]]
        except OSError:
            continue
        ports.update(str(int(row[1].rpartition(":")[2], 16)) for row in rows if len(row) > 9 and row[3] == LISTENS and row[9] in sockets)
    return ports


def _link(path: str) -> Optional[str]:
    try:
        return os.readlink(path)
    except OSError:
        return None


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    evidence, found = judged.findings(host, RULES, ("processes",))
    table = evidence.processes.processes
    named = _named(found, given["keep"])
    problems = ["process %d still runs" % pid for pid in pids_of(given["end"]) if pid in table and not table[pid].zombie and pid in named]
    if given["keep"] not in table or table[given["keep"]].zombie:
        problems.append("the instance that should stay (%d) is gone" % given["keep"])
    return problems


REMEDY = Remedy("dedupe", "Leaked copies of a service end, the managed one stays", PARAMETERS, propose, verify)
