# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy in a YAML file: loaded, and its mistakes told by line. The engine's validator says what is wrong and names its path; the line is found here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pidhygiene.policy import Mistake, Policy, check

from ..render.folder import harmless

WRAPPERS = ("pidhygiene_policy", "pidhygiene")  # the variable of Ansible, the pillar of Salt
MOST_BYTES = 4 * 1024 * 1024
DEEPEST = 50


class Misplaced(NamedTuple):
    """One mistake: ``FILE:LINE: path: message``."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return "%s:%d: %s%s" % (self.file, self.line, self.path + ": " if self.path else "", self.message)


class BadPolicy(Exception):
    """The policy cannot be read, or has mistakes. The text has one line for each."""


def load(path: Path) -> Policy:
    """The policy of a file; alone, or as the variable or pillar that holds it. Errors: BadPolicy, OSError."""
    found, document = _judged(path)
    if found:
        raise BadPolicy("\n".join(map(str, found)))
    return Policy(document)


def mistakes(path: Path) -> list[Misplaced]:
    """All of them, by line. Errors: OSError."""
    return _judged(path)[0]


def _judged(path: Path) -> tuple[list[Misplaced], Any]:
    name = harmless(str(path))
    if path.stat().st_size > MOST_BYTES:
        return [Misplaced(name, 1, "", "is larger than any policy")], None
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, yaml.SafeLoader)
        repeated = list(_repeated(node, "", 0)) if node is not None else []
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return [Misplaced(name, mark.line + 1 if mark else 1, "", "is no YAML: %s" % harmless(error.problem or error.context or "cannot be read"))], None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not UTF-8, a character that YAML forbids, a date that there is not
        return [Misplaced(name, 1, "", "is no YAML: %s" % harmless(str(error).split("\n")[0]))], None
    if isinstance(document, dict) and len(document) == 1 and set(document) <= set(WRAPPERS):
        (document,) = document.values()
        node = node.value[0][1] if isinstance(node, yaml.MappingNode) else None
    found = [Misplaced(name, line, harmless(where), "stands there twice; only the last counts") for where, line in repeated]
    found.extend(Misplaced(name, _line(node, mistake), harmless(mistake.path), harmless(mistake.message)) for mistake in check(document))
    return sorted(found, key=lambda each: (each.line, each.path)), document


def _repeated(node: Any, path: str, depth: int) -> Iterator[tuple[str, int]]:
    """Keys that stand twice in one mapping: YAML takes the last in silence."""
    if depth > DEEPEST:
        raise ValueError("nested more than %d deep" % DEEPEST)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            where = "%s.%s" % (path, key.value) if path else str(key.value)
            if key.value in seen if isinstance(key.value, str) else False:
                yield where, key.start_mark.line + 1
            if isinstance(key.value, str):
                seen.add(key.value)
            yield from _repeated(value, where, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated(value, "%s[%d]" % (path, index), depth + 1)


def _line(node: Any, mistake: Mistake) -> int:
    """Of the deepest key on the path that stands in the file: of what is missing, where it is missing."""
    line, rest = (node.start_mark.line if node is not None else 0), mistake.path
    while node is not None and rest:
        step = _step(node, rest)
        if step is None:
            break
        line, node, rest = step
    return int(line) + 1


def _step(node: Any, rest: str) -> tuple[int, Any, str] | None:
    if isinstance(node, yaml.SequenceNode) and rest.startswith("["):
        number, _bracket, rest = rest[1:].partition("]")
        if number.isdigit() and int(number) < len(node.value):
            return node.value[int(number)].start_mark.line, node.value[int(number)], rest.lstrip(".")
    if isinstance(node, yaml.MappingNode):
        fitting = [(key, value) for key, value in node.value
                   if isinstance(key.value, str) and rest.startswith(key.value) and rest[len(key.value):][:1] in ("", ".", "[")]
        if fitting:
            key, value = max(fitting, key=lambda pair: len(pair[0].value))  # names of units hold dots
            return key.start_mark.line, value, rest[len(key.value):].lstrip(".")
    return None
