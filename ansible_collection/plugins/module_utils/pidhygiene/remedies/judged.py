# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules say of the host now: a remedy for processes acts only on what an audit would still name at this moment."""

from typing import Any, Iterator, List, Sequence, Tuple

from ..audit import judge, needed
from ..evidence import Evidence, gather
from ..host import Host
from ..model import FAIL, WARN, Finding
from ..policy import Policy
from ..rules.catalogue import select


def findings(host: Host, rules: Sequence[str], more: Sequence[str] = (), statuses: Sequence[str] = (WARN, FAIL)) -> Tuple[Evidence, List[Finding]]:
    """The evidence, and what these rules warn of or fail for. ``more``: further evidence by name."""
    chosen = select(rules)
    evidence = gather(host, needed(chosen) + list(more))
    errors: List[str] = []
    found = [finding for rule in chosen for finding in judge(rule, evidence, Policy(), errors).findings if finding.status in statuses]
    return evidence, found


def proposed(found: Sequence[Finding], remedy: str) -> Iterator[Any]:
    """The parameters with which they propose this remedy."""
    for finding in found:
        if finding.remedy is not None and finding.remedy.state == remedy:
            yield dict(finding.remedy.parameters)
