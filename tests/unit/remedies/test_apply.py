"""One remedy at a time, in order, undone when a step fails, believed only when read back."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from pidhygiene.host import LiveHost, Missing
from pidhygiene.remedies import apply
from pidhygiene.remedies.catalogue import REMEDIES
from pidhygiene.remedies.model import Difference, Failed, Parameter, Proposal, Refused, Remedy, Step, checked, clean


class Noted(Step):
    def __init__(self, log: list[str], name: str, fault: BaseException | None = None, undo_fault: Exception | None = None) -> None:
        self.log, self.name, self.fault, self.undo_fault = log, name, fault, undo_fault

    def differences(self) -> list[Difference]:
        return [Difference(self.name, "old", "new")]

    def do(self) -> None:
        self.log.append("do " + self.name)
        if self.fault:
            raise self.fault

    def undo(self) -> None:
        self.log.append("undo " + self.name)
        if self.undo_fault:
            raise self.undo_fault


PARAMETERS = (Parameter("unit", "text", "", required=True), Parameter("number", "number", "", default=3), Parameter("mode", "choice", "", choices=("a", "b")))


def remedy(*steps: Step, problems: list[str] = [], notes: tuple[str, ...] = ()) -> Remedy:  # noqa: B006
    return Remedy("it", "title", PARAMETERS, lambda host, given: Proposal(steps, notes), lambda host, given: problems)


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(apply, "LOCK", str(tmp_path / "lock"))
    return tmp_path / "lock"


def test_looking_does_nothing_and_tells_the_same() -> None:
    log: list[str] = []
    wanted = remedy(Noted(log, "a"), notes=("a note",))
    looked = apply.look(wanted, {"unit": "x"}, LiveHost())
    assert log == [] and looked.changed and looked.notes == ("a note",)
    assert apply.apply(wanted, {"unit": "x"}, LiveHost()) == looked and log == ["do a"]
    assert not apply.apply(remedy(), {"unit": "x"}, LiveHost()).changed


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device", "/etc/f"), Missing("systemd", "no answer"), Failed("x did not come back", "new"), KeyboardInterrupt()])
def test_a_failing_step_undoes_all_in_the_order_in_which_it_was_done(fault: BaseException) -> None:
    log: list[str] = []
    with pytest.raises(Failed) as caught:
        apply.apply(remedy(Noted(log, "file"), Noted(log, "reload"), Noted(log, "restart", fault), Noted(log, "never")), {"unit": "x"}, LiveHost())
    assert log == ["do file", "do reload", "do restart", "undo file", "undo reload", "undo restart"]
    assert caught.value.state == "old" and "the old state is back" in str(caught.value)


def test_what_cannot_be_undone_is_told() -> None:
    log: list[str] = []
    with pytest.raises(Failed) as caught:
        apply.apply(remedy(Noted(log, "a", undo_fault=OSError(30, "Read-only file system")), Noted(log, "b", ValueError("bug"))), {"unit": "x"}, LiveHost())
    assert caught.value.state == "mixed" and "Read-only file system" in str(caught.value) and log[-1] == "undo b"


def test_a_value_that_is_not_in_force_is_no_success() -> None:
    with pytest.raises(Failed) as caught:
        apply.apply(remedy(problems=["the main process has 5"]), {"unit": "x"}, LiveHost())
    assert caught.value.state == "new" and "the main process has 5" in str(caught.value)


def test_two_at_once(lock: Path) -> None:
    fd = os.open(lock, os.O_RDWR | os.O_CREAT)
    os.write(fd, b"4711\n")
    fcntl.flock(fd, fcntl.LOCK_EX)
    log: list[str] = []
    with pytest.raises(Refused) as caught:
        apply.apply(remedy(Noted(log, "a")), {"unit": "x"}, LiveHost())
    assert "process 4711" in str(caught.value) and log == []
    os.close(fd)
    apply.apply(remedy(Noted(log, "a")), {"unit": "x"}, LiveHost())
    assert log == ["do a"] and lock.read_text() == "%d\n" % os.getpid()


def test_a_lock_that_is_a_link_is_not_followed(lock: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    lock.symlink_to("target")
    with pytest.raises(OSError):
        apply.apply(remedy(), {"unit": "x"}, LiveHost())
    assert (tmp_path / "target").read_text() == "precious"


@pytest.mark.parametrize(("given", "words"), [
    ({}, "unit is missing"), ({"unit": 3}, "unit must be text"), ({"unit": "x", "nubmer": 1}, "no parameter 'nubmer'"), ({"unit": "x", "number": "3"}, "a whole number"),
    ({"unit": "x", "number": True}, "a whole number"), ({"unit": "x", "mode": "c"}, "one of a, b"),
])
def test_mistakes_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        checked(remedy(), given)
    assert words in str(caught.value)


def test_defaults() -> None:
    assert checked(remedy(), {"unit": "x", "mode": None}) == {"unit": "x", "number": 3, "mode": None}


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31m", "a\x00", "a\x7f", "a\udc9b", "a\x9b", "a/b"])
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        clean("unit", text, ("/",))
    assert clean("unit", "käse@1.service") == "käse@1.service"


def test_every_remedy_is_told_in_full() -> None:
    for each in REMEDIES:
        assert each.title and all(parameter.help.endswith(".") for parameter in each.parameters)
