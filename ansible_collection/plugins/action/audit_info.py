# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module on the host and writes the answer as one file as it arrives; also writes down why there was no answer."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..plugin_utils.render import folder as folders
from ..plugin_utils.render.folder import AUDITED, FAILED, UNREACHABLE, NotAResult
from ..plugin_utils.render.overview import status_of
from ..plugin_utils.shipping.payload import lighter

MODULE = "pidhygiene.host.audit_info"


class Hint(NamedTuple):
    """What a symptom most likely means, and what to do next."""

    symptom: str  # regular expression
    meaning: str
    next_step: str


NO_PROCESS = Hint(
    r"(?i)cannot fork|can.t fork|fork: |unable to fork|can.t start new thread|resource temporarily unavailable|no more processes|"
    r"cannot allocate memory|(exec|shell) request failed on channel|failed to create temporary directory",
    "possibly no process can start there",
    "use a shell that is still open, the console, or root in place of the user (its limit may be full); there, "
    "'exec python3 -m pidhygiene check' needs no further process; a minion of Salt that runs answers too",
)
HINTS = (
    NO_PROCESS,
    Hint(r"(?i)connection (reset|closed)|closed by remote|connection.* closed|banner exchange|kex_exchange",
         "the host answers but starts no session: possibly no process can start there, or its sshd refuses more logins",
         "log in on the console or as root; compare MaxStartups of its sshd; then audit again"),
    Hint(r"(?i)permission denied|authentication|host key verification|too many authentication",
         "the login was refused", "check user, key and known hosts of the inventory; a user at its own process limit is refused as well"),
    Hint(r"(?i)could not resolve|name or service not known|nodename nor servname", "the name does not resolve", "correct ansible_host in the inventory"),
    Hint(r"(?i)timed out|no route|network is unreachable|connection refused|host is down",
         "nothing answers at that address: the host or its sshd is down, or a firewall is between",
         "check that it is up; a host that answers ping but no login may be unable to start a process: use its console"),
    Hint(r"(?i)(python\S*|interpreter).*(not found|no such file)|No module named|discover_interpreter|SyntaxError",
         "no usable Python was found there", "set ansible_python_interpreter to a Python of 3.6 or newer on that host"),
    Hint(r"(?i)no space left|read-only file system", "the module could not be copied",
         "free space, or set ansible_remote_tmp to a writable folder such as /dev/shm"),
    Hint(r"(?i)sudo|become|password is required", "privileges could not be gained",
         "check become for that host, or audit without root and with a partial view"),
)
NO_TERMINAL = r"(?i)must have a tty|a terminal is required"
PIPELINING = ("ansible_pipelining", "ansible_ssh_pipelining")
ELSE = Hint("", "", "run the audit again with --limit on this host and -vvv")


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        name = str(task_vars.get("inventory_hostname", "localhost"))
        place = arguments.pop("report_dir", None)
        folder = Path(str(place)).expanduser().absolute() if place else None
        arguments["tags"] = _tags(arguments.get("tags"), task_vars.get("group_names"))
        if folder and not arguments.get("previous"):
            arguments["previous"] = folders.marks(folder, name)
        answer = self._ask(arguments, task_vars)
        if answer.get("outcome") == AUDITED:
            return self._audited(folder, name, answer)
        return self._not_audited(folder, name, answer)

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the module answered; a host that cannot be reached is an answer as well."""
        self._pipe(task_vars)
        try:
            answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            if self._piped and re.search(NO_TERMINAL, _said(answer)):  # requiretty in sudoers
                self._connection.set_option("pipelining", False)
                answer = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return {"outcome": UNREACHABLE, "unreachable": True, "msg": str(error)}
        if answer.get("unreachable"):
            return dict(answer, outcome=UNREACHABLE)
        if answer.get("failed") or "result" not in answer:
            return dict(answer, outcome=FAILED, failed=True)
        try:
            folders.checked(answer["result"])
        except NotAResult as error:
            return {"outcome": FAILED, "failed": True, "msg": "The host answered something that is no result: %s." % error}
        return answer

    def _pipe(self, task_vars: dict[str, Any]) -> None:
        """Send the module through the connection instead of copying it first: a host with four numbers left can still be audited, else it
        takes some twenty. The inventory has the last word."""
        self._piped = self._connection.has_pipelining and not any(name in task_vars for name in PIPELINING)
        if self._piped:
            self._connection.set_option("pipelining", True)

    def _configure_module(self, *arguments: Any, **named: Any) -> Any:
        """What Ansible made of the module, with a lighter engine. Who keeps remote files wants to read them: those stay as they are."""
        made = super()._configure_module(*arguments, **named)
        return made if constants.DEFAULT_KEEP_REMOTE_FILES else _lighter(made, Path(constants.DEFAULT_LOCAL_TMP))

    def _audited(self, folder: Path | None, name: str, answer: dict[str, Any]) -> dict[str, Any]:
        if folder is None:
            return answer
        result = answer["result"]
        written = _write(folder, name, result)
        kept = {key: answer[key] for key in ("warnings", "deprecations", "ansible_facts") if key in answer}
        return dict(
            kept, changed=False, outcome=AUDITED, status=status_of(result), summary=result["summary"],
            path=written.path, sha256=written.sha256, at=result["audit"].get("started_at"))

    def _not_audited(self, folder: Path | None, name: str, answer: dict[str, Any]) -> dict[str, Any]:
        hint = _hint(answer)
        message = _reason(answer)
        if hint.meaning:
            message = "%s: %s" % (hint.meaning[0].upper() + hint.meaning[1:], message)
        answer = dict(answer, changed=False, next_step=hint.next_step, at=_now(), msg=message)
        if folder is not None:
            record = folders.attempt(name, answer["outcome"], answer["at"], message, hint.next_step)
            written = _write(folder, name, record)
            answer.update(path=written.path, sha256=written.sha256)
        return answer


def _lighter(made: Any, cache: Path) -> Any:
    """In ansible-core 2.19 the program is one of two fields, in 2.16 one of four; of another form it is sent as it is."""
    if len(made) == 2 and hasattr(made[0], "b_module_data"):
        return dataclasses.replace(made[0], b_module_data=lighter(made[0].b_module_data, cache)), made[1]
    if len(made) == 4 and isinstance(made[2], bytes):
        return (*made[:2], lighter(made[2], cache), made[3])
    return made


def _write(folder: Path, name: str, document: dict[str, Any]) -> folders.Written:
    from ansible.errors import AnsibleActionFail

    try:
        return folders.write(folder, name, document)
    except OSError as error:
        raise AnsibleActionFail("The result of %s could not be written to %s: %s." % (name, folder, error.strerror))


def _tags(given: Any, groups: Any) -> list[str]:
    """Words of the task and groups of the inventory: waivers name either."""
    own = [given] if isinstance(given, str) else list(given or [])
    return sorted({str(tag) for tag in own + list(groups or [])} - {"ungrouped"})


def _reason(answer: dict[str, Any]) -> str:
    """The module's own words, or the last line that the host said when it did not even start."""
    said = str(answer.get("msg", "")).strip()
    output = [line for key in ("module_stderr", "module_stdout") for line in str(answer.get(key, "")).splitlines() if line.strip()]
    if output and (not said or said.startswith("MODULE FAILURE") or "result deserialization failed" in said or "Module invocation" in said):
        return output[-1].strip()
    return said or "no reason was given"


def _hint(answer: dict[str, Any]) -> Hint:
    if "mistakes" in answer:
        return Hint("", "", "correct the policy")
    text = _said(answer)
    return next((hint for hint in HINTS if re.search(hint.symptom, text)), ELSE)


def _said(answer: dict[str, Any]) -> str:
    return "\n".join(str(answer.get(key, "")) for key in ("msg", "module_stderr", "module_stdout", "exception"))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
