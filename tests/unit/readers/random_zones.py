"""Random values of TZ for the oracle tests: names, POSIX strings good and bad, paths, garbage."""

from __future__ import annotations

import random
import re
import time
from typing import Any, List, Tuple

from pidhygiene.readers import posix_tz
from pidhygiene.readers.zone_database import PARTLY, POSIX, Meaning

NAMES = (
    "Europe/Berlin", "Asia/Shanghai", "America/New_York", "EST5EDT", "PRC", "US/Pacific", "Etc/GMT+5", "UTC", "GMT", "Asia/Shangai", "Nowhere/Land",
    "posix/Asia/Tokyo", "localtime", "posixrules", "Asia", "Europe/Berlin/", "../zoneinfo/Asia/Tokyo", "/usr/share/zoneinfo/Asia/Tokyo", "/etc/localtime",
    ":Europe/Paris", ":", "", "::UTC", "tzdata.zi", "/etc/passwd", "/nonexistent", "Factory", "Africa/Casablanca", "Europe/Dublin", "Antarctica/Troll",
    "Australia/Lord_Howe", "Pacific/Chatham", "America/Nuuk", "Asia/Gaza", "UTC+8", "CST-8", "<+08>-8", "MET", "HST", "WET0WEST", "AAA3BBB", "AAA-3BBB-5",
    "AAA3BBB,", "AA5BB", "ABC", "ABC+", "ABC5DEF6,M3.2.0,M11.1.0", "ABC5DEF,J60/2,J300/2:30", "XYZ-9:30XDT,M10.1.0,M4.1.0/3", "XYZ0XDT,59,300/-1", "UTC0 ",
    "UTC 0", "utc+0", "Universal", "zulu", "Zulu", "CET-1CEST,M3.5.0,M10.5.0/3", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "IST-1GMT0,M10.5.0,M3.5.0/1",
)
UNDEFINED = re.compile(r"M(?![ \t]*\+?0*([1-9]|1[0-2])(?!\d))")  # month 0 or 13: glibc reads beyond its table


def value(dice: random.Random) -> str:
    roll = dice.random()
    if roll < 0.25:
        return dice.choice(NAMES)
    if roll < 0.35:
        letters = list(dice.choice(NAMES))
        for _ in range(dice.randint(1, 2)):
            if letters:
                letters[dice.randrange(len(letters))] = dice.choice("AZaz09+-:,/.<>JM ")
        return "".join(letters)
    text = _name(dice) + _offset(dice)
    if dice.random() < 0.7:
        text += _name(dice) + (_offset(dice) if dice.random() < 0.5 else "")
        if dice.random() < 0.8:
            text += dice.choice([",", ",", ",", ""]) + _day(dice) + _time(dice) + dice.choice([",", ",", ",", ""]) + _day(dice) + _time(dice)
            text += dice.choice(["", "", "", ",x", " "])
        elif dice.random() < 0.3:
            text += ","
    return dice.choice(["", "", "", ":"]) + text


def _name(dice: random.Random) -> str:
    if dice.random() < 0.3:
        return dice.choice(["EST", "ABCDEF", "AB", "<+03>", "<-0330>", "<A>", "<ABC", "UTC", "Abc", "x1y", "<+12-x>", ""])
    return dice.choice(["EST", "XYZT", "<+05>", "<-03>", "CET"])


def _offset(dice: random.Random) -> str:
    if dice.random() < 0.2:
        return dice.choice(["", "+", "-", "99", "+24:59:59", "-25", "5:", "5:3", "5:99", "5:30:15", "+-5", "+ 5", "65535", "70000",
                            "99999999999999999999999", "-0", "5:+3", "5: 7", "5::3"])
    return dice.choice(["", "+", "-"]) + str(dice.randint(0, 14)) + dice.choice(["", "", ":30", ":45:10"])


def _day(dice: random.Random) -> str:
    if dice.random() < 0.15:
        return dice.choice(["J0", "J366", "366", "M5", "M5.1", "M5.6.1", "M5.1.7", "Jx", "", "x", "M 5.1.1", "M+5.1.1", "M5.1.1x"])
    return dice.choice(["M%d.%d.%d" % (dice.randint(1, 12), dice.randint(1, 5), dice.randint(0, 6)), "J%d" % dice.randint(1, 365), "%d" % dice.randint(0, 365)])


def _time(dice: random.Random) -> str:
    if dice.random() < 0.4:
        return dice.choice(["", "/2", "/3:30", "/-1", "/24", "/26:15:10", "/", "/-", "/x", "/167", "/-167", "/1:99", "/999"])
    return dice.choice(["", "/2", "/3"])


def cases(dice: random.Random, count: int) -> List[str]:
    found = list(NAMES)
    while len(found) < count:
        text = value(dice)
        if not UNDEFINED.search(text):
            found.append(text)
    return found


def moments(dice: random.Random, meaning: Meaning) -> List[int]:
    """Ordinary ones, and the seconds around changes."""
    found = [dice.randint(-3 * 10 ** 9, 6 * 10 ** 9) for _ in range(6)] + [dice.randint(1_700_000_000, 2_100_000_000) for _ in range(8)]
    if meaning.zone is not None:
        changes = sorted(set(meaning.zone.changes(1_700_000_000, 1_900_000_000)))
        for change in dice.sample(changes, min(6, len(changes))):
            found += [change - 1, change, change + 1]
    if without_rules(meaning):
        found = [moment for moment in found if time.gmtime(moment).tm_mon in (0, 6)]
    return found


def without_rules(meaning: Meaning) -> bool:
    """"AAA3BBB": when its summer ends depends on the release of glibc, and on what the program asked before (zone_info.under_default_rules)."""
    return meaning.kind in (POSIX, PARTLY) and posix_tz.parse(meaning.value.lstrip(":")).default_rules


def disagreements(meaning: Meaning, asked: List[int], answers: List[Tuple[Any, ...]]) -> List[str]:
    found = []
    for moment, (offset, summer, name, shift) in zip(asked, answers):
        zone = meaning.zone
        assert zone is not None
        ours = zone.at(moment) + (zone.shift(moment),)
        if ours != (offset, summer, name, shift):
            found.append("TZ=%r at %d: glibc %r, we %r" % (meaning.value, moment, (offset, summer, name, shift), ours))
    return found
