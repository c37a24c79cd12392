"""PH-LIM-003, 004, 009, 010 through audit(); fixtures F08 and F09."""

import pytest
from pidhygiene.host import Denied
from simulated import SimulatedHost, judge

STATUS = "Package: libpam-modules\nStatus: install ok installed\nVersion: %s\n"
BOOKWORM, TRIXIE = "1.5.2-6+deb12u1", "1.7.0-5"
WITH_LIMITS = "session required pam_limits.so\n"
SERVICE = "/system.slice/db.service"
LIMITS_D = "/etc/security/limits.d/90-oracle.conf"


def pam_host(limits="", pam=BOOKWORM, **files):
    """A Debian with the usual stacks; ``limits``: a file of limits.d."""
    host = SimulatedHost().file("/var/lib/dpkg/status", STATUS % pam)
    host.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\noracle:x:500:500::/home/oracle:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n")
    host.file("/etc/security/limits.conf", "# nothing\n")
    for name in ("sshd", "login", "su", "cron", "systemd-user", "other"):
        host.file("/etc/pam.d/" + name, WITH_LIMITS)
    if limits:
        host.file(LIMITS_D, limits)
    for path, text in files.items():
        host.file(path, text)
    return host


def service(host, user="oracle", uid=500, name="db", drop_in="", pam_name="", limits=None, **process):
    """name.service runs as user; ``drop_in``: lines of its [Service]."""
    group = "/system.slice/%s.service" % name
    host.process(700, 1, name, uid=uid, cgroup=group, **process).group(group)
    host.file("/usr/lib/systemd/system/%s.service" % name, "[Service]\nExecStart=/usr/bin/%s\n" % name)
    paths = []
    if drop_in:
        paths = ["/etc/systemd/system/%s.service.d/limits.conf" % name]
        host.file(paths[0], "[Service]\n%s\n" % drop_in)
    properties = {"LimitNOFILE": 524288, "LimitNOFILESoft": 1024, "LimitNPROC": 96365, "LimitNPROCSoft": 96365}
    properties.update(limits or {})
    return host.unit(name + ".service", MainPID=700, ControlGroup=group, User=user, PAMName=pam_name, DropInPaths=paths,
                     FragmentPath="/usr/lib/systemd/system/%s.service" % name, **properties)


# -- PH-LIM-003


@pytest.mark.case("PH-LIM-003", "fires")
def test_limits_conf_against_unit_f09():
    """F09: limits.d promises oracle nproc 65535, the unit has no LimitNPROC, it runs with 4096."""
    host = service(pam_host("oracle - nproc 65535\n"), nproc=(4096, 4096))
    finding = judge(host, "PH-LIM-003").only("warn")
    assert finding["message"] == (
        "db.service runs with nproc 4096, while /etc/security/limits.d/90-oracle.conf:1 promises user oracle 65535: limits.conf is for logins only; "
        "set LimitNPROC=65535 in the unit.")
    assert finding["remedy"]["parameters"] == {"unit": "db.service", "nproc": "65535"}


@pytest.mark.case("PH-LIM-003", "fires")
def test_a_broken_promise_that_is_needed_fails():
    host = service(pam_host("oracle soft nofile 65535\noracle hard nofile 131072\n"), nofile=(1024, 4096), files=600)
    finding = judge(host, "PH-LIM-003").only("fail")
    assert finding["severity"] == "HIGH" and "(600 used)" in finding["message"] and "LimitNOFILE=65535:131072" in finding["message"]
    threads = service(pam_host("oracle - nproc 65535\n"), nproc=(100, 100), threads=60)
    assert judge(threads, "PH-LIM-003").only("fail")["binding"] == "nproc of db.service: 60 of 100"


def test_group_and_number_speak_for_the_unit_too():
    group = service(pam_host("@oracle - nproc 65535\n").file("/etc/group", "oracle:x:500:\n"), nproc=(4096, 4096))
    assert judge(group, "PH-LIM-003").only("warn")
    number = service(pam_host("500: - nproc 65535\n"), user="500", nproc=(4096, 4096))
    assert judge(number, "PH-LIM-003").only("warn")


@pytest.mark.case("PH-LIM-003", "silent")
@pytest.mark.parametrize("limits, running", [
    ("oracle - nproc 65535\n", {"nproc": (65535, 65535)}),
    ("oracle - nproc 65535\n", {"nproc": (96365, 96365)}),  # more than promised
    ("oracle -\noracle - nproc 99999\n", {"nproc": (4096, 4096)}),
    ("www-data - nproc 65535\n", {"nproc": (4096, 4096)}),
    ("oracle hard nproc 4096\n", {"nproc": (1024, 4096)}),
    ("oracle - nofile 0x400\n", {"nofile": (1024, 4096)}),  # read as 0
    ("", {"nproc": (4096, 4096)}),
])
def test_promises_that_are_kept(limits, running):
    judged = judge(service(pam_host(limits), **running), "PH-LIM-003")
    assert judged.status == "pass" and judged.findings == []


def test_rounding_and_wildcards_are_information():
    nearly = service(pam_host("oracle - nofile 65536\n"), nofile=(65535, 65535))
    assert judge(nearly, "PH-LIM-003").only("info")
    stars = service(pam_host("* - nproc 65535\n"), nproc=(4096, 4096))
    assert "does not reach 1 service (db.service)" in judge(stars, "PH-LIM-003").only("info")["message"]


def test_services_that_are_not_meant_are_silent():
    root = service(pam_host("root - nproc 99999\n"), user="", uid=0, nproc=(4096, 4096))
    assert judge(root, "PH-LIM-003").findings == []
    by_pam = service(pam_host("oracle - nproc 65535\n"), pam_name="su", nproc=(4096, 4096))
    assert judge(by_pam, "PH-LIM-003").findings == []  # PH-LIM-010's
    logins = service(pam_host("oracle - nproc 65535\n"), nproc=(4096, 4096))
    assert judge(logins, "PH-LIM-003", {"limits": {"interactive_only": ["ora*"]}}).status == "pass"


@pytest.mark.case("PH-LIM-003", "unreadable")
def test_unreadable_promises():
    host = service(pam_host("oracle - nproc 65535\n").forbid(LIMITS_D), nproc=(4096, 4096))
    assert judge(host, "PH-LIM-003").status == "unknown"
    no_version = service(pam_host("oracle - nproc 65535\n").remove("/var/lib/dpkg/status"), nproc=(4096, 4096))
    assert judge(no_version, "PH-LIM-003").status == "unknown"
    ldap = service(pam_host("oracle - nproc 65535\n").file("/etc/nsswitch.conf", "passwd: files sss\n"), user="far", uid=9999)
    assert judge(ldap, "PH-LIM-003").status == "unknown"


# -- PH-LIM-004


def sysv(profile="ulimit -n 65535\n", script="#!/bin/sh\nstart() { /usr/sbin/netsvc; }\n", by_hand=False, files=100, **limits):
    """F08: netsvc has an init script; root's profile has an ulimit."""
    host = SimulatedHost().file("/root/.bash_profile", profile).file("/etc/init.d/netsvc", script)
    limits = limits or {"nofile": (65535, 65535) if by_hand else (1024, 4096)}
    place = "/user.slice/user-0.slice/session-3.scope" if by_hand else "/system.slice/netsvc.service"
    host.process(800, 1, "netsvc", cgroup=place, login_uid=0 if by_hand else 4294967295, files=files, **limits).group(place)
    return host.unit("netsvc.service", SourcePath="/etc/init.d/netsvc", FragmentPath="/run/systemd/generator.late/netsvc.service",
                     ControlGroup=None if by_hand else place, ActiveState="inactive" if by_hand else "active",
                     LimitNOFILE=4096, LimitNOFILESoft=1024)


@pytest.mark.case("PH-LIM-004", "fires")
def test_booted_with_less_than_a_shell_gives_f08():
    judged = judge(sysv(files=600), "PH-LIM-004")
    finding = judged.only("fail")
    assert finding["message"] == (
        "netsvc (800) booted with nofile 1024:4096 and uses 600, while /root/.bash_profile:1 gives 65535 to whoever restarts it by hand: "
        "set LimitNOFILE=65535 in netsvc.service.")


@pytest.mark.case("PH-LIM-004", "fires")
def test_started_by_hand_f08():
    finding = judge(sysv(by_hand=True), "PH-LIM-004").only("fail")
    assert "netsvc (800) runs with nofile 65535:65535, which /root/.bash_profile:1 gives to shells; the next boot starts it with 1024:4096" in finding["message"]
    other = judge(sysv(by_hand=True, nofile=(8192, 8192)), "PH-LIM-004").only("warn")
    assert "as it was started from a login" in other["message"]


@pytest.mark.case("PH-LIM-004", "silent")
def test_a_profile_alone_is_information():
    """Vendor guides put ulimit into /etc/profile (FIELD B)."""
    assert judge(sysv(), "PH-LIM-004").status == "info"  # booted, far from its limit
    assert judge(sysv(files=600, script="#!/bin/sh\nulimit -n 65535\n", nofile=(1024, 4096)), "PH-LIM-004").status == "info"
    assert judge(sysv(profile="#ulimit -n 65535\n", files=600), "PH-LIM-004").status == "pass"
    assert judge(sysv(profile="", by_hand=False), "PH-LIM-004").findings == []
    native = SimulatedHost().file("/etc/profile", "ulimit -n 65535\n").process(800, 1, "web", nofile=(65535, 65535), login_uid=0)
    assert judge(native.with_systemd(), "PH-LIM-004").status == "info"


@pytest.mark.case("PH-LIM-004", "unreadable")
def test_an_unreadable_profile():
    assert judge(sysv().forbid("/root/.bash_profile"), "PH-LIM-004").status == "unknown"


# -- PH-LIM-009


@pytest.mark.case("PH-LIM-009", "fires")
def test_a_way_in_without_pam_limits():
    host = pam_host("oracle - nproc 65535\n").file("/etc/pam.d/su", "session required pam_unix.so\n")
    assert "Sessions of su do not get what limits.conf sets" in judge(host, "PH-LIM-009").only("warn")["message"]
    without = pam_host("oracle - nproc 65535\n").file("/etc/ssh/sshd_config", "UsePAM no\n")
    assert "UsePAM is not yes" in judge(without, "PH-LIM-009").only("warn")["message"]


@pytest.mark.case("PH-LIM-009", "silent")
def test_all_ways_in_or_nothing_to_miss():
    assert judge(pam_host("oracle - nproc 65535\n").file("/etc/ssh/sshd_config", "UsePAM yes\n"), "PH-LIM-009").status == "pass"
    assert judge(pam_host().file("/etc/pam.d/su", ""), "PH-LIM-009").status == "n/a"
    alone = pam_host("root - nproc 65535\n").file("/etc/pam.d/su", "session required pam_unix.so\n").file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    assert judge(alone, "PH-LIM-009").status == "n/a"
    missing = pam_host("oracle - nproc 65535\n").remove("/etc/pam.d/su")
    assert judge(missing, "PH-LIM-009").status == "pass"
    sometimes = pam_host("oracle - nproc 65535\n").file("/etc/pam.d/su", "session sufficient pam_x.so\nsession required pam_limits.so\n")
    assert judge(sometimes, "PH-LIM-009").only("info")


@pytest.mark.case("PH-LIM-009", "unreadable")
def test_an_unreadable_stack():
    assert judge(pam_host("oracle - nproc 65535\n").forbid("/etc/pam.d/su"), "PH-LIM-009").status == "unknown"


# -- PH-LIM-010


@pytest.mark.case("PH-LIM-010", "fires")
def test_pam_wins_over_the_unit():
    host = service(pam_host("oracle - nofile 4096\n"), pam_name="su", drop_in="LimitNOFILE=65535", nofile=(4096, 4096))
    finding = judge(host, "PH-LIM-010").only("fail")
    assert "db.service runs with nofile 4096:4096 although /etc/systemd/system/db.service.d/limits.conf:2 sets 65535:65535" in finding["message"]
    assert '/etc/security/limits.d/90-oracle.conf:1, "oracle - nofile 4096", wins' in finding["message"]
    assert finding["remedy"]["parameters"] == {"domain": "oracle", "type": "-", "item": "nofile", "value": "65535"}


def test_an_old_debian_resets_to_process_1():
    """Trap D13: Debian before pam 1.7.0-1 resets all limits at every session, and beats LimitX= of the unit."""
    host = service(pam_host(), pam_name="systemd-user", drop_in="LimitNOFILE=65535", nofile=(1024, 1048576))
    assert "resets every session to the limits of process 1" in judge(host, "PH-LIM-010").only("fail")["message"]
    new = service(pam_host(pam=TRIXIE), pam_name="systemd-user", drop_in="LimitNOFILE=65535", nofile=(65535, 65535))
    assert judge(new, "PH-LIM-010").status == "pass"


def test_what_the_next_release_changes_is_information():
    host = service(pam_host(), user="", uid=0, name="ssh", drop_in="LimitNOFILE=65535", nofile=(65535, 65535))
    assert "from pam 1.7.0 (Debian 13) on they do" in judge(host, "PH-LIM-010").only("info")["message"]
    new = service(pam_host(pam=TRIXIE), user="", uid=0, name="ssh", drop_in="LimitNOFILE=65535", nofile=(65535, 65535))
    assert judge(new, "PH-LIM-010").findings == []


@pytest.mark.case("PH-LIM-010", "silent")
def test_units_that_pam_leaves_alone():
    equal = service(pam_host("oracle - nofile 65535\n"), pam_name="su", drop_in="LimitNOFILE=65535", nofile=(65535, 65535))
    assert judge(equal, "PH-LIM-010").status == "pass"
    without = service(pam_host().file("/etc/pam.d/mine", "session required pam_unix.so\n"), pam_name="mine", drop_in="LimitNOFILE=65535", nofile=(4096, 4096))
    assert judge(without, "PH-LIM-010").status == "pass"
    vendor = service(pam_host(), pam_name="su", nofile=(1024, 1048576))
    assert judge(vendor, "PH-LIM-010").findings == []
    capped = service(pam_host(pam=TRIXIE), pam_name="su", drop_in="LimitNOFILE=2000000", nofile=(1048576, 1048576))
    assert judge(capped, "PH-LIM-010").findings == []
    assert judge(SimulatedHost(), "PH-LIM-010").status == "n/a"


@pytest.mark.case("PH-LIM-010", "unreadable")
def test_an_unreadable_stack_of_a_unit():
    host = service(pam_host(), pam_name="su", drop_in="LimitNOFILE=65535", nofile=(4096, 4096)).forbid("/etc/pam.d/su", Denied("/etc/pam.d/su", "permission denied"))
    assert judge(host, "PH-LIM-010").status == "unknown"
