# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at the host that never raises: what is not there is nothing, what could not be seen is a gap besides."""

from typing import List, Optional

from ..host import Host, HostError, Missing
from ..model import Gap


def text(host: Host, path: str, gaps: List[Gap]) -> Optional[str]:
    """None: there is no such file, or it was not seen."""
    try:
        return host.read_text(path)
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return None


def names(host: Host, directory: str, gaps: List[Gap]) -> List[str]:
    try:
        return host.list(directory)
    except Missing:
        return []
    except HostError as error:
        gaps.append(Gap(directory, error.reason))
        return []
