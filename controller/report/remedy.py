# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A remedy as people apply it: a task of Ansible, a state of Salt, a command.

Values are written as JSON, which YAML reads, so that no text of a host becomes syntax.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import Refused, checked
from pidhygiene.remedies.plan import fitted

COLLECTION = "pidhygiene.host"
NAME = re.compile(r"^[A-Za-z0-9_.\-]+$")


class Exact(NamedTuple):
    ansible: str
    salt: str
    command: str
    by_hand: str  # instead of these, where people have to do it


def in_short(finding: Mapping[str, Any]) -> str:
    """restart unit=a.service"""
    proposed = finding.get("remedy")
    if not isinstance(proposed, Mapping):
        return ""
    return " ".join([str(proposed.get("state", "")), *("%s=%s" % (name, _short(value)) for name, value in sorted(_parameters(proposed).items()))]).strip()


def last_words(message: str) -> str:
    """What a message says to do, after its last semicolon."""
    return message.rpartition("; ")[2].strip() if "; " in message else ""


def exact(finding: Mapping[str, Any], host: str = "HOST") -> Exact | None:
    """None: the finding proposes nothing."""
    proposed = finding.get("remedy")
    if not isinstance(proposed, Mapping):
        return None
    state = str(proposed.get("state", ""))
    given = _parameters(proposed)
    if state not in BY_NAME:
        return Exact("", "", "", "%s is done by hand%s." % (state, ": " + in_short(finding).partition(" ")[2] if given else ""))
    try:
        parameters = fitted(state, given)
        checked(BY_NAME[state], parameters)
    except (Refused, TypeError, KeyError) as error:
        return Exact("", "", "", "The audit does not tell all that %s needs (%s)." % (state, error))
    names = sorted(parameters)
    disturbs = "  # disruptive" if proposed.get("disruptive") else ""
    ansible = ["- name: %s" % _scalar("%s: %s" % (finding.get("rule"), state)), "  %s.%s:%s" % (COLLECTION, state, disturbs)]
    ansible.extend("    %s: %s" % (_key(name), _scalar(parameters[name])) for name in names)
    salt = ["%s:" % _scalar("%s %s" % (finding.get("rule"), finding.get("fingerprint"))), "  pidhygiene.%s:%s" % (state, disturbs)]
    salt.extend("    - %s: %s" % (_key("ensure" if name == "state" else name), _scalar(parameters[name])) for name in names)
    command = (
        "python -m pidhygiene.controller plan DIR --host %s --rule %s -o plan.yml\nansible-playbook -b playbooks/remediate.yml -e plan=plan.yml --check --diff"
        % (shlex.quote(host), shlex.quote(str(finding.get("rule"))))
    )
    return Exact("\n".join(ansible), "\n".join(salt), command, "")


def _parameters(proposed: Mapping[str, Any]) -> dict[str, Any]:
    given = proposed.get("parameters", proposed.get("params"))
    return dict(given) if isinstance(given, Mapping) else {}


def _scalar(value: Any) -> str:
    if (
        isinstance(value, str)
        and NAME.match(value)
        and not value.replace(".", "").isdigit()
        and value.lower() not in ("yes", "no", "on", "off", "true", "false", "null", "y", "n")
    ):
        return value
    return json.dumps(value, ensure_ascii=True, sort_keys=True)


def _key(name: Any) -> str:
    return str(name) if NAME.match(str(name)) else json.dumps(str(name))


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
