"""Quorum groups: no plan, no batch and no host takes one below its majority; what is down counts (FLT-006, FLT-009, F19)."""

from __future__ import annotations

import copy
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from fleet_masters import POLICY, SERVICE, audited, master, masters
from hypothesis import given
from hypothesis import strategies as st
from simulated import NOW

from pidhygiene.policy import Policy
from pidhygiene.remedies import plan, quorum, voter
from pidhygiene.remedies.model import Proposal, Refused, Remedy

ES = quorum.Group("es", ("a", "b", "c"), ("?",))
RESTART = {"remedy": "restart", "parameters": {"unit": SERVICE}, "disruptive": True, "because": []}


def made(results: list[tuple[str, dict[str, Any]]], policy: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    document = plan.make(results, NOW, rules=lambda rule: rule != "PH-DEL-003", policy=Policy(POLICY if policy is None else policy), **more)
    plan.check(document)
    return document


def steps(document: dict[str, Any]) -> dict[str, list[str]]:
    return {host: [step["remedy"] for step in entry["steps"]] for host, entry in document["hosts"].items()}


# -- arithmetic


@given(st.integers(1, 9), st.data())
def test_a_majority_is_left_whoever_is_taken_away(count: int, data: st.DataObject) -> None:
    voters = tuple(chr(97 + number) for number in range(count))
    group = quorum.Group("g", voters, voters)
    up = data.draw(st.sets(st.sampled_from(voters)))
    acting = data.draw(st.sets(st.sampled_from(voters)))
    host = data.draw(st.sampled_from(voters))
    allowed = not quorum.refusal(group, host, acting, up)
    assert allowed == (host not in up or len(up - acting - {host}) > count / 2)


@pytest.mark.parametrize(("count", "spare"), [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3)])
def test_so_many_may_be_down(count: int, spare: int) -> None:
    assert quorum.Group("g", tuple(map(str, range(count))), ()).spare == spare


def test_the_reason_names_who_is_missing() -> None:
    assert quorum.refusal(ES, "a", set(), {"a", "b", "c"}) == ""
    assert quorum.refusal(ES, "a", set(), {"a", "b"}, {"c": "was not audited"}) == \
        "es has 3 voters and needs 2 that are up; without a there would be 1 (c was not audited)"
    assert "(b is taken down at the same time)" in quorum.refusal(ES, "a", {"b"}, {"a", "b", "c"})
    assert quorum.refusal(ES, "c", set(), {"a", "b"}) == "", "it is down already"


@pytest.mark.parametrize(("step", "units", "away"), [
    (RESTART, [], True), (RESTART, [SERVICE], True), (RESTART, ["other.service"], False), (dict(RESTART, disruptive=False), [], False),
    (dict(RESTART, parameters={"units": ["cron.service", SERVICE]}), [SERVICE], True),
    (dict(RESTART, parameters={"unit": "systemd", "how": "daemon-reload"}, disruptive=False), [], False),
    ({"remedy": "dedupe", "parameters": {"keep": 1, "end": "2"}, "disruptive": True}, [SERVICE], True),  # whom it touches is not told
    ({"remedy": "time_zone", "parameters": {"name": "UTC"}, "disruptive": False}, [SERVICE], True),
    ({"remedy": "time_zone", "parameters": {"name": "UTC", "restart": "none"}, "disruptive": False}, [SERVICE], False),
    ({"remedy": "unit_limits", "parameters": {"unit": SERVICE, "limits": {}}, "disruptive": True}, [SERVICE], True),
    ({"remedy": "scheduled_restart", "parameters": {"unit": SERVICE}, "disruptive": True}, [SERVICE], False),  # not now
])
def test_which_steps_take_a_voter_away(step: dict[str, Any], units: list[str], away: bool) -> None:
    assert quorum.takes_away(ES._replace(units=tuple(units)), step) is away


def test_voters_are_named_or_matched() -> None:
    (group,) = quorum.of_policy({"es": {"voters": ["db9", "es*"]}}, ["es1", "es2", "web1"])
    assert group.voters == ("db9", "es1", "es2"), "who is named counts, known or not"
    assert quorum.of_policy({"es": {"voters": ["es*"]}}, ["web1"]) == []


# -- F19: a whole plan


def test_three_masters_go_one_at_a_time() -> None:
    results = masters()
    for _name, result in results:
        assert {"PH-DEL-004", "PH-SES-001"} <= {finding["rule"] for finding in result["findings"] if finding["status"] in ("warn", "fail")}
        assert "quorum=3" in result["host"]["tags"] and result["facts"]["voter_units"] == {SERVICE: {"id": SERVICE, "state": "active"}}
    document = made(results)
    group = document["quorum"]["es-masters"]
    assert steps(document)["es1"] == ["restart"] and group["together"] == 1 and group["order"] == ["es1", "es2", "es3"] and group["down"] == {}
    assert [entry["quorum"] for entry in document["hosts"].values()] == [["es-masters"]] * 3
    assert list(plan.batches_refused(document, [["es1"], ["es2"], ["es3"]])) == []
    (refused,) = plan.batches_refused(document, [["es1", "es2"], ["es3"]])
    assert refused == "es1 and es2 would be changed at the same time, and of the 3 voters of es-masters only 1 may be: go host by host"
    assert list(plan.batches_refused(document, [["web1", "es1"], ["es2", "web2"], ["es3"]])) == []
    assert len(list(plan.batches_refused(document, [["es1", "es2", "es3"]]))) == 1


def test_one_down_allows_none() -> None:
    document = made(masters()[:2], missing={"es3": "was not audited (unreachable)"})
    assert steps(document) == {"es1": [], "es2": []} and document["quorum"] == {}
    (left,) = [each for each in document["hosts"]["es1"]["left"] if each["rule"] == "PH-DEL-001"]
    assert left["why"] == "es-masters has 3 voters and needs 2 that are up; without es1 there would be 1 (es3 was not audited (unreachable))"
    assert left["subject"] == "restart unit elasticsearch.service"
    assert steps(made(masters()[:2])) == {"es1": [], "es2": []}, "a voter of whom nobody knows anything is down as well"


def test_one_down_that_the_plan_repairs_goes_first() -> None:
    document = made(masters("active", "active", "failed"))
    group = document["quorum"]["es-masters"]
    assert group["order"] == ["es3", "es1", "es2"] and group["together"] == 1 and group["down"] == {"es3": "elasticsearch.service was failed"}
    assert list(document["hosts"]) == ["es3", "es1", "es2"]


def test_a_group_of_two_is_never_touched() -> None:
    document = made(masters("active", "active"), {"quorum_groups": {"pair": {"voters": ["es*"], "units": [SERVICE]}}})
    assert steps(document) == {"es1": [], "es2": []}


def test_hosts_that_are_not_repaired_vote() -> None:
    document = made(masters("active", "active", "failed"), only=["es1"])
    assert steps(document) == {"es1": []}
    assert steps(made(masters(), only=["es1"])) == {"es1": ["restart"]}


def test_other_units_and_other_hosts_are_nobodys_business() -> None:
    other = {"quorum_groups": {"es": {"voters": ["es*"], "units": ["kibana.service"]}, "web": {"voters": ["web1"]}}}
    document = made(masters("active", "active"), other)
    assert document["quorum"] == {} and steps(document) == {"es1": ["restart"], "es2": ["restart"]}


def test_a_unit_may_be_named_by_an_alias() -> None:
    policy = {"quorum_groups": {"es": {"voters": ["es1", "es2", "es3"], "units": ["search.service"]}}}
    results = []
    for number in (1, 2, 3):
        host = master(number)
        host.units[SERVICE]["Names"] = [SERVICE, "search.service"]
        results.append(("es%d" % number, audited(host, policy)))
    document = made(results, policy)
    assert document["quorum"]["es"]["down"] == {} and document["quorum"]["es"]["units"] == ["search.service"] and document["hosts"]["es1"]["quorum"] == ["es"]


def test_restarts_on_schedule_do_not_meet() -> None:
    """FLT-009: each host's own timer would fire in the same minute."""
    results = [("es%d" % number, audited(master(number))) for number in (1, 2, 3)]
    for _name, result in results:
        result["findings"].append({
            "rule": "PH-ZMB-002", "status": "fail", "subject": {"type": "unit", "id": SERVICE}, "message": "m", "waiver": None, "fingerprint": "f",
            "remedy": {"state": "scheduled_restart", "parameters": {"unit": SERVICE, "interval": 86400}, "disruptive": True}})
    document = made(results)
    assert "scheduled_restart" not in steps(document)["es1"]
    assert any("es1, es2 and es3 of es-masters would be restarted on schedule" in each["why"] for each in document["hosts"]["es2"]["left"])
    assert "scheduled_restart" in steps(made(results, only=["es1"]))["es1"]


# -- PH-DEL-006 over a whole plan


def test_logind_is_not_restarted_under_a_stale_bus() -> None:
    """Whichever rules were asked for, and whatever the order of the steps."""
    document = plan.make([("es1", audited(master(1, logind=True)))], NOW)
    assert [step["parameters"] for step in document["hosts"]["es1"]["steps"] if step["remedy"] == "restart"] == [{"unit": SERVICE}]
    left = {each["rule"]: each["why"] for each in document["hosts"]["es1"]["left"]}
    assert "systemd-logind.service is not restarted on a running host" in left["PH-DEL-005"] and "--reboot-at" in left["PH-DEL-005"]
    assert "dbus.service is not restarted on a running host" in left["PH-DEL-004"]
    assert "logind is asked over the message bus" in left["PH-SES-001"]
    only = plan.make([("es1", audited(master(1, logind=True)))], NOW, rules=lambda rule: rule == "PH-DEL-005")
    assert only["hosts"]["es1"]["steps"] == [] and "a reboot needs a time" in only["hosts"]["es1"]["left"][0]["why"]


def test_the_limits_of_logind_count_as_a_restart() -> None:
    result = audited(master(1))
    result["findings"].append({
        "rule": "PH-LIM-006", "status": "warn", "subject": {"type": "unit", "id": "systemd-logind.service"}, "message": "m", "waiver": None, "fingerprint": "f",
        "remedy": {"state": "unit_limits", "parameters": {"unit": "systemd-logind.service", "nofile": "9"}, "disruptive": True}})
    entry = plan.make([("es1", result)], NOW)["hosts"]["es1"]
    assert "unit_limits" not in [step["remedy"] for step in entry["steps"]]
    assert [each["why"] for each in entry["left"] if each["rule"] == "PH-LIM-006"][0].startswith("systemd-logind.service would be restarted")


# -- on the host


class Touched(Exception):
    pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """es1, with its voter up; a step that is really begun raises Touched."""
    def propose(_host: object, _given: dict[str, Any]) -> Proposal:
        raise Touched

    state = {"problem": ""}
    real = plan.BY_NAME["restart"]
    monkeypatch.setitem(plan.BY_NAME, "restart", Remedy(real.name, real.title, real.parameters, propose, lambda host, given: []))
    monkeypatch.setattr(plan.engine, "apply", lambda remedy, given, revert_after: propose(None, given))
    monkeypatch.setattr(voter, "problem", lambda units, probe, alone=False: state["problem"])
    return state


def said(**up: bool) -> list[plan.Voter]:
    return [plan.Voter("es-masters", name, is_up, "" if is_up else "does not answer") for name, is_up in up.items()]


def test_a_host_is_touched_while_a_majority_is_left(here: dict[str, Any]) -> None:
    document = plan.part_of(made(masters()), ["es1"])
    assert list(document["hosts"]) == ["es1"] and list(document["quorum"]) == ["es-masters"]
    with pytest.raises(Touched):
        plan.apply_host(document, "es1", False, host=master(1), asked=said(es2=True, es3=True))
    for asked, words in (
        (None, "was not asked"), (said(es2=True, es3=False), "es3 does not answer"), (said(es2=True), "es3 is down"),
        ([plan.Voter("other", "es2", True), *said(es3=True)], "without es1 there would be 1"),
        ([plan.Voter("es-masters", "es2", True, acting=True), *said(es3=True)], "es2 is taken down at the same time"),
        ([plan.Voter("es-masters", "es1", True), *said(es3=True)], "es2 is down"),  # itself is no other
    ):
        with pytest.raises(Refused) as caught:
            plan.apply_host(document, "es1", False, host=master(1), asked=asked)
        assert words in str(caught.value)
    here["problem"] = "is no voter"
    with pytest.raises(Touched):
        plan.apply_host(document, "es1", False, host=master(1), asked=said(es2=True, es3=False))


def test_looking_needs_no_others(here: dict[str, Any]) -> None:
    with pytest.raises(Touched):
        plan.apply_host(made(masters()), "es1", True, host=master(1))
    with pytest.raises(Refused):
        plan.apply_host(made(masters()), "es1", True, host=master(1), asked=said(es2=True))


@pytest.mark.parametrize("change", [
    lambda it: it["hosts"]["es1"].update(quorum=[]), lambda it: it["quorum"]["es-masters"].update(voters=["es1"]),
    lambda it: it["quorum"]["es-masters"].update(together=3), lambda it: it["quorum"]["es-masters"].update(units=["x.service"]),
    lambda it: it["hosts"]["es1"]["steps"][0].update(disruptive=False),
])
def test_an_edited_group_is_refused(here: dict[str, Any], change: Any) -> None:
    document = copy.deepcopy(made(masters()))
    change(document)
    with pytest.raises(Refused) as caught:
        plan.apply_host(document, "es1", False, host=master(1), asked=said(es2=True, es3=True))
    assert "digest differs" in str(caught.value)


@pytest.mark.parametrize(("change", "words"), [
    (lambda it: it.update(quorum=[]), "quorum: must be a mapping"), (lambda it: it["quorum"].clear(), "there is no group es-masters"),
    (lambda it: it["quorum"]["es-masters"].update(voters="es1"), "quorum.es-masters.voters"),
    (lambda it: it["quorum"]["es-masters"].update(together="1"), "quorum.es-masters.together"),
    (lambda it: it["quorum"]["es-masters"].update(probe=None), "quorum.es-masters.probe"), (lambda it: it["quorum"].update({"x": 1}), "quorum.x"),
])
def test_mistakes_in_a_group_have_a_place(change: Any, words: str) -> None:
    document = copy.deepcopy(made(masters()))
    change(document)
    with pytest.raises(plan.NotAPlan) as caught:
        plan.check(document)
    assert words in str(caught.value)


# -- probes, against real sockets


def test_a_port_that_is_listened_on_is_up() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        assert "is not listened on" in voter.problem((), "tcp:%d" % port)
        one.listen()
        assert voter.problem((), "tcp:%d" % port) == ""
    assert "is no probe" in voter.problem((), "file:///etc/passwd")


def test_an_address_must_answer_well() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/ok": 200, "/red": 503}.get(self.path, 302))
            self.send_header("Location", "/ok")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        place = "http://127.0.0.1:%d" % server.server_port
        assert voter.problem((), place + "/ok") == ""
        assert "answers 503" in voter.problem((), place + "/red") and "answers 302" in voter.problem((), place + "/moved")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert "does not answer" in voter.problem((), place + "/ok")
