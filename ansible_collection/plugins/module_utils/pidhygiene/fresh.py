# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For processes that outlive an update of the engine: a Salt minion keeps what it imported until it restarts.

Every Salt adapter calls ``refresh()`` before it imports the engine; the loader runs adapters anew after saltutil.sync_all,
so the first job after an update runs the new engine (saltstack/salt issue 15233).
"""

import os
import sys
from typing import Tuple

_PACKAGE = __name__.rpartition(".")[0]
_HERE = os.path.dirname(os.path.abspath(__file__))

Stamp = Tuple[Tuple[str, int, int], ...]


def stamp(folder: str = _HERE) -> Stamp:
    """Path, modification time (ns) and size of every source file of the engine; a file that vanishes meanwhile is left out."""
    found = []
    for place, _folders, names in os.walk(folder):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(place, name)
                try:
                    status = os.stat(path)
                except OSError:
                    continue
                found.append((path, status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))


_AT_IMPORT = stamp()


def refresh() -> bool:
    """Forget the engine when its files have changed since it was imported; the next import reads them. Whether it did."""
    if stamp() == _AT_IMPORT:
        return False
    for name in list(sys.modules):
        if name == _PACKAGE or name.startswith(_PACKAGE + "."):
            del sys.modules[name]
    return True
