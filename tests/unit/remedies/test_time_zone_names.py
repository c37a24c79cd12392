"""time_zone: which names are taken, what is written where, who is restarted."""

from __future__ import annotations

from typing import Any

import pytest
from simulated import NOW, SimulatedHost
from zone_files import SHANGHAI, UTC, Z, with_cron, with_zones

from pidhygiene.remedies import time_zone
from pidhygiene.remedies.around import gathered
from pidhygiene.remedies.model import Refused, checked
from pidhygiene.remedies.time_zone import clock_text, zone_wanted


def zones() -> SimulatedHost:
    return with_zones(SimulatedHost())


def proposed(host: SimulatedHost, **given: Any) -> Any:
    return time_zone.propose(host, checked(time_zone.REMEDY, dict({"name": "Asia/Shanghai"}, **given)))


@pytest.mark.parametrize(("given", "name"), [("Europe/Berlin", "Europe/Berlin"), ("PRC", "Asia/Shanghai"), ("UTC", "Etc/UTC"), ("Etc/GMT+5", "Etc/GMT+5")])
def test_names_that_are_taken(given: str, name: str) -> None:
    assert zone_wanted(zones(), given)[0] == name


def test_a_name_of_a_place_stays_although_the_database_calls_it_an_alias() -> None:
    host = zones().file(Z + "zone.tab", "# comment\nCN\t+2934+10635\tAsia/Chongqing\tof old\n").file(Z + "Asia/Chongqing", SHANGHAI)
    assert zone_wanted(host, "Asia/Chongqing")[0] == "Asia/Chongqing"


@pytest.mark.parametrize("name", [
    "", "../../etc/shadow", "/usr/share/zoneinfo/Europe/Berlin", "posix/Europe/Berlin", "right/Europe/Berlin", "localtime", "posixrules", "Factory",
    "Europe/", "Europe", "Europe/Nowhere", "tzdata.zi", "CET-1CEST", "UTC+8", ":Europe/Berlin", "-x", ".", "Europe/Berlin\n", "Europe/Berlin x", "a%b", "a'b", "\udc80",
])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(Refused):
        zone_wanted(zones(), name)


def test_without_a_database_the_next_step_is_named() -> None:
    with pytest.raises(Refused, match="install tzdata"):
        zone_wanted(SimulatedHost(), "Europe/Berlin")


@pytest.mark.parametrize(("before", "after"), [
    ('ZONE="Etc/UTC"\nUTC=true\n', 'ZONE="Asia/Shanghai"\nUTC=true\n'),
    ("# ZONE=x\nTIMEZONE='Etc/UTC' # why\n", '# ZONE=x\nTIMEZONE="Asia/Shanghai"\n'),
    ("UTC=true", "UTC=true"),
])
def test_the_clock_file_of_red_hat_and_suse(before: str, after: str) -> None:
    assert clock_text(before, "Asia/Shanghai") == after


def linked(text: str) -> SimulatedHost:
    return zones().link("/etc/localtime", text, ctime=NOW - 86400).file("/etc/timezone", "Asia/Shanghai\n")


@pytest.mark.parametrize("text", ["../usr/share/zoneinfo/Asia/Shanghai", Z + "Asia/Shanghai"])
def test_a_link_that_says_the_zone_is_left_alone(text: str) -> None:
    assert not time_zone._link(gathered(linked(text), time_zone.SOURCES), "Asia/Shanghai")


@pytest.mark.parametrize("text", [Z + "PRC", Z + "Asia/Chongqing", "/etc/alternatives/localtime"])
def test_a_link_that_says_it_otherwise_is_replaced(text: str) -> None:
    host = linked(text).file(Z + "PRC", SHANGHAI).link("/etc/alternatives/localtime", Z + "Asia/Shanghai")
    assert not time_zone._is_named(gathered(host, time_zone.SOURCES).time_zone.localtime, "Asia/Shanghai")


def keeping(host: SimulatedHost) -> list[tuple[str, bool]]:
    return sorted((each.process.comm, each.left_alone) for each in time_zone.older_than_the_zone(gathered(host, time_zone.SOURCES)))


def test_only_programs_older_than_the_link_that_keep_their_zone() -> None:
    """crond of with_cron is older than the link of yesterday, and no unit's main process as far as this host tells."""
    host = with_cron(linked(Z + "Asia/Shanghai"), "1.5.2")
    host.process(700, 1, "mysqld", start=100_000).process(701, 1, "nginx", start=100_000).process(702, 1, "rsyslogd", start=10)
    assert keeping(host) == [("crond", True), ("mysqld", True)]
    assert keeping(with_cron(linked(Z + "Asia/Shanghai"), "3.0pl1-162")) == []
    assert keeping(with_cron(zones().link("/etc/localtime", Z + "Asia/Shanghai", ctime=NOW - 900 * 86400), "1.5.2")) == []
    assert keeping(with_cron(zones().link("/etc/localtime", Z + "Asia/Shanghai", ctime=NOW + 900), "1.5.2")) == [], "else it is restarted for ever"


def test_a_container_is_its_images_affair() -> None:
    with pytest.raises(Refused, match="this is a container"):
        proposed(linked(Z + "Asia/Shanghai").file("/.dockerenv", ""))


def test_what_is_as_it_shall_be_needs_nothing() -> None:
    assert proposed(linked(Z + "Asia/Shanghai")).steps == ()


def test_jobs_that_move_are_named_with_both_clocks() -> None:
    host = with_cron(zones().file("/etc/localtime", UTC), "1.5.2").file("/etc/cron.d/a", "0 9 * * * root report --password=secret\n*/5 * * * * root poll\n")
    evidence = gathered(host, time_zone.SOURCES)
    (line,) = time_zone.jobs_moved(evidence, evidence.time_zone.localtime.in_force, zone_wanted(host, "Asia/Shanghai")[1])
    assert line.startswith("job /etc/cron.d/a:1 (report --password=***) runs next at ") and " CST (" in line and " UTC (" in line
