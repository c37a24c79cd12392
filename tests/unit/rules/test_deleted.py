"""PH-DEL through audit(): files replaced while they run, and what only looks so."""

import pytest
from pidhygiene.host import Denied, Missing, Unsafe
from pidhygiene.restart_plan import dangers, steps_of
from simulated import NOW, SimulatedHost, judge

DAY = 86400.0
SERVICE = "/system.slice/web.service"


def running(path="/usr/sbin/web", unit="web.service", pid=700, nlink=0, installed=DAY, mark=" (deleted)", comm="web", **unit_properties):
    """The unit runs a file that was deleted; ``installed``: seconds since the new one came, None: there is none."""
    host = SimulatedHost()
    group = "/system.slice/" + unit
    host.process(pid, 1, comm, cgroup=group, exe=path + mark)
    host.file(path + mark, "", nlink=nlink, ino=77, ctime=NOW - 90 * DAY)
    if installed is not None:
        host.file(path, "", ctime=NOW - installed)
    host.file("/usr/lib/systemd/system/" + unit, "[Service]\nExecStart=%s\n" % path)
    return host.unit(unit, **dict({"MainPID": pid, "ControlGroup": group, "FragmentPath": "/usr/lib/systemd/system/" + unit}, **unit_properties))


def container(host, pid=700):
    host.link("/proc/self/ns/mnt", "mnt:[1]").link("/proc/%d/ns/mnt" % pid, "mnt:[2]")
    host.directory("/proc/%d/root" % pid)
    host.stats["/proc/%d/root" % pid] = {"ino": 4711}
    return host


# -- PH-DEL-001


@pytest.mark.case("PH-DEL-001", "fires")
def test_a_replaced_program_warns_within_the_patch_window():
    finding = judge(running(), "PH-DEL-001").only("warn")
    assert finding["message"] == "web.service: web (700) runs /usr/sbin/web, which was replaced 24 h ago: restart web.service within 30 days."
    assert finding["remedy"]["parameters"] == {"unit": "web.service"}


@pytest.mark.case("PH-DEL-001", "fires")
def test_beyond_the_patch_window_it_fails():
    assert judge(running(installed=31 * DAY), "PH-DEL-001").only("fail")["severity"] == "HIGH"
    assert judge(running(installed=3 * DAY), "PH-DEL-001", {"patch_window": 2}).only("fail")


@pytest.mark.case("PH-DEL-001", "fires")
def test_a_program_that_is_gone_fails():
    assert "web.service cannot be started again" in judge(running(installed=None), "PH-DEL-001").only("fail")["message"]


def test_workers_are_one_finding_with_their_main_process():
    host = running()
    for pid in range(701, 720):
        host.process(pid, 700, "web", cgroup=SERVICE, exe="/usr/sbin/web (deleted)")
    assert len(judge(host, "PH-DEL-001").findings) == 1


def test_a_stranger_in_the_unit_does_not_ask_for_its_restart():
    """needrestart issue 40: atop, started by a job, lives in cron's group."""
    host = running()
    host.process(700, 1, "web", cgroup=SERVICE, exe="/usr/sbin/other")
    host.process(701, 1, "atop", cgroup=SERVICE, exe="/usr/bin/atop (deleted)").file("/usr/bin/atop (deleted)", "", nlink=0).file("/usr/bin/atop", "")
    finding = judge(host, "PH-DEL-001").only("warn")
    assert "it is not the main one of web.service" in finding["message"] and finding["remedy"] is None


def test_a_containers_program_is_told_with_the_container():
    host = container(running(installed=None))
    host.file("/proc/700/root/usr/sbin/web", "")
    assert "recreate the container" in judge(host, "PH-DEL-001").only("info")["message"]


def test_a_sandboxed_service_is_no_container():
    host = container(running(installed=None))
    host.file("/proc/700/root/usr/sbin/web", "", ctime=NOW - 40 * DAY)
    host.stats["/"] = {"ino": 4711}
    assert judge(host, "PH-DEL-001").only("fail")


@pytest.mark.parametrize("comm", ["dpkg", "rpm"])
def test_while_an_update_runs_it_is_information(comm):
    assert "look again" in judge(running().process(900, 1, comm), "PH-DEL-001").only("info")["message"]


@pytest.mark.case("PH-DEL-001", "silent")
@pytest.mark.parametrize("host", [
    running(nlink=1),  # another hard link survives, or the file is really called so
    running(path="/memfd:runc", installed=None),
    running(path="/dev/zero", installed=None),
    running(mark="", nlink=1, installed=None),
    running(nlink=1).file("/usr/sbin/web (deleted)", "", nlink=1, ino=77),
], ids=["link survives", "memfd", "zero", "alive", "literal name"])
def test_what_only_looks_deleted_is_silent(host):
    judged = judge(host, "PH-DEL-001")
    assert judged.status == "pass" and judged.findings == []


def overlay(host, literal=False):
    """The root is an overlay; unless ``literal``, no file is really called "… (deleted)", which only stands for the magic link's target."""
    host.file("/proc/self/mountinfo", "20 1 0:20 / / rw - overlay overlay rw\n" + host.files["/proc/self/mountinfo"].decode())
    plain = host.stat

    def stat(path, follow=True, root="/"):
        if path.endswith(" (deleted)") and not literal:
            raise Missing(path, "does not exist")
        return plain(path, follow, root)

    host.stat = stat
    return host


def test_on_an_overlay_a_covered_file_keeps_its_link_count():
    assert judge(overlay(running(nlink=1)), "PH-DEL-001").only("warn")
    assert judge(overlay(running(nlink=2)), "PH-DEL-001").status == "pass"
    assert judge(overlay(running(nlink=1), literal=True), "PH-DEL-001").status == "pass"


@pytest.mark.case("PH-DEL-001", "unreadable")
def test_a_program_that_cannot_be_seen_is_unknown():
    assert judge(running().forbid("/proc/700/exe"), "PH-DEL-001").status == "unknown"


# -- PH-DEL-002


def moved(text="/usr/sbin/web.old", comm="web", changed=3600.0, started=7200.0, wanted="/usr/sbin/web", exists=True):
    host = SimulatedHost()
    host.process(700, 1, comm, cgroup=SERVICE, exe=text, start=started).file(text, "", ctime=NOW - changed)
    if exists:
        host.file(wanted, "")
    host.file("/usr/lib/systemd/system/web.service", "[Service]\nExecStart=%s -f\n" % wanted)
    return host.unit("web.service", MainPID=700, ControlGroup=SERVICE, FragmentPath="/usr/lib/systemd/system/web.service")


@pytest.mark.case("PH-DEL-002", "fires")
def test_a_program_that_was_moved_aside_warns():
    finding = judge(moved(), "PH-DEL-002").only("warn")
    assert "is now called /usr/sbin/web.old, and /usr/sbin/web is another file: restart web.service" in finding["message"]


@pytest.mark.case("PH-DEL-002", "fires")
def test_a_program_that_was_moved_away_must_be_put_back():
    assert "put it back" in judge(moved(exists=False), "PH-DEL-002").only("warn")["message"]


@pytest.mark.case("PH-DEL-002", "silent")
@pytest.mark.parametrize("host", [
    moved(changed=9e6),  # a wrapper: web leads to web.old, which nobody has touched since
    moved(text="/usr/sbin/apache2", comm="apache2"),
    moved(text="/usr/sbin/web"),
    moved(text="/usr/bin/python3.11", comm="python3"),
], ids=["wrapper", "another program", "the same", "interpreter"])
def test_wrappers_and_interpreters_are_silent(host):
    assert judge(host, "PH-DEL-002").status == "pass"


def test_a_link_to_the_running_file_is_silent():
    host = moved()
    host.remove("/usr/sbin/web").link("/usr/sbin/web", "web.old")
    assert judge(host, "PH-DEL-002").status == "pass"


@pytest.mark.case("PH-DEL-002", "unreadable")
def test_a_main_process_that_cannot_be_seen_is_unknown():
    assert judge(moved().forbid("/proc/700/exe"), "PH-DEL-002").status == "unknown"


# -- PH-DEL-003

MAPS = """55d0c0000000-55d0c0001000 r-xp 00000000 08:01 100 /usr/sbin/web
7f0000000000-7f0000001000 r--p 00000000 08:01 200 %(path)s (deleted)
7f0000001000-7f0000002000 %(mode)s 00001000 08:01 %(inode)d                    %(path)s (deleted)
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0 [vdso]
"""


def mapping(path="/usr/lib/libssl.so.3", mode="r-xp", inode=200, installed=DAY):
    host = running(mark="", nlink=1, installed=None)
    host.file("/usr/sbin/web", "")
    host.file("/proc/700/maps", MAPS % {"path": path, "mode": mode, "inode": inode})
    if installed is not None:
        host.file(path, "", ctime=NOW - installed)
    return host


@pytest.mark.case("PH-DEL-003", "fires")
def test_a_replaced_library_is_one_finding_for_all_its_services():
    host = mapping()
    host.process(800, 1, "mail", cgroup="/system.slice/mail.service").file("/proc/800/maps", host.files["/proc/700/maps"])
    host.file("/usr/bin/mail", "")
    finding = judge(host, "PH-DEL-003").only("warn")
    assert "mail.service, web.service still use the old file: restart them within 30 days" in finding["message"]
    assert finding["severity"] == "HIGH"


@pytest.mark.case("PH-DEL-003", "fires")
def test_a_library_replaced_before_the_patch_window_fails():
    assert judge(mapping(installed=40 * DAY), "PH-DEL-003").only("fail")


@pytest.mark.case("PH-DEL-003", "silent")
@pytest.mark.parametrize("host", [
    mapping(mode="rw-p"), mapping(inode=0), mapping(path="/memfd:jit"), mapping(path="/dev/zero"), mapping(path="/SYSV00000000"),
    mapping(path="/tmp/ffiabc"), mapping(path="/usr/share/cache", installed=None),
    mapping().file("/proc/700/map_files/7f0000001000-7f0000002000", "", nlink=1),
], ids=["data", "no inode", "memfd", "zero", "shm", "scratch", "no library", "link survives"])
def test_benign_maps_are_silent(host):
    assert judge(host, "PH-DEL-003").status == "pass"


def interpreted(argv, changed=NOW - DAY, exe="/usr/bin/python3.11", start=30 * DAY, script="/usr/sbin/agent", unit="agent.service", **stat):
    host = SimulatedHost().process(700, 1, "agent", exe=exe, argv=argv, start=start, cgroup="/system.slice/" + unit)
    host.file(exe, "").file("/proc/700/maps", "").file("/proc/1/maps", "").file("/usr/lib/systemd/systemd", "")
    host.unit(unit, MainPID=700, ControlGroup="/system.slice/" + unit)
    return host.file(script, "", ctime=changed, **dict({"mtime": NOW - 400 * DAY}, **stat))


@pytest.mark.case("PH-DEL-003", "fires")
@pytest.mark.parametrize("argv, exe", [
    (("/usr/bin/python3", "/usr/sbin/agent", "--daemon"), "/usr/bin/python3.11"),
    (("/usr/bin/python3", "-u", "-X", "dev", "-Wignore", "/usr/sbin/agent"), "/usr/bin/python3.11"),
    (("/usr/bin/perl", "-wT", "-I", "/opt/lib", "/usr/sbin/agent"), "/usr/bin/perl"), (("ruby", "-rset", "/usr/sbin/agent"), "/usr/bin/ruby3.1"),
])
def test_a_script_that_was_replaced_while_its_service_runs(argv, exe):
    finding = judge(interpreted(argv, exe=exe), "PH-DEL-003").only("warn")
    assert finding["message"] == "/usr/sbin/agent was changed 24 h ago, after agent.service started from it: restart it within 30 days."
    assert finding["confidence"] == "medium" and finding["severity"] == "MED"


SCRIPT = ("/usr/bin/python3", "/usr/sbin/agent")


def test_a_script_of_somebody_else_is_his_deploy():
    assert judge(interpreted(SCRIPT, uid=500), "PH-DEL-003").only("info")
    assert judge(interpreted(("python3", "/home/a/app.py"), script="/home/a/app.py"), "PH-DEL-003").only("info")
    assert judge(interpreted(SCRIPT).process(9, 1, "dpkg"), "PH-DEL-003").only("info")


@pytest.mark.case("PH-DEL-003", "silent")
@pytest.mark.parametrize("host", [
    interpreted(SCRIPT, changed=NOW - 31 * DAY), interpreted(SCRIPT, changed=NOW - 30 * DAY + 5),
    interpreted(SCRIPT, changed=NOW - 31 * DAY, mtime=NOW - DAY),  # touch -d, a build date in the future
    interpreted(("/usr/bin/python3", "-m", "agent", "/usr/sbin/agent")), interpreted(("/usr/bin/python3", "-c", "pass", "/usr/sbin/agent")),
    interpreted(("/usr/bin/perl", "-e", "1", "/usr/sbin/agent"), exe="/usr/bin/perl"), interpreted(("python3", "sbin/agent")),
    interpreted(("/usr/bin/python3", "/opt/gone")), interpreted(("/usr/sbin/web", "/usr/sbin/agent"), exe="/usr/sbin/web"),
    interpreted(("agent: master",)), container(interpreted(SCRIPT).file("/proc/700/root/usr/sbin/agent", "", ctime=NOW - DAY)),
], ids=["older", "as it started", "mtime", "module", "command", "perl command", "relative", "no file", "no interpreter", "own title", "container"])
def test_scripts_that_have_not_changed_or_are_not_certain(host):
    assert judge(host, "PH-DEL-003").findings == []


@pytest.mark.case("PH-DEL-003", "unreadable")
def test_maps_that_cannot_be_read_are_unknown():
    assert judge(mapping().forbid("/proc/700/maps"), "PH-DEL-003").status == "unknown"
    for rule in ("PH-DEL-001", "PH-DEL-002", "PH-DEL-004", "PH-DEL-005"):
        assert judge(mapping().forbid("/proc/700/maps"), rule).status == "pass", "these ask for the program alone"


def in_state_d(start, other=False):
    """A compiler waits for its disk, as it does a hundred times in a build; or a daemon does, for hours."""
    host = mapping()
    host.process(700, 1, "web", "D", cgroup=SERVICE, exe="/usr/sbin/web", start=start).file("/proc/700/task/700/stat", host.files["/proc/700/stat"])
    host.file("/proc/700/maps", "").forbid("/proc/700/maps", AssertionError("touched"))
    if other:
        host.process(701, 700, "web", cgroup=SERVICE, exe="/usr/sbin/web", start=start).file("/proc/701/maps", "")
    return host


def test_a_task_that_waits_for_its_disk_is_not_unknown():
    assert judge(in_state_d(5.0), "PH-DEL-003").status == "pass", "it has just started"
    assert judge(in_state_d(7200.0, other=True), "PH-DEL-003").status == "pass", "another one of its kind does as well"
    assert judge(in_state_d(7200.0), "PH-DEL-003").status == "unknown"


def test_a_program_on_a_server_is_judged_by_the_kernels_mark():
    """Asking its file system about it could block: NFS, FUSE."""
    host = running(path="/home/person/tool", mark="")
    host.forbid("/proc/700/exe", Unsafe("/proc/700/exe", "on a remote file system"))
    plain = host.readlink
    host.readlink = lambda path, root="/": "/home/person/tool" if path == "/proc/700/exe" else plain(path, root)
    assert judge(host, "PH-DEL-001").status == "pass"
    host.readlink = lambda path, root="/": "/home/person/tool (deleted)" if path == "/proc/700/exe" else plain(path, root)
    assert judge(host, "PH-DEL-001").status == "unknown"


# -- PH-DEL-004, PH-DEL-005


def dbus(**given):
    return running(path="/usr/bin/dbus-daemon", unit="dbus.service", comm="dbus-daemon", **given)


@pytest.mark.case("PH-DEL-004", "fires")
def test_a_replaced_bus_warns_then_fails_and_is_never_restarted_alone():
    """F06: and the restart of logind that was planned against it is rejected."""
    finding = judge(dbus(), "PH-DEL-004").only("warn")
    assert "schedule a reboot within 30 days; never restart dbus.service alone" in finding["message"]
    assert [each.kind for each in dangers(["systemd-logind"], {"dbus.service"})] == ["client of a stale bus"]
    assert "restarts systemd-logind.service, but the message bus runs" in judge(
        with_job(dbus(), "systemctl restart systemd-logind"), "PH-DEL-006").only("fail")["message"]
    assert judge(dbus(installed=40 * DAY), "PH-DEL-004").only("fail")
    assert "PH-DEL-004" in judge(dbus(), "PH-DEL-001").only("info")["message"]


@pytest.mark.case("PH-DEL-004", "silent")
def test_the_bus_of_a_user_is_his():
    host = running(path="/usr/bin/dbus-daemon", comm="dbus-daemon")
    host.process(700, 1, "dbus-daemon", uid=1000, cgroup="/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.service",
                 exe="/usr/bin/dbus-daemon (deleted)")
    assert judge(host, "PH-DEL-004").status == "pass"
    assert judge(host, "PH-DEL-001").only("info")


@pytest.mark.case("PH-DEL-004", "unreadable")
def test_a_bus_that_cannot_be_seen_is_unknown():
    assert judge(dbus().forbid("/proc/700/exe", Denied("/proc/700/exe", "permission denied")), "PH-DEL-004").status == "unknown"


def logind(**given):
    return running(path="/usr/lib/systemd/systemd-logind", unit="systemd-logind.service", comm="systemd-logind", **given)


@pytest.mark.case("PH-DEL-005", "fires")
def test_a_replaced_logind_warns_then_fails():
    assert "only after the bus is in order" in judge(logind(), "PH-DEL-005").only("warn")["message"]
    assert judge(logind(installed=31 * DAY), "PH-DEL-005").only("fail")


def test_logind_is_not_restarted_before_a_stale_bus():
    host = logind()
    host.process(600, 1, "dbus-daemon", cgroup="/system.slice/dbus.service", exe="/usr/bin/dbus-daemon (deleted)")
    host.file("/usr/bin/dbus-daemon (deleted)", "", nlink=0).file("/usr/bin/dbus-daemon", "")
    assert "repeats the failure" in judge(host, "PH-DEL-005").only("warn")["message"]


@pytest.mark.case("PH-DEL-005", "fires")
def test_a_replaced_manager_is_reexecuted():
    host = SimulatedHost().with_systemd()
    host.process(1, 0, "systemd", exe="/usr/lib/systemd/systemd (deleted)", cgroup="/init.scope")
    host.file("/usr/lib/systemd/systemd (deleted)", "", nlink=0).file("/usr/lib/systemd/systemd", "", ctime=NOW - 100)
    assert "run systemctl daemon-reexec" in judge(host, "PH-DEL-005").only("warn")["message"]


@pytest.mark.case("PH-DEL-005", "silent")
def test_other_services_are_not_its_business():
    assert judge(running(), "PH-DEL-005").status == "pass"


@pytest.mark.case("PH-DEL-005", "unreadable")
def test_a_logind_that_cannot_be_seen_is_unknown():
    assert judge(logind().forbid("/proc/700/exe"), "PH-DEL-005").status == "unknown"


# -- PH-DEL-006


def with_job(host, command):
    host.process(400, 1, "cron", exe="/usr/sbin/cron", cgroup="/system.slice/cron.service")
    host.file("/usr/sbin/cron", "INSECURE MODE (mode 0600 expected)")
    return host.file("/etc/cron.d/night", "30 3 * * 0 root %s\n" % command)


def with_clients(host, *names):
    for number, name in enumerate(names):
        group = "/system.slice/" + name
        host.process(900 + number, 1, name[:15], cgroup=group)
        host.unit(name, MainPID=900 + number, ControlGroup=group)
    return host


def healthy(*clients):
    return with_clients(SimulatedHost().with_systemd(), *clients)


@pytest.mark.case("PH-DEL-006", "fires")
@pytest.mark.parametrize("command, unit", [
    ("systemctl restart systemd-logind", "systemd-logind.service"), ("systemctl try-restart polkit NetworkManager.service", "polkit.service"),
    ("/usr/sbin/service network-manager restart", "NetworkManager.service"),
])
def test_a_client_of_a_stale_bus_on_schedule_fails(command, unit):
    found = [each for each in judge(with_job(dbus(), command), "PH-DEL-006").findings if each["status"] == "fail"]
    assert any("/etc/cron.d/night:1 every 7.0 d restarts %s, but the message bus" % unit in each["message"] and each["severity"] == "HIGH" for each in found)
    assert judge(with_job(healthy(), command), "PH-DEL-006").status == "pass", "the bus is in order"


@pytest.mark.case("PH-DEL-006", "fires")
@pytest.mark.parametrize("command, missing", [
    ("systemctl restart dbus", "systemctl daemon-reexec and systemd-logind.service"), ("systemctl restart messagebus systemd-logind", "systemctl daemon-reexec"),
    ("systemctl restart systemd-logind dbus && systemctl daemon-reexec", "systemd-logind.service"),
    ("systemctl daemon-reexec; systemctl restart dbus systemd-logind", "systemctl daemon-reexec"),
])
def test_the_bus_alone_on_schedule_fails_at_any_time(command, missing):
    message = judge(with_job(healthy("systemd-logind.service"), command), "PH-DEL-006").only("fail")["message"]
    assert "restarts dbus.service without " in message and missing.split(" and ")[0] in message


def test_a_timer_and_a_limited_life_count_as_well():
    host = healthy("systemd-logind.service").file("/etc/systemd/system/bus.timer", "[Timer]\nOnCalendar=weekly\n")
    host.file("/etc/systemd/system/bus.service", "[Service]\nType=oneshot\nExecStart=/bin/systemctl restart dbus.service\nExecStart=/bin/systemctl daemon-reexec\n")
    host.unit("bus.timer", Unit="bus.service")
    assert "bus.timer (OnCalendar=weekly) restarts dbus.service without" in judge(host, "PH-DEL-006").only("fail")["message"]
    bounded = dbus(RuntimeMaxUSec=86400 * 10**6, Restart="always")
    assert "restarts dbus.service without" in judge(bounded, "PH-DEL-006").only("fail")["message"]


@pytest.mark.case("PH-DEL-006", "silent")
@pytest.mark.parametrize("command", [
    "systemctl restart dbus && systemctl daemon-reexec && systemctl restart systemd-logind 2>/dev/null", "systemctl --user restart dbus", "systemctl reload dbus",
    "systemctl restart dbus-cleanup.service", "/sbin/reboot", "systemctl restart web",
])
def test_safe_plans_are_silent(command):
    assert judge(with_job(healthy("systemd-logind.service"), command), "PH-DEL-006").status == "pass"


def test_nothing_on_schedule_passes_even_with_a_stale_bus():
    assert judge(dbus(), "PH-DEL-006").status == "pass"


@pytest.mark.case("PH-DEL-006", "unreadable")
def test_schedules_or_programs_that_cannot_be_read():
    job = "systemctl restart systemd-logind"
    assert judge(with_job(dbus(), job).forbid("/etc/cron.d/night"), "PH-DEL-006").status == "unknown"
    assert judge(with_job(dbus(), job).forbid("/proc/700/exe", Denied("/proc/700/exe", "permission denied")), "PH-DEL-006").status == "unknown"


@pytest.mark.parametrize("steps, stale, found", [
    (["systemd-logind"], set(), []),
    (["systemd-logind"], {"dbus-broker.service"}, [("client of a stale bus", "systemd-logind.service")]),
    (["dbus", "systemd", "NetworkManager", "polkit", "systemd-logind"], {"dbus.service"}, []),
    (["systemd-logind", "dbus", "systemd", "NetworkManager", "polkit", "systemd-logind"], {"dbus.service"}, [("client of a stale bus", "systemd-logind.service")]),
    (["dbus", "systemd", "polkit", "systemd-logind"], set(), [("bus alone", "dbus.service")]),
    (["web", "nginx.service"], {"dbus.service"}, []),
    ([], {"dbus.service"}, []),
])
def test_plans(steps, stale, found):
    assert [(each.kind, each.unit) for each in dangers(steps, stale)] == found


@pytest.mark.parametrize("line, steps", [
    ("systemctl -q restart --no-block a.service b 2>/dev/null; service c restart", ["a.service", "b.service", "c.service"]),
    ("systemctl restart dbus && systemctl daemon-reexec && systemctl try-restart systemd-logind", ["dbus.service", "systemd", "systemd-logind.service"]),
    ("systemctl daemon-reload", []), ("systemctl --user restart dbus", []),
])
def test_steps_of_a_command_line(line, steps):
    assert steps_of(line) == steps


# -- PH-DEL-007


def kernels(*releases, age=40 * DAY, modules=("6.1.0-30-amd64",)):
    host = SimulatedHost()
    for release in releases:
        host.file("/boot/vmlinuz-" + release, "", ctime=NOW - age)
    for release in modules:
        host.directory("/lib/modules/" + release)
    return host


@pytest.mark.case("PH-DEL-007", "fires")
def test_a_newer_kernel_warns_after_the_patch_window():
    host = kernels("6.1.0-30-amd64", "6.1.0-100-amd64")
    assert "Kernel 6.1.0-100-amd64 is installed, 6.1.0-30-amd64 runs, since 40 d" in judge(host, "PH-DEL-007").only("warn")["message"]
    assert judge(kernels("6.1.0-31-amd64", age=DAY), "PH-DEL-007").only("info")


@pytest.mark.case("PH-DEL-007", "fires")
def test_modules_that_are_gone_fail():
    assert judge(kernels("6.1.0-30-amd64", modules=("6.1.0-29-amd64",)), "PH-DEL-007").only("fail")


@pytest.mark.case("PH-DEL-007", "fires")
def test_what_the_package_manager_asks_for_warns_with_its_reason():
    host = kernels().file("/run/reboot-required", "", ctime=NOW - 40 * DAY).file("/run/reboot-required.pkgs", "libc6\nlibc6\ndbus\n")
    assert "because of dbus, libc6" in judge(host, "PH-DEL-007").only("warn")["message"]


@pytest.mark.case("PH-DEL-007", "silent")
@pytest.mark.parametrize("host", [
    kernels("6.1.0-30-amd64", "6.1.0-9-amd64"),
    kernels("6.1.0-31-cloud-amd64", modules=()),
    kernels(modules=("5.10.0-1-amd64",)),  # no kernel package: a guest that was booted with its host's kernel
    kernels(),
], ids=["older", "other flavour", "no kernel here", "nothing"])
def test_the_newest_kernel_is_silent(host):
    assert judge(host, "PH-DEL-007").status == "pass"


@pytest.mark.case("PH-DEL-007", "unreadable")
def test_an_unreadable_boot_is_unknown():
    assert judge(kernels().forbid("/boot"), "PH-DEL-007").status == "unknown"
