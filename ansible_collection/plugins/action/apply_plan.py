# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the plan on the controller and sends a host what it says of that host, nothing of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils.pidhygiene.remedies.plan import part_of, with_times_as_text

MODULE = "pidhygiene.host.apply_plan"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        document = document_of(arguments)
        name = str(arguments.get("name") or task_vars.get("inventory_hostname", "localhost"))
        hosts = document.get("hosts")
        if isinstance(hosts, dict) and name not in hosts:
            return {"changed": False, "skipped": True, "outcomes": [], "remaining": [], "msg": "the plan says nothing of %s" % name}
        try:
            sent = part_of(document, [name])
        except (AttributeError, KeyError, TypeError):
            sent = document  # the module says what is wrong with it
        if arguments.get("voters") is not None:
            arguments["voters"] = [_voter(row) for row in arguments["voters"]]
        answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=dict(arguments, plan=sent, name=name), task_vars=task_vars)
        return self._logged_in_anew(answer, dict(arguments, plan=sent, name=name), task_vars) if answer.get("armed") else answer

    def _logged_in_anew(self, answer: dict[str, Any], arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The proof that people can still log in is a login over a connection of its own; without it the host takes the change back."""
        try:
            self._connection.reset()
            confirmed: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=dict(arguments, confirm=True), task_vars=task_vars)
        except AnsibleError as error:
            confirmed = {"failed": True, "msg": str(error)}
        if not confirmed.get("failed") and not confirmed.get("unreachable"):
            return dict(answer, kept=confirmed.get("kept", []))
        self._connection._shell.tmpdir = None  # else its removal, over a login that does not work, is all that the task tells
        said = "No new login works after the change, which the host takes back after %s s: %s" % (arguments.get("revert_after"), confirmed.get("msg"))
        return dict(answer, failed=True, msg="; ".join(filter(None, [str(answer.get("msg") or ""), said])))


def document_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """The plan that is given, or that stands in the file that is given."""
    if "plan" not in arguments:
        raise AnsibleActionFail("plan is missing: the file that pidhygiene plan wrote")
    plan = arguments["plan"]
    return plan if isinstance(plan, dict) else read(Path(str(plan)).expanduser())


def _voter(row: Any) -> dict[str, Any]:
    """One answer of voter_info in a loop over what quorum_info returned, or the same in plain words."""
    if not isinstance(row, dict):
        raise AnsibleActionFail("voters must be what voter_info returned for each voter")
    item = row.get(str(row.get("ansible_loop_var", "item")))
    item = item if isinstance(item, dict) else row
    return {"group": str(item.get("group", "")), "name": str(item.get("voter") or item.get("name", "")), "up": row.get("up") is True,
            "why": str(row.get("why") or ""), "acting": item.get("acting") is True}


def read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnsibleActionFail("The plan %s cannot be read: %s." % (path, error.strerror))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AnsibleActionFail("The plan %s is no YAML: %s" % (path, error))
    if not isinstance(document, dict):
        raise AnsibleActionFail("%s is no plan: pidhygiene plan writes one." % path)
    return with_times_as_text(document)
