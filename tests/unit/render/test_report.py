"""From a folder to what people read: the overview, the text, the page."""

import html.parser
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from render import digest, folder, overview, page


def run_of(outcomes, **more):
    return dict({"schema": folder.RUN, "hosts": {host: {"outcome": outcome} for host, outcome in outcomes.items()}, "by": "ops",
                 "started_at": "2027-01-01T00:00:00Z", "ended_at": "2027-01-01T00:01:00Z"}, **more)


def save(place, results, outcomes=None):
    """Writes results (None: unreachable), and a run over these hosts unless outcomes say otherwise."""
    for host, document in results.items():
        folder.write(place, host, document or folder.attempt(host, folder.UNREACHABLE, "2027-01-01T00:00:00Z", "no route", "look at the cable"))
    folder.write_run(place, run_of(outcomes or {host: folder.AUDITED if document else folder.UNREACHABLE for host, document in results.items()}))
    return overview.of_folder(place)


def waiver(expired):
    return {"justification": "ordered", "owner": "ops", "expires": "2027-03-31", "expired": expired}


class Shape(html.parser.HTMLParser):
    """Counts tags and fails on a wrong nesting."""

    VOID = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.text += data


def page_of(found):
    return "".join(page.parts(found))


def test_the_scope_names_the_denominator(tmp_path, result):
    found = save(tmp_path, {"a": result(), "b": None, "c": result()}, {"a": "audited", "b": "unreachable", "gone": "not recorded"})
    assert digest.scope(found) == "3 targeted · 1 audited · 1 unreachable · 1 not recorded · 1 more in the folder from earlier runs, not shown"
    assert digest.verdict(found).endswith("on 1 host; 2 hosts not audited.")
    assert "gone" in page_of(found)


def test_a_host_that_should_have_a_file_and_has_none_is_not_audited(tmp_path, result):
    save(tmp_path, {"a": result()})
    (tmp_path / "results/a.json").unlink()
    found = overview.of_folder(tmp_path)
    assert [host.outcome for host in found.hosts] == ["not recorded"]
    assert digest.verdict(found) == "No host was audited."


def test_never_says_compliant(tmp_path, result):
    found = save(tmp_path, {"a": result()})
    text = digest.render(found) + page_of(found)
    assert re.search(r"No deviation found by \d+ rules on 1 host\.", text)
    assert "compliant" not in text.lower()


def test_causes_are_one_line_for_many_hosts_gravest_first(tmp_path, result, a_finding):
    found = save(tmp_path, {
        "a": result(a_finding(), a_finding(), a_finding("PH-TZ-001", "warn", "LOW", title="Zones differ", message="zones")),
        "b": result(a_finding(severity="CRIT")),
        "c": result(a_finding("PH-PID-002", "unknown", "LOW", title="Numbers", message="not seen")),
    })
    assert [(cause.rule, cause.status, cause.severity, cause.hosts, cause.findings) for cause in found.ranked_causes()] == [
        ("PH-ZMB-001", "fail", "CRIT", ["a", "b"], 3), ("PH-TZ-001", "warn", "LOW", ["a"], 1), ("PH-PID-002", "unknown", "LOW", ["c"], 1)]
    lines = digest.render(found).splitlines()
    assert "FAIL    CRIT PH-ZMB-001  Persistent zombies on 2 of 3: a, b" in lines


def test_what_several_rules_cannot_judge_for_one_reason_is_told_once(tmp_path, result, a_finding):
    def unknown(rule, reason):
        return a_finding(rule, "unknown", "LOW", title="Title of " + rule, subject={"type": "host", "id": reason})

    both = result(unknown("PH-DEL-003", "permission denied"), unknown("PH-TZ-004", "permission denied"), unknown("PH-PID-001", "does not exist"))
    lines = digest.render(save(tmp_path, {"a": both, "b": both, "c": result(unknown("PH-TZ-005", "permission denied"))})).splitlines()
    assert [line for line in lines if line.startswith("UNKNOWN")] == [
        "UNKNOWN LOW  2 rules  permission denied on 2 of 3: a, b",
        "UNKNOWN LOW  PH-PID-001  Title of PH-PID-001 on 2 of 3: a, b",
        "UNKNOWN LOW  PH-TZ-005  Title of PH-TZ-005 on 1 of 3: c",
    ]
    assert "    Could not be judged: Title of PH-DEL-003 (PH-DEL-003), Title of PH-TZ-004 (PH-TZ-004)." in lines


def test_waived_findings_stay_visible_and_do_not_gate_until_they_expire(tmp_path, result, a_finding):
    found = save(tmp_path, {"held": result(a_finding(waiver=waiver(False))), "late": result(a_finding(waiver=waiver(True)))})
    assert [host.name for host in found.gated("warn")] == ["late"]
    assert found.waived == 1
    text = page_of(found)
    assert "Waived until 2027-03-31 by ops: ordered" in text and "Waiver expired 2027-03-31" in text


@pytest.mark.parametrize("fail_on, gated", [("fail", ["a"]), ("warn", ["a", "b"]), ("unknown", ["a", "b", "c"]), ("never", [])])
def test_gate(tmp_path, result, a_finding, fail_on, gated):
    found = save(tmp_path, {
        "a": result(a_finding(status="fail")), "b": result(a_finding(status="warn")), "c": result(a_finding(status="unknown")),
        "d": result(a_finding(status="info")), "e": result()})
    assert [host.name for host in found.gated(fail_on)] == gated


def test_limits_that_are_reached_come_first(tmp_path, result, a_finding):
    found = save(tmp_path, {
        "near": result(a_finding("PH-PID-002", "warn", "MED", binding="pid_max of this machine: 30000 of 32468")),
        "full": result(a_finding("PH-LIM-001", "fail", "HIGH", binding="RLIMIT_NPROC of uid 500: 16384 of 16384"))})
    assert [(urgent.host, urgent.status) for urgent in found.urgent] == [("full", "fail"), ("near", "warn")]
    text = page_of(found)
    assert text.index("RLIMIT_NPROC of uid 500") < text.index('id="causes"')


def test_the_page_stands_alone(tmp_path, result, a_finding):
    found = save(tmp_path, {"a": result(a_finding(remedy={"state": "reap", "parameters": {"mode": "restart"}, "disruptive": True})), "b": None})
    text = page_of(found)
    shape = Shape(text)
    assert not [tag for tag, _attributes in shape.seen if tag in ("script", "img", "iframe", "link", "form", "object")]
    assert not re.search(r"(?i)https?://|@import|url\(", text)
    assert all(attributes.get("href", "#").startswith("#") for _tag, attributes in shape.seen)
    assert ("html", {"lang": "en"}) in shape.seen
    identities = {attributes["id"] for _tag, attributes in shape.seen if "id" in attributes}
    assert {attributes["href"][1:] for tag, attributes in shape.seen if tag == "a"} <= identities
    assert all("scope" in attributes for tag, attributes in shape.seen if tag == "th")
    assert "Remedy: reap mode=restart (disruptive)" in shape.text
    assert "prefers-color-scheme: dark" in text and "@media print" in text


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>{{ 7*7 }}{% raw %}&amp;\x1b[31m\u202e"


def test_hostile_text_is_shown_not_obeyed(tmp_path, result, a_finding):
    bad = a_finding(message=HOSTILE, title=HOSTILE, binding=HOSTILE, subject={"type": HOSTILE, "id": HOSTILE}, status="fail",
                    evidence=[{"source": HOSTILE, "value": HOSTILE}], remedy={"state": HOSTILE, "parameters": {HOSTILE: HOSTILE}, "disruptive": HOSTILE})
    found = save(tmp_path, {HOSTILE: result(bad, a_finding(waiver=dict(waiver(True), owner=HOSTILE)))})
    text = page_of(found)
    shape = Shape(text)
    assert not [tag for tag, _attributes in shape.seen if tag in ("script", "img")]
    assert "{{ 7*7 }}" in shape.text and "alert(1)" in shape.text
    assert "\x1b" not in text + digest.render(found) and "\u202e" not in text + digest.render(found)


JSON = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=5)),
                    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)), max_leaves=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_host_answers_the_report_is_written(tmp_path, result, a_finding, data):
    document = result(a_finding(waiver=waiver(False), remedy={"state": "reap", "parameters": {}, "disruptive": True}))
    spots = [document, document["host"], document["audit"], document["findings"][0], document["findings"][0]["waiver"],
             document["findings"][0]["remedy"], document["rules"][0], document["findings"][0]["evidence"][0]]
    spot = data.draw(st.sampled_from(spots))
    spot[data.draw(st.sampled_from(sorted(spot)))] = data.draw(JSON)
    (tmp_path / "a.json").write_text(__import__("json").dumps(document))
    found = overview.of_folder(tmp_path)
    assert [host.name for host in found.hosts] == ["a"]
    Shape(page_of(found))
    assert digest.render(found)


def test_a_page_of_many_hosts_holds_details_of_the_gravest_only(tmp_path, result, a_finding, monkeypatch):
    monkeypatch.setattr(page, "MOST_DETAILED", 2)
    found = save(tmp_path, {"a": result(), "b": result(a_finding(message="b is broken")), "c": result(a_finding(message="c is broken"))})
    text = page_of(found)
    assert "Findings of the gravest 2 hosts" in text and "The other 1 hosts." in text
    assert text.count('class="finding') == 2


def test_the_page_is_written_whole_or_not_at_all(tmp_path, result):
    found = save(tmp_path, {"a": result()})
    page.write(found, tmp_path / "report.html")
    before = (tmp_path / "report.html").read_bytes()
    (tmp_path / "results/a.json").unlink()
    with pytest.raises(OSError):
        page.write(found, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "results", "run.json"]
