"""When a reboot is, told in three ways."""

from __future__ import annotations

import time

import pytest

from pidhygiene.remedies.model import Refused
from pidhygiene.remedies.reboot import UTC, moment

NOON = 1795867200.0  # 2026-11-28T12:00:00Z


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("when", "expected"), [
    ("+30", "2026-11-28T12:30:00Z"), ("+0", "2026-11-28T12:01:00Z"), ("13:01", "2026-11-28T12:01:00Z"), ("13:00", "2026-11-29T12:00:00Z"),
    ("3:30", "2026-11-29T02:30:00Z"), ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"),
])
def test_a_moment(when: str, expected: str) -> None:
    assert time.strftime(UTC, time.gmtime(moment(when, NOON))) == expected


@pytest.mark.parametrize("when", ["", "now", "+", "-5", "24:00", "12:60", "2026-11-28T12:00:00Z", "2026-11-28T11:59:59Z", "2027-11-28T12:00:00Z", "+99999",
                                  "2026-11-28 13:00", "tomorrow", "+5\n", "03:30; reboot"])
def test_no_moment(when: str) -> None:
    with pytest.raises(Refused):
        moment(when, NOON)
