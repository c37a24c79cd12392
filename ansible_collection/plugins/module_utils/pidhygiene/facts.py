# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet compares, also when all is well: every PH-FLT rule is computed from these alone.

Values are provenance and configuration; numbers that move belong to measures.py.
"""

from typing import Any, Dict

SOURCES = ("budgets",)


def collect(evidence: Any) -> Dict[str, Any]:
    found: Dict[str, Any] = {}
    if evidence.has("budgets"):
        found["kernel"] = {"pid_max": evidence.budgets.pid_max, "threads_max": evidence.budgets.threads_max}
    return found
