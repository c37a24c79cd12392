"""TZif, comparison, and the zone database."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pidhygiene.host import LiveHost
from pidhygiene.readers import zone_database, zone_info
from pidhygiene.readers.zone_database import Database
from simulated import SimulatedHost
from zone_files import BERLIN, MEXICO, MEXICO_BEFORE, NEW_YORK, SHANGHAI, UTC, VIENNA, Z, tzif, with_zones

NOW = 1_795_400_000
parse = zone_info.parse


def test_shanghai():
    zone = parse(SHANGHAI)
    assert zone.version == 2 and zone.footer == "CST-8"
    assert zone.at(NOW) == (28800, False, "CST")
    assert zone.at(515527200) == (32400, True, "CDT") and zone.at(515527199) == (28800, False, "CST")
    assert zone.at(-3 * 10 ** 9) == (29143, False, "LMT")


@pytest.mark.parametrize("version", [b"\0", b"2", b"3", b"4"])
def test_versions(version):
    zone = parse(tzif("UTC0", [(3600, False, "XYZ")], version=version))
    assert zone.shift(0) == 3600  # without transitions glibc never asks the footer
    assert zone.version == {b"\0": 1}.get(version, int(version) if version != b"\0" else 1)


def test_leap_seconds_shift_the_clock():
    right = parse(tzif("UTC0", [(0, False, "UTC")], [(0, 0)], leaps=[(78796800, 1), (94694401, 2)]))
    assert right.shift(78796799) == 0 and right.shift(78796800) == -1 and right.shift(NOW) == -2
    assert not zone_info.same_rules(right, parse(UTC), NOW)


@pytest.mark.parametrize("data, why", [
    (b"", "cut off"), (b"TZif", "cut off"), (b"x" * 100, "no TZif data"), (SHANGHAI[:-6], "no footer"), (SHANGHAI[:80], "cut off"),
    (b"TZif2" + b"\0" * 15 + struct.pack(">6i", 0, 0, 0, 2 ** 31 - 1, 1, 1), "cut off"),
    (b"TZif\0" + b"\0" * 15 + struct.pack(">6i", 0, 0, 0, -1, 1, 1), "impossible counts"),
    (b"TZif\0" + b"\0" * 15 + struct.pack(">6i", 0, 0, 0, 0, 0, 0), "no local time types"),
    (b"TZif\0" + b"\0" * 15 + struct.pack(">6i", 2, 0, 0, 0, 1, 1) + b"\0" * 9, "impossible counts"),
])
def test_refused(data, why):
    with pytest.raises(zone_info.NotAZone, match=why):
        parse(data)


def test_bad_indexes_are_refused():
    data = bytearray(SHANGHAI)
    data[-len(b"\nCST-8\n") - 12 - 18 - 1] = 200  # the last index, before three types and their names
    with pytest.raises(zone_info.NotAZone):
        parse(bytes(data))


@given(st.binary(max_size=300) | st.builds(lambda at, byte: SHANGHAI[:at] + bytes([byte]) + SHANGHAI[at + 1:], st.integers(0, 300), st.integers(0, 255)))
def test_broken_data_never_raises_anything_else(data):
    try:
        zone = parse(data)
    except zone_info.NotAZone:
        return
    zone.at(NOW)
    zone.shift(NOW)
    list(zone.changes(0, NOW))
    zone_info.first_difference(zone, parse(UTC), 0, NOW)


def test_comparison():
    assert zone_info.same_rules(parse(BERLIN), parse(VIENNA), NOW) and parse(BERLIN) != parse(VIENNA)
    assert not zone_info.same_rules(parse(BERLIN), parse(SHANGHAI), NOW)
    assert zone_info.same_rules(parse(SHANGHAI), zone_database.posix_tz.parse("XYZ-8"), NOW)
    assert zone_info.first_difference(parse(MEXICO), parse(MEXICO_BEFORE), 0, NOW) == 1680422400  # April 2023: the first summer time that did not come
    assert zone_info.footer_of(BERLIN) == b"CET-1CEST,M3.5.0,M10.5.0/3" and zone_info.footer_of(b"x") == b""


def test_offsets_ahead():
    ahead = zone_info.offsets(parse(BERLIN), NOW, NOW + 400 * 86400)
    assert [shift for _moment, shift in ahead] == [3600, 7200, 3600]
    assert zone_info.offsets(parse(SHANGHAI), NOW, NOW + 400 * 86400) == [(NOW, 28800)]


def test_strings_without_rules_take_those_of_posixrules():
    wanted = zone_database.posix_tz.parse("AAA-3BBB")
    zone = zone_info.under_default_rules(parse(NEW_YORK), wanted)
    assert zone.at(1173596400 + 8 * 3600) == (14400, True, "BBB")  # not 2 o'clock of any wall: glibc moves it the wrong way
    assert zone.at(1173596400 + 8 * 3600 - 1) == (10800, False, "AAA")
    assert zone_info.under_default_rules(parse(UTC), wanted) is None


# -- the database ---------------------------------------------------------------------------------------------------------


def database(**options):
    return Database(with_zones(SimulatedHost(), **options))


def test_version_and_aliases():
    found = database()
    assert found.version == "2025b"
    assert found.canonical("PRC") == found.canonical("posix/Asia/Shanghai") == "Asia/Shanghai"
    assert found.canonical("UTC") == found.canonical("Zulu") == "Etc/UTC"
    assert found.canonical("posixrules") == "America/New_York"
    assert found.canonical("Europe/Berlin") == "Europe/Berlin" and found.canonical("Nowhere/Land") == "Nowhere/Land"


def test_aliases_without_tzdata_zi_are_links():
    host = with_zones(SimulatedHost()).remove(Z + "tzdata.zi")
    found = Database(host)
    assert found.version is None and found.canonical("PRC") == "Asia/Shanghai" and found.canonical("US/Eastern") == "America/New_York"


def test_links_in_a_circle_end():
    version, aliases = zone_database.parse_source("# version 2025b-dirty\nL A B\nL B A\n")
    assert version == "2025b-dirty" and aliases == {"B": "A", "A": "B"}
    host = with_zones(SimulatedHost()).file(Z + "tzdata.zi", "L A B\nL B A\n")
    assert Database(host).canonical("A") in ("A", "B")


@pytest.mark.parametrize("value, kind, name", [
    ("Asia/Shanghai", "zone", "Asia/Shanghai"), (":Asia/Shanghai", "zone", "Asia/Shanghai"), ("PRC", "zone", "Asia/Shanghai"),
    (Z + "Europe/Berlin", "zone", "Europe/Berlin"), ("posix/Asia/Shanghai", "zone", "Asia/Shanghai"), ("right/Asia/Shanghai", "zone", "right/Asia/Shanghai"),
    ("/opt/zone", "file", ""), ("", "utc", "Etc/UTC"), (":", "utc", "Etc/UTC"), (":/etc/localtime", "localtime", ""), ("localtime", "localtime", ""),
    ("CST-8", "posix", ""), ("CST-8,x", "partly", ""), ("Asia/Shangai", "unknown", ""), ("Asia", "unknown", ""), ("Asia/Shanghai/", "unknown", ""),
    ("tzdata.zi", "unknown", ""), ("::UTC", "unknown", ""), ("/nowhere", "unknown", ""),
])
def test_what_tz_means(value, kind, name):
    host = with_zones(SimulatedHost()).file("/opt/zone", BERLIN).link("/etc/localtime", Z + "Europe/Berlin")
    meaning = Database(host).meaning(value)
    assert (meaning.kind, meaning.name, meaning.legacy) == (kind, name, False)
    assert (meaning.zone.shift(NOW) == 0) == (kind in ("utc", "unknown"))


def test_old_names_without_their_package():
    meaning = database(legacy=False).meaning("PRC")
    assert (meaning.kind, meaning.name, meaning.legacy) == ("unknown", "Asia/Shanghai", True)


def test_what_cannot_be_read_is_not_called_utc():
    host = with_zones(SimulatedHost()).forbid(Z + "Europe/Berlin")
    assert Database(host).meaning("Europe/Berlin").kind == "unseen"


def test_fifo_for_a_zone(tmp_path):
    import os

    folder = tmp_path / "usr/share/zoneinfo"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "Pipe")
    (folder / "Long").write_bytes(b"TZif" * 100000)
    found = Database(LiveHost(str(tmp_path)))
    assert found.meaning("Pipe").kind == "unknown" and found.meaning("Long").kind == "unknown"


def test_finding_a_copy():
    found = database()
    assert found.find(SHANGHAI, NOW) == ("same bytes", ("Asia/Shanghai",))
    assert found.find(MEXICO_BEFORE, NOW) == ("older rules", ("America/Mexico_City",))
    assert found.find(b"junk", NOW) is None
    slim = tzif("CET-1CEST,M3.5.0,M10.5.0/3", [(3600, False, "CET"), (7200, True, "CEST")], [(354675600, 1), (370400400, 0), (846378000, 0)])
    assert found.find(slim, NOW, ("Europe/Vienna",)) == ("same rules", ("Europe/Vienna", "Europe/Berlin"))
