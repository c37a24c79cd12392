"""Hostile text, made harmless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.text import masked, shown


@pytest.mark.parametrize("text, safe", [
    ("plain", "plain"), ("café", "café"), ("日本語", "日本語"), ("\x1b[31mred", "\\x1b[31mred"), ("a\nb\tc\r", "a\\nb\\tc\\r"), ("\x07", "\\x07"),
    ("\u202eevil", "\\u202eevil"), ("\u2028", "\\u2028"), ("caf\udce9", "caf\\xe9"), ("\U000e0001", "\\U000e0001"), ("\x85", "\\x85"), ("", "")])
def test_shown(text, safe):
    assert shown(text) == safe


def test_long_text_is_cut():
    assert shown("x" * 1000, 10) == "x" * 10 + "…" and len(shown("\x1b" * 1000, 50)) <= 51


@given(st.text(), st.integers(1, 500))
def test_whatever_comes_in(text, limit):
    safe = shown(text, limit)
    assert len(safe) <= 4 * limit + 1
    assert not any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) <= 0xDFFF for char in safe)
    safe.encode("utf-8")


@pytest.mark.parametrize("text, kept", [
    ("app --password hunter2 -v", "app --password *** -v"), ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"), ("curl https://me:hunter2@host/x", "curl https://me:***@host/x"),
    ("x --api-key=abc", "x --api-key=***"), ("token: abc", "token: ***"), ("sort --key 2", "sort --key 2"), ("author=me", "author=me"), ("Authorization: abc", "Authorization: ***")])
def test_masked(text, kept):
    assert masked(text) == kept


@given(st.text())
def test_masking_never_fails(text):
    masked(text)
