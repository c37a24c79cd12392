"""Units and timers of a lingering user's manager on a real host: what is wrong with them is told as his."""

from __future__ import annotations

import json
import time

import pytest

from .auditing import SHELL, check, install, of_rule, only

FOLDER = "/home/alice/.config/systemd/user"
LEAK = "import os, time\nfor _ in range(30):\n    if os.fork() == 0:\n        os._exit(0)\ntime.sleep(100000)\n"
SERVICE = "[Service]\nLimitNOFILE={limit}\nExecStart=/usr/bin/python3 /opt/leak\n"
LABEL = "user@1001.service/app.slice/leaky.service"
WORKERS = "[Service]\nKillMode=process\nPIDFile=%t/workers.pid\nExecStart=/bin/sh -c 'sleep 5000 & exec sleep 6000'\n"
LIMITED = "[Service]\nExecStart=/bin/sleep 7000\n"
FILES = {
    "nightly.timer": "[Timer]\nOnCalendar=02:30\n[Install]\nWantedBy=timers.target\n",
    "nightly.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl --user restart workers\n",
    "workers.service": WORKERS, "limited.service": LIMITED, "limited.service.d/10-more.conf": "[Service]\nLimitNOFILE=4000\n",
}
BY_ADMINISTRATOR = "[Service]\nLimitNOFILE=3000\nLimitNPROC=16k\n"


def as_alice(host, *argv):
    return host.run(["setpriv", "--reuid=1001", "--regid=1001", "--init-groups", "env", "XDG_RUNTIME_DIR=/run/user/1001", "HOME=/home/alice", *argv])


def wait_until(host, script):
    deadline = time.monotonic() + 60
    while host.run(["sh", "-c", script], check=False).returncode:
        assert time.monotonic() < deadline, script
        time.sleep(0.2)


@pytest.fixture(scope="module")
def lingering(new_module_host):
    host = new_module_host("lingering", layout="hybrid", packages=("dbus-user-session",))
    install(host)
    host.write("/opt/leak", LEAK)
    host.run(["useradd", "--create-home", "--uid=1001", "alice"])
    host.write(f"{FOLDER}/leaky.service", SERVICE.format(limit="2000:3000"))
    for name, text in FILES.items():
        host.write(f"{FOLDER}/{name}", text)
    host.write("/etc/systemd/user/limited.service.d/20-less.conf", BY_ADMINISTRATOR)
    host.run(["ln", "-sf", "/usr/share/zoneinfo/Europe/Berlin", "/etc/localtime"])
    host.shell("chown -R alice: /home/alice; loginctl enable-linger alice")
    wait_until(host, "test -S /run/user/1001/systemd/private && systemctl is-active --quiet user@1001")
    as_alice(host, "systemctl", "--user", "start", "leaky", "workers", "limited")
    as_alice(host, "systemctl", "--user", "enable", "--quiet", "--now", "nightly.timer")
    wait_until(host, "test $(ps -o stat= --ppid $(pgrep -f -o 'python3 /opt/leak') | grep -c Z) -ge 30")
    return host


def main_pid(host, unit="leaky"):
    return int(as_alice(host, "systemctl", "--user", "show", "-P", "MainPID", unit).stdout)


def told(host):
    """Rule and message of what is said about units of alice."""
    return [(each["rule"], each["status"], each["message"]) for each in check(host)["findings"] if "user alice" in each["message"]]


def message(found, rule, status):
    (text,) = [text for each, of, text in found if (each, of) == (rule, status)]
    return text


def test_a_leak_is_told_as_the_users_unit(lingering):
    policy = {"outer_limits_watched": True, "zombies": {"young_parent": 0}}
    lingering.write("/root/policy.json", json.dumps(policy))
    deadline = time.monotonic() + 60
    result = check(lingering, "--policy", "/root/policy.json")
    while not of_rule(result, "PH-ZMB-001"):  # from five seconds on, a zombie counts as persistent; CPUs do not agree on when it ended
        assert time.monotonic() < deadline
        time.sleep(1)
        result = check(lingering, "--policy", "/root/policy.json")
    finding = only(result, "PH-ZMB-001", "warn")
    assert "restart leaky.service as user alice (systemctl --user restart leaky.service)" in finding["message"]
    assert finding["remedy"]["parameters"]["unit"] == "leaky.service" and finding["remedy"]["parameters"]["user"] == "alice"


def test_limits_of_the_users_files(lingering):
    assert not [each for each in check(lingering)["findings"] if each["rule"] == "PH-LIM-005" and "leaky" in each["message"]], "in force"
    origin = next(each for each in json.loads(lingering.run([*SHELL, "explain", str(main_pid(lingering)), "--format", "json"]).stdout)["limits"]
                  if each["item"] == "nofile")
    assert (origin["soft"], origin["hard"], origin["origin"]) == (2000, 3000, f"LimitNOFILE=2000:3000 in {FOLDER}/leaky.service:2")


def test_a_change_that_waits_for_a_restart_and_one_that_the_manager_cannot_give(lingering):
    wait_until(lingering, f"test $(( $(date +%s) - $(stat -c %Y /proc/{main_pid(lingering)}) )) -ge 3")  # two seconds are within the clock's error
    lingering.write(f"{FOLDER}/leaky.service.d/more.conf", "[Service]\nLimitNOFILE=2500:3500\n")
    finding = only(check(lingering), "PH-LIM-005", "warn")
    assert finding["subject"]["id"] == LABEL
    assert "runs with nofile 2000:3000, but its file says LimitNOFILE=2500:3500, which was written after it started" in finding["message"]
    as_alice(lingering, "systemctl", "--user", "daemon-reload")
    as_alice(lingering, "systemctl", "--user", "restart", "leaky")
    assert not [each for each in check(lingering)["findings"] if each["rule"] == "PH-LIM-005" and each["status"] != "info"], "as told"

    lingering.write(f"{FOLDER}/leaky.service.d/more.conf", "[Service]\nLimitNOFILE=900000\n")
    as_alice(lingering, "systemctl", "--user", "daemon-reload")
    as_alice(lingering, "systemctl", "--user", "restart", "leaky")
    capped = [each["message"] for each in check(lingering)["findings"] if each["rule"] == "PH-LIM-005" and "leaky" in each["message"]]
    assert len(capped) == 1 and "which its manager cannot go above" in capped[0]


def test_timers_drop_ins_leftovers_and_what_waits_for_a_reload(lingering):
    assert not [each for each in told(lingering) if each[0] in ("PH-SYS-003", "PH-SYS-006", "PH-ORP-005") and each[1] != "info"], "healthy"
    old = main_pid(lingering, "workers")
    wait_until(lingering, f"test $(ps -o etimes= -p {old}) -ge 7")  # five seconds are within what helpers of a service may be older than it
    as_alice(lingering, "systemctl", "--user", "restart", "workers")
    wait_until(lingering, "test $(( $(date +%s) - $(stat -c %Y /run/user/1001/systemd) )) -ge 4")  # two seconds are within the clock's error
    lingering.write(f"{FOLDER}/limited.service.d/10-more.conf", "[Service]\nLimitNOFILE=5000\n")
    found = told(lingering)
    left = message(found, "PH-SYS-006", "fail")
    assert left.startswith("workers.service of user alice has 1 process from before its last start (1 sleep") and "sleep now runs twice" in left
    assert message(found, "PH-CRN-003", "warn").startswith("nightly.timer of user alice (OnCalendar=02:30) is skipped on 20")
    assert "nightly.timer of user alice (OnCalendar=02:30) restarts workers.service of user alice on schedule" in message(found, "PH-SYS-007", "info")
    assert "20-less.conf:3 has no effect on limited.service of user alice: LimitNPROC=16k" in message(found, "PH-SYS-001", "fail")
    assert "20-less.conf is read later and LimitNOFILE=3000 is in force" in message(found, "PH-SYS-002", "warn")
    assert "Files of limited.service of user alice changed" in message(found, "PH-SYS-003", "warn")
    assert as_alice(lingering, "systemctl", "--user", "show", "-P", "NeedDaemonReload", "limited").stdout.strip() == "yes", "his manager agrees"
    origin = next(each for each in json.loads(lingering.run([*SHELL, "explain", str(main_pid(lingering, "limited")), "--format", "json"]).stdout)["limits"]
                  if each["item"] == "nofile")
    assert origin["origin"] == "LimitNOFILE=3000 in /etc/systemd/user/limited.service.d/20-less.conf:2"

    as_alice(lingering, "systemctl", "--user", "daemon-reload")
    lingering.run(["pkill", "-o", "-f", "^sleep 5000"])
    assert not [each for each in told(lingering) if each[0] in ("PH-SYS-003", "PH-SYS-006") and each[1] != "info"], "reloaded, and ended"


def test_a_pidfile_of_another_process(lingering):
    if float(lingering.read("/proc/uptime").split()[0]) < 660:
        pytest.skip("this machine has booted less than ten minutes ago, when pidfiles are not judged")
    as_alice(lingering, "sh", "-c", f"echo {main_pid(lingering)} > /run/user/1001/workers.pid; touch -d '-30 seconds' /run/user/1001/workers.pid")
    assert f"names {main_pid(lingering)} (python3), which is none of its processes; restart workers.service as user alice" in message(
        told(lingering), "PH-ORP-003", "warn")
    as_alice(lingering, "sh", "-c", f"echo {main_pid(lingering, 'workers')} > /run/user/1001/workers.pid; touch -d '-30 seconds' /run/user/1001/workers.pid")
    assert not [each for each in told(lingering) if each[0] == "PH-ORP-003"]


def test_hostile_files_of_a_user(lingering):
    """A FIFO, a file of root behind a link, and the kernel's log, of which a reader takes away what he reads."""
    as_alice(lingering, "sh", "-c", f"cd {FOLDER}; mkdir -p limited.service.d; mkfifo limited.service.d/fifo.conf; ln -s /proc/kmsg limited.service.d/log.conf;"
             "ln -s /etc/shadow limited.service.d/shadow.conf")
    result = check(lingering)
    unknown = only(result, "PH-SYS-001", "unknown")
    assert "not a regular file (1 place)" in unknown["message"] and "fifo.conf" in unknown["evidence"][0]["source"]
    assert "root:" not in json.dumps(result)
