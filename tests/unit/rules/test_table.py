"""Every rule of the catalogue has a case in which it fires, a near miss in which it is silent, and one with unreadable evidence."""

import ast
import pathlib
import re

import pytest
from pidhygiene.rules import containers
from pidhygiene.rules.catalogue import RULES

KINDS = ("fires", "silent", "unreadable")
# man:page(section), a file of a public source tree and what is in it, or an issue by its number; never a paper of ours.
PUBLIC = re.compile(r"man:[\w.-]+\(\d\)$|(kernel/|\w[\w-]* )?[\w./-]+\.c( \w+)?$|[\w-]+/[\w-]+#\d+$|(systemd|needrestart) issue \d+$|Debian bug \d+$|https://")


def declared():
    """(rule, kind) of every ``@pytest.mark.case`` in this folder, from the sources: the same whichever tests were selected."""
    found = set()
    for path in pathlib.Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.case":
                        found.add(tuple(ast.literal_eval(argument) for argument in decorator.args))
    return found


DECLARED = declared()


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
@pytest.mark.parametrize("kind", KINDS)
def test_rule_has_case(rule, kind):
    assert (rule, kind) in DECLARED, "no @pytest.mark.case(%r, %r) in tests/unit/rules" % (rule, kind)


def test_cases_name_rules_that_exist():
    assert {rule for rule, _kind in DECLARED} <= {rule.id for rule in RULES}


def test_ids_are_unique():
    assert len({rule.id for rule in RULES}) == len(RULES)


def references():
    """Every text under ``references=`` in the rules, with its place: whether or not a test makes the finding."""
    for path in sorted(pathlib.Path(containers.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "references":
                for text in ast.walk(node.value):
                    if isinstance(text, ast.Constant):
                        yield "%s:%d" % (path.name, text.lineno), text.value


def test_references_can_be_looked_up():
    found = list(references())
    assert len(found) > 50
    unknown = [(place, text) for place, text in found if not PUBLIC.match(text)]
    assert unknown == [], "neither a man page, nor a source file, nor a public issue"
