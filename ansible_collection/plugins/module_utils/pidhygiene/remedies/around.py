# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several remedies look at before they act: the evidence they need, all of it; and where they themselves run."""

from typing import Sequence, Set

from ..evidence import Evidence, gather
from ..host import Host


def gathered(host: Host, sources: Sequence[str]) -> Evidence:
    """Errors: HostError for a source that could not be read at all."""
    evidence = gather(host, sources)
    for source in sources:
        if source in evidence.unseen:
            raise evidence.unseen[source]
    return evidence


def own_units(evidence: Evidence, host: Host) -> Set[str]:
    """Units of this process and of those it descends from."""
    found: Set[str] = set()
    table, pid = evidence.processes.processes, host.machine().own_pid
    while pid in table and pid > 1:
        detail = evidence.details.of.get(pid)
        if detail is not None and detail.unit:
            found.add(detail.unit)
        pid = table[pid].ppid
    return found
