"""Units of users' managers (systemctl --user): told by their own name and user, in message, fingerprint and remedy."""

import pytest
from pidhygiene.explain import explain
from pidhygiene.readers import cgroups
from simulated import NOW, SimulatedHost, judge

MANAGER = "/user.slice/user-500.slice/user@500.service"
WEB = MANAGER + "/app.slice/web.service"
LABEL = "user@500.service/app.slice/web.service"


def host(layout="v2"):
    """oracle's manager, and a service of his."""
    found = SimulatedHost(layout).unit("user@500.service", MainPID=600, ControlGroup=MANAGER)
    found.process(600, 1, "systemd", uid=500, start=9000, cgroup=MANAGER + "/init.scope", nofile=(1024, 524288))
    return found.process(700, 600, "web", uid=500, start=8000, cgroup=WEB, files=990, nofile=(1024, 4096))


@pytest.mark.parametrize("path, label", [
    (WEB, LABEL), (WEB + "/worker", LABEL), (MANAGER + "/init.scope", "user@500.service/init.scope"), (MANAGER + "/app.slice", "user@500.service/app.slice"),
    (MANAGER, None), ("/system.slice/web.service", None), ("/user.slice/user-500.slice/session-3.scope", None), ("/", None),
    ("/system.slice/x.service/user@500.service/web.service", None), (MANAGER + "/app.slice/a-b.slice/app-org.x@1.service", "user@500.service/app.slice/a-b.slice/app-org.x@1.service"),
    ("/user.slice/user-500.slice/user@evil.service/web.service", None), (MANAGER + "/supervised", None),
])
def test_which_unit_a_group_is(path, label):
    assert cgroups.user_unit_of(path) == label


@pytest.mark.parametrize("layout", ["v2", "v1", "hybrid"])
def test_zombies_are_those_of_the_users_unit(layout):
    found = host(layout)
    for pid in range(900, 930):
        found.process(pid, 700, "child", "Z", uid=500, dead=3000, cgroup=WEB)
    finding = judge(found, "PH-ZMB-001").only("warn")
    assert "restart web.service as user oracle (systemctl --user restart web.service) and have the leak fixed" in finding["message"]
    assert finding["remedy"]["parameters"]["unit"] == "web.service" and finding["remedy"]["parameters"]["user"] == "oracle"
    other = host(layout)
    other.process(800, 600, "web", uid=500, start=8000, cgroup=MANAGER + "/app.slice/other.service")
    for pid in range(900, 930):
        other.process(pid, 800, "child", "Z", uid=500, dead=3000, cgroup=WEB)
    assert judge(other, "PH-ZMB-001").only("warn")["fingerprint"] != finding["fingerprint"], "another unit of the same user"


def test_open_files_name_the_users_unit():
    finding = judge(host(), "PH-LIM-006").only("info")
    assert "web (700) of web.service of user oracle has 990 open files" in finding["message"]
    assert finding["remedy"]["parameters"]["user"] == "oracle"


def test_a_full_users_unit_is_not_the_systems_unit_of_that_name():
    found = host().group(WEB, 100, 97).unit("web.service", TasksMax=5000, ControlGroup="/system.slice/web.service")
    for pid in range(900, 980):
        found.process(pid, 700, "worker", uid=500, cgroup=WEB)
    finding = judge(found, "PH-SYS-004").only("fail")
    assert finding["subject"]["id"] == LABEL and "web.service of user oracle has 97 tasks of 100 allowed" in finding["message"]
    assert finding["remedy"]["parameters"] == {"unit": "web.service", "user": "oracle", "tasks": 200}


def test_a_replaced_program_of_a_users_unit():
    found = host()
    found.links["/proc/700/exe"] = "/usr/bin/web (deleted)"
    found.file("/usr/bin/web (deleted)", "", nlink=0, ino=7, ctime=NOW - 90 * 86400).file("/usr/bin/web", "", ctime=NOW - 86400)
    finding = judge(found, "PH-DEL-001").only("info")
    assert finding["message"].startswith("web.service of user oracle: web (700) runs /usr/bin/web, which was replaced")
    assert "restart web.service as user oracle" in finding["message"] and finding["subject"]["id"] == LABEL


# -- limits from the user's own files


def configured(text, place="/home/oracle/.config/systemd/user/web.service", age=10.0):
    return host().file(place, "[Service]\nExecStart=/usr/bin/web\n" + text, ctime=NOW - age)


@pytest.mark.parametrize("place", [
    "/home/oracle/.config/systemd/user/web.service", "/etc/systemd/user/web.service", "/usr/lib/systemd/user/web.service",
    "/home/oracle/.local/share/systemd/user/web.service",
])
def test_a_limit_that_was_written_after_the_start(place):
    finding = judge(configured("LimitNOFILE=2000:8192\n", place), "PH-LIM-005").only("warn")
    assert "web.service of user oracle runs with nofile 1024:4096, but its file says LimitNOFILE=2000:8192, which was written after it started" in finding["message"]
    assert finding["subject"]["id"] == LABEL and place + ":3" in {line["source"] for line in finding["evidence"]}


def test_drop_ins_win_as_they_do_for_the_system():
    found = configured("LimitNOFILE=2000:8192\n", "/usr/lib/systemd/user/web.service").file(
        "/home/oracle/.config/systemd/user/web.service.d/x.conf", "[Service]\nLimitNOFILE=1024:4096\n", ctime=NOW)
    assert judge(found, "PH-LIM-005").status == "pass"


@pytest.mark.parametrize("text, age", [("LimitNOFILE=1024:4096\n", 10.0), ("LimitNOFILE=2000:8192\n", 8500.0), ("", 10.0), ("LimitNOFILE=512:4096\n", 10.0)])
def test_limits_in_force_are_silent(text, age):
    """Also where the program lowered what its older file says: that is its right."""
    assert judge(configured(text, age=age), "PH-LIM-005").status == "pass"


def test_a_manager_cannot_give_more_than_it_has():
    found = configured("LimitNOFILE=1048576\n", age=8500.0).process(700, 600, "web", uid=500, start=8000, cgroup=WEB, nofile=(524288, 524288))
    assert "which its manager cannot go above (it has 524288 itself)" in judge(found, "PH-LIM-005").only("info")["message"]


def test_files_that_cannot_be_read_are_unknown():
    assert judge(configured("LimitNOFILE=2000:8192\n").forbid("/home/oracle/.config/systemd/user/web.service"), "PH-LIM-005").status == "unknown"


def test_explain_tells_the_file():
    found = configured("LimitNOFILE=1024:4096\n", age=8500.0)
    answer = explain(found, "700")
    assert "unit web.service of user oracle" in answer.about[0]
    origin = next(each for each in answer.limits if each.item == "nofile").origin
    assert origin == "LimitNOFILE=1024:4096 in /home/oracle/.config/systemd/user/web.service:3"
