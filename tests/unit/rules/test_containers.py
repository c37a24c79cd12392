"""PH-CTR through audit()."""

import pytest
from pidhygiene.readers.containers import identify, is_pod
from simulated import NOW, SimulatedHost, judge

ID = "09e6e8e1634612580a03dd3496d2efed2cf2a510b9688160b414ce1d1ea3e4ae"
GROUP = "/system.slice/docker-%s.scope" % ID
INIT = 5000
SIGTERM = 1 << 14


def container(zombies=0, maximum=1002, current=None, program="/app-test", age=86400.0, dead=3600.0, host=None, group=GROUP, pid=INIT, every=None, **init):
    """A container whose init has as many orphans' zombies, as F02 of the seed; ``every``: seconds between their starts."""
    host = host or SimulatedHost()
    host.process(pid, 4000, program.rsplit("/", 1)[-1][:15], exe=program, argv=(program, "1000"), start=age, cgroup=group, ns_pids=(pid, 1), **init)
    host.link("/proc/%d/ns/pid" % pid, "pid:[%d]" % (4026532000 + pid))
    host.group(group, maximum, current if current is not None else zombies + 2)
    for index in range(zombies):
        born = every * (zombies - index) if every else age * (0.9 - 0.8 * ((index * 7919) % zombies) / zombies)
        host.process(pid + 1 + index, pid, "curl" if every else "sh", "Z", start=born, dead=min(dead, born), cgroup="/", ns_pids=(pid + 1 + index, 6 + index))
    return host


@pytest.mark.parametrize("mode", ("v1", "hybrid", "v2"))
@pytest.mark.case("PH-CTR-001", "fires")
def test_zombies_of_an_init_at_the_limit_are_critical(mode):
    host = container(1000, current=1002, host=SimulatedHost(mode))
    finding = judge(host, "PH-CTR-001").only("fail")
    assert finding["severity"] == "CRIT"
    assert "docker container 09e6e8e16346: its init app-test (5000) has not reaped 1000 zombies (1000 sh)" in finding["message"]
    assert finding["binding"] == "pids.max of %s: 1002 of 1002" % GROUP


@pytest.mark.case("PH-CTR-001", "fires")
def test_fewer_zombies_warn():
    assert judge(container(30, maximum="max"), "PH-CTR-001").only("warn")["severity"] == "MED"
    assert judge(container(150, maximum="max"), "PH-CTR-001").only("fail")["severity"] == "HIGH"


@pytest.mark.case("PH-CTR-001", "silent")
def test_a_handful_is_silent():
    assert judge(container(10, dead=30.0), "PH-CTR-001").status == "pass"


@pytest.mark.case("PH-CTR-001", "silent")
def test_an_init_that_reaps_gets_a_minute():
    assert judge(container(150, program="/usr/bin/tini", dead=30.0), "PH-CTR-001").status == "pass"
    assert judge(container(150, program="/app-test", dead=30.0), "PH-CTR-001").only("fail")


@pytest.mark.case("PH-CTR-001", "silent")
def test_zombies_of_a_living_parent_inside_are_not_the_inits():
    """An init cannot reap them: PH-ZMB-001 speaks of the parent."""
    host = container().process(5001, INIT, "worker", cgroup=GROUP, ns_pids=(5001, 6), start=86400)
    for index in range(150):
        host.process(6000 + index, 5001, "sh", "Z", dead=3600, start=7200 + index * 500, cgroup="/", ns_pids=(6000 + index, 7 + index))
    assert judge(host, "PH-CTR-001").status == "pass"
    assert judge(host, "PH-ZMB-001").only("fail")


@pytest.mark.case("PH-CTR-001", "unreadable")
def test_unreadable_members_are_unknown():
    assert judge(container(3).forbid("/proc/5001/stat"), "PH-CTR-001").status == "unknown"


def test_without_a_container_nothing_applies():
    for rule in ("PH-CTR-001", "PH-CTR-002", "PH-CTR-003", "PH-CTR-004", "PH-CTR-005"):
        assert judge(SimulatedHost(), rule).status == "n/a"


@pytest.mark.case("PH-CTR-002", "fires")
def test_a_full_container():
    finding = judge(container(1000, current=1002), "PH-CTR-002").only("fail")
    assert finding["severity"] == "CRIT"
    assert "has 1002 tasks of 1002 allowed by %s (100.0 %%), 1000 of them zombies; recreate it with an init that reaps" % GROUP in finding["message"]


@pytest.mark.case("PH-CTR-002", "fires")
def test_many_live_tasks_are_not_called_a_leak():
    """INCIDENTS P17: 511 of 512 by intention."""
    finding = judge(container(0, maximum=512, current=511), "PH-CTR-002").only("fail")
    assert "none of them zombies; raise its limit" in finding["message"]
    assert judge(container(0, maximum=512, current=420), "PH-CTR-002").only("warn")["severity"] == "MED"


@pytest.mark.case("PH-CTR-002", "fires")
def test_the_limit_of_the_pod_counts_once():
    pod = "/kubepods.slice/kubepods-pod1234.slice"
    host = SimulatedHost()
    for number, name in ((5000, "1" * 64), (5100, "2" * 64)):
        group = "%s/cri-containerd-%s.scope" % (pod, name)
        container(0, maximum="max", current=40, host=host, group=group, pid=number)
    host.group(pod, 100, 97)
    finding = judge(host, "PH-CTR-002").only("fail")
    assert "containerd container 111111111111 with 1 other container has 97 tasks of 100 allowed by %s" % pod in finding["message"]


@pytest.mark.case("PH-CTR-002", "silent")
def test_room_enough():
    assert judge(container(0, maximum=1000, current=790), "PH-CTR-002").status == "pass"


@pytest.mark.case("PH-CTR-002", "unreadable")
def test_an_unreadable_limit_is_unknown():
    host = container(3).forbid("/sys/fs/cgroup%s/pids.current" % GROUP)
    assert judge(host, "PH-CTR-002").status == "unknown"


def test_an_unreadable_group_elsewhere_is_of_no_concern():
    host = container(3).process(900, 1, "x", cgroup="/other").group("/other").forbid("/sys/fs/cgroup/other/pids.current")
    assert judge(host, "PH-CTR-002").status == "pass"


@pytest.mark.case("PH-CTR-003", "fires")
def test_containers_without_any_limit_are_told_once():
    host = container(maximum="max")
    container(maximum="max", host=host, group="/machine.slice/libpod-%s.scope" % ("a" * 64), pid=7000)
    finding = judge(host, "PH-CTR-003").only("info")
    assert "2 containers run without any limit of tasks" in finding["message"]


@pytest.mark.case("PH-CTR-003", "silent")
def test_a_limit_above_is_a_limit():
    host = container(maximum="max").group("/system.slice", 5000, 100)
    assert judge(host, "PH-CTR-003").status == "pass"


def test_a_sandbox_of_no_runtime_is_passed_over():
    assert judge(container(maximum="max", group="/user.slice/user-1000.slice/session-1.scope"), "PH-CTR-003").status == "n/a"


@pytest.mark.case("PH-CTR-003", "unreadable")
def test_an_unreadable_maximum_is_unknown():
    assert judge(container().forbid("/sys/fs/cgroup%s/pids.max" % GROUP), "PH-CTR-003").status == "unknown"


@pytest.mark.case("PH-CTR-004", "fires")
def test_init_without_a_handler():
    finding = judge(container(), "PH-CTR-004").only("info")
    assert "its init app-test (5000) has no handler for SIGTERM" in finding["message"]


def test_alike_containers_are_told_once():
    host = container()
    container(host=host, group="/system.slice/docker-%s.scope" % ("b" * 64), pid=7000)
    assert "(and 1 other alike)" in judge(host, "PH-CTR-004").only("info")["message"]


@pytest.mark.case("PH-CTR-004", "silent")
@pytest.mark.parametrize("mask", ("SigCgt", "SigBlk"))
def test_init_with_a_handler_or_a_signal_descriptor(mask):
    assert judge(container(masks={mask: SIGTERM}), "PH-CTR-004").status == "pass"


def test_a_handler_in_another_thread_counts():
    host = container(threads=2)
    other = host.files["/proc/5000/status"].replace(b"SigBlk:\t0000000000000000", b"SigBlk:\t0000000000004000")
    host.file("/proc/5000/task/5001/status", other)
    assert judge(host, "PH-CTR-004").status == "pass"


NEW = 'time="2026-11-23T05:00:00Z" level=info msg="Container failed to exit within %ss of signal 15 - using the force" container=%s'
OLD = 'level=info msg="Container %s failed to exit within 10 seconds of signal 15 - using the force"'
PODMAN = 'time="2026-11-23T05:00:00Z" level=warning msg="StopSignal SIGTERM failed to stop container web_1 in 10 seconds, resorting to SIGKILL"'


def with_log(*messages, host=None):
    host = host or container(masks={"SigCgt": SIGTERM})
    host.log = [{"at": "%.3f" % (NOW - 7200), "MESSAGE": message, "_SYSTEMD_UNIT": "docker.service", "SYSLOG_IDENTIFIER": "dockerd"} for message in messages]
    return host


@pytest.mark.case("PH-CTR-004", "fires")
@pytest.mark.parametrize("message", [NEW % (10, ID), OLD % ID])
def test_a_container_that_was_killed_at_its_restart(message):
    finding = judge(with_log(message, message), "PH-CTR-004").only("warn")
    assert finding["message"].startswith("docker container 09e6e8e16346 was killed at a stop 2 times in the last day, after 10 s: ")
    assert finding["severity"] == "MED" and finding["evidence"][0] == {"source": "log", "value": message}


def test_containers_that_are_gone_are_one_finding_for_each_runtime():
    host = with_log(NEW % (10, "b" * 64), NEW % (30, "c" * 64), PODMAN, host=SimulatedHost())
    verdict = judge(host, "PH-CTR-004")
    assert sorted(each["message"].split(" killed")[0] for each in verdict.findings) == [
        "1 container of podman (web_1) was", "2 containers of docker (bbbbbbbbbbbb, cccccccccccc) were"]
    assert all(each["status"] == "warn" for each in verdict.findings)


@pytest.mark.case("PH-CTR-004", "silent")
@pytest.mark.parametrize("message", [
    NEW % (0, ID), "Container %s failed to exit within 10 seconds of kill - trying direct SIGKILL" % ID[:12], 'Kill container \\"%s\\"' % ID,
    "we are using the force of habit", "Container failed to exit within 10s of signal 15 - using the force"])
def test_kills_without_a_wait_and_other_words(message):
    assert judge(with_log(message), "PH-CTR-004").status == "pass"


@pytest.mark.case("PH-CTR-004", "unreadable")
def test_unreadable_threads_are_unknown():
    assert judge(container().forbid("/proc/5000/task/5000/status"), "PH-CTR-004").status == "unknown"
    mute = container(masks={"SigCgt": SIGTERM})
    mute.log = None
    assert judge(mute, "PH-CTR-004").status == "unknown"
    assert judge(mute.file("/var/log/syslog", ""), "PH-CTR-004").status == "pass"


@pytest.mark.case("PH-CTR-005", "fires")
def test_a_probe_leaks_on_schedule():
    """F18: curl every 5 s against 8192 leaves 11.4 hours from an empty container."""
    finding = judge(container(720, maximum=8192, age=4000.0, every=5.0), "PH-CTR-005").only("fail")
    assert "leaks one zombie curl every 5 s (720 so far)" in finding["message"]
    assert "is full in 10 h" in finding["message"]


@pytest.mark.case("PH-CTR-005", "silent")
def test_irregular_zombies_are_no_probe():
    assert judge(container(40), "PH-CTR-005").status == "pass"


@pytest.mark.case("PH-CTR-005", "silent")
def test_a_probe_that_has_stopped_is_past():
    host = container()
    for index in range(40):
        host.process(6000 + index, INIT, "curl", "Z", start=50000 - 5 * index, dead=40000, cgroup="/", ns_pids=(6000 + index, 6 + index))
    assert judge(host, "PH-CTR-005").status == "pass"


@pytest.mark.case("PH-CTR-005", "unreadable")
def test_unreadable_zombies_are_unknown():
    assert judge(container(10, every=5.0).forbid("/proc/5003/stat"), "PH-CTR-005").only("unknown")


@pytest.mark.parametrize(("path", "expected"), (
    (GROUP, ("docker", ID)), ("/docker/" + ID, ("docker", ID)), ("/docker/%s/init.scope" % ID, ("docker", ID)),
    ("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-%s.scope" % ID, ("containerd", ID)),
    ("/system.slice/kubepods-burstable-pod1.slice:cri-containerd:" + ID, ("containerd", ID)),
    ("/kubepods/besteffort/pod0f1/" + ID, ("kubernetes", ID)),
    ("/kubepods.slice/kubepods-pod1.slice/crio-%s.scope" % ID, ("cri-o", ID)),
    ("/machine.slice/libpod-%s.scope/container" % ID, ("podman", ID)),
    ("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-%s.scope" % ID, ("podman", ID)),
    ("/machine.slice/systemd-nspawn@web.service/payload", ("nspawn", "web")), ("/machine.slice/machine-web.scope", ("nspawn", "web")),
    ("/lxc/web", ("lxc", "web")), ("/lxc.payload.web/init.scope", ("lxc", "web")), ("/lxc.payload/web", ("lxc", "web")),
    ("/system.slice/docker.service", ("", "")), ("/system.slice/ssh.service", ("", "")), ("/", ("", "")), ("/docker/short", ("", "")),
))
def test_names_of_groups(path, expected):
    assert identify(path) == expected


def test_pods():
    assert is_pod("/kubepods/besteffort/pod0f1/" + ID) and not is_pod(GROUP)


def test_an_init_that_waits_for_signals_looks_unblocked_meanwhile():
    """Seen with tini on a real host: sigtimedwait(2) lifts the block while it waits."""
    assert judge(container(program="/usr/bin/tini"), "PH-CTR-004").status == "pass"
    assert judge(container().file("/proc/5000/task/5000/wchan", "do_sigtimedwait"), "PH-CTR-004").status == "pass"
