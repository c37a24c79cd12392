"""The result document: grouping, bounds, waivers, fingerprints, faults of ours."""

import json

import pytest
from pidhygiene import document, model
from pidhygiene import audit as auditing
from pidhygiene.audit import audit
from pidhygiene.host import Denied, Missing, OutOfTime
from pidhygiene.model import Finding, Gap, Passed, Seen, Subject, Unknown, rule
from pidhygiene.policy import Policy
from pidhygiene.rules.catalogue import NoSuchRule, select
from simulated import SimulatedHost

FILES = ("PH-LIM-006", "open files near the limit")


def many_users(count):
    host = SimulatedHost()
    for uid in range(2000, 2000 + count):
        host.process(uid, 1, "busy", uid=uid, threads=95, nproc=(100, 100), cgroup="/user.slice/user-%d.slice/session-1.scope" % uid)
    return host


def test_unknowns_are_grouped_by_cause_with_ten_examples():
    host = SimulatedHost()
    for pid in range(100, 150):
        host.process(pid, 1, "x").forbid("/proc/%d/stat" % pid)
    result = audit(host, rules=["PH-ZMB-001"])
    (finding,) = result["findings"]
    assert "permission denied (50 places)" in finding["message"] and len(finding["evidence"]) == 10
    assert result["rules"][0]["counts"] == {"unknown": 1}


def test_at_most_200_findings_of_a_rule_and_the_rest_counted():
    result = audit(many_users(230), rules=["PH-LIM-001"])
    assert len(result["findings"]) == 200
    assert result["rules"][0]["omitted"] == 30 and result["rules"][0]["counts"]["fail"] == 230


def test_no_user_pushes_out_what_is_of_the_system():
    @rule("PH-LIM-001", "x", "HIGH", "x", ())
    def told(evidence, policy):
        for number in range(300):
            yield Finding("fail", "CRIT", Subject("unit", "user@1000.service/app.slice/%d.service" % number), "x")
            yield Finding("fail", "CRIT", Subject("job", "/var/spool/cron/crontabs/eve:%d (x)" % number), "x")
        for number in range(30):
            yield Finding("warn", "MED", Subject("unit", "%d.service" % number), "x")
            yield Finding("warn", "MED", Subject("job", "/var/spool/cron/crontabs/root:%d (x)" % number), "x")
        yield Finding("warn", "MED", Subject("unit", "user@1001.service/app.slice/x.service"), "x")

    host = SimulatedHost()
    evidence = auditing.gather(host, ())
    document_ = document.build(host, evidence, Policy(), [auditing.judge(told, evidence, Policy(), [])], [], ())
    ids = [finding["subject"]["id"] for finding in document_["findings"]]
    assert len([name for name in ids if name.startswith("user@1000")]) == len([name for name in ids if "/eve:" in name]) == document.MOST_OF_A_USER
    assert len(ids) == 101 and "user@1001.service/app.slice/x.service" in ids and document_["rules"][0]["omitted"] == 560
    assert [finding["status"] for finding in document_["findings"]] == ["fail"] * 40 + ["warn"] * 61


def test_a_bad_host_stays_below_200_kib():
    assert len(json.dumps(audit(many_users(400)), sort_keys=True)) <= 200 * 1024


def test_a_healthy_host_stays_below_20_kib_and_names_every_rule():
    result = audit(SimulatedHost())
    assert len(json.dumps(result, sort_keys=True)) <= 20 * 1024
    assert len(result["rules"]) == len(select(["PH-*"]))
    assert all(row["status"] in model.STATUSES for row in result["rules"])


def test_the_same_fault_has_the_same_fingerprint_after_a_restart():
    first = audit(many_users(1), rules=["PH-LIM-001"])["findings"][0]["fingerprint"]
    assert audit(many_users(1), rules=["PH-LIM-001"])["findings"][0]["fingerprint"] == first
    one, other = (SimulatedHost().process(pid, 1, "agent", "Z", threads=3, cgroup="/system.slice/a.service") for pid in (50, 51))
    prints = {audit(host, rules=["PH-ZMB-003"])["findings"][0]["fingerprint"] for host in (one, other)}
    assert len(prints) == 1, "pids are evidence, not identity"


WAIVER = {"rule": "PH-LIM-*", "subject": "uid 2000", "justification": "load test", "owner": "ops", "expires": "2099-01-01"}


@pytest.mark.parametrize("change, gates", [
    ({}, False), ({"expires": "2020-01-01"}, True), ({"rule": "PH-ZMB-*"}, True), ({"subject": "uid 2001"}, True), ({"host": "other*"}, True),
    ({"host": "simul*"}, False), ({"group": "database"}, True), ({"group": "web"}, False)])
def test_waivers(change, gates):
    result = audit(many_users(1), Policy({"waivers": [dict(WAIVER, **change)]}), rules=["PH-LIM-001"], tags=["web"])
    assert document.gate(result, "fail") is gates
    (finding,) = result["findings"]
    assert finding["status"] == "fail", "waived stays visible"
    if finding["waiver"]:
        assert finding["waiver"]["expired"] is gates
    assert result["summary"]["waived"] == (0 if gates else 1)


def test_the_gate():
    result = audit(many_users(1), rules=["PH-LIM-001", "PH-ZMB-001"])
    assert document.gate(result, "fail") and document.gate(result, "warn") and document.gate(result, "unknown")
    informed = audit(SimulatedHost().file("/proc/sys/kernel/pid_max", "32768\n"), rules=["PH-PID-003"])
    assert informed["findings"][0]["status"] == "info" and not document.gate(informed, "unknown")


@rule("PH-XXX-001", "Faulty", "LOW", "it is broken", ("processes",))
def faulty(evidence, policy):
    yield Passed()
    raise ZeroDivisionError("oh")


@rule("PH-XXX-002", "Asks for what was not read", "LOW", "it is broken", ("processes",), ("users",))
def asking(evidence, policy):
    yield Finding("info", "INFO", Subject("host", "x\x1b[31m"), "told: %s" % len(evidence.users.by_uid), (Seen("a\nb", "c" * 5000),))


@rule("PH-XXX-003", "Unknown in part", "LOW", "", ("processes",))
def partly(evidence, policy):
    yield Unknown((Gap("/a", "permission denied"), Gap("/b", "not a regular file"), Gap("/c", "permission denied")))
    yield Passed(3)


def test_a_fault_of_ours_costs_one_rule_and_is_told(monkeypatch):
    monkeypatch.setattr(auditing, "RULES", (faulty, asking))
    result = audit(SimulatedHost())
    assert result["audit"]["errors"] == ["PH-XXX-001: ZeroDivisionError: oh"]
    assert [row["status"] for row in result["rules"]] == ["unknown", "info"]


def test_evidence_that_is_missing_makes_unknown_not_an_error(monkeypatch):
    monkeypatch.setattr(auditing, "RULES", (asking,))
    host = SimulatedHost()
    monkeypatch.setattr("pidhygiene.readers.users.read", lambda host: (_ for _ in ()).throw(Denied("/etc/passwd", "permission denied")))
    result = audit(host)
    assert result["rules"][0]["status"] == "unknown" and result["audit"]["errors"] == []


def test_a_faulty_reader_costs_its_rules_only(monkeypatch):
    monkeypatch.setattr("pidhygiene.readers.users.read", lambda host: {}["x"])
    monkeypatch.setattr(auditing, "RULES", (asking, partly))
    result = audit(SimulatedHost())
    assert [row["status"] for row in result["rules"]] == ["unknown", "unknown"]
    assert result["audit"]["errors"] and "reader users: KeyError" in result["audit"]["errors"][0]


def test_partly_unknown_counts_what_passed(monkeypatch):
    monkeypatch.setattr(auditing, "RULES", (partly,))
    result = audit(SimulatedHost())
    assert result["rules"][0] == {"rule": "PH-XXX-003", "status": "unknown", "counts": {"unknown": 2, "pass": 3}}
    assert [finding["subject"]["id"] for finding in result["findings"]] == ["not a regular file", "permission denied"]


def test_hostile_text_is_harmless_and_cut(monkeypatch):
    monkeypatch.setattr(auditing, "RULES", (asking,))
    (finding,) = audit(SimulatedHost())["findings"]
    assert finding["subject"]["id"] == "x\\x1b[31m"
    assert finding["evidence"][0]["source"] == "a\\nb" and len(finding["evidence"][0]["value"]) <= 401


def test_a_deadline_that_has_passed_leaves_a_whole_document():
    host = SimulatedHost()
    for path in list(host.files):
        host.forbid(path, OutOfTime(path, "the audit's deadline has passed"))
    host.forbid("/proc", OutOfTime("/proc", "the audit's deadline has passed"))
    result = audit(host)
    assert result["audit"]["errors"] == []
    assert sum(1 for row in result["rules"] if row["status"] == "unknown") > 15
    assert not [row for row in result["rules"] if row["status"] == "pass" and row["rule"].startswith(("PH-ZMB", "PH-PID"))]


def test_a_pattern_that_matches_no_rule_is_a_mistake():
    with pytest.raises(NoSuchRule, match="PH-NONE"):
        audit(SimulatedHost(), rules=["PH-NONE-*"])


@pytest.mark.parametrize("previous", [None, {}, {"version": 99}, {"version": 1}, "nonsense", {"version": 1, "zombies": None, "boot_id": None}])
def test_marks_of_any_kind_do_no_harm(previous):
    assert audit(SimulatedHost(), previous=previous)["audit"]["errors"] == []


def test_marks_lead_to_the_next_audit():
    host = SimulatedHost().process(8102, 1, "leaky", start=9000, cgroup="/system.slice/a.service")
    for pid in range(9000, 9030):
        host.process(pid, 8102, "child", "Z", dead=100)
    marks = json.loads(json.dumps(audit(host)["marks"]))
    host.boot += 3600
    host.wall += 3600
    result = audit(host, previous=marks)
    assert result["audit"]["errors"] == []


def test_an_absent_proc_is_unknown():
    host = SimulatedHost().forbid("/proc", Missing("/proc", "does not exist"))
    result = audit(host)
    assert {row["rule"]: row["status"] for row in result["rules"]}["PH-ZMB-001"] == "unknown"
