# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet remembers: one file of SQLite, or PostgreSQL by URL."""

from .errors import NoSuchRun, NotKept, Refused, StoreError, StoreTooNew, StoreUnavailable
from .intake import Account, Intake
from .opening import DEFAULT
from .retention import Pruned
from .rows import Brood, FindingHistory, Headroom, RuleCount, Run, Sample
from .store import Store

__all__ = [
    "DEFAULT", "Account", "Brood", "FindingHistory", "Headroom", "Intake", "NoSuchRun", "NotKept", "Pruned", "Refused",
    "RuleCount", "Run", "Sample", "Store", "StoreError", "StoreTooNew", "StoreUnavailable",
]
