"""The Ansible module by itself: arguments in, result or a clear sentence out, never a traceback, nothing in the host's log."""

import json

import collection
import pytest

collection.install()

from ansible.module_utils.testing import patch_module_args  # noqa: E402
from ansible_collections.pidhygiene.host.plugins.modules import audit_info  # noqa: E402


@pytest.fixture
def run(capsys):
    """Runs the module with these arguments; returns its exit status and what it answered."""
    def run(**arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
            audit_info.main()
        said = capsys.readouterr()
        assert said.err == ""
        return ended.value.code, json.loads(said.out)
    return run


def test_answers_with_a_result(run):
    status, answer = run(tags=["web"])
    assert (status, answer["changed"], answer["outcome"]) == (0, False, "audited")
    assert answer["result"]["schema"] == "pidhygiene.result/1"
    assert answer["result"]["host"]["tags"] == ["web"]


def test_check_mode_gives_the_same_kind_of_answer(run):
    status, answer = run(_ansible_check_mode=True, rules=["PH-PID-003"])
    assert status == 0 and not answer["changed"]
    assert [row["rule"] for row in answer["result"]["rules"]] == ["PH-PID-003"]


def test_only_the_wanted_rules_run(run):
    _status, answer = run(rules=["PH-ZMB-*"])
    assert {row["rule"][:6] for row in answer["result"]["rules"]} == {"PH-ZMB"}


@pytest.mark.parametrize("policy, path, word", [
    ({"zomibes": {"warn": 3}}, "zomibes", "did you mean 'zombies'"), ({"zombies": {"wran": 3}}, "zombies.wran", "did you mean 'warn'"),
    ({"headroom": {"warn": 7}}, "headroom.warn", "between 0 and 1"), ({"waivers": [{"rule": "PH-*"}]}, "waivers[0].owner", "is missing"),
])
def test_a_mistake_in_the_policy_is_named(run, policy, path, word):
    status, answer = run(policy=policy)
    assert status == 1 and answer["failed"]
    assert path in answer["msg"] and word in answer["msg"]
    assert path in [mistake["path"] for mistake in answer["mistakes"]]


def test_a_rule_that_does_not_exist_is_named(run):
    status, answer = run(rules=["PH-NOSUCH-*"])
    assert (status, answer["failed"]) == (1, True)
    assert "PH-NOSUCH-*" in answer["msg"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x1f\x8b broken", b"[1]"])
def test_a_snapshot_that_is_none_is_named(run, tmp_path, content):
    place = tmp_path / "snapshot.json"
    if content is not None:
        place.write_bytes(content)
    status, answer = run(snapshot=str(place))
    assert (status, answer["failed"]) == (1, True)
    assert str(place) in answer["msg"] or "snapshot" in answer["msg"]
    assert "bug of pidhygiene" not in answer["msg"]


@pytest.mark.parametrize("previous", [{}, {"version": 99}, {"version": 1, "boot": "soon"}, {"version": 1, "boot_id": 3, "zombies": [], "boot": None, "wall": {}}])
def test_marks_that_are_none_do_no_harm(run, previous):
    status, answer = run(previous=previous)
    assert status == 0
    assert answer["result"]["audit"]["errors"] == []


def test_a_fault_of_ours_is_a_sentence(run, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(audit_info, "audit", broken)
    status, answer = run()
    assert (status, answer["failed"]) == (1, True)
    assert answer["msg"] == "The audit itself failed (ZeroDivisionError: division by zero); this is a bug of pidhygiene."


def test_nothing_is_written_to_the_log_of_the_host(run, monkeypatch):
    logged = []
    monkeypatch.setattr(audit_info.AnsibleModule, "log", lambda _module, message, log_args=None: logged.append(message))
    run(policy={"processes": {"ignore": ["secret"]}})
    assert logged == []
