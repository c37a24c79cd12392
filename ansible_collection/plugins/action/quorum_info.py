# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a plan is applied: do the batches of the play leave every quorum group its majority, and whom must this host ask first?

Works on the controller alone. All batches are judged before the first host is changed, and again with each batch.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.helpers import pct_to_int

from ..module_utils.pidhygiene.remedies import plan as plans
from ..module_utils.pidhygiene.remedies import quorum
from .apply_plan import document_of


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("plan", "name"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        name = str(self._task.args.get("name") or task_vars.get("inventory_hostname", "localhost"))
        document = document_of(self._task.args)
        try:
            plans.check(document)
        except plans.NotAPlan as error:
            raise AnsibleActionFail("This is no plan: %s." % error)
        batch = [str(host) for host in task_vars.get("ansible_play_batch", [name])]
        hosts = [str(host) for host in task_vars.get("ansible_play_hosts_all", batch)]
        for reason in plans.batches_refused(document, [*batches(hosts, _serial(self._task)), batch]):
            raise AnsibleActionFail("Refused: %s (pidhygiene_serial=1); nothing was changed." % reason)
        known = [str(host) for host in task_vars.get("groups", {}).get("all", [])]
        groups = plans.groups_of(document, name)
        for group in groups:
            new = sorted(host for host in known if quorum.matches(group.patterns, host) and host not in group.voters)
            if new:
                raise AnsibleActionFail("Refused: %s of the inventory would vote in %s, but the plan does not know of it: audit it, and make a new plan." % (
                    ", ".join(new), group.name))
        ask = [
            {"group": group.name, "voter": voter, "units": list(group.units), "probe": group.probe,
             "acting": voter in batch and voter in plans.acting(document, group.name)}
            for group in groups for voter in group.voters if voter != name
        ]
        return {"changed": False, "ask": ask, "groups": [group.name for group in groups]}


def _serial(task: Any) -> list[Any]:
    """Of the play that the task stands in; nothing where it cannot be told, and then each batch is judged when it comes."""
    place = task
    while place is not None and getattr(place, "_play", None) is None:
        place = getattr(place, "_parent", None)
    return list(place._play.serial or []) if place is not None else []


def batches(hosts: list[str], serial: list[Any]) -> list[list[str]]:
    """As Ansible forms them: numbers or shares, the last one again and again; none: all at once."""
    found = []
    rest = list(hosts)
    for number in range(len(hosts)):
        size = pct_to_int(serial[min(number, len(serial) - 1)], len(hosts)) if serial else 0
        if size <= 0:
            size = len(rest)
        if rest:
            found.append(rest[:size])
        rest = rest[size:]
    return found
