"""What systemd, cron and PAM really do with timers that run into themselves, with users whose dates ran out, and with stale logins."""

from __future__ import annotations

import struct
import time

import pytest

from .auditing import check, install, of_rule

RUN = "ExecStart=/bin/sh -c 'echo >> /run/starts.%N; {}'\n"
KINDS = {
    "simple": "Type=simple\n" + RUN.format("exec sleep 100000"),
    "oneshot": "Type=oneshot\n" + RUN.format("exec sleep 100000"),
    "remains": "Type=oneshot\nRemainAfterExit=yes\n" + RUN.format("true"),
    "forking": "Type=forking\n" + RUN.format("sleep 100000 &"),
    "starting": "Type=notify\n" + RUN.format("exec sleep 100000"),
    "each@": "Type=simple\n" + RUN.format("exec sleep 100000").replace("%N", "each"),
    "leaving": "Type=oneshot\nKillMode=process\n" + RUN.format("setsid sleep 100000 &"),
    "swept": "Type=oneshot\n" + RUN.format("setsid sleep 100000 &"),
    "tick": "Type=oneshot\n" + RUN.format("true"),
}


def until(condition, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def starts(host, name: str) -> int:
    return int(host.shell(f"cat /run/starts.{name} 2>/dev/null | wc -l"))


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_timer_starts_nothing_that_is_active_but_what_a_run_leaves_behind_piles_up(new_host, suite):
    """PH-CRN-001: nine services under timers of one second; the tick counts how often these fired."""
    host = new_host(suite=suite)
    for name, lines in KINDS.items():
        host.write(f"/etc/systemd/system/{name}.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\n" + lines)
        host.write(f"/etc/systemd/system/{name}.timer", "[Timer]\nOnActiveSec=1\nOnUnitInactiveSec=1\nOnCalendar=*:*:*\nAccuracySec=10ms\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", *(f"{name}1.timer" if name.endswith("@") else f"{name}.timer" for name in KINDS)])
    others = [name.rstrip("@") for name in KINDS if name != "tick"]
    until(lambda: all(starts(host, name) for name in others))
    fired = starts(host, "tick")
    until(lambda: starts(host, "tick") >= fired + 5 and starts(host, "leaving") >= 3)
    assert {name: starts(host, name) for name in others if name not in ("leaving", "swept")} == dict.fromkeys(
        ("simple", "oneshot", "remains", "forking", "starting", "each"), 1)
    left, swept = (int(host.shell(f"cat /proc/[0-9]*/cgroup 2>/dev/null | grep -c '[:/]{name}.service$' || true")) for name in ("leaving", "swept"))
    assert left >= 3 and swept <= left, "KillMode=control-group ends what a run left before the next one starts"
    assert int(host.shell("pgrep -c -x sleep")) >= 3


# Fields of /etc/shadow after the password: last change, maximum, inactive, expires, in days from today; None: empty.
ACCOUNTS = {
    "plain": ("x", 0, 99999, None, None), "locked": ("!x", 0, 99999, None, None), "starred": ("*", 0, 99999, None, None),
    "coming": ("x", 0, 99999, None, 2), "ageing": ("x", -50, 90, None, None), "future": ("x", 5, 90, 5, None),
    "expired": ("x", 0, 99999, None, -2), "aged": ("x", -100, 90, None, None), "agedlocked": ("!", -100, 90, None, None),
    "inactive": ("x", -100, 90, 5, None), "waiting": ("x", -100, 90, 50, None), "mustchange": ("x", None, 99999, None, None),
}


def test_cron_runs_the_jobs_of_those_whom_the_audit_does_not_name(new_host):
    """PH-CRN-002 against real crons: neither a locked password nor a nologin shell stops a job, a date does. Both hosts wait for the same minutes."""
    hosts = [new_host(suite=suite) for suite in ("bookworm", "trixie")]
    today = int(time.time() // 86400)
    for host in hosts:
        install(host)
        for name, (password, change, maximum, inactive, expires) in ACCOUNTS.items():
            host.run(["useradd", "-m", "-s", "/usr/sbin/nologin", name])
            fields = [name, password.replace("x", "\\$6\\$salt\\$x"), str(today + change if change is not None else 0), "0", str(maximum), "7",
                      str(inactive or ""), str(today + expires) if expires is not None else "", ""]
            host.shell(f"sed -i 's|^{name}:.*|{':'.join(fields)}|' /etc/shadow")
        host.write("/etc/cron.d/accounts", "".join(f"* * * * * {name} touch /tmp/ran.{name}\n" for name in ACCOUNTS) + "* * * * * root echo >> /run/minutes\n")
    for host in hosts:
        until(lambda host=host: int(host.shell("cat /run/minutes 2>/dev/null | wc -l")) >= 2)  # all jobs of the first minute have been tried
        ran = {name.split(".")[1] for name in host.shell("ls /tmp").split() if name.startswith("ran.")}
        named = {finding["subject"]["id"] for finding in of_rule(check(host), "PH-CRN-002") if finding["status"] == "fail"}
        assert set(ACCOUNTS) - ran == named == {"expired", "aged", "agedlocked", "inactive", "waiting", "mustchange"}


def login(pid: int, since: float) -> bytes:
    return struct.pack("=hxxi32s4s32s256shhiii4i20x", 7, pid, b"pts/9", b"ts/9", b"person", b"", 0, 0, 0, int(since), 0, 0, 0, 0, 0)


def written(*entries: bytes) -> str:
    return "printf '%b' '" + "".join(f"\\0{byte:03o}" for byte in b"".join(entries)) + "' > /run/utmp"


def test_stale_logins_refuse_whom_the_audit_names(new_host):
    """PH-SES-006 against a real pam_limits, which counts utmp here."""
    host = new_host(suite="bookworm")
    install(host)
    host.run(["useradd", "-m", "-s", "/bin/bash", "person"])
    host.run(["systemd-run", "--unit=other", "sleep", "100000"])
    other, before = host.pid_of("other.service"), time.time() - 1000
    dead, reused, there = login(3999999, before), login(other, before), login(other, time.time() + 5)
    for limit, entries, refused in (
        ("maxlogins 2", (dead, dead, dead), False), ("maxlogins 2", (reused, reused), True), ("maxlogins 2", (reused, dead), False),
        ("maxlogins 3", (reused, reused), False), ("maxsyslogins 2", (dead, dead), True),
    ):
        host.write("/etc/security/limits.d/90-logins.conf", f"person - {limit}\n")
        host.shell(written(*entries))
        answer = host.run(["su", "-", "person", "-c", "true"], check=False).returncode != 0
        assert answer == refused == bool(of_rule(check(host), "PH-SES-006")), (limit, len(entries))
    host.shell(written(there, there))
    assert of_rule(check(host), "PH-SES-006") == [], "somebody may be there: a full limit alone is no fault"
