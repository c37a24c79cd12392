# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process can start at all on this host now: where it cannot, many cures are the wrong ones."""

from typing import Any, Optional

from .. import headroom
from .model import Refused

FEW = 16  # process numbers: with fewer left, systemd can neither run its generators nor start anything


def crowded(evidence: Any) -> Optional[headroom.Budget]:
    """The budget of the whole machine that is all but used up; None when there is room."""
    for budget in (headroom.pid_numbers(evidence), headroom.all_threads(evidence)):
        if budget is not None and budget.free < FEW:
            return budget
    return None


def refuse_crowded(evidence: Any) -> None:
    """Errors: Refused."""
    budget = crowded(evidence)
    if budget is not None:
        raise Refused("%s: no process can start now, and a reload of systemd starts some; make room first (stop the unit that leaks, or raise the limit)"
                      % budget.text())
