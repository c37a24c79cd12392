"""PH-ORP through audit(): shapes as measured with a real supervisord (tests/lab/test_supervised_trees.py shows them live)."""

import pytest
from simulated import NOW, UPTIME, SimulatedHost, judge

ARGV = ("/usr/bin/python3", "/usr/bin/salt-minion")
LABEL = {"SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": "salt-minion", "SUPERVISOR_GROUP_NAME": "salt-minion"}
GROUP = "/system.slice/supervisor.service"


def supervised(supervisor=2000, start=500.0, host=None):
    """supervisord with a salt-minion of three processes."""
    host = host or SimulatedHost()
    host.process(supervisor, 1, "supervisord", exe="/usr/bin/python3", argv=("/usr/bin/python3", "/usr/bin/supervisord", "-n"), start=start, cgroup=GROUP)
    minion(host, 2001, supervisor, start - 1, supervisor)
    return host


def minion(host, pid, parent, start, session, first=0, environ=LABEL, name="salt-minion", argv=ARGV):
    """Its three processes, or those from ``first`` on; the group is that of the top."""
    for number in range(first, 3):
        host.process(pid + number, parent if number == first else pid + number - 1, name, exe="/usr/bin/python3", argv=argv, start=start - number * 0.1,
                     pgrp=pid, session=session, environ=environ, cgroup=GROUP)
        place(host, pid + number)


def place(host, pid, directory="/"):
    host.link("/proc/%d/cwd" % pid, directory)
    host.link("/proc/%d/ns/mnt" % pid, "mnt:[4026531840]")


def leaked():
    """supervisord was killed and started again: six."""
    host = supervised()
    minion(host, 1001, 1, 9000.0, 1000)
    return host


@pytest.mark.case("PH-ORP-001", "fires")
def test_supervisord_was_killed():
    finding = judge(leaked(), "PH-ORP-001").only("fail")
    assert ("salt-minion:salt-minion (1001) runs outside supervisord with 3 processes (pids 1001, 1002, 1003), while supervisord (2000) "
            "runs it again as 2001") in finding["message"]
    assert finding["confidence"] == "high"
    assert finding["remedy"]["parameters"] == {"keep": 2001, "end": "1001,1002,1003"}


@pytest.mark.case("PH-ORP-001", "fires")
def test_the_top_was_killed_and_the_third_is_left():
    host = supervised()
    minion(host, 1501, 1, 9000.0, 2000, first=2)
    host.process(2000, 1, "supervisord", exe="/usr/bin/python3", argv=("/usr/bin/python3", "/usr/bin/supervisord", "-n"), start=10000, cgroup=GROUP)
    finding = judge(host, "PH-ORP-001").only("fail")
    assert "(1503) runs outside supervisord with 1 process (pids 1503)" in finding["message"]


@pytest.mark.case("PH-ORP-001", "fires")
def test_an_overwritten_environment_leaves_the_shape():
    host = supervised()
    minion(host, 1001, 1, 9000.0, 1000, environ={})
    assert judge(host, "PH-ORP-001").only("fail")["confidence"] == "medium"


@pytest.mark.case("PH-ORP-001", "fires")
def test_supervisord_has_gone_for_good():
    host = SimulatedHost()
    minion(host, 1001, 1, 9000.0, 1000)
    assert "was started by a supervisord that has gone" in judge(host, "PH-ORP-001").only("warn")["message"]


@pytest.mark.case("PH-ORP-001", "fires")
def test_the_number_of_the_session_was_given_again():
    host = leaked().process(1000, 1, "stranger", start=100.0)
    assert judge(host, "PH-ORP-001").only("fail")


@pytest.mark.case("PH-ORP-001", "fires")
def test_adopted_by_the_init_of_a_container():
    """INCIDENTS O7: its parent is tini, not PID 1."""
    host = SimulatedHost().process(1900, 1, "tini", start=20000)
    host.process(2000, 1900, "supervisord", exe="/usr/bin/python3", argv=("/usr/bin/python3", "/usr/bin/supervisord", "-n"), start=19000, cgroup=GROUP)
    minion(host, 2001, 2000, 400.0, 2000)
    minion(host, 1501, 1900, 9000.0, 2000, first=2)
    assert "(pids 1503)" in judge(host, "PH-ORP-001").only("fail")["message"]


@pytest.mark.case("PH-ORP-001", "silent")
def test_a_healthy_tree():
    assert judge(supervised(), "PH-ORP-001").status == "pass"


@pytest.mark.case("PH-ORP-001", "silent")
def test_what_an_agent_sends_into_the_background_is_innocent():
    """start-stop-daemon --background: PPID 1, dead session, SUPERVISOR_ENABLED=1, but a session of its own (FIELD A4)."""
    host = supervised().process(1800, 1, "helper", argv=("helper", "-d"), start=9000.0, pgrp=1799, session=1799, environ=LABEL, cgroup=GROUP)
    assert judge(host, "PH-ORP-001").status == "pass"


@pytest.mark.case("PH-ORP-001", "silent")
def test_a_job_of_a_person_is_innocent():
    host = supervised().process(1800, 1, "rsync", argv=("rsync", "-a"), start=9000.0, pgrp=1800, session=1700)
    assert judge(host, "PH-ORP-001").status == "pass"
    assert judge(SimulatedHost().process(1800, 1, "rsync", start=9000.0, pgrp=1800, session=1700), "PH-ORP-001").status == "n/a"


@pytest.mark.case("PH-ORP-001", "silent")
def test_a_shell_at_a_terminal_is_innocent():
    host = supervised().process(1800, 1, "salt-minion", argv=ARGV, exe="/usr/bin/python3", start=9000.0, pgrp=1800, session=1700, tty=34816, environ=LABEL)
    assert judge(host, "PH-ORP-001").status == "pass"


@pytest.mark.case("PH-ORP-001", "unreadable")
def test_unreadable_environments_are_unknown():
    host = supervised()
    minion(host, 1001, 1, 9000.0, 1000, name="other", argv=("other",))
    assert judge(host.forbid("/proc/1001/environ"), "PH-ORP-001").status == "unknown"


def service(host=None, **loose):
    """A unit's main process, and the same command started by hand."""
    host = (host or SimulatedHost()).unit("shop.service", MainPID=3000, ControlGroup="/system.slice/shop.service")
    host.process(3000, 1, "shop", exe="/opt/shop", argv=("/opt/shop", "--port", "80"), start=9000, cgroup="/system.slice/shop.service")
    settings = dict({"argv": ("/opt/shop", "--port", "80"), "start": 5000.0, "cgroup": "/system.slice/cron.service"}, **loose)
    host.process(3500, settings.pop("ppid", 1), "shop", exe="/opt/shop", **settings)
    place(host, 3000)
    place(host, 3500)
    return host


@pytest.mark.case("PH-ORP-002", "fires")
def test_the_same_command_beside_a_unit():
    finding = judge(service(), "PH-ORP-002").only("warn")
    assert "shop.service keeps shop (3000) running, and the same command runs beside it without a keeper (3500)" in finding["message"]
    assert judge(service(), "PH-ORP-002", {"units": {"singletons": ["shop.service"]}}).only("fail")["severity"] == "HIGH"


@pytest.mark.case("PH-ORP-002", "silent")
def test_other_arguments_users_places_terminals_and_parents_are_meant():
    assert judge(service(argv=("/opt/shop", "--port", "81")), "PH-ORP-002").status == "pass"
    assert judge(service(uid=33), "PH-ORP-002").status == "pass"
    assert judge(service(tty=34816), "PH-ORP-002").status == "pass"
    assert judge(service(ppid=3000), "PH-ORP-002").status == "pass"
    assert judge(service(start=1.0), "PH-ORP-002").status == "pass"
    elsewhere = service()
    place(elsewhere, 3500, "/srv/other")
    assert judge(elsewhere, "PH-ORP-002").status == "pass"


@pytest.mark.case("PH-ORP-002", "silent")
def test_two_units_of_one_command_are_meant():
    host = service().unit("shop@2.service", MainPID=3500, ControlGroup="/system.slice/shop@2.service")
    assert judge(host, "PH-ORP-002").status == "pass"


@pytest.mark.case("PH-ORP-002", "unreadable")
def test_unreadable_processes_are_unknown():
    assert judge(service(uid=33).forbid("/proc/3500/stat"), "PH-ORP-002").status == "unknown"
    assert judge(service().forbid("/proc/3500/cwd"), "PH-ORP-002").status == "unknown", "it may be elsewhere"


def forking(text="3000\n", written=NOW - 8999, uptime=UPTIME, **unit):
    host = SimulatedHost().file("/run/shop.pid", text, mtime=written)
    host.unit("shop.service", **dict({"MainPID": 3000, "ControlGroup": "/system.slice/shop.service", "PIDFile": "/run/shop.pid", "Type": "forking"}, **unit))
    host.file("/etc/systemd/system/shop.service", "[Service]\nType=forking\nPIDFile=/run/shop.pid\nExecStart=/opt/shop\n")
    host.process(3000, 1, "shop", start=9000, cgroup="/system.slice/shop.service")
    host.boot = uptime
    return host


@pytest.mark.case("PH-ORP-003", "fires")
def test_pidfiles_that_lie():
    assert "names 99, which does not exist" in judge(forking("99"), "PH-ORP-003").only("warn")["message"]
    assert "holds no number" in judge(forking("\n"), "PH-ORP-003").only("warn")["message"]
    reused = forking("99").process(99, 1, "stranger", start=60.0)
    assert "names 99, which is stranger by now: the number was given again" in judge(reused, "PH-ORP-003").only("warn")["message"]
    other = forking("99").process(99, 1, "other", start=9500.0)
    assert "names 99 (other), but the main process is 3000" in judge(other, "PH-ORP-003").only("warn")["message"]
    zombie = forking("99").process(99, 1, "dead", "Z", start=9500.0, dead=60.0)
    assert judge(zombie, "PH-ORP-003").only("fail")["severity"] == "HIGH"


@pytest.mark.case("PH-ORP-003", "silent")
def test_pidfiles_that_do_not():
    assert judge(forking(), "PH-ORP-003").status == "pass" or judge(forking(), "PH-ORP-003").row["subjects"] == 1
    assert not judge(forking("99", written=NOW - 2), "PH-ORP-003").findings, "it is being written"
    assert not judge(forking("99", ActiveState="inactive"), "PH-ORP-003").findings, "what has stopped misleads nobody"
    assert judge(forking("99", uptime=300.0), "PH-ORP-003").status == "n/a"


def test_a_binary_that_is_being_replaced_is_information():
    """nginx after USR2: the file names the new master already, systemd follows when the old one ends."""
    group = "/system.slice/shop.service"
    host = forking("3100").process(3100, 3000, "shop", start=8999, cgroup=group)
    assert "3100, which the main process 3000 has started" in judge(host, "PH-ORP-003").only("info")["message"]
    for stranger in ({"ppid": 1, "cgroup": group}, {"ppid": 3000, "cgroup": "/system.slice/other.service"}, {"ppid": 3000, "cgroup": group, "comm": "helper"}):
        host = forking("3100").process(3100, **dict({"comm": "shop", "start": 8999}, **stranger))
        assert judge(host, "PH-ORP-003").only("warn")


@pytest.mark.case("PH-ORP-003", "unreadable")
def test_an_unreadable_pidfile_is_unknown():
    assert judge(forking().forbid("/run/shop.pid"), "PH-ORP-003").status == "unknown"


def by_hand(uid=500, login=1000, **changed):
    host = SimulatedHost().unit("ssh.service")
    settings = dict({"start": 90000.0, "cgroup": "/user.slice/user-1000.slice/session-3.scope"}, **changed)
    return host.process(4000, 1, "tnslsnr", uid=uid, login_uid=login, **settings)


@pytest.mark.case("PH-ORP-006", "fires")
def test_a_daemon_started_from_a_login():
    """FIELD A5: an Oracle whose uid is a person's by number, but not by login."""
    finding = judge(by_hand(), "PH-ORP-006").only("warn")
    assert finding["severity"] == "LOW"
    assert "tnslsnr (4000) of user oracle was started by hand from a login of uid 1000" in finding["message"]


@pytest.mark.case("PH-ORP-006", "silent")
def test_jobs_of_the_user_himself_are_information():
    assert judge(by_hand(1000, 1000), "PH-ORP-006").status == "info"


@pytest.mark.case("PH-ORP-006", "silent")
def test_jobs_in_progress_and_services_are_silent():
    assert judge(by_hand(start=600.0), "PH-ORP-006").status == "pass"
    assert judge(by_hand(tty=34816), "PH-ORP-006").status == "pass"
    assert judge(by_hand(login=4294967295), "PH-ORP-006").status == "pass"
    assert judge(by_hand(cgroup="/system.slice/oracle.service"), "PH-ORP-006").status == "pass"


@pytest.mark.case("PH-ORP-006", "unreadable")
def test_an_unreadable_group_is_unknown():
    assert judge(by_hand().forbid("/proc/4000/cgroup"), "PH-ORP-006").status == "unknown"


@pytest.mark.case("PH-ORP-007", "fires")
def test_two_minions_answer_twice():
    finding = judge(leaked(), "PH-ORP-007").only("fail")
    assert "Two salt-minions run here: 2001 is kept running, 1001 is left over" in finding["message"]


@pytest.mark.case("PH-ORP-007", "silent")
def test_one_minion_answers_once():
    assert judge(supervised(), "PH-ORP-007").status == "pass"
    assert judge(SimulatedHost(), "PH-ORP-007").status == "n/a"


@pytest.mark.case("PH-ORP-007", "unreadable")
def test_minions_that_cannot_be_looked_at_are_unknown():
    host = supervised()
    minion(host, 1001, 1, 9000.0, 1000, name="other", argv=("other",))
    assert judge(host.forbid("/proc/1001/environ"), "PH-ORP-007").status == "unknown"


CONF = "[supervisord]\n[include]\nfiles = conf.d/*.conf\n"


def configured(host, program="[program:salt-minion]\ncommand=/usr/bin/salt-minion ; as installed\n"):
    return host.file("/etc/supervisor/supervisord.conf", CONF).file("/etc/supervisor/conf.d/salt.conf", program)


@pytest.mark.case("PH-ORP-004", "fires")
def test_a_program_that_left_children_behind():
    finding = judge(configured(leaked()), "PH-ORP-004").only("warn")
    assert "has left processes of salt-minion behind" in finding["message"]
    assert finding["subject"]["id"] == "/etc/supervisor/conf.d/salt.conf [salt-minion]"


@pytest.mark.case("PH-ORP-004", "silent")
def test_the_default_alone_is_information():
    assert judge(configured(supervised()), "PH-ORP-004").only("info")


@pytest.mark.case("PH-ORP-004", "silent")
@pytest.mark.parametrize("key", ("killasgroup", "stopasgroup"))
def test_either_setting_is_enough(key):
    assert judge(configured(leaked(), "[program:salt-minion]\n%s = True\n" % key), "PH-ORP-004").status == "pass"


@pytest.mark.case("PH-ORP-004", "unreadable")
def test_an_unreadable_configuration_is_unknown():
    assert judge(configured(supervised()).forbid("/etc/supervisor/conf.d/salt.conf"), "PH-ORP-004").only("unknown")
    assert judge(supervised(), "PH-ORP-004").status == "unknown", "it must be somewhere"
    assert judge(configured(supervised(), "no section\n"), "PH-ORP-004").only("unknown")
    assert judge(SimulatedHost(), "PH-ORP-004").status == "n/a"


def generations(main=9000.0, argv=("/opt/shop",), **unit):
    host = SimulatedHost().unit("shop.service", **dict({"MainPID": 3000, "ControlGroup": "/system.slice/shop.service"}, **unit))
    host.process(3000, 1, "shop", argv=("/opt/shop",), start=main, cgroup="/system.slice/shop.service")
    return host.process(2500, 1, "shop", argv=argv, start=90000, cgroup="/system.slice/shop.service")


@pytest.mark.case("PH-ORP-005", "fires")
def test_an_old_generation_beside_the_new_one():
    finding = judge(generations(), "PH-ORP-005").only("fail")
    assert "shop.service runs shop twice: 1 process is (2500) from before its main process 3000" in finding["message"]


@pytest.mark.case("PH-ORP-005", "silent")
def test_draining_helpers_and_what_another_rule_tells():
    assert judge(generations(main=600.0), "PH-ORP-005").status == "pass"
    assert judge(generations(argv=("/opt/helper",)), "PH-ORP-005").status == "pass"
    assert judge(generations(KillMode="process").file("/etc/systemd/system/shop.service", "[Service]\nKillMode=process\n"), "PH-ORP-005").status == "pass"


@pytest.mark.case("PH-ORP-005", "unreadable")
def test_members_that_cannot_be_told_are_unknown():
    assert judge(generations().forbid("/proc/2500/cgroup"), "PH-ORP-005").status == "unknown"
