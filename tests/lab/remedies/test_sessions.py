"""sessions: a hundred that logind keeps although nothing of them is left, scopes that failed, and one in which somebody works."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from ..auditing import PLACE, check, of_rule, only
from ..host import LabHost
from .doors import ANSWERS, Door, answers, everything, unchanged

LEAK = Path(__file__).parents[1] / "leaking_sessions.py"
LEAKED = 120
POLICY = '{"outer_limits_watched": true, "sessions": {"scopes_warn": 20}}'
FAILED_SCOPES = """
seq 24 | xargs -P 8 -I{} sh -c 'systemd-run --quiet --scope --unit=session-x{}.scope -p RuntimeMaxSec=50ms sleep 60; true' 2>/dev/null
"""
FORGOTTEN = "UID=0\nUSER=root\nSTATE=closing\nCLASS=background\nSCOPE=session-99999.scope\nSERVICE=crond\nLEADER=3999999\nREALTIME=1000000000\n"


def active(host: LabHost) -> list[str]:
    return host.shell("cd /run/systemd/sessions && grep -D skip -l STATE=active * || true").split()


@contextmanager
def somebody_at_work(host: LabHost) -> Iterator[str]:
    """The id of a session over ssh in which something runs."""
    before = active(host)
    login = subprocess.Popen(host.ssh_command("sleep", "1000"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while set(active(host)) <= set(before):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield next(each for each in active(host) if each not in before)
    finally:
        login.kill()
        login.wait()


def test_sessions_that_logind_keeps(door: Door) -> None:
    host = door.host
    host.push(LEAK, "/root/leaking_sessions.py")
    host.run(["python3", "/root/leaking_sessions.py", str(LEAKED)])
    host.write("/run/systemd/sessions/99999", FORGOTTEN)
    finding = only(check(host), "PH-SES-001", "warn")
    assert f"{LEAKED + 1} dead sessions (opened by {LEAKED + 1} crond" in finding["message"]
    assert finding["remedy"]["state"] == "sessions"
    wanted = finding["remedy"]["parameters"]
    logind, before = host.pid_of("systemd-logind"), everything(host)
    looked = door.look("sessions", **wanted)
    assert looked.ok and looked.differences == {"leaked sessions of systemd-logind": (str(LEAKED), "0")}, looked
    assert "has forgotten, as 99999" in looked.message, looked
    unchanged(host, before)
    with somebody_at_work(host) as session:
        applied = door.apply("sessions", **wanted)
        assert applied.ok and applied.changed, applied
        assert not of_rule(check(host), "PH-SES-001") and session in active(host)
        assert host.shell("loginctl list-sessions --no-legend").count("root") <= 3
        again = door.apply("sessions", **wanted)
        assert again.ok and not again.changed, again
        assert host.read("/run/systemd/sessions/99999") == FORGOTTEN, "files are never deleted by hand"
        ended = door.apply("sessions", sessions=[session, "nobody"])
        assert ended.ok and ended.changed and "no session nobody" in ended.message and session not in active(host), ended
    assert host.pid_of("systemd-logind") == logind

    host.write(f"{PLACE}/policy.json", POLICY)
    host.shell(FAILED_SCOPES)
    remedy = only(check(host), "PH-SES-004", "warn")["remedy"]
    assert remedy["parameters"] == {"end": "empty scopes"}
    (stopped,) = answers(host, "sessions", [remedy["parameters"]])
    assert "what='session scopes without a process', before='24', after='0'" in stopped, stopped
    assert not of_rule(check(host), "PH-SES-004")


def test_what_is_refused(engine_host: LabHost) -> None:
    """Its own session, a bus that was replaced, what makes no sense."""
    host = engine_host
    host.write("/root/answers.py", ANSWERS)
    said = host.ssh("sh", "-c", f'''PYTHONPATH={PLACE} python3 /root/answers.py sessions "[{{\\"sessions\\": [\\"$XDG_SESSION_ID\\"]}}]"''')
    assert "is the one that this runs in" in said.stdout, said
    host.push(LEAK, "/root/leaking_sessions.py")
    host.run(["python3", "/root/leaking_sessions.py", "3"])
    host.write("/etc/systemd/system/cron.service.d/x.conf", "[Service]\nTasksMax=77\n")
    with somebody_at_work(host) as session:
        (refused,) = answers(host, "sessions", [{}])
        assert refused.startswith("Refused") and "accept_pending" in refused, refused
        host.shell("cp /usr/bin/dbus-daemon /usr/bin/dbus-daemon.new && mv /usr/bin/dbus-daemon.new /usr/bin/dbus-daemon")
        cases = [{"sessions": [session]}, {"batch": 0}, {"sessions": ["c1"], "end": "empty scopes"}, {"sessions": ["c1\n"]}, {"end": "all"}]
        before = everything(host)
        said_here = answers(host, "sessions", cases)
        for text, words in zip(said_here, ("schedule a reboot", "at least 1", "names sessions", "control character", "must be one of"), strict=True):
            assert text.startswith("Refused") and words in text, text
        assert session in active(host)
        unchanged(host, before)
