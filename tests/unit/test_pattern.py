"""A pattern of the engine is a regular expression that is compiled when it is used, and then does the same."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

from pidhygiene.digest import sha256
from pidhygiene.pattern import pattern


def test_a_pattern_does_what_the_compiled_one_does():
    ours, theirs, text = pattern("(?i)a(b+)"), re.compile("(?i)a(b+)"), "xABbb-ab"
    assert ours.match("AB").group(1) == "B" and ours.match(text) is None and ours.fullmatch("abx") is None
    assert ours.search(text).span() == theirs.search(text).span() and ours.findall(text) == theirs.findall(text)
    assert [each.group() for each in ours.finditer(text)] == ["ABbb", "ab"] and ours.sub("-", text) == "x---" and ours.split("1ab2") == ["1", "b", "2"]
    assert ours.pattern == theirs.pattern and pattern("a", re.IGNORECASE).match("A") and pattern(b"[0-9]").match(b"4")


def test_digests_are_those_of_hashlib():
    assert sha256("Ω".encode()).hexdigest() == hashlib.sha256("Ω".encode()).hexdigest()


def test_a_check_does_without_what_is_slow_to_import():
    """Each of these takes one to three milliseconds to import; a whole check takes about a hundred."""
    code = "import sys; from pidhygiene import audit, __main__ as cli; cli._parser(); print(sorted({'hashlib', 'shutil', 'calendar', 'subprocess'} & set(sys.modules)))"
    path = next(each for each in sys.path if each.endswith("module_utils"))
    ran = subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
