"""Each format, read by one who really reads it."""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree
import zipfile
from html.parser import HTMLParser

import fleets
import jsonschema
import junitparser
import pytest
import sarif_pydantic
import synthetic
import yaml
from controller.__main__ import main
from controller.commands.reporting import FORMATS
from controller.report import as_nagios, as_prometheus, as_text, safe
from controller.report.formats import BY_NAME
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(scope="module")
def written(fleet_store, tmp_path_factory):
    """All formats of one call."""
    place = tmp_path_factory.mktemp("out")
    policy = place / "policy.yml"
    policy.write_text(yaml.safe_dump({"controls": fleets.WISHES.policy["controls"]}))
    files = {"html": "r.html", "text": "r.txt", "ndjson": "r.ndjson", "json": "r.json", "junit": "r.xml", "sarif": "r.sarif", "prometheus": "r.prom", "alerts": "alerts.yml",
             "nagios": "r.nagios", "csv": "pack.zip"}
    assert main(["report", "--store", fleet_store, "--policy", str(policy), "--fail-on", "fail", "--format", "csv:%s" % (place / "pack"),
                 *(word for name, file in files.items() for word in ("--format", "%s:%s" % (name, place / file)))]) == 100
    return place


def test_the_table_of_formats_is_whole():
    assert list(FORMATS) == list(BY_NAME)


def test_help_has_a_sentence_for_each(capsys):
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    told = capsys.readouterr().out
    assert all(about in told for about in FORMATS.values())


def test_nothing_unfinished_is_left_behind(written):
    assert not [path for path in written.iterdir() if path.name.startswith(".")]
    assert (written / "r.html").stat().st_mode & 0o777 == 0o600 and (written / "r.prom").stat().st_mode & 0o777 == 0o644


def test_ndjson(written):
    lines = [json.loads(line) for line in (written / "r.ndjson").read_text(encoding="ascii").splitlines()]
    assert lines[0]["type"] == "run" and sum(line["type"] == "host" for line in lines) == 63
    findings = [line for line in lines if line["type"] == "finding"]
    assert len({line["key"] for line in findings if line["host"] == "web00004.example.org"}) > 3 and all(line["finding"]["evidence"] is not None for line in findings)
    assert any(line["type"] == "fleet finding" for line in lines)


LIMIT = {"type": ["object", "null"], "required": ["kind", "holder", "used", "limit"]}
REPORT_SCHEMA = {
    "type": "object", "required": ["schema", "verdict", "run", "scope", "statuses", "now_and_next", "causes", "changes", "controls", "rules", "hosts"],
    "properties": {
        "schema": {"const": "pidhygiene.report/1"}, "verdict": {"type": "string"},
        "scope": {"type": "object", "required": ["expected", "audited", "not_audited", "outcomes", "stale", "partial"]},
        "now_and_next": {"type": "array", "items": {"type": "object", "required": ["host", "binding", "limit", "filled_by", "refuses_now", "forecast", "action", "owner"], "properties": {
            "limit": LIMIT, "refuses_now": {"type": "boolean"}}}},
        "causes": {"type": "array", "items": {"type": "object", "required": ["key", "rule", "hosts", "groups", "first_at", "new", "ticket"], "properties": {
            "status": {"enum": ["fail", "warn", "unknown"]}, "hosts": {"type": "array", "items": {"type": "string"}}}}},
        "controls": {"type": "array", "items": {"type": "object", "required": ["id", "rules", "hosts", "waived", "trend"], "properties": {
            "hosts": {"type": "object", "required": ["pass", "fail", "unknown", "not audited", "waived", "n/a"], "additionalProperties": {"type": "integer"}}}}},
        "hosts": {"type": "array", "items": {"type": "object", "required": ["name", "outcome", "status", "sha256"], "properties": {"tightest_limit": LIMIT}}},
    },
}


def test_json(written):
    document = json.loads((written / "r.json").read_text(encoding="ascii"))
    jsonschema.Draft202012Validator(REPORT_SCHEMA).validate(document)
    assert len(document["hosts"]) == 63 and document["changes"]["schema"] == "pidhygiene.changes/1"


def test_junit(written):
    suites = {suite.name: suite for suite in junitparser.JUnitXml.fromfile(str(written / "r.xml"))}
    assert len(suites) == 64  # and one of the fleet
    full = suites["web00004.example.org"]
    assert full.failures == 1 and [case.name for case in full if case.result and isinstance(case.result[0], junitparser.Failure)] == ["PH-LIM-001"]
    assert suites["db00090.example.org"].errors == 1 and suites[fleets.HOSTILE_HOST].failures == 1
    unknown = next(case for case in suites["build00031.example.org"] if case.name == "PH-OBS-001")
    assert isinstance(unknown.result[0], junitparser.Skipped) and "unknown" in unknown.result[0].message  # not shown as pass
    for suite in suites.values():
        assert suite.tests == len(list(suite))


def test_sarif(written):
    document = json.loads((written / "r.sarif").read_text(encoding="ascii"))
    [run] = sarif_pydantic.Sarif.model_validate(document).runs
    assert run.tool.driver.name == "pidhygiene" and not run.invocations[0].execution_successful
    for result in document["runs"][0]["results"]:
        assert document["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert any(result.get("suppressions") for result in document["runs"][0]["results"])
    assert {result.level.value for result in run.results} == {"error", "warning", "note"}


def test_prometheus(written, report):
    text = (written / "r.prom").read_text(encoding="utf-8")
    metrics = {family.name: family for family in text_string_to_metric_families(text)}
    assert metrics["pidhygiene_hosts_refusing_forks"].samples[0].value == 2
    assert {sample.labels["status"]: sample.value for sample in metrics["pidhygiene_hosts_status"].samples}["fail"] == 4
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for family in metrics.values() for sample in family.samples]
    assert len(series) == len(set(series))
    known = {name for name, _about, _samples in as_prometheus.families(report)}
    for group in yaml.safe_load((written / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert set(re.findall(r"pidhygiene_\w+", rule["expr"])) <= known and rule["annotations"]["summary"]


def test_nagios(written, report, fleet_store, capfd):
    line = (written / "r.nagios").read_text()
    found = re.fullmatch(r"PIDHYGIENE (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+ \| ([^|\n]+)\n", line)
    assert found and found[1] == "CRITICAL"
    assert all(re.fullmatch(r"[a-z_0-9]+=\d+;\d*;\d*;0;\d+", word) for word in found[2].split())
    assert main(["report", "--store", fleet_store, "--format", "nagios:-"]) == as_nagios.CRITICAL
    assert capfd.readouterr().out.startswith("PIDHYGIENE CRITICAL - 2 hosts refuse forks now")


def test_text_fits_a_mail(report):
    lines = as_text.lines(report)
    assert len(lines) <= 20 and all(len(line) <= as_text.WIDTH and line.isprintable() for line in lines)
    assert lines[0].startswith("pidhygiene: 2 hosts refuse forks now") and lines[-1].startswith("Controls: ") and lines[-2].startswith("Since the run before: 2 new, 1 regressed")


def read(place, name):
    with (place / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_auditor_pack(written, fleet_store):
    pack = written / "pack"
    manifest = json.loads((pack / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in pack.iterdir()} - {"manifest.json"}
    for name, told in manifest["files"].items():
        assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == told["sha256"]
    rows = read(pack, "host_controls.csv")
    assert len(rows) == 63 * 4 and {row["state"] for row in rows} == {"pass", "fail", "not audited", "waived"}
    assert [row["waived_by"] for row in rows if row["state"] == "waived"] == ["time team until 2026-09-30"]
    evidence = read(pack, "evidence.csv")
    assert {"/proc/8102/limits", "/proc/*/status"} <= {row["source"] for row in evidence if row["host"] == "web00004.example.org"}
    from controller.store import Store

    with Store.open(fleet_store) as store:
        raw = store.raw_document("web00004.example.org", store.runs()[-1].id)
    assert manifest["results"]["web00004.example.org"]["sha256"] == hashlib.sha256(raw).hexdigest()
    difference = json.loads((pack / "policy_difference.json").read_text())
    assert difference["same"] is True and difference["this_run"]
    with zipfile.ZipFile(written / "pack.zip") as archive:
        assert {name.rpartition("/")[2] for name in archive.namelist()} == {path.name for path in pack.iterdir()}


def test_no_cell_is_a_formula(written):
    seen = 0
    for path in (written / "pack").glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")):
            for value in row:
                assert not value.startswith(("=", "+", "-", "@", "\t", "\r")), (path.name, value)
                seen += value.startswith("'")
    assert seen > 4


@pytest.mark.parametrize("value", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", " =1", "\n=1", "\u00a0=1"])
def test_formulas_are_defused(value):
    assert safe.cell(value).startswith("'") and safe.cell(5) == 5 and safe.cell("a=1") == "a=1"


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.extend((tag, name, value) for name, value in attributes)


def test_html_has_no_markup_of_hosts(written):
    text = (written / "r.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.tags.count("script") == 2 and page.tags.count("style") == 1 and "img" not in page.tags and "iframe" not in page.tags
    for tag, name, value in page.attributes:
        assert not name.startswith("on") and name != "style", (tag, name, value)
        assert name not in ("href", "src") or value.startswith("#") or value == "pack", (tag, name, value)
    assert 'href="pack"' in text


def test_a_policy_allows_this_script_only(written):
    import base64

    text = (written / "r.html").read_text(encoding="utf-8")
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[1].replace("&#39;", "'")
    assert "script-src 'sha256-%s';" % digest in policy and policy.startswith("default-src 'none';") and "unsafe" not in policy


def test_xml_holds_what_xml_can_hold():
    text = safe.xml("a\x00b\x0bc\ud800d\ufffe")
    xml.etree.ElementTree.fromstring("<a>%s</a>" % text)
    assert text == "a\\u0000b\\u000bc\\ud800d\\ufffe"


def test_standard_output_is_for_one(fleet_store, capsys):
    assert main(["report", "--store", fleet_store, "--format", "json:-", "--format", "nagios"]) == 2
    assert main(["report", "--store", fleet_store, "--format", "csv:-"]) == 2
    with pytest.raises(SystemExit):
        main(["report", "--format", "pdf:x"])
    assert "there is no format pdf" in capsys.readouterr().err


def test_what_is_no_pack_is_not_replaced(fleet_store, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert main(["report", "--store", fleet_store, "--format", "csv:%s" % (tmp_path / "mine"), "--format", "json:%s" % (tmp_path / "r.json")]) == 1
    assert (tmp_path / "mine" / "thesis.txt").exists() and not (tmp_path / "r.json").exists() and "holds other files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]  # nothing half-written


def test_a_folder_whose_manifest_is_somebody_elses_is_left_alone(fleet_store, tmp_path, capsys):
    site = tmp_path / "site"
    site.mkdir()
    for manifest in ('{"name": "a web page"}', "no JSON", '["pidhygiene.pack/1"]'):
        (site / "manifest.json").write_text(manifest)
        assert main(["report", "--store", fleet_store, "--format", "csv:%s" % site]) == 1
        assert "other files than a pack" in capsys.readouterr().err and (site / "manifest.json").read_text() == manifest


def test_a_pack_replaces_its_earlier_self(fleet_store, tmp_path):
    for _again in range(2):
        assert main(["report", "--store", fleet_store, "--format", "csv:%s" % (tmp_path / "pack")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_a_folder_in_every_format(tmp_path):
    folder = synthetic.write_folder(tmp_path / "in", fleets.documents(4, 12))
    assert main(["report", str(folder), "--format", "json:%s" % (tmp_path / "r.json"), "--format", "html:%s" % (tmp_path / "r.html")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["changes"] is None and "this is the first run" in (tmp_path / "r.html").read_text()


def test_a_folder_alone_is_as_before(tmp_path, capsys):
    folder = synthetic.write_folder(tmp_path / "in", fleets.documents(4, 12))
    assert main(["report", str(folder), "--fail-on", "fail"]) == 100
    assert "<script" not in (folder / "report.html").read_text() and "\nPage: " in capsys.readouterr().out


def test_help_imports_no_library():
    code = "import sys; from controller.__main__ import main\ntry: main(['report', '--help'])\nexcept SystemExit: print([n for n in ('jinja2', 'sqlalchemy', 'yaml') if n in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}).stdout
    assert told.endswith("[]\n")
