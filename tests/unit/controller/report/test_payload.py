"""What the page holds beside its first screen stays small, and says what it leaves out."""

import base64
import json
import zlib

import fleets
import pytest
import synthetic
from controller.fleet.model import FleetHost
from controller.report import gather as gathering
from controller.report import page, payload
from controller.report.gather import Wishes, gather
from controller.report.source import FolderSource
from controller.store.rows import Run


def of_many(hosts, findings=3):
    """Hosts that all say something else."""

    class Many(FolderSource):
        def __init__(self):
            pass

        def runs(self):
            return [Run(1, "run", "named", synthetic.START, synthetic.START + 60, targeted=hosts)]

        def hosts(self, run_id, names=None, lean=False):
            for number in range(hosts):
                status = "fail" if number == hosts - 1 else "warn"
                found = tuple(synthetic.finding(status=status, message="host %d says %d" % (number, each), fingerprint="%016x" % (number * 100 + each)) for each in range(findings))
                yield FleetHost("host%05d" % number, "audited", synthetic.START, synthetic.START, status, findings=found, rules={"PH-ZMB-001": status})

    return gather(Many(), Many().runs()[0], synthetic.START + 60, Wishes())


def unpacked(text):
    return json.loads(zlib.decompress(base64.b64decode(text)))


def test_every_host_is_there_with_its_columns(report):
    made = unpacked(payload.packed(report)[0])
    assert {len(column) for column in made["hosts"].values()} == {63}
    assert made["hosts"]["name"] == [row.name for row in report.hosts]
    limit = made["limits"][made["hosts"]["limit"][made["hosts"]["name"].index("web00004.example.org")]]
    assert limit == ["RLIMIT_NPROC", "oracle", 18451, 16384]


def test_texts_are_bounded_and_the_gravest_stay(monkeypatch):
    report = of_many(200)
    whole, left = payload.build(report)
    assert left == 0 and len(whole["texts"]) == 600
    monkeypatch.setattr(payload, "MOST_BYTES_OF_TEXTS", 20_000)
    made, left = payload.build(report)
    assert 3 <= len(made["texts"]) < 60 and left == 600 - len(made["texts"])
    assert made["texts"][0]["message"].startswith("host 199 ")  # it fails, the others warn
    assert made["textsets"][made["hosts"]["texts"][0]] == [-1, -1, -1] or left < 600
    text = "".join(page.parts(report))
    assert "findings of information, or of hosts that are better off, are counted only" in text and "--host NAME" in text


def test_memory_is_bounded_too(monkeypatch):
    monkeypatch.setattr(gathering, "MOST_TEXTS", 100)
    report = of_many(200)
    assert len(report.texts) == 100 and len(report.hosts) == 200 and sum(row.count("warn") for row in report.hosts) == 199 * 3


def test_evidence_is_cut_and_counted():
    finding = synthetic.finding(evidence=[{"source": "s", "value": "v" * 5000}] * 40)
    made = payload._text(finding, payload._Table(), payload._Table())
    assert len(made["evidence"]) == payload.MOST_EVIDENCE and made["more"] == 40 - payload.MOST_EVIDENCE and len(made["evidence"][0][1]) == payload.LONGEST


@pytest.mark.parametrize("wrong", [{"evidence": None}, {"evidence": "x"}, {"subject": None}, {"waiver": "x"}, {"remedy": []}, {"references": {}}, {"status": 5}, {"severity": None}, {"message": 7}])
def test_findings_of_any_shape_are_shown(wrong):
    finding = {**fleets.full(1, 5), **wrong}
    json.dumps(payload._text(finding, payload._Table(), payload._Table()))
