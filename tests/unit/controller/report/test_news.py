"""News of one run against the run before: for people, for programs, and nothing when there is none."""

import datetime
import email
import json

import pytest
import synthetic
from controller.__main__ import main
from controller.report import as_news, news
from controller.report.gather import Choice, Wishes, gather
from controller.store import Store, StoreUnavailable
from nights import Fleet, zombies

TODAY = datetime.date(2026, 11, 28)


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    return Fleet(tmp_path, monkeypatch)


def only_hosts(events):
    return {key: hosts for key, hosts in events.items() if not key[0].startswith("PH-FLT")}


def test_new_spread_still_and_fixed_have_one_key(fleet):
    fleet.night({"a": [zombies("beremote")], "b": []})
    assert only_hosts(fleet.events()) == {("PH-ZMB-001", "beremote", "new", "new"): ("a",)}
    (key,) = [each.key for each in news.events(fleet.report())]
    fleet.night({"a": [zombies("beremote", pid=77)], "b": []})
    assert only_hosts(fleet.events()) == {} and as_news.lines(fleet.report()) == []
    assert only_hosts(fleet.events("all")) == {("PH-ZMB-001", "beremote", "still", ""): ("a",)}
    fleet.night({"a": [zombies("beremote")], "b": [zombies("beremote")]})
    assert only_hosts(fleet.events()) == {("PH-ZMB-001", "beremote", "still", "new"): ("a", "b")}
    fleet.night({"a": [], "b": []})
    assert only_hosts(fleet.events()) == {("PH-ZMB-001", "beremote", "fixed", "no rule finds it any more"): ()}
    assert {each.key for each in news.events(fleet.report())} == {key}
    fleet.night({"a": [zombies("beremote")], "b": []})
    assert only_hosts(fleet.events()) == {("PH-ZMB-001", "beremote", "new", "regressed"): ("a",)}


def test_a_host_that_falls_silent_fixes_nothing_and_brings_no_news_back(fleet):
    fleet.night({"a": [zombies("beremote")], "b": []}).night({"a": None, "b": []})
    events = only_hosts(fleet.events("all"))
    assert events == {("PH-ZMB-001", "beremote", "still", ""): (), ("hosts", "", "new", "fell silent"): ("a",)}
    fleet.night({"a": None, "b": []})
    assert only_hosts(fleet.events()) == {}, "silent as before is no news"
    fleet.night({"a": [zombies("beremote")], "b": []})
    assert only_hosts(fleet.events()) == {("hosts", "", "fixed", "audited again"): ()}, "what it had before it fell silent did not come back"
    fleet.night({"a": None, "b": []}).night({"a": [], "b": []})
    assert ("PH-ZMB-001", "beremote", "fixed", "no rule finds it any more") in fleet.events()


def test_silence_is_told_once(fleet):
    fleet.night({"a": [], "b": []}).night({"a": None, "b": []})
    assert list(fleet.events()) == [("hosts", "", "new", "fell silent")]
    assert [line for line in as_news.lines(fleet.report()) if "PH-FLT-008" in line] == []
    fleet.night({"a": None, "b": [], "c": None})
    assert [key[:1] + key[2:] for key in fleet.events()] == [("PH-FLT-008", "still", "new")], "c never answered: only the rule tells"
    fleet.night({"a": [], "b": [], "c": []})
    assert ("hosts", "", "fixed", "audited again") in fleet.events()


def test_a_host_that_left_and_a_waiver(fleet):
    waiver = {"justification": "ordered", "owner": "ops", "expires": "2027-03-31", "expired": False}
    fleet.night({"a": [zombies("beremote")], "b": [zombies("monit")]}).night({"b": [zombies("monit", waiver=waiver)]})
    assert only_hosts(fleet.events()) == {
        ("PH-ZMB-001", "beremote", "fixed", "its hosts left the inventory"): (), ("PH-ZMB-001", "monit", "fixed", "accepted by a waiver"): (),
        ("hosts", "", "new", "fell silent"): ()}


def test_what_was_harmless_did_not_come_back_when_it_warns(fleet):
    fleet.night({"a": [zombies("beremote", "info")]}).night({"a": [zombies("beremote", "info")]}).night({"a": [zombies("beremote", "warn")]})
    assert only_hosts(fleet.events()) == {("PH-ZMB-001", "beremote", "new", "new"): ("a",)}


@pytest.mark.parametrize("expires, told", [("2026-12-13", False), ("2026-12-12", True), ("2026-12-11", False), ("2026-11-28", False), ("2026-11-27", True), ("2026-11-26", False)])
def test_a_waiver_is_told_once_before_and_once_after(expires, told):
    due = (news.WaiverDue("PH-ZMB-001", "ops", "ordered", expires, expires < TODAY.isoformat(), ()),)
    assert bool(news.fresh(due, TODAY - datetime.timedelta(days=1), TODAY)) is told


def test_findings_over_the_fleet_are_known_since_a_report_found_them(fleet):
    hosts = {"a": [], "b": [], "c": None}
    fleet.night(hosts).night(hosts)
    (cause,) = [cause for cause in fleet.report().causes if cause.rule == "PH-FLT-008"]
    assert cause.new is False and cause.first_at == synthetic.START, "the run before is judged where no report of it was made"
    assert main(["report", "--store", fleet.url, "--format", "text:%s" % (fleet.place / "r.txt")]) == 0
    for _night in range(2):
        fleet.night({"a": [], "b": [], "c": []})
        assert main(["report", "--store", fleet.url, "--format", "text:%s" % (fleet.place / "r.txt")]) == 0
    assert not [cause for cause in fleet.report().causes if cause.rule == "PH-FLT-008"]
    fleet.night(hosts)
    report = fleet.report()
    (cause,) = [cause for cause in report.causes if cause.rule == "PH-FLT-008"]
    assert cause.new is False and cause.first_at == synthetic.START + synthetic.DAY, "the first run of which a report was kept"
    assert ("PH-FLT-008", "regressed") in {(change.rule, change.kind) for change in report.changes.changes}
    with Store.open(fleet.url) as store:
        runs = store.runs()
        assert store.judgement(runs[0].id) is None and store.judgement(runs[2].id) == []
        assert [each.rule for each in store.judgement(runs[1].id)] == ["PH-FLT-008"]
        store.prune(0.0, now=runs[-1].ended_at + 1)
        assert store.judgement(runs[1].id) is None and store.fleet_history(1e12) == {}


def test_who_may_only_read_makes_a_report(fleet, monkeypatch):
    fleet.night({"a": []})

    def refused(*_arguments):
        raise StoreUnavailable("read only")
    monkeypatch.setattr(Store, "keep_judgement", refused)
    assert main(["report", "--store", fleet.url, "--format", "text:%s" % (fleet.place / "r.txt")]) == 0 and (fleet.place / "r.txt").exists()


def test_what_could_not_be_told_is_told_the_next_time_and_each_run_once(fleet, sendmail, capsys):
    told = fleet.place / "told"

    def tell():
        status = main(["report", "--store", fleet.url, "--told", str(told), "--format", "news:-", "--format", "mail:ops@example.org"])
        return status, capsys.readouterr().out
    fleet.night({"a": [], "b": []})
    assert tell()[0] == 0 and tell() == (0, ""), "the same run again is no news"
    working = (sendmail / "sendmail").read_text()
    (sendmail / "sendmail").write_text("#!/bin/sh\nexit 75\n")
    fleet.night({"a": [zombies("beremote")], "b": []})
    assert tell()[0] == 1
    (sendmail / "sendmail").write_text(working)
    fleet.night({"a": [zombies("beremote")], "b": [zombies("monit")]})
    status, out = tell()
    assert status == 0 and "New:" in out and "Came back" not in out and "beremote on a" in out and "monit on b" in out
    assert tell() == (0, "") and main(["report", str(fleet.place / "night0"), "--told", str(told)]) == 2
    told.write_text("a run that was pruned\n")
    status, out = tell()
    assert status == 0 and "monit on b" in out and "beremote" not in out, "against the run before, where the other is gone"


# -- diff over the store --------------------------------------------------------------------------------------------------


def test_diff_takes_runs_of_the_store(fleet, capsys, monkeypatch):
    fleet.night({"a": [zombies("beremote")], "b": []})
    assert main(["diff", "--store", fleet.url]) == 1 and "holds one run: ingest a second one" in capsys.readouterr().err
    fleet.night({"a": [], "b": []}).night({"a": [zombies("beremote")], "b": None})
    assert main(["diff", "--store", fleet.url, "--fail-on", "news"]) == 100
    out = capsys.readouterr().out
    assert "Came back:\n  fail    PH-ZMB-001 beremote on a:\n          beremote does not reap." in out and "b (unreachable): no route to host" in out
    with Store.open(fleet.url) as store:
        first, second, third = (run.name for run in store.runs())
    monkeypatch.setenv("PIDHYGIENE_STORE", fleet.url)
    assert main(["diff", first, second, "--store", fleet.url]) == 0 and "Fixed:\n  fail    PH-ZMB-001 beremote on a\n" in capsys.readouterr().out
    assert main(["diff", "--format", "json"]) == 0
    assert {row["kind"] for row in json.loads(capsys.readouterr().out)["changes"] if row["rule"] == "PH-ZMB-001"} == {"regressed"}
    assert main(["diff", first, "none", "--store", fleet.url]) == 1 and "there is no run none" in capsys.readouterr().err
    assert main(["diff", first]) == 2


# -- for people ----------------------------------------------------------------------------------------------------------


def test_news_holds_nothing_that_drives_a_terminal_and_is_bounded(fleet):
    hostile = "\x1b[31mred\nforged line\u202e" * 50
    many = [zombies("p%d" % number, message=hostile) for number in range(300)]
    fleet.night({"a": []}).night({"a": many})
    lines = as_news.lines(fleet.report())
    assert len(lines) == as_news.MOST_LINES + 3 and max(map(len, lines)) <= as_news.WIDTH + 10
    assert not any("\x1b" in each or "\n" in each or "\u202e" in each or each.startswith("forged") for each in lines)


def test_the_first_run_is_told_once(fleet):
    fleet.night({"a": [zombies("beremote")]})
    lines = as_news.lines(fleet.report())
    assert lines[2].startswith("First run: 1 cause on 1 of 1 hosts audited") and "beremote on a" in lines[3]


@pytest.fixture
def sendmail(tmp_path, monkeypatch):
    """A command that keeps the mails it is given."""
    script = tmp_path / "sendmail"
    script.write_text('#!/bin/sh\ncat > "%s/mail"\necho "$@" > "%s/to"\n' % (tmp_path, tmp_path))
    script.chmod(0o755)
    monkeypatch.setenv("PIDHYGIENE_SENDMAIL", "%s -i --" % script)
    return tmp_path


def mail(fleet, capsys, address="ops@example.org"):
    status = main(["report", "--store", fleet.url, "--format", "news:-", "--format", "mail:" + address, "--format", "html:%s" % (fleet.place / "page.html")])
    return status, capsys.readouterr()


def test_mail_when_there_is_news_and_none_otherwise(fleet, sendmail, capsys):
    fleet.night({"a": []}).night({"a": [zombies("beremote"), zombies("evil\r\nBcc: all@example.org")]})
    status, said = mail(fleet, capsys)
    assert status == 0 and "beremote on a" in said.out
    found = email.message_from_bytes((sendmail / "mail").read_bytes(), policy=email.policy.default)
    assert found["To"] == "ops@example.org" and found["Subject"] == "pidhygiene: 2 new" and found["Bcc"] is None and "beremote on a" in found.get_content()
    assert (sendmail / "to").read_text() == "-i -- ops@example.org\n"
    (sendmail / "mail").unlink()
    fleet.night({"a": [zombies("beremote"), zombies("evil\r\nBcc: all@example.org")]})
    status, said = mail(fleet, capsys)
    assert (status, said.out, said.err) == (0, "", "") and not (sendmail / "mail").exists()


@pytest.mark.parametrize("address", ["-oQ/tmp", "a@example.org, b@example.org", "a\n@example.org"])
def test_no_address_is_an_option_or_two(fleet, sendmail, capsys, address):
    fleet.night({"a": [zombies("beremote")]})
    status, said = mail(fleet, capsys, address)
    assert status == 1 and "is no address" in said.err and not (sendmail / "mail").exists() and (fleet.place / "page.html").exists()


def test_a_mail_that_is_not_taken_is_loud_and_the_page_is_there(fleet, sendmail, capsys, monkeypatch):
    (sendmail / "sendmail").write_text("#!/bin/sh\necho queue full >&2\nexit 75\n")
    fleet.night({"a": [zombies("beremote")]})
    status, said = mail(fleet, capsys)
    assert status == 1 and "ended with 75: queue full" in said.err and (fleet.place / "page.html").exists()
    monkeypatch.setenv("PIDHYGIENE_SENDMAIL", str(sendmail / "none"))
    assert "cannot be run" in mail(fleet, capsys)[1].err


def test_a_report_of_chosen_hosts_and_of_a_folder(fleet, tmp_path, capsys):
    fleet.night({"a": [zombies("beremote")], "b": []})
    assert main(["report", str(tmp_path / "night0"), "--format", "news:-"]) == 0 and "First run" in capsys.readouterr().out
    fleet.night({"a": [], "b": []})
    with Store.open(fleet.url) as store:
        report = gather(store, store.runs()[-1], fleet.now, Wishes(choice=Choice(hosts=("a",))))
    assert [(each.status, each.what) for each in news.events(report) if each.rule == "PH-ZMB-001"] == [("fixed", "beremote")]
