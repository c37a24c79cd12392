"""PH-LIM-001, 002, 006, 011, 012 through audit()."""

import pytest
from pidhygiene.host import Denied
from simulated import NOW, SimulatedHost, judge

BOOT = "3a9c4a5e-0000-4000-8000-000000000001"
SESSION = "/user.slice/user-500.slice/session-1.scope"


def marks(host, **more):
    return dict({"version": 1, "boot_id": BOOT, "wall": host.wall - 3600, "boot": host.boot - 3600}, **more)


def user_with(tasks, soft, **process):
    return SimulatedHost().process(700, 1, "oracle", uid=500, threads=tasks, cgroup=SESSION, nproc=(soft, soft), **process)


@pytest.mark.case("PH-LIM-001", "fires")
@pytest.mark.parametrize("tasks, status, severity, percent", [(81, "warn", "HIGH", "81.0 %"), (96, "fail", "CRIT", "96.0 %"), (113, "fail", "CRIT", "113.0 %")])
def test_user_near_nproc(tasks, status, severity, percent):
    """Above 100 % is legal and shown as it is: the limit is the caller's, the count the user's (RULES D1)."""
    finding = judge(user_with(tasks, 100), "PH-LIM-001").only(status)
    assert finding["severity"] == severity
    assert "User oracle has %d tasks of 100 allowed (%s)" % (tasks, percent) in finding["message"]


@pytest.mark.parametrize("group, hard, expected", [
    (SESSION, 100, {"domain": "oracle", "type": "soft", "item": "nproc", "value": "200"}),  # 96365 is what a session may have
    ("/system.slice/db.service", 100, {"unit": "db.service", "nproc": 200}),
])
def test_more_processes_are_proposed_where_the_limit_comes_from(group, hard, expected):
    host = SimulatedHost().file("/var/lib/dpkg/status", "Package: libpam-modules\nStatus: install ok installed\nVersion: 1.5.2-6\n")
    host.file("/etc/security/limits.conf", "")
    host.process(700, 1, "oracle", uid=500, threads=96, cgroup=group, nproc=(100, hard))
    assert judge(host, "PH-LIM-001").only("fail")["remedy"]["parameters"] == expected


def test_more_room_is_no_cure_for_zombies():
    host = SimulatedHost().process(700, 1, "oracle", uid=500, cgroup=SESSION, nproc=(100, 100))
    for pid in range(800, 895):
        host.process(pid, 700, "child", state="Z", uid=500, cgroup=SESSION, dead=5000.0)
    assert judge(host, "PH-LIM-001").only("fail")["remedy"] is None


@pytest.mark.case("PH-LIM-001", "silent")
def test_user_below_threshold_exempt_or_sandboxed():
    assert judge(user_with(79, 100), "PH-LIM-001").status == "pass"
    root = SimulatedHost().process(700, 1, "d", uid=0, threads=500, nproc=(100, 100))
    assert judge(root, "PH-LIM-001").status == "pass"
    capable = user_with(500, 100, capabilities=1 << 24)
    assert judge(capable, "PH-LIM-001").status == "pass"
    sandbox = SimulatedHost().process(700, 1, "sshd", uid=105, nproc=(0, 0))
    assert judge(sandbox, "PH-LIM-001").status == "pass"


def test_container_root_is_not_exempt():
    host = SimulatedHost().process(700, 1, "d", uid=0, threads=99, nproc=(100, 100), userns="user:[4026532201]")
    host.owners["/proc/700/ns/user"] = 0
    assert judge(host, "PH-LIM-001").status == "fail"


def test_different_limits_of_one_user_are_judged_apart():
    host = user_with(90, 100).process(701, 1, "daemon", uid=500, nproc=(96365, 96365))
    assert len(judge(host, "PH-LIM-001").findings) == 1


@pytest.mark.case("PH-LIM-001", "unreadable")
def test_unreadable_limits_are_unknown():
    assert judge(user_with(10, 100).forbid("/proc/700/limits"), "PH-LIM-001").status == "unknown"


def promised(line, shell="/bin/bash"):
    """A daemon with 90 tasks of oracle runs with the kernel's limit; the next session of oracle would get another one."""
    host = SimulatedHost().process(700, 1, "db", uid=500, threads=90, cgroup="/system.slice/db.service")
    host.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\noracle:x:500:500::/home/oracle:%s\n" % shell)
    host.file("/var/lib/dpkg/status", "Package: libpam-modules\nStatus: install ok installed\nVersion: 1.5.2-6+deb12u1\n\n")
    return host.file("/etc/security/limits.conf", line)


def test_the_next_session_is_judged_before_anybody_opens_it():
    """INCIDENTS P9: the service runs, and nobody can log in as its user any more."""
    finding = judge(promised("oracle soft nproc 92\n"), "PH-LIM-001").only("fail")
    assert finding["evidence"][1] == {"source": "/etc/security/limits.conf:1", "value": "oracle soft nproc 92"}
    assert judge(promised("* soft nproc 92\n"), "PH-LIM-001").status == "fail"
    assert judge(promised("* soft nproc 92\n", "/usr/sbin/nologin"), "PH-LIM-001").status == "pass", "nobody logs in as this user"
    assert judge(promised("oracle soft nproc 4096\n"), "PH-LIM-001").status == "pass"


def hidden_host(tasks, nproc=(20, 20), inner=(96365, 96365)):
    """Six tasks with kuid 70005 in a user namespace that uid 64125 created (F14, oracle V5)."""
    host = SimulatedHost()
    host.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nbuilder:x:64125:64125::/home/builder:/bin/sh\n")
    for index in range(tasks):
        host.process(900 + index, 1, "inner", uid=70005, userns="user:[4026532201]", cgroup=SESSION, nproc=inner)
        host.owners["/proc/%d/ns/user" % (900 + index)] = 64125
    return host.process(700, 1, "bash", uid=64125, cgroup=SESSION, nproc=nproc) if nproc else host


@pytest.mark.case("PH-LIM-002", "fires")
def test_hidden_tasks_count_for_the_creator():
    host = hidden_host(6, (7, 7))
    assert "User builder is charged 6 tasks that carry other uids" in judge(host, "PH-LIM-002").only("warn")["message"]
    assert "User builder has 7 tasks of 7 allowed (100.0 %)" in judge(host, "PH-LIM-001").only("fail")["message"]


def test_rootless_containers_with_room_are_information():
    for host in (hidden_host(6), hidden_host(6, None), hidden_host(6, None, (None, None))):
        finding = judge(host, "PH-LIM-002").only("info")
        assert finding["severity"] == "INFO" and "because this user created their user namespaces" in finding["message"]


def test_without_a_process_of_his_own_the_namespace_shows_what_he_had():
    finding = judge(hidden_host(6, None, (7, 7)), "PH-LIM-002").only("warn")
    assert finding["severity"] == "MED" and "(100.0 % of 6, and 7 are allowed)" in finding["message"]


@pytest.mark.case("PH-LIM-002", "silent")
def test_few_hidden_tasks_or_an_old_kernel_are_silent():
    assert judge(hidden_host(2), "PH-LIM-002").status == "pass"
    old = hidden_host(6).file("/proc/sys/kernel/osrelease", "4.18.0-553.el8.x86_64\n")
    assert judge(old, "PH-LIM-002").status == "n/a"


@pytest.mark.case("PH-LIM-002", "unreadable")
def test_owner_of_namespace_unknown_is_never_zero():
    host = hidden_host(6)
    host.owners.clear()
    assert judge(host, "PH-LIM-002").status == "unknown"
    assert judge(host, "PH-LIM-001").status == "unknown"
    assert judge(hidden_host(6).forbid("/proc/900/limits"), "PH-LIM-002").status == "unknown"


def pool(files, soft=1024):
    return SimulatedHost().process(700, 1, "postgres", uid=33, files=files, nofile=(soft, 524288))


@pytest.mark.case("PH-LIM-006", "fires")
def test_growing_near_the_limit_twice_fails():
    host = pool(1000)
    before = marks(host, open_files={"700@%d" % int((host.boot - 3600) * 100): 990})
    finding = judge(host, "PH-LIM-006", previous=before).only("fail")
    assert "1000 open files of 1024 allowed (97.7 %, 10 more than at the last audit)" in finding["message"]


def logged(message, unit="prog.service", pid="4711", at=NOW - 80000):
    return {"at": "%.3f" % at, "MESSAGE": message, "_SYSTEMD_UNIT": unit, "SYSLOG_IDENTIFIER": "app", "_PID": pid}


EMFILE = "accept4() failed (24: Too many open files)"


@pytest.mark.parametrize("files, status, severity", [(980, "fail", "HIGH"), (850, "warn", "MED")])
def test_what_the_log_tells_of_refused_files(files, status, severity):
    """The first audit, and no growth: the unit itself says that it was refused descriptors."""
    host = pool(files)
    host.log = [logged(EMFILE)]
    finding = judge(host, "PH-LIM-006").only(status)
    assert finding["severity"] == severity and "and the log tells that more were refused" in finding["message"]
    assert finding["evidence"][2] == {"source": "journal", "value": EMFILE}


def test_text_logs_name_program_and_number():
    host = pool(1000)
    host.log = None
    host.file("/var/log/syslog", "2026-11-23T05:00:00+00:00 h postgres[700]: out of file descriptors: Too many open files\n")
    assert judge(host, "PH-LIM-006").status == "fail"
    host.file("/var/log/syslog", "Nov 23 05:00:00 h other[700]: Too many open files\nNov 23 05:00:00 h postgres[7]: Too many open files\n")
    assert judge(host, "PH-LIM-006").status == "info"


@pytest.mark.parametrize("entry", [
    logged(EMFILE, "other.service"), logged("Failed to create inotify: Too many open files"), logged("accept: Too many open files in system"),
    logged(EMFILE, "session-3.scope", "700", NOW - 50000)])
def test_the_log_tells_of_something_else(entry):
    """Another unit, the limit of inotify, the machine's limit, and a process that had the number before."""
    host = pool(1000)
    host.log = [entry]
    assert judge(host, "PH-LIM-006").status == "info"
    assert judge(host, "PH-LIM-012").status == "pass", "no fork was refused"


def test_a_refusal_far_below_the_limit_is_over():
    host = pool(500)
    host.log = [logged(EMFILE)]
    assert judge(host, "PH-LIM-006").status == "pass"


def test_without_a_log_what_is_near_its_limit_is_not_settled():
    host = pool(1000)
    host.log = None
    verdict = judge(host, "PH-LIM-006")
    assert verdict.status == "unknown" and verdict.only("info")
    full = pool(500)
    full.log = None
    assert judge(full, "PH-LIM-006").status == "pass"


def with_limit(text, path="/etc/systemd/system/prog.service"):
    host = SimulatedHost().unit("prog.service", MainPID=700, ControlGroup="/system.slice/prog.service")
    host.process(700, 1, "prog")
    return host.file(path, "[Service]\nExecStart=/usr/bin/prog\n%s\n" % text)


def test_more_than_the_kernel_gives_anybody_is_information():
    finding = judge(with_limit("LimitNOFILE=2000000"), "PH-LIM-006").only("info")
    assert "/etc/systemd/system/prog.service:3 (LimitNOFILE=2000000) asks for more than fs.nr_open (1048576)" in finding["message"]
    for host in (with_limit("LimitNOFILE=1048576"), with_limit("LimitNOFILE=infinity"), with_limit("LimitNOFILE=2000000", "/usr/lib/systemd/system/prog.service")):
        assert judge(host, "PH-LIM-006").status == "pass"
    manager = with_limit("").file("/etc/systemd/system.conf", "[Manager]\nDefaultLimitNOFILE=1024:1073741816\n")
    assert "every unit without its own gets what PID 1 may give" in judge(manager, "PH-LIM-006").only("info")["message"]


@pytest.mark.case("PH-LIM-006", "silent")
def test_a_pool_near_its_limit_by_design_is_information():
    """PostgreSQL's backends sit at 990 of 1024 (FIELD B)."""
    assert judge(pool(990), "PH-LIM-006").status == "info"
    assert judge(pool(500), "PH-LIM-006").status == "pass"
    host = pool(990)
    same = marks(host, open_files={"700@%d" % int((host.boot - 3600) * 100): 990})
    assert judge(host, "PH-LIM-006", previous=same).status == "info"
    preauth = SimulatedHost().process(700, 1, "sshd", uid=105, files=7, nofile=(1, 1), nproc=(0, 0))
    assert judge(preauth, "PH-LIM-006").status == "pass"
    zero = SimulatedHost().process(700, 1, "x", files=3, nofile=(0, 0))
    assert judge(zero, "PH-LIM-006").status == "pass"


@pytest.mark.case("PH-LIM-006", "unreadable")
def test_descriptors_unreadable():
    assert judge(pool(10).forbid("/proc/700/fd"), "PH-LIM-006").status == "unknown"


def setuid_daemon(parent_soft, tasks=96, session_soft=(200, 200)):
    host = SimulatedHost().process(600, 1, "crond", uid=0, nproc=(parent_soft, parent_soft))
    host.process(601, 600, "job", uid=500, nproc=(parent_soft, parent_soft))
    return host.process(700, 1, "oracle", uid=500, threads=tasks - 1, cgroup=SESSION, nproc=session_soft)


@pytest.mark.case("PH-LIM-011", "fires")
def test_root_daemon_whose_own_limit_is_reached():
    finding = judge(setuid_daemon(100), "PH-LIM-011").only("fail")
    assert "203/EXEC" in finding["message"] and "crond (600)" in finding["message"]


def test_root_daemon_that_pushes_past_the_sessions_limit_is_information():
    assert judge(setuid_daemon(96365, tasks=210), "PH-LIM-011").only("info")


@pytest.mark.case("PH-LIM-011", "silent")
def test_root_daemon_with_room_is_silent():
    assert judge(setuid_daemon(1000), "PH-LIM-011").status == "pass"


@pytest.mark.case("PH-LIM-011", "unreadable")
def test_root_daemon_with_unreadable_limits():
    assert judge(setuid_daemon(100).forbid("/proc/600/limits"), "PH-LIM-011").status == "unknown"


def entry(message, unit="app.service", at=NOW - 60):
    return {"MESSAGE": message, "_SYSTEMD_UNIT": unit, "SYSLOG_IDENTIFIER": "app", "_PID": "1", "at": str(at)}


FORK = "bash: fork: retry: Resource temporarily unavailable"


@pytest.mark.case("PH-LIM-012", "fires")
@pytest.mark.parametrize("message", [
    FORK, "app.service: Failed to execute /usr/bin/app: Resource temporarily unavailable",
    "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory", "RuntimeError: can't start new thread",
    "pthread_create failed: Resource temporarily unavailable"])
def test_failed_forks_since_the_last_audit(message):
    host = SimulatedHost()
    host.log = [entry(message) for _ in range(3)]
    assert judge(host, "PH-LIM-012", previous=marks(host)).only("fail")
    host.log = host.log[:1]
    assert judge(host, "PH-LIM-012", previous=marks(host)).only("warn")
    assert judge(host, "PH-LIM-012").only("info"), "the first run tells, it does not gate"


@pytest.mark.case("PH-LIM-012", "silent")
@pytest.mark.parametrize("message", [
    "recv: Resource temporarily unavailable", "connect() failed (11: Resource temporarily unavailable)",
    "cannot allocate memory for the buffer pool", "forklift: all well"])
def test_eagain_of_a_socket_means_nothing_here(message):
    host = SimulatedHost()
    host.log = [entry(message) for _ in range(5)]
    assert judge(host, "PH-LIM-012", previous=marks(host)).status == "pass"


def test_the_kernels_message_names_the_cgroup():
    host = SimulatedHost()
    host.log = [entry("cgroup: fork rejected by pids controller in /system.slice/docker-09e6e8e1.scope", unit="")]
    finding = judge(host, "PH-LIM-012", previous=marks(host)).only("warn")
    assert "the pids controller refused it" in finding["message"]


def test_text_logs_serve_where_there_is_no_journal():
    host = SimulatedHost()
    host.log = None
    host.wall = 1_795_400_000.0  # 2026-11-23
    host.file("/var/log/messages", "Nov 23 01:00:00 h bash: fork: retry: Resource temporarily unavailable\nJan  2 01:00:00 h bash: " + FORK + "\n")
    assert "1 time" in judge(host, "PH-LIM-012").only("info")["message"]


@pytest.mark.case("PH-LIM-012", "unreadable")
def test_no_log_at_all_is_unknown():
    host = SimulatedHost().forbid("journal", Denied("journal", "permission denied"))
    assert judge(host, "PH-LIM-012").status == "unknown"


def unit_with(written, running, edited_after=True, files=10, pam_name="", pid1=(1048576, 1048576)):
    """app.service was started an hour ago; its drop-in was written half an hour ago, or a day ago."""
    host = SimulatedHost().process(1, 0, "systemd", start=1_000_000, nofile=pid1, cgroup="/init.scope")
    host.process(700, 1, "app", uid=33, start=3600, files=files, nofile=running, cgroup="/system.slice/app.service")
    host.unit("app.service", MainPID=700, ControlGroup="/system.slice/app.service", PAMName=pam_name, FragmentPath="/usr/lib/systemd/system/app.service",
              DropInPaths=["/etc/systemd/system/app.service.d/limits.conf"])
    host.file("/usr/lib/systemd/system/app.service", "[Service]\nExecStart=/usr/bin/app\n")
    when = NOW - (1800 if edited_after else 86400)
    return host.file("/etc/systemd/system/app.service.d/limits.conf", "[Service]\nLimitNOFILE=%s\n" % written, mtime=when, ctime=when)


@pytest.mark.case("PH-LIM-005", "fires")
def test_a_limit_written_after_the_start_is_not_in_force():
    finding = judge(unit_with("65536", (1024, 4096)), "PH-LIM-005").only("warn")
    assert "app.service runs with nofile 1024:4096, but LimitNOFILE=65536 was written to /etc/systemd/system/app.service.d/limits.conf:2" in finding["message"]
    assert judge(unit_with("65536", (1024, 4096), files=1000), "PH-LIM-005").only("fail")["severity"] == "HIGH"


@pytest.mark.case("PH-LIM-005", "silent")
@pytest.mark.parametrize("host", [
    unit_with("65536", (65536, 65536)), unit_with("1024:65536", (65536, 65536)),  # raised by the program itself
    unit_with("infinity", (1048576, 1048576)),  # the kernel's largest
    unit_with("65536", (8192, 8192), edited_after=False),  # apache2ctl lowers it itself
    unit_with("65536", (1024, 4096), pam_name="login"),  # PH-LIM-010
])
def test_limits_in_force_or_set_by_the_program_are_silent(host):
    assert judge(host, "PH-LIM-005").status == "pass"


def test_a_lower_cap_of_pid_1_is_told_once():
    """In a container every unit runs below its limit (FIELD A7)."""
    finding = judge(unit_with("524288", (20000, 20000), pid1=(20000, 20000)), "PH-LIM-005").only("info")
    assert "PID 1 itself has a lower cap than 1 unit limit asks for (app.service LimitNOFILE)" in finding["message"]


@pytest.mark.case("PH-LIM-005", "unreadable")
def test_limits_of_the_main_process_unreadable():
    assert judge(unit_with("65536", (1024, 4096)).forbid("/proc/700/limits"), "PH-LIM-005").status == "unknown"
    silent = unit_with("65536", (1024, 4096)).forbid("bus", Denied("systemd", "permission denied"))
    assert judge(silent, "PH-LIM-005").status == "unknown"
