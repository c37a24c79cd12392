"""systemd as we read it, against systemd itself: the bus against systemctl, our search of unit files against the manager's."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import oracle_seed
import pytest

from .auditing import PLACE, check, install, of_rule, only
from .machine import Machine

HERE = Path(__file__).parent
F11 = json.loads((HERE.parent / "fixtures" / "f11-drop-in-precedence.json").read_text())
SEED = oracle_seed.seed()
UNITS = int(os.environ.get("PIDHYGIENE_ORACLE_UNITS", "500"))  # random trees, for each suite
BATCHES = 10  # forests that they stand in: each has its own service.d and system.conf.d


@pytest.fixture(params=["bookworm", "trixie"])
def host(request: pytest.FixtureRequest, new_host) -> Machine:
    host = new_host(suite=request.param)
    install(host)
    return host


def python(host: Machine, script: str, *arguments: str, user: str = "root") -> str:
    host.push(HERE / script, f"/opt/{script}")
    command = ["env", f"PYTHONPATH={PLACE}", "PYTHONDONTWRITEBYTECODE=1", "python3", f"/opt/{script}", *arguments]
    if user != "root":
        command = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
    result = host.run(command, check=False, timeout=300)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


@pytest.mark.parametrize("user", ["root", "nobody"])  # nobody has no private socket: the system bus
def test_the_bus_says_what_systemctl_says(host, user):
    host.write("/etc/systemd/system/odd.service", "[Service]\nExecStart=/bin/sleep 1000\nLimitNICE=-7\nLimitCPU=1h:2h\nRuntimeMaxSec=1week\n"
               "User=nobody\nPIDFile=odd.pid\nTasksMax=33%\nDelegate=pids\nLimitAS=1G:infinity\n")
    host.write("/etc/systemd/system/odd.service.d/caf\u00e9.conf", "[Service]\nLimitNPROC=100\n")
    host.shell("systemctl daemon-reload; systemctl start odd.service; systemctl start -- -.slice")
    host.shell("for i in 1 2 3; do printf '[Service]\\nExecStart=/bin/sleep 1000\\nLimitCORE=1M:2M\\nKillMode=mixed\\nRestart=always\\nTasksMax=10%%\\n'"
               " > /usr/lib/systemd/system/vendor$i.service; done; systemctl daemon-reload; systemctl start vendor1 vendor2 vendor3")
    derived, totals = python(host, "bus_against_systemctl.py", user=user).splitlines()[-2:]
    print(derived, totals, sep="\n")
    services, _values, differences = map(int, re.findall(r"\d+", derived))
    assert services >= 6 and differences == 0
    units, values, differences = map(int, re.findall(r"\d+", totals))
    assert units >= 60 and values >= 40 * units / 3 and differences == 0


def test_random_trees_are_read_as_systemd_reads_them(host):
    print(f"PIDHYGIENE_ORACLE_SEED={SEED}")
    totals = python(host, "unit_trees.py", str(SEED), str(BATCHES), str(UNITS // BATCHES)).splitlines()[-1]
    print(totals)
    _version, _seed, units, values, disagreements = map(int, re.findall(r"\d+", totals))
    assert units >= UNITS and values >= 15 * UNITS and disagreements == 0


def test_f11_on_a_real_host(host):
    for path, text in F11["files"].items():
        host.write(path, text)
    for path, target in F11["links"].items():
        host.run(["ln", "-s", target, path])
    host.run(["systemctl", "daemon-reload"])
    for key, (soft, hard) in F11["expected"].items():
        assert host.run(["systemctl", "show", "-P", key, "foo-bar.service"]).stdout.strip() == str(hard)
        assert host.run(["systemctl", "show", "-P", key + "Soft", "foo-bar.service"]).stdout.strip() == str(soft)
    assert host.run(["systemctl", "show", "-P", "DropInPaths", "foo-bar.service"]).stdout.split() == F11["drop_ins"]
    host.shell("sed -i s,/bin/true,'/bin/sleep 1000', /usr/lib/systemd/system/foo-bar.service; systemctl daemon-reload; systemctl start foo-bar.service")
    result = check(host, "--rule", "PH-SYS-*")
    ineffective = {finding["subject"]["id"].rsplit("/", 1)[1] for finding in of_rule(result, "PH-SYS-001") if finding["status"] == "fail"}
    assert ineffective == {"40-d.conf:2", "50-e.conf:2", "51-e.conf:2", "52-e.conf:2", "71-x.conf:1"}
    assert [finding["subject"]["id"] for finding in of_rule(result, "PH-SYS-002")] == ["/etc/systemd/system/service.d/30-c.conf:2"]


def start(host: Machine, name: str, service: str, **drop_ins: str) -> None:
    host.write(f"/etc/systemd/system/{name}.service", f"[Service]\n{service}\n")
    for drop_in, text in drop_ins.items():
        host.write(f"/etc/systemd/system/{name}.service.d/{drop_in}.conf", f"[Service]\n{text}\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", f"{name}.service"])


def test_the_rules_see_what_systemd_ignored(host):
    start(host, "web", "ExecStart=/bin/sleep 1000\nLimitNOFILE=4096", a="LimitNOFILE=64k\nLimitNPROC=unlimited")
    findings = [finding for finding in of_rule(check(host, "--rule", "PH-SYS-001"), "PH-SYS-001") if finding["status"] == "fail"]
    assert sorted(finding["subject"]["id"] for finding in findings) == [f"/etc/systemd/system/web.service.d/a.conf:{line}" for line in (2, 3)]
    limits = host.read(f"/proc/{host.pid_of('web.service')}/limits")
    assert re.search(r"Max open files +4096 +4096", limits)  # the finding is true


def test_a_change_under_an_old_time_stamp_is_pending(host):
    start(host, "web", "ExecStart=/bin/sleep 1000", a="LimitNOFILE=1000")
    time.sleep(1.1)
    assert check(host, "--rule", "PH-SYS-003")["summary"]["rules_by_status"]["pass"] == 1
    path = "/etc/systemd/system/web.service.d/a.conf"
    host.shell(f"sed -i s/1000/2000/ {path}; touch -d '2020-01-01' {path}; touch -d '2020-01-01' /etc/systemd/system/web.service.d")
    assert host.run(["systemctl", "show", "-P", "NeedDaemonReload", "web.service"]).stdout == "no\n"
    finding = only(check(host, "--rule", "PH-SYS-003"), "PH-SYS-003", "warn")
    assert finding["evidence"][0]["value"] == "web.service: LimitNOFILE=2000"
    host.run(["systemctl", "daemon-reload"])
    assert of_rule(check(host, "--rule", "PH-SYS-003"), "PH-SYS-003") == []
    assert host.run(["systemctl", "show", "-P", "LimitNOFILE", "web.service"]).stdout == "2000\n"


def test_an_edited_system_conf_and_an_edited_unit_are_pending(host):
    start(host, "idle", "Type=oneshot\nExecStart=/bin/true")
    time.sleep(1.1)
    host.write("/etc/systemd/system.conf.d/x.conf", "[Manager]\nDefaultLimitNOFILE=2000:3000\n")
    assert "DefaultLimitNOFILE=2000:3000" in only(check(host, "--rule", "PH-SYS-003"), "PH-SYS-003", "warn")["evidence"][0]["value"]
    host.run(["systemctl", "daemon-reload"])
    assert of_rule(check(host, "--rule", "PH-SYS-003"), "PH-SYS-003") == []
    host.run(["systemctl", "start", "idle.service"])
    time.sleep(1.1)
    host.write("/etc/systemd/system/ssh.service.d/x.conf", "[Service]\nTasksMax=900\n")
    finding = only(check(host, "--rule", "PH-SYS-003"), "PH-SYS-003", "warn")
    assert "ssh.service" in finding["message"] and "to 900" in finding["message"]


def test_leftovers_of_a_killed_supervisor(host):
    """S1a: KillMode=process, the main process is killed and started again; its child lives on and runs twice."""
    start(host, "leaky", "ExecStart=/bin/sh -c 'sleep 1000 & wait'\nKillMode=process\nRestart=always\nRestartSec=7")
    assert "leaky.service" in only(check(host, "--rule", "PH-SYS-006"), "PH-SYS-006", "info")["message"]
    before = host.pid_of("leaky.service")
    host.run(["kill", "-KILL", str(before)])
    for _attempt in range(100):
        if host.pid_of("leaky.service") not in (0, before):
            break
        time.sleep(0.2)
    time.sleep(0.5)
    finding = only(check(host, "--rule", "PH-SYS-006"), "PH-SYS-006", "fail")
    assert "leaky.service has 1 process from before its last start" in finding["message"] and "sleep now runs twice" in finding["message"]
    first = check(host, "--rule", "PH-SYS-007")
    assert of_rule(first, "PH-SYS-007") == []  # one restart is no loop


def test_tasks_max_that_is_full_and_tasks_max_that_differs(bookworm_with_limits):
    host = bookworm_with_limits
    start(host, "full", "ExecStart=/bin/sh -c 'for i in $(seq 18); do sleep 1000 & done; wait'\nTasksMax=20")
    time.sleep(0.5)
    result = check(host, "--rule", "PH-SYS-00[45]")
    finding = only(result, "PH-SYS-004", "fail")
    assert "full.service has 19 tasks of 20 allowed (95.0 %), TasksMax=20 in /etc/systemd/system/full.service:3" in finding["message"]
    assert "18 sleep, 1 sh" in finding["message"]
    assert of_rule(result, "PH-SYS-005") == []
    host.shell("echo 30 > /sys/fs/cgroup/pids/system.slice/full.service/pids.max")
    finding = only(check(host, "--rule", "PH-SYS-005"), "PH-SYS-005", "warn")
    assert "full.service may have 30 tasks in the kernel, but TasksMax is shown as 20" in finding["message"]
    host.run(["systemctl", "daemon-reload"])
    assert of_rule(check(host, "--rule", "PH-SYS-005"), "PH-SYS-005") == []


@pytest.fixture
def bookworm_with_limits(new_host) -> Machine:
    host = new_host(suite="bookworm")
    install(host)
    return host
