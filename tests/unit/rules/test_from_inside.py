"""An audit inside a container: limits of the machine around it are unknown, never passed; what it sees is judged."""

import pytest
from pidhygiene.audit import audit
from pidhygiene.outside import REASON, WATCHED
from simulated import SimulatedHost, judge

NEW_KERNEL = ("/proc/sys/kernel/osrelease", "6.18.5\n")
LXCFS = "40 22 0:40 /proc/loadavg /proc/loadavg rw - fuse.lxcfs lxcfs rw\n"


def busy(host):
    """A user with a limit, a unit with a limit, a daemon that starts the user's processes."""
    host.process(500, 1, "master", cgroup="/system.slice/prog.service", nproc=(100, 100))
    for pid in range(501, 504):
        host.process(pid, 500, "worker", uid=33, cgroup="/system.slice/prog.service", nproc=(100, 100))
    return host.group("/system.slice/prog.service", 100, 4)


def told(judged):
    return any(REASON in finding["message"] for finding in judged.findings if finding["status"] == "unknown")


@pytest.mark.parametrize("rule", ["PH-PID-002", "PH-PID-004", "PH-PID-005", "PH-SYS-004", "PH-LIM-001", "PH-LIM-011"])
def test_what_an_outer_limit_may_refuse_is_unknown(rule):
    inside = busy(SimulatedHost()).inside().file(*NEW_KERNEL)
    judged = judge(inside, rule)
    assert judged.status == "unknown" and told(judged), judged.findings
    assert judge(busy(SimulatedHost()).file(*NEW_KERNEL), rule).status in ("pass", "info"), "the same on a host"


def test_no_rule_passes_over_it_in_other_words():
    """One reason, so that the findings of one container are read as one cause."""
    result = audit(busy(SimulatedHost()).inside().file(*NEW_KERNEL))
    unknown = [finding for finding in result["findings"] if finding["status"] == "unknown" and finding["rule"] != "PH-OBS-001"]
    assert len({finding["rule"] for finding in unknown if REASON in finding["message"]}) >= 6


def test_threads_max_is_seen_from_inside_too():
    """It has no namespace, and the kernel counts the tasks of the whole machine in every container's loadavg."""
    host = SimulatedHost().inside()
    assert judge(host, "PH-PID-001").status == "pass"
    assert judge(host.file("/proc/sys/kernel/threads-max", "1000\n").tasks(960), "PH-PID-001").only("fail")


def test_unless_something_is_mounted_over_the_count():
    host = SimulatedHost().inside()
    host.file("/proc/self/mountinfo", host.files["/proc/self/mountinfo"].decode() + LXCFS)
    for rule in ("PH-PID-001", "PH-PID-002"):
        assert told(judge(host, rule))


def test_one_pid_max_for_all_namespaces_before_6_14():
    """The machine's count against the machine's limit: nothing is hidden."""
    host = SimulatedHost().inside().file("/proc/sys/kernel/pid_max", "32768\n").tasks(28000)
    finding = judge(host, "PH-PID-002").only("fail")
    assert "This machine has used 28000 of 32468" in finding["message"]
    assert judge(SimulatedHost().inside(), "PH-PID-002").status == "pass"


def test_what_is_seen_is_judged_all_the_same():
    host = busy(SimulatedHost()).inside().file(*NEW_KERNEL).group("/system.slice/prog.service", 100, 97)
    assert judge(host, "PH-SYS-004").only("fail")
    crowd = SimulatedHost().inside()
    for pid in range(501, 600):
        crowd.process(pid, 1, "worker", uid=33, nproc=(100, 100))
    assert judge(crowd, "PH-LIM-001").only("fail")["severity"] == "CRIT"


@pytest.mark.parametrize("layout", ["v2", "v1", "hybrid"])
def test_the_own_group_of_the_container_is_its_root(layout):
    """docker run --pids-limit=100: the number stands in the root of the tree that the container sees."""
    judged = judge(SimulatedHost(layout).inside(maximum=100, current=99), "PH-SYS-004")
    finding = judged.only("fail")
    assert "this container has 99 tasks of 100 allowed" in finding["message"] and finding["remedy"] is None
    mount = "/sys/fs/cgroup" if layout == "v2" else "/sys/fs/cgroup/pids"
    assert mount + "/pids.max" in {line["source"] for line in finding["evidence"]}


def test_a_root_slice_is_not_blamed_for_it():
    host = SimulatedHost().inside(maximum=16384).unit("-.slice", ControlGroup="/", TasksMax=2 ** 64 - 1)
    assert "warn" not in judge(host, "PH-SYS-005").row["counts"]


def test_a_mount_of_a_part_is_inside_as_well():
    """Docker before cgroup namespaces, or with --cgroupns=host."""
    host = SimulatedHost("v1")
    host.file("/proc/self/mountinfo", host.files["/proc/self/mountinfo"].replace(
        b"0:27 / /sys/fs/cgroup/pids", b"0:27 /docker/4711 /sys/fs/cgroup/pids"))
    assert told(judge(host, "PH-SYS-004"))


def test_tasks_of_outer_namespaces_count_for_a_limited_user_only():
    """Most containers run without RLIMIT_NPROC: then other containers' tasks of the same uid bind nobody."""
    host = SimulatedHost().inside()
    host.process(500, 1, "app", uid=33, nproc=(2 ** 64 - 1, 2 ** 64 - 1))
    host.file("/proc/500/limits", host.files["/proc/500/limits"].replace(b"18446744073709551615", b"unlimited           "))
    assert judge(host, "PH-LIM-001").status == "pass"
    host.inside("user")
    assert told(judge(host, "PH-LIM-001")), "the creator of the user namespace has limits, too"


def test_a_container_without_limit_in_a_container_is_not_said_to_be_unlimited():
    group = "/system.slice/docker-%s.scope" % ("9" * 64)

    def nested(host):
        host.process(700, 1, "containerd-shim").process(701, 700, "app", cgroup=group, ns_pids=(701, 1))
        host.links["/proc/701/ns/pid"] = "pid:[4026533000]"
        return host.group(group)

    assert judge(nested(SimulatedHost()), "PH-CTR-003").only("info")
    judged = judge(nested(SimulatedHost().inside()), "PH-CTR-003")
    assert told(judged) and not [each for each in judged.findings if each["status"] == "info"]
    assert told(judge(nested(SimulatedHost().inside()), "PH-CTR-002"))


def test_a_policy_may_say_that_they_are_watched_outside():
    host = busy(SimulatedHost()).inside().file(*NEW_KERNEL)
    for rule in ("PH-PID-002", "PH-SYS-004", "PH-LIM-001"):
        judged = judge(host, rule, policy={"outer_limits_watched": True})
        assert judged.status == "pass" and judged.row["not_applicable"] == [WATCHED]


def test_what_an_old_snapshot_did_not_ask_is_not_inside():
    """Only what is seen makes a container."""
    host = busy(SimulatedHost())
    for path in ("/proc/self/ns/cgroup", "/proc/self/ns/pid"):
        host.forbid(path)
    assert judge(host, "PH-SYS-004").status == "pass"
