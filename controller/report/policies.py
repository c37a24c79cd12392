# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which other policy hosts were judged than in the run before, and what it says otherwise."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pidhygiene.policy import Policy

from .source import Source

MOST_LINES = 1000
NO_POLICY = Policy({}).digest()


@dataclass(frozen=True)
class PolicyChange:
    """From the policy that most hosts had which changed, to that which most got."""

    old: str  # digests
    new: str
    lines: tuple[str, ...]  # a unified difference of both as YAML, keys sorted; empty when one is not kept
    not_kept: tuple[str, ...]  # digests whose text nobody handed in
    others: tuple[str, ...]  # digests that came or went besides
    documents: Mapping[str, Mapping[str, Any]]  # of all that are kept of them

    @property
    def words(self) -> str:
        """policy sha256:… → sha256:…: 3 lines differ"""
        found = "policy %s → %s" % (named(self.old), named(self.new))
        if self.not_kept:
            return found + ": what differs is unknown, as the text of %s was not kept (name it with --policy to ingest or report)" % " and ".join(self.not_kept)
        number = sum(line[:1] in "+-" for line in self.lines[2:])
        return found + ": %d line%s" % (number, " differs" if number == 1 else "s differ")


def named(digest: str) -> str:
    return "none" if digest == NO_POLICY else digest


def change(before: Mapping[str, int], now: Mapping[str, int], source: Source) -> PolicyChange | None:
    """``before``, ``now``: digest → hosts. None: the same."""
    went, came = before.keys() - now.keys(), now.keys() - before.keys()
    if not before or not now or not went and not came:
        return None
    old, new = _most_used(before, went or before.keys()), _most_used(now, came or now.keys())
    documents = {NO_POLICY: {}, **source.policies({*went, *came, old, new})}
    kept = old in documents and new in documents
    lines = list(difflib.unified_diff(_text(documents[old]), _text(documents[new]), old, new, lineterm="", n=2)) if kept else []
    return PolicyChange(
        old, new, tuple(lines[:MOST_LINES]), tuple(each for each in (old, new) if each not in documents), tuple(sorted((went | came) - {old, new})),
        {digest: document for digest, document in documents.items() if digest in went | came | {old, new}})


def _most_used(hosts: Mapping[str, int], some: Iterable[str]) -> str:
    return min(some, key=lambda digest: (-hosts[digest], digest))


def _text(document: Mapping[str, Any]) -> list[str]:
    if not document:
        return []
    text: str = yaml.safe_dump(dict(document), sort_keys=True, allow_unicode=False, width=160)
    return text.splitlines()
