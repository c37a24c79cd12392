"""A change of how people log in is taken back by the host itself, unless a new login works."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pidhygiene.remedies import plan

from .doors import ADAPTERS, SALT_CALL, SALT_CONFIG, Door
from .test_plan import playbook

LIMITS = "/etc/security/limits.d/zz-pidhygiene.conf"
DROP_IN = "/etc/systemd/system/ssh.service.d/zz-pidhygiene.conf"
AT_BOOT = "/etc/systemd/system/pidhygiene-revert-at-boot.service"
LEFT = "find /etc /run -xdev -name 'pidhygiene-revert*' -o -name '*.pidhygiene-old'"
FOR_ROOT = {"remedy": "pam_limits_line", "parameters": {"domain": "root", "type": "-", "item": "core", "value": "4711"}, "disruptive": False, "because": []}
OF_SSHD = {"remedy": "unit_limits", "parameters": {"unit": "ssh.service", "limits": {"core": "0"}, "restart_protected": True}, "disruptive": True, "because": []}


def written(door: Door, place: Path, *steps: dict[str, Any]) -> str:
    """A plan of these steps, as if an audit had asked for them."""
    host = door.host
    boot = host.read("/proc/sys/kernel/random/boot_id").strip()
    document = plan.make([], time.time())
    document["hosts"] = {host.name: {"boot_id": boot, "audited": document["created"], "evidence": plan.evidence(steps), "quorum": [], "steps": list(steps), "left": []}}
    (place / "plan.yml").write_text(json.dumps(document))
    return f"plan={place}/plan.yml"


def there(door: Door, path: str) -> bool:
    return door.host.run(["test", "-e", path], check=False).returncode == 0


def wait_until_gone(door: Door, path: str) -> None:
    deadline = time.monotonic() + 120
    while there(door, path) or there(door, "/run/pidhygiene-revert.json"):
        assert time.monotonic() < deadline, door.host.shell("systemctl list-timers --all; journalctl -n 20")
        time.sleep(0.2)


def test_it_stays_when_a_new_login_works_and_goes_when_none_does(door: Door, tmp_path: Path) -> None:
    host = door.host
    if door.name == "salt":  # a minion is no login: whoever has tried one says so
        written(door, tmp_path, FOR_ROOT)
        document = json.loads((tmp_path / "plan.yml").read_text())
        armed = door.apply("plan_applied", plan=document, host=host.name, revert_after=3)
        assert armed.ok and "call pidhygiene.login_confirmed" in armed.message and "root - core 4711" in str(armed.differences), armed
        wait_until_gone(door, LIMITS)
        armed = door.apply("plan_applied", plan=document, host=host.name, revert_after=600)
        assert armed.ok and armed.changed and there(door, LIMITS) and there(door, AT_BOOT), armed
        host.reboot()  # the timer is gone, and the boot has taken it back
        assert not there(door, LIMITS) and host.shell(LEFT) == "" and host.failed_units() == []
        written(door, tmp_path, FOR_ROOT)
        document = json.loads((tmp_path / "plan.yml").read_text())
        again = door.apply("plan_applied", plan=document, host=host.name, revert_after=600)
        assert again.ok and again.changed, again
        host.ssh("true")
        said = host.run(["python3", "-c", SALT_CALL, "--local", "-c", SALT_CONFIG, "-m", ADAPTERS, "--out", "json", "pidhygiene.login_confirmed"], timeout=300).stdout
        assert json.loads(said[said.index("{"):])["local"] == [LIMITS]
        assert "root - core 4711" in host.read(LIMITS) and not there(door, "/run/pidhygiene-revert.json") and host.shell(LEFT) == ""
        return
    kept = playbook(tmp_path, host, "remediate.yml", "-e", written(door, tmp_path, FOR_ROOT))
    assert kept.returncode == 0 and "changed=1" in kept.stdout, kept.stdout + kept.stderr
    assert "root - core 4711" in host.read(LIMITS) and not there(door, "/run/pidhygiene-revert.json")
    assert host.run(["systemctl", "show", "-P", "ActiveState", "pidhygiene-revert.timer"]).stdout == "inactive\n"
    assert host.ssh("sh", "-c", "ulimit -c").stdout.strip() in ("4711", "9422")  # blocks of 512 or 1024 bytes

    # With the restart of sshd another mistake comes into force, and nobody gets in any more.
    host.write("/etc/ssh/sshd_config.d/oops.conf", "AllowUsers nobody\n")
    lost = playbook(tmp_path, host, "remediate.yml", "-e", written(door, tmp_path, OF_SSHD), "-e", "pidhygiene_revert_after=10")
    assert lost.returncode != 0 and "No new login works after the change" in lost.stdout, lost.stdout + lost.stderr
    wait_until_gone(door, DROP_IN)
    assert host.shell("systemctl show -P LimitCORE ssh; systemctl is-active ssh") == "infinity\nactive" and host.failed_units() == []
    assert "root - core 4711" in host.read(LIMITS), "what was confirmed before stays"
    assert host.shell(LEFT) == ""
