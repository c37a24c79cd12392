"""Each processor's clock leaves out what was stolen from that processor: tasks are compared with those of their own only."""

from __future__ import annotations

import pytest
from pidhygiene.readers import processes
from pidhygiene.readers.scheduler_clock import SchedulerClock
from simulated import SimulatedHost, judge


HOUR = 3600.0


def clock(host: SimulatedHost) -> tuple[SchedulerClock, processes.ProcessTable]:
    table = processes.read(host)
    return SchedulerClock(host, table), table


def dead_for(host: SimulatedHost, pid: int) -> float | None:
    asked, table = clock(host)
    return asked.dead_for(table.processes[pid])


@pytest.mark.parametrize("stolen", [-2 * HOUR, 0.0, 4.0, 2 * HOUR])
def test_a_zombie_of_another_processor_is_compared_with_what_ran_there(stolen):
    host = SimulatedHost().process(8, 2, "kworker/1:0-events", processor=1, stolen=stolen, idle=0.5).process(9, 2, "cpuhp/1", processor=1, stolen=stolen, idle=HOUR)
    host.process(9000, 1, "child", "Z", dead=10, processor=1, stolen=stolen)
    assert dead_for(host, 9000) == pytest.approx(9.5), "the last that ran there did so half a second ago: too low, never too high"


def test_on_our_own_processor_the_age_is_exact():
    assert dead_for(SimulatedHost().process(9000, 1, "child", "Z", dead=10), 9000) == pytest.approx(10)


def test_where_nothing_ran_on_that_processor_no_age_is_told():
    assert dead_for(SimulatedHost().process(9000, 1, "child", "Z", dead=10, processor=1), 9000) is None


@pytest.mark.parametrize("state", ["R", "Z"])
def test_what_waits_for_its_turn_may_have_been_moved_and_tells_nothing(state):
    host = SimulatedHost().process(8, 1, "busy", state, processor=1, stolen=-2 * HOUR).process(9000, 1, "child", "Z", dead=10, processor=1)
    assert dead_for(host, 9000) is None


def test_a_task_that_moved_after_the_table_was_read_is_passed_over():
    host = SimulatedHost().process(8, 1, "mover", processor=1, idle=0.1).process(9, 1, "stayer", processor=1, idle=3.0)
    host.process(9000, 1, "child", "Z", dead=10, processor=1)
    asked, table = clock(host)
    host.process(8, 1, "mover", processor=0, stolen=-2 * HOUR)
    assert asked.dead_for(table.processes[9000]) == pytest.approx(7.0)


def test_a_thread_beside_the_main_one_does_not_take_the_main_one_for_now():
    host = SimulatedHost().process(8, 1, "other", idle=0.25).process(9000, 1, "child", "Z", dead=10)
    host.file("/proc/self/stat", host.files["/proc/self/stat"].replace(b") R ", b") S "))
    host.file("/proc/self/sched", "x\nse.exec_start : 1.0\n")
    assert dead_for(host, 9000) == pytest.approx(9.75)


def test_how_long_a_task_is_stuck_is_told_by_the_processor_it_is_on_now():
    host = SimulatedHost().process(7, 1, "stuck", "D", processor=0, idle=50).process(8, 1, "other", processor=1, stolen=2 * HOUR, idle=0.5)
    asked, _table = clock(host)
    host.process(7, 1, "stuck", "D", processor=1, stolen=2 * HOUR, idle=20)
    assert asked.idle_for(7) == pytest.approx(19.5)
    assert asked.idle_for(8) == pytest.approx(0.0)
    assert asked.idle_for(31337) is None


def test_zombies_that_are_reaped_quickly_stay_silent_where_clocks_are_hours_apart():
    """The processor on which they ended is two hours behind ours."""
    host = SimulatedHost().process(8102, 1, "busy", cgroup="/system.slice/busy.service").process(8, 2, "kworker/1:0", processor=1, stolen=2 * HOUR, idle=0.0)
    for pid in range(9000, 9030):
        host.process(pid, 8102, "child", "Z", dead=0.05, processor=1, stolen=2 * HOUR)
    assert judge(host, "PH-ZMB-001").status == "pass"
    for pid in range(9000, 9030):
        host.process(pid, 8102, "child", "Z", dead=900, processor=1, stolen=2 * HOUR)
    assert judge(host, "PH-ZMB-001").only("warn")


def test_where_only_some_ages_are_told_the_others_get_a_second_look():
    """The first parent's zombies ended on our processor, the second's on one where nothing else is seen."""
    host = SimulatedHost()
    for parent, processor in ((8102, 0), (8103, 1)):
        host.process(parent, 1, "busy", cgroup="/system.slice/busy%d.service" % parent)
        for pid in range(parent * 100, parent * 100 + 30):
            host.process(pid, parent, "child", "Z", dead=900, processor=processor)
    found = judge(host, "PH-ZMB-001")
    assert [each["status"] for each in found.findings] == ["warn", "warn"]
    assert host.waited == pytest.approx(5.0)
