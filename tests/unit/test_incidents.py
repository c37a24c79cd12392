"""tests/incidents.md lists every incident once, and every test and rule that it names exists."""

import ast
import pathlib
import re

import pytest
from pidhygiene.rules.catalogue import RULES

TESTS = pathlib.Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+?) \| (.+?) \| (.*?) \| (.*?) ?\|$", re.MULTILINE)
# Every second number, as they were collected; E and G share their chapter with O.
IDS = [letter + str(number) for letter, last in (("L", 23), ("P", 19), ("Z", 17), ("T", 15), ("O", 7), ("E", 5), ("G", 5)) for number in range(1, last + 1, 2)]
ROWS = {row[0]: row for row in ROW.findall((TESTS / "incidents.md").read_text())}


def test_every_incident_is_listed_once():
    assert [row[0] for row in ROW.findall((TESTS / "incidents.md").read_text())] == IDS


@pytest.mark.parametrize("name", IDS)
def test_an_incident_has_a_test_that_exists_or_a_reason(name):
    _id, _symptom, rules, tests, left_out = ROWS[name]
    named = re.findall(r"`([^`]+)`", tests)
    assert named or left_out
    text = ""
    for each in named:
        path, _, function = each.partition("::")
        text += functions(TESTS / path)[function]
    for rule in rules.split(", "):
        assert rule == "silent" or (rule in {each.id for each in RULES} and (rule in text or not named)), rule


def functions(path):
    """Name to source."""
    text = path.read_text()
    return {node.name: ast.get_source_segment(text, node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


def test_every_test_of_an_incident_is_in_the_table():
    """A test named after an incident that nobody can find from the table helps nobody."""
    written = {name for path in (TESTS / "unit/incidents").glob("test_*.py") for name in functions(path) if name.startswith("test_")}
    assert written == {each.partition("::")[2] for row in ROWS.values() for each in re.findall(r"`(unit/incidents/[^`]+)`", row[3])}
