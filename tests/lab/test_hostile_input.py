"""What a broken, hostile or locked-up host shows: a clear error or a grouped unknown; nothing is lost, nothing crashes, other rules go on."""

from __future__ import annotations

import json

import pytest

from .auditing import PLACE, SHELL, check, deviations, install


@pytest.fixture(scope="module")
def host(new_module_host):
    host = new_module_host("hostile")
    install(host)
    return host


def unknown(result):
    return {row["rule"] for row in result["rules"] if row["status"] == "unknown"}


def test_an_ordinary_user_gets_what_he_may_see(host):
    host.run(["useradd", "-m", "someone"], check=False)
    text = host.run(["runuser", "-u", "someone", "--", *SHELL, "check", "--format", "json", "--fail-on", "never", "--policy", f"{PLACE}/policy.json"]).stdout
    result = json.loads(text)
    assert result["audit"]["errors"] == []
    assert result["audit"]["visibility"] == "partial"
    assert "PH-PID-008" in unknown(result), "descriptors of others cannot be looked at"
    assert {"PH-PID-001", "PH-PID-002"} <= {row["rule"] for row in result["rules"] if row["status"] == "pass"}
    assert not [finding for finding in result["findings"] if finding["status"] in ("warn", "fail")]


def test_hidepid_is_told_and_never_passed(new_host):
    host = new_host("hidden")
    install(host)
    host.run(["useradd", "-m", "someone"])
    host.run(["mount", "-o", "remount,hidepid=2", "/proc"])
    result = json.loads(host.run(["runuser", "-u", "someone", "--", *SHELL, "check", "--format", "json", "--fail-on", "never"]).stdout)
    assert result["audit"]["visibility"] == "partial"
    passed = {row["rule"] for row in result["rules"] if row["status"] == "pass"}
    assert not passed & {"PH-ZMB-001", "PH-LIM-001", "PH-LIM-006"}, "other users' processes are invisible: their rules cannot pass"


def test_names_with_parentheses_newlines_and_escapes(host):
    script = (
        "import os, time\n"
        "for name in (b'a) Z 1 (b', b'x\\ny', b'\\x1b]0;owned\\x07', b'\\xff\\xfe'):\n"
        "    if os.fork() == 0:\n"
        "        open('/proc/self/comm', 'wb').write(name)\n"
        "        for _ in range(30):\n"
        "            if os.fork() == 0:\n"
        "                os._exit(0)\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "time.sleep(60)\n")
    host.run(["systemd-run", "--unit=names", "python3", "-c", script])
    host.run(["sleep", "8"])
    try:
        text = host.run([*SHELL, "check", "--details", "--fail-on", "never"]).stdout
        result = check(host)
    finally:
        host.run(["systemctl", "kill", "-s", "KILL", "names.service"])
    assert result["audit"]["errors"] == []
    assert result["measures"]["zombies"]["total"] == 120
    assert "\x1b" not in text and "\x07" not in text
    assert all("\n" not in finding["message"] and "\x1b" not in json.dumps(finding) for finding in result["findings"])


def test_fifos_giants_and_broken_files(new_host):
    """Each where a file is read: nothing hangs, every one is named."""
    host = new_host("broken")
    install(host)
    host.shell("mkfifo /etc/security/limits.d/50-fifo.conf /etc/cron.d/fifo /etc/sysctl.d/99-fifo.conf")
    # No FIFO among cron.service's drop-ins: systemd 252 itself hangs as soon as anybody asks it for that unit.
    host.shell("mkdir -p /etc/systemd/system/cron.service.d")
    host.shell("mv /etc/timezone /etc/timezone.away; mkfifo /etc/timezone")
    host.shell("head -c 10485760 /dev/zero | tr '\\0' '#' > /etc/security/limits.conf")
    host.shell("printf 'A=\\377\\376\\nTZ=\\377\\n' >> /etc/environment; printf '\\377 - nproc 100\\n' > /etc/security/limits.d/60-bytes.conf")
    host.shell("ln -s /etc/loop2 /etc/loop1; ln -s /etc/loop1 /etc/loop2; ln -s /etc/loop1 /etc/cron.d/loop")
    host.write("/etc/systemd/system/cron.service.d/garbage.conf", "LimitNPROC=5\n[Service\n\\\n=x\n[Service]\nLimitNOFILE=16k\x00\n")
    result = check(host)
    text = json.dumps(result)
    for place in ("/etc/sysctl.d/99-fifo.conf", "/etc/timezone", "/etc/cron.d/fifo"):
        assert place in text
    assert result["audit"]["errors"] == []
    assert {"PH-ZMB-001", "PH-PID-001", "PH-PID-002"} <= {row["rule"] for row in result["rules"] if row["status"] == "pass"}


def test_a_foreign_root_with_absolute_links(host):
    """An absolute link in an image must not lead into our own root."""
    host.shell("mkdir -p /srv/image/etc /srv/image/usr/share/zoneinfo; echo 'Evil/Zone' > /secret")
    host.shell("ln -s /secret /srv/image/etc/timezone; ln -s ../../../../../secret /srv/image/etc/adjtime")
    text = host.run([*SHELL, "check", "--root", "/srv/image", "--format", "json", "--fail-on", "never"]).stdout
    assert "Evil" not in text
    assert json.loads(text)["audit"]["errors"] == []


def test_processes_that_vanish_while_they_are_read(host):
    host.run(["systemd-run", "--unit=churn", "bash", "-c", "while :; do /bin/true & done"])
    try:
        for _ in range(3):
            result = check(host)
            assert result["audit"]["errors"] == []
            assert not [finding for finding in result["findings"] if finding["status"] == "unknown"], deviations(result)
    finally:
        host.run(["systemctl", "kill", "-s", "KILL", "churn.service"])


@pytest.mark.parametrize("policy, words", [
    ('{"zombies": {"wran": 5}}', ["zombies.wran", "did you mean 'warn'"]),
    ('{"zombies": {"warn": "many"}}', ["zombies.warn: must be a whole number, not text"]),
    ('{"waivers": [{"rule": "PH-*"}]}', ["waivers[0].justification: is missing"]),
    ("[", ["policy.json"]),
])
def test_a_policy_with_a_typo(host, policy, words):
    host.write("/root/policy.json", policy)
    result = host.run([*SHELL, "check", "--policy", "/root/policy.json"], check=False)
    assert result.returncode == 2
    assert all(word in result.stderr for word in words), result.stderr
    assert "Traceback" not in result.stderr


def test_a_snapshot_that_is_none(host):
    host.write("/root/not-a-snapshot", "{}")
    result = host.run([*SHELL, "check", "--snapshot", "/root/not-a-snapshot"], check=False)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert PLACE not in result.stderr
