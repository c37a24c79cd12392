"""audit.yml on real hosts through a real sshd."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doors import AUDIT, Run, inventory, result_of, succeeded
from lab.fixtures import HostFactory
from lab.host import LabHost
from lab.machine import Machine
from lab.test_zombies_live import wait_for

FEW = 8  # process numbers; an audit that is copied to the host first takes some twenty at once


def line(host: Machine) -> str:
    return " ".join([host.name] + ["%s=%s" % (name, json.dumps(value)) for name, value in host.ansible_variables().items()])


def test_two_distributions_and_a_host_that_is_gone(playbook: Run, tmp_path: Path, bookworm: LabHost, trixie: LabHost, new_host: HostFactory) -> None:
    gone = new_host("gone")
    gone.unplug()
    hosts = inventory(tmp_path, line(bookworm), line(trixie), line(gone).replace("ConnectTimeout=20", "ConnectTimeout=2"))
    done = playbook("-i", hosts, AUDIT)
    assert done.returncode == 2, done.stdout + done.stderr
    for host, version in ((bookworm, "12"), (trixie, "13")):
        result = result_of(tmp_path, host.name)
        assert result["host"]["distro"] == {"id": "debian", "version": version}
        assert result["host"]["init"] == "systemd"
        assert result["audit"]["errors"] == [] and result["audit"]["visibility"] == "full"
    said = json.loads((tmp_path / "pidhygiene-report/not-audited/gone.json").read_text())
    assert said["outcome"] == "unreachable" and "console" in said["next_step"]
    assert "3 targeted · 2 audited · 1 unreachable" in done.stdout


def test_a_user_who_is_not_root_gets_a_partial_view_that_says_so(playbook: Run, tmp_path: Path, new_host: HostFactory) -> None:
    host = new_host()
    hosts = inventory(tmp_path, ops(host))
    succeeded(playbook("-i", hosts, AUDIT))
    result = result_of(tmp_path, host.name)
    assert result["audit"]["visibility"] == "partial"
    assert result["summary"]["rules_by_status"]["unknown"] > 0
    assert "partial" in (tmp_path / "pidhygiene-report/report.html").read_text()


def test_nothing_reaches_the_hosts_log(playbook: Run, tmp_path: Path, new_host: HostFactory) -> None:
    host = new_host()
    hosts = inventory(tmp_path, line(host))
    succeeded(playbook("-i", hosts, AUDIT, "-e", '{"pidhygiene_policy": {"processes": {"ignore": ["tellnobody"]}}}'))
    journal = host.shell("journalctl --sync; journalctl --no-pager -o cat")
    assert "Accepted publickey for root" in journal
    assert "tellnobody" not in journal and "audit_info" not in journal


def ops(host: LabHost) -> str:
    """The inventory's line of the host, for a user who is not root."""
    host.shell("useradd -m -s /bin/bash ops && install -d -o ops -m 700 ~ops/.ssh && install -o ops -m 600 /root/.ssh/authorized_keys ~ops/.ssh/")
    return line(host).replace('ansible_user="root"', "ansible_user=ops")


def test_sudo_that_wants_a_terminal_is_no_hindrance(playbook: Run, tmp_path: Path, new_host: HostFactory) -> None:
    host = new_host()
    host.write("/etc/sudoers.d/ops", "Defaults requiretty\nops ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    succeeded(playbook("-i", inventory(tmp_path, ops(host)), "-b", AUDIT))
    assert result_of(tmp_path, host.name)["audit"]["visibility"] == "full"


def test_a_host_with_a_few_numbers_left_is_audited(playbook: Run, tmp_path: Path, new_host: HostFactory) -> None:
    host = new_host("narrow")
    host.shell("echo 320 > /proc/sys/kernel/pid_max")
    # The last ones: those below 300 are not given out a second time (kernel/pid.c, RESERVED_PIDS).
    keeper = (
        "import os, signal, time\npids = []\ntry:\n while True:\n  pids.append(os.fork())\n  if pids[-1] == 0:\n   time.sleep(3600)\nexcept OSError:\n pass\n"
        f"for pid in pids[-{FEW}:]:\n os.kill(pid, signal.SIGKILL)\n os.waitpid(pid, 0)\nopen('/run/full', 'w')\ntime.sleep(3600)\n")
    host.write("/opt/keeper.py", keeper)
    host.shell("systemd-run --unit=greedy --property=TasksMax=infinity python3 /opt/keeper.py")
    wait_for(host, "/run/full", 60)
    succeeded(playbook("-i", inventory(tmp_path, line(host)), AUDIT))
    found = [each for each in result_of(tmp_path, host.name)["findings"] if each["rule"] == "PH-PID-002"]
    assert "fail" in [each["status"] for each in found], found


@pytest.fixture
def full_host(new_host: HostFactory) -> LabHost:
    """A host on which no process can be started: its pid numbers are all in use."""
    host = new_host("full")
    host.shell("echo 320 > /proc/sys/kernel/pid_max")
    keeper = "import os, time\ntry:\n while True:\n  if os.fork() == 0:\n   time.sleep(3600)\nexcept OSError:\n time.sleep(3600)\n"
    host.shell("systemd-run --unit=greedy --property=TasksMax=infinity python3 -c '%s'" % keeper)
    for _attempt in range(100):
        if host.ssh("true", check=False).returncode != 0:
            return host
    raise AssertionError("the host still starts processes")


def test_a_host_that_can_start_no_process_is_called_that(playbook: Run, tmp_path: Path, full_host: LabHost) -> None:
    hosts = inventory(tmp_path, line(full_host))
    done = playbook("-i", hosts, AUDIT, timeout=120)
    assert done.returncode == 2
    said = json.loads((tmp_path / "pidhygiene-report/not-audited/full.json").read_text())
    assert "possibly no process can start there" in said["message"], said
    assert "console" in said["next_step"]
    assert "UNREACHABLE full" in done.stdout or "FAILED  full" in done.stdout
