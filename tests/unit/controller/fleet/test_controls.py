"""Waivers by group over findings of a fleet; controls, and what is said of them."""

import dataclasses
import datetime

import pytest
from controller.fleet import controls, waivers
from controller.fleet.catalogue import RULES, judge
from fleet_hosts import NOW, broken, finding, group, host, policy
from pidhygiene import document

TODAY = datetime.date(2026, 11, 28)
WAIVER = {"justification": "ordered", "owner": "ops", "expires": "2027-03-31", "expired": False}
IDS = [rule.id for rule in RULES] + ["PH-ZMB-001", "PH-LIM-001", "PH-TZ-001", "PH-DEL-004", "PH-CTR-001", "PH-SYS-006"]


def waiver(rule="PH-FLT-003", expires="2027-01-01", **changed):
    return {"rule": rule, "justification": "the move", "owner": "net", "expires": expires, **changed}


def split_fleet():
    """Ten web servers in Berlin, one in Tokyo, and one in Lima."""
    return group(10) + [dataclasses.replace(host("tokyo", zone="Asia/Tokyo"), groups=("web", "asia")), dataclasses.replace(host("lima", zone="America/Lima"), groups=("web", "peru"))]


def rulings(*given, rule="PH-FLT-003"):
    made = policy(waivers=list(given))
    judged = judge(split_fleet(), made, NOW)
    return waivers.apply([each for each in judged.findings if each.rule == rule], made, judged.groups, TODAY)


# -- waivers ------------------------------------------------------------------------------------------------------------


def test_a_waiver_by_group_takes_its_hosts_and_leaves_the_others():
    (left, taken) = rulings(waiver(group="asia"))
    assert left.finding.hosts == ("lima",) and left.in_force and left.waiver is None
    assert taken.finding.hosts == ("tokyo",) and not taken.in_force and taken.waiver.owner == "net"
    assert left.finding.fingerprint == taken.finding.fingerprint and {each.host for each in taken.finding.evidence} == {"tokyo"}


def test_a_waiver_for_all_and_one_for_none():
    (taken,) = rulings(waiver(group="web"))
    assert taken.finding.hosts == ("lima", "tokyo") and not taken.in_force
    (left,) = rulings(waiver(group="db"), waiver(rule="PH-FLT-001"), waiver(subject="other*"))
    assert left.in_force and left.waiver is None


def test_an_expired_waiver_is_seen_and_in_force():
    (taken,) = rulings(waiver(group="web", expires="2026-11-27"))
    assert taken.expired and taken.in_force and taken.waiver is not None
    (taken,) = rulings(waiver(group="web", expires="2026-11-27"), waiver(group="web", expires="2026-11-28", owner="new"))
    assert not taken.in_force and taken.waiver.owner == "new", "the last day counts, and what holds goes before what has expired"


@pytest.mark.parametrize("pattern, waived", [("tyo1.example.org", True), ("*.example.org", True), ("tokyo", False)])
def test_a_host_is_called_as_it_calls_itself_wherever_it_is_waived(pattern, waived):
    """By the inventory it is tokyo; for its own findings it only knows its own name, and one waiver means one host."""
    hosts = [dataclasses.replace(each, host={**each.host, "name": "tyo1.example.org"}) if each.name == "tokyo" else each for each in split_fleet()]
    made = policy(waivers=[waiver("PH-*", host=pattern)])
    judged = judge(hosts, made, NOW)
    rulings = waivers.apply([each for each in judged.findings if each.rule == "PH-FLT-003"], made, judged.groups, TODAY, judged.own_names)
    assert [each.finding.hosts for each in rulings if not each.in_force] == ([("tokyo",)] if waived else [])
    own = {"rule": "PH-TZ-001", "subject": {"id": "zone"}}
    assert (document._waived(own, made.waivers(), "tyo1.example.org", (), "2026-11-28") is not None) is waived


def test_who_was_not_audited_is_called_as_the_inventory_does():
    hosts = [*group(3), broken("alias")]
    made = policy(waivers=[waiver("PH-FLT-008", host="alias")])
    judged = judge(hosts, made, NOW)
    (ruling,) = [each for each in waivers.apply(judged.findings, made, judged.groups, TODAY, judged.own_names) if "alias" in each.finding.hosts]
    assert ruling.finding.rule == "PH-FLT-008" and not ruling.in_force


def test_a_finding_without_a_host_stays():
    nowhere = dataclasses.replace(rulings()[0].finding, hosts=())
    (ruling,) = waivers.apply([nowhere], policy(waivers=[waiver()]), {}, TODAY)
    assert ruling.in_force


# -- controls -----------------------------------------------------------------------------------------------------------

MAPPED = {"controls": {"PH-ZMB-*": ["CIS 5.1"], "PH-LIM-001": ["CIS 5.1", "PCI 2.2"], "PH-TZ-001": ["ISO 8.17"], "PH-FLT-003": ["ISO 8.17"]}}


def fleet(**more):
    bad, accepted = finding(status="warn"), finding(waiver=WAIVER)
    return [host("ok"), host("bad", findings=(bad,)), host("accepted", findings=(accepted,)),
            dataclasses.replace(host("unseen"), rules={"PH-ZMB-001": "unknown", "PH-LIM-001": "pass"}), dataclasses.replace(host("old"), rules={"PH-LIM-001": "pass"}),
            host("lapsed", ("db",), findings=(finding(waiver={**WAIVER, "expired": True}),)), broken("gone", ("db",))]


def row(identifier, hosts, **more):
    return next(each for each in controls.controls(hosts, policy(**MAPPED), IDS, **more) if each.id == identifier)


def test_outcomes_of_a_control():
    found = row("CIS 5.1", fleet())
    assert found.rules == ("PH-LIM-001", "PH-ZMB-001")
    assert found.hosts == {"pass": 1, "fail": 2, "unknown": 2, "not audited": 1, "waived": 1, "n/a": 0}
    assert found.groups["db"] == {"pass": 0, "fail": 1, "unknown": 0, "not audited": 1, "waived": 0, "n/a": 0}
    assert found.failing == ("bad", "lapsed") and found.not_audited == ("gone",)
    assert found.waived == (controls.Accepted("ops", "2027-03-31", "ordered", ("accepted",)),)


def test_rules_over_the_fleet_count_too_and_unjudged_they_are_unknown():
    hosts = split_fleet()
    judged = judge(hosts, policy(), NOW)
    ruled = waivers.apply(judged.findings, policy(waivers=[waiver(group="asia")]), judged.groups, TODAY)
    found = row("ISO 8.17", hosts, fleet=ruled, judged=judged.rules)
    assert found.hosts == {"pass": 10, "fail": 1, "unknown": 0, "not audited": 0, "waived": 1, "n/a": 0} and found.failing == ("lima",)
    assert row("ISO 8.17", hosts).hosts["unknown"] == 12


def test_what_does_not_apply_is_no_pass():
    found = controls.controls([host()], policy(controls={"PH-CTR-001": ["A"], "PH-NEW-001": ["B"], "PH-NOPE-*": ["C"]}), IDS)
    assert [each.hosts["n/a"] for each in found] == [1, 0, 1] and found[1].hosts["unknown"] == 1


def test_the_sentence():
    assert controls.sentence(controls.controls([], policy(), IDS)) == "no control is mapped: the policy has no controls"
    hosts = group(3) + [broken("web%d" % number) for number in range(10, 48)]
    judged = judge(group(3), policy(), NOW)
    assert controls.sentence(controls.controls(hosts, policy(**MAPPED), IDS, judged=judged.rules)) == "no deviation found in 3 checks; 38 hosts not audited"
    assert controls.sentence(controls.controls(fleet(), policy(**MAPPED), IDS, judged=judged.rules)) == (
        "deviations in 1 of 3 checks on 2 hosts; 2 could not be judged everywhere; deviations accepted on 1 host; 1 host not audited")


@pytest.mark.parametrize("word", ["compliant", "compliance"])
def test_the_word_that_is_never_said(word):
    assert word not in controls.sentence(controls.controls(fleet(), policy(**MAPPED), IDS)).lower()


@pytest.mark.parametrize("hosts, share", [
    ({"pass": 3, "fail": 1}, 0.75), ({"pass": 1, "unknown": 1, "waived": 1, "not audited": 1}, 0.25), ({"pass": 2, "n/a": 7}, 1.0), ({"n/a": 3}, None), ({}, None)])
def test_only_a_pass_is_a_pass(hosts, share):
    assert controls.share(hosts) == share
