"""pam_limits_entry: sshd's own line was lost, the tool puts one into the common stack; a stack that then lets nobody in comes back."""

from __future__ import annotations

import subprocess

import pytest

from ..auditing import check, install, of_rule
from .doors import Door, answers, everything, unchanged

LINE = "/etc/security/limits.d/app.conf"
LOSE = "sed -i '/pam_limits/d' /etc/pam.d/sshd"
FILES = "md5sum /etc/pam.d/common-* /var/lib/pam/* 2>/dev/null; ls /usr/share/pam-configs"


def broken(host) -> None:
    host.write(LINE, "app soft nofile 777\n")
    host.run(["useradd", "--create-home", "--shell", "/bin/sh", "app"])
    host.shell("install -d -o app -m 700 /home/app/.ssh && install -o app -m 600 /root/.ssh/authorized_keys /home/app/.ssh/authorized_keys")
    host.shell(LOSE)


def limit(host) -> str:
    done = subprocess.run(host.ssh_command("sh", "-c", "ulimit -Sn", user="app"), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def test_logins_get_their_limits_again(door: Door) -> None:
    host = door.host
    broken(host)
    assert limit(host) != "777"
    remedy = next(each for each in of_rule(check(host), "PH-LIM-009") if each["subject"]["id"] == "/etc/pam.d/sshd")["remedy"]
    assert (remedy["state"], remedy["parameters"]) == ("pam_limits_entry", {"service": "sshd"})
    before, files = everything(host), host.shell(FILES)
    assert door.look("pam_limits_entry", other_way_in=True, **remedy["parameters"]).changed
    if door.name == "ansible":  # it comes by a login
        refused = door.apply("pam_limits_entry", **remedy["parameters"])
        assert not refused.ok and "no second way in" in refused.message, refused
    unchanged(host, before)
    applied = door.apply("pam_limits_entry", other_way_in=True, **remedy["parameters"])
    assert applied.ok and applied.changed and limit(host) == "777", applied
    assert "/etc/pam.d/sshd" not in str(of_rule(check(host), "PH-LIM-009"))
    before = everything(host)
    again = door.apply("pam_limits_entry", other_way_in=True, **remedy["parameters"])
    assert again.ok and not again.changed, again
    unchanged(host, before)
    host.reboot()
    assert "/etc/pam.d/sshd" not in str(of_rule(check(host), "PH-LIM-009")) and limit(host) == "777"
    assert door.apply("pam_limits_entry", other_way_in=True, state="absent", **remedy["parameters"]).changed
    assert host.shell(FILES) == files and limit(host) != "777"


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_nobody_is_locked_out(new_host, suite: str) -> None:
    host = new_host(suite)
    install(host)
    broken(host)
    files = host.shell(FILES)
    host.write("/etc/security/limits.d/x.conf", "app hard nproc 0\n")  # with pam_limits, nobody gets a shell as this user
    (lost,) = answers(host, "pam_limits_entry", [{"service": "sshd"}])
    assert lost == "Failed: a session of sshd for app can no longer be opened with it; the old state is back", lost
    assert host.shell(FILES) == files and limit(host), "the user still gets in"
    host.run(["rm", "/etc/security/limits.d/x.conf"])
    if suite != "bookworm":  # which has been told above, through the doors
        done = answers(host, "pam_limits_entry", [{"service": "sshd"}])
        assert done[0].startswith("done: Report(changed=True") and limit(host) == "777", done
        done = answers(host, "pam_limits_entry", [{"service": "sshd", "state": "absent"}])
        assert done[0].startswith("done: Report(changed=True") and limit(host) != "777" and host.shell(FILES) == files, done
    host.shell("sed -i '1i # by hand' /etc/pam.d/su && sed -i '/pam_limits/d; /common-session/d' /etc/pam.d/su")
    said = answers(host, "pam_limits_entry", [{"service": "su"}, {"service": "no-such"}, {"service": "sshd\n"}])
    assert all(each.startswith("Refused") for each in said) and 'add "session required pam_limits.so" to it' in said[0], said
