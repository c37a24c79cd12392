"""The policy: every mistake is named with its place and the nearest key; no document is needed."""

import pathlib

import pidhygiene
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.policy import SETTINGS, Policy, PolicyError, check

ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def mistakes(document):
    with pytest.raises(PolicyError) as caught:
        Policy(document)
    return ["%s: %s" % mistake for mistake in caught.value.mistakes]


def test_no_policy_is_needed():
    policy = Policy()
    assert policy["zombies.warn"] == 20 and not policy.is_set("zombies.warn")
    assert policy.digest() == Policy({}).digest() == Policy(None).digest()


def test_nested_and_flat_names():
    assert Policy({"zombies": {"warn": 7}})["zombies.warn"] == Policy({"zombies.warn": 7})["zombies.warn"] == 7


@pytest.mark.parametrize("document, expected", [
    ({"zombies": {"wran": 5}}, "zombies.wran: is no setting; did you mean 'warn'?"),
    ({"zombis": {"warn": 5}}, "zombis: is no setting; did you mean 'zombies'?"),
    ({"zombies": 5}, "zombies: must be a mapping of settings, not a number"),
    ({"zombies": {"warn": "many"}}, "zombies.warn: must be a whole number, not text"),
    ({"zombies": {"warn": 2.5}}, "zombies.warn: must be a whole number, not a number"),
    ({"zombies": {"warn": True}}, "zombies.warn: must be a whole number, not true or false"),
    ({"zombies": {"warn": 0}}, "zombies.warn: must be at least 1, not 0"),
    ({"zombies": {"fail_share": 95}}, "zombies.fail_share: is a part of a limit: between 0 and 1, not 95"),
    ({"headroom": {"warn": float("nan")}}, "headroom.warn: must be at least 0, not nan"),
    ({"sixteen_bit_pids": "yes"}, "sixteen_bit_pids: must be true or false, not text"),
    ({"zone": {"expected": "Europe/../etc"}}, "zone.expected: must be the name of a zone, as Europe/Berlin"),
    ({"units": {"singletons": "salt"}}, "units.singletons: must be a list of names"),
    ({"limits": {"units": {"a.service": {"nofiles": 5}}}}, "limits.units.a.service.nofiles: is no limit; did you mean 'nofile'?"),
    ({"limits": {"units": {"a.service": {"nofile": "lots"}}}}, "limits.units.a.service.nofile: must be a number, infinity, or soft:hard, not 'lots'"),
    ({"waivers": [{"rule": "PH-*", "owner": "me", "expires": "2027-01-01"}]}, "waivers[0].justification: is missing: a waiver needs justification"),
    ({"waivers": [{"rule": "PH-*", "owner": "me", "justification": "x", "expires": "soon"}]}, "waivers[0].expires: must be a day as 2027-03-31, not 'soon'"),
    ({"waivers": [{"rule": "PH-*", "owner": "me", "justification": "x", "expires": "2027-01-01", "hots": "a"}]}, "waivers[0].hots: is no field of a waiver; did you mean 'host'?"),
    ({"controls": {"PH-ZMB-001": "CIS 1"}}, "controls.PH-ZMB-001: must be a list of control ids"),
    ({"quorum_groups": {"es": {"voters": []}}}, "quorum_groups.es.voters: is missing: the names of the hosts that vote, or patterns of them"),
    ({"quorum_groups": {"es": {"voter": ["a"]}}}, "quorum_groups.es.voter: is no field of a group; did you mean 'voters'?"),
    ({"quorum_groups": {"es": {"voters": "es*"}}}, "quorum_groups.es.voters: must be a list of names"),
    ({"quorum_groups": {"es": {"voters": ["a"], "probe": "9300"}}}, "quorum_groups.es.probe: must be tcp:PORT or http://ADDRESS, not '9300'"),
    ({"quorum_groups": {"es": ["a"]}}, "quorum_groups.es: must be a mapping with voters, not a list"),
    ({"quorum_groups": ["es"]}, "quorum_groups: must be a mapping of names to groups, not a list"),
    (["zombies"], "policy: must be a mapping of settings, not a list"),
])
def test_mistakes(document, expected):
    assert expected in mistakes(document)


def test_all_mistakes_are_told_at_once():
    assert len(mistakes({"zombies": {"warn": 0, "fail": "x"}, "nonsense": 1})) == 3


def test_defaults_are_valid():
    """What a person copies from the list of settings is accepted."""
    assert Policy({setting.key: list(setting.default) if isinstance(setting.default, tuple) else setting.default for setting in SETTINGS})


def test_the_digest_is_of_the_meaning():
    assert Policy({"zombies": {"warn": 7, "fail": 9}}).digest() == Policy({"zombies": {"fail": 9, "warn": 7}}).digest() != Policy({"zombies": {"warn": 8}}).digest()


ENGINE = pathlib.Path(pidhygiene.__file__).parent
CONTROLLER = pathlib.Path(__file__).resolve().parents[2] / "controller"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_has_an_effect_or_says_that_it_has_none(setting):
    sources = [path.read_text() for folder in (ENGINE, CONTROLLER) for path in folder.rglob("*.py") if path.name != "policy.py"]
    read = '"%s"' % setting.key in "".join(sources) or setting.key == "waivers"
    assert read != ("yet" in setting.help)


@given(ANYTHING)
def test_any_document_is_judged(document):
    list(check(document))
