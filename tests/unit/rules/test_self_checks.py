"""PH-OBS through audit()."""

import pytest
from simulated import SimulatedHost, judge


@pytest.mark.case("PH-OBS-001", "fires")
def test_partial_views_are_told():
    host = SimulatedHost()
    host.effective_uid = 1000
    assert "does not run as root" in judge(host, "PH-OBS-001").only("info")["message"]
    hidden = SimulatedHost()
    hidden.file("/proc/self/mountinfo", hidden.files["/proc/self/mountinfo"].replace(b"- proc proc rw", b"- proc proc rw,hidepid=2"))
    assert judge(hidden, "PH-OBS-001").status == "pass", "root sees all the same"
    hidden.effective_uid = 1000
    judged = judge(hidden, "PH-OBS-001")
    assert any("hidepid=2" in finding["message"] for finding in judged.findings)
    assert judge(hidden, "PH-ZMB-001").status == judge(hidden, "PH-LIM-001").status == "unknown"
    assert judged.result["audit"]["visibility"] == "partial"
    contained = SimulatedHost().inside().file("/run/systemd/container", "docker\n")
    assert "inside a container (docker)" in judge(contained, "PH-OBS-001").only("info")["message"]
    unmarked = SimulatedHost().inside()
    assert "inside a container (namespaces of its own: pid, cgroup)" in judge(unmarked, "PH-OBS-001").only("info")["message"]
    left_over = SimulatedHost().file("/.dockerenv", "")
    assert "sees the processes of the machine" in judge(left_over, "PH-OBS-001").only("info")["message"]
    mapped = SimulatedHost()
    mapped.links["/proc/self/ns/user"] = "user:[4026532201]"
    assert "user namespace" in judge(mapped, "PH-OBS-001").only("info")["message"]


@pytest.mark.case("PH-OBS-001", "silent")
def test_root_sees_all():
    judged = judge(SimulatedHost(), "PH-OBS-001")
    assert judged.status == "pass" and judged.result["audit"]["visibility"] == "full"


@pytest.mark.case("PH-OBS-001", "unreadable")
def test_own_mounts_unreadable():
    assert judge(SimulatedHost().forbid("/proc/self/mountinfo"), "PH-OBS-001").status == "unknown"


def with_vanishing(count):
    host = SimulatedHost()
    for pid in range(1000, 1000 + count):
        host.directory("/proc/%d" % pid)  # listed, and gone when it is read
    return host


@pytest.mark.case("PH-OBS-002", "fires")
def test_many_vanished():
    assert judge(with_vanishing(20), "PH-OBS-002").only("info")


@pytest.mark.case("PH-OBS-002", "silent")
def test_few_vanished():
    assert judge(with_vanishing(3), "PH-OBS-002").status == "pass"


@pytest.mark.case("PH-OBS-002", "unreadable")
def test_no_process_table():
    assert judge(SimulatedHost().forbid("/proc"), "PH-OBS-002").status == "unknown"


@pytest.mark.case("PH-OBS-003", "fires")
def test_old_layout_under_systemd():
    assert "systemd 258" in judge(SimulatedHost("hybrid").with_systemd(), "PH-OBS-003").only("info")["message"]


@pytest.mark.case("PH-OBS-003", "silent")
def test_unified_layout_or_no_systemd():
    assert judge(SimulatedHost("v2").with_systemd(), "PH-OBS-003").status == "pass"
    assert judge(SimulatedHost("v1"), "PH-OBS-003").status == "pass"


@pytest.mark.case("PH-OBS-003", "unreadable")
def test_layout_unreadable():
    assert judge(SimulatedHost().forbid("/proc/self/mountinfo"), "PH-OBS-003").status == "unknown"


def limited(shown, written="65536"):
    host = SimulatedHost().unit("app.service", LimitNOFILE=shown, LimitNOFILESoft=shown, FragmentPath="/etc/systemd/system/app.service")
    return host.file("/etc/systemd/system/app.service", "[Service]\nExecStart=/bin/app\nLimitNOFILE=%s\n" % written)


@pytest.mark.case("PH-OBS-004", "fires")
def test_files_and_manager_disagree():
    assert "the manager is believed" in judge(limited(4096), "PH-OBS-004").only("info")["message"]


@pytest.mark.case("PH-OBS-004", "silent")
def test_files_and_manager_agree():
    assert judge(limited(65536), "PH-OBS-004").status == "pass"
    assert judge(SimulatedHost(), "PH-OBS-004").status == "n/a"


@pytest.mark.case("PH-OBS-004", "unreadable")
def test_manager_does_not_answer():
    from pidhygiene.host import Unreadable

    host = limited(65536)
    host.errors["bus"] = Unreadable("systemd", "the bus did not answer in time")
    assert judge(host, "PH-OBS-004").status == "unknown"
