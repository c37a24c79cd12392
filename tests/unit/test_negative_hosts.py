"""Recordings of healthy hosts with real software (tests/lab/negative): no warning, no failure, nothing unknown, today, with history, and later."""

from __future__ import annotations

import gzip
import json
import pathlib
import re

import pytest
from pidhygiene.audit import audit
from pidhygiene.host import Clock
from pidhygiene.policy import Policy
from pidhygiene.readers import processes
from pidhygiene.snapshot import SnapshotHost

PLACE = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "negative"
NAMES = sorted(path.name.removesuffix(".expected") for path in PLACE.glob("*.expected"))
FEWEST = 150  # processes
LATER = 3 * 86400.0  # seconds
WATCHED = Policy({"outer_limits_watched": True})  # hosts of the lab are containers, and stand for machines


def plain(path):
    return json.loads(gzip.decompress(path.read_bytes()))


@pytest.fixture(scope="module")
def documents():
    return {name: plain(PLACE / f"{name}.json.gz") for name in NAMES}


class LaterHost(SnapshotHost):
    """The same host three days later, with the same processes: hosts of the lab are minutes old, and many rules wait for hours."""

    def clock(self):
        clock = super().clock()
        return Clock(clock.wall + LATER, clock.boot + LATER)

    def read(self, path, limit=1024 * 1024, root="/"):
        data = super().read(path, limit, root)
        if path.endswith("/sched"):  # who was just dead or stuck then is just dead or stuck now
            data = re.sub(rb"(se\.exec_start\s*:\s*)([0-9.]+)", lambda found: found.group(1) + b"%.6f" % (float(found.group(2)) + 1000 * LATER), data)
        return data


def deviations(result):
    assert result["audit"]["errors"] == []
    return {(finding["rule"], finding["subject"]["id"]): finding["message"] for finding in result["findings"]
            if finding["status"] in ("warn", "fail", "unknown")}


def expected(name):
    """(rule, subject): reason."""
    accepted = {}
    for line in (PLACE / f"{name}.expected").read_text().splitlines():
        if line and not line.startswith("#"):
            what, _, reason = line.partition(" # ")
            rule, subject = what.split(None, 1)
            assert reason.strip(), f"{name}: {rule} needs a reason"
            accepted[rule, subject.strip()] = reason
    return accepted


def test_there_are_enough_of_them():
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_it_is_busy(documents, name):
    assert len(list(processes.read(SnapshotHost(documents[name])).live())) >= FEWEST


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_said_but_what_is_true(documents, name):
    found = deviations(audit(SnapshotHost(documents[name]), WATCHED))
    assert {key: found[key] for key in found if key not in expected(name)} == {}
    assert {key for key in expected(name) if key not in found} == set(), "accepted, but not found: remove the line"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_more_is_said_with_history(documents, name):
    found = deviations(audit(SnapshotHost(documents[name]), WATCHED, previous=plain(PLACE / f"{name}.marks.json.gz")))
    assert {key: found[key] for key in found if key not in expected(name)} == {}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_more_is_said_days_later(documents, name):
    found = deviations(audit(LaterHost(documents[name]), WATCHED))
    overlapping = {key for key in found if key[0] == "PH-CRN-001"}  # jobs of a minute that run for days would be just that
    assert {key: found[key] for key in found if key not in expected(name) and key not in overlapping} == {}
