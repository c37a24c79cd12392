"""Reboots on a schedule, as facts for the fleet."""

import pytest
from pidhygiene.audit import audit
from pidhygiene.reboots import delay_of
from simulated import SimulatedHost


@pytest.mark.parametrize("command, minutes", [
    ("reboot", 0), ("/sbin/reboot", 0), ("/usr/sbin/reboot >/dev/null 2>&1", 0), ("sudo reboot", 0), ("systemctl reboot", 0), ("/usr/bin/systemctl --no-wall reboot", 0),
    ("init 6", 0), ("/sbin/telinit 6", 0), ("reboot -f", 0), ("sleep 5; reboot", 0), ("test -e /run/reboot-required && /sbin/shutdown -r now", 0),
    ("[ -f /run/reboot-required ] && { reboot; }", 0), ("if x; then reboot; fi", 0), ("sudo -n shutdown -r +5 'patch day'", 5), ("shutdown -r", 1), ("shutdown --reboot 10", 10),
    ("shutdown -fr now", 0), ("nice -n 10 reboot", None),
    ("shutdown -r 03:00", None), ("shutdown -h now", None), ("shutdown -c", None), ("poweroff", None), ("echo reboot", None), ("logger please reboot", None),
    ("rm /run/reboot-required", None), ("/usr/local/bin/reboot-report", None), ("grep -q init 6", None), ("systemctl restart reboot-guard", None),
    ("systemctl reboot.target", None), ("backup --no-reboot", None), ("", None),
])
def test_what_reboots_and_when(command, minutes):
    assert delay_of(command) == minutes


def facts(host):
    return audit(host)["facts"]["reboots"]


def with_cron(text):
    return SimulatedHost().process(90, 1, "cron", exe="/usr/sbin/cron").file("/usr/sbin/cron", "x").file("/etc/crontab", text)


def test_lines_of_cron():
    assert facts(with_cron("0 4 * * 0 root /sbin/shutdown -r +2\n@reboot root reboot\n5 5 * * * root echo reboot\n")) == [
        {"when": "0 4 * * 0", "randomized": "", "delay_min": 2, "source": "/etc/crontab:1"}]


def upgrading(state):
    host = SimulatedHost().file("/usr/bin/unattended-upgrade", "x").file(
        "/etc/apt/apt.conf.d/50u", 'Unattended-Upgrade::Automatic-Reboot "true"; Unattended-Upgrade::Automatic-Reboot-Time "02:00"; APT::Periodic::Unattended-Upgrade "1";')
    host.unit("apt-daily-upgrade.timer", ActiveState=state, FragmentPath="/lib/systemd/system/apt-daily-upgrade.timer")
    return host.file("/lib/systemd/system/apt-daily-upgrade.timer", "[Timer]\nOnCalendar=*-*-* 6:00\nRandomizedDelaySec=60m\n")


def test_unattended_upgrades():
    assert facts(upgrading("active")) == [{"when": "OnCalendar=*-*-* 02:00", "randomized": "", "delay_min": 0, "source": "/etc/apt/apt.conf.d/50u"}]


def test_not_where_its_timer_rests():
    assert facts(upgrading("inactive")) == []


def test_timers():
    host = SimulatedHost().unit("weekly.timer", ActiveState="active", FragmentPath="/etc/systemd/system/weekly.timer")
    host.file("/etc/systemd/system/weekly.timer", "[Timer]\nOnCalendar=Sun 03:00\nRandomizedDelaySec=10s\n").unit("weekly.service", FragmentPath="/etc/systemd/system/weekly.service")
    host.file("/etc/systemd/system/weekly.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/systemctl reboot\n")
    assert facts(host) == [{"when": "OnCalendar=Sun 03:00", "randomized": "10s", "delay_min": 0, "source": "/etc/systemd/system/weekly.timer"}]
