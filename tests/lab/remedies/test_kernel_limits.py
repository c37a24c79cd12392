"""kernel_limits: a host whose process numbers run out gets more of them, now and after a reboot; and what is refused.

kernel.pid_max is a lab host's own; every other setting is the machine's and read-only there, as in a container.
"""

from __future__ import annotations

from ..auditing import check, of_rule, only
from ..host import LabHost
from .doors import Door, everything, answers, unchanged

OLD = "/etc/sysctl.d/90-hardening.conf"
FILE = "/etc/sysctl.d/zz-pidhygiene.conf"
PID_MAX = "/proc/sys/kernel/pid_max"
ENOUGH = {"kernel.pid_max": 4194304}


def deviating(door: Door, rule: str) -> list[str]:
    return [each["message"] for each in of_rule(check(door.host), rule) if each["status"] in ("info", "warn", "fail")]


def test_process_numbers_do_not_run_out_any_more(door: Door) -> None:
    host = door.host
    host.write(OLD, "kernel.pid_max = 32768\n")
    host.run(["systemctl", "restart", "systemd-sysctl"])
    assert only(check(host), "PH-PID-003", "info")["remedy"] == {"state": "kernel_limits", "parameters": {"values": ENOUGH}, "disruptive": False}
    host.run(["systemd-run", "--unit=crowd", "bash", "-c", "for i in {1..70}; do sleep 1000000 & done; wait"])
    host.shell("until [ $(pgrep -c sleep) -ge 70 ]; do sleep 0.05; done")
    host.shell(f"echo 430 > {PID_MAX}")  # 130 that can be used, of which some 80 are
    remedy = only(check(host), "PH-PID-002", "warn")["remedy"]
    assert remedy["state"] == "kernel_limits" and remedy["parameters"] == {"values": ENOUGH}

    before = everything(host)
    looked = door.look("kernel_limits", **remedy["parameters"])
    assert looked.ok and looked.changed and "kernel.pid_max = 4194304" in looked.differences[FILE][1], looked
    assert [each.strip() for each in looked.differences["kernel.pid_max now"]] == ["430", "4194304"]
    unchanged(host, before)
    assert host.read(PID_MAX) == "430\n"

    applied = door.apply("kernel_limits", **remedy["parameters"])
    assert applied.ok and applied.changed and applied.differences == looked.differences, applied
    assert "daemon-reload" in applied.message
    assert host.read(PID_MAX) == "4194304\n"
    assert deviating(door, "PH-PID-002") == deviating(door, "PH-PID-003") == []

    before = everything(host)
    again = door.apply("kernel_limits", **remedy["parameters"])
    assert again.ok and not again.changed and not again.differences and "daemon-reload" not in again.message, again
    unchanged(host, before)

    host.reboot()
    assert host.read(PID_MAX) == "4194304\n"
    assert deviating(door, "PH-PID-003") == []

    gone = door.apply("kernel_limits", state="absent")
    assert gone.ok and gone.changed, gone
    assert host.run(["test", "-e", FILE], check=False).returncode and host.read(PID_MAX) == "32768\n"  # what the other file says
    assert not door.apply("kernel_limits", state="absent").changed


def test_what_does_harm_is_refused_and_changes_nothing(engine_host: LabHost) -> None:
    host = engine_host
    host.write("/etc/sysctl.d/zzz-ours.conf", "kernel.pid_max = 99999\n")
    before = everything(host)
    cases = (
        ({"kernel.pid_max": 65536}, "/etc/sysctl.d/zzz-ours.conf sets kernel.pid_max to 99999"),
        ({"kernel.pid_max": 4194305}, "out of bounds"),
        ({"kernel.pid_max": "64k"}, "whole number"),
        ({"kernel.pid_max": "1\nkernel.panic = 1"}, "whole number"),
        ({"kernel.panic": 1}, "known are"),
        ({"../fs/nr_open": 1048576}, "known are"),
        ({"vm.max_map_count": 262144}, "set it on the host"),
        (None, "nothing to set"),
    )
    for (values, words), message in zip(cases, answers(host, "kernel_limits", [{"values": values} for values, _words in cases]), strict=True):
        assert words in message, (values, message)
    unchanged(host, before)
    host.run(["rm", "/etc/sysctl.d/zzz-ours.conf"])
    before = everything(host)
    (low,) = answers(host, "kernel_limits", [{"values": {"kernel.pid_max": 305}}])
    assert "leaves too little" in low
    unchanged(host, before)
    assert host.read(PID_MAX) == "4194304\n"
