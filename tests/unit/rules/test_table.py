"""Every rule of the catalogue has a case in which it fires, a near miss in which it is silent, and one with unreadable evidence."""

import ast
import pathlib

import pytest
from pidhygiene.rules.catalogue import RULES

KINDS = ("fires", "silent", "unreadable")


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
