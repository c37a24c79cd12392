"""Limits that somebody set and a daemon did not get (tests/incidents.md, L1 to L23)."""

from simulated import NOW, SimulatedHost, judge

from .scenes import debian, earlier, rhel, service


def init_script(host, name, uid, **process):
    """A daemon that systemd started through /etc/init.d: its unit knows neither User= nor a main process."""
    group = "/system.slice/%s.service" % name
    host.process(700, 1, name, uid=uid, cgroup=group, **process).group(group)
    return host.unit(name + ".service", SourcePath="/etc/init.d/" + name, FragmentPath="/run/systemd/generator.late/%s.service" % name,
                     ControlGroup=group, MainPID=0)


def test_l1_a_daemon_of_an_init_script_misses_limits_conf():
    """pgbouncer after the upgrade to systemd: 1024:4096, whatever limits.conf says about its user."""
    host = init_script(debian("pgbouncer - nofile 65536\n", "pgbouncer", 110), "pgbouncer", 110, nofile=(1024, 4096))
    finding = judge(host, "PH-LIM-003").only("warn")
    assert finding["message"] == (
        "pgbouncer.service runs with nofile 1024, while /etc/security/limits.d/90-site.conf:1 promises user pgbouncer 65536: limits.conf is for logins "
        "only; set LimitNOFILE=65536 in the unit.")
    assert finding["remedy"]["parameters"] == {"unit": "pgbouncer.service", "nofile": "65536"}
    kept = init_script(debian("pgbouncer - nofile 65536\n", "pgbouncer", 110), "pgbouncer", 110, nofile=(65536, 65536))
    assert judge(kept, "PH-LIM-003").status == "pass"
    by_hand = init_script(debian("pgbouncer - nofile 65536\n", "pgbouncer", 110), "pgbouncer", 110, nofile=(1024, 4096), login_uid=1000)
    assert judge(by_hand, "PH-LIM-003").status == "pass", "that is another trouble: PH-LIM-004"


def test_l3_a_provisioned_limit_is_missed_only_under_load():
    """Too many open files, but only at the highest score."""
    host = service(debian("www - nofile 65536\n", "www", 1001), "app", user="www", uid=1001, nofile=(1024, 4096), files=1000)
    finding = judge(host, "PH-LIM-003").only("fail")
    assert "(1000 used)" in finding["message"] and finding["binding"] == "nofile of app.service: 1000 of 1024"
    assert judge(host, "PH-LIM-006").only("info"), "near its limit, and not known to grow"


def supervised(limits):
    host = debian("cuckoo soft nofile 499999\ncuckoo hard nofile 500000\n", "cuckoo", 1002)
    group = "/system.slice/supervisor.service"
    host.process(600, 1, "supervisord", argv=("/usr/bin/python3", "/usr/bin/supervisord", "-n"), exe="/usr/bin/python3", cgroup=group).group(group)
    host.process(601, 600, "cuckoo", uid=1002, pgrp=601, session=600, cgroup=group, nofile=limits,
                 environ={"SUPERVISOR_ENABLED": "1", "SUPERVISOR_PROCESS_NAME": "cuckoo", "SUPERVISOR_GROUP_NAME": "cuckoo"})
    return host.unit("supervisor.service", MainPID=600, ControlGroup=group)


def test_l5_programs_of_supervisord_inherit_its_limits():
    finding = judge(supervised((1024, 524288)), "PH-LIM-003").only("warn")
    assert finding["subject"]["id"] == "cuckoo of supervisor.service"
    assert "set LimitNOFILE=499999:500000 in supervisor.service, and minfds and minprocs in supervisord.conf" in finding["message"]
    assert finding["remedy"]["parameters"]["unit"] == "supervisor.service"
    assert judge(supervised((499999, 500000)), "PH-LIM-003").status == "pass"


def test_l7_a_supervisord_that_asks_for_more_than_it_may_have_never_stays_up():
    """minfds=6000 above a hard limit of 4096: it exits at once, and systemd starts it again. Its own log names the reason."""
    host = service(SimulatedHost(), "supervisor", properties={"NRestarts": 40, "Restart": "on-failure"})
    assert "30 times since the last audit (40 in all)" in judge(host, "PH-SYS-007", previous=earlier(host, restarts={"supervisor.service": 10})).only("warn")["message"]


def test_l9_the_daemon_is_older_than_the_new_limit():
    host = service(SimulatedHost(), "mononoke", drop_in="LimitNOFILE=65536", nofile=(1024, 4096), start=86400)
    path = "/etc/systemd/system/mononoke.service.d/site.conf"
    host.file(path, "[Service]\nLimitNOFILE=65536\n", mtime=NOW - 3600, ctime=NOW - 3600)
    assert "was written to %s:2 after it started" % path in judge(host, "PH-LIM-005").only("warn")["message"]
    host.process(700, 1, "mononoke", start=60, cgroup="/system.slice/mononoke.service", nofile=(65536, 65536))
    assert judge(host, "PH-LIM-005").status == "pass"


def test_l11_infinity_is_what_pid_1_may_have():
    """LimitNOFILE=infinity, and 65536 in /proc: PID 1 of this container has no more itself."""
    host = service(SimulatedHost(), "app", drop_in="LimitNOFILE=infinity", nofile=(65536, 65536))
    host.process(1, 0, "systemd", start=1_000_000, cgroup="/init.scope", nofile=(65536, 65536))
    finding = judge(host, "PH-LIM-005").only("info")
    assert "PID 1 itself has a lower cap" in finding["message"] and "app.service LimitNOFILE" in finding["message"]


def test_l13_a_unit_whose_limit_may_not_be_raised_never_stays_up():
    """Operation not permitted, status 205/LIMITS: it has no process to look at, only restarts."""
    host = SimulatedHost().unit("prometheus.service", ActiveState="activating", SubState="auto-restart", NRestarts=900, Restart="always", ControlGroup="")
    assert "900 in all" in judge(host, "PH-SYS-007", previous=earlier(host, restarts={"prometheus.service": 100})).only("warn")["message"]


def test_l15_a_daemon_that_sets_its_own_limits_is_not_blamed():
    """wazuh: 458752 and children at 8192 where the unit says 65536."""
    host = service(SimulatedHost(), "wazuh-remoted", drop_in="LimitNOFILE=65536", nofile=(458752, 458752))
    host.process(701, 700, "wazuh-child", cgroup="/system.slice/wazuh-remoted.service", nofile=(8192, 8192))
    for rule in ("PH-LIM-003", "PH-LIM-005", "PH-LIM-006"):
        assert judge(host, rule).status in ("pass", "n/a")


def test_l17_stars_do_not_speak_for_root():
    finding = judge(debian("* - nofile 65536\n"), "PH-LIM-008").only("info")
    assert "does not apply to root on this distribution" in finding["message"]
    assert judge(debian("* - nofile 65536\nroot - nofile 65536\n"), "PH-LIM-008").findings == []


def test_l19_nproc_4096_waits_for_the_first_su():
    """docker run -u does not pass PAM; su does, and finds thousands of the user's threads."""
    host = rhel("*          soft    nproc     4096\nroot       soft    nproc     unlimited\n", file="20-nproc.conf")
    host.process(900, 1, "java", uid=1000, threads=4000)
    finding = judge(host, "PH-LIM-001").only("fail")
    assert "User app has 4000 tasks of 4096 allowed" in finding["message"]
    assert finding["evidence"][1]["source"] == "/etc/security/limits.d/20-nproc.conf:1"
    assert finding["subject"]["id"] == "app", "root is not counted"


def test_l21_a_daemon_started_from_the_session_that_changed_its_limits():
    """A play writes limits.conf and starts the application in the same login: it keeps the login's old limits."""
    host = debian("app - nofile 65536\n").process(
        900, 1, "app", uid=1000, login_uid=0, start=90000, nofile=(1024, 4096), cgroup="/user.slice/user-0.slice/session-3.scope")
    finding = judge(host, "PH-ORP-006").only("warn")
    assert "app (900) of user app was started by hand from a login of root" in finding["message"]


def test_l23_pam_sets_all_limits_of_a_service_with_a_session():
    """set_all: PAM resets what the unit had set to what PID 1 has."""
    host = debian(pam="1.7.0-5").file("/etc/pam.d/worker", "session required pam_limits.so set_all\n")
    service(host, "worker", user="app", uid=1000, drop_in="LimitNOFILE=65536", properties={"PAMName": "worker"}, nofile=(1024, 1048576))
    finding = judge(host, "PH-LIM-010").findings[0]
    assert finding["status"] in ("warn", "fail") and "worker.service runs with nofile 1024:1048576 although" in finding["message"]
    host.process(700, 1, "worker", uid=1000, cgroup="/system.slice/worker.service", nofile=(65536, 65536))
    assert judge(host, "PH-LIM-010").findings == []
