"""Killed, out of space, read-only, a manager that hangs, two at once: the host is left in the old state or the new one, and is told which."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from ..auditing import PLACE, install
from ..host import LabHost
from .test_cron_restart import SCRIPT, TABLE
from .test_pam_limits_entry import FILES, LOSE
from .test_sessions import LEAK

APPLY = """
import json, sys
from pidhygiene.host import HostError
from pidhygiene.remedies import apply
from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import Failed, Refused
try:
    report = apply.apply(BY_NAME[sys.argv[1]], json.loads(sys.argv[2]))
    print("changed" if report.changed else "same")
except (Refused, Failed) as error:
    print(type(error).__name__, getattr(error, "state", ""), error)
"""
UNIT = "[Service]\nExecStart=/usr/bin/sleep 1000000\n"
DROP_IN = "/etc/systemd/system/d.service.d/zz-pidhygiene.conf"
WRITING = "write,sendto,fsync,rename,unlink,mkdir,rmdir,chmod,fchmod,fchown,setxattr,ftruncate,symlink"


@pytest.fixture
def host(new_host) -> LabHost:
    host = new_host("faults", packages=("strace",))
    install(host)
    host.write("/opt/apply.py", APPLY)
    host.write("/etc/systemd/system/d.service", UNIT)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "d.service"])
    return host


def applied(host: LabHost, *before: str, tasks: str = "99", **more: object) -> subprocess.CompletedProcess[str]:
    wanted = {"unit": "d.service", "limits": {"tasks": tasks}, **more}
    return host.run([*before, "env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", "unit_limits", json.dumps(wanted)], check=False)


def drop_in(host: LabHost) -> str:
    return host.run(["cat", DROP_IN], check=False).stdout


def pids_max(host: LabHost) -> str:
    return host.run(["cat", "/sys/fs/cgroup/pids/system.slice/d.service/pids.max"]).stdout.strip()


def test_killed_at_every_call_that_writes(host) -> None:
    """Old or new, never half; and the next run finishes what the killed one began."""
    old, pid = pids_max(host), host.pid_of("d")
    assert applied(host).stdout == "changed\n"
    new = drop_in(host)
    assert pids_max(host) == "99"
    seen: set[tuple[bool, str]] = set()
    killed = 0
    for number in range(1, 200):
        assert applied(host, state="absent", limits=None).stdout == "changed\n" and pids_max(host) == old
        done = applied(host, "strace", "-qq", "-o", "/dev/null", "-e", f"trace={WRITING}", "-e", f"inject={WRITING}:signal=SIGKILL:when={number}")
        assert drop_in(host) in ("", new), "half a file"
        seen.add((drop_in(host) == new, pids_max(host)))
        if done.stdout == "changed\n":
            break
        killed += 1
        assert applied(host).stdout in ("changed\n", "same\n")
        assert (drop_in(host), pids_max(host)) == (new, "99")
        assert host.run(["find", "/etc/systemd/system", "-name", "*.pidhygiene-new"]).stdout == ""
    assert killed >= 8 and {(False, old), (True, old), (True, "99")} <= seen, (killed, seen)
    assert host.pid_of("d") == pid


def test_a_kernel_setting_killed_at_every_call_that_writes(host) -> None:
    """What ran before is known to the next run, whichever way the killed one went."""
    file = "/etc/sysctl.d/zz-pidhygiene.conf"
    there, back = {"values": {"kernel.pid_max": 65536}}, {"state": "absent"}

    def now() -> tuple[str, str]:
        return host.run(["cat", file], check=False).stdout, host.read("/proc/sys/kernel/pid_max").strip()

    def apply(given: dict[str, object], *before: str) -> str:
        return host.run([*before, "env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", "kernel_limits", json.dumps(given)],
                        check=False).stdout

    host.run(["rm", "-f", "/usr/lib/sysctl.d/50-pid-max.conf"])  # so that only our file knows what was before
    old = now()
    assert apply(there) == "changed\n"
    new, seen, unharmed = now(), set(), set[str]()
    for number in range(1, 200):
        killed = ("strace", "-qq", "-o", "/dev/null", "-e", f"trace={WRITING}", "-e", f"inject={WRITING}:signal=SIGKILL:when={number}")
        for given, wanted in ((back, old), (there, new)):
            if apply(given, *killed) == "changed\n":
                unharmed.add(str(given))
            seen.add(now())
            assert apply(given) in ("changed\n", "same\n") and now() == wanted, (number, given)
        if len(unharmed) == 2:
            break
    assert seen == {old, new, (new[0], old[1])}, "the file is written first, and goes last"


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_disk_that_takes_nothing(host, fault: str) -> None:
    options = "size=4k,nr_inodes=3" if fault == "full" else "ro"
    host.run(["mkdir", "/etc/systemd/system/d.service.d"])
    host.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", "/etc/systemd/system/d.service.d"])
    if fault == "full":
        host.run(["sh", "-c", "cd /etc/systemd/system/d.service.d && touch taken && dd if=/dev/zero of=full bs=4k count=1 2>/dev/null"], check=False)
    old = pids_max(host)
    said = applied(host).stdout
    assert said.startswith("Failed old") and ("No space left" in said or "Read-only" in said) and "the old state is back" in said, said
    assert pids_max(host) == old and drop_in(host) == ""
    assert ".pidhygiene-new" not in host.run(["ls", "-A", "/etc/systemd/system/d.service.d"]).stdout


def test_a_manager_that_hangs(host) -> None:
    """PID 1 is stopped, from this machine: nothing can be read from it, so nothing is written."""
    subprocess.run(["kill", "-STOP", str(host.init_pid)], check=True)
    try:
        said = applied(host).stdout
    finally:
        subprocess.run(["kill", "-CONT", str(host.init_pid)], check=True)
    assert said.startswith("Refused") and "systemd does not answer" in said and drop_in(host) == "", said
    assert applied(host).stdout == "changed\n"


def test_two_at_once(host) -> None:
    """Started together, many times: each is told that it changed something, that all is well, or that it came second."""
    argv = ["env", f"PYTHONPATH={PLACE}", "python3", "/opt/apply.py", "unit_limits"]
    answers = []
    for round_ in range(4):
        pairs = [subprocess.Popen(host.entering([*argv, json.dumps({"unit": "d.service", "limits": {"tasks": str(60 + 2 * round_ + which)}})]),
                                  stdout=subprocess.PIPE, text=True) for which in (0, 1)]
        both = [process.communicate(timeout=120)[0] for process in pairs]
        answers.extend(both)
        assert all(said == "changed\n" or "another remedy is being applied" in said for said in both), both
        value = pids_max(host)
        assert f"TasksMax={value}\n" in drop_in(host), "what is written is what is in force"
    assert answers.count("changed\n") >= 4


def test_nothing_is_forked_to_set_a_limit(host) -> None:
    before = host.run(["cat", "/proc/sys/kernel/ns_last_pid"]).stdout
    assert before.strip().isdigit()
    done = applied(host, "strace", "-f", "-qq", "-o", "/tmp/trace", "-e", "trace=fork,vfork,clone,clone3,execve")
    assert done.stdout == "changed\n"
    calls = [line for line in host.run(["cat", "/tmp/trace"]).stdout.splitlines() if "execve" not in line]
    assert calls == []


def test_a_unit_that_hangs_at_its_start_is_rolled_back(host) -> None:
    host.write("/etc/systemd/system/d.service", "[Service]\nType=notify\nTimeoutStartSec=3\nExecStart=/bin/sh -c '[ $(ulimit -n) = 77 ] || systemd-notify --ready; exec sleep 100000'\nNotifyAccess=all\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "restart", "d.service"])
    began = time.monotonic()
    said = applied(host, limits={"nofile": "77"}).stdout
    assert time.monotonic() - began < 300
    assert said.startswith("Failed old") and "d.service did not come back" in said and drop_in(host) == "", said
    assert host.run(["systemctl", "is-active", "d.service"]).stdout.strip() == "active"


# -- the other remedies that write ------------------------------------------------------------------------------------

ZONE = {"name": "Asia/Tokyo"}
CRON = {"unit": "agent.service", "owner": "backup team", "take_over": "/var/spool/cron/crontabs/root:2"}
LINE = {"domain": "app", "type": "-", "item": "core", "value": "4711"}
WRITERS = {
    "time_zone": ZONE, "scheduled_restart": {"unit": "d.service", "calendar": "daily"}, "pam_limits_line": LINE, "unit_limits": {"unit": "d.service", "limits": {"tasks": "99"}},
    "kernel_limits": {"values": {"kernel.pid_max": 65536}}, "pam_limits_entry": {"service": "sshd"},
}
READ_ONLY = ("unshare", "--mount", "sh", "-c", 'for i in /etc /usr; do mount --bind $i $i; mount -o remount,ro,bind $i; done; exec "$@"', "x")
NO_SYSTEMD = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run; exec "$@"', "x")
CONTENT = ("find /etc /var/spool/cron /usr/share/pam-configs -printf '%p %l %m %U\\n' | sort; "
           "md5sum /etc/timezone /etc/pam.d/common-* /var/spool/cron/crontabs/root; readlink /etc/localtime")


def apply(host: LabHost, remedy: str, given: dict[str, object], *before: str) -> str:
    return host.run([*before, "env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", "/opt/apply.py", remedy, json.dumps(given)], check=False).stdout


def killing(call: str, number: int) -> tuple[str, ...]:
    return ("strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}")


def failing(number: int) -> tuple[str, ...]:
    """The disk turns out to be full when what was written shall stay."""
    return ("strace", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", f"inject=fsync:error=ENOSPC:when={number}")


@pytest.fixture
def writers(host) -> LabHost:
    host.shell(f"useradd app; {LOSE}; install -m 600 /dev/null /var/spool/cron/crontabs/root")
    host.write("/var/spool/cron/crontabs/root", TABLE, 0o600)
    host.write("/etc/init.d/agent", SCRIPT, 0o755)
    return host


def test_no_remedy_leaves_anything_on_a_disk_that_takes_nothing(writers) -> None:
    host = writers
    old = host.shell(CONTENT)
    for remedy, given in WRITERS.items():
        said = apply(host, remedy, given, *READ_ONLY)
        assert said.startswith("Failed old") and "the old state is back" in said and host.shell(CONTENT) == old, (remedy, said)
    for remedy in ("time_zone", "scheduled_restart"):
        for number in range(1, 10):
            said = apply(host, remedy, WRITERS[remedy], *failing(number))
            if said == "changed\n":
                break
            assert said.startswith("Failed old") and host.shell(CONTENT) == old, (remedy, number, said)
        assert number > 2 and host.shell(CONTENT) != old, (remedy, number)
        back = {"name": "Etc/UTC"} if remedy == "time_zone" else {"unit": "d.service", "state": "absent"}
        assert apply(host, remedy, back) == "changed\n"
        old = host.shell(CONTENT)


def test_a_killed_run_is_finished_by_the_next_one(writers) -> None:
    """Whatever the last one had written."""
    host = writers
    places = [("rename", 1), ("rename", 2), ("symlink", 1)]
    for call, number in places:
        apply(host, "time_zone", ZONE, *killing(call, number))
        assert host.shell("readlink /etc/localtime; cat /etc/timezone").split()[1] in ("Etc/UTC", "Asia/Tokyo")
        assert apply(host, "time_zone", ZONE) == "changed\n" and host.shell("readlink /etc/localtime; cat /etc/timezone").count("Asia/Tokyo") == 2
        assert apply(host, "time_zone", {"name": "Etc/UTC"}) == "changed\n"

    table, own = "/var/spool/cron/crontabs/root", "/etc/cron.d/pidhygiene-restart-agent"
    seen = set()
    for call, number in (("rename", 1), ("rename", 2), ("unlink", 2)):
        for given, wanted in ((CRON, (False, True)), ({"unit": "agent.service", "state": "absent"}, (True, False))):
            apply(host, "scheduled_restart", given, *NO_SYSTEMD, *killing(call, number))
            now = ("\n0 14" in host.read(table), host.run(["test", "-e", own], check=False).returncode == 0)
            seen.add(now)
            assert any(now), "somebody still restarts it"
            assert apply(host, "scheduled_restart", given, *NO_SYSTEMD) in ("changed\n", "same\n")
            assert ("\n0 14" in host.read(table), host.run(["test", "-e", own], check=False).returncode == 0) == wanted
    assert (True, True) in seen and host.read(table) == TABLE

    files = host.shell(FILES)
    for call in ("rename", "vfork"):
        assert apply(host, "pam_limits_entry", {"service": "sshd"}, *killing(call, 1)) == ""
        assert apply(host, "pam_limits_entry", {"service": "sshd"}) == "changed\n" and host.shell("grep -l pam_limits /etc/pam.d/common-session")
        assert apply(host, "pam_limits_entry", {"service": "sshd", "state": "absent"}) == "changed\n" and host.shell(FILES) == files
    assert host.shell("find /etc /var/spool/cron /usr/share/pam-configs -name '*.pidhygiene-new'") == ""


def test_sessions_killed_between_two_messages(host) -> None:
    """What logind and systemd were told is not told again."""
    host.push(LEAK, "/root/leaking_sessions.py")
    logind = host.pid_of("systemd-logind")
    host.run(["python3", "/root/leaking_sessions.py", "3"])
    assert apply(host, "sessions", {}, "strace", "-qq", "-o", "/tmp/trace", "-e", "trace=sendto") == "changed\n"
    messages = int(host.shell("wc -l < /tmp/trace"))
    for number in (messages // 2, messages - 2):
        host.run(["python3", "/root/leaking_sessions.py", "3"])
        assert apply(host, "sessions", {}, *killing("sendto", number)) == ""
        assert apply(host, "sessions", {}) in ("changed\n", "same\n")
        assert "STATE=closing" not in host.shell("cat /run/systemd/sessions/[!.]*[!f] 2>/dev/null || true")
    assert messages > 10 and host.pid_of("systemd-logind") == logind


# -- logind -----------------------------------------------------------------------------------------------------------

IMPATIENT = APPLY.replace("try:", "from pidhygiene.remedies import logind\nlogind.PATIENCE_S = logind.Connection.patience_s = 3.0\ntry:", 1)
UNDONE = {"state": "absent"}


def tomorrow() -> dict[str, object]:
    return {"when": time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(time.time() + 86400))}


def planned(host: LabHost) -> tuple[str, bool]:
    """What logind has scheduled, and whether we noted that it is ours."""
    said = host.run(["busctl", "get-property", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ScheduledShutdown"]).stdout
    return said.split('"')[1], host.run(["test", "-e", "/run/pidhygiene-reboot.json"], check=False).returncode == 0


def messages_of(host: LabHost, remedy: str, given: dict[str, object]) -> list[str]:
    assert apply(host, remedy, given, "strace", "-qq", "-s", "300", "-o", "/tmp/trace", "-e", "trace=sendto") == "changed\n"
    return host.shell("cat /tmp/trace").splitlines()


def test_a_reboot_killed_at_every_message_that_changes_something(host) -> None:
    """The next run finishes what it began, and knows as its own what it takes back."""
    messages = messages_of(host, "reboot", tomorrow())
    assert planned(host) == ("reboot", True) and apply(host, "reboot", UNDONE) == "changed\n" and planned(host) == ("", False)
    seen = set()
    for call, number in [("rename", 1), *(("sendto", number) for number, each in enumerate(messages, 1) if number > len(messages) - 8)]:
        assert apply(host, "reboot", tomorrow(), *killing(call, number)) == ""
        seen.add(planned(host))
        assert apply(host, "reboot", tomorrow()) in ("changed\n", "same\n") and planned(host) == ("reboot", True)
        apply(host, "reboot", UNDONE, *killing(call.replace("rename", "unlink"), number))
        seen.add(planned(host))
        assert apply(host, "reboot", UNDONE) in ("changed\n", "same\n") and planned(host) == ("", False), (call, number)
    assert {("", False), ("", True), ("reboot", True)} <= seen, "never a reboot that nobody knows as ours: %s" % seen
    assert ("reboot", False) not in seen


def test_a_logind_that_hangs(host) -> None:
    """Before: nothing is done. In the middle: nobody can know, and that is what is said."""
    host.push(LEAK, "/root/leaking_sessions.py")
    host.run(["python3", "/root/leaking_sessions.py", "3"])
    sending = [number for number, each in enumerate(messages_of(host, "reboot", tomorrow()), 1) if "ScheduleShutdown" in each][0]
    assert apply(host, "reboot", UNDONE) == "changed\n"
    host.write("/opt/apply.py", IMPATIENT)
    logind = str(host.pid_of("systemd-logind"))
    host.run(["kill", "-STOP", logind])
    try:
        said = {remedy: apply(host, remedy, given) for remedy, given in (("reboot", tomorrow()), ("sessions", {}))}
    finally:
        host.run(["kill", "-CONT", logind])
    assert all(each.startswith("Refused") and "systemd-logind does not answer" in each for each in said.values()), said
    assert planned(host) == ("", False) and "STATE=closing" in host.shell("cat /run/systemd/sessions/[!.]*[!f]")
    slow = ("strace", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", f"inject=sendto:delay_enter=4000000:when={sending}")
    middle = subprocess.Popen(host.entering([*slow, "env", f"PYTHONPATH={PLACE}", "python3", "/opt/apply.py", "reboot", json.dumps(tomorrow())]),
                              stdout=subprocess.PIPE, text=True)
    try:
        host.shell("until [ -e /run/pidhygiene-reboot.json ]; do sleep 0.1; done; sleep 1")
        host.run(["kill", "-STOP", logind])
        told = middle.communicate(timeout=120)[0]
    finally:
        host.run(["kill", "-CONT", logind])
    assert told.startswith("Failed mixed") and "could not be brought back" in told and "systemd-logind does not answer" in told
    assert apply(host, "reboot", tomorrow()) in ("changed\n", "same\n") and planned(host) == ("reboot", True)
    assert apply(host, "sessions", {}) == "changed\n"
