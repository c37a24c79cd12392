"""Parsers of the kernel's files: tables, and a fuzz each (nothing but the documented error ever comes out)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.model import UNLIMITED
from pidhygiene.readers import cgroups, fork_failures, kernel_budgets, logs, process_details, processes, scheduler_clock, sysctl_files, visibility

STAT = b"%s %s 1 42 42 0 -1 4194560 1 0 0 0 7 8 0 0 20 0 3 0 12345 1000000 200 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"


@pytest.mark.parametrize("comm", [b"plain", b"a) Z 1 (b", b"new\nline", b"(sd-pam)", b")", b"", b" ", b"\xff\xfe"])
def test_stat_with_any_name(comm):
    process = processes.parse_stat(STAT % (b"42 (" + comm + b")", b"S"))
    assert process.comm.encode("utf-8", "surrogateescape") == comm
    assert (process.pid, process.ppid, process.state, process.threads, process.start, process.exit_signal, process.cpu_ticks) == (42, 1, "S", 3, 12345, 17, 15)


@pytest.mark.parametrize("data", [b"", b"42", b"42 (x)", b"42 (x) S 1", b"x (y) " + b"z " * 50])
def test_stat_that_is_none(data):
    with pytest.raises(ValueError):
        processes.parse_stat(data)


@given(st.binary())
def test_stat_fuzz(data):
    try:
        processes.parse_stat(data)
    except ValueError:
        pass


@given(st.binary())
def test_status_fuzz(data):
    try:
        processes.parse_status(b"Uid:\t" + data)
    except ValueError:
        pass


def test_status_of_an_old_kernel():
    """RHEL 6 prints neither NSpid nor Seccomp nor RssAnon."""
    status = processes.parse_status(b"Name:\tx\nUid:\t500\t0\t0\t0\nSigCgt:\t0000000000010000\n")
    assert (status.uid, status.euid, status.ns_pids, status.caught, status.anonymous_kib) == (500, 0, (), 0x10000, 0)


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(2, 60))
def test_a_sample_is_spread_and_holds_both_ends(numbers, most):
    chosen = processes.sample(numbers, most)
    assert len(chosen) == min(most, len(numbers))
    assert chosen[0] == numbers[0] and chosen[-1] == numbers[-1]


LIMITS = b"".join(b"%-25s %-20s %-20s %-10s\n" % row for row in (
    (b"Limit", b"Soft Limit", b"Hard Limit", b"Units"), (b"Max processes", b"1024", b"unlimited", b"processes"),
    (b"Max nice priority", b"0", b"0", b""), (b"Max realtime timeout", b"unlimited", b"unlimited", b"us")))


def test_limits_by_columns():
    assert process_details.parse_limits(LIMITS) == {"nproc": (1024, UNLIMITED), "nice": (0, 0), "rttime": (UNLIMITED, UNLIMITED)}
    assert process_details.parse_limits(b"") == {}


@given(st.binary())
def test_limits_fuzz(data):
    try:
        process_details.parse_limits(LIMITS[:100] + data)
    except ValueError:
        pass


@pytest.mark.parametrize("text, mode, pids, unit", [
    ("0::/system.slice/a.service\n", "v2", "/system.slice/a.service", "a.service"),
    ("0::/system.slice/a.service (deleted)\n", "v2", "/system.slice/a.service", "a.service"),
    ("8:pids:/system.slice/a.service\n9:name=systemd:/system.slice/a.service\n0::/\n", "hybrid", "/system.slice/a.service", "a.service"),
    ("4:cpu,cpuacct:/\n3:pids:/docker/x\n1:name=systemd:/docker/x\n", "v1", "/docker/x", None),
    ("0::/user.slice/user-1.slice/session-2.scope\n", "v2", "/user.slice/user-1.slice/session-2.scope", "session-2.scope"),
    ("0::/user.slice/user-1.slice/user@1.service/app.slice/x.service\n", "v2", "/user.slice/user-1.slice/user@1.service/app.slice/x.service", "user@1.service"),
    ("0::/system.slice/_cpu.service\n", "v2", "/system.slice/_cpu.service", "cpu.service"),
    ("", "v2", "/", None), ("garbage", "v1", "/", None), ("0::/a:b/c.service\n", "v2", "/a:b/c.service", None),
])
def test_membership(text, mode, pids, unit):
    membership = cgroups.parse_membership(text)
    assert cgroups.pids_path(membership, mode) == pids
    assert cgroups.unit_of(cgroups.unit_path(membership, mode)) == unit


@given(st.text())
def test_membership_fuzz(text):
    membership = cgroups.parse_membership(text)
    for mode in ("v1", "hybrid", "v2"):
        cgroups.unit_of(cgroups.unit_path(membership, mode))
        cgroups.ancestry(cgroups.pids_path(membership, mode))


def test_ancestry_ends_with_the_root():
    assert cgroups.ancestry("/a/b/c") == ["/a/b/c", "/a/b", "/a", "/"] and cgroups.ancestry("/") == ["/"]


@pytest.mark.parametrize("data, value", [(b"max\n", UNLIMITED), (b"42\n", 42)])
def test_counts(data, value):
    assert cgroups.parse_count(data) == value


@given(st.text())
def test_lines_of_other_files_fuzz(text):
    kernel_budgets.parse_key_users(text)
    sysctl_files.parse(text)
    visibility._hidepid(text)
    logs.day_of(text)
    fork_failures.classify(text, "", "", None)
    scheduler_clock.last_run(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("text, pairs", [
    ("kernel.pid_max = 5", [("kernel.pid_max", "5")]), ("kernel/pid_max=5", [("kernel.pid_max", "5")]), ("-kernel.pid_max=5", [("kernel.pid_max", "5")]),
    ("net.ipv4.conf.eth0/1.x=1", [("net.ipv4.conf.eth0/1.x", "1")]), ("net/ipv4/conf/eth0.1/x=1", [("net.ipv4.conf.eth0/1.x", "1")]),
    ("# a\n; b\n\nx", []), ("= 5", [])])
def test_sysctl_lines(text, pairs):
    assert sysctl_files.parse(text) == pairs


@pytest.mark.parametrize("text, value", [(b"x (1, #threads: 1)\nse.exec_start                                :        944768.464614\n", 944.768464614),
                                         (b"", None), (b"se.exec_start : nonsense\n", None)])
def test_scheduler_value(text, value):
    assert scheduler_clock.last_run(text) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize("line, day", [("Nov 23 04:06:01 host x", (11, 23)), ("Jan  2 01:00:00 h", (1, 2)), ("2026-11-23T04:06:01.1+00:00 h", (11, 23)),
                                       ("Foo 23 04:06:01", None), ("no date", None)])
def test_days_of_log_lines(line, day):
    assert logs.day_of(line) == day
