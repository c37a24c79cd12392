"""Zombies, and who must reap them (tests/incidents.md, Z1 to Z17)."""

from pidhygiene.audit import audit
from simulated import SimulatedHost, judge

from .scenes import container, service, zombies

POD = "/kubepods.slice/kubepods-pod%d.slice/cri-containerd-%s.scope"


def test_z1_probes_with_a_time_limit_in_twenty_pods():
    """timeout is orphaned to a Go program as PID 1: 11,000 zombies an hour over 20 pods."""
    host = SimulatedHost()
    every = 3600.0 * 20 / 11000
    for number in range(20):
        group = container(host, "/olake", pid=5000 + number, group=POD % (number, "%064d" % number), age=60 * every, maximum=20000, current=60)
        zombies(host, 5000 + number, "timeout", 58, every, first=20000 + 100 * number, cgroup=group)
    judged = judge(host, "PH-CTR-005")
    assert [finding["status"] for finding in judged.findings] == ["fail"] * 20
    assert all("leaks one zombie timeout every 7 s" in finding["message"] for finding in judged.findings), judged.findings[0]["message"]


def test_z3_zombies_of_a_shim_are_the_shims():
    """runc <defunct>: exec probes time out, and the parent is containerd-shim, not the application."""
    host = service(SimulatedHost(), "containerd")
    host.process(4000, 1, "containerd-shim", exe="/usr/bin/containerd-shim-runc-v2", start=86400, cgroup="/system.slice/containerd.service")
    container(host, "/app")
    zombies(host, 4000, "runc", 120, 600.0, cgroup="/system.slice/containerd.service")
    finding = judge(host, "PH-ZMB-001").only("fail")
    assert "containerd-shim-runc-v2 (4000) has not reaped 120 zombies" in finding["message"]
    assert judge(host, "PH-CTR-001").status == "pass", "an init in the container would not help"


def test_z5_a_runtime_as_init_of_its_container():
    """curl <defunct> under node."""
    host = SimulatedHost()
    group = container(host, "/usr/local/bin/node")
    zombies(host, 5000, "curl", 120, 30.0, last=3600.0, cgroup=group)
    finding = judge(host, "PH-CTR-001").only("fail")
    assert "its init node (5000) has not reaped 120 zombies (120 curl)" in finding["message"] and "--init" in finding["message"]
    assert "no handler for SIGTERM" in judge(host, "PH-CTR-004").only("info")["message"]


def test_z7_a_zombie_every_two_minutes():
    """git every 120 s against a limit that leaves 19 days: a warning now, a failure in the last week."""
    host = SimulatedHost()
    group = container(host, "/launcher", age=20 * 120.0, maximum=13700, current=22)
    zombies(host, 5000, "git", 20, 120.0, cgroup=group)
    finding = judge(host, "PH-CTR-005").only("warn")
    assert "leaks one zombie git every 2.0 min" in finding["message"] and "full in 19 d" in finding["message"], finding["message"]
    host.group(group, 13700, 10000)
    assert judge(host, "PH-CTR-005").only("fail")


def test_z9_the_minion_itself_does_not_reap():
    """A job of the scheduler every 30 s leaves a zombie under the salt-minion."""
    host = service(SimulatedHost(), "salt-minion", start=30.0 * 1001, exe="/usr/bin/python3", argv=("/usr/bin/python3", "/usr/bin/salt-minion"))
    zombies(host, 700, "salt-minion", 1000, 30.0, cgroup="/system.slice/salt-minion.service")
    finding = judge(host, "PH-ZMB-001").only("fail")
    assert "(700) has not reaped 1000 zombies of user root (1000 salt-minion)" in finding["message"] and "growing by 2882 a day" in finding["message"], finding["message"]
    assert finding["remedy"]["parameters"]["unit"] == "salt-minion.service"


def test_z11_one_zombie_is_no_alarm_on_this_host():
    """The same single zombie on 500 hosts is one cause for the fleet: each host tells it as a number."""
    host = service(SimulatedHost(), "wazuh-agent", argv=("/var/ossec/bin/wazuh-execd",), start=86400)
    zombies(host, 700, "restart.sh", 1, 1.0, last=80000.0, cgroup="/system.slice/wazuh-agent.service")
    result = audit(host)
    assert not [finding for finding in result["findings"] if finding["rule"].startswith("PH-ZMB") and finding["status"] != "info"]
    assert [row["count"] for row in result["measures"]["zombies"]["by_parent"]] == [1]


def test_z13_the_monitoring_is_the_offender():
    """node-problem-detector kills bash at the time limit, and not what bash had started."""
    host = service(SimulatedHost(), "node-problem-detector", start=300 * 60.0)
    zombies(host, 700, "check.sh", 290, 60.0, cgroup="/system.slice/node-problem-detector.service")
    assert "restart node-problem-detector.service" in judge(host, "PH-ZMB-001").only("fail")["message"]


def test_z15_zombies_until_the_next_cycle():
    """monit reaps at its next cycle: two to four are always there."""
    host = service(SimulatedHost(), "monit", start=86400)
    zombies(host, 700, "check", 4, 30.0, cgroup="/system.slice/monit.service")
    for rule in ("PH-ZMB-001", "PH-ZMB-002", "PH-ZMB-005"):
        assert judge(host, rule).status == "pass"


def test_z17_an_entry_point_that_adopts_and_never_waits():
    host = SimulatedHost()
    group = container(host, "/entrypoint.py")
    zombies(host, 5000, "sh", 200, 17.0, last=900.0, cgroup=group)
    assert judge(host, "PH-CTR-001").only("fail")["severity"] == "HIGH"
    young = SimulatedHost()
    zombies(young, 5000, "sh", 5, 1.0, cgroup=container(young, "/entrypoint.py"))
    assert judge(young, "PH-CTR-001").status == "pass"
