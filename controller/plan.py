# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a folder of results to a plan file that people review: YAML, with the reason beside each step."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml
from pidhygiene.policy import Policy
from pidhygiene.remedies import plan

from .render import folder

HEAD = """\
# A plan of pidhygiene. Read it; take out hosts you do not want to touch; then
#   ansible-playbook -i hosts -b playbooks/remediate.yml -e plan=THIS --check --diff
# It holds for a day, for this boot of each host, and only as it is: a step that was edited is refused.
"""


class NothingToPlan(Exception):
    """The folder has no result to plan from. The text says what to do."""


def make(places: Sequence[Path], rules: Sequence[str] = (), hosts: Sequence[str] = (), ticket: str = "", now: float | None = None,
         policy: Policy | None = None, owner: str = "", reboot_at: str = "") -> dict[str, Any]:
    """The plan for these results, and the last ones in these folders. Errors: NothingToPlan, OSError.

    Hosts that are not asked for are not repaired, but known: they vote in their quorum groups as they were audited.
    """
    results: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for place in places:
        for host, document in _documents(place):
            if document["schema"] != folder.RESULT:
                missing.setdefault(host, "was not audited (%s)" % document.get("outcome"))
            elif results.setdefault(host, document) is not document:
                raise NothingToPlan("%s has a second result of %s: name one of them" % (place, host))
        targeted = (folder.run(place) or {"hosts": {}})["hosts"] if place.is_dir() else {}
        missing.update((host, "was not audited") for host in targeted if host not in results and host not in missing)
    wanted = [host for host in results if not hosts or any(fnmatch.fnmatchcase(host, pattern) for pattern in hosts)]
    if not wanted:
        raise NothingToPlan("%s: no result%s there; run audit.yml, or pidhygiene check --format json, first" % (
            ", ".join(map(str, places)), " of %s" % ", ".join(hosts) if hosts else ""))
    absent = {host: why for host, why in missing.items() if host not in results}
    return plan.make(list(results.items()), time.time() if now is None else now, ticket,
                     lambda rule: not rules or any(fnmatch.fnmatchcase(rule, pattern) for pattern in rules), policy, absent, wanted, owner, reboot_at)


def _documents(place: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Results and attempts. In a report folder a host is called as the run called it, else as it calls itself. Errors: NothingToPlan, OSError."""
    if place.is_dir():
        yield from ((entry.host, entry.document) for entry in folder.entries(place))
        return
    try:
        document = folder.load(place)
    except folder.NotAResult as error:
        raise NothingToPlan("%s is no result: %s" % (place, error)) from error
    inside = place.resolve().parent.name == folder.RESULTS and place.suffix == ".json"
    yield unquote(place.stem) if inside else str(document["host"].get("name") or place.stem), document


def text(document: dict[str, Any]) -> str:
    dumped: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=160)
    return HEAD + dumped


def summary(document: dict[str, Any]) -> str:
    """For the terminal: how many steps, what they disturb, what is left to people."""
    lines = []
    for name, group in document["quorum"].items():
        lines.append("%s: %d voters, %d at a time, in the order %s%s" % (
            name, len(group["voters"]), group["together"], ", ".join(group["order"]),
            "; not up when audited: %s" % ", ".join("%s (%s)" % pair for pair in group["down"].items()) if group["down"] else ""))
    for name, entry in document["hosts"].items():
        steps = entry["steps"]
        disturbing = sum(1 for step in steps if step["disruptive"])
        lines.append("%s: %d step%s%s, %d finding%s left to people" % (
            name, len(steps), "" if len(steps) == 1 else "s", " (%d disruptive)" % disturbing if disturbing else "",
            len(entry["left"]), "" if len(entry["left"]) == 1 else "s"))
        lines.extend("    %s %s" % (step["remedy"], ", ".join("%s=%s" % pair for pair in sorted(step["parameters"].items()))) for step in steps)
        lines.extend("    by hand: %s %s (%s)" % (each["rule"], each["subject"], each["why"]) for each in entry["left"])
    return "\n".join(lines or ["Nothing to repair."]) + "\n"
