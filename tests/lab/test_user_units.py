"""Units of a lingering user's manager on a real host: a leak and a limit are told as those of his unit."""

from __future__ import annotations

import json
import time

import pytest

from .auditing import SHELL, check, install, only

FOLDER = "/home/alice/.config/systemd/user"
LEAK = "import os, time\nfor _ in range(30):\n    if os.fork() == 0:\n        os._exit(0)\ntime.sleep(100000)\n"
SERVICE = "[Service]\nLimitNOFILE={limit}\nExecStart=/usr/bin/python3 /opt/leak\n"
LABEL = "user@1001.service/app.slice/leaky.service"


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
    host.shell("chown -R alice: /home/alice; loginctl enable-linger alice")
    wait_until(host, "test -S /run/user/1001/systemd/private && systemctl is-active --quiet user@1001")
    as_alice(host, "systemctl", "--user", "start", "leaky")
    wait_until(host, "test $(ps -o stat= --ppid $(pgrep -f -o 'python3 /opt/leak') | grep -c Z) -ge 30")
    return host


def main_pid(host):
    return int(as_alice(host, "systemctl", "--user", "show", "-P", "MainPID", "leaky").stdout)


def test_a_leak_is_told_as_the_users_unit(lingering):
    wait_until(lingering, f"test $(ps -o etimes= -p {main_pid(lingering)}) -ge 7")  # from five seconds on, a zombie counts as persistent
    policy = {"outer_limits_watched": True, "zombies": {"young_parent": 0}}
    lingering.write("/root/policy.json", json.dumps(policy))
    finding = only(check(lingering, "--policy", "/root/policy.json"), "PH-ZMB-001", "warn")
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
