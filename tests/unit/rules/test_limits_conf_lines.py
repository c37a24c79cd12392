"""PH-LIM-007 and 008 through audit(); traps D11 and D12."""

import pytest
from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import checked
from simulated import judge
from test_limits_promised import LIMITS_D, TRIXIE, pam_host

RHEL9 = 'ID=rocky\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'


def lines(text, **options):
    return pam_host(text, **options).file("/etc/group", "root:x:0:\noracle:x:500:\ndba:x:600:oracle\n")


def rhel(text):
    return lines(text).remove("/var/lib/dpkg/status").file("/etc/os-release", RHEL9)


# -- PH-LIM-007


@pytest.mark.case("PH-LIM-007", "fires")
@pytest.mark.parametrize("line, severity, what", [
    ("oracle soft nproc 0x40", "CRIT", 'is read as 0'),
    ("oracle soft nproc 12k", "HIGH", 'is read as 12:'),
    ("oracle soft nproc 0", "CRIT", "leaves oracle no process at all"),
    ("@dba - nofile 0", "CRIT", "leaves oracle no file at all"),
    ("* hard nproc 0", "CRIT", "leaves oracle no process at all"),
    ("oracle soft nproc -5", "HIGH", "a minus sign wraps around"),
    ("oracle soft nprocs 100", "HIGH", "is ignored without a word (unknown item)"),
    ("oracle both nproc 100", "HIGH", "is ignored without a word (unknown type)"),
    ("oracle soft nproc", "HIGH", "is ignored without a word (not four fields)"),
    ("oracle soft nproc many", "HIGH", "is ignored without a word (value is no number)"),
    ("5:x soft nproc 5", "HIGH", "is ignored without a word (no valid range)"),
    ("oracle - nofile 2000000", "HIGH", "nofile above fs.nr_open (1048576) is refused by the kernel, and the old limit stays"),
    ("* -", "MED", "has no effect"),
    ("oracle -x", "HIGH", "frees the domain from all limits"),
    ("500 soft nproc 5", "HIGH", "speaks for a user *named* 500, and there is none; write :500"),
    ("oracle - nonewprivs yes", "MED", "switches nonewprivs off"),
])
def test_lines_that_fail(line, severity, what):
    finding = judge(lines(line + "\n"), "PH-LIM-007").only("fail")
    assert finding["severity"] == severity and what in finding["message"] and finding["message"].startswith(LIMITS_D + ":1, ")


@pytest.mark.parametrize("line, status, instead", [
    ("oracle - nofile 2000000", "fail", {"domain": "oracle", "type": "-", "item": "nofile", "value": "1048576"}),
    ("500 soft nproc 5", "fail", {"domain": ":500", "type": "soft", "item": "nproc", "value": "5"}),
    ("@DBA soft nproc 100", "warn", {"domain": "@dba", "type": "soft", "item": "nproc", "value": "100"}),
    ("* -", "fail", {"state": "absent"}),
    ("777 soft nproc 5", "fail", None),  # nobody has that uid
    ("500 -", "fail", None),
    ("oracle soft nproc 12k", "fail", None),  # 12, or 12,288?
    ("oracle soft nprocs 100", "fail", None),
])
def test_a_correction_is_proposed_where_only_one_thing_can_be_meant(line, status, instead):
    remedy = judge(lines(line + "\n"), "PH-LIM-007").only(status)["remedy"]
    if instead is None:
        assert remedy is None
    else:
        assert remedy["parameters"] == dict({"file": LIMITS_D, "instead_of": line}, **instead)
        checked(BY_NAME["pam_limits_line"], remedy["parameters"])


def test_nofile_above_nr_open_refuses_the_session_elsewhere():
    assert judge(rhel("oracle - nofile 2000000\n"), "PH-LIM-007").only("fail")["severity"] == "CRIT"


@pytest.mark.parametrize("line, what", [
    ("Oracle soft nproc 100", "write oracle"), ("@DBA soft nproc 100", "write dba"),
    ("oracle soft nproc 100\noracle hard nproc 50", "is cut to the hard limit 50"),
])
def test_lines_that_warn(line, what):
    assert what in judge(lines(line + "\n"), "PH-LIM-007").only("warn")["message"]


def test_one_login_is_not_enforced_with_logind():
    assert judge(lines("oracle - maxlogins 1\n", pam=TRIXIE), "PH-LIM-007").only("warn")
    assert judge(lines("oracle - maxlogins 1\n"), "PH-LIM-007").status == "pass"


def test_carriage_returns():
    finding = judge(lines("oracle - nofile unlimited\r\n", pam=TRIXIE), "PH-LIM-007").only("fail")
    assert "carriage returns" in finding["message"] and "\r" not in finding["message"]
    assert judge(lines("oracle - nofile unlimited\r\n"), "PH-LIM-007").status == "pass"  # an old pam takes it for a blank


@pytest.mark.case("PH-LIM-007", "fires")
def test_a_missing_file_refuses_all_logins_before_1_5_3():
    finding = judge(lines("oracle - nproc 5\n").remove("/etc/security/limits.conf"), "PH-LIM-007").only("fail")
    assert finding["severity"] == "CRIT" and "every session of cron, login, other" not in finding["message"]
    assert "/etc/security/limits.conf is missing, so every session of cron, login, sshd, su, systemd-user is refused" in finding["message"]
    assert judge(lines("", pam=TRIXIE).remove("/etc/security/limits.conf"), "PH-LIM-007").status == "pass"


@pytest.mark.case("PH-LIM-007", "silent")
@pytest.mark.parametrize("text", [
    "oracle - nproc 65535\n", "oracle - nproc -1\n", "oracle - nofile unlimited\n", "oracle - memlock infinity\n", "oracle - nice -20\n",
    "www-data hard nproc 0\n",  # nobody logs in as that
    "oracle - priority -5\n", "500: - nproc 100\n", "@dba - nproc 100\n", "%dba - maxlogins 4\n", "oracle -\n", "# oracle soft nproc 0x40\n",
    "oracle soft nproc 50\noracle hard nproc 100\n", "oracle soft nproc 500\noracle hard nproc 50\noracle - nproc 1000\n", "root - nproc 0\n", "",
])
def test_lines_that_do_what_they_say(text):
    judged = judge(lines(text), "PH-LIM-007")
    assert judged.status == "pass" and judged.findings == []


def test_unknown_users_are_information_and_with_a_directory_unknown():
    assert judge(lines("nobodyhere - nproc 5\n"), "PH-LIM-007").only("info")
    assert judge(lines("nobodyhere - nproc 5\n").file("/etc/nsswitch.conf", "passwd: files sss\n"), "PH-LIM-007").status == "unknown"


@pytest.mark.case("PH-LIM-007", "unreadable")
def test_unreadable_lines():
    assert judge(lines("oracle - nproc 5\n").forbid(LIMITS_D), "PH-LIM-007").status == "unknown"
    huge = lines("#" * (10 * 1024 * 1024))
    assert judge(huge, "PH-LIM-007").status == "unknown"
    other = lines("oracle - nproc 5\n").remove("/var/lib/dpkg/status").file("/etc/os-release", "ID=arch\n")
    assert judge(other, "PH-LIM-007").status == "unknown"


# -- PH-LIM-008


def proposed(finding):
    assert checked(BY_NAME[finding["remedy"]["state"]], finding["remedy"]["parameters"])
    return finding["remedy"]["parameters"]


@pytest.mark.case("PH-LIM-008", "fires")
def test_files_sort_as_text():
    host = lines("").file("/etc/security/limits.d/10-a.conf", "oracle soft nproc 300\n").file("/etc/security/limits.d/9-b.conf", "oracle soft nproc 250\n")
    finding = judge(host, "PH-LIM-008").only("warn")
    assert finding["message"] == (
        '/etc/security/limits.d/10-a.conf:1, "oracle soft nproc 300", is overruled for oracle by /etc/security/limits.d/9-b.conf:1, '
        '"oracle soft nproc 250": 9-b.conf sorts after 10-a.conf, as text; move it to a file that sorts last (zz-), or name the user.')
    assert proposed(finding) == {"domain": "oracle", "type": "soft", "item": "nproc", "value": "300"}


@pytest.mark.case("PH-LIM-008", "fires")
def test_a_dash_line_loses_its_hard_half():
    finding = judge(lines("oracle soft nproc 100\n@dba - nproc 500\n"), "PH-LIM-008").only("warn")
    assert "does not set the hard limit of oracle (it stays 96365)" in finding["message"]
    assert proposed(finding) == {"domain": "@dba", "type": "hard", "item": "nproc", "value": "500"}


@pytest.mark.case("PH-LIM-008", "fires")
def test_a_no_limits_line_voids_what_was_set():
    finding = judge(lines("oracle - nproc 500\n").file("/etc/security/limits.conf", "@dba -\n"), "PH-LIM-008").only("warn")
    assert '/etc/security/limits.conf:1, "@dba -", voids every limit of oracle' in finding["message"]
    assert proposed(finding) == {"file": "/etc/security/limits.conf", "instead_of": "@dba -", "state": "absent"}


def test_a_dash_line_that_loses_both_halves_is_one_finding():
    host = lines("").file("/etc/security/limits.d/10-a.conf", "oracle - nproc 300\n").file("/etc/security/limits.d/9-b.conf", "oracle - nproc 250\n")
    assert proposed(judge(host, "PH-LIM-008").only("warn")) == {"domain": "oracle", "type": "-", "item": "nproc", "value": "300"}


def test_the_vendors_file_beats_an_older_line():
    host = lines("").file("/etc/security/limits.conf", "* soft nproc 65535\n").file("/etc/security/limits.d/20-nproc.conf", "* soft nproc 4096\n")
    assert "20-nproc.conf, which the vendor ships, is read later" in judge(host, "PH-LIM-008").only("warn")["message"]


def test_a_newer_limits_conf_that_loses():
    host = lines("oracle - nproc 100\n").file("/etc/security/limits.conf", "oracle - nproc 900\n", mtime=1.7e9 + 5e8).file(LIMITS_D, "oracle - nproc 100\n", mtime=1.7e9)
    judged = judge(host, "PH-LIM-008")
    assert {finding["status"] for finding in judged.findings} == {"warn"} and "though it is older" in judged.findings[0]["message"]


def test_stars_spare_root_on_debian():
    assert "does not apply to root" in judge(lines("* - nofile 65535\n"), "PH-LIM-008").only("info")["message"]
    assert judge(lines("* - nofile 65535\nroot - nofile 65535\n"), "PH-LIM-008").findings == []
    assert judge(rhel("* - nofile 65535\n"), "PH-LIM-008").findings == []


@pytest.mark.case("PH-LIM-008", "silent")
@pytest.mark.parametrize("text", [
    "oracle soft nproc 100\n@dba soft nproc 50\n",  # a user's line is there to beat his group's
    "@dba soft nproc 100\n* soft nproc 50\nroot soft nproc 50\n",
    "oracle soft nproc 100\noracle soft nproc 200\n",
    "oracle hard nproc 100\n@dba - nproc 500\n",
    "oracle -\n* - nproc 5\nroot - nproc 5\n",
    "oracle - nproc 100\n", "",
])
def test_layers_are_meant(text):
    judged = judge(lines(text), "PH-LIM-008")
    assert judged.status == "pass" and judged.findings == []


def test_a_later_file_is_meant_to_win():
    host = lines("oracle - nproc 100\n").file("/etc/security/limits.d/99-local.conf", "oracle - nproc 500\n")
    assert judge(host, "PH-LIM-008").findings == []


@pytest.mark.case("PH-LIM-008", "unreadable")
def test_unreadable_files_of_limits():
    assert judge(lines("oracle - nproc 5\n").forbid("/etc/security/limits.conf"), "PH-LIM-008").status == "unknown"
