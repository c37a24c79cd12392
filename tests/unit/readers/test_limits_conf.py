from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidhygiene.host import LiveHost
from pidhygiene.model import UNLIMITED, Gap
from pidhygiene.readers import limits_conf
from pidhygiene.readers.distribution import of as distribution_of
from pidhygiene.readers.limits_conf import HARD, IGNORED, LIMIT, NO_LIMITS, SOFT, Flavour, Line, Session, Source, parse, session_limits
from pidhygiene.readers.packages import Packages
from pidhygiene.readers.users import Account

BOOKWORM = Flavour((1, 5, 2), True, True)
TRIXIE = Flavour((1, 7, 0), True, False)
UPSTREAM = Flavour((1, 5, 2), False, False)
FLAVOURS = {"bookworm": BOOKWORM, "trixie": TRIXIE, "upstream": UPSTREAM}

ALICE = Account("alice", 1001, 1001, (("alice", 1001), ("devs", 2000), ("users", 100), ("wheel", 10)))
ROOT = Account("root", 0, 0, (("root", 0), ("wheel", 10)))
START = {"nproc": (9000, 30000), "nofile": (4000, 20000)}
NR_OPEN = 1048576

RECORDED = json.loads((Path(__file__).parents[2] / "fixtures" / "pam_precedence.json").read_text())


def lines_of(text: str, flavour: Flavour = BOOKWORM) -> list[Line]:
    return list(parse(text.encode("utf-8", "surrogateescape"), "/f", flavour))


def session(text: str, account: Account = ALICE, flavour: Flavour = TRIXIE, **options: object) -> Session:
    given_options = {"start": START, "process_1": None, "nr_open": NR_OPEN, **options}
    return session_limits([Source("/f", parse(text.encode(), "/f", flavour))], account, flavour, **given_options)  # type: ignore[arg-type]


# -- the precedence matrix, as real sessions recorded it (tests/lab/test_pam_precedence.py) ----------------------------------


def tree_with(root: Path, files: dict[str, str]) -> LiveHost:
    for name in ("etc/security/limits.d", "proc/sys/fs"):
        (root / name).mkdir(parents=True)
    for name, text in files.items():
        target = root / "etc/security" / name
        if text.startswith("->"):
            target.symlink_to(text[2:])
        else:
            target.write_bytes(text.encode())
    return LiveHost(root=str(root))


@pytest.mark.parametrize("name", FLAVOURS)
@pytest.mark.parametrize("case", RECORDED["cases"])
def test_precedence_is_as_recorded(case: str, name: str, tmp_path: Path) -> None:
    user, files = RECORDED["cases"][case]["user"], RECORDED["cases"][case]["files"]
    conf = limits_conf.read(tree_with(tmp_path, files), FLAVOURS[name])
    plain = {"as": (UNLIMITED, UNLIMITED), "cpu": (UNLIMITED, UNLIMITED)}
    start = {**plain, **{item: tuple(pair) for item, pair in RECORDED["start"].items()}}
    process_1 = {**plain, **{item: tuple(pair) for item, pair in RECORDED["process_1"].items()}}
    found = session_limits(conf.sources, ROOT if user == "root" else ALICE, FLAVOURS[name], start, process_1, NR_OPEN, may_raise=False)
    expected = dict(RECORDED[name][case])
    assert found.opened == expected.pop("opened")
    assert {item: list(found.limits[item]) for item in expected} == expected


# -- lines ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, flavour, fields", [
    ("alice soft nproc 100", BOOKWORM, ("alice", "soft", "nproc", "100")),
    ("  alice\tSOFT\tNProc  UNLIMITED", BOOKWORM, ("alice", "soft", "nproc", "unlimited")),
    ("Alice soft nproc 1 2", BOOKWORM, ("Alice", "soft", "nproc", "1")),
    ("Alice soft nproc 1 2 ", TRIXIE, ("Alice", "soft", "nproc", "1 2")),
    ("a soft nproc 1\r", BOOKWORM, ("a", "soft", "nproc", "1")),
    ("a soft nproc 1\r", TRIXIE, ("a", "soft", "nproc", "1\r")),
    ("a soft nproc  1 ", Flavour((1, 6, 0), False, False), ("a", "soft", "nproc", " 1 ")),
    ("a soft nproc 1#2", TRIXIE, ("a", "soft", "nproc", "1")),
    ("a soft nproc 1\0 9", TRIXIE, ("a", "soft", "nproc", "1")),
    ("a\vsoft nproc 1", BOOKWORM, ("a", "soft", "nproc", "1")),
    ("a\vsoft nproc 1", TRIXIE, ("a\vsoft", "nproc", "1", "")),
])
def test_fields(text: str, flavour: Flavour, fields: tuple[str, str, str, str]) -> None:
    (line,) = lines_of(text, flavour)
    assert (line.domain, line.type, line.item, line.value) == fields


@pytest.mark.parametrize("text, makes, why", [
    ("a soft nproc 5", LIMIT, ""), ("a -", NO_LIMITS, ""), ("a -x", NO_LIMITS, ""), ("a soft", IGNORED, limits_conf.BAD_FIELDS),
    ("a", IGNORED, limits_conf.BAD_FIELDS), ("a soft nproc", IGNORED, limits_conf.BAD_FIELDS), (": soft nproc 5", IGNORED, limits_conf.BAD_RANGE),
    ("a:b soft nproc 5", IGNORED, limits_conf.BAD_RANGE), ("a soft nprocs 5", IGNORED, limits_conf.BAD_ITEM),
    ("a both nproc 5", IGNORED, limits_conf.BAD_TYPE), ("a both maxlogins 5", LIMIT, ""), ("a soft nproc five", IGNORED, limits_conf.BAD_VALUE),
    ("a soft nice unlimited", IGNORED, limits_conf.BAD_VALUE), ("a soft chroot /x", LIMIT, ""), ("a soft rttime 5", IGNORED, limits_conf.BAD_ITEM),
])
def test_what_pam_makes_of_a_line(text: str, makes: str, why: str) -> None:
    (line,) = lines_of(text)
    assert (line.makes, line.why) == (makes, why)


def test_items_by_version() -> None:
    assert lines_of("a soft rttime 5", Flavour((1, 7, 1), False, False))[0].makes == LIMIT
    assert lines_of("a soft nonewprivs 1", Flavour((1, 4, 0), False, False))[0].makes == IGNORED
    assert lines_of("a soft chroot /", UPSTREAM)[0].makes == IGNORED


@pytest.mark.parametrize("item, value, effect", [
    ("nproc", "100", 100), ("nproc", "unlimited", UNLIMITED), ("nproc", "-", UNLIMITED), ("nproc", "-1", UNLIMITED), ("nproc", "infinity", UNLIMITED),
    ("nproc", "12k", 12), ("nproc", "0x40", 0), ("nproc", "-5", UNLIMITED - 4), ("nproc", "+5", 5), ("nproc", "99999999999999999999", UNLIMITED),
    ("nproc", "k", None), ("as", "4096", 4194304), ("as", "18014398509481983", UNLIMITED), ("cpu", "3", 180), ("cpu", "unlimited", UNLIMITED),
    ("msgqueue", "7", 7), ("nice", "-20", 40), ("nice", "19", 1), ("nice", "99", 1), ("nice", "-1", 21), ("priority", "-1", -1),
    ("maxlogins", "-1", -1), ("maxlogins", "9999999999", 2 ** 31 - 1), ("nonewprivs", "yes", 0), ("nonewprivs", "1", 1),
])
def test_values(item: str, value: str, effect: int | None) -> None:
    assert limits_conf.effect_of(item, value) == effect


@pytest.mark.parametrize("domain, expected", [
    ("alice", None), ("*", None), ("5:", ("from", 5, 0)), ("5:9", ("between", 5, 9)), (":9", ("one", 9, 9)), ("@5:", ("from", 5, 0)),
    ("%:9", ("one", 9, 9)), ("-1:", ("from", 2 ** 32 - 1, 0)), ("4294967297:", ("from", 1, 0)),
])
def test_ranges(domain: str, expected: tuple[str, int, int] | None) -> None:
    assert limits_conf.uid_range(domain) == (None if expected is None else limits_conf.Range(*expected))


@pytest.mark.parametrize("domain", [":", "@:", "5:x", "x:5", "1:2:3", "5 :", "99999999999999999999:"])
def test_ranges_that_void_the_line(domain: str) -> None:
    assert limits_conf.uid_range(domain) is limits_conf.INVALID_RANGE


def test_an_old_pam_reads_a_long_line_as_two() -> None:
    text = "a soft nproc 1" + " " * 1009 + "b hard nproc 2\n"
    assert [(line.domain, line.number) for line in lines_of(text)] == [("a", 1), ("b", 1)]
    (whole,) = lines_of(text, TRIXIE)
    assert whole.value.startswith("1 ") and whole.value.endswith("b hard nproc 2")


def test_numbers_of_lines() -> None:
    assert [line.number for line in lines_of("# one\n\na soft nproc 1\n   \nb soft nproc 1")] == [3, 5]


@given(st.binary(), st.sampled_from([*FLAVOURS.values(), Flavour((1, 6, 0), False, False)]))
def test_any_bytes_are_read(data: bytes, flavour: Flavour) -> None:
    sources = [Source("/f", parse(data, "/f", flavour))]
    session_limits(sources, ALICE, flavour, START, START, NR_OPEN)


LINES = st.builds(
    " ".join, st.tuples(
        st.sampled_from(["alice", "*", "@devs", "1001:", "@:10", "root", "%", "%devs", ":1001"]), st.sampled_from([SOFT, HARD, "-"]),
        st.sampled_from(["nproc", "nofile", "maxlogins", "nice"]), st.sampled_from(["1", "500", "unlimited", "-5", "x"])))


@given(st.lists(LINES), st.sampled_from(list(FLAVOURS.values())))
def test_every_line_for_the_user_wins_or_loses_each_half(texts: list[str], flavour: Flavour) -> None:
    found = session("\n".join(texts), flavour=flavour, process_1=START)
    winners = {(line.place, part) for (_item, part), line in found.winners.items()}
    losers = {(loser.line.place, loser.part) for loser in found.losers}
    assert not winners & losers
    for line in parse("\n".join(texts).encode(), "/f", flavour):
        if line.makes != LIMIT or line.item not in START or limits_conf.class_of(line, ALICE, flavour) is None:
            continue
        for part in {SOFT: [SOFT], HARD: [HARD], "-": [SOFT, HARD]}[line.type]:
            assert ((line.place, part) in winners) != ((line.place, part) in losers)


# -- the trace --------------------------------------------------------------------------------------------------------------


def test_the_trace_names_winner_and_losers() -> None:
    found = session("alice soft nproc 100\n* - nproc 500\nalice soft nproc 200\n")
    assert found.limits["nproc"] == (200, 30000)
    assert found.winners[("nproc", SOFT)].place == "/f:3" and ("nproc", HARD) not in found.winners
    assert [(loser.line.number, loser.part, loser.why) for loser in found.losers] == [
        (2, SOFT, "a user line is stronger than a * line: /f:1"),
        (2, HARD, "its soft half lost, and both halves go together: /f:1"),
        (1, SOFT, "a later line counts: /f:3"),
    ]


def test_a_no_limits_line_is_named() -> None:
    found = session("alice soft nproc 100\n@devs -\n")
    assert found.exempt is not None and found.exempt.number == 2 and found.limits == START and not found.winners


def test_a_limit_that_may_not_be_raised_stays() -> None:
    assert session("alice - nproc 40000\n").limits["nproc"] == (40000, 40000)
    kept = session("alice - nproc 40000\n", may_raise=False)
    assert kept.limits["nproc"] == (9000, 30000) and kept.not_raised == ("nproc",) and kept.opened
    refused = session("alice - nproc 40000\n", flavour=UPSTREAM, may_raise=False)
    assert not refused.opened and refused.refusal == "setrlimit is refused for nproc"


def test_set_all_resets_where_asked() -> None:
    assert session("", arguments=("set_all",), process_1={"nproc": (5, 6), "nofile": (9999, 9999)}).limits == {"nproc": (5, 6), "nofile": (1024, 9999)}
    assert session("", arguments=("set_all",), flavour=UPSTREAM, process_1={"nofile": (9999, 9999)}).limits["nofile"] == (9999, 9999)
    assert session("", flavour=BOOKWORM, process_1=None).limits == {"nproc": (UNLIMITED, UNLIMITED), "nofile": (1024, 1024)}


def test_a_missing_file_named_with_conf_refuses_everywhere() -> None:
    missing = [Source("/own", (), "does not exist", missing=True)]
    for flavour in FLAVOURS.values():
        assert not session_limits(missing, ALICE, flavour, START, None, NR_OPEN, ["conf=/own"]).opened


# -- files --------------------------------------------------------------------------------------------------------------------


def test_files_in_the_order_they_are_read(tmp_path: Path) -> None:
    host = tree_with(tmp_path, {name: "" for name in ("limits.conf", "limits.d/9.conf", "limits.d/10.conf", "limits.d/Z.conf", "limits.d/a.conf",
                                                      "limits.d/.h.conf", "limits.d/x.conf.bak", "limits.d/conf")})
    paths = [source.path for source in limits_conf.read(host, BOOKWORM).sources]
    assert paths == ["/etc/security/" + name for name in ("limits.conf", "limits.d/10.conf", "limits.d/9.conf", "limits.d/Z.conf", "limits.d/a.conf")]


def test_a_vendor_folder_stands_in(tmp_path: Path) -> None:
    host = tree_with(tmp_path, {"limits.d/b.conf": ""})
    vendor = tmp_path / "usr/etc/security/limits.d"
    vendor.mkdir(parents=True)
    for name in ("../limits.conf", "a.conf", "b.conf"):
        (vendor / name).write_text("")
    read = limits_conf.read(host, Flavour((1, 5, 3), False, False, "/usr/etc/security"))
    assert [source.path for source in read.sources] == ["/usr/etc/security/limits.conf", "/usr/etc/security/limits.d/a.conf", "/etc/security/limits.d/b.conf"]
    old = limits_conf.read(host, Flavour((1, 5, 2), False, False, "/usr/etc/security"))
    assert [source.path for source in old.sources] == ["/etc/security/limits.conf", "/etc/security/limits.d/b.conf"]


def test_what_cannot_be_read_is_a_gap(tmp_path: Path) -> None:
    host = tree_with(tmp_path, {"limits.conf": "#" * 10 * 1024 * 1024, "limits.d/good.conf": "alice - nproc 5\n"})
    os.mkfifo(tmp_path / "etc/security/limits.d/fifo.conf")
    (tmp_path / "etc/security/limits.d/folder.conf").mkdir()
    read = limits_conf.read(host, BOOKWORM)
    assert read.gaps == (Gap("/etc/security/limits.conf", "larger than 1048576 bytes"),
                         Gap("/etc/security/limits.d/fifo.conf", "not a regular file"))
    assert [line.text for line in read.lines] == ["alice - nproc 5"]


def test_files_named_with_conf(tmp_path: Path) -> None:
    host = tree_with(tmp_path, {"limits.conf": "", "own.conf": "alice - nproc 5\n"})
    read = limits_conf.read(host, BOOKWORM, ["/etc/security/own.conf"])
    assert read.sources_for(["debug", "conf=/x", "conf=/etc/security/own.conf"])[0].lines[0].value == "5"
    assert read.sources_for([]) == read.sources
    assert read.sources_for(["conf=/other"])[0].problem == "not read"


def test_an_unknown_pam_is_a_gap(tmp_path: Path) -> None:
    read = limits_conf.read(tree_with(tmp_path, {"limits.conf": "a - nproc 5\n"}), None)
    assert read.flavour is None and read.gaps == (Gap("pam_limits", "the version of pam is not known"),) and len(read.lines) == 1


# -- flavours -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields, version, flavour", [
    ({"ID": "debian"}, "1.5.2-6+deb12u1", BOOKWORM),
    ({"ID": "debian"}, "1.7.0-5", TRIXIE),
    ({"ID": "ubuntu", "ID_LIKE": "debian"}, "1.5.3-5ubuntu5", Flavour((1, 5, 3), True, True)),
    ({"ID": "ubuntu", "ID_LIKE": "debian"}, "1.7.0-5ubuntu1", Flavour((1, 7, 0), True, False)),
    ({"ID": "debian"}, None, None),
    ({"ID": "rhel", "ID_LIKE": "fedora", "VERSION_ID": "8.10"}, None, Flavour((1, 3, 1), False, False, certain=False)),
    ({"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.4"}, None, Flavour((1, 5, 1), False, False, certain=False)),
    ({"ID": "almalinux", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "10.0"}, None,
     Flavour((1, 6, 1), False, False, "/usr/share/security", certain=False)),
    ({"ID": "rhel", "VERSION_ID": "11"}, None, None),
    ({"ID": "arch"}, None, None),
])
def test_flavours(fields: dict[str, str], version: str | None, flavour: Flavour | None) -> None:
    packages = Packages("dpkg", {"libpam-modules": version} if version else {}, ())
    assert limits_conf.flavour_of(distribution_of(fields), packages) == flavour
