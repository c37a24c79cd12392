"""A policy from results: today is accepted, tomorrow's news is reported; and what is wrong with a policy, by line."""

import datetime
import fnmatch
import gzip
import json
import pathlib

import pytest
import yaml
from controller.__main__ import main
from controller.fleet import policy_file, results, suggest
from fleet_hosts import broken, finding, group, having, host
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.audit import audit
from pidhygiene.document import gate
from pidhygiene.policy import Policy
from pidhygiene.snapshot import SnapshotHost
from simulated import SimulatedHost

TODAY = datetime.date(2026, 11, 28)
SNAPSHOTS = pathlib.Path(__file__).resolve().parents[3] / "fixtures" / "negative"


def suggested(hosts, **more):
    return suggest.suggest(hosts, TODAY, **more)


def leaking(others=0):
    """A backup agent that reaps nothing; and, tomorrow, another daemon."""
    simulated = SimulatedHost().process(8102, 1, "beremote", exe="/opt/VRTSralus/bin/beremote", start=90000.0)
    simulated.process(9000, 1, "otherd", exe="/usr/sbin/otherd", start=90000.0)
    for number in range(150):
        simulated.process(10000 + number, 8102, "ora", "Z", start=80000.0, dead=80000.0)
    for number in range(others):
        simulated.process(20000 + number, 9000, "worker", "Z", start=80000.0, dead=80000.0)
    return simulated


def recorded(name):
    return SnapshotHost(json.loads(gzip.decompress((SNAPSHOTS / (name + ".json.gz")).read_bytes())))


@pytest.mark.parametrize("make", [lambda: leaking(), lambda: recorded("daemons"), lambda: recorded("crons"), lambda: recorded("containers")])
def test_round_trip_through_an_audit(make):
    """The same host with the suggested policy has no news; what comes tomorrow is not covered."""
    before = audit(make(), tags=["web"])
    assert gate(before, "unknown"), "there is something to accept"
    policy = Policy(yaml.safe_load(suggested([results.of_document(before)])))
    after = audit(make(), policy, tags=["web"])
    assert [each for each in after["findings"] if each["status"] in ("warn", "fail", "unknown") and each["waiver"] is None] == []
    assert not gate(after, "unknown") and len(after["findings"]) == len(before["findings"]), "waived stays visible"


def test_tomorrows_news():
    policy = Policy(yaml.safe_load(suggested([results.of_document(audit(leaking()))])))
    after = audit(leaking(others=150), policy)
    (news,) = [each for each in after["findings"] if each["status"] == "fail" and each["waiver"] is None]
    assert "otherd" in news["message"] and gate(after, "fail")


def test_what_is_written():
    found = finding(subject=("process", "beremote (8102)"))
    text = suggested([host("a", findings=(found,)), host("b", findings=(finding("PH-LIM-001", "warn", "LOW", ("user", "uid [5]*")),)), broken()], days=90)
    document = yaml.safe_load(text)
    waivers = {each["rule"]: each for each in document["waivers"]}
    assert waivers["PH-ZMB-001"] == {"rule": "PH-ZMB-001", "subject": "beremote (*)", "host": "a", "justification": "TODO why it is accepted (found 2026-11-28)",
                                     "owner": "TODO who answers for it", "expires": "2026-12-28"}
    assert waivers["PH-LIM-001"]["expires"] == "2027-02-26" and waivers["PH-LIM-001"]["subject"] == "uid [[]5][*]"
    assert document["zone"] == {"expected": "Europe/Berlin"} and text.startswith("# A policy that pidhygiene suggests, from the results of 2 hosts, 1 not audited")
    assert document["limits"]["units"] == {"nginx.service": {"nofile": "65536"}}
    assert "beremote (8102) is not well." in text


def test_what_is_not_agreed_on_is_told_and_left_out():
    hosts = [having(each, {"value": "%d" % number, "file": "/etc/x"}, "units", "nginx.service", "configured", "LimitNOFILE") for number, each in enumerate(group(5))]
    text = suggested(hosts + [host("tokyo", zone="Asia/Tokyo")])
    document = yaml.safe_load(text)
    assert "zone" not in document and "limits" not in document and document["waivers"] == []
    assert "Europe/Berlin (5), Asia/Tokyo (1)" in text and "nofile of nginx.service is not agreed on" in text


def test_a_waiver_for_all_for_groups_and_for_hosts():
    found = (finding(),)
    everywhere = yaml.safe_load(suggested([host("web%d" % number, findings=found) for number in range(5)]))["waivers"]
    assert len(everywhere) == 1 and "host" not in everywhere[0] and "group" not in everywhere[0]
    hosts = [host("web%d" % number, findings=found) for number in range(5)] + [host("db%d" % number, ("db",), findings=found * (number == 1)) for number in range(3)]
    assert [(each.get("group"), each.get("host")) for each in yaml.safe_load(suggested(hosts))["waivers"]] == [("web", None), (None, "db1")]


def test_no_host_no_policy(tmp_path, capsys):
    with pytest.raises(suggest.NothingToAccept):
        suggested([broken()])
    assert main(["policy", "suggest", str(tmp_path)]) == 1 and "run audit.yml first" in capsys.readouterr().err


@given(st.text(max_size=40))
def test_a_pattern_matches_its_subject(subject):
    assert fnmatch.fnmatchcase(subject, suggest.pattern(subject)) and fnmatch.fnmatchcase(subject, suggest.literal(subject))


@given(st.text(alphabet="ab*?[]!-", max_size=8), st.text(alphabet="ab*?[]!-", max_size=8))
def test_a_literal_matches_nothing_else(one, other):
    assert fnmatch.fnmatchcase(other, suggest.literal(one)) == (one == other)


@pytest.mark.parametrize("nasty", ["x: [y\n  - evil", "# no", "'\"", "{{ lookup('pipe', 'id') }}", "!!python/object:os.system", "\\ud800<script>", "*", "yes", "a" * 5000])
def test_hostile_text_stays_text(nasty):
    made = host(nasty, (nasty, "web"), findings=(finding(subject=("process", nasty), message="one\n- rule: PH-*\n" + nasty),))
    document = yaml.safe_load(suggested([made, host("b")]))
    (waiver,) = document["waivers"]
    assert fnmatch.fnmatchcase(nasty, waiver["subject"]) and fnmatch.fnmatchcase(nasty, waiver["host"]) and set(document) <= {"zone", "limits", "waivers"}
    assert Policy(document).waivers()


def test_the_command_writes_and_never_overwrites(tmp_path, capsys, mould):
    (tmp_path / "a.json").write_text(json.dumps(mould("a", [finding()])))
    output = tmp_path / "policy.yml"
    assert main(["policy", "suggest", str(tmp_path / "a.json"), "-o", str(output), "--owner", "ops"]) == 0
    assert main(["policy", "check", str(output)]) == 0 and "no mistakes" in capsys.readouterr().out
    assert policy_file.load(output).waivers()[0].owner == "ops"
    assert main(["policy", "suggest", str(tmp_path / "a.json"), "-o", str(output)]) == 1


@pytest.mark.parametrize("door, name", [("ansible", "pidhygiene_policy"), ("salt", "pidhygiene")])
def test_the_policy_as_a_door_takes_it(tmp_path, capsys, mould, door, name):
    (tmp_path / "a.json").write_text(json.dumps(mould("a", [finding()])))
    output = tmp_path / "policy.yml"
    assert main(["policy", "suggest", str(tmp_path / "a.json"), "-o", str(output), "--for", door]) == 0
    main(["policy", "suggest", str(tmp_path / "a.json")])
    bare = capsys.readouterr().out.partition("\n")[2]  # after the line that tells the file
    assert yaml.safe_load(output.read_text()) == {name: yaml.safe_load(bare)} and yaml.safe_load(bare)["waivers"]
    assert main(["policy", "check", str(output)]) == 0


# -- check --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, told", [
    ("zombies:\n  warn: 0\n", ["2: zombies.warn: must be at least 1"]),
    ("# note\nzombie:\n  warn: 5\n", ["2: zombie: is no setting; did you mean 'zombies'?"]),
    ("pidhygiene_policy:\n  headroom:\n    warn: 80\n", ["3: headroom.warn: is a part of a limit"]),
    ("limits:\n  units:\n    nginx.service:\n      nofile: many\n", ["4: limits.units.nginx.service.nofile: must be a number"]),
    ("limits:\n  units:\n    a: {nofile: 1}\n    a.service: {nofile: many}\n", ["4: limits.units.a.service.nofile: must be a number"]),
    ("waivers:\n- rule: PH-ZMB-001\n  owner: me\n  justification: x\n  expires: 2027-01-01\n- rule: PH-TZ-001\n  owner: me\n  expires: soon\n",
     ["6: waivers[1].justification: is missing", "8: waivers[1].expires: must be a day"]),
    ("zombies:\n  warn: 5\n  warn: 6\n", ["3: zombies.warn: stands there twice"]),
    ("zombies: {warn: 5\n", ["is no YAML"]), ("a: &a [*a]\n", ["is no"]), ("- zombies\n", ["1: policy: must be a mapping"]), ("x: \x07\n", ["1: is no YAML"]),
    ("waivers:\n- {rule: PH-TZ-001, owner: me, justification: x, expires: 2027-02-31}\n", ["is no YAML: day is out of range"]),
    ("zombies.warn: 0\n", ["1: zombies.warn: must be at least 1"]), ("", []), ("zombies: {warn: 7}\n", [])])
def test_mistakes_have_lines(tmp_path, capsys, text, told):
    path = tmp_path / "policy.yml"
    path.write_text(text)
    assert main(["policy", "check", str(path)]) == (2 if told else 0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == max(1, len(told))
    for line, expected in zip(lines, told):
        assert line.startswith("%s:" % path) and expected in line, line


def test_a_file_that_cannot_be_read(tmp_path, capsys):
    assert main(["policy", "check", str(tmp_path / "none.yml")]) == 1 and "none.yml" in capsys.readouterr().err
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe\x00")
    assert main(["policy", "check", str(tmp_path / "bytes.yml")]) == 2
    (tmp_path / "deep.yml").write_text("[" * 1000)
    assert main(["policy", "check", str(tmp_path / "deep.yml")]) == 2
    with pytest.raises(policy_file.BadPolicy, match="bytes.yml:1: "):
        policy_file.load(tmp_path / "bytes.yml")
