# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the plan on the controller and sends a host what it says of that host, nothing of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

MODULE = "pidhygiene.host.apply_plan"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if "plan" not in arguments:
            raise AnsibleActionFail("plan is missing: the file that pidhygiene plan wrote")
        name = str(arguments.get("name") or task_vars.get("inventory_hostname", "localhost"))
        plan = arguments["plan"]
        document = plan if isinstance(plan, dict) else read(Path(str(plan)).expanduser())
        hosts = document.get("hosts")
        if isinstance(hosts, dict) and name not in hosts:
            return {"changed": False, "skipped": True, "outcomes": [], "remaining": [], "msg": "the plan says nothing of %s" % name}
        sent = dict(document, hosts={name: hosts[name]}) if isinstance(hosts, dict) else document
        answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=dict(arguments, plan=sent, name=name), task_vars=task_vars)
        return answer


def read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnsibleActionFail("The plan %s cannot be read: %s." % (path, error.strerror))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AnsibleActionFail("The plan %s is no YAML: %s" % (path, error))
    if not isinstance(document, dict):
        raise AnsibleActionFail("%s is no plan: pidhygiene plan writes one." % path)
    return {key: _text(value) for key, value in document.items()}


def _text(value: Any) -> Any:
    """Times that YAML has made of text are text again."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "strftime") else value
