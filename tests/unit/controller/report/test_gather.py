"""What the first screen says, in the order in which FIELD questions come: scope, now and next, causes, changes, controls."""

import dataclasses

import fleets
import pytest
import synthetic
from controller.fleet import forecast
from controller.fleet.changes import FIXED, NEW, REGRESSED
from controller.report import controls, remedy, urgency, wording, zones
from controller.report.gather import Choice, Wishes, gather
from controller.report.page import parts
from controller.report.source import FolderSource
from controller.store import Store


def test_the_denominator_is_the_inventory(report):
    assert report.expected == 63 and report.audited == 61 and report.not_audited == 2
    said = " · ".join(words for words, _strong in wording.scope(report))
    assert said.startswith("63 expected (inventory sha256:") and "61 audited · 1 unreachable · 0 failed · 1 not recorded · 0 stale · 1 partial" in said
    assert report.hosts == sorted(report.hosts, key=lambda row: row.name)


def test_who_refuses_forks_now_comes_first(report):
    first, second, third = report.urgent[:3]
    assert {first.host, second.host} == {"web00004.example.org", "db00009.example.org"} and first.now and second.now and not third.now
    assert (first.limit.kind, first.limit.holder, first.limit.used, first.limit.limit) == ("RLIMIT_NPROC", "oracle", 18451, 16384)
    assert first.owner == "team 1" and first.action == "unit_limits nproc=65536 unit=VRTSralus.service"
    assert wording.verdict(report).startswith("2 hosts refuse forks now")


def test_one_cause_is_one_line(report):
    cause = next(each for each in report.causes if each.rule == "PH-LIM-001")
    assert cause.names == ("db00009.example.org", "db00013.example.org", "web00004.example.org")
    assert cause.new is False and fleets.day(cause.first_at) == fleets.day(synthetic.START) and cause.status == "fail"
    assert next(each for each in report.causes if each.rule == "PH-OBS-001").new is True
    assert {each.ticket for each in report.causes if each.rule == "PH-ZMB-001"} == {"OPS-4711"}
    assert any(each.rule.startswith("PH-FLT-") for each in report.causes)


def test_what_changed(report):
    changed = {kind: [(change.rule, change.hosts) for change in report.changes.of(kind)] for kind in (NEW, FIXED, REGRESSED)}
    assert changed[NEW] == [("PH-FLT-008", ("db00091.example.org",)), ("PH-OBS-001", ("build00031.example.org",))]
    assert changed[FIXED] == [("PH-TZ-001", ("web00021.example.org",))] or changed[FIXED][0][0] == "PH-TZ-001"
    assert changed[REGRESSED] == [("PH-SES-001", ("backup00030.example.org",))]
    assert [each.host for each in report.changes.not_audited] == ["db00091.example.org"]
    assert [each.owner for each in report.changes.waivers] == ["time team"]


def test_controls_count_what_nobody_looked_at(report):
    by_id = {control.id: control.hosts for control in report.controls}
    assert by_id["CIS 1.6.1"] == {"pass": 58, "fail": 3, "unknown": 0, "not audited": 2, "waived": 0, "n/a": 0}
    assert by_id["CIS 2.1.1"]["waived"] == 1 and by_id["PCI 2.2"]["pass"] == 61
    assert report.trends["CIS 1.6.1"] == (1, 1, 1, 3, 3)


def test_nobody_is_called_compliant(report):
    from controller.report import as_nagios, as_text, page

    for text in ("".join(page.parts(report)), "\n".join(as_text.lines(report)), as_nagios.text(report)):
        assert "compliant" not in text.lower() and "compliance" not in text.lower()


def test_a_healthy_fleet_says_what_was_not_audited(tmp_path):
    documents = {"web1": synthetic.result("web1"), "web2": synthetic.result("web2"), "web3": None}
    source = FolderSource(synthetic.write_folder(tmp_path, documents))
    report = gather(source, source.runs()[-1], synthetic.START + 3600, Wishes())
    assert [cause.rule for cause in report.causes] == ["PH-FLT-008"]  # the host of which nothing is known
    healthy = dataclasses.replace(report, causes=[])
    assert wording.verdict(healthy).startswith("No deviation found in ") and wording.verdict(healthy).endswith(" checks on 2 hosts; 1 host not audited")


def test_a_folder_without_run_json_is_a_run_of_its_files(tmp_path):
    for name in ("web1", "web2"):
        (tmp_path / ("%s.json" % name)).write_text(__import__("json").dumps(synthetic.result(name, [fleets.full(1, 16384)])))
    source = FolderSource(tmp_path)
    report = gather(source, source.runs()[-1], synthetic.START + 3600, Wishes())
    assert report.audited == 2 and len(report.urgent) == 2 and report.changes is None
    assert "no inventory said how many were expected" in wording.scope(report)[0][0]


def test_chosen_hosts_only(fleet_store):
    with Store.open(fleet_store) as store:
        report = gather(store, store.runs()[-1], fleets.NOW, Wishes(choice=Choice(groups=("web",))))
    assert report.hosts and all("web" in row.groups for row in report.hosts) and report.chosen == "group web" and report.expected == len(report.hosts)


def test_an_earlier_run_knows_nothing_of_later_ones(fleet_store):
    with Store.open(fleet_store) as store:
        report = gather(store, store.runs()[1], synthetic.START + synthetic.DAY + 3600, Wishes())
    assert len(report.runs) == 2 and not any(each.now for each in report.urgent)


def test_a_leak_gets_a_date_from_its_history(tmp_path):
    with Store.open(str(tmp_path / "x.db")) as store:
        for run in range(8):
            used = 9000 + 800 * run
            document = synthetic.result("web1", [fleets.full(1, used)], synthetic.START + run * synthetic.DAY, ["web"], measures={
                "tasks": used, "zombies": {"total": used - 900, "by_parent": [
                    {"parent": "/opt/beremote", "pid": 8102, "unit": "VRTSralus.service", "count": used - 900, "persistent": used - 900, "oldest_s": 86400.0 * (run + 9)}]},
                "users": [{"uid": 500, "tasks": used, "zombies": used - 900, "hidden": 0, "binding": {"kind": "RLIMIT_NPROC", "holder": "oracle", "used": used, "limit": 16384}}]})
            document["host"]["boot_id"] = "b" * 32
            fleets.ingest(store, tmp_path / str(run), {"web1": document}, run)
        report = gather(store, store.runs()[-1], synthetic.START + 7 * synthetic.DAY + 3600, Wishes())
    each = report.urgent[0]
    assert each.forecast is not None and urgency.soon(each, report.now) and not each.now
    assert each.forecast.earliest <= each.forecast.at <= (each.forecast.latest or float("inf"))
    assert "zombies of beremote in VRTSralus.service" in each.filled_by and wording.verdict(report).startswith("1 host will refuse forks within 72 h")


@pytest.mark.parametrize("binding, wanted", [
    ("RLIMIT_NPROC of oracle: 18451 of 16384", ("RLIMIT_NPROC", "oracle", 18451, 16384)), ("SessionsMax: 5 of 10", ("SessionsMax", "this machine", 5, 10)),
    ("pids.max of /system.slice/a: b.service: 9 of 10", ("pids.max", "/system.slice/a: b.service", 9, 10)), ("CommitLimit: 90 of 100 KiB", ("CommitLimit", "this machine", 90, 100)),
    ("pids.max of /x: 512", None), ("RLIMIT_NPROC of a: %s of 1" % ("9" * 40), None), ("", None),
])
def test_limits_in_words(binding, wanted):
    assert urgency.parsed(binding) == wanted


def test_remedies_as_people_apply_them():
    exact = remedy.exact(fleets.full(1, 16384))
    assert exact.ansible == '- name: "PH-LIM-001: unit_limits"\n  pidhygiene.host.unit_limits:  # disruptive\n    limits: {"nproc": "65536"}\n    unit: VRTSralus.service'
    assert "  pidhygiene.unit_limits:  # disruptive\n    - limits:" in exact.salt and "--rule PH-LIM-001" in exact.command
    by_hand = remedy.exact(synthetic.finding(remedy={"state": "call the vendor", "parameters": {}, "disruptive": False}))
    assert by_hand.by_hand == "call the vendor is done by hand." and remedy.exact(synthetic.finding(remedy=None)) is None


@pytest.mark.parametrize("hostile", ["a: b", "x\n- hosts: all", "{{ lookup('pipe', 'id') }}", "# no", "yes", "1.5", "!!python/object:x", "*a", "\u2028"])
def test_no_text_of_a_host_becomes_syntax(hostile):
    import yaml

    exact = remedy.exact(synthetic.finding(remedy={"state": "restart", "parameters": {"unit": hostile}, "disruptive": False}))
    [task] = yaml.safe_load(exact.ansible)
    assert task["pidhygiene.host.restart"] == {"unit": hostile}
    [[state]] = [value.values() for value in yaml.safe_load(exact.salt).values()]
    assert state == [{"unit": hostile}]


def test_zones_by_canonical_name_from_west_to_east(report):
    found = zones.of(report)
    names = [zone.name for zone in found]
    assert names[0] == "America/New_York" and "PRC" not in names and names[-1] == "Asia/Shanghai"
    assert next(zone for zone in found if zone.name == "Asia/Shanghai").aliases == ("PRC",) and [zone.offset_s for zone in found] == sorted(zone.offset_s for zone in found)
    assert zones.Zone("x", -12600).offset_words == "UTC−03:30"


@pytest.fixture
def leaks(fleet_store, monkeypatch):
    """The report, had the history of two hosts shown a leak."""
    rates = {"web00004.example.org": 9.0, "db00009.example.org": 4.0}

    def of_host(samples, now, findings):
        rate = rates.get(samples[-1].host)
        return [forecast.Outlook(samples[-1].host, "/usr/sbin/<b>leaky", "leaky.service", forecast.LEAK, "grows", 40, forecast.Rate(rate, 1.0, 20.0, forecast.HISTORY))] if rate else []
    monkeypatch.setattr(forecast, "of_host", of_host)
    with Store.open(fleet_store) as store:
        return gather(store, store.runs()[-1], fleets.NOW, fleets.WISHES)


def test_programs_that_leak(leaks):
    (leaking,) = leaks.leaking
    assert (leaking.hosts, leaking.per_day, leaking.worst_host) == (("db00009.example.org", "web00004.example.org"), 6.5, "web00004.example.org")
    page = "".join(parts(leaks))
    assert 'id="leaking"' in page and "/usr/sbin/&lt;b&gt;leaky" in page


def test_shares_of_groups(report):
    groups, shares = controls.by_group(report, 3)
    assert len(groups) == 3 and all(len(row) == 3 for row in shares.values())
    control = next(each for each in report.controls if each.hosts["fail"])
    place, counts = next((place, control.groups[group]) for place, group in enumerate(groups) if control.groups[group]["fail"])
    judged = sum(counts.values()) - counts["n/a"]
    assert shares[control.id][place] == "%.1f %%" % (100 * counts["pass"] / judged)
    page = "".join(parts(report))
    assert 'id="by-groups"' in page and 'id="leaking"' not in page and shares[control.id][place] in page
