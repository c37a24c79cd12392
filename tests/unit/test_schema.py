"""Real results fit the schema of results; the policy's schema and its validator say the same of every document."""

import json

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pidhygiene.audit import audit
from pidhygiene.host import LiveHost
from pidhygiene.policy import SETTINGS, Policy, PolicyError
from pidhygiene.schema import policy_schema, result_schema
from simulated import SimulatedHost

RESULT = jsonschema.Draft202012Validator(result_schema())
POLICY = jsonschema.Draft202012Validator(policy_schema())

EVERY_KIND = {
    "zombies": {"warn": 3}, "headroom.warn": 0.5, "zone": {"expected": "Europe/Berlin"}, "patch_window": 14, "sixteen_bit_pids": True,
    "limits": {"units": {"nginx.service": {"nofile": "1024:65536", "tasks": 500}}}, "processes": {"ignore": ["a", "b"]},
    "controls": {"PH-ZMB-001": ["4.1.2"]},
    "quorum_groups": {"es": {"voters": ["es1", "db*"], "units": ["es.service"], "probe": "tcp:9300"}, "etcd": {"voters": ["e1"], "probe": "http://[::1]:2379/health"}},
    "waivers": [{"rule": "PH-*", "justification": "ordered", "owner": "ops", "expires": "2027-03-31"}],
}


def accepted(document):
    try:
        Policy(document)
    except PolicyError:
        return False
    return True


def test_the_schemas_are_schemas():
    jsonschema.Draft202012Validator.check_schema(result_schema())
    jsonschema.Draft202012Validator.check_schema(policy_schema())
    json.dumps([result_schema(), policy_schema()])


@pytest.mark.parametrize("tags", [[], ["web", "prod"]])
def test_a_result_of_this_machine_fits(tags):
    RESULT.validate(json.loads(json.dumps(audit(LiveHost(), tags=tags))))


@pytest.mark.parametrize("layout", ["v1", "hybrid", "v2"])
def test_a_result_of_a_simulated_host_fits(layout):
    host = SimulatedHost(layout)
    result = json.loads(json.dumps(audit(host, Policy(EVERY_KIND), tags=["a"])))
    RESULT.validate(result)
    RESULT.validate(json.loads(json.dumps(audit(host, previous=result["marks"]))))


@pytest.mark.parametrize("change", [
    {"schema": "pidhygiene.result/2"}, {"extra": 1}, {"findings": {}}, {"rules": [{"rule": "PH-ZMB-001", "status": "fine", "counts": {}}]}, {"host": {}},
])
def test_what_is_no_result_does_not_fit(change):
    result = dict(json.loads(json.dumps(audit(SimulatedHost()))), **change)
    assert not RESULT.is_valid(result)


def test_every_setting_is_in_the_schema_with_its_default():
    properties = policy_schema()["properties"]
    for setting in SETTINGS:
        described = properties[setting.key]
        assert setting.help in described["description"]
        if setting.default is not None:
            assert POLICY.is_valid({setting.key: described["default"]})


def test_a_policy_of_every_kind_is_accepted_by_both():
    POLICY.validate(EVERY_KIND)
    assert accepted(EVERY_KIND)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.floats(-2, 3), st.sampled_from(["", "x", "Europe/Berlin", "7:infinity", "2027-03-31", "2027-13-01"]),
    st.lists(st.sampled_from(["ssh*", 3, ""]), max_size=2), st.dictionaries(st.sampled_from(["nofile", "nosuch", "nginx"]), st.sampled_from([1, -1, "9:1", True]), max_size=2),
    st.dictionaries(st.just("es"), st.dictionaries(st.sampled_from(["voters", "units", "probe", "voter"]), st.sampled_from([["a"], [""], [], "a", "tcp:5"]), max_size=3), max_size=1),
    st.dictionaries(st.just("nginx"), st.dictionaries(st.sampled_from(["nofile", "nosuch"]), st.sampled_from([1, -1, "9:1", "x", True]), max_size=2), max_size=1),
)
NAMES = st.sampled_from([setting.key for setting in SETTINGS] + ["zombies", "zomibes", "zombies.wran"])
WAIVER = st.dictionaries(
    st.sampled_from(["rule", "justification", "owner", "expires", "group", "until"]), st.sampled_from(["PH-*", "2027-03-31", "2027-02-40", "", 5]), max_size=6)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=2), st.one_of(st.none(), st.lists(WAIVER, max_size=2)))
@example({"limits.units": {"nginx": {"nofile": True}}}, None)
@example({"zombies": {"warn": 1.0}}, None)
@example({"zombies.warn": 2.0}, None)
def test_schema_and_validator_agree(document, waivers):
    if waivers is not None:
        document = dict(document, waivers=waivers)
    assert POLICY.is_valid(document) == accepted(document), document
