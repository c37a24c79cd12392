"""logind's session files: whatever stands in them, they are read or refused."""

from hypothesis import given
from hypothesis import strategies as some
from pidhygiene.readers.sessions import assignments, parse

KEYS = some.sampled_from(["UID", "USER", "STATE", "LEADER", "SCOPE", "SERVICE", "CLASS", "REALTIME", "#", " ", ""])


@given(some.lists(some.tuples(KEYS, some.text())).map(lambda pairs: "\n".join("%s=%s" % pair for pair in pairs)) | some.text())
def test_hostile_files_raise_only_value_error(text):
    try:
        session = parse("1", text)
    except ValueError:
        return
    assert isinstance(session.leader, int) and session.id == "1"


@given(some.integers(0, 2**31), some.integers(0, 2**31), some.sampled_from(["opening", "online", "active", "closing"]))
def test_a_file_as_logind_writes_it(uid, leader, state):
    session = parse("c7", "# This is private data. Do not parse.\nUID=%d\nUSER=a b\nSTATE=%s\nSCOPE=session-c7.scope\nLEADER=%d\nREALTIME=1500000\n" % (
        uid, state, leader))
    assert session == ("c7", uid, "a b", state, leader, "session-c7.scope", "", "", 1.5)


def test_comments_and_quotes():
    assert assignments("#A=1\n[Login]\nA='2'\nB = \"3\"\n") == {"A": "2", "B": "3"}
