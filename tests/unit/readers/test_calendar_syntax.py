"""Calendar events. Hundreds of random ones are compared with systemd's own reading in tests/lab/test_clock_changes.py."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.readers.calendar_syntax import parse, split_zone


def runs(event, day):
    calendar = parse(event)
    return ["%02d:%02d" % divmod(minute, 60) for minute in calendar.times] if calendar.on(day) else []


SUNDAY = date(2027, 3, 28)


@pytest.mark.parametrize("event, found", [
    ("hourly", 24), ("minutely", 1440), ("daily", ["00:00"]), ("WEEKLY", []), ("Sun", ["00:00"]), ("Sun 02:30", ["02:30"]), ("Mon 02:30", []),
    ("Fri..Sun *-*-* 6,18:00", ["06:00", "18:00"]), ("sunday,monday 3:05:30", ["03:05"]), ("Thu-Sat 3:00", []), ("*-03-28 1:00", ["01:00"]),
    ("3-28", ["00:00"]), ("2027-3-28 4:00", ["04:00"]), ("27-*-28 4:00", ["04:00"]), ("*-*~4 4:00", ["04:00"]), ("*-03~4/1 4:00", ["04:00"]),
    ("*-*~03 4:00", []), ("*:0/20", 72), ("9..11/2:30", ["09:30", "11:30"]), ("8..8:00", ["08:00"]), ("*-*-1/9 1:00", ["01:00"]), ("2026-*-* 1:00", []),
    ("*:*:0/0.5", 1440), ("Sat..Sun, 1:00", ["01:00"]),
])
def test_when_it_elapses(event, found):
    elapses = runs(event, SUNDAY)
    assert (len(elapses) if isinstance(found, int) else elapses) == found


@pytest.mark.parametrize("event", [
    "", "dayly", "24:00", "1:60", "1:00:60", "Mon..", "Sun..Mon 1:00", "Mond 1:00", "Mon.Tue 1:00", "2..1:00", "*/0:00", "1:00 ", "1", "*-13-01", "*-*-32", "*-*~29",
    "1969-1-1", "*:*:50..50", "1:00 x", "1-2~3-4", "99999999999999999999999:00", "1:00:00:00",
])
def test_what_systemd_refuses(event):
    with pytest.raises(ValueError):
        parse(event)


def test_the_zone_is_the_last_word():
    assert split_zone("Sun 02:30 Europe/Berlin") == ("Sun 02:30", "Europe/Berlin")
    assert split_zone("daily") == ("daily", "")


@given(st.text(alphabet="0123456789*-~:,./ @MonSuTe", max_size=40))
def test_never_anything_but_a_value_error(text):
    try:
        calendar = parse(text)
    except ValueError:
        return
    assert all(0 <= minute < 1440 for minute in calendar.times)
    calendar.on(SUNDAY)
