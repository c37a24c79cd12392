"""Hosts that cannot start one more process (tests/incidents.md, P1 to P19)."""

from simulated import NOW, SimulatedHost, judge

from .scenes import container, debian, earlier, service, zombies

UNLIMITED = 2**64 - 1


def test_p1_the_limit_is_on_the_unit_of_sshd():
    """A build farm: ulimit and sysctl are fine, TasksMax=512 of sshd.service is not."""
    host = SimulatedHost().group("/system.slice/sshd.service", 512, 512, refused=90)
    service(host, "sshd", drop_in="TasksMax=512", properties={"TasksMax": 512})
    for pid in range(800, 1311):
        host.process(pid, 700, "cc1plus", uid=1000, cgroup="/system.slice/sshd.service", nproc=(96365, 96365))
    finding = judge(host, "PH-SYS-004").only("fail")
    assert "sshd.service has 512 tasks of 512 allowed" in finding["message"] and "TasksMax=512 in /etc/systemd/system/sshd.service.d" in finding["message"]
    assert judge(host, "PH-LIM-001").status == "pass"
    assert judge(host, "PH-PID-005", previous=earlier(host)).only("fail")


def test_p3_threads_of_a_database_reach_tasks_max_not_nproc():
    """pthread_create failed at 4585 connections: the unit of a snap."""
    host = SimulatedHost().group("/system.slice/snap.mongod.service", 4915, 4915)
    service(host, "snap.mongod", threads=4915, uid=584788, nproc=(64000, 64000), properties={"TasksMax": 4915})
    finding = judge(host, "PH-SYS-004").only("fail")
    assert finding["binding"] == "pids.max of /system.slice/snap.mongod.service: 4915 of 4915" and "systemd's default" in finding["message"]
    assert judge(host, "PH-LIM-001").status == "pass"
    assert judge(host, "PH-PID-004").only("info")["binding"] == finding["binding"]


def test_p5_an_inherited_limit_and_26_zombies_in_five_minutes():
    """No pids_limit of its own: the scope inherits 15 % of threads-max, 18638, and is full after two and a half days."""
    host = SimulatedHost()
    every = 300.0 / 26
    group = container(host, "/app/komodo", maximum=18638, current=262, age=262 * every)
    zombies(host, 5000, "git", 260, every, last=5.0, cgroup=group)
    finding = judge(host, "PH-CTR-005").only("fail")
    assert "leaks one zombie git every 12 s (260 so far)" in finding["message"] and "18638" in finding["binding"]
    assert "full in 2.5 d" in finding["message"], finding["message"]


def test_p7_a_share_of_the_pid_max_of_the_boot():
    """4915 is 15 % of 32768; pid_max was raised to 131072 by a sysctl that came later."""
    host = SimulatedHost().file("/proc/sys/kernel/pid_max", "131072\n").group("/system.slice/app.service", 4915)
    service(host, "app", properties={"TasksMax": 19660})
    assert "app.service may have 4915 tasks in the kernel, but TasksMax is shown as 19660" in judge(host, "PH-SYS-005").only("warn")["message"]


def test_p9_containers_eat_the_number_of_a_user():
    """uid 1000 runs 4336 threads inside containers; ssh and sudo as that user fail at nproc 4096."""
    host = debian("ansible soft nproc 4096\nansible hard nproc 4096\n", "ansible", 1000)
    for number, name in enumerate("ab"):
        container(host, "/registry", pid=5000 + number, group="/system.slice/docker-%s.scope" % (name * 64), uid=1000, threads=2168)
    finding = judge(host, "PH-LIM-001").only("fail")
    assert "User ansible has 4336 tasks of 4096 allowed (105.9 %)" in finding["message"]
    assert finding["evidence"][1]["source"].startswith("/etc/security/limits.d/90-site.conf:")


def test_p11_nproc_of_a_unit_counts_the_whole_user():
    """caddy with LimitNPROC=512: other programs of the same user count too."""
    host = service(SimulatedHost(), "caddy", user="www-data", uid=33, drop_in="LimitNPROC=512", nproc=(512, 512), threads=20)
    service(host, "php-fpm", pid=701, user="www-data", uid=33, threads=490)
    assert "set TasksMax instead" in judge(host, "PH-SYS-001").only("warn")["message"]
    assert "has 510 tasks of 512 allowed" in judge(host, "PH-LIM-001").only("fail")["message"]


def test_p13_all_users_together_have_more_than_there_is():
    """Each user keeps to his share; the sum of the shares is larger than pid_max. It is the host that is full, so it is the host that is told."""
    host = SimulatedHost().file("/proc/sys/kernel/pid_max", "32768\n").group("/user.slice", "max", 31000)
    for number in range(10):
        place = "/user.slice/user-%d.slice" % (1001 + number)
        host.group(place, 10813, 3100).process(900 + number, 1, "rtorrent", uid=1001 + number, threads=3100, cgroup=place + "/session-1.scope")
    finding = judge(host, "PH-PID-002").only("fail")
    assert finding["severity"] == "CRIT" and "user uid 1001 has 3100 of them" in finding["message"]
    assert judge(host, "PH-SYS-004").status == "pass"


def test_p15_threads_of_many_disks_reach_pid_max():
    """More than 20 OSDs with 1,300 threads each."""
    host = SimulatedHost().file("/proc/sys/kernel/pid_max", "32768\n")
    for number in range(24):
        host.process(900 + number, 1, "ceph-osd", uid=64045, threads=1300, cgroup="/system.slice/system-ceph.slice/ceph-osd@%d.service" % number)
    finding = judge(host, "PH-PID-002").only("fail")
    assert "pid_max 32768" in finding["message"] and "4194304" in finding["message"]
    assert judge(host, "PH-PID-003").only("warn")["remedy"]["parameters"] == {"values": {"kernel.pid_max": 4194304}}


def test_p17_many_tasks_are_not_a_leak():
    """511 of 512 with not one zombie: 88 threads for each run, and that is what it does."""
    host = SimulatedHost()
    group = container(host, "/agent", maximum=512, current=511, threads=71)
    for pid in range(5001, 5006):
        host.process(pid, 5000, "run", threads=88, cgroup=group, ns_pids=(pid, pid - 4990))
    assert "none of them zombies; raise its limit" in judge(host, "PH-CTR-002").only("fail")["message"]
    for rule in ("PH-CTR-001", "PH-CTR-005", "PH-ZMB-001", "PH-ZMB-002"):
        assert judge(host, rule).status == "pass"


def test_p19_the_kernel_names_the_slice_of_a_user():
    host = SimulatedHost().group("/user.slice/user-1000.slice", 33, 33)
    host.process(900, 1, "zilliqa", uid=1000, threads=33, cgroup="/user.slice/user-1000.slice/session-1.scope").group(
        "/user.slice/user-1000.slice/session-1.scope", "max", 33)
    host.log = [{"MESSAGE": "cgroup: fork rejected by pids controller in /user.slice/user-1000.slice/session-1.scope", "SYSLOG_IDENTIFIER": "kernel",
                 "_SYSTEMD_UNIT": "", "_PID": "", "at": str(NOW - 60)}]
    assert "the pids controller refused it" in judge(host, "PH-LIM-012", previous=earlier(host)).only("warn")["message"]
    assert judge(host, "PH-SYS-004").only("fail")["subject"]["id"] == "user-1000.slice"
