# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After audit_info, once per play: did every targeted host answer, what do the answers say together, and is that acceptable?

Works on the controller alone: it opens no connection, and reads one result after the other from the report folder.
"""

from __future__ import annotations

import getpass
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.pidhygiene import __version__, terminal
from ..plugin_utils.render import digest, page
from ..plugin_utils.render import folder as folders
from ..plugin_utils.render import overview as overviews
from ..plugin_utils.render.overview import GATING, Overview

LONGEST = 4000  # characters of what the store said


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("report_dir", "register", "fail_on", "require_all", "store", "policy", "title"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(argument_spec={
            "report_dir": {"type": "path", "default": "pidhygiene-report"},
            "register": {"type": "str", "default": "pidhygiene_audit"},
            "fail_on": {"type": "str", "choices": sorted(GATING), "default": "never"},
            "require_all": {"type": "bool", "default": True},
            "store": {"type": "str", "default": "", "no_log": True},
            "policy": {"type": "dict", "default": {}},
            "title": {"type": "str", "default": "pidhygiene"},
        })
        folder = Path(options["report_dir"]).absolute()
        rows = _rows(task_vars, options["register"])
        try:
            folders.write_run(folder, _run(rows))
            found = overviews.of_folder(folder)
            written = page.write(found, folder / folders.PAGE, options["title"])
        except OSError as error:
            raise AnsibleActionFail("The report could not be written to %s: %s." % (folder, error.strerror))
        self._display.display("\n%s\nPage: %s" % (_text(found), written))
        answer = _answer(found, written, options["fail_on"], options["require_all"])
        if options["store"] and not self._task.check_mode:
            fed, said = _feed(folder, options["store"], options["policy"])
            self._display.display(said)
            if not fed:
                answer.update(failed=True, msg=" ".join(["The store was not fed: %s" % said, *([answer["msg"]] if "msg" in answer else [])]))
        return answer


def _feed(folder: Path, store: str, policy: dict[str, Any]) -> tuple[bool, str]:
    """Hand the folder to the store, as a person would: whether all of it was taken in, and what was said. Its address may hold a password: not for ps."""
    command, path = _ingest()
    if not command:
        return False, ("pidhygiene.controller cannot be imported by %s, which runs Ansible; install pidhygiene[controller] there, or run "
                       "python -m pidhygiene.controller ingest %s where it is" % (sys.executable, folder))
    environment = dict(os.environ, PIDHYGIENE_STORE=store, **({"PYTHONPATH": os.pathsep.join(path)} if path else {}))
    with tempfile.NamedTemporaryFile("w", prefix="pidhygiene-policy-", suffix=".yml") as written:
        json.dump(policy, written, default=str)
        written.flush()
        done = subprocess.run([sys.executable, "-m", command, "ingest", str(folder), "--policy", written.name], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", check=False)
    return done.returncode == 0, (done.stdout + done.stderr).strip()[-LONGEST:] or "it ended with status %d" % done.returncode


def _ingest() -> tuple[str, list[str]]:
    """The module to run, and where Python finds it: installed, or in the checkout that this file is from."""
    try:
        if importlib.util.find_spec("pidhygiene.controller"):
            return "pidhygiene.controller", []
    except ImportError:
        pass
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "controller/__main__.py").is_file():
        return "controller", [str(checkout), str(checkout / "ansible_collection/plugins/module_utils")]
    return "", []


def _rows(task_vars: dict[str, Any], register: str) -> dict[str, dict[str, Any]]:
    """Every targeted host and what its audit_info task returned in this play; nothing when it never ran."""
    hostvars = task_vars["hostvars"]
    rows: dict[str, dict[str, Any]] = {}
    for host in task_vars["ansible_play_hosts_all"]:
        answer = hostvars.raw_get(host).get(register)
        rows[str(host)] = dict(answer) if isinstance(answer, dict) else {}
    return rows


def _run(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    times = sorted(str(row["at"]) for row in rows.values() if row.get("at"))
    hosts = {host: {"outcome": str(row.get("outcome") or folders.NOT_RECORDED), "sha256": str(row.get("sha256", ""))} for host, row in rows.items()}
    return folders.run_document(hosts, times[0] if times else now, now, _user(), __version__)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "uid %d" % os.getuid()


def _text(found: Overview) -> str:
    """One host: all that a person at its terminal would see. Many: what they have in common."""
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    if len(found.hosts) == 1 and found.audited:
        style = terminal.style_for(sys.stdout)
        return terminal.render(page.result_of(found.audited[0]), style)
    return digest.render(found, digest.coloured if colour else digest.plain)


def _answer(found: Overview, written: Path, fail_on: str, require_all: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "changed": False, "page": str(written), "targeted": len(found.hosts), "audited": len(found.audited),
        "not_audited": sorted(host.name for host in found.not_audited), "failing": sorted(host.name for host in found.gated(fail_on)),
    }
    faults = []
    if require_all and found.not_audited:
        faults.append("%d of %d hosts were not audited: %s" % (len(found.not_audited), len(found.hosts), _some(answer["not_audited"])))
    if answer["failing"]:
        faults.append("findings at or above %s on %d of %d hosts: %s" % (fail_on, len(answer["failing"]), len(found.hosts), _some(answer["failing"])))
    if faults:
        answer.update(failed=True, msg="%s. The page is %s" % ("; ".join(faults), written))
    return answer


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
