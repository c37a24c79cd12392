"""Which cron runs, and which of its files it takes."""

import pytest
from pidhygiene.evidence import gather
from pidhygiene.readers import cron
from simulated import SimulatedHost
from zone_files import with_cron, zoned

JOB = "0 9 * * * root /opt/report\n"


def read(host):
    evidence = gather(host, ["cron"])
    assert evidence.broken == []
    return evidence.cron


def paths(found):
    return [table.path for table, _job in found.jobs()]


def test_debian():
    found = read(with_cron(zoned()))
    assert (found.implementation, found.version, found.debian_revision) == ("debian", "3.0pl1-162", 162)
    assert [daemon.process.pid for daemon in found.daemons] == [600] and found.gaps == ()


def test_children_that_run_jobs_are_no_daemons():
    host = with_cron(zoned()).process(601, 600, "cron").process(602, 601, "cron")
    host.process(700, 1, "crond", ns_pids=(700, 12))  # of a container
    assert [daemon.process.pid for daemon in read(host).daemons] == [600]


def test_cronie_tells_its_version_itself():
    found = read(with_cron(zoned(), "1.5.2"))
    assert (found.implementation, found.version, found.debian_revision) == ("cronie", "1.5.2", None)


@pytest.mark.parametrize("content, exe, expected", [
    (b"CRON ORPHAN", "/usr/sbin/crond", "vixie"), (b"x", "/bin/busybox", "busybox"), (b"x", "/usr/sbin/crond", "other"), (b"x", "/usr/sbin/fcron", "fcron"),
])
def test_other_daemons(content, exe, expected):
    host = zoned().process(600, 1, "crond", exe=exe).file(exe, content)
    assert read(host).implementation == expected


def test_installed_but_not_running():
    host = zoned().file("/var/lib/dpkg/status", "Package: cron\nStatus: install ok installed\nVersion: 3.0pl1-197\n\n")
    found = read(host)
    assert (found.implementation, found.version, found.daemons) == ("debian", "3.0pl1-197", ())
    assert read(zoned()).implementation == ""
    assert read(zoned().file("/usr/sbin/crond", b"cronie 1.6.1\0")).version == "1.6.1"


def test_tables_of_debian():
    host = with_cron(zoned())
    host.file("/etc/crontab", JOB).file("/etc/cron.d/good", JOB).file("/etc/cron.d/with.dot", JOB).file("/etc/cron.d/.placeholder", "")
    host.file("/etc/cron.d/writable", JOB, mode=0o666).file("/etc/cron.d/theirs", JOB, uid=500).file("/etc/cron.d/twice", JOB, nlink=2)
    host.file("/var/spool/cron/crontabs/oracle", "0 9 * * * x\n", mode=0o600, uid=500).file("/var/spool/cron/crontabs/root", "0 9 * * * x\n", mode=0o644)
    host.file("/var/spool/cron/crontabs/gone", "0 9 * * * x\n", mode=0o600).file("/var/spool/cron/crontabs/tmp.abc", "")
    found = read(host)
    assert paths(found) == ["/etc/crontab", "/etc/cron.d/good", "/var/spool/cron/crontabs/oracle"]
    reasons = {table.path.rsplit("/", 1)[1]: table.not_run for table in found.tables if table.not_run}
    assert set(reasons) == {"with.dot", "writable", "theirs", "twice", "root", "gone"}
    assert reasons["root"] == "mode 0644 instead of 0600" and reasons["gone"] == "there is no such user"


def test_unknown_user_drops_the_table():
    host = with_cron(zoned()).file("/etc/cron.d/one", JOB + "0 9 * * * nobodyhere x\n")
    assert read(host).tables[0].table.dropped == "unknown user in line 2" and paths(read(host)) == []
    host.file("/etc/nsswitch.conf", "passwd: files sss\n")
    assert len(paths(read(host))) == 2  # a directory may know him


def test_lsb_names_with_option_l():
    assert cron.name_passed_over("local.job-x", cron.DEBIAN) and not cron.name_passed_over("local.job-x", cron.DEBIAN, True)
    assert cron.name_passed_over("x-dpkg-old", cron.DEBIAN, True) and not cron.name_passed_over("plain_1", cron.DEBIAN)


@pytest.mark.parametrize("name, taken", [("a.b", True), ("a~", False), ("#a", False), ("a.rpmsave", False), (".rpmnew", False), ("a.rpmnew", False), ("x", True)])
def test_names_that_cronie_takes(name, taken):
    assert (cron.name_passed_over(name, cron.CRONIE) == "") == taken


def test_spool_of_red_hat():
    host = with_cron(zoned(), "1.5.2").file("/var/spool/cron/root", "0 9 * * * x\n", mode=0o600)
    assert paths(read(host)) == ["/var/spool/cron/root"]


def test_scripts():
    host = zoned().file("/etc/cron.daily/good", "", mode=0o755).file("/etc/cron.daily/bad.sh", "", mode=0o755).file("/etc/cron.daily/off", "")
    host.link("/etc/cron.weekly/gone", "/nowhere").file("/etc/cron.daily/.placeholder", "")
    assert {script.path: bool(script.not_run) for script in read(host).scripts} == {
        "/etc/cron.daily/good": False, "/etc/cron.daily/bad.sh": True, "/etc/cron.daily/off": True, "/etc/cron.weekly/gone": True}


@pytest.mark.parametrize("command, services", [
    ("/etc/init.d/VRTSralus.init restart", ["VRTSralus.init"]), ("systemctl restart nginx.service", ["nginx"]), ("/usr/bin/systemctl -q try-restart a@b", ["a@b"]),
    ("service mysql restart >/dev/null 2>&1; service cron restart", ["mysql", "cron"]), ("supervisorctl restart app:*", ["app:"]), ("systemctl reload nginx", []),
    ("/etc/rc.d/init.d/httpd condrestart", ["httpd"]), ("rc-service foo restart", ["foo"]), ("service foo stop", []), ("echo restart", []),
])
def test_restarts_in_a_command(command, services):
    assert cron.restarted(command) == services


def test_restarts_with_their_interval():
    host = with_cron(zoned()).file("/etc/crontab", "0 14 * * 6 root /etc/init.d/VRTSralus.init restart\n@reboot root systemctl restart x\n")
    assert [tuple(each) for each in read(host).restarts()] == [
        ("/etc/crontab:1", "VRTSralus.init", 604800.0, "0 14 * * 6 /etc/init.d/VRTSralus.init restart")]


@pytest.mark.parametrize("path", ["/etc/crontab", "/etc/cron.d", "/var/spool/cron/crontabs", "/etc/anacrontab", "/etc/cron.daily"])
def test_unreadable_is_a_gap(path):
    host = with_cron(zoned()).file(path + ("" if "crontab" in path.split("/")[-1] and "spool" not in path else "/x"), "").forbid(path)
    assert [gap.source for gap in read(host).gaps] == [path]


def test_hostile_tables():
    host = with_cron(zoned()).file("/etc/cron.d/big", b"#" * 2_000_000).file("/etc/cron.d/bytes", b"\xff\xfe * * \0\n")
    host.link("/etc/cron.d/null", "/dev/null").directory("/etc/cron.d/folder").link("/etc/cron.d/circle", "circle")
    found = read(host)
    assert [gap.reason for gap in found.gaps if gap.source.endswith("big")] == ["larger than 1048576 bytes"]
    assert paths(found) == []


def test_a_host_with_nothing():
    assert read(SimulatedHost()) == ("", "", (), (), (), ())
