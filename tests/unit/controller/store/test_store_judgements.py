"""What is kept of a run as a whole: policies, and what was found over the fleet; and of a host that is silent, how it last was."""

import datetime

import pytest
from alembic import command
from controller.fleet.model import FleetEvidence, FleetFinding
from controller.store import Store, opening
from pidhygiene.policy import Policy
from synthetic import DAY, START, attempt, finding, result
from test_store_reading import fill

FOUND = FleetFinding("PH-FLT-003", "Time split", "fail", "HIGH", "web\u202e<b>", "Two zones.", ("a", "b"), (FleetEvidence("a", "/etc/timezone", "UTC"),),
                     {"state": "time_zone", "parameters": {}, "disruptive": True}, "f" * 16)
QUIET = FleetFinding("PH-FLT-006", "Gate", "info", "INFO", "db", "At most one.", (), fingerprint="e" * 16)


def test_what_was_found_over_the_fleet_is_kept_and_replaced(store):
    fill(store, [{"a": result("a")}, {"a": result("a", at=START + DAY)}])
    first, second = (run.id for run in store.runs())
    assert store.judgement(first) is None and store.fleet_history(START + DAY) == {}
    store.keep_judgement(first, [FOUND, QUIET])
    store.keep_judgement(second, [])
    assert store.judgement(first) == [FOUND, QUIET] and store.judgement(second) == []
    assert store.fleet_history(START + DAY) == {FOUND.fingerprint: START}, "what is only information is no news when it warns"
    store.keep_judgement(second, [FOUND])
    store.keep_judgement(first, [QUIET])
    assert store.judgement(first) == [QUIET] and store.fleet_history(START + DAY) == {FOUND.fingerprint: START + DAY} and store.fleet_history(START) == {}
    store.keep_judgement(999, [FOUND])
    assert store.judgement(999) is None, "a run that was pruned meanwhile"


def test_the_same_again_writes_nothing(store, monkeypatch):
    fill(store, [{"a": result("a")}])
    run, policy = store.last_run().id, Policy({"zone": {"expected": "UTC"}})
    store.keep_judgement(run, [FOUND])
    store.keep_policy(policy)

    def writing(_engine):
        pytest.fail("it waits for writers")
    monkeypatch.setattr("controller.store.lock.writing", writing)
    store.keep_judgement(run, [FOUND])
    store.keep_policy(policy)


def test_policies_by_digest_go_with_the_last_run_that_had_them(store):
    waiver = {"rule": "PH-*", "justification": "x", "owner": "y", "expires": datetime.date(2027, 3, 31)}  # as YAML reads a bare date
    kept, unused = Policy({"waivers": [waiver]}), Policy({"zone": {"expected": "UTC"}})
    for policy in (kept, unused, kept):
        store.keep_policy(policy)
    assert dict(store.policies([kept.digest(), "sha256:none"])) == {kept.digest(): {"waivers": [{**waiver, "expires": "2027-03-31"}]}}
    assert Policy(store.policies([kept.digest()])[kept.digest()]).digest() == kept.digest()
    fill(store, [{"a": result("a")}, {"a": result("a", at=START + DAY, audit={"policy_digest": kept.digest()})}])
    store.keep_judgement(store.runs()[0].id, [FOUND])
    store.prune(keep_s=DAY, now=START + 2 * DAY + 300)
    assert len(store.runs()) == 1 and list(store.policies([kept.digest(), unused.digest()])) == [kept.digest()] and store.fleet_history(1e12) == {}


def test_silent_hosts_as_they_last_were(store):
    fill(store, [{"a": result("a", [finding()]), "b": result("b")}, {"a": result("a", at=START + DAY), "b": attempt("b"), "c": attempt("c")},
                 {"a": result("a", at=START + 2 * DAY), "b": attempt("b", message="still")}])
    assert [(host.name, host.at, len(host.findings)) for host in store.last_audits(["c", "b", "a", "none"], START + DAY)] == [("b", START, 0), ("a", START + DAY, 0)]
    assert [(host.name, len(host.findings)) for host in store.last_audits(["a"], START)] == [("a", 1)] and list(store.last_audits([], START)) == []


def test_a_store_of_the_first_version_is_brought_on(url, monkeypatch):
    """Its rows know no text of their policy."""
    engine = opening.engine_of(opening.url_of(url))
    with engine.execution_options(writes=True).begin() as connection:
        config = opening._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("INSERT INTO runs (id, name, kind, started_at, ended_at, made_by, engine, inventory_digest) VALUES (1, 'old', 'named', 1, 2, '', '', '')")
    engine.dispose()
    with Store.open(url) as store:
        (run,) = store.runs()
        assert run.name == "old" and store.judgement(run.id) is None and dict(store.policies(["sha256:1"])) == {}
        store.keep_judgement(run.id, [FOUND])
        assert store.judgement(run.id) == [FOUND]


def test_measures_over_time_are_the_same_from_rows_of_older_versions(store):
    """Those have no column of their own for them."""
    brood = {"parent": "/usr/sbin/monit", "unit": "monit.service", "pid": 7, "count": 9, "persistent": 8, "oldest_s": 60.5}
    fill(store, [{name: result(name, at=START + run * DAY, measures={
        "groups": [{"kind": "pids.max", "holder": "/system.slice/monit.service", "used": 9 * number, "limit": 100 + run}], "users": [],
        "zombies": {"total": 9, "by_parent": [brood, {**brood, "unit": "", "leak_per_day": 1.5}]}}) for number, name in enumerate("abcdefgh")} for run in range(3)])
    for share in (0.0, 0.05):
        now = list(store.series(least_share=share))
        assert len(now) == 24 and any(sample.headroom for sample in now) and any(sample.broods for sample in now)
        with store._engine.execution_options(writes=True).begin() as connection:
            connection.exec_driver_sql("UPDATE audits SET course = NULL, shape_id = NULL WHERE run_id %% 2 = 0" if store._engine.dialect.name == "postgresql" else
                                       "UPDATE audits SET course = NULL, shape_id = NULL WHERE run_id % 2 = 0")
        assert list(store.series(least_share=share)) == now


def test_measures_that_are_hostile(store):
    odd = {"holder": "\ud800<b>", "kind": 7, "limit": 2 ** 70, "used": 2 ** 69}
    measures = {"tasks": -1, "budgets": {"x": odd, "y": [], "z": {"limit": True, "used": 1}}, "groups": "no", "users": [{"binding": None}, {"binding": odd}],
                "zombies": {"by_parent": [{"parent": [], "count": 3, "oldest_s": float("nan"), "leak_per_day": True}, 5]}}
    fill(store, [{"a": result("a", measures=measures)}, {"a": result("a", at=START + DAY, measures={"zombies": [], "budgets": 3, "groups": [], "users": []})}])
    first, second = store.series()
    assert [(each.kind, each.used, each.limit) for each in first.headroom] == [("", 2 ** 69, 2 ** 70)] and [(each.parent, each.zombies, each.leak_per_day) for each in first.broods] == [
        ("", 3, None)]
    assert (second.headroom, second.broods) == ((), ())


def test_a_prune_leaves_the_names_of_budgets_that_are_in_use(store):
    fill(store, [{"a": result("a")}, {"a": result("a", at=START + DAY, measures={"groups": [{"kind": "pids.max", "holder": "/x", "used": 1, "limit": 2}]})}])
    kept = list(store.series())[1:]
    store.prune(keep_s=DAY, now=START + 2 * DAY + 300)
    assert list(store.series()) == kept and ("/x", 1, 2) in [each[1:] for each in kept[0].headroom]
