"""reap, dedupe, restart: the leaking backup agent, the salt-minion tree that supervisord lost, the program and the bus that were replaced on disk."""

from __future__ import annotations

from pathlib import Path

from ..auditing import awaited, check, of_rule, only
from ..test_kernel_oddities import TRACED, running
from ..test_supervised_trees import minions, supervise, wait_for_minions
from .doors import Door, everything, unchanged

RESTARTED = ("PH-DEL-001", "PH-DEL-002", "PH-DEL-003")
LEAK = Path(__file__).parents[1] / "leaking_agent.py"


REAPS = """
import os, signal, time
def reap(*_args):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
signal.signal(signal.SIGCHLD, reap)
for number in range(25):
    if os.fork() == 0:
        while not os.path.exists("/run/let-go"):
            time.sleep(0.1)
        os._exit(0)
open("/run/ready", "w").close()
while True:
    time.sleep(1000)
"""


def bad(door: Door, *rules: str) -> list[str]:
    return [f"{finding['rule']} {finding['message']}" for finding in check(door.host)["findings"] if finding["rule"] in rules and finding["status"] in ("warn", "fail")]


def leaking(door: Door, zombies: int) -> int:
    host = door.host
    host.push(LEAK, "/opt/agent")
    host.run(["systemd-run", "--unit=backup", "-p", "TasksMax=infinity", "python3", "/opt/agent", str(zombies), "500", "1"])
    host.run(["sh", "-c", "n=0; until [ -e /run/leaked ]; do sleep 0.1; n=$((n+1)); [ $n -lt 900 ] || exit 1; done; sleep 6"], timeout=200)
    return host.pid_of("backup")


def test_zombies_go_with_their_parent(door: Door) -> None:
    host = door.host
    pid = leaking(door, 150)
    host.write("/root/policy.json", '{"zombies": {"young_parent": 0}}')
    remedy = only(awaited(host, ["PH-ZMB-001"], "--policy", "/root/policy.json", status="fail"), "PH-ZMB-001", "fail")["remedy"]
    assert remedy["state"] == "reap" and remedy["parameters"] == {"mode": "restart", "parent": pid, "unit": "backup.service"}
    before = everything(host)
    looked = door.look("reap", **remedy["parameters"])
    assert looked.ok and looked.changed, looked
    unchanged(host, before)
    wrong = door.apply("reap", mode="restart", parent=pid, unit="cron.service")
    assert not wrong.ok and "belongs to backup.service" in wrong.message, wrong
    assert not door.apply("reap", mode="continue", parent=pid).ok
    unchanged(host, before)
    host.run(["rm", "-f", "/run/leaked"])
    host.write("/opt/agent", "import time; time.sleep(100000)\n")  # the vendor's fix
    applied = door.apply("reap", **remedy["parameters"])
    assert applied.ok and applied.changed, applied
    assert host.pid_of("backup") != pid and bad(door, "PH-ZMB-001") == []
    before = everything(host)
    again = door.apply("reap", **remedy["parameters"])
    assert again.ok and not again.changed, again
    unchanged(host, before)


def test_zombies_of_a_stopped_parent_and_of_a_tracer(door: Door) -> None:
    """Continued, the one reaps them itself; without its tracer, so does the other's parent, or init after that."""
    host = door.host
    host.write("/opt/reaps", REAPS)
    host.run(["systemd-run", "--unit=pool", "python3", "/opt/reaps"])
    host.shell("until [ -e /run/ready ]; do sleep 0.1; done")
    pid = host.pid_of("pool")
    host.run(["kill", "-STOP", str(pid)])
    host.write("/run/let-go", "")
    with running(host, "traced", TRACED, settle=5):
        host.write("/root/policy.json", '{"zombies": {"young_parent": 0}}')
        result = awaited(host, ["PH-ZMB-001", "PH-ZMB-004"], "--policy", "/root/policy.json", "--rule", "PH-ZMB-*", status="warn")
        stopped, traced = only(result, "PH-ZMB-001", "warn")["remedy"], only(result, "PH-ZMB-004", "warn")["remedy"]
        zombie, tracer = map(int, host.read("/run/traced").split())
        assert stopped == {"state": "reap", "parameters": {"mode": "continue", "parent": pid}, "disruptive": False}
        assert traced["parameters"] == {"mode": "detach", "tracer": tracer}
        before = everything(host)
        assert door.look("reap", **stopped["parameters"]).differences == {f"process {pid} (python3)": ("stopped", "continued")}
        assert door.look("reap", **traced["parameters"]).changed
        unchanged(host, before)
        for remedy in (stopped, traced):
            applied = door.apply("reap", **remedy["parameters"])
            assert applied.ok and applied.changed, applied
        for remedy in (stopped, traced):
            again = door.apply("reap", **remedy["parameters"])
            assert again.ok and not again.changed, again
        assert host.pid_of("pool") == pid and bad(door, "PH-ZMB-001", "PH-ZMB-004") == []
        assert not host.shell(f"grep -s State:.T /proc/{pid}/status || true") and host.run(["test", "-e", f"/proc/{tracer}/fd/0"], check=False).returncode


def test_the_leaked_tree_ends_and_the_managed_one_stays(door: Door) -> None:
    host = door.host
    first = supervise(host, "RestartSec=1")
    host.run(["kill", "-KILL", str(host.pid_of("supervisor"))])  # systemd starts it again, and it starts its programs again
    second = [pid for pid in wait_for_minions(host, 6) if pid not in first]
    leaked = [finding for finding in of_rule(check(host), "PH-ORP-001") if finding["subject"]["id"].startswith("salt-minion")]
    assert len(leaked) == 1 and leaked[0]["status"] == "fail"
    remedy = leaked[0]["remedy"]

    before = everything(host)
    assert door.look("dedupe", **remedy["parameters"]).changed
    for parameters, words in (
        ({"keep": min(first), "end": ",".join(map(str, second))}, "does not name"), ({"keep": min(second), "end": "1"}, "must be pids"),
        ({"keep": min(second), "end": f"{min(first)};reboot"}, "must be pids"), ({"keep": min(second), "end": str(host.pid_of("cron"))}, "does not name"),
    ):
        answer = door.apply("dedupe", **parameters)
        assert not answer.ok and words in answer.message, answer
    unchanged(host, before)
    applied = door.apply("dedupe", **remedy["parameters"])
    assert applied.ok and applied.changed, applied
    assert sorted(minions(host)) == sorted(second)
    assert not [finding for finding in of_rule(check(host), "PH-ORP-001") if finding["subject"]["id"].startswith("salt-minion")]
    before = everything(host)
    assert not door.apply("dedupe", **remedy["parameters"]).changed
    unchanged(host, before)


def test_programs_that_were_replaced(door: Door) -> None:
    host = door.host
    host.run(["cp", "/bin/sleep", "/usr/local/bin/worker"])
    host.write("/etc/systemd/system/worker.service", "[Service]\nExecStart=/usr/local/bin/worker 1000000\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "worker.service"])
    assert not door.apply("restart", unit="worker.service").changed, "no finding asks for it"
    host.run(["sh", "-c", "cp /bin/sleep /usr/local/bin/worker.new && mv /usr/local/bin/worker.new /usr/local/bin/worker"])
    host.run(["sh", "-c", "cp /usr/bin/dbus-daemon /usr/bin/dbus-daemon.new && mv /usr/bin/dbus-daemon.new /usr/bin/dbus-daemon"])
    host.run(["sh", "-c", "cp -p /lib/systemd/systemd-logind /lib/systemd/logind.new && mv /lib/systemd/logind.new /lib/systemd/systemd-logind"])
    bus, logind, worker = (host.pid_of(name) for name in ("dbus", "systemd-logind", "worker"))
    assert bad(door, "PH-DEL-004")
    before = everything(host)
    refused = door.apply("restart", units=["worker.service", "systemd-logind.service"], restart_protected=True)
    assert not refused.ok and "schedule a reboot" in refused.message, refused
    refused = door.apply("restart", unit="dbus.service", restart_protected=True)
    assert not refused.ok and "schedule a reboot" in refused.message, refused
    unchanged(host, before)
    assert "worker" in str(bad(door, *RESTARTED))
    looked = door.look("restart", unit="worker.service")
    assert looked.ok and list(looked.differences) == ["processes of worker.service"], looked
    unchanged(host, before)
    applied = door.apply("restart", unit="worker.service")
    assert applied.ok and applied.differences == looked.differences and "worker" not in str(bad(door, *RESTARTED)), applied
    before = everything(host)
    again = door.apply("restart", unit="worker.service")
    assert again.ok and not again.changed, again
    unchanged(host, before)
    assert (host.pid_of("dbus"), host.pid_of("systemd-logind")) == (bus, logind) and host.pid_of("worker") != worker
    host.write("/etc/systemd/system/worker.service.d/x.conf", "[Service]\nTasksMax=77\n")
    looked = door.look("restart", how="daemon-reload")
    assert looked.ok and looked.changed and bad(door, "PH-SYS-003"), looked
    reloaded = door.apply("restart", how="daemon-reload")
    assert reloaded.ok and reloaded.changed and bad(door, "PH-SYS-003") == [], reloaded
    assert not door.apply("restart", how="daemon-reload").changed
