"""PH-SYS through audit()."""

import pytest
from pidhygiene.host import Denied, Unreadable
from simulated import NOW, SimulatedHost, judge

UNLIMITED = 2**64 - 1
SERVICE = "/system.slice/web.service"


def web(drop_ins=(), fragment="[Service]\nExecStart=/usr/bin/web\n", pid=700, **properties):
    """web.service runs; its files are as given: {path: text} or (path, text) pairs."""
    host = SimulatedHost()
    host.process(pid, 1, "web", cgroup=SERVICE, uid=33).group(SERVICE, current=1)
    host.file("/usr/lib/systemd/system/web.service", fragment, mtime=NOW - 9e6, ctime=NOW - 9e6)
    host.file("/run/systemd/systemd-units-load", "", mtime=NOW - 1000)
    paths = []
    for path, text in dict(drop_ins).items():
        host.file(path, text, mtime=NOW - 5000, ctime=NOW - 5000)
        paths.append(path)
    given = dict({"MainPID": pid, "ControlGroup": SERVICE, "User": "www-data", "FragmentPath": "/usr/lib/systemd/system/web.service",
                  "DropInPaths": sorted(paths, key=lambda path: path.rsplit("/", 1)[1]), "TasksMax": 28909, "Type": "simple", "Restart": "no"},
                 **properties)
    return host.unit("web.service", **given)


def drop_in(name, text, place="/etc/systemd/system/web.service.d"):
    return {place + "/" + name: text}


# -- PH-SYS-001


@pytest.mark.case("PH-SYS-001", "fires")
@pytest.mark.parametrize("line, why, better", [
    ("LimitNPROC=unlimited", "systemd spells it infinity", "LimitNPROC=infinity"),
    ("LimitNOFILE=16k", "plain numbers only", "LimitNOFILE=16384"),
    ("LimitNOFILE=2000:1000", "soft limit above the hard one", "LimitNOFILE=1000:2000"),
    ("LimitNOFILE=", "does not reset a limit", ""),
    ("TasksMax=4k", "plain numbers only", ""),
    ("[Unit]\nLimitNOFILE=100", "belongs in [Service]", ""),
    ("[Servce]\nLimitNOFILE=100", "in section [Servce]", ""),
])
def test_a_line_that_systemd_ignores_fails(line, why, better):
    finding = judge(web(drop_in("10-a.conf", "[Service]\n%s\n" % line)), "PH-SYS-001").only("fail")
    assert finding["severity"] == "HIGH"
    assert why in finding["message"] and "web.service" in finding["message"]
    assert "/etc/systemd/system/web.service.d/10-a.conf:" in finding["subject"]["id"]
    assert not better or "write %s." % better in finding["message"]


def test_a_line_before_the_first_section_fails():
    finding = judge(web(drop_in("10-a.conf", "LimitNOFILE=100\n[Service]\n")), "PH-SYS-001").only("fail")
    assert "before the first section" in finding["message"]


def test_a_drop_in_without_conf_fails():
    finding = judge(web(drop_in("override", "[Service]\nLimitNOFILE=100\n")), "PH-SYS-001").only("fail")
    assert "does not end in .conf" in finding["message"]


def test_one_file_for_many_units_is_one_finding():
    host = web(drop_in("10-a.conf", "[Service]\nLimitNPROC=unlimited\n", "/etc/systemd/system/service.d"))
    host.file("/usr/lib/systemd/system/db.service", "[Service]\nExecStart=/usr/bin/db\n")
    host.unit("db.service", FragmentPath="/usr/lib/systemd/system/db.service")
    assert "db.service, web.service" in judge(host, "PH-SYS-001").only("fail")["message"]


def test_garbage_in_system_conf_fails():
    host = web().file("/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=64k\n")
    assert "every unit" in judge(host, "PH-SYS-001").only("fail")["message"]


def test_a_mistake_that_somebody_corrected_later_is_information():
    files = dict(drop_in("10-a.conf", "[Service]\nLimitNOFILE=16k\n"), **drop_in("20-b.conf", "[Service]\nLimitNOFILE=16384\n"))
    assert "delete the line" in judge(web(files), "PH-SYS-001").only("info")["message"]


@pytest.mark.case("PH-SYS-001", "fires")
def test_nproc_of_a_shared_user_warns():
    host = web(drop_in("10-a.conf", "[Service]\nLimitNPROC=100\n"))
    host.process(701, 1, "worker", cgroup="/system.slice/worker.service", uid=33)
    host.unit("worker.service", User="www-data", ControlGroup="/system.slice/worker.service", MainPID=701)
    finding = judge(host, "PH-SYS-001").only("warn")
    assert "it counts all tasks of user www-data, those of worker.service too; set TasksMax instead" in finding["message"]
    assert finding["remedy"]["parameters"] == {"unit": "web.service", "tasks": 100}


def test_nproc_of_root_warns():
    assert "root is exempt" in judge(web(drop_in("10-a.conf", "[Service]\nLimitNPROC=100\n"), User=""), "PH-SYS-001").only("warn")["message"]


@pytest.mark.case("PH-SYS-001", "silent")
@pytest.mark.parametrize("host", [
    web(drop_in("10-a.conf", "[Service]\nLimitNPROC=infinity\nLimitNOFILE=4096:65536\nLimitAS=2G\n"), User=""),
    web(drop_in("10-a.conf", "[Service]\nLimitNPROC=100\n")),  # alone with its user
    web(fragment="[Service]\nLimitNPROC=unlimited\n"),  # the vendor's mistake
    web(drop_in("10-a.conf", "[X-Ours]\nLimitNPROC=what we wished\n")),
    web(drop_in("10-a.conf", "[Service]\n# LimitNPROC=unlimited\n; LimitNOFILE=\n")),
    web(drop_in("10-a.conf.disabled", "[Service]\nLimitNPROC=unlimited\n")),
    web(drop_in("10-a.conf~", "[Service]\nLimitNPROC=unlimited\n")),
], ids=range(7))
def test_lines_that_work_or_are_meant_are_silent(host):
    assert judge(host, "PH-SYS-001").status == "pass"


@pytest.mark.case("PH-SYS-001", "unreadable")
def test_unreadable_drop_in_is_unknown():
    path = "/etc/systemd/system/web.service.d/10-a.conf"
    judged = judge(web({path: "[Service]\nLimitNPROC=unlimited\n"}).forbid(path), "PH-SYS-001")
    assert judged.status == "unknown"
    assert judged.only("unknown")["evidence"][0]["source"] == path


# -- PH-SYS-002


@pytest.mark.case("PH-SYS-002", "fires")
def test_a_drop_in_that_a_vendor_file_overrides_warns():
    files = dict(drop_in("10-a.conf", "[Service]\nLimitNOFILE=1000\n"),
                 **drop_in("20-b.conf", "[Service]\nLimitNOFILE=2000\n", "/usr/lib/systemd/system/web.service.d"))
    finding = judge(web(files), "PH-SYS-002").only("warn")
    assert "LimitNOFILE=1000" in finding["message"] and "20-b.conf is read later and LimitNOFILE=2000 is in force" in finding["message"]
    assert finding["remedy"]["parameters"] == {"unit": "web.service", "nofile": "1000"}


@pytest.mark.case("PH-SYS-002", "fires")
def test_the_same_name_hides_a_file_even_of_the_exact_unit():
    """Directory order: the vendor's exact-name file wins over service.d in /etc."""
    files = dict(drop_in("30-c.conf", "[Service]\nTasksMax=500\n", "/etc/systemd/system/service.d"),
                 **drop_in("30-c.conf", "[Service]\nTasksMax=100\n", "/usr/lib/systemd/system/web.service.d"))
    finding = judge(web(files), "PH-SYS-002").only("warn")
    assert "the file is not read, because /usr/lib/systemd/system/web.service.d/30-c.conf has the same name" in finding["message"]


def test_service_d_beats_an_exact_name_by_its_number():
    """By basename alone, service.d comes last or first: systemd dropin.c."""
    files = dict(drop_in("20-b.conf", "[Service]\nTasksMax=500\n"),
                 **drop_in("90-z.conf", "[Service]\nTasksMax=100\n", "/etc/systemd/system/service.d"))
    assert "service.d/90-z.conf is read later" in judge(web(files), "PH-SYS-002").only("warn")["message"]


def test_a_newer_file_that_loses_warns():
    host = web(dict(drop_in("10-a.conf", "[Service]\nTasksMax=500\n"), **drop_in("20-b.conf", "[Service]\nTasksMax=100\n")))
    host.file("/etc/systemd/system/web.service.d/10-a.conf", "[Service]\nTasksMax=500\n", mtime=NOW - 10)
    assert judge(host, "PH-SYS-002").only("warn")


@pytest.mark.case("PH-SYS-002", "silent")
@pytest.mark.parametrize("files", [
    dict(drop_in("10-a.conf", "[Service]\nTasksMax=500\n"), **drop_in("20-b.conf", "[Service]\nTasksMax=100\n")),  # layers
    dict(drop_in("10-a.conf", "[Service]\nTasksMax=500\n"),
         **drop_in("20-b.conf", "[Service]\nTasksMax=500\n", "/usr/lib/systemd/system/web.service.d")),  # equal
    dict(drop_in("30-c.conf", "[Service]\nTasksMax=500\n"),
         **drop_in("30-c.conf", "[Service]\nTasksMax=100\n", "/usr/lib/systemd/system/web.service.d")),  # the vendor's file is replaced
], ids=["layers", "equal", "replaced"])
def test_layers_are_silent(files):
    assert judge(web(files), "PH-SYS-002").status == "pass"


def test_a_mask_is_meant():
    host = web(drop_in("30-c.conf", "[Service]\nTasksMax=500\n", "/etc/systemd/system/service.d"))
    host.link("/etc/systemd/system/web.service.d/30-c.conf", "/dev/null")
    assert judge(host, "PH-SYS-002").status == "pass"


@pytest.mark.case("PH-SYS-002", "unreadable")
def test_unlistable_drop_in_directory_is_unknown():
    host = web(drop_in("10-a.conf", "[Service]\nTasksMax=500\n")).forbid("/etc/systemd/system/web.service.d")
    assert judge(host, "PH-SYS-002").status == "unknown"


# -- PH-SYS-003


@pytest.mark.case("PH-SYS-003", "fires")
def test_systemd_asks_for_a_reload():
    host = web(drop_in("10-a.conf", "[Service]\nTasksMax=500\n"), NeedDaemonReload=True)
    finding = judge(host, "PH-SYS-003").only("warn")
    assert "TasksMax of web.service from 28909 to 500" in finding["message"]
    assert finding["confidence"] == "high"


@pytest.mark.case("PH-SYS-003", "fires")
def test_an_old_time_stamp_does_not_hide_a_change():
    """tar, rsync -t, cp -p: systemd compares mtimes and sees nothing."""
    path = "/etc/systemd/system/web.service.d/10-a.conf"
    host = web({path: "[Service]\nLimitNOFILE=4096\n"}, LimitNOFILE=524288, LimitNOFILESoft=1024)
    host.file(path, "[Service]\nLimitNOFILE=4096\n", mtime=NOW - 9e6, ctime=NOW - 10)
    finding = judge(host, "PH-SYS-003").only("warn")
    assert finding["confidence"] == "medium"
    assert finding["evidence"][0]["value"] == "web.service: LimitNOFILE=4096"


def test_an_edited_system_conf_is_pending():
    host = web().file("/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=4096\n", mtime=NOW - 10, ctime=NOW - 10)
    host.manager.update({"DefaultLimitNOFILE": 524288, "DefaultLimitNOFILESoft": 1024})
    assert "every unit that starts" in judge(host, "PH-SYS-003").only("warn")["message"]


@pytest.mark.case("PH-SYS-003", "silent")
def test_a_touched_file_with_the_same_values_is_silent():
    """restorecon and backups move ctime."""
    path = "/etc/systemd/system/web.service.d/10-a.conf"
    host = web({path: "[Service]\nLimitNOFILE=4096\n"}, LimitNOFILE=4096, LimitNOFILESoft=4096)
    host.file(path, "[Service]\nLimitNOFILE=4096\n", mtime=NOW - 9e6, ctime=NOW - 10)
    judged = judge(host, "PH-SYS-003")
    assert judged.status == "pass"
    assert judged.row["not_applicable"] == ["changes of content under an old time stamp: needs marks of an earlier audit"]


def test_marks_show_a_change_of_content_under_an_old_time_stamp():
    path = "/etc/systemd/system/web.service.d/10-a.conf"
    host = web({path: "[Service]\nExecStart=/usr/bin/other\n"})
    host.file(path, "[Service]\nExecStart=/usr/bin/other\n", mtime=NOW - 9e6, ctime=NOW - 10)
    marks = judge(host, "PH-SYS-003").result["marks"]
    assert judge(host, "PH-SYS-003", previous=marks).status == "pass"
    marks["unit_files"][path] += 1
    assert "other content than at the last audit" in judge(host, "PH-SYS-003", previous=marks).only("warn")["message"]


@pytest.mark.case("PH-SYS-003", "unreadable")
def test_a_stopped_manager_is_unknown():
    host = web()
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    judged = judge(host, "PH-SYS-003")
    assert judged.status == "unknown"
    assert "did not answer in time" in judged.only("unknown")["message"]


# -- PH-SYS-004


def full(path, maximum, live, zombies, mode="v2"):
    host = SimulatedHost(mode)
    for index in range(live):
        host.process(700 + index, 1, "worker", cgroup=path)
    host.group(path, maximum, live + zombies)
    return host


@pytest.mark.case("PH-SYS-004", "fires")
@pytest.mark.parametrize("mode", ["v1", "hybrid", "v2"])
def test_a_full_unit_fails(mode):
    finding = judge(full(SERVICE, 20, 19, 0, mode), "PH-SYS-004").only("fail")
    assert finding["severity"] == "HIGH"
    assert "web.service has 19 tasks of 20 allowed (95.0 %)" in finding["message"] and "19 worker" in finding["message"]
    assert finding["binding"] == "pids.max of /system.slice/web.service: 19 of 20"
    assert finding["remedy"]["parameters"] == {"unit": "web.service", "tasks": 40}


def test_zombies_are_told_and_reaped_not_given_room():
    finding = judge(full(SERVICE, 100, 5, 80), "PH-SYS-004").only("warn")
    assert "80 of them are zombies not yet reaped" in finding["message"]
    assert finding["remedy"] is None, "their parent is not among the zombies that were seen"


def test_the_parent_of_the_most_zombies_is_restarted():
    host = full(SERVICE, 100, 5, 80)
    for index in range(80):
        host.process(2000 + index, 700 if index < 60 else 701, "child", "Z", dead=3000, cgroup=SERVICE)
    remedy = judge(host, "PH-SYS-004").only("warn")["remedy"]
    assert (remedy["state"], remedy["parameters"]) == ("reap", {"mode": "restart", "parent": 700, "unit": "web.service"})


def test_a_scope_has_no_limit_that_a_remedy_sets():
    path = "/user.slice/user-500.slice/session-3.scope"
    assert judge(full(path, 20, 19, 0), "PH-SYS-004").only("fail")["remedy"] is None


def test_the_origin_of_the_limit_is_told():
    host = web(drop_in("10-a.conf", "[Service]\nTasksMax=20\n")).group(SERVICE, 20, 20)
    assert "TasksMax=20 in /etc/systemd/system/web.service.d/10-a.conf:2" in judge(host, "PH-SYS-004").only("fail")["message"]
    host = web(TasksMax=4915).group(SERVICE, 4915, 4900)
    assert "systemd's default of 15%" in judge(host, "PH-SYS-004").only("fail")["message"]


@pytest.mark.case("PH-SYS-004", "fires")
def test_f16_the_full_slice_is_named_not_the_session():
    """F16: the session may have 20 %, its slice is full with 33 %."""
    host = SimulatedHost()
    session, other = "/user.slice/user-1000.slice/session-1.scope", "/user.slice/user-1000.slice/session-2.scope"
    for index in range(30):
        host.process(700 + index, 1, "bash", cgroup=session if index < 10 else other, uid=500)
    host.group("/user.slice", "max", 33).group("/user.slice/user-1000.slice", 33, 33).group(session, 20, 10).group(other, 30, 20)
    finding = judge(host, "PH-SYS-004").only("fail")
    assert finding["subject"]["id"] == "user-1000.slice"
    assert "33 tasks of 33 allowed" in finding["message"]


@pytest.mark.case("PH-SYS-004", "silent")
@pytest.mark.parametrize("host", [full(SERVICE, 20, 15, 0), full(SERVICE, "max", 200, 0), full(SERVICE, 1, 1, 0)], ids=["room", "max", "sandbox"])
def test_room_is_silent(host):
    assert judge(host, "PH-SYS-004").status == "pass"


def test_a_pod_at_its_own_cap_only_warns():
    assert judge(full("/kubepods.slice/pod1.slice/cri-a.scope", 20, 20, 0), "PH-SYS-004").only("warn")


@pytest.mark.case("PH-SYS-004", "unreadable")
def test_unreadable_group_is_unknown():
    assert judge(full(SERVICE, 20, 19, 0).forbid("/sys/fs/cgroup/system.slice/web.service/pids.max"), "PH-SYS-004").status == "unknown"


# -- PH-SYS-005


@pytest.mark.case("PH-SYS-005", "fires")
def test_a_share_of_other_days_warns():
    """TasksMax=15 % was resolved while pid_max was 32768; systemd shows today's number."""
    finding = judge(web().group(SERVICE, 4915), "PH-SYS-005").only("warn")
    assert "web.service may have 4915 tasks in the kernel, but TasksMax is shown as 28909 (15%, systemd's default)" in finding["message"]
    assert "a share of what the machine allowed at the last reload" in finding["message"]


def test_a_hand_written_value_warns():
    host = web(drop_in("10-a.conf", "[Service]\nTasksMax=500\n"), TasksMax=500).group(SERVICE, 100)
    assert "written by hand" in judge(host, "PH-SYS-005").only("warn")["message"]


@pytest.mark.case("PH-SYS-005", "silent")
@pytest.mark.parametrize("host", [
    web().group(SERVICE, 28909),
    web(TasksMax=UNLIMITED).group(SERVICE, "max"),
    web(TasksMax=99999999).group(SERVICE, "max"),  # beyond what the kernel takes
    web(fragment="[Service]\nDelegate=yes\n").group(SERVICE, 4915),
], ids=["equal", "infinity", "too large", "delegated"])
def test_the_value_in_force_is_silent(host):
    assert judge(host, "PH-SYS-005").status == "pass" or judge(host, "PH-SYS-005").status == "n/a"
    assert judge(host, "PH-SYS-005").findings == []


def test_without_a_controller_it_does_not_apply():
    host = web()
    for name in ("pids.max", "pids.current", "pids.events"):
        host.remove("/sys/fs/cgroup/system.slice/web.service/" + name)
    judged = judge(host, "PH-SYS-005")
    assert judged.status == "n/a"
    assert judged.row["not_applicable"] == ["the pids controller is not in use for units here: TasksMax= has no effect"]


@pytest.mark.case("PH-SYS-005", "unreadable")
def test_unreadable_pids_max_is_unknown():
    host = web().group(SERVICE, 4915).forbid("/sys/fs/cgroup/system.slice/web.service/pids.max")
    assert judge(host, "PH-SYS-005").status == "unknown"


# -- PH-SYS-006


def leaving(unit="job.service", same_arguments=False):
    """A supervisor that was killed and started again: an old child lives on beside the new one."""
    host = SimulatedHost()
    group = "/system.slice/" + unit
    host.process(700, 1, "supervisord", start=3600, cgroup=group, argv=("/usr/bin/supervisord",))
    host.process(701, 700, "worker", start=3590, cgroup=group, argv=("/usr/bin/worker", "--queue=a"))
    host.process(600, 1, "worker", start=90000, cgroup=group, argv=("/usr/bin/worker", "--queue=a" if same_arguments else "--queue=b"))
    host.unit(unit, MainPID=700, ControlGroup=group, KillMode="process")
    return host


@pytest.mark.case("PH-SYS-006", "fires")
def test_leftovers_warn():
    finding = judge(leaving(), "PH-SYS-006").only("warn")
    assert "job.service has 1 process from before its last start (1 worker, up to 25 h old)" in finding["message"]
    assert finding["evidence"][0]["source"] == "/proc/600/stat"


@pytest.mark.case("PH-SYS-006", "fires")
def test_leftovers_that_run_twice_fail():
    finding = judge(leaving(same_arguments=True), "PH-SYS-006").only("fail")
    assert finding["severity"] == "HIGH" and "worker now runs twice" in finding["message"]
    assert finding["remedy"]["parameters"] == {"keep": 700, "end": "600"} and judge(leaving(), "PH-SYS-006").only("warn")["remedy"] is None


@pytest.mark.case("PH-SYS-006", "silent")
def test_jobs_of_cron_are_wanted():
    assert judge(leaving("cron.service"), "PH-SYS-006").status == "info"


def test_kill_mode_alone_is_information():
    host = SimulatedHost().process(700, 1, "salt-minion", cgroup="/system.slice/salt-minion.service")
    host.unit("salt-minion.service", MainPID=700, ControlGroup="/system.slice/salt-minion.service", KillMode="process")
    assert "salt-minion.service stop without their children" in judge(host, "PH-SYS-006").only("info")["message"]


@pytest.mark.case("PH-SYS-006", "silent")
def test_control_group_is_silent():
    host = leaving()
    host.units["job.service"]["KillMode"] = "control-group"
    assert judge(host, "PH-SYS-006").status == "pass"


def test_members_below_the_main_process_are_its_own():
    host = leaving()
    host.process(600, 700, "worker", start=90000, cgroup="/system.slice/job.service")
    assert judge(host, "PH-SYS-006").status == "info"


@pytest.mark.case("PH-SYS-006", "unreadable")
def test_without_the_bus_leftovers_are_unknown():
    host = leaving()
    host.errors["bus"] = Denied("systemd", "the bus refused this user")
    assert judge(host, "PH-SYS-006").status == "unknown"


# -- PH-SYS-007


@pytest.mark.case("PH-SYS-007", "fires")
def test_rising_restarts_warn():
    host = web(NRestarts=12, Restart="always")
    first = judge(host, "PH-SYS-007")
    assert "restarted by systemd 12 times" in first.only("info")["message"]
    assert first.row["not_applicable"] == ["growth of restart counts needs marks of an earlier audit"]
    marks = dict(first.result["marks"], restarts={"web.service": 7})
    assert "5 times since the last audit (12 in all)" in judge(host, "PH-SYS-007", previous=marks).only("warn")["message"]


@pytest.mark.case("PH-SYS-007", "silent")
def test_steady_or_owned_restarts_are_silent():
    host = web(NRestarts=2, Restart="always")
    assert judge(host, "PH-SYS-007").status == "pass"
    host = web(NRestarts=12, Restart="always")
    assert judge(host, "PH-SYS-007", {"restarts": {"owned": ["web.*"]}}).status == "pass"
    host = SimulatedHost().unit("serial-getty@ttyS0.service", NRestarts=40, Restart="always", ControlGroup="/x")
    assert judge(host, "PH-SYS-007").status == "pass"


@pytest.mark.parametrize("command, target", [
    ("/usr/bin/systemctl try-restart VRTSralus.service", "VRTSralus.service"),
    ("/bin/systemctl --quiet restart web", "web.service"),
    ("/etc/init.d/VRTSralus.init restart", "VRTSralus.init.service"),
    ("-/usr/sbin/service web restart", "web.service"),
    ("/usr/bin/systemctl reload web", None),
    ("/usr/sbin/logrotate /etc/logrotate.conf", None),
])
def test_timers_that_restart_are_listed(command, target):
    host = web()
    host.file("/etc/systemd/system/weekly.timer", "[Timer]\nOnCalendar=weekly\n")
    host.file("/etc/systemd/system/weekly.service", "[Service]\nType=oneshot\nExecStart=%s\n" % command)
    host.unit("weekly.timer", Unit="weekly.service")
    judged = judge(host, "PH-SYS-007")
    if target is None:
        assert judged.status == "pass"
    else:
        message = judged.only("info")["message"]
        assert message.startswith("weekly.timer (OnCalendar=weekly) restarts %s" % target)


def test_cron_lines_that_restart_are_listed():
    """S0: the weekly restart that hides a leak."""
    host = web().file("/etc/cron.d/ralus", "0 14 * * 6 root /etc/init.d/VRTSralus.init restart\n")
    host.process(400, 1, "cron", exe="/usr/sbin/cron", cgroup="/system.slice/cron.service")
    message = judge(host, "PH-SYS-007").only("info")["message"]
    assert message.startswith("/etc/cron.d/ralus:1 every 7.0 d restarts VRTSralus.init.service on schedule")
    assert judge(host, "PH-SYS-007", {"restarts": {"owned": ["VRTSralus*"]}}).status == "pass"
    without = SimulatedHost().file("/etc/cron.d/ralus", "0 14 * * 6 root /etc/init.d/VRTSralus.init restart\n")
    without.process(400, 1, "cron", exe="/usr/sbin/cron", cgroup="/")
    judged = judge(without, "PH-SYS-007")
    assert "/etc/cron.d/ralus:1" in judged.only("info")["message"] and judged.row["not_applicable"] == ["systemd does not run here"]


def test_a_timer_of_the_remedy_is_chosen_by_whoever_it_names():
    from pidhygiene.remedies.scheduled_restart import Schedule, service_text, timer_text

    def restarted_by(name, owner):
        host = web()
        host.file("/etc/systemd/system/%s.timer" % name, timer_text("web.service", Schedule(("weekly",), 0, 0, 0), True))
        host.file("/etc/systemd/system/%s.service" % name, service_text("web.service", owner, "ticket 1", "/usr/bin/systemctl"))
        return judge(host.unit("%s.timer" % name, Unit="%s.service" % name), "PH-SYS-007")

    assert restarted_by("pidhygiene-restart-web", "web team").status == "pass"
    assert "pidhygiene-restart-web.timer (OnCalendar=weekly) restarts web.service" in restarted_by("pidhygiene-restart-web", "").only("info")["message"]
    assert restarted_by("weekly", "web team").status == "info", "the name of an owner in a unit of anybody's is no owner"


def test_a_limited_life_is_listed():
    host = web(drop_in("10-a.conf", "[Service]\nRuntimeMaxSec=1d\nRestart=always\n"), RuntimeMaxUSec=86400 * 10**6, Restart="always")
    assert "RuntimeMaxSec= after 24 h restarts web.service" in judge(host, "PH-SYS-007").only("info")["message"]


@pytest.mark.case("PH-SYS-007", "unreadable")
def test_without_the_bus_restarts_are_unknown():
    host = web(NRestarts=12)
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    assert judge(host, "PH-SYS-007").status == "unknown"


# -- all of them


@pytest.mark.parametrize("rule", ["PH-SYS-00%d" % number for number in (1, 2, 3, 5, 6, 7)])
def test_without_systemd_they_do_not_apply(rule):
    judged = judge(SimulatedHost(), rule)
    assert judged.status == "n/a"
    assert judged.row["not_applicable"] == ["systemd does not run here"]
