"""By which other policy the hosts of a run were judged, and what differs."""

import json
import zipfile

import pytest
import yaml
from controller.__main__ import main
from nights import Fleet
from pidhygiene.policy import Policy

OLD, NEW = {"zone": {"expected": "Europe/Berlin"}, "controls": {"PH-TZ-001": ["CIS 2.1.1"]}}, {"zone": {"expected": "UTC"}, "controls": {"PH-TZ-001": ["CIS 2.1.1"]}}
DIGESTS = Policy(OLD).digest(), Policy(NEW).digest()


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    for name, document in (("old", OLD), ("new", NEW)):
        (tmp_path / name).write_text(yaml.safe_dump({"pidhygiene_policy": document}))
    return Fleet(tmp_path, monkeypatch)


def night(fleet, *documents):
    return fleet.night({"a%d" % number: [] for number in range(len(documents))}, audit=[{"policy_digest": Policy(each).digest()} for each in documents])


def written(fleet, *more):
    assert main(["report", "--store", fleet.url, "--format", "csv:%s" % (fleet.place / "pack.zip"), "--format", "text:%s" % (fleet.place / "r.txt"),
                 "--format", "html:%s" % (fleet.place / "r.html"), *more]) == 0
    with zipfile.ZipFile(fleet.place / "pack.zip") as archive:
        return json.loads(archive.read("pack/policy_difference.json")), (fleet.place / "r.txt").read_text(), (fleet.place / "r.html").read_text()


def test_what_differs_is_shown_where_both_texts_are_kept(fleet):
    night(fleet, OLD)
    pack, text, page = written(fleet, "--policy", str(fleet.place / "old"))
    assert pack["same"] is None and pack["change"] is None and "policy sha256" not in text.split("\n")[-2]
    night(fleet, NEW)
    pack, text, page = written(fleet, "--policy", str(fleet.place / "new"))
    assert (pack["change"]["old"], pack["change"]["new"]) == DIGESTS and pack["documents"] == dict(zip(DIGESTS, (OLD, NEW)))
    assert "-  expected: Europe/Berlin" in pack["change"]["difference"] and "+  expected: UTC" in pack["change"]["difference"]
    assert "policy %s → %s: 2 lines differ" % DIGESTS in text and "-  expected: Europe/Berlin" in page
    night(fleet, NEW)
    pack, text, page = written(fleet)
    assert pack["same"] is True and pack["change"] is None and " → " not in text and 'id="policy"' not in page


def test_a_text_that_nobody_handed_in_is_told(fleet):
    night(fleet, OLD)
    night(fleet, NEW)
    pack, text, page = written(fleet, "--policy", str(fleet.place / "new"))
    assert pack["change"]["not_kept"] == [DIGESTS[0]] and pack["change"]["difference"] == []
    assert "the text of %s was not kept" % DIGESTS[0] in page and "what differs is unknown" in text
    assert main(["ingest", "--store", fleet.url, "--policy", str(fleet.place / "old"), str(fleet.place / "night0")]) == 0
    assert written(fleet)[0]["change"]["not_kept"] == []


def test_no_policy_needs_no_text_and_several_are_named(fleet):
    night(fleet, {}, {}, OLD)
    night(fleet, NEW, NEW, OLD)
    pack, text, _page = written(fleet, "--policy", str(fleet.place / "new"))
    assert "policy none → %s: 5 lines differ" % DIGESTS[1] in text and pack["change"]["others"] == []
    night(fleet, NEW, OLD, {"zone": {"expected": "Asia/Tokyo"}})
    pack, _text, _page = written(fleet)
    assert pack["change"]["new"] == Policy({"zone": {"expected": "Asia/Tokyo"}}).digest() and pack["change"]["old"] == DIGESTS[1]
