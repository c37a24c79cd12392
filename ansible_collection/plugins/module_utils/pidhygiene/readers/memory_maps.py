# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many memory maps the largest processes have: a thread needs one or two, and vm.max_map_count bounds them.

Only processes whose address space could hold so many are read; the others cannot be near the limit.
"""

from typing import Dict, List, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple
from .kernel_budgets import KernelBudgets
from .processes import ProcessTable, still_stuck

NEAR = 0.5  # of the limit: below this a process is not worth its reading
MAPS_LIMIT = 64 * 1024 * 1024  # bytes of one /proc/PID/maps
LOOKED_AT = 50


class MemoryMaps(NamedTuple):
    maps: Dict[int, int]  # pid to maps, of the processes that could be near the limit
    gaps: Tuple[Gap, ...]


def read(host: Host, table: ProcessTable, budgets: KernelBudgets) -> MemoryMaps:
    """Never raises. Tasks in state D are passed over: their maps may be locked."""
    count: Dict[int, int] = {}
    gaps: List[Gap] = []
    if not budgets.max_map_count:
        return MemoryMaps({}, ())
    least = int(budgets.max_map_count * NEAR) * table.machine.page_size
    large = sorted((process for process in table.live() if process.vsize >= least), key=lambda process: (-process.threads, process.pid))
    for process in large[:LOOKED_AT]:
        path = "/proc/%d/maps" % process.pid
        if still_stuck(host, process):
            gaps.append(Gap(path, "not read: the task is in state D"))
            continue
        try:
            count[process.pid] = host.read(path, MAPS_LIMIT).count(b"\n")
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(path, error.reason))
    return MemoryMaps(count, tuple(gaps))
