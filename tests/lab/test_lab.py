"""The lab's own tests: that hosts are what the other tests take them for, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .fixtures import HostFactory
from .host import LabHost
from .machine import BootFailed, CommandFailed
from .owner import Owner
from .place import lab_folder
from .registry import Record, records, sweep
from .tree import Tree, with_packages

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(params=["bookworm", "trixie"])
def host(request: pytest.FixtureRequest) -> LabHost:
    host = request.getfixturevalue(request.param)
    assert isinstance(host, LabHost)
    return host


def traces(record: Record) -> list[str]:
    """Return all that this machine still has of a host: processes, mounts, its link, groups, its folder."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{record.identity}")]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if record.identity in line]
    found += [f"link {name}" for name in os.listdir("/sys/class/net") if record.identity in name]
    found += [str(record.folder)] if record.folder.exists() else []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "cmdline").read_bytes() + (process / "mountinfo").read_bytes()
        except OSError:
            continue  # it ended while we looked, or is a zombie, which has no mounts to read
        if record.identity.encode() in seen:
            found.append(str(process))
    return found


def test_boots_with_every_unit(host: LabHost) -> None:
    assert host.failed_units() == []
    assert host.boot_state() == "running"
    assert host.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    assert f"VERSION_CODENAME={host.suite}" in host.read("/etc/os-release")


def test_ssh_makes_a_session_of_logind(host: LabHost) -> None:
    lines = host.ssh("cat", "/proc/self/cgroup").stdout.splitlines()
    assert any("/user.slice/user-0.slice/session-" in line for line in lines)
    assert "XDG_SESSION_ID=" in host.ssh("env").stdout
    assert host.ssh("hostname").stdout == f"{host.name}\n"


def test_run_belongs_to_no_session(host: LabHost) -> None:
    assert "session-" not in host.run(["cat", "/proc/self/cgroup"]).stdout
    assert host.run(["env"]).stdout.splitlines()[-3:] == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8",
    ]


def test_cron_is_running(host: LabHost) -> None:
    pid = host.pid_of("cron.service")
    assert host.read(f"/proc/{pid}/comm") == "cron\n"


def test_a_command_that_fails_says_so(host: LabHost) -> None:
    with pytest.raises(CommandFailed, match="ended with 3\nno such thing"):
        host.run(["sh", "-c", "echo no such thing >&2; exit 3"])
    assert host.run(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_has_no_network_but_the_link_to_this_machine(host: LabHost) -> None:
    assert sorted(host.shell("ls /sys/class/net").split()) == ["eth0", "lo"]
    assert host.shell("ip route show default") == ""


def test_kernel_settings_of_the_machine_are_out_of_reach(host: LabHost) -> None:
    """What is written is what is there already: where the lab fails to refuse it, the machine takes no harm."""
    assert host.run(["sh", "-c", 'value=$(cat "$0") && echo "$value" > "$0"', "/proc/sys/kernel/panic"], check=False).returncode != 0
    assert host.run(["date", "--set=now"], check=False).returncode != 0
    assert host.ssh("date", "--set=now", check=False).returncode != 0


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_pid_max_is_the_hosts_own(new_host: HostFactory, suite: str) -> None:
    machine = Path("/proc/sys/kernel/pid_max").read_text()
    host = new_host(suite=suite)
    host.write("/etc/sysctl.d/pid-max.conf", "kernel.pid_max = 4321\n")
    host.reboot()
    assert host.read("/proc/sys/kernel/pid_max") == "4321\n"
    assert Path("/proc/sys/kernel/pid_max").read_text() == machine


def test_tasks_max_refuses_the_next_fork(new_host: HostFactory) -> None:
    host = new_host()
    crowd = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"
    for limit, outcome in (("4", 2), ("12", 0)):
        host.run(["systemd-run", f"--unit=crowd{limit}", f"--property=TasksMax={limit}", "--property=RemainAfterExit=yes", "dash", "-c", crowd])
        host.shell(f"until [ $(systemctl show -P SubState crowd{limit}) != running ]; do sleep 0.05; done")
        assert host.shell(f"systemctl show -P ExecMainStatus crowd{limit}") == str(outcome)
    assert "Cannot fork" in host.shell("journalctl --sync; journalctl -u crowd4 -o cat")


def test_memory_controller_is_the_hosts_own(bookworm: LabHost) -> None:
    assert int(bookworm.shell("systemctl show -P MemoryCurrent cron.service")) > 0
    assert (bookworm.group("memory") / "system.slice/cron.service").is_dir()
    assert (bookworm.group("pids") / "system.slice/cron.service/pids.max").exists()


def test_no_group_of_a_host_lies_outside_its_own(new_host: HostFactory) -> None:
    host = new_host()
    unit = f"probe-{host.record.identity}.service"
    host.run(["systemd-run", f"--unit={unit}", "--property=DevicePolicy=closed", "--property=Type=exec", "sleep", "600"])
    assert (host.group("devices") / "system.slice" / unit).is_dir()
    assert [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/system.slice/{unit}")] == []


def test_reboot_keeps_files_and_changes_the_boot(new_host: HostFactory) -> None:
    host = new_host()
    host.write("/etc/kept", "kept\n")
    host.write("/run/lost", "lost\n")
    before = host.read("/proc/sys/kernel/random/boot_id")
    host.reboot()
    assert host.read("/etc/kept") == "kept\n"
    assert host.run(["test", "-e", "/run/lost"], check=False).returncode == 1
    assert host.read("/proc/sys/kernel/random/boot_id") != before
    assert host.boot_state() == "running"


def test_reboot_asked_for_inside_comes_back(new_host: HostFactory) -> None:
    host = new_host(suite="trixie")
    before = host.init_pid
    host.ssh("systemctl", "reboot", check=False)
    host.wait_until_rebooted(before)
    assert host.ssh("true").returncode == 0


def test_push_copies_folders_files_and_links(new_host: HostFactory, tmp_path: Path) -> None:
    host = new_host()
    (tmp_path / "engine/inner").mkdir(parents=True)
    (tmp_path / "engine/inner/program").write_text("#!/bin/sh\necho works\n")
    (tmp_path / "engine/inner/program").chmod(0o755)
    (tmp_path / "engine/link").symlink_to("inner")
    host.push(tmp_path / "engine", "/opt/engine")
    assert host.run(["/opt/engine/link/program"]).stdout == "works\n"
    assert host.shell("readlink /opt/engine/link; stat -c %U /opt/engine/inner") == "inner\nroot"
    host.push(tmp_path / "engine/inner/program", "/usr/local/bin/other-name")
    assert host.run(["other-name"]).stdout == "works\n"


def test_write_follows_links_inside_the_host(new_host: HostFactory, tmp_path: Path) -> None:
    host = new_host()
    host.shell(f"mkdir -p {tmp_path}; ln -s {tmp_path} /etc/elsewhere")
    host.write("/etc/elsewhere/file", "inside\n", mode=0o640)
    assert host.read(f"{tmp_path}/file") == "inside\n"
    assert host.shell(f"stat -c %a {tmp_path}/file") == "640"
    assert list(tmp_path.iterdir()) == []


def test_hosts_start_clean(new_host: HostFactory) -> None:
    first = new_host()
    first.write("/etc/cron.d/left-behind", "# one\n")
    first.down()
    second = new_host()
    assert second.run(["test", "-e", "/etc/cron.d/left-behind"], check=False).returncode == 1


def test_five_hosts_side_by_side(new_host: HostFactory) -> None:
    hosts = new_host.fleet([f"node{number}" for number in range(1, 6)])
    assert [host.ssh("hostname").stdout.strip() for host in hosts] == ["node1", "node2", "node3", "node4", "node5"]
    assert len({host.address for host in hosts}) == 5
    assert len({host.read("/etc/machine-id") for host in hosts}) == 5
    assert len({host.read("/proc/sys/kernel/random/boot_id") for host in hosts}) == 5


def test_an_unplugged_host_does_not_answer(new_host: HostFactory) -> None:
    host = new_host()
    host.unplug()
    with pytest.raises(CommandFailed):
        host.ssh("true")
    assert host.run(["true"]).returncode == 0
    host.plug()
    assert host.ssh("true").returncode == 0


def test_a_layer_adds_packages(lab_base: dict[str, Tree], new_host: HostFactory) -> None:
    host = new_host(packages=("needrestart",))
    assert host.run(["dpkg-query", "-W", "-f", "${Status}", "needrestart"]).stdout == "install ok installed"
    assert host.failed_units() == []
    assert with_packages(lab_base["bookworm"], ["needrestart"]).layers[1:] == lab_base["bookworm"].layers


def test_nothing_is_left_of_a_host(new_host: HostFactory) -> None:
    host = new_host()
    host.run(["systemd-run", "--unit=stubborn", "bash", "-c", "trap '' TERM; setsid sleep 600 & sleep 600"])
    record = host.record
    assert len(traces(record)) > 5
    host.down()
    assert traces(record) == []
    host.down()


def test_nothing_is_left_of_a_host_that_does_not_boot(lab_base: dict[str, Tree], monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = {
        "etc/systemd/system/stuck.service": "[Service]\nType=oneshot\nExecStart=sleep 600\n",
        "etc/systemd/system/multi-user.target.d/stuck.conf": "[Unit]\nWants=stuck.service\n",
    }
    monkeypatch.setattr(f"{LabHost.__module__}.BOOT_SECONDS", 3)
    with pytest.raises(BootFailed, match="(?s)unfinished has not booted after 3 s.*stuck.service"):
        LabHost.boot(with_packages(lab_base["bookworm"], [], stuck), "unfinished")
    assert [record for record in records() if record.name == "unfinished" and record.owner == Owner.this_process()] == []


def test_hosts_of_a_killed_run_are_swept(lab_base: dict[str, Tree]) -> None:
    program = (
        "import sys, time; from tests.lab.host import LabHost; from tests.lab.tree import base_tree;"
        "host = LabHost.boot(base_tree('bookworm'), 'orphan'); print(host.record.identity, flush=True); time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    identity = run.stdout.readline().strip()
    (record,) = [record for record in records() if record.identity == identity]
    assert record.owner.alive()
    sweep()
    assert record.groups.has_supervisor()
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not record.owner.alive()
    sweep()
    assert traces(record) == []


def test_hosts_of_a_person_stay(lab_base: dict[str, Tree]) -> None:
    with LabHost.boot(lab_base["bookworm"], "by-hand", owner=Owner.person()) as host:
        sweep()
        assert host.ssh("true").returncode == 0


def test_trees_are_not_changed_by_hosts(new_host: HostFactory, lab_base: dict[str, Tree]) -> None:
    host = new_host()
    host.run(["rm", "/etc/crontab"])
    assert (lab_base["bookworm"].layers[0] / "etc/crontab").exists()
    assert lab_folder() in lab_base["bookworm"].layers[0].parents
