"""unit_limits: what is written, what is kept, what is no value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidhygiene.readers.unit_syntax import Limit, parse
from pidhygiene.remedies import unit_limits
from pidhygiene.remedies.model import Refused, checked


def parameters(**given: Any) -> dict[str, Any]:
    return checked(unit_limits.REMEDY, dict({"unit": "a.service"}, **given))


def text(before: str | None, **given: Any) -> str | None:
    return unit_limits._text(unit_limits._wanted(parameters(**given), "a.service", before))


def test_a_drop_in_as_systemd_reads_it() -> None:
    written = text(None, limits={"nofile": 65536, "tasks": "20%", "core": "0:infinity"}, kill_mode="mixed")
    assert written is not None
    assert [(each.section, each.key, each.value) for each in parse(written, ("Service",)).assignments] == [
        ("Service", "KillMode", "mixed"), ("Service", "LimitCORE", "0:infinity"), ("Service", "LimitNOFILE", "65536"), ("Service", "TasksMax", "20%")]


def test_what_is_not_named_stays_and_only_what_is_named_goes() -> None:
    first = text(None, limits={"nofile": "5", "nproc": "6"})
    assert unit_limits.in_file(text(first, limits={"nofile": "7"})) == {"LimitNOFILE": "7", "LimitNPROC": "6"}
    assert unit_limits.in_file(text(first, limits={"nofile": "7"}, state="absent")) == {"LimitNPROC": "6"}
    assert text(first, state="absent") is None and text(None, state="absent") is None
    assert text(first, limits={"nofile": "5"}) == first


@pytest.mark.parametrize("unit", ["nginx", "a@.service", "a.socket", "../a.service", "/etc/a.service", "a%i.service", "a\n.service", "", "a b.service", "x" * 300 + ".service"])
def test_names_of_units(unit: str) -> None:
    with pytest.raises(Refused):
        unit_limits.unit_name(unit)


@pytest.mark.parametrize("unit", ["nginx.service", "a@1.service", "user-1000.slice", "-.slice", "system-a\\x2db.service"])
def test_good_names_of_units(unit: str) -> None:
    assert unit_limits.unit_name(unit) == unit


@pytest.mark.parametrize(("given", "words"), [
    ({"limits": {"nofile": "unlimited"}}, "infinity"), ({"limits": {"nofile": ""}}, "empty"), ({"limits": {"files": 1}}, "no limit 'files'"),
    ({"limits": {"nofile": "1\nExecStart=/bin/sh"}}, "control character"), ({"limits": {"tasks": "0"}}, "range"), ({"limits": {"nofile": "1 # x"}}, "must not hold"),
    ({"unit": "a.slice", "limits": {"nofile": 1}}, "only tasks"), ({"unit": "a.slice", "kill_mode": "mixed"}, "no kill_mode"),
])
def test_bad_values(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        tuple(unit_limits.assignments(parameters(**given)))
    assert words in str(caught.value)


@given(st.text())
def test_any_text_as_a_value_is_written_as_one_line_or_refused(value: str) -> None:
    try:
        written = text(None, limits={"nofile": value})
    except Refused:
        return
    assert written is not None and len(written.splitlines()) == 3 and unit_limits.in_file(written)["LimitNOFILE"] == value.strip()


@given(st.text())
def test_any_file_in_our_place_is_read(before: str) -> None:
    unit_limits.in_file(before)


def test_what_counts_as_running() -> None:
    """A program may raise its soft limit itself; systemd tells infinity of NOFILE as the kernel's own number."""
    assert unit_limits._same("LimitNOFILE", Limit(2 ** 64 - 1, 2 ** 64 - 1), Limit(1048576, 1048576))
    assert not unit_limits._same("LimitNPROC", Limit(5, 5), Limit(5, 6))
