"""The reader of units, with and without the bus. Real managers are tests/lab/test_units.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.host import Unreadable
from pidhygiene.model import UNLIMITED, Gap
from pidhygiene.readers import units
from simulated import SimulatedHost

USR = "/usr/lib/systemd/system/"


def host_with_web():
    host = SimulatedHost()
    host.file(USR + "web.service", "[Service]\nExecStart=/usr/bin/web\nUser=www-data\nLimitNOFILE=4096\nKillMode=mixed\n")
    host.file("/etc/systemd/system/web.service.d/50.conf", "[Service]\nTasksMax=50%\n")
    return host.unit(
        "web.service", MainPID=700, ControlGroup="/system.slice/web.service", FragmentPath=USR + "web.service", User="www-data", NRestarts=3,
        DropInPaths=["/etc/systemd/system/web.service.d/50.conf"], LimitNOFILE=4096, LimitNOFILESoft=4096, LimitCPU=UNLIMITED, TasksMax=96365,
        TasksCurrent=UNLIMITED, ExecMainStartTimestampMonotonic=5000000, ExecMainStartTimestamp=1795400000000000, RuntimeMaxUSec=UNLIMITED)


def test_with_the_bus():
    found = units.read(host_with_web(), ())
    web = found.units["web.service"]
    assert found.manager.present and found.manager.answers and found.gaps == ()
    assert (web.main_pid, web.user, web.n_restarts, web.exec_main_start_us, web.exec_main_start_wall) == (700, "www-data", 3, 5000000, 1795400000.0)
    assert web.limits == {"nofile": (4096, 4096), "cpu": (UNLIMITED, UNLIMITED)}
    assert web.tasks_max == 96365 and web.tasks_current is None  # "[not set]"
    assert web.limit_set_in("nofile").file == USR + "web.service" and web.limit_set_in("nproc") is None
    value, setting = found.configured_tasks_max(web)
    assert value.resolve(found.manager.machine_tasks) == 96365 and setting.line == 2


def test_without_the_bus_files_and_groups_answer():
    host = host_with_web()
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    found = units.read(host, ["/system.slice/web.service", "/user.slice/user-0.slice/session-1.scope", "/init.scope",
                              "/system.slice/docker.service/container", "/"])
    assert sorted(found.units) == ["docker.service", "system.slice", "user-0.slice", "user.slice", "web.service"]
    assert found.gaps == (Gap("systemd", "the bus did not answer in time"),)
    web = found.units["web.service"]
    assert (web.control_group, web.user, web.kill_mode, web.active_state, web.main_pid) == ("/system.slice/web.service", "www-data", "mixed", None, None)
    assert web.limits == {} and web.limit_set_in("nofile").value == "4096"
    assert found.units["docker.service"].control_group == "/system.slice/docker.service"
    assert not found.manager.answers and found.manager.present


def test_without_systemd():
    found = units.read(SimulatedHost(), ["/system.slice/web.service"])
    assert not found.manager.present and found.units == {} and found.gaps == ()


@pytest.mark.parametrize("setting, unit, expected", [
    ("", "a.service", "15%"), ("DefaultTasksMax=100", "a.service", "100"), ("DefaultTasksMax=", "a.service", "infinity"),
    ("DefaultTasksMax=100", "a.slice", "infinity"), ("DefaultTasksMax=4k", "a.service", "15%"),
])
def test_tasks_max_of_a_unit_that_sets_none(setting, unit, expected):
    host = SimulatedHost().unit(unit).file("/etc/systemd/system.conf", "[Manager]\n%s\n" % setting)
    found = units.read(host, ())
    assert found.configured_tasks_max(found.units[unit])[0].text() == expected


def test_a_reset_takes_the_default_also_in_a_slice():
    host = SimulatedHost().unit("a.slice").file(USR + "a.slice", "[Slice]\nTasksMax=5\nTasksMax=\n")
    found = units.read(host, ())
    assert found.configured_tasks_max(found.units["a.slice"])[0].text() == "15%"


def test_timers():
    host = SimulatedHost().unit("a.timer").file(USR + "a.timer", "[Timer]\nUnit=b.service\nOnCalendar=daily\nOnBootSec=5\nRandomizedDelaySec=1h\n")
    host.file(USR + "b.service", "[Service]\nExecStart=/usr/bin/b\nExecStart=-/usr/bin/c\n")
    timer = units.read(host, ()).timers[0]
    assert (timer.unit, timer.schedule, timer.randomized, timer.active) == ("b.service", ("OnBootSec=5", "OnCalendar=daily"), "1h", True)
    assert timer.commands == ("/usr/bin/b", "-/usr/bin/c")


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=10), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(st.dictionaries(st.sampled_from(units.UNIT_PROPERTIES), ANYTHING), st.dictionaries(st.sampled_from(units.MANAGER_PROPERTIES), ANYTHING))
def test_any_answer_of_the_manager_is_survived(properties, manager):
    host = SimulatedHost().with_systemd()
    host.units = {"a.service": properties, "a.timer": properties, "a.slice": properties}
    host.manager = manager
    found = units.read(host, ())
    assert sorted(found.units) == ["a.service", "a.slice"] and len(found.timers) == 1


@given(st.lists(st.text(alphabet="ab./@-_\\ ", max_size=30), max_size=5))
def test_any_group_is_survived(paths):
    host = SimulatedHost().with_systemd()
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    units.read(host, paths)
