"""What a value of TZ means, against the C library of this machine (the lab does the same against bookworm's and trixie's)."""

from __future__ import annotations

import json
import os
import pathlib
import platform
import random
import subprocess
import sys

import oracle_seed
import pytest
from pidhygiene.host import LiveHost
from pidhygiene.readers import zone_info
from pidhygiene.readers.zone_database import Database

import random_zones

HERE = pathlib.Path(__file__).parent
CASES = int(os.environ.get("PIDHYGIENE_ZONE_CASES", "600"))
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the oracle is glibc; this Python runs on another C library")


def ask(questions, program=(sys.executable, str(HERE / "glibc_time.py")), **options):
    """Answers of glibc_time.py, one for each (value, moments)."""
    environment = {"PATH": "/usr/bin:/bin"}
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    result = subprocess.run(program, input=lines, stdout=subprocess.PIPE, universal_newlines=True, check=True, env=environment, **options)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


def test_random_values_of_tz():
    seed = oracle_seed.seed()
    print("seed", seed)
    dice = random.Random(seed)
    database = Database(LiveHost("/", 600))
    meanings = [database.meaning(text) for text in random_zones.cases(dice, CASES)]
    questions = [(meaning.value, random_zones.moments(dice, meaning)) for meaning in meanings]
    wrong = []
    for meaning, (_value, asked), answers in zip(meanings, questions, ask(questions)):
        wrong += random_zones.disagreements(meaning, asked, answers)
    assert wrong == []
    assert {"zone", "posix", "partly", "unknown", "utc"} <= {meaning.kind for meaning in meanings}


def test_every_installed_zone():
    dice = random.Random(20)
    database = Database(LiveHost("/", 600))
    names = [name for name, _size in database._walk()]
    if len(names) < 100:
        pytest.skip("no zone database on this machine")
    questions = [(name, random_zones.moments(dice, database.meaning(name))) for name in names]
    wrong = []
    for name, (_value, asked), answers in zip(names, questions, ask(questions)):
        wrong += random_zones.disagreements(database.meaning(name), asked, answers)
    assert wrong == []


def broken(data, dice):
    """A zone file with one thing wrong: a byte, the end, a piece."""
    roll = dice.random()
    if roll < 0.6:
        changed = bytearray(data)
        for _ in range(dice.randint(1, 3)):
            changed[dice.randrange(min(len(changed), 300) if dice.random() < 0.7 else len(changed))] = dice.randrange(256)
        return bytes(changed)
    if roll < 0.8:
        return data[: dice.randrange(len(data))]
    return data + bytes(dice.randrange(256) for _ in range(dice.randint(1, 20)))


def test_broken_zone_files(tmp_path):
    """What glibc refuses we refuse, what it takes means the same to us. Where glibc aborts or reads strange memory, nothing is compared."""
    seed = oracle_seed.seed()
    print("seed", seed)
    dice = random.Random(seed)
    from zone_files import BERLIN, SHANGHAI, tzif

    originals = [BERLIN, SHANGHAI, tzif("", [(3600, False, "XYZ")], version=b"\0"), tzif("UTC0", [(0, False, "UTC")], leaps=[(78796800, 1), (94694401, 2)]),
                 tzif("EST5EDT,M3.2.0,M11.1.0", [(-18000, False, "EST"), (-14400, True, "EDT")], [(1173596400, 1), (1194156000, 0)], version=b"3")]
    files = []
    for number in range(300):
        path = tmp_path / ("zone%d" % number)
        path.write_bytes(broken(dice.choice(originals), dice))
        files.append(path)
    moments = [0, 10 ** 9, 1_700_000_000, 1_720_000_000, 1_795_400_000]
    refused = accepted = 0
    for path, answers in zip(files, ask([(str(path), moments) for path in files])):
        try:
            zone = zone_info.parse(path.read_bytes())
        except zone_info.NotAZone as error:
            if answers is not None and str(error) != "no local time types":
                # the path is no POSIX string, so glibc falls back to UTC without a name
                assert [answer[:3] for answer in answers] == [[0, False, ""]] * len(moments), path.read_bytes()
            refused += 1
            continue
        accepted += 1
        if answers is not None and not unsorted(zone):
            assert [[zone.at(moment)[0], zone.shift(moment)] for moment in moments] == [[answer[0], answer[3]] for answer in answers], path.read_bytes()
    assert refused > 20 and accepted > 20


def unsorted(zone):
    """glibc guesses where to begin its search: without order, what it finds is chance. Offsets beyond a day overflow struct tm differently."""
    return (
        list(zone.transitions) != sorted(zone.transitions) or [moment for moment, _total in zone.leaps] != sorted(moment for moment, _total in zone.leaps)
        or any(abs(each.offset) > 86400 for each in zone.types) or zone.rules is not None and zone.rules.default_rules
        or random_zones.UNDEFINED.search(zone.footer) is not None
    )
