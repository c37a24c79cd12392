# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the rules that only many hosts together can be judged by. The judging is the controller's; here they are listed beside the others.

For people at a desk: no audit imports this.
"""

from .model import CRIT, HIGH, MED
from .record import NamedTuple


class FleetRule(NamedTuple):
    id: str
    title: str
    severity: str  # of the worst case
    because: str  # why that severity


FLEET_RULES = (
    FleetRule("PH-FLT-001", "Effective limits differ inside a group", MED, "the same service fails on some hosts only, and nobody sees why"),
    FleetRule("PH-FLT-002", "Zombie outliers and software-wide leaks", HIGH, "one defect of a program is repaired once, not host by host"),
    FleetRule("PH-FLT-003", "Time split across hosts", HIGH, "the same job runs at another hour, and logs of one incident do not match"),
    FleetRule("PH-FLT-004", "Cloned identity", HIGH, "jobs go to the wrong host or to two, and one stolen key opens them all"),
    FleetRule("PH-FLT-005", "Half-restarted upgrade", HIGH, "old and new code serve side by side, and the patch is believed to be in force"),
    FleetRule("PH-FLT-006", "Quorum-safe remediation gate", CRIT, "a repair that takes the majority away is the outage"),
    FleetRule("PH-FLT-007", "tzdata and old zone names differ", HIGH, "a zone that does not resolve is UTC in silence"),
    FleetRule("PH-FLT-008", "Stale or blind reports", MED, "silence must not look healthy"),
    FleetRule("PH-FLT-009", "Restarts or reboots in the same minute across a quorum group", HIGH, "the majority is away at the same moment, as planned"),
)
BY_ID = {rule.id: rule for rule in FLEET_RULES}
