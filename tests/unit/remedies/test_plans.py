"""Plans: what becomes a step, what is left to people and why, and which plans no host takes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from simulated import NOW, SimulatedHost

from pidhygiene.remedies import plan
from pidhygiene.remedies.model import Difference, Failed, Proposal, Refused, Remedy

BOOT = "3a9c4a5e-0000-4000-8000-000000000001"  # of the simulated host


def finding(rule: str, remedy: dict[str, Any] | None, status: str = "fail", subject: str = "a.service", waiver: Any = None) -> dict[str, Any]:
    return {"rule": rule, "status": status, "subject": {"type": "unit", "id": subject}, "message": "m", "remedy": remedy, "waiver": waiver,
            "fingerprint": rule + subject}


def limits(unit: str, disruptive: bool = True, **items: str) -> dict[str, Any]:
    return {"state": "unit_limits", "parameters": {"unit": unit, **items}, "disruptive": disruptive}


def result(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"host": {"boot_id": BOOT}, "audit": {"started_at": "2026-11-28T00:00:00Z"}, "findings": list(findings)}


def made(*findings: dict[str, Any], **more: Any) -> dict[str, Any]:
    return plan.make([("web1", result(*findings))], NOW, **more)


def test_findings_about_one_unit_are_one_step() -> None:
    entry = made(finding("PH-LIM-003", limits("a.service", nofile="5")), finding("PH-SYS-005", limits("a.service", False, tasks="9")),
                 finding("PH-LIM-003", limits("b.service", nofile="5"), subject="b.service"))["hosts"]["web1"]
    assert [(step["parameters"], step["disruptive"], len(step["because"])) for step in entry["steps"]] == [
        ({"unit": "a.service", "limits": {"nofile": "5", "tasks": "9"}}, True, 2), ({"unit": "b.service", "limits": {"nofile": "5"}}, True, 1)]


def test_two_values_for_one_limit_are_not_mixed() -> None:
    entry = made(finding("PH-LIM-003", limits("a.service", nofile="5")), finding("PH-LIM-006", limits("a.service", nofile="6")))["hosts"]["web1"]
    assert [step["parameters"]["limits"]["nofile"] for step in entry["steps"]] == ["5", "6"]


def test_what_no_step_repairs_is_left_to_people_with_the_reason() -> None:
    entry = made(finding("PH-A", None), finding("PH-B", {"state": "fix", "parameters": {}, "disruptive": True}),
                 finding("PH-C", {"state": "unit_limits", "parameters": {"unit": "a.service"}, "disruptive": False}))["hosts"]["web1"]
    assert entry["steps"] == [] and [each["rule"] for each in entry["left"]] == ["PH-A", "PH-B", "PH-C"]
    assert "no remedy is known" in entry["left"][0]["why"] and "by hand" in entry["left"][1]["why"] and "which value" in entry["left"][2]["why"]


def test_a_reboot_needs_a_time_and_comes_last() -> None:
    needs = [finding(rule, {"state": "reboot", "parameters": {}, "disruptive": True}) for rule in ("PH-DEL-004", "PH-DEL-007")]
    entry = made(*needs)["hosts"]["web1"]
    assert entry["steps"] == [] and all("--reboot-at" in each["why"] for each in entry["left"])
    entry = made(*needs, finding("PH-LIM-003", limits("a.service", nofile="5")), reboot_at="03:30")["hosts"]["web1"]
    assert entry["left"] == [] and [(step["remedy"], len(step["because"])) for step in entry["steps"]] == [("unit_limits", 1), ("reboot", 2)]
    assert entry["steps"][1]["parameters"] == {"when": "03:30"} and entry["steps"][1]["disruptive"]
    plan.check(made(*needs, reboot_at="03:30"))


def test_a_users_own_units_are_left_to_the_user() -> None:
    entry = made(finding("PH-LIM-006", limits("a.service", nofile="5", user="alice")))["hosts"]["web1"]
    assert entry["steps"] == [] and "systemctl --user" in entry["left"][0]["why"]


def test_what_is_well_waived_or_not_asked_for_is_not_planned() -> None:
    good = limits("a.service", nofile="5")
    assert made(finding("PH-A", good, "info"), finding("PH-B", good, "unknown"), finding("PH-C", good, waiver={"expired": False}))["hosts"] == {}
    assert len(made(finding("PH-C", good, waiver={"expired": True}))["hosts"]["web1"]["steps"]) == 1
    assert made(finding("PH-A", good), rules=lambda rule: rule == "PH-B")["hosts"] == {}


def test_restarts_on_schedule_have_an_owner() -> None:
    wanted = finding("PH-ZMB-002", {"state": "scheduled_restart", "parameters": {"unit": "a.service", "interval": 7200}, "disruptive": True})
    (step,) = made(wanted, owner="backup team", ticket="CHG-1")["hosts"]["web1"]["steps"]
    assert step["parameters"] == {"unit": "a.service", "interval": 7200, "owner": "backup team", "reason": "CHG-1"}
    assert made(wanted)["hosts"]["web1"]["steps"][0]["parameters"] == {"unit": "a.service", "interval": 7200}


def test_limits_come_before_restarts() -> None:
    kept = dict(plan.BY_NAME)
    assert [name for name in plan.ORDER if name in kept] == [each for each in plan.ORDER if each in kept]


@pytest.mark.parametrize(("change", "words"), [
    (lambda it: it.update(schema="x"), "schema"), (lambda it: it.update(expires="soon"), "expires"), (lambda it: it.update(hosts=[]), "hosts"),
    (lambda it: it["hosts"]["web1"].update(steps=None), "steps"), (lambda it: it["hosts"]["web1"].update(boot_id=3), "boot_id"),
    (lambda it: it["hosts"]["web1"]["steps"][0].update(remedy="rm"), "'rm' is no remedy"), (lambda it: it["hosts"]["web1"]["steps"].append("x"), "steps[1]"),
    (lambda it: it["hosts"]["web1"]["steps"][0]["parameters"].update(unitt="x"), "no parameter 'unitt'"),
])
def test_mistakes_have_a_place(change, words: str) -> None:
    document = made(finding("PH-A", limits("a.service", nofile="5")))
    plan.check(document)
    change(document)
    with pytest.raises(plan.NotAPlan) as caught:
        plan.check(document)
    assert words in str(caught.value)


def test_no_text_is_no_plan() -> None:
    with pytest.raises(plan.NotAPlan):
        plan.check("plan.yml")


@pytest.mark.parametrize(("change", "words"), [
    (lambda it: it.update(expires="2020-01-01T00:00:00Z"), "holds for a day"), (lambda it: it.update(created="2020-01-01T00:00:00Z"), "holds for a day"),
    (lambda it: it.update(created="2090-01-01T00:00:00Z", expires="2090-01-02T00:00:00Z"), "from the future"),
    (lambda it: it["hosts"]["web1"].update(boot_id="other"), "another boot"),
    (lambda it: it["hosts"]["web1"]["steps"][0]["parameters"]["limits"].update(nofile="6"), "not those that were planned"),
])
def test_plans_that_no_host_takes(change, words: str) -> None:
    document = made(finding("PH-A", limits("a.service", nofile="5")))
    change(document)
    with pytest.raises(Refused) as caught:
        plan.apply_host(document, "web1", True, host=SimulatedHost())
    assert words in str(caught.value)


def test_another_hosts_plan_does_nothing() -> None:
    report = plan.apply_host(made(finding("PH-A", limits("a.service", nofile="5"))), "web2", True, host=SimulatedHost())
    assert report.outcomes == () and report.succeeded and not report.changed


def test_it_ends_at_the_first_step_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def propose(_host: object, given: dict[str, Any]) -> Proposal:
        if given["unit"] == "b.service":
            raise Refused("it would do harm")
        return Proposal(())

    real = plan.BY_NAME["unit_limits"]
    monkeypatch.setitem(plan.BY_NAME, "unit_limits", Remedy(real.name, real.title, real.parameters, propose, lambda host, given: []))
    document = made(*(finding("PH-A", limits(unit, nofile="5"), subject=unit) for unit in ("a.service", "b.service", "c.service")))
    report = plan.apply_host(document, "web1", True, host=SimulatedHost())
    assert [each.status for each in report.outcomes] == ["as it shall be", "refused", "not reached"] and not report.succeeded
    assert "it would do harm" in report.plain()["outcomes"][1]["message"]


def test_a_digest_knows_the_steps_and_their_reasons() -> None:
    entry = made(finding("PH-A", limits("a.service", nofile="5")))["hosts"]["web1"]
    other = copy.deepcopy(entry)
    other["steps"][0]["because"][0]["fingerprint"] = "x"
    assert plan.evidence(entry["steps"]) == entry["evidence"] != plan.evidence(other["steps"])


def test_outcomes_are_plain() -> None:
    outcome = plan.Outcome("unit_limits", {}, "applied", "", (Difference("a", "b", "c"),))
    assert outcome.plain()["differences"] == [{"what": "a", "before": "b", "after": "c"}]
    assert plan.HostReport((outcome,), ("PH-A m",)).plain()["changed"] and not plan.HostReport((outcome,), ("PH-A m",)).succeeded
    assert str(Failed("x", "old")) == "x"
