"""Taking in: what is there twice, what is damaged, what belongs to which run; and that nothing is lost."""

import gzip
import io
import json
import os
import time

import pytest
import synthetic
from controller.store import Store
from render import folder
from synthetic import DAY, START, attempt, finding, result, write_folder

NOW = START + 3600


def docs(*names, at=START, **more):
    return {name: result(name, [finding()], at=at, **more) for name in names}


def take(store, *places, run=None):
    intake = store.intake(run, now=lambda: NOW)
    intake.paths(places)
    return intake.account


def save(place, name, document, received=NOW):
    place.mkdir(parents=True, exist_ok=True)
    path = place / name
    path.write_text(json.dumps(document) if isinstance(document, dict) else document)
    os.utime(path, (received, received))
    return path


def in_run(store, run=None):
    return {host.name: host for host in store.hosts((store.run(run) if run else store.last_run()).id)}


def test_a_report_folder_is_one_run_with_its_denominator(store, tmp_path):
    documents = {**docs("web1", "web2"), "db1": attempt("db1"), "db2": None}
    account = take(store, write_folder(tmp_path / "report", documents))
    (run,) = store.runs()
    assert (run.kind, run.targeted, run.recorded, run.by) == ("reported", 4, 3, "ops")
    assert run.outcomes == {"audited": 2, "unreachable": 1, "not recorded": 1}
    assert run.statuses == {"fail": 2}
    assert (account.recorded, account.targeted, account.not_recorded) == (3, 4, 1)
    hosts = in_run(store)
    assert list(hosts) == ["db1", "db2", "web1", "web2"], "sorted by name"
    assert (hosts["db1"].outcome, hosts["db1"].message, hosts["db1"].next_step) == ("unreachable", "no route to host", "look at the cable")
    assert hosts["db2"].outcome == "not recorded" and "--limit db2" in hosts["db2"].next_step


def test_the_same_again_changes_nothing(store, tmp_path):
    place = write_folder(tmp_path / "report", {**docs("web1", "web2"), "db1": attempt("db1"), "db2": None})
    take(store, place)
    before = list(in_run(store).items()), store.runs()
    account = take(store, place)
    assert (account.recorded, account.already) == (0, 4)
    assert (list(in_run(store).items()), store.runs()) == before


def test_the_same_content_in_another_form_is_known(store, tmp_path):
    documents = docs("web1", "web2")
    take(store, write_folder(tmp_path / "report", documents))
    lines = "".join(json.dumps(each) + "\n" for each in documents.values()).encode()
    packed = tmp_path / "all.ndjson.gz"
    packed.write_bytes(gzip.compress(lines))
    assert take(store, packed).already == 2
    intake = store.intake()
    intake.stream(io.BytesIO(lines))
    assert (intake.account.already, intake.account.recorded, len(store.runs())) == (2, 0, 1)


@pytest.mark.parametrize("form", ["lines", "pretty", "gzip", "glued"])
def test_a_stream_holds_many_documents(store, form):
    documents = docs("web1", "web2", "web3")
    if form == "pretty":
        data = "".join(json.dumps(each, indent=2) + "\n" for each in documents.values())
    elif form == "glued":
        data = "\n\n".join(json.dumps(each) for each in documents.values())
    else:
        data = "".join(json.dumps(each) + "\n" for each in documents.values())
    intake = store.intake(now=lambda: NOW)
    intake.stream(io.BytesIO(gzip.compress(data.encode()) if form == "gzip" else data.encode()))
    assert list(in_run(store)) == ["web1", "web2", "web3"]
    assert intake.account.refused == []


def test_same_host_twice_in_a_run_the_later_wins_and_it_is_said(store, tmp_path):
    early, late = result("web1", at=START), result("web1", [finding()], at=START + 60)
    paths = [save(tmp_path, name, each) for name, each in (("a.json", late), ("b.json", early), ("c.json", late))]
    account = take(store, *paths, run="nightly")
    assert in_run(store)["web1"].status == "fail"
    assert "later answer of web1" in account.earlier[0] and account.already == 1
    account = take(store, save(tmp_path, "d.json", result("web1", at=START + 120)), run="nightly")
    assert "takes the place of an earlier answer of web1" in account.replaced[0]
    assert in_run(store)["web1"].findings == () and store.document("web1", store.last_run().id)["findings"] == []


def test_results_of_earlier_runs_in_the_folder_stay_out_of_this_one(store, tmp_path):
    place = tmp_path / "report"
    old = result("old1", at=START - 2 * DAY)
    folder.write(place, "old1", old)
    os.utime(place / "results" / "old1.json", (START - 2 * DAY, START - 2 * DAY))
    take(store, write_folder(place, docs("web1")))
    assert [(run.kind, list(in_run(store, run.name))) for run in store.runs()] == [("day", ["old1"]), ("reported", ["web1"])]


def test_an_attempt_does_not_hide_the_result_before_it(store, tmp_path):
    """audit.yml keeps the last result of a host that it could not reach this time; run.json says which of the two is of this run."""
    place = tmp_path / "report"
    folder.write(place, "web1", result("web1", at=START - DAY))
    os.utime(place / "results" / "web1.json", (START - DAY, START - DAY))
    take(store, write_folder(place, {"web1": attempt("web1")}))
    assert [run.outcomes for run in store.runs()] == [{"audited": 1}, {"unreachable": 1}]


def test_a_controller_that_died_before_run_json_and_the_run_that_came_after(store, tmp_path):
    place = tmp_path / "report"
    documents = docs("web1", "web2")
    for name, document in documents.items():
        folder.write(place, name, document)
        os.utime(place / "results" / (name + ".json"), (NOW, NOW))
    take(store, place)
    assert [run.kind for run in store.runs()] == ["day"]
    account = take(store, write_folder(place, {**documents, **docs("web3")}))
    assert [(run.kind, list(in_run(store))) for run in store.runs()] == [("reported", ["web1", "web2", "web3"])], "moved, and no empty run left behind"
    assert (account.moved, account.recorded) == (2, 1)
    assert store.document("web1", store.last_run().id)["host"]["name"] == "web1" and len(in_run(store)["web1"].findings) == 1


def test_the_inventory_names_the_host_not_its_own_hostname(store, tmp_path):
    take(store, write_folder(tmp_path / "report", {"a/../b c": result("localhost"), "web1": result("localhost")}))
    assert list(in_run(store)) == ["a/../b c", "web1"]


def test_without_run_json_a_run_is_made_of_the_day_or_of_the_name(store, tmp_path):
    files = [save(tmp_path / "r", "web%d.json" % day, result("web%d" % day, at=START + day * DAY), START + day * DAY + 60) for day in range(3)]
    take(store, *files)
    assert [(run.name, run.kind) for run in store.runs()] == [("2026-09-21", "day"), ("2026-09-22", "day"), ("2026-09-23", "day")]
    account = take(store, tmp_path / "r", run="september")
    assert [(run.name, run.kind, run.recorded) for run in store.runs()] == [("september", "named", 3)]
    assert account.moved == 3
    assert store.run("september").started_at == START and store.run("september").ended_at == START + 2 * DAY


@pytest.mark.parametrize("years", [3, -3])
def test_a_clock_years_off_is_noted_and_does_not_choose_the_run(store, tmp_path, years):
    at = START + years * 365 * DAY
    account = take(store, save(tmp_path, "web1.json", result("web1", at=at)), save(tmp_path, "web2.json", result("web2", at=START)))
    assert len(account.clocks) == 1 and account.clocks[0].startswith("web1: its clock said 20") and "3.0 years" in account.clocks[0]
    assert list(in_run(store)) == ["web1", "web2"] and len(store.runs()) == 1
    assert (in_run(store)["web1"].at, in_run(store)["web1"].received) == (at, NOW)
    assert [sample.at for sample in store.series()] == [NOW, START]


def test_require_all(store, tmp_path, url, capsys):
    from controller.__main__ import main

    place = write_folder(tmp_path / "report", {**docs("web1"), "web2": None})
    assert main(["ingest", str(place), "--store", url, "--keep", "0"]) == 0
    assert main(["ingest", str(place), "--store", url, "--keep", "0", "--require-all"]) == 1
    assert "no answer of 1 of its hosts: web2" in capsys.readouterr().err
    (lonely,) = [save(tmp_path, "web9.json", result("web9"))]
    assert main(["ingest", str(lonely), "--store", url, "--keep", "0", "--require-all"]) == 1
    assert "no run.json" in capsys.readouterr().err


def test_a_run_json_that_says_audited_without_the_file(store, tmp_path):
    place = write_folder(tmp_path / "report", docs("web1", "web2"))
    (place / "results" / "web2.json").unlink()
    account = take(store, place)
    assert account.not_recorded == 1 and in_run(store)["web2"].outcome == "not recorded"
    assert "run.json says audited" in in_run(store)["web2"].message


def test_the_commands_say_what_they_did(url, tmp_path, capsys):
    from controller.__main__ import main

    place = write_folder(tmp_path / "report", {**docs("web1", "web2"), "db1": attempt("db1")})
    assert main(["runs", "--store", url]) == 0
    assert "holds no run" in capsys.readouterr().out
    assert main(["ingest", str(place), "--store", url, "--keep", "0"]) == 0
    assert "3 hosts of 3 targeted recorded in" in capsys.readouterr().out
    assert main(["runs", "--store", url]) == 0
    assert "3 targeted, 2 audited, 1 unreachable: 2 fail" in capsys.readouterr().out
    assert main(["ingest", str(tmp_path / "absent"), "--store", url]) == 1
    assert "there is no" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["ingest"])
    assert left.value.code == 2


def test_ingest_prunes_what_is_older_than_is_to_be_kept(url, tmp_path, capsys):
    from controller.__main__ import main

    place = write_folder(tmp_path / "report", docs("web1", at=1_000_000_000), started=1_000_000_000)
    assert main(["ingest", str(place), "--store", url]) == 0
    assert "Deleted as too old: 1 runs, 1 documents." in capsys.readouterr().out
    with Store.open(url) as store:
        assert store.runs() == []


def test_the_policy_says_how_long(url, tmp_path, capsys):
    from controller.__main__ import main

    now = int(time.time())
    place = write_folder(tmp_path / "report", docs("web1", at=now - 5 * DAY), started=now - 5 * DAY)
    (tmp_path / "policy.yml").write_text("store: {keep: 10, keep_documents: 2}")
    assert main(["ingest", str(place), "--store", url, "--policy", str(tmp_path / "policy.yml")]) == 0
    assert "Deleted as too old: 0 runs, 1 documents." in capsys.readouterr().out
    assert main(["prune", "--store", url, "--policy", str(tmp_path / "policy.yml"), "--keep", "4"]) == 0
    assert "Deleted as too old: 1 runs, 0 documents." in capsys.readouterr().out
    assert main(["prune", "--store", url]) == 0
    assert "Nothing in" in capsys.readouterr().out
    (tmp_path / "policy.yml").write_text("store: {kep: 10}")
    assert main(["prune", "--store", url, "--policy", str(tmp_path / "policy.yml")]) == 2
    assert "keep" in capsys.readouterr().err


def test_answers_that_are_in_memory(store):
    """As a returner of Salt has them: the minion's id is what counts."""
    intake = store.intake("salt", now=lambda: NOW)
    intake.document(result("localhost", [finding(message="\ud800\x00")]), host="minion1")
    intake.document(attempt("minion2"))
    intake.document({"schema": "pidhygiene.result/1"}, host="minion3")
    intake.flush()
    assert {name: host.outcome for name, host in in_run(store).items()} == {"minion1": "audited", "minion2": "unreachable", "minion3": "failed"}
    assert intake.account.recorded == 3 and len(intake.account.refused) == 1


def test_a_folder_without_a_result_is_no_success(url, tmp_path, capsys):
    from controller.__main__ import main

    assert main(["ingest", str(tmp_path), "--store", url]) == 1
    assert "it holds no result; name the folder that audit.yml wrote" in capsys.readouterr().err


def test_synthetic_documents_are_valid():
    jsonschema = pytest.importorskip("jsonschema")
    from pidhygiene.schema import result_schema

    validator = jsonschema.Draft202012Validator(result_schema())
    for document in (result("web1", [finding()]), synthetic.of_fleet(0, 3), synthetic.of_fleet(101, 3)):
        assert [error.message for error in validator.iter_errors(document)] == []
    assert synthetic.of_fleet(20, 5) == synthetic.of_fleet(20, 5)
