"""A fresh host is healthy: no warning, no failure, nothing unknown. One false alarm and nobody reads the report again."""

from __future__ import annotations

import json

import pytest

from .auditing import check, deviations, install


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_a_fresh_host_is_silent(new_host, suite):
    host = new_host(suite=suite)
    install(host)
    first = check(host)
    assert deviations(first) == []
    assert len(json.dumps(first, sort_keys=True)) <= 20 * 1024
    host.write("/root/first.json", json.dumps(first))
    again = check(host, "--previous", "/root/first.json")
    assert deviations(again) == [], "with history, too"
    assert {finding["fingerprint"] for finding in again["findings"]} >= {finding["fingerprint"] for finding in first["findings"]}


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_still_silent_after_a_reboot(new_host, suite):
    host = new_host(suite=suite)
    install(host)
    first = check(host)
    host.write("/root/first.json", json.dumps(first))
    host.reboot()
    assert deviations(check(host, "--previous", "/root/first.json")) == []
