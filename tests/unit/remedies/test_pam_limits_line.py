"""pam_limits_line without a login: the text and its editing, who gets what by which pam, and what is refused."""

import pytest
from overlaid import Overlaid
from pidhygiene.readers import limits_conf
from pidhygiene.readers.limits_conf import Flavour
from pidhygiene.remedies import apply, limits_text, pam_limits_line
from pidhygiene.remedies.limits_text import ADDED, HEADER, INSTEAD_OF, TAKEN_OUT, Wanted, has, put, replaced, taken_out, without
from pidhygiene.remedies.model import Refused
from pidhygiene.remedies.pam_limits_line import REMEDY

OLD, NEW = Flavour((1, 5, 2), True, True), Flavour((1, 7), True, False)
LINE = Wanted("oracle", "-", "nofile", "300")
STATUS = "Package: libpam-modules\nStatus: install ok installed\nVersion: %s\n"
RHEL9 = 'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'
PASSWD = "root:x:0:0::/root:/bin/bash\noracle:x:500:500::/:/bin/bash\nother:x:501:501::/:/bin/bash\nbin:x:1:1::/:/usr/sbin/nologin\n"
CAPABLE = 1 << 24  # CAP_SYS_RESOURCE


# -- the text --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", [OLD, NEW])
@pytest.mark.parametrize("before, after", [
    (None, HEADER + "oracle - nofile 300\n"),
    ("", "oracle - nofile 300\n"),
    ("oracle\t-  NoFile 100 # db\nx - core 0\n", "oracle - nofile 300\nx - core 0\n"),
    ("oracle - nofile 1\noracle - nofile 2\n", "oracle - nofile 1\noracle - nofile 300\n"),
    ("oracle soft nofile 1\nORACLE - nofile 2\n", "oracle soft nofile 1\nORACLE - nofile 2\noracle - nofile 300\n"),
    ("oracle  -  nofile   300", "oracle  -  nofile   300"),  # is there: not one byte changes
])
def test_put_into_our_own_file(flavour, before, after):
    assert put(before, LINE, flavour, True) == after
    assert put(after, LINE, flavour, True) == after


@pytest.mark.parametrize("before, after", [
    (None, "%s\noracle - nofile 300\n" % ADDED),
    ("# ours\n", "# ours\n%s\noracle - nofile 300\n" % ADDED),
    ("oracle\t-  NoFile 100 # db\nx - core 0\n", "%soracle\t-  NoFile 100 # db\noracle - nofile 300\nx - core 0\n" % INSTEAD_OF),
])
def test_put_into_a_file_of_others_and_taken_back(before, after):
    assert put(before, LINE, NEW, False) == after
    other = LINE._replace(value="400")
    again = put(after, other, NEW, False)
    assert again == after.replace("300", "400")  # what was before stays what it was
    assert without(again, LINE.key, NEW, False) == (before or "")
    assert without(before, LINE.key, NEW, False) == before  # a line of others is none of ours


def test_a_replaced_line_comes_back_as_it_was():
    before = "a - core 0\noracle\t- nofile 12k  # why\nb - core 0\noracle - nofile 12k\n"
    after = replaced(before, "oracle - nofile 12k", LINE, NEW)
    assert after == "a - core 0\n%soracle\t- nofile 12k  # why\noracle - nofile 300\nb - core 0\n%soracle - nofile 12k\n" % (INSTEAD_OF, TAKEN_OUT)
    assert has(after, LINE.text, NEW) and not has(after, "oracle - nofile 12k", NEW)
    back = before.replace("b - core 0\noracle", "b - core 0\n%soracle" % TAKEN_OUT)
    assert without(after, LINE.key, NEW, False) == back and without(back, LINE.key, NEW, False) == back


def test_taken_out_and_without():
    assert taken_out("oracle   -\noracle - core 0\n", "oracle -", OLD) == TAKEN_OUT + "oracle   -\noracle - core 0\n"
    assert without(put(None, LINE, OLD, True), LINE.key, OLD, True) is None
    for text in (None, "", "no newline at the end"):
        assert without(text, LINE.key, OLD, True) == taken_out(text, "oracle -", OLD) == text


def test_bytes_that_are_no_text_stay():
    before = b"# k\xe4se\r\n\xff - core 0".decode("utf-8", "surrogateescape")
    assert put(before, LINE, NEW, True).encode("utf-8", "surrogateescape") == b"# k\xe4se\r\n\xff - core 0\noracle - nofile 300\n"


# -- the remedy ------------------------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path, monkeypatch):
    folder = tmp_path / "etc/security/limits.d"
    folder.mkdir(parents=True)
    (tmp_path / "etc/security/limits.conf").write_text("# nothing\n")
    for module in (limits_conf, pam_limits_line):
        monkeypatch.setattr(module, "CONFIG", str(tmp_path / "etc/security/limits.conf"))
        monkeypatch.setattr(module, "CONFIG_FOLDER", str(folder))
    monkeypatch.setattr(pam_limits_line, "FILE", str(folder / "zz-pidhygiene.conf"))
    monkeypatch.setattr(apply, "LOCK", str(tmp_path / "lock"))
    found = Overlaid(tmp_path)
    found.file("/etc/passwd", PASSWD).file("/etc/group", "root:x:0:\noracle:x:500:\ndba:x:600:oracle,other\nempty:x:601:\n")
    found.file("/var/lib/dpkg/status", STATUS % "1.5.2-6+deb12u1")
    return found.process(1, 0, "systemd", cgroup="/init.scope", start=1e6, nofile=(1048576, 1048576), capabilities=CAPABLE)


def write(host, name, text):
    (host.folder / "etc/security" / name).write_text(text)
    return str(host.folder / "etc/security" / name)


def ours(host):
    path = host.folder / "etc/security/limits.d/zz-pidhygiene.conf"
    return path.read_text() if path.exists() else None


def line(text, **more):
    given = dict(zip(("domain", "type", "item", "value"), text.split(), strict=False))
    return dict({"file": pam_limits_line.FILE}, **dict(given, **more))


def done(host, text="", **more):
    return apply.apply(REMEDY, line(text, **more), host)


def refused(host, text="", **more):
    before = {path: path.read_bytes() for path in host.folder.rglob("*.conf")}
    with pytest.raises(Refused) as error:
        done(host, text, **more)
    assert {path: path.read_bytes() for path in host.folder.rglob("*.conf")} == before
    return str(error.value)


def test_there_and_back(host):
    assert done(host, "oracle - nofile 4096").changed and ours(host) == HEADER + "oracle - nofile 4096\n"
    assert not done(host, "oracle - nofile 4096").changed
    done(host, "@dba soft nproc 5000")
    assert done(host, "oracle - nofile 8192").changed  # the same limit: no second line
    assert ours(host) == HEADER + "oracle - nofile 8192\n@dba soft nproc 5000\n"
    done(host, "oracle - nofile", state="absent")
    done(host, "@dba soft nproc", state="absent")
    assert ours(host) is None
    assert not done(host, "@dba soft nproc", state="absent").changed and not done(host, state="absent").changed


def test_looking_writes_nothing(host):
    report = apply.look(REMEDY, line("oracle - nofile 4096"), host)
    assert report.changed and report.differences[0].after.endswith("oracle - nofile 4096\n") and ours(host) is None
    assert "the next session" in report.notes[0]


def test_a_line_of_the_administrators_is_corrected(host):
    path = write(host, "limits.d/db.conf", "oracle - nofile 2000000\n")
    assert done(host, "oracle - nofile 1048576", file=path, instead_of="oracle - nofile 2000000").changed
    assert not done(host, "oracle - nofile 1048576", file=path, instead_of="oracle - nofile 2000000").changed
    done(host, "oracle - nofile", file=path, state="absent")
    assert (host.folder / "etc/security/limits.d/db.conf").read_text() == "oracle - nofile 2000000\n"
    assert not done(host, "oracle - nofile", file=path, state="absent").changed


def test_an_exemption_is_taken_out(host):
    path = write(host, "limits.conf", "oracle -\noracle - nofile 4096\n")
    assert done(host, file=path, instead_of="oracle  -", state="absent").changed
    assert not done(host, file=path, instead_of="oracle  -", state="absent").changed
    assert (host.folder / "etc/security/limits.conf").read_text() == TAKEN_OUT + "oracle -\noracle - nofile 4096\n"


def test_an_empty_limits_conf_stays(host):
    path = write(host, "limits.conf", "")
    done(host, "oracle - nofile 4096", file=path)
    done(host, "oracle - nofile", file=path, state="absent")
    assert (host.folder / "etc/security/limits.conf").read_text() == ""


def test_a_missing_limits_conf_is_made_where_logins_need_it(host):
    path = host.folder / "etc/security/limits.conf"
    path.unlink()
    assert done(host, file=str(path)).changed and path.exists() and not done(host, file=str(path)).changed
    path.unlink()
    host.file("/var/lib/dpkg/status", STATUS % "1.7.0-5")
    assert "hide the vendor's" in refused(host, file=str(path))


@pytest.mark.parametrize("text, words", [
    ("oracle - nofile 4096", "limits.d/zzz.conf:1, \"oracle - nofile 9\", wins"),
    ("@dba - nofile 4096", ""),  # the other member gets it
    ("other soft nproc 5000", "cut to the hard limit"),
    ("nobody - nofile 4096", "speak for nobody"),
    ("500 - nofile 4096", "a uid is written :500"),
    ("@nobody - nofile 4096", "speak for nobody"),
    ("@empty - nofile 4096", ""),
    (":500 - core 5", ""),
    ("bin - core 5", ""),
])
def test_in_force_or_not(host, text, words):
    write(host, "limits.d/zzz.conf", "oracle - nofile 9\nother hard nproc 100\n")
    if words:
        assert words in refused(host, text)
    else:
        assert done(host, text).changed


def test_a_dash_line_that_would_lose_its_hard_half(host):
    write(host, "limits.d/a.conf", "oracle soft nofile 100\n")
    host.file("/etc/group", "oracle:x:500:\ndba:x:600:oracle\n")
    assert "the soft limit nofile of the next session of oracle is 100" in refused(host, "@dba - nofile 200")


def test_a_line_that_stands_there_and_loses_is_no_success(host):
    done(host, "oracle - nofile 4096")
    write(host, "limits.d/zzz.conf", "oracle - nofile 9\n")
    assert "oracle - nofile 9" in refused(host, "oracle - nofile 4096")
    with pytest.raises(Refused):
        apply.look(REMEDY, line("oracle - nofile 4096"), host)


def test_a_line_for_all_is_for_accounts_of_services_too_that_run_something(host):
    host.process(700, 1, "daemon", uid=1, threads=50, cgroup="/system.slice/d.service")
    assert "the next session of bin would have nproc 99, less than twice of the 50" in refused(host, "* - nproc 99")


def test_who_does_not_get_it_is_told(host):
    write(host, "limits.d/zzz.conf", "oracle - nofile 9\n")
    assert "1 of 2 users do not get it" in done(host, "@dba - nofile 4096").notes[0]


def test_a_user_of_a_directory_is_not_said_to_be_missing(host):
    host.file("/etc/nsswitch.conf", "passwd: files sss\n")
    assert "could not be checked" in done(host, "ldapuser - nofile 4096").notes[0]


def test_a_free_man_has_no_limits(host):
    write(host, "limits.d/a.conf", "oracle -\n")
    assert "frees oracle from all limits" in refused(host, "oracle - nofile 4096")


@pytest.mark.parametrize("text, words", [
    ("oracle hard nproc 0", "no session works with less than 8"),
    ("* hard nofile 31", "no session works with less than 32"),
    ("oracle hard as 1000", "no session works"),
    ("oracle hard nproc 99", "less than twice of the 50 that are in use now"),
    ("@dba - nproc 99", "less than twice of the 50"),
    ("oracle hard nofile 399", "less than twice of the 200"),
    ("oracle - nofile 1048577", "above fs.nr_open"),
    ("root - nproc 1000", "what root may do is not lowered"),
    ("0: - nproc 1000", "what root may do is not lowered"),
    ("oracle hard maxlogins 0", "could not log in any more"),
    ("oracle hard maxlogins 1", "is logged in 2 times"),
    ("* hard maxsyslogins 2", "3 sessions are open"),
])
def test_nobody_is_locked_out(host, text, words):
    host.process(700, 1, "db", uid=500, threads=50, files=200, cgroup="/user.slice/user-500.slice/session-1.scope")
    for number, uid in ((1, 500), (2, 500), (3, 501)):
        host.file("/run/systemd/sessions/%d" % number, "UID=%d\nSTATE=active\nCLASS=user\nREALTIME=1\n" % uid)
    assert words in refused(host, text)


@pytest.mark.parametrize("text", ["oracle hard nproc 100", "oracle hard nofile 400", "oracle hard maxlogins 2", "root - nofile 1048576", "* - nproc 1000"])
def test_what_leaves_enough_is_done(host, text):
    host.process(700, 1, "db", uid=500, threads=50, files=200, cgroup="/user.slice/user-500.slice/session-1.scope")
    for number in (1, 2):
        host.file("/run/systemd/sessions/%d" % number, "UID=500\nSTATE=active\nCLASS=user\nREALTIME=1\n")
    assert done(host, text).changed


def test_going_back_is_refused_where_it_takes_what_is_used(host):
    host.process(1, 0, "systemd", cgroup="/init.scope", start=1e6, nproc=(1000, 1000), capabilities=CAPABLE)
    done(host, "oracle - nproc 5000")
    host.process(700, 1, "db", uid=500, threads=600, cgroup="/user.slice/user-500.slice/session-1.scope")
    assert "less than twice of the 600" in refused(host, "oracle - nproc", state="absent")
    assert "less than twice of the 600" in refused(host, state="absent")


def test_elsewhere_a_star_speaks_for_root(host):
    host.remove("/var/lib/dpkg/status").file("/etc/os-release", RHEL9)
    assert "what root may do is not lowered" in refused(host, "* - nproc 1000")
    assert done(host, "* hard core 0").changed  # as hardening guides want it, for root too


def test_where_nobody_may_raise(host):
    host.process(1, 0, "systemd", cgroup="/init.scope", start=1e6, nofile=(1024, 4096), capabilities=1)
    assert "process 1 has a hard limit of 4096" in refused(host, "oracle hard nofile 4097")
    assert done(host, "oracle hard nofile 4096").changed


@pytest.mark.parametrize("text, more, words", [
    ("oracle - nofile 12k", {}, "whole number"),
    ("oracle - nofile 0x40", {}, "whole number"),
    ("oracle - nofile -5", {}, "whole number"),
    ("oracle - nofile -1", {}, "whole number"),
    ("oracle - maxlogins unlimited", {}, "whole number"),
    ("oracle - nice 21", {}, "-20 to 19"),
    ("oracle - nonewprivs yes", {}, "0 or 1"),
    ("oracle - rttime 5", {}, "has no limit rttime"),
    ("oracle - chroot /tmp", {}, "has no limit chroot"),
    ("5:x - nproc 500", {}, "no valid range"),
    ("oracle - nproc", {}, "value missing"),
    ("", {"domain": "or acle", "type": "-", "item": "nproc", "value": "100"}, "one word"),
    ("", {"domain": "oracle#", "type": "-", "item": "nproc", "value": "100"}, "one word"),
    ("", {"domain": "", "type": "-", "item": "nproc", "value": "100"}, "one word"),
    ("", {"domain": "x\n*", "type": "-", "item": "nproc", "value": "100"}, "control character"),
    ("x" * 1100 + " - nproc 100", {}, "would not read"),
    ("oracle - nproc 100", {"file": "/etc/shadow"}, "not read by pam_limits"),
    ("oracle - nproc 100", {"instead_of": "x - core 0\ny"}, "control character"),
    ("oracle - nproc 100", {"instead_of": "x - core 0"}, "has no line"),
    ("", {"instead_of": "x - core 0"}, "needs the new line"),
    ("", {}, "nothing to set"),
])
def test_nonsense_is_refused(host, text, more, words):
    assert words in refused(host, text, **more)


def test_what_cannot_be_read_is_not_guessed(host):
    host.remove("/var/lib/dpkg/status").file("/etc/os-release", "ID=unheard-of\n")
    assert "could not be found out" in refused(host, "oracle - nproc 100")
    host.file("/var/lib/dpkg/status", STATUS % "1.7.0-5")
    path = write(host, "limits.d/a.conf", "x\n")
    host.forbid(path)
    assert done(host, "oracle - core 0").changed  # the folder is real, and readable


def test_every_key_of_the_text_module_is_a_comment_to_pam():
    for mark in (ADDED, HEADER, INSTEAD_OF, TAKEN_OUT):
        assert limits_text.parsed(mark.rstrip("\n") + "oracle - nproc 0", OLD) is None
