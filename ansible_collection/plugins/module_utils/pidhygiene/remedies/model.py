# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of remedies: what differs, what is refused, what failed and in which state it left the host."""

from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from ..record import NamedTuple

OLD, NEW, MIXED = "old", "new", "mixed"


class Difference(NamedTuple):
    """One thing as it is and as it shall be, in text; empty where it does not exist."""

    what: str  # a path, "TasksMax of a.service", "kernel.pid_max", "process 4711 (beremote)"
    before: str
    after: str


class Refused(Exception):
    """The remedy would do harm, or cannot do what it is asked: nothing was changed. The message is for people and says the next step."""


class Failed(Exception):
    """Something went wrong on the way. ``state``: OLD (all is as before), NEW (all is written, but not in force), MIXED (the message says what)."""

    def __init__(self, message: str, state: str) -> None:
        super(Failed, self).__init__(message)
        self.state = state


class Step(object):
    """One change of the host. A step knows how to show, do and undo itself; it does nothing before ``do``."""

    def differences(self) -> List[Difference]:
        raise NotImplementedError

    def do(self) -> None:
        """Errors: OSError, HostError, Failed. Then this step has changed nothing."""
        raise NotImplementedError

    def undo(self) -> None:
        """Brings back what was before ``do``, as far as it can be brought back."""
        raise NotImplementedError


class Proposal(NamedTuple):
    """What a remedy would do now. No steps: the host is as it shall be."""

    steps: Tuple[Step, ...]
    notes: Tuple[str, ...] = ()  # what the operator should know: what waits for the next start, what is restarted

    def differences(self) -> List[Difference]:
        return [difference for step in self.steps for difference in step.differences()]


class Parameter(NamedTuple):
    name: str
    kind: str  # text, number, flag, words, map, choice
    help: str  # one sentence
    default: Any = None
    required: bool = False
    choices: Tuple[str, ...] = ()


class Remedy(NamedTuple):
    """One desired state, by the name that Ansible's module and Salt's state have."""

    name: str
    title: str
    parameters: Tuple[Parameter, ...]
    propose: Callable[[Any, Dict[str, Any]], Proposal]  # (Host, checked parameters); errors: Refused, HostError
    verify: Callable[[Any, Dict[str, Any]], List[str]]  # what is not in force on the running host, as sentences


class Report(NamedTuple):
    changed: bool
    differences: Tuple[Difference, ...]
    notes: Tuple[str, ...]

    def plain(self) -> Dict[str, Any]:
        return {"changed": self.changed, "differences": [dict(each._asdict()) for each in self.differences], "notes": list(self.notes)}


_TYPES = {"text": str, "number": int, "flag": bool, "words": (list, tuple), "map": dict, "choice": str}


def checked(remedy: Remedy, given: Dict[str, Any]) -> Dict[str, Any]:
    """The parameters with their defaults. Errors: Refused, which names every mistake."""
    mistakes = list(_mistakes(remedy, given))
    if mistakes:
        raise Refused("%s: %s" % (remedy.name, "; ".join(mistakes)))
    found = {each.name: each.default for each in remedy.parameters}
    found.update((name, value) for name, value in given.items() if value is not None)
    return found


def _mistakes(remedy: Remedy, given: Dict[str, Any]) -> Iterator[str]:
    known = {each.name: each for each in remedy.parameters}
    for name in sorted(given, key=str):
        if name not in known:
            yield "there is no parameter %r; known are %s" % (name, ", ".join(sorted(known)))
    for parameter in remedy.parameters:
        value = given.get(parameter.name)
        if value is None:
            if parameter.required:
                yield "%s is missing" % parameter.name
        elif not isinstance(value, _TYPES[parameter.kind]) or (isinstance(value, bool) and parameter.kind != "flag"):  # type: ignore[arg-type]
            yield "%s must be %s, not %r" % (parameter.name, _kind(parameter), value)
        elif parameter.choices and value not in parameter.choices:
            yield "%s must be %s, not %r" % (parameter.name, _kind(parameter), value)


def _kind(parameter: Parameter) -> str:
    if parameter.choices:
        return "one of " + ", ".join(parameter.choices)
    return {"text": "text", "number": "a whole number", "flag": "true or false", "words": "a list", "map": "a mapping", "choice": "text"}[parameter.kind]


def clean(name: str, value: str, extra: Sequence[str] = ()) -> str:
    """The text itself. Errors: Refused, when it holds control characters or one of ``extra``: it would end up in a file or on a terminal."""
    for char in value:
        if ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF or 0x80 <= ord(char) < 0xA0:
            raise Refused("%s holds a control character: %r" % (name, value))
    for text in extra:
        if text in value:
            raise Refused("%s must not hold %r: %r" % (name, text, value))
    return value


def optional(value: Optional[str]) -> str:
    return "" if value is None else value
