"""A host some of whose answers went wrong: refused, gone, cut, garbled. The same seed gives the same faults, and a repeated look the same answer."""

from __future__ import annotations

import json
import random
from typing import Any, Callable, Sequence

from pidhygiene.host import Clock, ClockState, Denied, Effort, FileStat, Host, JournalPage, Machine, Missing, OutOfTime, Unreadable, Unsafe

ERRORS = (Denied, Missing, Unsafe, OutOfTime, Unreadable)
NUMBERS = (b"0", b"-1", b"18446744073709551616", b"99999999999999999999999", b"1e9", b"", b"max", b"\xff")
WORDS = (None, -1, 0, 2 ** 64, "", "x" * 5000, "\x1b[31m", [], ["", "a"], {}, True, 1.5)


class AdverseHost(Host):
    """``share`` of the answers of ``behind`` are replaced. ``errors_only``: they fail, and none is garbled."""

    def __init__(self, behind: Host, seed: int, share: float, errors_only: bool = False) -> None:
        self._behind = behind
        self._seed = seed
        self._share = share
        self._errors_only = errors_only
        self._round = 0

    def _look(self, primitive: str, arguments: Sequence[Any], ask: Callable[[], Any], garble: Callable[[random.Random, Any], Any]) -> Any:
        chance = random.Random(json.dumps([self._seed, self._round, primitive, list(arguments)]))
        if chance.random() >= self._share:
            return ask()
        if self._errors_only or chance.random() < 0.3:
            raise chance.choice(ERRORS)(str(arguments[0]) if arguments else primitive, "made to fail")
        return garble(chance, ask())

    def read(self, path: str, limit: int = 1024 * 1024, root: str = "/") -> bytes:
        return self._look("read", (path, root), lambda: self._behind.read(path, limit, root), garbled)

    def read_tail(self, path: str, size: int) -> bytes:
        return self._look("read_tail", (path,), lambda: self._behind.read_tail(path, size), garbled)

    def list(self, path: str, root: str = "/") -> list[str]:
        return self._look("list", (path, root), lambda: self._behind.list(path, root), lambda chance, names: chance.sample(names, len(names) // 2) + ["\udcff\n"])

    def readlink(self, path: str, root: str = "/") -> str:
        return self._look("readlink", (path, root), lambda: self._behind.readlink(path, root), lambda chance, target: chance.choice(
            ("", "/", "..", target + " (deleted)", "pid:[x]", "/" * 4000, "\udcff", path)))

    def stat(self, path: str, follow: bool = True, root: str = "/") -> FileStat:
        return self._look("stat", (path, follow, root), lambda: self._behind.stat(path, follow, root), lambda chance, found: found._replace(
            **{name: chance.choice((0, 1, 2 ** 40, 4294967295)) for name in chance.sample(found._fields, 3)}))

    def namespace_owner(self, path: str) -> int:
        return self._look("namespace_owner", (path,), lambda: self._behind.namespace_owner(path), lambda chance, _uid: chance.choice((0, 4294967295)))

    def manager_properties(self, names: Sequence[str]) -> dict[str, Any]:
        return self._look("manager_properties", (list(names),), lambda: self._behind.manager_properties(names), garbled_words)

    def unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
        return self._look("unit_properties", (list(patterns), list(names)), lambda: self._behind.unit_properties(patterns, names), lambda chance, units: {
            name: garbled_words(chance, unit) for name, unit in units.items() if chance.random() < 0.8})

    def journal(self, matches: Sequence[str], contains: Sequence[str], since: float, limit: int) -> JournalPage:
        return self._look("journal", (list(matches), list(contains)), lambda: self._behind.journal(matches, contains, since, limit),
                          lambda _chance, page: page._replace(complete=False))

    def clock(self) -> Clock:
        return self._behind.clock()

    def clock_state(self) -> ClockState:
        return self._behind.clock_state()

    def machine(self) -> Machine:
        return self._behind.machine()

    def effort(self) -> Effort:
        return self._behind.effort()

    def look_again_after(self, seconds: float) -> None:
        self._look("look_again_after", (seconds,), lambda: self._behind.look_again_after(seconds), lambda _chance, _none: None)
        self._round += 1


def garbled(chance: random.Random, data: bytes) -> bytes:
    """Cut, repeated, or with a few bytes or numbers replaced."""
    kind = chance.randrange(5)
    if kind == 0:
        return data[:chance.randrange(len(data) + 1)]
    if kind == 1:
        return data + data
    if kind == 2:
        changed = bytearray(data)
        for _number in range(min(len(changed), 20)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)
    lines = data.split(b"\n")
    if kind == 3:
        chance.shuffle(lines)
        return b"\n".join(lines[:1 + len(lines) // 2])
    words = data.split(b" ")
    for _number in range(1 + len(words) // 4):
        words[chance.randrange(len(words))] = chance.choice(NUMBERS)
    return b" ".join(words)


def garbled_words(chance: random.Random, properties: dict[str, Any]) -> dict[str, Any]:
    return {name: chance.choice(WORDS) if chance.random() < 0.3 else value for name, value in properties.items() if chance.random() < 0.9}
