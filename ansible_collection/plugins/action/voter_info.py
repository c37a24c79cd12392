# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a host whether it counts as a voter now. One that cannot be asked does not: that is an answer, and no error."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

MODULE = "pidhygiene.host.voter_info"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars or {})
        try:
            answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=dict(self._task.args), task_vars=task_vars)
        except AnsibleError as error:
            return _down(str(error))
        except BaseException as error:  # the time-out of the task is no Exception, so that nobody swallows it by chance
            if "Timeout" not in type(error).__name__:
                raise
            return _down("no answer in %s s" % self._task.timeout)
        if answer.get("unreachable") or answer.get("failed") or not isinstance(answer.get("up"), bool):
            return _down(str(answer.get("msg") or "it gave no answer"))
        return answer


def _down(why: str) -> dict[str, Any]:
    lines = why.strip().splitlines()
    return {"changed": False, "up": False, "why": "cannot be asked (%s)" % (lines[0] if lines else "it gave no answer")}
