"""quorum_info and voter_info on the controller: batches as Ansible forms them, whom to ask, and hosts that give no answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import collection
import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from fleet_masters import POLICY, masters
from simulated import NOW

from pidhygiene.policy import Policy
from pidhygiene.remedies import plan

collection.install()

from ansible_collections.pidhygiene.host.plugins.action import apply_plan, quorum_info, voter_info  # noqa: E402

HOSTS = ["es1", "es2", "es3", "web1"]


@pytest.mark.parametrize(("serial", "found"), [
    ([], [["a", "b", "c", "d", "e"]]), ([0], [["a", "b", "c", "d", "e"]]), ([1], [["a"], ["b"], ["c"], ["d"], ["e"]]), (["2"], [["a", "b"], ["c", "d"], ["e"]]),
    ([1, 2], [["a"], ["b", "c"], ["d", "e"]]), (["50%"], [["a", "b"], ["c", "d"], ["e"]]), ([1, 9], [["a"], ["b", "c", "d", "e"]]),
])
def test_batches_are_those_of_ansible(serial: list[Any], found: list[list[str]]) -> None:
    assert quorum_info.batches(list("abcde"), serial) == found


def asked(host: str, serial: list[Any], batch: list[str], document: dict[str, Any] | None = None, known: list[str] | None = None) -> dict[str, Any]:
    given = document or plan.make(masters(), NOW, rules=lambda rule: rule == "PH-DEL-001", policy=Policy(POLICY))
    task = SimpleNamespace(args={"plan": given}, _parent=SimpleNamespace(_parent=SimpleNamespace(_play=SimpleNamespace(serial=serial))), async_val=0, check_mode=False, diff=False)
    play = SimpleNamespace(check_mode=False, diff=False)
    action = quorum_info.ActionModule(task, SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)), play, None, None, None)
    answer: dict[str, Any] = action.run(task_vars={"inventory_hostname": host, "ansible_play_batch": batch, "ansible_play_hosts_all": HOSTS,
                                                   "groups": {"all": known or HOSTS}})
    return answer


def test_a_voter_asks_the_others() -> None:
    answer = asked("es1", [1], ["es1"])
    assert answer["groups"] == ["es-masters"] and [(row["voter"], row["units"], row["acting"]) for row in answer["ask"]] == [
        ("es2", ["elasticsearch.service"], False), ("es3", ["elasticsearch.service"], False)]
    assert asked("web1", [1], ["web1"])["ask"] == []


@pytest.mark.parametrize(("serial", "batch"), [([3], ["es1", "es2", "es3"]), ([1, 2], ["es1"]), ([], ["es1"]), (["100%"], ["es1"]), ([1], ["es2", "es3"])])
def test_batches_to_come_are_judged_too(serial: list[Any], batch: list[str]) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        asked("es1", serial, batch)
    assert "would be changed at the same time" in str(caught.value) and "nothing was changed" in str(caught.value)


def test_a_voter_that_the_plan_does_not_know_ends_the_run() -> None:
    document = plan.make(masters(), NOW, rules=lambda rule: rule == "PH-DEL-001", policy=Policy({"quorum_groups": {"es": {"voters": ["es*"]}}}))
    assert asked("es1", [1], ["es1"], document)["groups"] == ["es"]
    with pytest.raises(AnsibleActionFail) as caught:
        asked("es1", [1], ["es1"], document, [*HOSTS, "es4"])
    assert "es4 of the inventory would vote in es" in str(caught.value)


class TaskTimeoutError(BaseException):
    """As Ansible raises it."""


@pytest.mark.parametrize(("answer", "up", "why"), [
    ({"up": True, "why": ""}, True, ""), ({"up": False, "why": "is no voter"}, False, "is no voter"), ({"failed": True, "msg": "no Python\nat all"}, False, "(no Python)"),
    ({"unreachable": True, "msg": "no route"}, False, "(no route)"), ({}, False, "no answer"), ({"up": "yes"}, False, "no answer"),
    (AnsibleConnectionFailure("connection refused"), False, "connection refused"), (TaskTimeoutError("late"), False, "no answer in 7 s"),
])
def test_who_cannot_be_asked_is_down(monkeypatch: pytest.MonkeyPatch, answer: Any, up: bool, why: str) -> None:
    def execute(*_arguments: Any, **_options: Any) -> dict[str, Any]:
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    task = SimpleNamespace(args={}, async_val=0, timeout=7, check_mode=False, diff=False)
    action = voter_info.ActionModule(task, SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)), SimpleNamespace(check_mode=False), None, None, None)
    found = action.run(task_vars={})
    assert found["up"] is up and why in found["why"] and not found.get("failed") and not found.get("unreachable")


def test_an_interrupt_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def execute(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ActionBase, "_execute_module", execute)
    task = SimpleNamespace(args={}, async_val=0, timeout=7, check_mode=False, diff=False)
    with pytest.raises(KeyboardInterrupt):
        voter_info.ActionModule(task, SimpleNamespace(_shell=SimpleNamespace(tmpdir=None)), SimpleNamespace(check_mode=False), None, None, None).run(task_vars={})


def test_answers_of_a_loop_are_read() -> None:
    row = {"ansible_loop_var": "pidhygiene_voter", "pidhygiene_voter": {"group": "es", "voter": "es2", "acting": True}, "up": True, "why": ""}
    assert apply_plan._voter(row) == {"group": "es", "name": "es2", "up": True, "why": "", "acting": True}
    assert apply_plan._voter({"group": "es", "name": "es2", "up": "yes"})["up"] is False
