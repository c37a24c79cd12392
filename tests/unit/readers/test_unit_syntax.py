"""What stands in unit files and what its values mean. That systemd agrees is tests/lab/test_units.py; here are the tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.model import UNLIMITED
from pidhygiene.readers import unit_syntax
from pidhygiene.readers.unit_syntax import NO_TASKS_MAX, BadValue, Limit, TasksMax, parse_limit, parse_tasks_max, parse_time

SERVICE = ("Unit", "Service", "Install")


def assignments(text, sections=SERVICE):
    return [(each.section, each.key, each.value, each.line) for each in unit_syntax.parse(text, sections).assignments]


# -- files


@pytest.mark.parametrize("text, expected", [
    ("[Service]\nA=1\n", [("Service", "A", "1", 2)]),
    ("[Service]\n  A \t=  1 2  \n", [("Service", "A", "1 2", 2)]),
    ("[Service]\nA=\n", [("Service", "A", "", 2)]),
    ("[Service]\nA=b=c\n", [("Service", "A", "b=c", 2)]),
    ("[Service]\n#A=1\n ;A=2\nA=3 # no comment\n", [("Service", "A", "3 # no comment", 4)]),
    ("[Service]\nA=1 \\\n  2\n", [("Service", "A", "1    2", 3)]),
    ("[Service]\nA=1 \\\n# a comment inside\n;another\n2\n", [("Service", "A", "1  2", 5)]),
    ("[Service]\nA=1\\\n\nB=2\n", [("Service", "A", "1", 3), ("Service", "B", "2", 4)]),
    ("[Service]\nA=1\\\\\nB=2\n", [("Service", "A", "1\\\\", 2), ("Service", "B", "2", 3)]),
    ("[Service]\nA=1\\", [("Service", "A", "1", 3)]),
    ("[Service]\r\nA=1 \\\r\n2\r\n", [("Service", "A", "1  2", 3)]),
    ("[Service]\0A=1\0", [("Service", "A", "1", 2)]),
    ("[Service]\rA=1\r", [("Service", "A", "1", 2)]),
    ("\ufeff[Service]\nA=1\n", [("Service", "A", "1", 2)]),
    ("[Unit]\nA=1\n[Service]\nA=2\n[Unit]\nA=3\n", [("Unit", "A", "1", 2), ("Service", "A", "2", 4), ("Unit", "A", "3", 6)]),
    ("[X-Mine]\nA=1\n[Service]\nB=1\n", [("Service", "B", "1", 4)]),
    ("", []),
    ("\n\n", []),
])
def test_lines(text, expected):
    assert assignments(text) == expected


@pytest.mark.parametrize("text, why", [
    ("A=1\n[Service]\n", "before the first section"),
    ("[Nonsense]\nA=1\n", "in section [Nonsense], which is not read here"),
    ("[service]\nA=1\n", "in section [service], which is not read here"),
    ("[Service]\n=1\n", "no assignment"),
    ("[Service]\njust words\n", "no assignment"),
])
def test_dropped_lines(text, why):
    parsed = unit_syntax.parse(text, SERVICE)
    assert parsed.assignments == ()
    assert [each.why for each in parsed.dropped] == [why]


def test_extension_sections_and_keys_are_no_mistakes():
    parsed = unit_syntax.parse("[X-Ours]\nA=1\nnonsense=\n", SERVICE)
    assert parsed == unit_syntax.File((), (), None)


@pytest.mark.parametrize("line, why", [
    ("[Service", "a section header without its end"), ("[", "a section header without its end"),
    ("[Ser\"vice]", "bad characters in a section header"), ("A=\udcff", "not UTF-8"), ("A=\ufdd0", "not UTF-8"),
])
def test_some_lines_end_the_reading(line, why):
    parsed = unit_syntax.parse("[Service]\nA=1\n%s\nB=2\n" % line, SERVICE)
    assert [each.key for each in parsed.assignments] == ["A"]
    assert (parsed.fatal.line, parsed.fatal.why) == (3, why)


@given(st.text(alphabet=st.characters(), max_size=300), st.sampled_from([SERVICE, ("Manager",)]))
def test_any_text_is_read(text, sections):
    parsed = unit_syntax.parse("[Service]\n" + text, sections)
    for each in parsed.assignments:
        assert each.section in sections and each.key == each.key.strip(" \t\n\r")


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data):
    unit_syntax.parse(data.decode("utf-8", "surrogateescape"), SERVICE)


NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC", min_size=1, max_size=12)
WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn"), blacklist_characters="\\#;[\ufeff"), max_size=30).map(str.strip).filter(
    lambda text: not any(ord(char) & 0xFFFE == 0xFFFE for char in text))


@given(st.lists(st.tuples(NAMES, WORDS), max_size=8))
def test_what_is_written_is_read(rows):
    text = "[Service]\n" + "".join("%s=%s\n" % row for row in rows)
    assert [(key, value) for _section, key, value, _line in assignments(text)] == rows


# -- limits


@pytest.mark.parametrize("item, text, expected", [
    ("nofile", "4:5", Limit(4, 5)), ("nofile", "4", Limit(4, 4)), ("nofile", "infinity", Limit(UNLIMITED, UNLIMITED)),
    ("nofile", "8:infinity", Limit(8, UNLIMITED)), ("nofile", "0x40", Limit(64, 64)), ("nofile", "010", Limit(8, 8)),
    ("nofile", "0b101:0o17", Limit(5, 15)), ("nofile", "5:6:", Limit(5, 6)), ("nofile", "5: 6", Limit(5, 6)), ("nofile", "\\5", Limit(5, 5)),
    ("nofile", "+7", Limit(7, 7)), ("nofile", "-0", Limit(0, 0)), ("nofile", "18446744073709551614", Limit(UNLIMITED - 1, UNLIMITED - 1)),
    ("cpu", "25min:13h", Limit(1500, 46800)), ("cpu", "1.5", Limit(2, 2)), ("cpu", "1ms", Limit(1, 1)), ("cpu", "1h30", Limit(3630, 3630)),
    ("cpu", "infinity", Limit(UNLIMITED, UNLIMITED)),
    ("rttime", "5s", Limit(5000000, 5000000)), ("rttime", "5", Limit(5, 5)),
    ("nice", "-7", Limit(27, 27)), ("nice", "+7", Limit(13, 13)), ("nice", "0", Limit(0, 0)), ("nice", "40", Limit(40, 40)),
    ("nice", "-20", Limit(40, 40)),
    ("as", "1.5G", Limit(1610612736, 1610612736)), ("as", "1G 512M", Limit(1610612736, 1610612736)), ("as", "1G2", Limit(1073741826, 1073741826)),
    ("core", "0:infinity", Limit(0, UNLIMITED)),
    ("memlock", "8K:1M", Limit(8192, 1048576)), ("stack", "10.M", Limit(10485760, 10485760)), ("data", "3B", Limit(3, 3)),
    ("rss", "1 K", Limit(1024, 1024)),
])
def test_limits(item, text, expected):
    assert parse_limit(item, text) == expected


@pytest.mark.parametrize("item, text", [
    ("nofile", ""), ("nofile", "unlimited"), ("nofile", "16k"), ("nproc", "16K"), ("nofile", "5:4"), ("nofile", "5:4:3"), ("nofile", ":5"),
    ("nofile", "5:"), ("nofile", "5 :6"), ("nofile", "-5"), ("nofile", "18446744073709551615"), ("nofile", "18446744073709551616"),
    ("nofile", "09"), ("nofile", "0x"), ("nofile", "0b2"), ("nofile", "1e3"), ("nofile", "12\\"), ("nofile", "infinity "),
    ("nice", "41"), ("nice", "-21"), ("nice", "+20"), ("nice", "infinity"),
    ("as", "1Q"), ("as", "1M 1G"), ("as", "-1"), ("as", "16E"), ("as", "unlimited"), ("as", "Infinity"),
    ("cpu", "12.34.56"), ("cpu", "-1"), ("cpu", "x"), ("cpu", "3.sec"), ("rttime", ""),
])
def test_wrong_limits(item, text):
    with pytest.raises(BadValue):
        parse_limit(item, text)


@pytest.mark.parametrize("item", sorted(unit_syntax.LIMITS))
@given(text=st.text(alphabet="0123456789:.+-kKMGinfty% xXbo\\hsmu\u00b5\u03bc", max_size=25))
def test_any_value_is_a_limit_or_bad(item, text):
    try:
        limit = parse_limit(item, text)
    except BadValue:
        return
    assert 0 <= limit.soft <= limit.hard <= UNLIMITED


@pytest.mark.parametrize("item", ["nofile", "as"])
@given(pair=st.tuples(st.integers(0, UNLIMITED - 1), st.integers(0, UNLIMITED - 1)).map(sorted))
def test_limits_round_trip(item, pair):
    assert parse_limit(item, "%d:%d" % tuple(pair)) == Limit(*pair)


# -- TasksMax, times, booleans


@pytest.mark.parametrize("text, expected, of_32767", [
    ("77", TasksMax(77, 0), 77), ("infinity", NO_TASKS_MAX, UNLIMITED), ("15%", TasksMax(None, 1500), 4915), ("12.5%", TasksMax(None, 1250), 4095),
    ("0.01%", TasksMax(None, 1), 3), ("100%", TasksMax(None, 10000), 32767), ("33\u2030", TasksMax(None, 330), 1081),
    ("1500\u2031", TasksMax(None, 1500), 4915), ("0%", TasksMax(None, 0), 0), ("0x10", TasksMax(16, 0), 16),
])
def test_tasks_max(text, expected, of_32767):
    assert parse_tasks_max(text) == expected
    assert parse_tasks_max(text).resolve(32767) == of_32767


@pytest.mark.parametrize("text", ["", "4k", "0", "150%", "-1", "1.234%", "12.\u2030", "unlimited", "%", "12 %", str(2**64 - 1), "1.5.2%"])
def test_wrong_tasks_max(text):
    with pytest.raises(BadValue):
        parse_tasks_max(text)


@given(st.text(alphabet="0123456789.%\u2030\u2031 xk-", max_size=12))
def test_any_tasks_max(text):
    try:
        value = parse_tasks_max(text)
    except BadValue:
        return
    assert 0 <= value.resolve(32767) <= UNLIMITED and value.text()


@pytest.mark.parametrize("text, expected", [
    ("5", 5000000), ("5s", 5000000), ("1h 30min", 5400000000), ("1h30min", 5400000000), (".5s", 500000), ("1.5h", 5400000000), ("10us", 10),
    ("3\u00b5s", 3), ("2 weeks", 1209600000000), ("1M", 2629800000000), ("1m", 60000000), ("infinity", UNLIMITED), ("0", 0), ("1y", 31557600000000),
])
def test_times(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize("text", ["", " ", "s", "-1", "5x", "1.s", "infinity 1", "99999999999999999999", "5 -1"])
def test_wrong_times(text):
    with pytest.raises(BadValue):
        parse_time(text)


@pytest.mark.parametrize("text, expected", [("Yes", True), ("1", True), ("ON", True), ("t", True), ("no", False), ("0", False), ("Off", False)])
def test_booleans(text, expected):
    assert unit_syntax.parse_boolean(text) is expected


@pytest.mark.parametrize("text", ["", "2", "yess", "enabled"])
def test_wrong_booleans(text):
    with pytest.raises(BadValue):
        unit_syntax.parse_boolean(text)


@pytest.mark.parametrize("text, good", [("root", True), ("1000", True), ("0", True), ("a.b-c", True), ("a b", True), ("a:b", False), ("a/b", False),
                                        ("65535", False), ("4294967295", False), ("0123", False), ("-1", False), (".", False)])
def test_users(text, good):
    if good:
        assert unit_syntax.parse_user(text) == text
    else:
        with pytest.raises(BadValue):
            unit_syntax.parse_user(text)


@pytest.mark.parametrize("text, expected", [("/run/x.pid", "/run/x.pid"), ("x.pid", "/run/x.pid"), ("/var/run/x.pid", "/run/x.pid"), ("/a//b", "/a/b")])
def test_pid_files(text, expected):
    assert unit_syntax.parse_pid_file(text) == expected
