"""What a snapshot must not hold: environments of unit files, credentials on their command lines."""

import pytest
from pidhygiene.readers import automatic_reboot, unit_syntax
from pidhygiene.snapshot import without_secrets

UNIT = "/etc/systemd/system/a.service"


@pytest.mark.parametrize("line, kept", [
    (b"Environment=PASSWORD=hunter2", b"Environment="), (b'Environment="A=hunter2 x" TZ=UTC', b"Environment=TZ=UTC"),
    (b" Environment = A=hunter2 \\\n  B=hunter2\\\n", b" Environment =\n\n"), (b"SetCredential=x:hunter2", b"SetCredential="),
    (b"ExecStart=/bin/a --password hunter2", b"ExecStart=/bin/a --password ***"), (b"LimitNOFILE=5", b"LimitNOFILE=5"), (b"User=auth", b"User=auth"),
])
def test_unit_files(line, kept):
    text = b"[Service]\n" + line + b"\nLimitNPROC=7\n"
    found = without_secrets(UNIT, text)
    assert found == b"[Service]\n" + kept + b"\nLimitNPROC=7\n" and b"hunter2" not in found
    before, after = (unit_syntax.parse(data.decode(), ("Service",)) for data in (text, found))
    assert before.assignments[-1] == after.assignments[-1]  # line numbers stay


def test_a_key_without_value_does_not_swallow_the_next_line():
    text = b"[Service]\nPassword=\n[Unit]\n"
    assert without_secrets(UNIT, text) == text


def test_other_files_are_left_alone():
    assert without_secrets("/etc/motd", b"Environment=PASSWORD=hunter2\n") == b"Environment=PASSWORD=hunter2\n"


def test_crontabs_and_shell_settings():
    assert without_secrets("/etc/cron.d/x", b"0 9 * * * root x --password hunter2\nTZ=UTC\n") == b"0 9 * * * root x --password ***\nTZ=UTC\n"
    text = b"KEY=hunter2\nexport TZ=UTC\n  ulimit -n 5\nTZDATA=hunter2\n"
    for path in ("/etc/default/app", "/etc/sysconfig/app", "/etc/environment", "/etc/profile.d/a.sh", "/etc/profile"):
        assert without_secrets(path, text) == b"\nexport TZ=UTC\n  ulimit -n 5\n\n"
    assert without_secrets("/etc/sysconfig/clock", b"ZONE=Asia/Shanghai\n") == b"ZONE=Asia/Shanghai\n"


def test_supervisord_configuration():
    text = b"[unix_http_server]\npassword=hunter2\n[program:a]\ncommand=a --password hunter2\nenvironment=A=hunter2\nkillasgroup=true\n[include]\nfiles = conf.d/*.conf\n"
    found = without_secrets("/etc/supervisor/supervisord.conf", text)
    assert found == b"[unix_http_server]\n\n[program:a]\n\n\nkillasgroup=true\n[include]\nfiles = conf.d/*.conf\n"


@pytest.mark.parametrize("path", ["/sys/fs/cgroup/pids/system.slice/supervisor.service/pids.max", "/run/supervisord.pid", "/var/run/supervisor/web.pid"])
def test_what_is_called_after_supervisord_is_not_its_configuration(path):
    """A snapshot of a host with a supervisord could not tell the limit of its unit."""
    assert without_secrets(path, b"28965\n") == b"28965\n"


@pytest.mark.parametrize("line, kept", [
    (b"a:$6$salt$hunter2:20000:0:90:7:5:30000:", b"a:*:20000:0:90:7:5:30000:"), (b"a:!$6$hunter2:20000::::::", b"a:*:20000::::::"),
    (b"a::20000:0:99999:7:::", b"a::20000:0:99999:7:::"), (b"$6$hunter2", b"$6$hunter2"[:0] + b"*"), (b"", b""),
])
def test_no_password_of_an_account_is_recorded(line, kept):
    text = b"root:*:1:0:99999:7:::\n" + line + b"\n"
    assert without_secrets("/etc/shadow", text) == b"root:*:1:0:99999:7:::\n" + kept + b"\n"


def test_passwd_says_only_where_the_password_is():
    text = b"a:x:1:1::/:/bin/sh\nb:$1$hunter2:2:2::/:/bin/sh\nc::3:3::/:/bin/sh\nd:hunter2des:4:4::/:/bin/sh\n"
    assert without_secrets("/etc/passwd", text) == b"a:x:1:1::/:/bin/sh\nb:*:2:2::/:/bin/sh\nc::3:3::/:/bin/sh\nd:*:4:4::/:/bin/sh\n"


def test_of_apt_only_what_tells_when_it_reboots_is_recorded():
    text = b'Acquire::http::Proxy "http://me:hunter2@proxy/"; Unattended-Upgrade { Automatic-Reboot "true"; Mail "hunter2"; Automatic-Reboot-Time "02:00"; };\n'
    found = without_secrets("/etc/apt/apt.conf.d/50unattended-upgrades", text)
    assert dict(automatic_reboot.parse(found.decode())) == {automatic_reboot.REBOOTS: "true", automatic_reboot.AT: "02:00"} and b"hunter2" not in found
