"""The questions that reports, fleet rules and forecasts ask."""

import hashlib
import json

import pytest
import synthetic
from controller.store import NoSuchRun, Store, received, writing
from synthetic import DAY, START, attempt, finding, fingerprint, result


def fill(store, runs):
    """[{name: document}, ...], a day after each other."""
    for day, documents in enumerate(runs):
        began = START + day * DAY
        target = writing.Target("run %d" % day, writing.REPORTED, began, began + 600.0, "ops", "0.1.0", "sha256:1", len(documents))
        intake = store.intake()
        for document in documents.values():
            data = json.dumps(document).encode()
            intake.answer(received.answer(data, document, began + 300.0), target)
        intake.flush()


def test_a_host_is_what_its_result_says(store):
    document = result("web1", [finding(), finding("PH-TZ-001", "warn", "MED", waiver={"justification": "j", "owner": "o", "expires": "2026-01-01", "expired": True})],
                      tags=["web", "site1"], measures={"tasks": 7, "zombies": {"total": 3, "by_parent": []}})
    fill(store, [{"web1": document, "db1": attempt("db1")}])
    down, host = store.hosts(store.last_run().id)
    for section in ("host", "audit", "facts", "measures"):
        assert dict(getattr(host, section)) == document[section], section
    assert list(host.findings) == document["findings"]
    assert host.rules == {row["rule"]: row["status"] for row in document["rules"]} and len(host.rules) > 50
    assert (host.name, host.outcome, host.at, host.received, host.status, host.groups) == ("web1", "audited", START, START + 300, "fail", ("site1", "web"))
    assert host.sha256 == hashlib.sha256(json.dumps(document).encode()).hexdigest() == hashlib.sha256(store.raw_document("web1", store.last_run().id)).hexdigest()
    (_down, lean) = store.hosts(store.last_run().id, lean=True)
    assert (lean.findings, lean.rules, lean.groups, lean.at, lean.audit) == (host.findings, host.rules, host.groups, host.at, {"policy_digest": host.audit["policy_digest"]})
    assert not lean.facts and not lean.measures
    assert (down.name, down.outcome, down.status, down.message, down.findings, dict(down.facts)) == ("db1", "unreachable", "unknown", "no route to host", (), {})


def test_hosts_come_sorted_in_pages_whatever_their_names(store, monkeypatch):
    monkeypatch.setattr("controller.store.reading.PAGE", 3)
    names = sorted(["a", "A", "b", "B", "ä", "z", "Z", "a-b", "a_b", "a.b", "1", "é", "\U0001f600", "\uffee", "web 1"])
    fill(store, [{name: result(name) for name in names}])
    run = store.last_run().id
    assert [host.name for host in store.hosts(run)] == names, "by code point, on any database in any language"
    assert [host.name for host in store.hosts(run, ["z", "A", "absent"])] == ["A", "z"]
    assert list(store.hosts(999)) == []


def test_a_wide_fleet_reads_few_hosts_ahead(store):
    """Whoever stops after the first host has not read the rest, and the store goes on."""
    fill(store, [{synthetic.host_name(number): synthetic.of_fleet(number, 1) for number in range(30)}])
    hosts = store.hosts(store.last_run().id)
    assert next(hosts).name == "backup00002.example.org"
    hosts.close()
    history = store.finding_history()
    next(history)
    history.close()
    assert len(store.runs()) == 1


def test_runs_by_time_name_number_and_group(store):
    fill(store, [{"web1": result("web1", tags=["web"]), "db1": result("db1", tags=["db"])}, {"web1": result("web1", tags=["web"], at=START + DAY)}])
    assert [run.name for run in store.runs()] == ["run 0", "run 1"]
    assert store.last_run().name == "run 1" == store.last_run("web").name
    assert store.last_run("db").name == "run 0" and store.last_run("mail") is None
    assert store.run("run 0") == store.run(store.run("run 0").id) == store.runs()[0]
    with pytest.raises(NoSuchRun, match="there is no run nightly"):
        store.run("nightly")


def test_the_history_of_findings(store):
    zombies, zone = finding(), finding("PH-TZ-001", fingerprint=fingerprint("zone"))
    fill(store, [
        {"web1": result("web1", [zombies]), "web2": result("web2", [zone])},
        {"web1": result("web1", [zone], at=START + DAY)},
        {"web1": result("web1", [finding(message="other words, same finding")], at=START + 2 * DAY)},
    ])
    first, _second, third = store.runs()
    rows = {(row.host, row.rule): row for row in store.finding_history()}
    gone_between = rows["web1", "PH-ZMB-001"]
    assert (gone_between.first_run, gone_between.last_run, gone_between.runs) == (first.id, third.id, 2)
    assert (gone_between.first_at, gone_between.last_at) == (START, START + 2 * DAY)
    assert rows["web2", "PH-TZ-001"].last_run == first.id
    assert [(row.host, row.rule) for row in store.finding_history()] == sorted(rows)
    assert {row.last_at for row in store.finding_history(until=first.started_at)} == {START}
    assert {row.host for row in store.finding_history(names=["web2", "absent"])} == {"web2"}


def test_series(store):
    def measured(day, used):
        made = result("web1", at=START + day * DAY, measures={
            "tasks": used, "zombies": {"total": used, "by_parent": [{"parent": "/opt/beremote", "unit": None, "pid": 8, "count": used, "persistent": used, "oldest_s": 60.0}]},
            "budgets": {"pid_max": {"kind": "pid_max", "holder": "this machine", "used": used, "limit": 1000}},
            "groups": [{"kind": "pids.max", "holder": "/a", "used": 1, "limit": 1000}, {"kind": "pids.max", "holder": "/b", "used": 1, "limit": 0}],
            "users": [{"uid": 0, "tasks": used, "binding": {"kind": "pid_max", "holder": "this machine", "used": used, "limit": 1000}}, {"uid": 1, "binding": None}]})
        made["host"]["boot_id"] = "boot%d" % (day // 2)
        return made

    fill(store, [{"web1": measured(day, 100 * (day + 1)), "web2": result("web2", at=START + day * DAY)} for day in range(3)])
    samples = list(store.series(["web1"]))
    assert [(sample.at, sample.tasks, sample.zombies, sample.boot_id) for sample in samples] == [
        (START, 100, 100, "boot0"), (START + DAY, 200, 200, "boot0"), (START + 2 * DAY, 300, 300, "boot1")]
    assert [[(each.kind, each.holder, each.used) for each in sample.headroom] for sample in samples][0] == [("pid_max", "this machine", 100), ("pids.max", "/a", 1)], "once each"
    assert samples[0].broods[0][:4] == ("/opt/beremote", "", 8, 100)
    assert [[each.holder for each in sample.headroom] for sample in store.series(["web1"], least_share=0.15)] == [[], ["this machine"], ["this machine"]]
    assert [sample.host for sample in store.series()] == ["web1"] * 3 + ["web2"] * 3
    assert len(list(store.series(["web1"], since=START + DAY))) == 2


def test_rules_over_time(store):
    fill(store, [{"web1": result("web1", [finding()]), "web2": result("web2", [finding()]), "db1": attempt("db1")}, {"web1": result("web1", at=START + DAY)}])
    first, second = store.runs()
    counts = {(row.run_id, row.rule, row.status): row.hosts for row in store.rule_counts()}
    assert counts[first.id, "PH-ZMB-001", "fail"] == 2 and counts[second.id, "PH-ZMB-001", "pass"] == 1
    assert (first.id, "PH-ZMB-001", "pass") not in counts


def test_what_hosts_repeat_stands_once(store):
    import sqlalchemy
    from controller.store import tables

    fill(store, [{synthetic.host_name(number): synthetic.of_fleet(number, run) for number in range(1, 11)} for run in range(4)])
    with store._engine.connect() as connection:
        texts = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(tables.texts)).scalar()
        findings = connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(tables.findings)).scalar()
    assert findings > 240 and texts < 60, "10 hosts: facts and identity of each, 9 kinds of findings, some of which count days"


def test_bulk_is_of_the_fleet():
    """The quick generator of the benchmark makes whole documents too."""
    jsonschema = pytest.importorskip("jsonschema")
    from pidhygiene.schema import result_schema

    for number in (1, 20):
        document = json.loads(synthetic.bulk(synthetic.template(number), number, 7))
        assert [error.message for error in jsonschema.Draft202012Validator(result_schema()).iter_errors(document)] == []
        assert "777000" not in json.dumps(document) and document["audit"]["started_at"] != "1999-09-09T09:09:09Z"


def test_what_was_taken_in_is_there_when_the_store_is_opened_again(url):
    with Store.open(url) as store:
        fill(store, [{"web1": result("web1", [finding()]), "db1": attempt("db1")}])
        before = list(store.hosts(store.last_run().id))
    with Store.open(url) as store:
        assert list(store.hosts(store.last_run().id)) == before and len(before) == 2
