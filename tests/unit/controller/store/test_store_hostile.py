"""Hosts and files may say anything: nothing is lost, nothing is executed, each is reported."""

import gzip
import io
import json
import os
import tracemalloc

import pytest
from controller.fleet.model import FleetHost
from controller.render import folder as folders
from controller.store import Store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import START, attempt, finding, result, write_folder

NOW = START + 3600
HOSTILE = "<script>alert(1)</script>\x1b[2J\x00\ud800\u202e=cmd|'/c calc'!A0"


def stream(store, data, run="r"):
    intake = store.intake(run, now=lambda: NOW)
    intake.stream(io.BytesIO(data))
    return intake.account


def hosts(store):
    last = store.last_run()
    return {host.name: host for host in store.hosts(last.id)} if last else {}


def line(document):
    return json.dumps(document).encode() + b"\n"


def test_hostile_text_everywhere_is_kept_harmless(store):
    document = result(HOSTILE, [finding(message=HOSTILE, subject={"type": HOSTILE, "id": HOSTILE}, evidence=[{"source": HOSTILE, "value": HOSTILE}],
                                        rule=HOSTILE, fingerprint=HOSTILE, title=HOSTILE)], tags=[HOSTILE], facts={HOSTILE: HOSTILE}, measures={HOSTILE: HOSTILE})
    document["host"].update(machine_id=HOSTILE, boot_id=HOSTILE)
    document["audit"].update(engine_version=HOSTILE, visibility=HOSTILE, policy_digest=HOSTILE)
    assert stream(store, line(document) + line(attempt(HOSTILE + "2", message=HOSTILE, next_step=HOSTILE))).refused == []
    clean = folders.harmless(HOSTILE)
    assert "\x00" not in clean and "\ud800" not in clean and "<script>" in clean, "escaping for a page is the page's business"
    found = hosts(store)
    assert set(found) == {clean, clean + "2"}
    host = found[clean]
    assert host.findings[0]["message"] == clean and host.facts[clean] == clean and host.measures[clean] == clean and host.groups == (clean,)
    assert (host.host["boot_id"], host.audit["engine_version"], found[clean + "2"].message) == (clean, clean, clean)
    assert [row.rule for row in store.finding_history()] == [clean]
    assert [sample.host for sample in store.series()] == [clean]
    assert store.last_run(clean) is not None
    assert store.document(clean, store.last_run().id)["host"]["name"] == HOSTILE, "as received"


@pytest.fixture(scope="module")
def round_trip_stores(tmp_path_factory, request):
    """One store of each kind for all examples."""
    import postgres_server

    opened = [Store.open(str(tmp_path_factory.mktemp("store") / "s.db"))]
    try:
        socket = request.getfixturevalue("postgresql")
        postgres_server.run(socket, "CREATE DATABASE round_trip")
        opened.append(Store.open(postgres_server.url(socket, "round_trip")))
    except pytest.skip.Exception:
        pass
    yield opened
    for store in opened:
        store.close()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=10), inner, max_size=4), max_leaves=15)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(), min_size=1, max_size=300), st.text(st.characters(), max_size=200), st.text(st.characters(), min_size=1, max_size=300), json_values, json_values)
def test_what_comes_out_is_what_went_in_made_harmless(round_trip_stores, name, message, key, facts, anything):
    document = result(name, [finding(message=message, rule=key, fingerprint=key)], facts={"any": facts}, tags=[key])
    document["measures"] = {"tasks": anything, "zombies": anything, "users": anything, "budgets": anything, "groups": anything}
    document["audit"]["engine_version"] = anything
    document["host"]["boot_id"] = anything
    for store in round_trip_stores:
        run = "run %d" % len(store.runs())
        account = stream(store, line(document), run)
        assert account.refused == []
        if account.already:  # the same example again
            continue
        (host,) = store.hosts(store.run(run).id)
        expected = folders.harmless(json.loads(json.dumps(document)))
        assert (dict(host.facts), dict(host.measures), dict(host.host)) == (expected["facts"], expected["measures"], expected["host"])
        assert list(host.findings) == expected["findings"]
        list(store.series(names=[host.name]))
        list(store.finding_history(names=[host.name]))


@pytest.mark.parametrize("data, why", [
    (b"", "it is empty"),
    (b"\n\n", "it is empty"),
    (line(result())[:500], "it ends in the middle"),
    (json.dumps(result(), indent=1).encode()[:5000], "it ends in the middle"),
    (b"no json at all", "it is no JSON"),
    (b"[1, 2]", "it is no JSON object"),
    (b"{}", "it is no document of pidhygiene"),
    (b'{"schema": 7}', "it is no document of pidhygiene"),
    (b'{"schema": "pidhygiene.result/1"}', "host is missing or of the wrong kind"),
    (line({**result(), "findings": [7]}), "findings[0] is no object"),
    (line({**result(), "findings": [finding(status=7)]}), "findings[0].status is missing or of the wrong kind"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper"),
    (b'{"schema": "pidhygiene.result/1", "n": ' + b"9" * 10_000 + b"}", "it is no JSON"),
    (line({**attempt(), "outcome": "audited"}), "host or outcome of the attempt"),
    (line({"schema": "pidhygiene.run/1", "hosts": []}), "it tells no run"),
    (line({**result(), "schema": "pidhygiene.result/2"}), "written by a newer pidhygiene (pidhygiene.result/2; this one reads up to pidhygiene.result/1); upgrade"),
    (gzip.compress(line(result()))[:-200], "compressed data is damaged"),
    (gzip.compress(b"{" + b" " * 20_000_000, 1), "it is larger than any result"),
    (b"{" + b" " * 20_000_000 + b"}", "it is larger than any result"),
    (b'{\n"a": [\n' + b'"%s",\n' % (b"x" * 1000) * 9_000 + b'""]\n}\n', "it is larger than any result"),
])
def test_what_is_no_result_is_refused_with_the_reason_and_costs_no_other(store, data, why):
    good = line(result("good1"))
    account = stream(store, data)
    assert len(account.refused) == 1 and why in account.refused[0], account.refused
    if not data.startswith(b"\x1f"):
        account = stream(store, good + data.rstrip(b"\n") + b"\n" + line(result("good2")))
        assert len(account.refused) == (1 if data.strip() else 0)
        assert list(hosts(store)) == ["good1", "good2"]


def test_a_result_of_100_mb_is_not_read_into_memory(tmp_path):
    path = tmp_path / "results" / "web1.json"
    path.parent.mkdir()
    with path.open("wb") as stream_:
        stream_.write(b'{"schema": "pidhygiene.result/1", "x": "')
        for _ in range(100):
            stream_.write(b"A" * 1_000_000)
        stream_.write(b'"}')
    with Store.open(str(tmp_path / "s.db")) as store:
        tracemalloc.start()
        intake = store.intake()
        intake.paths([tmp_path])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert "larger than any result" in intake.account.refused[0]
        assert peak < 60 * 2**20
        assert hosts(store)["web1"].outcome == "failed", "it does not vanish from the report"


@pytest.mark.parametrize("damage", ["truncated", "newer", "binary"])
def test_a_damaged_file_of_a_run_is_a_host_that_failed(store, tmp_path, damage):
    place = write_folder(tmp_path, {"web1": result("web1"), "web2": result("web2", [finding()])})
    path = place / "results" / "web2.json"
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[:3000], "newer": whole.replace(b"result/1", b"result/2"), "binary": b"\x00\xff\x1f" * 1000}[damage])
    intake = store.intake()
    intake.paths([place])
    assert (intake.account.number("refused"), intake.account.not_recorded) == (1, 0)
    host = hosts(store)["web2"]
    assert host.outcome == "failed" and "could not be used" in host.message and host.next_step
    again = store.intake()
    again.paths([place])
    assert (again.account.recorded, again.account.already) == (0, 2)
    path.write_bytes(whole)
    store.intake().paths([place])
    assert hosts(store)["web2"].status == "fail", "what was sent again is taken in"


def test_an_older_schema_is_accepted(store):
    assert stream(store, line({"schema": "pidhygiene.result/0", "host": {"name": "old"}, "findings": [{"rule": "PH-ZMB-001", "status": "fail"}]})).refused == []
    assert (hosts(store)["old"].outcome, hosts(store)["old"].status) == ("audited", "fail")


@pytest.mark.parametrize("change", [
    {"host": {"name": 7, "tags": {"a": 1}, "machine_id": []}}, {"audit": {"started_at": 12}}, {"audit": {"started_at": "9999-99-99"}},
    {"audit": {"started_at": "0001-01-01T00:00:00+23:59"}}, {"measures": {"tasks": "many", "zombies": [1]}}, {"measures": {"tasks": 2**80, "zombies": {"total": -1}}},
    {"measures": {"tasks": True, "users": [[]], "groups": {"a": 1}, "budgets": [1], "zombies": {"by_parent": [1, {"count": "x", "oldest_s": "y"}]}}},
    {"rules": [{"rule": 1, "status": []}, {}]}, {"summary": {"x": float("nan")}},
], ids=str)
def test_wrong_types_inside_a_result_are_passed_over(store, change):
    document = {**result("web1"), **change}
    assert stream(store, line(document)).refused == []
    (host,) = hosts(store).values()
    assert isinstance(host, FleetHost) and host.outcome == "audited"
    list(store.series()), list(store.rule_counts()), list(store.finding_history()), store.runs()


def test_very_long_names_stay_apart(store):
    long = "h" * 5000
    document = result(long, [finding(fingerprint=long, rule=long)], tags=[long])
    assert stream(store, line(document) + line(result(long + "2"))).refused == []
    assert len(hosts(store)) == 2 and all(len(name) <= 200 for name in hosts(store))
    assert stream(store, line(document)).already == 1


def test_thousands_of_findings_of_one_host(store):
    many = [finding(fingerprint="%016x" % number, message="m%d" % number, evidence=[]) for number in range(1_100)]
    assert stream(store, line(result("web1", many))).refused == []
    assert [each["message"] for each in hosts(store)["web1"].findings] == ["m%d" % number for number in range(1_100)]


def test_two_findings_alike_are_two(store):
    stream(store, line(result("web1", [finding(), finding()])))
    assert len(hosts(store)["web1"].findings) == 2
    assert [row.runs for row in store.finding_history()] == [1]


def test_a_file_that_cannot_be_read_is_reported(store, tmp_path):
    (tmp_path / "web1.json").mkdir()
    (tmp_path / "web2.json").symlink_to("nowhere")
    os.mkfifo(tmp_path / "web3.json")
    intake = store.intake()
    intake.folder(tmp_path)
    assert len(intake.account.refused) == 3 and all("cannot be read" in each or "no regular file" in each for each in intake.account.refused)
