from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pidhygiene.host import LiveHost
from pidhygiene.readers import users
from pidhygiene.readers.users import Account, SubordinateIds, User


def host_with(root: Path, **files: str) -> LiveHost:
    """Files of /etc by name, with dots as underscores."""
    (root / "etc").mkdir(exist_ok=True)
    for name, text in files.items():
        (root / "etc" / name.replace("_", ".")).write_text(text)
    return LiveHost(root=str(root))


def test_users_groups_and_ranges(tmp_path: Path) -> None:
    found = users.read(host_with(
        tmp_path,
        passwd="root:x:0:0:root:/root:/bin/bash\noracle:x:54321:54321:Oracle, Inc.:/home/oracle:/bin/ksh\n",
        group="root:x:0:\noinstall:x:54321:\ndba:x:54322:oracle,root\nempty:x:7:\n",
        subuid="oracle:100000:65536\n1000:200000:10\n",
        login_defs="# UID_MIN 5\nUID_MIN\t\t 500\n",
        nsswitch_conf="passwd: files systemd\ngroup: files [success=merge] systemd\n",
    ))
    assert found.by_name["oracle"] == User("oracle", 54321, 54321, "/home/oracle", "/bin/ksh")
    assert found.by_uid[0].name == "root"
    assert found.account("oracle") == Account("oracle", 54321, 54321, (("dba", 54322), ("oinstall", 54321)))
    assert found.subordinate_uids == (SubordinateIds("oracle", 100000, 65536), SubordinateIds("1000", 200000, 10))
    assert found.uid_min == 500
    assert found.name_of(54321) == "oracle" and found.name_of(77) == "77"
    assert found.complete and not found.gaps
    assert found.account("nobody") is None


def test_the_first_of_two_entries_counts(tmp_path: Path) -> None:
    found = users.read(host_with(tmp_path, passwd="a:x:5:5:::\na:x:6:6:::\nb:x:5:5:::\n", group="g:x:1:a\ng:x:2:\nh:x:2:a\n"))
    assert found.by_name["a"].uid == 5 and found.by_uid[5].name == "a"
    assert found.account("a").groups == (("g", 1), ("h", 2))


def test_a_directory_makes_unknown_users_possible(tmp_path: Path) -> None:
    found = users.read(host_with(tmp_path, passwd="root:x:0:0:::\n", group="", nsswitch_conf="passwd: files sss # ldap\ngroup: files\n"))
    assert found.directories == ("sss",) and not found.complete


def test_unreadable_files_are_gaps(tmp_path: Path) -> None:
    found = users.read(host_with(tmp_path, group="g:x:1:\n"))
    assert [gap.source for gap in found.gaps] == ["/etc/passwd"]
    assert not found.complete and found.by_name == {} and found.uid_min == users.UID_MIN


def test_nsswitch_forms() -> None:
    assert users.parse_nsswitch(["passwd:[NOTFOUND=return] ldap [!SUCCESS=continue] files"]) == ("ldap",)
    assert users.parse_nsswitch(["hosts: dns", "passwd: files"]) == ()
    assert users.parse_nsswitch(["passwd: compat"], compat_entries=True) == ("nis",)
    assert users.parse_nsswitch(["passwd: compat"]) == ()
    assert users.parse_nsswitch(["initgroups: files winbind", "group: winbind"]) == ("winbind",)


def test_odd_lines_are_passed_over() -> None:
    lines = ["# x:x:1:1", "+::::::", "-bad:x:1:1", "short:x:1", "", "n:x:one:1:::", "ok:x:1:1", "minus:x:-1:1:::", "long:x:9999999999999:1:::"]
    assert [user.name for user in users.parse_passwd(lines)] == ["ok"]
    assert [group.name for group in users.parse_group(["g:x:²:", "h:x:3", "i:x:4: a , b ,"])] == ["h", "i"]
    assert users.parse_group(["i:x:4: a , b ,"])[0].members == ("a", "b")


@given(st.lists(st.text()))
def test_any_text_is_read(lines: list[str]) -> None:
    for parser in (users.parse_passwd, users.parse_group, users.parse_subordinate_ids, users.parse_uid_min, users.parse_nsswitch):
        parser(lines)
