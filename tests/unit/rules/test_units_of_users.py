"""Units and timers of users' managers, from their files and traces alone, through the rules for those of the system."""

import re

import pytest
from pidhygiene.audit import audit
from pidhygiene.host import Unsafe
from pidhygiene.policy import Policy
from pidhygiene.remedies import plan
from simulated import NOW, SimulatedHost, judge
from zone_files import BERLIN

MANAGER = "/user.slice/user-500.slice/user@500.service"
RUN = "/run/user/500/systemd"
OWN = "/home/oracle/.config/systemd/user/"
LABEL = "user@500.service/app.slice/web.service"
GROUP = MANAGER + "/app.slice/web.service"
PRESENT, BEFORE = "a" * 32, "b" * 32
RULES = ("PH-CRN-001", "PH-SYS-001", "PH-SYS-002", "PH-SYS-003", "PH-SYS-005", "PH-SYS-006", "PH-SYS-007", "PH-ORP-003", "PH-ORP-005", "PH-LIM-005")


def host(text="", since=8000.0, reloaded=9000.0, name="web.service", layout="v2"):
    """oracle's manager with web.service, which runs ``since`` seconds; his manager was reloaded at most ``reloaded`` seconds ago."""
    found = SimulatedHost(layout).unit("user@500.service", MainPID=600, ControlGroup=MANAGER, Delegate=True, KillMode="mixed")
    found.process(600, 1, "systemd", uid=500, start=9000, cgroup=MANAGER + "/init.scope", nofile=(1024, 524288))
    found.file(OWN + name, "[Service]\nExecStart=/usr/bin/web\n" + text)
    found.directory("/usr/lib/systemd/user-generators").directory(RUN)
    found.stats[RUN] = {"mtime": NOW - reloaded}
    found.process(700, 600, "web", uid=500, start=since, cgroup=GROUP, environ={"INVOCATION_ID": PRESENT}, argv=("/usr/bin/web",))
    return found.link(RUN + "/units/invocation:web.service", PRESENT, mtime=NOW - since)


def of_timer(schedule, service, enabled=".config/systemd/user/timers.target.wants/"):
    """One that oracle has enabled."""
    found = host().file(OWN + "job.timer", "[Timer]\n%s\n" % schedule).file(OWN + "job.service", "[Service]\n" + service)
    return found.link("/home/oracle/" + enabled + "job.timer", OWN + "job.timer") if enabled else found


def silent(found, *rules):
    for rule in rules or RULES:
        judged = judge(found, rule)
        assert [each for each in judged.findings if each["status"] != "info"] == [], judged.findings
        assert judged.status in ("pass", "info", "n/a")


def test_a_healthy_user_is_silent():
    found = host("KillMode=process\nPIDFile=%t/web.pid\nLimitNOFILE=1024:524288\nTasksMax=100\n").group(GROUP, 100)
    found.file("/run/user/500/web.pid", "700\n", uid=500)
    silent(found)


@pytest.mark.parametrize("more", [0, 60])
def test_no_more_users_are_read_than_a_host_can_bear(more):
    found = host()
    for uid in range(2000, 2000 + more):
        found.process(uid, 1, "systemd", uid=uid, cgroup="/user.slice/user-%d.slice/user@%d.service/init.scope" % (uid, uid))
    found.file("/etc/passwd", found.files["/etc/passwd"].decode() + "".join("u%d:x:%d:100::/home/u%d:/bin/sh\n" % (uid, uid, uid) for uid in range(2000, 2000 + more)))
    row = judge(found, "PH-SYS-001").row
    assert ("units of more than 50 users are not read" in row.get("not_applicable", ())) == bool(more)


@pytest.mark.parametrize("more", [0, 250])
def test_no_more_units_of_a_user_are_read(more):
    found = host()
    for number in range(more):
        found.link(RUN + "/units/invocation:u%d.service" % number, PRESENT)
    row = judge(found, "PH-SYS-001").row
    assert ("units of a user beyond the first 200 are not read" in row.get("not_applicable", ())) == bool(more)


# -- limits, and lines without effect


def test_a_line_that_means_nothing_is_told_once_for_all_users():
    found = host("LimitNOFILE=64k\n")
    finding = judge(found, "PH-SYS-001").only("fail")
    assert finding["message"].startswith(OWN + "web.service:3 has no effect on web.service of user oracle: LimitNOFILE=64k has a suffix")
    assert finding["remedy"]["parameters"] == {"unit": "web.service", "user": "oracle", "nofile": "65536"}
    assert "of the user's own manager" in plan._why_not(dict(finding, status="fail"))
    silent(host("LimitNOFILE=65536\n", since=5.0), "PH-SYS-001")


def test_a_limit_of_the_user_limits_no_unit():
    finding = judge(host("LimitNPROC=50\n").unit("db.service", User="oracle", ControlGroup="/system.slice/db.service"), "PH-SYS-001").only("warn")
    assert "web.service of user oracle sets LimitNPROC=50, which does not limit this unit: it counts all tasks of user oracle, those of db.service too" in finding["message"]
    silent(host("LimitNPROC=50\n", layout="hybrid").unit("db.service", User="oracle", ControlGroup="/system.slice/db.service"), "PH-SYS-001")
    silent(host("LimitNPROC=50\n"), "PH-SYS-001")


def test_a_drop_in_that_loses():
    found = host().file(OWN + "web.service.d/10.conf", "[Service]\nTasksMax=50\n", mtime=NOW - 100, ctime=NOW - 100)
    found.file("/etc/systemd/user/web.service.d/20.conf", "[Service]\nTasksMax=20\n")
    finding = judge(found, "PH-SYS-002").only("warn")
    assert "10.conf:2 has no effect on web.service of user oracle: /etc/systemd/user/web.service.d/20.conf is read later" in finding["message"]
    found.stats[OWN + "web.service.d/10.conf"].update(mtime=1.0)
    silent(found, "PH-SYS-002")


def test_one_full_group_tells_the_users_file():
    found = host("TasksMax=100\n").group(GROUP, 100, 97)
    assert "97 tasks of 100 allowed (97.0 %), TasksMax=100 in " + OWN + "web.service:3" in judge(found, "PH-SYS-004").only("fail")["message"]


# -- what waits for a reload


def edited(age, **more):
    return host(**more).file(OWN + "web.service.d/x.conf", "[Service]\nNice=5\n", mtime=NOW - age, ctime=NOW - age)


def test_files_newer_than_start_and_reload_wait():
    finding = judge(edited(100.0), "PH-SYS-003").only("warn")
    assert finding["message"] == ("Files of web.service of user oracle changed after the last start and the last reload; look at the changes, "
                                  "then run systemctl --user daemon-reload as user oracle.")
    assert finding["evidence"][0]["source"] == OWN + "web.service.d/x.conf" and finding["subject"] == {"type": "user", "id": "oracle"}


@pytest.mark.parametrize("found", [
    edited(100.0, reloaded=50.0), edited(100.0, since=50.0), edited(8500.0), host().file(
        OWN + "web.service.d/x.conf", "[Service]\nNice=5\n", mtime=NOW - 9500, ctime=NOW - 100),
    host().file("/usr/lib/systemd/user/web.service.d/x.conf", "[Service]\nNice=5\n", mtime=NOW - 100, ctime=NOW - 100),
    host().link("/run/user/500/systemd/transient/web.service", OWN + "web.service"),
], ids=["reloaded", "started", "older", "only touched", "of a package", "made by a program"])
def test_files_that_the_manager_may_have_read_are_silent(found):
    silent(found, "PH-SYS-003")


def test_without_generators_a_reload_leaves_no_trace():
    found = edited(100.0)
    found._dirs["/usr/lib/systemd"].discard("user-generators")
    found._dirs.pop("/usr/lib/systemd/user-generators")
    silent(found, "PH-SYS-003")


# -- the kernel's limit


def test_the_kernel_has_another_limit_than_the_file():
    finding = judge(host("TasksMax=100\n").group(GROUP, 50), "PH-SYS-005").only("warn")
    assert "web.service of user oracle may have 50 tasks in the kernel, but TasksMax=100 in %sweb.service:3 means 100" % OWN in finding["message"]
    assert "systemctl --user daemon-reload as user oracle" in finding["message"]


@pytest.mark.parametrize("found", [
    host("TasksMax=100\n").group(GROUP, 100), host().group(GROUP, 50), host("TasksMax=\n").group(GROUP, 50), host("TasksMax=100\nDelegate=yes\n").group(GROUP, 50),
    host("TasksMax=100\n"), edited(100.0).file(OWN + "web.service.d/x.conf", "[Service]\nTasksMax=100\n", mtime=NOW - 100, ctime=NOW - 100).group(GROUP, 50),
], ids=["the same", "no file", "reset", "delegated", "no controller", "waits for a reload"])
def test_limits_that_are_as_the_files_say(found):
    silent(found, "PH-SYS-005")


# -- what is left over


def with_leftover(text="KillMode=process\n", argv=("/usr/bin/worker",), environ=(("INVOCATION_ID", BEFORE),), pid=650, **more):
    found = host(text, **more)
    found.process(701, 700, "worker", uid=500, start=7999, cgroup=GROUP, argv=("/usr/bin/worker",), environ={"INVOCATION_ID": PRESENT})
    return found.process(pid, 600, "worker", uid=500, start=8800, cgroup=GROUP, argv=argv, environ=dict(environ))


def test_leftovers_of_an_earlier_run():
    """They have the same parent as the main process, which adopted them: only what they were started as tells them apart."""
    finding = judge(with_leftover(), "PH-SYS-006").only("fail")
    assert finding["message"].startswith("web.service of user oracle has 1 process from before its last start (1 worker")
    assert "worker now runs twice" in finding["message"] and finding["subject"]["id"] == LABEL
    assert judge(with_leftover(argv=("/usr/bin/other",)), "PH-SYS-006").only("warn")


@pytest.mark.parametrize("found", [
    with_leftover(environ=(("INVOCATION_ID", PRESENT),)), with_leftover(argv=("/usr/bin/other",)).remove(RUN + "/units/invocation:web.service"),
    with_leftover(argv=("/usr/bin/other",), text="").file("/usr/lib/systemd/user/web.service.d/k.conf", "[Service]\nKillMode=process\n"),
], ids=["of this run", "not told which run", "as the vendor wants"])
def test_what_may_belong_to_the_present_run_is_not_left_over(found):
    found._dirs.setdefault(RUN + "/units", set())
    silent(found, "PH-SYS-006")


def test_a_manager_that_does_not_tell_runs():
    """Before systemd 246."""
    found = with_leftover()
    found.remove(RUN + "/units/invocation:web.service")
    found._dirs.pop(RUN + "/units")
    silent(found, "PH-SYS-006", "PH-ORP-005", "PH-CRN-001")
    assert "web.service of user oracle stop without their children" in judge(found, "PH-SYS-006").only("info")["message"]


def test_policy_allows_leftovers_by_the_units_own_name():
    assert judge(with_leftover(), "PH-SYS-006", {"units": {"leftovers_allowed": ["web*"]}}).status == "info"


def test_an_old_generation_beside_a_new_one():
    finding = judge(with_leftover(""), "PH-ORP-005").only("fail")
    assert finding["message"].startswith("web.service of user oracle runs worker twice: 1 process is (650) from before its main process 700")
    silent(with_leftover("", since=3000.0), "PH-ORP-005")


# -- pidfiles


def with_pid_file(content, text="PIDFile=%t/web.pid\n", **stat):
    found = host(text).process(800, 1, "stranger", start=8800)
    return found.file("/run/user/500/web.pid", content, **dict({"uid": 500, "mtime": NOW - 7000}, **stat))


@pytest.mark.parametrize("content, lie", [("800\n", "names 800 (stranger), which is none of its processes"), ("4711\n", "names 4711, which does not exist"),
                                          ("web\n", "holds no number")])
@pytest.mark.parametrize("text", ["PIDFile=%t/web.pid\n", "PIDFile=web.pid\n", "PIDFile=/run/user/%U/web.pid\n"])
def test_a_pidfile_that_lies(content, lie, text):
    finding = judge(with_pid_file(content, text), "PH-ORP-003").only("warn")
    assert "/run/user/500/web.pid of web.service of user oracle %s; restart web.service as user oracle" % lie in finding["message"]


@pytest.mark.parametrize("found", [
    with_pid_file("700\n"), with_pid_file("701\n").process(701, 700, "worker", uid=500, cgroup=GROUP), with_pid_file("800\n", uid=0),
    with_pid_file("800\n", "PIDFile=%S/web.pid\n"), with_pid_file("800\n").remove(RUN + "/units/invocation:web.service"),
], ids=["main", "another of its processes", "not the user's file", "specifier", "not active"])
def test_pidfiles_that_do_not_lie(found):
    silent(found, "PH-ORP-003")


# -- timers


@pytest.mark.parametrize("enabled", [
    ".config/systemd/user/timers.target.wants/", ".config/systemd/user/default.target.requires/", ".local/share/systemd/user/timers.target.wants/",
])
def test_a_timer_in_the_hour_that_does_not_exist(enabled):
    found = of_timer("OnCalendar=02:30", "ExecStart=/bin/true\n", enabled)
    found.file("/usr/share/zoneinfo/Europe/Berlin", BERLIN).link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
    finding = judge(found, "PH-CRN-003").only("warn")
    assert finding["message"].startswith("job.timer of user oracle (OnCalendar=02:30) is skipped on 2027-03-28")
    assert finding["subject"]["id"] == "user@500.service/job.timer"
    other = of_timer("OnCalendar=02:30", "ExecStart=/bin/true\n", "")
    other.file("/usr/share/zoneinfo/Europe/Berlin", BERLIN).link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
    assert judge(other, "PH-CRN-003").findings == [], "nobody has enabled it"


def test_runs_that_leave_processes_behind():
    found = of_timer("OnCalendar=*:0/10", "Type=oneshot\nKillMode=process\nExecStart=/usr/bin/job\n")
    for pid, age in ((810, 4000), (811, 2000), (812, 900)):
        found.process(pid, 600, "helper", uid=500, start=age, cgroup=MANAGER + "/app.slice/job.service", argv=("/usr/bin/helper", "--wait"))
    finding = judge(found, "PH-CRN-001").only("warn")
    assert finding["message"].startswith("job.timer of user oracle: 3 runs of job.service of user oracle have left \"/usr/bin/helper --wait\" alive")
    silent(found.link(RUN + "/units/invocation:job.service", PRESENT, mtime=NOW - 900), "PH-CRN-001")


def test_a_scheduled_restart():
    found = of_timer("OnCalendar=daily", "ExecStart=/usr/bin/systemctl --user restart web\n")
    finding = judge(found, "PH-SYS-007").only("info")
    assert finding["message"].startswith("job.timer of user oracle (OnCalendar=daily) restarts web.service of user oracle on schedule")
    for owned in ("web.service", LABEL):
        assert judge(found, "PH-SYS-007", {"restarts": {"owned": [owned]}}).findings == []
    facts = audit(found, Policy())["facts"]["restarts"]
    assert [each["unit"] for each in facts] == [LABEL]


def test_restart_counts_are_told_to_be_unknown():
    row = judge(host(), "PH-SYS-007").row
    assert any("restart counts of users' units" in reason for reason in row["not_applicable"])


def test_a_unit_that_ends_by_itself():
    finding = judge(host("Restart=always\nRuntimeMaxSec=1h\n"), "PH-SYS-007").only("info")
    assert "restarts web.service of user oracle on schedule" in finding["message"]


def test_restarts_of_buses():
    own = judge(of_timer("OnCalendar=daily", "ExecStart=/usr/bin/systemctl --user restart dbus\n"), "PH-DEL-006").only("warn")
    assert "restarts dbus.service of user oracle: his programs lose their bus" in own["message"]
    system = of_timer("OnCalendar=daily", "ExecStart=/usr/bin/sudo systemctl restart dbus\n").unit("systemd-logind.service", ControlGroup="/system.slice/systemd-logind.service")
    assert "job.timer of user oracle (OnCalendar=daily) restarts dbus.service without" in judge(system, "PH-DEL-006").only("fail")["message"]
    refused = of_timer("OnCalendar=daily", "ExecStart=/usr/bin/systemctl restart dbus\n")
    assert judge(refused, "PH-DEL-006").status == "pass", "a user may not"


def test_a_leak_that_a_users_timer_hides():
    found = of_timer("OnCalendar=daily", "ExecStart=/usr/bin/systemctl --user restart web\n")
    for pid in range(900, 930):
        found.process(pid, 700, "child", "Z", uid=500, dead=3000, cgroup=GROUP)
    assert "job.timer of user oracle restarts web.service of user oracle every" in judge(found, "PH-ZMB-007").only("warn")["message"]


# -- hostile files


def test_files_that_the_users_manager_may_not_read_are_not_read_for_it():
    secret = "[Service]\nLimitNOFILE=64k\nroot:$6$hash\n"
    found = host().file("/etc/hidden", secret, mode=0o600).link(OWN + "web.service.d/x.conf", "/etc/hidden")
    silent(found, "PH-SYS-001")
    found.stats["/etc/hidden"]["mode"] = 0o644
    assert judge(found, "PH-SYS-001").only("fail")


@pytest.mark.parametrize("spoil", [
    lambda found: found.file(OWN + "web.service.d/x.conf", "#" * 70000),
    lambda found: [found.file(OWN + "web.service.d/%d.conf" % number, "#" * 65000) for number in range(20)],
    lambda found: [found.file(OWN + "%d" % number, "") for number in range(2100)],
    lambda found: found.file(OWN + "web.service.d/x.conf", "").forbid(OWN + "web.service.d/x.conf", Unsafe("x", "not a regular file")),
    lambda found: found.forbid("/home/oracle/.config/systemd/user"),
], ids=["large", "much", "many", "fifo", "forbidden"])
@pytest.mark.parametrize("rule", RULES)
def test_what_is_not_read_is_unknown(rule, spoil):
    found = host()
    spoil(found)
    assert judge(found, rule).status == "unknown"


@pytest.mark.parametrize("path, status", [("/home/oracle/.config/systemd/user", "unknown"), (OWN + "job.timer", "unknown"), (OWN + "web.service", "pass")])
def test_clock_changes_need_timers_alone(path, status):
    assert judge(of_timer("OnCalendar=02:30", "ExecStart=/bin/true\n").forbid(path), "PH-CRN-003").status == status


def test_homes_on_servers_are_left_alone():
    found = host().forbid("/home/oracle", Unsafe("/home/oracle", "on a remote file system"))
    for path in (OWN, OWN[:-1], "/home/oracle/.config", "/home/oracle/.local"):
        found.forbid(path, Unsafe(path, "on a remote file system"))
    row = judge(found, "PH-SYS-001").row
    assert row["status"] != "unknown" and "unit files in homes on remote file systems are not read" in row["not_applicable"]


def test_names_of_users_units_are_hostile_text():
    found = host(name="web\x1b[2J.service").process(701, 600, "x", uid=500, cgroup=MANAGER + "/app.slice/web\x1b[2J.service")
    assert not re.search("[\x00-\x09\x0b-\x1f]", "".join(each["message"] for each in audit(found, Policy())["findings"]))
