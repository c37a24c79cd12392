"""One cause is one line; what changed between two runs; what nobody looked at is not fixed."""

import dataclasses
import datetime
import json
import pathlib

import pytest
from controller.__main__ import main
from controller.fleet import causes, changes, results
from controller.report.causes import Grouping, ranked
from controller.report.history import History
from controller.report.source import FolderSource
from controller.report.view import GRAVE, HostRow, Report, in_force
from controller.store.rows import Run
from fleet_hosts import broken, finding, group, host, policy
from render import folder

TODAY = datetime.date(2026, 11, 28)
WAIVER = {"justification": "ordered", "owner": "ops", "expires": "2027-03-31", "expired": False}


def zombies(pid, status="fail", **changed):
    return finding("PH-ZMB-001", status, "HIGH", ("process", "beremote (%d)" % pid), fingerprint="f" * 16, **changed)


# -- causes -------------------------------------------------------------------------------------------------------------


def grouped(hosts):
    """The causes of a report over these hosts."""
    grouping = Grouping()
    rows = [HostRow(each.name, each.outcome, each.status, each.groups) for each in hosts]
    for place, each in enumerate(hosts):
        for found in each.findings:
            if found["status"] in GRAVE and in_force(found):
                grouping.add(place, found)
    run = Run(1, "run", "named", 0.0, 0.0)
    history = History(FolderSource(pathlib.Path("/nonexistent")), run, None)
    return ranked(Report("pidhygiene", run, 0.0, rows), grouping.causes(rows, history), {}, history)


def test_a_cause_is_one_on_500_hosts_whatever_their_pids():
    hosts = [dataclasses.replace(host("web%d" % number, findings=(zombies(number),)), groups=("web", "site%d" % (number % 2))) for number in range(500)]
    (cause,) = grouped(hosts)
    assert (cause.what, len(cause.hosts), cause.groups) == ("beremote", 500, ("site0", "site1", "web"))
    (later,) = grouped([host("other", findings=(zombies(77, "warn"),))])
    assert later.key == cause.key and later.status == "warn"


@pytest.mark.parametrize("subject, what", [
    ("beremote (8102)", "beremote"), ("java (7, 8)", "java"), ("/etc/security/limits.d/50-people.conf:2", "/etc/security/limits.d/50-people.conf"),
    ("/etc/crontab:17: VRTSralus.init", "/etc/crontab: VRTSralus.init"), ("session-c12.scope", "session-*.scope"), ("user@1000.service", "user@*.service"),
    ("docker-%s.scope" % ("9f" * 32), "docker-*.scope"), ("nginx.service", "nginx.service"), ("/usr/lib/libssl.so.3", "/usr/lib/libssl.so.3"), ("uid 500", "uid 500")])
def test_what_makes_them_one(subject, what):
    assert causes.what(finding(subject=("any", subject))) == what


def test_kernels_differ_and_the_reboot_is_one_cause():
    hosts = [host("a", findings=(finding("PH-DEL-007", "warn", "MED", ("host", "kernel 6.1.0-30")),)), host("b", findings=(finding("PH-DEL-007", "warn", "MED", ("host", "kernel 6.1.0-31")),))]
    assert [each.what for each in grouped(hosts)] == ["reboot"]


def test_order_example_and_waivers():
    hosts = [host("a", findings=(zombies(1, "warn", message="few"), finding("PH-LIM-001", "warn", "LOW", ("user", "uid 1")))),
             host("b", findings=(zombies(2, "fail", message="many", remedy={"state": "reap", "parameters": {}, "disruptive": True}),)),
             host("c", findings=(zombies(3, "fail", message="accepted", waiver=WAIVER), finding("PH-TZ-001", "fail", "HIGH", ("host", "x"), waiver=WAIVER))), broken()]
    first, second = grouped(hosts)
    assert (first.rule, first.status, first.names, first.example) == ("PH-ZMB-001", "fail", ("a", "b"), "many")
    assert first.remedy["state"] == "reap" and second.rule == "PH-LIM-001"


# -- changes ------------------------------------------------------------------------------------------------------------


def compare(before, after, **more):
    return changes.changes(before, after, TODAY, **more)


def test_new_fixed_worse_and_come_back():
    other = finding("PH-LIM-001", "warn", "LOW", ("user", "uid 1"))
    before = [host("a", findings=(zombies(1, "warn"),)), host("b", findings=(other,)), host("c"), host("d")]
    after = [host("a", findings=(zombies(9, "fail"),)), host("b"), host("c", findings=(zombies(3),)), host("d", findings=(zombies(4),))]
    found = compare(before, [dataclasses.replace(each, rules={**each.rules, "PH-LIM-001": "pass"}) for each in after], fixed_before={("d", "f" * 16)})
    assert [(each.kind, each.rule, each.hosts) for each in found.changes] == [
        ("regressed", "PH-ZMB-001", ("d",)), ("new", "PH-ZMB-001", ("c",)), ("worse", "PH-ZMB-001", ("a",)), ("fixed", "PH-LIM-001", ("b",))]
    assert found.news
    same = compare(before, before)
    assert same.changes == () and not same.news


def test_what_nobody_looked_at_is_not_fixed():
    before = [host("a", findings=(zombies(1),)), host("b", findings=(zombies(1),)), host("c", findings=(zombies(1),)), broken("d")]
    blind = dataclasses.replace(host("a"), rules={"PH-ZMB-001": "unknown"})
    gone = dataclasses.replace(host("b"), rules={})
    found = compare(before, [blind, gone, broken("c"), host("d"), host("e")])
    assert [(each.kind, each.hosts) for each in found.changes] == [("not judged any more", ("a", "b"))]
    assert [(each.host, each.outcome) for each in found.not_audited] == [("c", "unreachable")] and found.audited_again == ("d",) and found.joined == ("e",)
    (left,) = compare(before[:1], []).not_audited
    assert left.outcome == "not targeted"


def test_what_is_waived_now_is_neither_new_nor_fixed():
    accepted = [host("a", findings=(zombies(1, waiver=WAIVER),))]
    plain = [host("a", findings=(zombies(1),))]
    assert compare(plain, accepted).changes == () and compare(accepted, accepted).changes == ()
    over = [host("a", findings=(zombies(1, waiver={**WAIVER, "expires": "2026-11-27", "expired": True}),))]
    found = compare(accepted, over)
    assert [each.kind for each in found.changes] == ["new"] and [(each.expired, each.hosts) for each in found.waivers] == [(True, ("a",))]


@pytest.mark.parametrize("expires, told", [("2026-11-27", True), ("2026-11-28", False), ("2026-12-12", False), ("2026-12-13", None)])
def test_waivers_that_run_out(expires, told):
    row = {**WAIVER, "expires": expires, "expired": expires < "2026-11-28"}
    due = compare([], [host("a", findings=(zombies(1, waiver=row),))]).waivers
    assert [each.expired for each in due] == ([] if told is None else [told])
    named = policy(waivers=[{"rule": "PH-*", "justification": "x", "owner": "y", "expires": expires}])
    due = compare([], [host("a")], policy=named).waivers
    assert [(each.expired, each.hosts) for each in due] == ([] if told is None else [(told, ())])


# -- the command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path, mould):
    """Three runs of two hosts: fixed in the second, back in the third, where the other host is silent."""
    places = []
    for number, findings in enumerate([[zombies(1)], [], [zombies(2)]]):
        place = tmp_path / str(number)
        folder.write(place, "a", mould("a", findings))
        folder.write(place, "b", mould("b", []) if number < 2 else folder.attempt("b", folder.UNREACHABLE, "2027-01-01T00:00:00Z", "no route", "look"))
        places.append(place)
    return places


def test_diff_as_text(runs, capsys):
    assert main(["diff", str(runs[1]), str(runs[2]), "--before", str(runs[0]), "--fail-on", "news"]) == 100
    out = capsys.readouterr().out
    assert "Came back:\n  fail    PH-ZMB-001 beremote on a" in out and "Not audited any more:\n  b (unreachable): no route; look" in out
    assert main(["diff", str(runs[0]), str(runs[0]), "--fail-on", "news"]) == 0 and capsys.readouterr().out == "Nothing changed.\n"
    assert main(["diff", str(runs[0]), str(runs[1])]) == 0 and "Fixed:" in capsys.readouterr().out


def test_diff_for_machines_and_of_single_files(runs, capsys):
    files = [str(place / "results" / "a.json") for place in runs]
    assert main(["diff", files[1], files[2], "--format", "json"]) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert (change["kind"], change["hosts"], change["rule"]) == ("new", ["a"], "PH-ZMB-001")


def test_places_that_hold_nothing(tmp_path, capsys):
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 1 and "holds no result" in capsys.readouterr().err
    assert main(["diff", str(tmp_path / "gone"), str(tmp_path)]) == 1 and "gone" in capsys.readouterr().err
    (tmp_path / "torn.json").write_text('{"schema": ')
    (torn,) = results.read([tmp_path / "torn.json"])
    assert torn.outcome == "failed" and "no JSON" in torn.message
    assert {each.name: each.outcome for each in results.read([tmp_path])} == {"torn": "failed"}


def test_a_host_that_was_targeted_and_not_recorded(tmp_path, mould):
    folder.write(tmp_path, "a", mould("a", []))
    folder.write_run(tmp_path, {"schema": folder.RUN, "hosts": {"a": {"outcome": "audited"}, "b": {"outcome": "not recorded"}}})
    assert [(each.name, each.outcome) for each in results.read([tmp_path])] == [("a", "audited"), ("b", "not recorded")]
    assert len(group(2)) == 2
