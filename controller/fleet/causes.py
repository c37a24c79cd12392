# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cause is one line, on however many hosts (report/causes.py): here is what makes findings of hosts one.

What makes them one is the program, package, unit or file; never a pid, a line number, the name of a session or of a container.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .judging import mapping, stable, text

_PASSING = (
    (re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"), "*"),  # ids of containers and boots
    (re.compile(r" \(\d+(?:, \d+)*\)"), ""),  # pids
    (re.compile(r"(?<=/)\d+(?=/|$)"), "*"),  # /proc/4711
    (re.compile(r":\d+\b"), ""),  # line numbers
    (re.compile(r"\bsession-[a-z]?\d+\.scope"), "session-*.scope"),
    (re.compile(r"\b(user|user-runtime-dir)@\d+\.service"), r"\1@*.service"),
    (re.compile(r"\buser-\d+\.slice"), "user-*.slice"),
    (re.compile(r"\brun-[ru]?[0-9a-f]+\.(service|scope)"), r"run-*.\1"),
)


def what(finding: Mapping[str, Any]) -> str:
    """The subject of a finding without what passes: beremote (8102) → beremote."""
    found = text(mapping(finding.get("subject")).get("id"))
    if text(finding.get("rule")) == "PH-DEL-007":
        return "reboot"  # its subject names the running kernel, which differs
    for pattern, instead in _PASSING:
        found = pattern.sub(instead, found)
    return found


def key_of(finding: Mapping[str, Any]) -> str:
    """The same over runs and hosts."""
    return stable(text(finding.get("rule")), text(mapping(finding.get("subject")).get("type")), what(finding))


class Keys:
    """key_of, asked once for each subject: hosts have theirs in common."""

    MOST = 100_000

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], str] = {}

    def of(self, finding: Mapping[str, Any]) -> str:
        subject = mapping(finding.get("subject"))
        short = text(finding.get("rule")), text(subject.get("type")), text(subject.get("id"))
        key = self._known.get(short)
        if key is None:
            key = key_of(finding)
            if len(self._known) < self.MOST:
                self._known[short] = key
        return key


def is_waived(finding: Mapping[str, Any]) -> bool:
    waiver = finding.get("waiver")
    return isinstance(waiver, Mapping) and waiver.get("expired") is not True


def rank(order: tuple[str, ...], word: str) -> int:
    return order.index(word) if word in order else -1
