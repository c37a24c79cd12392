"""reboot: scheduled for a message bus that was replaced, seen, cancelled, held off, somebody else's, and one that really comes."""

from __future__ import annotations

import time

from ..auditing import check, of_rule, only
from ..host import LabHost
from .doors import Door, answers, everything, unchanged

SCHEDULED = "/run/systemd/shutdown/scheduled"
REPLACE = "cp -p /usr/bin/dbus-daemon /usr/bin/dbus-daemon.new && mv /usr/bin/dbus-daemon.new /usr/bin/dbus-daemon"


def scheduled(host: LabHost) -> str:
    return host.shell(f"cat {SCHEDULED} 2>/dev/null || true")


def test_a_reboot_for_a_replaced_bus(door: Door) -> None:
    host = door.host
    host.shell(REPLACE)
    remedy = only(check(host), "PH-DEL-004", "warn")["remedy"]
    assert (remedy["state"], remedy["parameters"], remedy["disruptive"]) == ("reboot", {}, True)
    before = everything(host)
    looked = door.look("reboot", when="+30")
    assert looked.ok and looked.differences["scheduled shutdown"][0] == "none" and "unit dbus.service" in looked.message, looked
    unchanged(host, before)
    applied = door.apply("reboot", when="+30", wall_message="for the bus")
    assert applied.ok and applied.changed, applied
    assert "MODE=reboot\n" in scheduled(host) and "WALL_MESSAGE=for" in scheduled(host)
    before = everything(host)
    again = door.apply("reboot", when="+30")
    assert again.ok and not again.changed, again
    unchanged(host, before)
    cancelled = door.apply("reboot", state="absent")
    assert cancelled.ok and cancelled.changed and scheduled(host) == "", cancelled
    init = host.init_pid
    for lead in (8, 40, 150):  # a busy machine may be too late for the first
        done = door.apply("reboot", when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lead)))
        if "is past" not in done.message:
            break
    assert done.ok and done.changed, done
    host.wait_until_rebooted(init)
    assert not of_rule(check(host), "PH-DEL-004") and scheduled(host) == ""
    assert host.run(["test", "-e", "/run/pidhygiene-reboot.json"], check=False).returncode == 1


def test_what_is_refused(engine_host: LabHost) -> None:
    host = engine_host
    host.shell("shutdown -r +60 2>/dev/null")
    foreign = scheduled(host)
    said = answers(host, "reboot", [{"when": "+30"}, {"state": "absent"}, {}, {"when": "soon"}, {"when": "+5", "wall_message": "a\nb"}])
    assert "somebody else" in said[0] and said[1].startswith("done: Report(changed=False") and "it stays" in said[1], said
    assert all(text.startswith("Refused") for text in said[2:]) and scheduled(host) == foreign, said
    host.shell("shutdown -c 2>/dev/null")
    (unasked,) = answers(host, "reboot", [{"when": "+30"}])
    assert "no finding asks for a reboot" in unasked and scheduled(host) == "", unasked
    host.shell(REPLACE)
    host.run(["systemd-run", "--unit=holds", "systemd-inhibit", "--what=shutdown:sleep", "--who=backup", "--why=a dump", "--mode=block", "sleep", "1000"])
    host.shell("until systemd-inhibit --list | grep -q backup; do sleep 0.1; done")
    (held,) = answers(host, "reboot", [{"when": "+30"}])
    assert held.startswith("Refused") and "backup (a dump)" in held and scheduled(host) == "", held
    host.run(["systemctl", "stop", "holds"])
