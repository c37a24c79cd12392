"""Relief without a manager: how much, how often, what is refused, and that nothing else is done."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from pidhygiene import watch
from pidhygiene.host import Unreadable
from pidhygiene.model import UNLIMITED
from pidhygiene.remedies import apply, kernel_limits, manager, reap, relief
from pidhygiene.remedies.model import OLD, Failed
from pidhygiene.watch_news import Outcome
from pidhygiene.watch_settings import Relief, Settings
from simulated import SimulatedHost

UNIT, GROUP = "backup.service", "/system.slice/backup.service"
BOTH = Relief(tasks_max=True, pid_max=True)


class Host(SimulatedHost):
    """pid_max and the unit's pids.max are files that can be written to, in this folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__()
        self.unit(UNIT, ControlGroup=GROUP, TasksMax=100).group(GROUP, 100, 100)
        self.tasks(200)

    def _real(self, name: str) -> Path | None:
        return {"/sys/fs/cgroup" + GROUP + "/pids.max": self.folder / "pids.max", str(self.folder / "pid_max"): self.folder / "pid_max"}.get(name)

    def read(self, path: str, limit: int = 1024 * 1024, root: str = "/") -> bytes:
        real = self._real(path)
        return real.read_bytes() if real else super().read(path, limit, root)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    (tmp_path / "pid_max").write_text("4194304\n")
    (tmp_path / "pids.max").write_text("100\n")
    monkeypatch.setattr(watch, "PID_MAX", str(tmp_path / "pid_max"))
    monkeypatch.setattr(apply, "LOCK", str(tmp_path / "lock"))

    def set_numbers(unit: str, values: Any, runtime: bool = True, patience: float = 0) -> None:
        assert unit == UNIT and runtime and patience <= 10
        ((name, value),) = values
        assert name == "TasksMax"
        (tmp_path / "pids.max").write_text("%d\n" % value)

    monkeypatch.setattr(manager, "set_numbers", set_numbers)
    monkeypatch.setattr(manager, "job", lambda *_arguments: pytest.fail("nothing is started or stopped"))
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("nothing is forked"))
    return Host(tmp_path)


def level(host: Host, key: str) -> watch.Level:
    found = next(each for each in watch.look(host, Settings((UNIT,)), {}).levels if each.key == key)
    return found._replace(budget=found.budget._replace(source=str(host._real(found.budget.source) or found.budget.source)))


def relieved(host: Host, key: str = GROUP, allowed: Relief = BOTH, act: bool = True) -> Outcome:
    outcome = relief.of(host, level(host, key), allowed, act, str(host.folder / "record"))
    assert outcome is not None
    return outcome


def pids_max(host: Host) -> int:
    return int((host.folder / "pids.max").read_text())


def small(host: Host, pid_max: int = 32768, used: int = 32468) -> Host:
    (host.folder / "pid_max").write_text("%d\n" % pid_max)
    host.tasks(used)
    return host


def test_off_is_off(host: Host) -> None:
    assert relief.of(host, level(host, GROUP), Relief(), record=str(host.folder / "record")) is None
    assert sorted(each.name for each in host.folder.iterdir()) == ["pid_max", "pids.max"]


def test_a_quarter_once_a_day(host: Host) -> None:
    looked = relieved(host, act=False)
    assert looked.kind == "would" and looked.changes == (("TasksMax of backup.service", "100", "125"),) and pids_max(host) == 100
    assert not (host.folder / "record").exists()
    outcome = relieved(host)
    assert outcome.kind == "done" and outcome.changes == looked.changes and pids_max(host) == 125
    assert "TasksMax of backup.service 125, was 100" in outcome.message
    assert (host.folder / "record").stat().st_mode & 0o777 == 0o600
    host.boot += 86399
    again = relieved(host)
    assert again.kind == "refused" and "once a day" in again.message and "1439 minutes ago" in again.message and pids_max(host) == 125
    host.boot += 1
    assert relieved(host).kind == "done" and pids_max(host) == 156
    assert list(json.loads((host.folder / "record").read_text())) == ["raised backup.service"]


def test_process_numbers(host: Host) -> None:
    assert relieved(small(host), "pid_max").changes == (("kernel.pid_max now", "32768", "40960"),)
    assert (host.folder / "pid_max").read_text() == "40960\n"
    assert relieved(host, "pid_max").kind == "refused"
    assert relieved(host).kind == "done", "each has its own day"


@pytest.mark.parametrize("pid_max, bits, expected", [(4194304, 64, "the kernel has no more"), (4000000, 64, "4194304"), (32768, 32, "the kernel has no more"), (30000, 32, "32768")])
def test_not_more_numbers_than_the_kernel_has(host: Host, pid_max: int, bits: int, expected: str) -> None:
    host.word_bits = bits
    outcome = relieved(small(host, pid_max), "pid_max")
    assert expected in (outcome.message if outcome.kind == "refused" else outcome.changes[0][2])
    assert kernel_limits.PID_MAX_LIMIT == 4194304


@pytest.mark.parametrize("used, after", [(32000, 125), (32427, 125), (32432, 120), (32451, 101), (32452, None), (32468, None), (40000, None)])
def test_never_above_what_the_machine_has_left(host: Host, used: int, after: int | None) -> None:
    """32468 numbers; sixteen stay free."""
    outcome = relieved(small(host, used=used))
    if after is None:
        assert outcome.kind == "refused" and "no room" in outcome.message and pids_max(host) == 100
    else:
        assert outcome.kind == "done" and pids_max(host) == after


def test_a_unit_far_above_its_limit(host: Host) -> None:
    """A limit may be set below the use: then a quarter more lets nothing start."""
    host.group(GROUP, 100, 125)
    outcome = relieved(host)
    assert outcome.kind == "refused" and "125 tasks" in outcome.message and pids_max(host) == 100


def test_threads_max_counts_too(host: Host) -> None:
    host.file("/proc/sys/kernel/threads-max", "226\n")
    assert relieved(host).changes == (("TasksMax of backup.service", "100", "110"),)
    outcome = relieved(host, "threads-max")
    assert outcome.kind == "refused" and "not raised as relief" in outcome.message


@pytest.mark.parametrize("told, words", [(None, "does not know"), (1000, "systemd has TasksMax=1000"), (UNLIMITED, "TasksMax=infinity")])
def test_what_systemd_has_for_the_unit_is_not_lost(host: Host, told: int | None, words: str) -> None:
    host.units[UNIT]["TasksMax"] = told
    outcome = relieved(host)
    assert outcome.kind == "refused" and words in outcome.message and pids_max(host) == 100


def test_a_percentage_that_grew_with_the_machine_is_no_obstacle(host: Host) -> None:
    host.units[UNIT]["TasksMax"] = 126
    assert relieved(host).kind == "done"


@pytest.mark.parametrize("allowed, key, words", [(Relief(pid_max=True), GROUP, "not allowed"), (Relief(tasks_max=True), "pid_max", "not allowed")])
def test_what_is_not_allowed(host: Host, allowed: Relief, key: str, words: str) -> None:
    outcome = relieved(small(host), key, allowed)
    assert outcome.kind == "refused" and words in outcome.message
    assert pids_max(host) == 100 and (host.folder / "pid_max").read_text() == "32768\n"


def test_a_failure_is_undone_and_may_be_tried_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def dead(unit: str, values: Any, runtime: bool = True, patience: float = 0) -> None:
        asked.append(values)
        raise Failed("systemd refused SetUnitProperties: Timeout", OLD)

    with monkeypatch.context() as broken:
        broken.setattr(manager, "set_numbers", dead)
        outcome = relieved(host)
    assert outcome.kind == "failed" and "Timeout" in outcome.message
    assert [value for values in asked for _name, value in values] == [125, 100]
    assert relieved(host).kind == "done"


def test_a_value_that_is_not_in_force_is_no_success(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relief, "APPLIED_S", 0.05)
    monkeypatch.setattr(manager, "set_numbers", lambda *_arguments: None)
    outcome = relieved(host)
    assert outcome.kind == "failed" and "pids.max is 100" in outcome.message
    assert relief.of(host, level(host, GROUP), BOTH, False, str(host.folder / "record")).kind == "would"  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "[]", '{"raised backup.service": "x"}', "\0"])
def test_a_record_that_cannot_be_read_stops_it(host: Host, text: str) -> None:
    (host.folder / "record").write_text(text)
    outcome = relieved(host)
    assert outcome.kind == "refused" and "remove it" in outcome.message and pids_max(host) == 100


def test_a_record_that_is_a_link_is_not_followed(host: Host) -> None:
    (host.folder / "precious").write_text("{}")
    (host.folder / "record").symlink_to("precious")
    assert relieved(host).kind == "refused" and (host.folder / "precious").read_text() == "{}"


def test_one_remedy_at_a_time(host: Host) -> None:
    with open(apply.LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = relieved(host)
    assert outcome.kind == "refused" and "another remedy" in outcome.message and pids_max(host) == 100


def test_a_host_that_cannot_be_read(host: Host) -> None:
    full = level(host, GROUP)
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    outcome = relief.of(host, full, BOTH, record=str(host.folder / "record"))
    assert outcome is not None and outcome.kind == "failed" and "did not answer" in outcome.message


# -- the unit that leaks -----------------------------------------------------------------------------------------------


def leaking(host: Host, zombies: int, living: int = 1, unit: str = UNIT) -> Host:
    group = "/system.slice/" + unit
    for number in range(living):
        host.process(500 + number, comm="agent", cgroup=group)
    for number in range(zombies):
        host.process(1000 + number, ppid=500, comm="agent", state="Z", cgroup=group, dead=60.0)
    return host


def test_a_named_unit_that_leaks_is_ended_and_started(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []
    monkeypatch.setattr(reap.StopReapStart, "do", lambda step: jobs.append(step.unit))
    allowed = Relief(True, True, (UNIT,))
    outcome = relieved(leaking(host, 90), allowed=allowed)
    assert outcome.kind == "done" and jobs == [UNIT] and pids_max(host) == 100
    assert outcome.changes == (("processes of backup.service", "as started before", "stopped, its zombies reaped, started"),)
    assert relieved(host, allowed=allowed).kind == "done" and jobs == [UNIT] and pids_max(host) == 125, "once a day; then there is room to give"
    assert relieved(host, allowed=allowed).kind == "refused" and jobs == [UNIT]


@pytest.mark.parametrize("zombies, living", [(19, 1), (30, 30), (0, 90)])
def test_a_unit_that_does_not_leak_is_left_alone(host: Host, zombies: int, living: int) -> None:
    outcome = relieved(leaking(host, zombies, living), allowed=Relief(restart=(UNIT,)))
    assert outcome.kind == "refused" and "does not leak: %d zombies" % zombies in outcome.message


@pytest.mark.parametrize("unit", ["salt-minion.service", "sshd.service", "postgresql@15-main.service", "dbus.service"])
def test_who_holds_the_way_in_is_not_restarted(host: Host, unit: str) -> None:
    outcome = relieved(leaking(small(host), 90, unit=unit), "pid_max", Relief(restart=(unit,)))
    assert outcome.kind == "refused" and unit in outcome.message


def test_it_does_not_stop_itself(host: Host) -> None:
    host.process(1, 0, "minion", cgroup=GROUP)  # the simulated machine's own pid is 1
    outcome = relieved(leaking(host, 90), allowed=Relief(restart=(UNIT,)))
    assert outcome.kind == "refused" and "does not stop itself" in outcome.message


def test_a_unit_that_is_not_named_is_not_touched(host: Host) -> None:
    assert relieved(leaking(host, 90), allowed=BOTH).changes[0][0] == "TasksMax of backup.service"
    outcome = relieved(host, allowed=Relief(restart=("other.service",)))
    assert outcome.kind == "refused"


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_by_hand(host: Host) -> None:
    record = str(host.folder / "record")
    assert relief.by_hand(host, "nosuch.service", False, False, True, record).message == "nosuch.service has no limit of tasks now, or does not run."
    assert relief.by_hand(small(host, used=200), None, True, False, False, record).changes == (("kernel.pid_max now", "32768", "40960"),)
    assert relief.by_hand(host, UNIT, False, False, False, record).changes == (("TasksMax of backup.service", "100", "125"),)
    refused = relief.by_hand(host, UNIT, False, True, True, record)
    assert refused.kind == "refused" and "does not leak" in refused.message
    assert pids_max(host) == 100
