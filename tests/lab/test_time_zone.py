"""Time zones on real hosts: what TZ means to the C library there, and the seed's host (F05), made and mended."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import oracle_seed
import pytest

from .auditing import check, deviations, install, of_rule, only

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "ansible_collection/plugins/module_utils"), str(REPOSITORY / "tests/unit/readers")]

import random_zones  # noqa: E402
from pidhygiene.host import LiveHost  # noqa: E402
from pidhygiene.readers.zone_database import Database  # noqa: E402

CASES = int(os.environ.get("PIDHYGIENE_ZONE_CASES", "800"))
ORACLE = (REPOSITORY / "tests/unit/readers/glibc_time.py").read_text()
Z = "/usr/share/zoneinfo/"


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_values_of_tz_against_the_c_library(suite, request):
    host = request.getfixturevalue(suite)
    seed = oracle_seed.seed()
    print("seed", seed)
    dice = random.Random(seed)
    database = Database(LiveHost(str(host.root), 600))
    meanings = [database.meaning(text) for text in random_zones.cases(dice, CASES)]
    questions = [(meaning.value, random_zones.moments(dice, meaning)) for meaning in meanings]
    answers = host.run(["python3", "-c", ORACLE], stdin="".join(json.dumps(each) + "\n" for each in questions), timeout=300).stdout.splitlines()
    assert len(answers) == len(questions)
    wrong = []
    for meaning, (_value, asked), answer in zip(meanings, questions, answers):
        wrong += random_zones.disagreements(meaning, asked, json.loads(answer))
    assert not wrong, "\n".join(wrong[:20])
    assert {"zone", "posix", "partly", "unknown", "utc"} <= {meaning.kind for meaning in meanings}


def test_f05_is_found_and_mended(new_host):
    """The seed: /etc/timezone says Etc/UTC, /etc/localtime is a copy of Asia/Shanghai. bookworm's cron follows, so PH-TZ-006 is silent."""
    host = new_host()
    install(host)
    host.shell(f"echo Etc/UTC > /etc/timezone; rm /etc/localtime; cp {Z}Asia/Shanghai /etc/localtime")
    result = check(host)
    assert "/etc/timezone says Etc/UTC, but programs run in Asia/Shanghai, 8 h apart" in only(result, "PH-TZ-001", "fail")["message"]
    assert "is a copy of Asia/Shanghai instead of a link" in only(result, "PH-TZ-002", "warn")["message"]
    assert of_rule(result, "PH-TZ-006") == []
    assert {each.split()[1] for each in deviations(result)} <= {"PH-TZ-001", "PH-TZ-002", "PH-TZ-007"}
    host.shell(f"ln -sfn {Z}Asia/Shanghai /etc/localtime; echo PRC > /etc/timezone")
    mended = check(host)
    assert [each for each in deviations(mended) if "PH-TZ-007" not in each] == []


def test_cronie_keeps_the_old_zone_until_it_is_restarted(new_host):
    """What PH-TZ-006 says is what happens: the job that is due by the old clock runs, the one due by the new clock does not."""
    host = new_host(suite="trixie", packages=("cronie",))
    install(host)
    unit = host.shell("systemctl list-units --no-legend --type=service 'cron*' | awk '{print $1}' | head -n 1")
    assert unit, "cronie does not run"
    assert of_rule(check(host), "PH-TZ-006") == []
    host.shell("sleep 61", timeout=120)  # what happens within a minute of the start is taken for the noise of booting
    host.shell("timedatectl set-timezone Asia/Shanghai")
    finding = only(check(host), "PH-TZ-006", "fail")
    assert "before the zone changed to Asia/Shanghai" in finding["message"]
    assert any("timedated" in seen["source"] for seen in finding["evidence"])

    hours = host.shell("date -u +%-H; date +%-H").split()
    lines = ["* {0},{1} * * * root touch /root/ran-by-{2}".format(int(hour), (int(hour) + 1) % 24, clock) for hour, clock in zip(hours, ("old", "new"))]
    host.write("/etc/cron.d/witness", "\n".join(lines) + "\n")
    host.shell("for i in $(seq 1300); do ls /root/ran-by-* >/dev/null 2>&1 && break; sleep 0.1; done", timeout=200)
    assert host.shell("ls /root | grep ran-by") == "ran-by-old"

    host.shell(f"systemctl restart {unit}; rm /root/ran-by-old")
    assert of_rule(check(host), "PH-TZ-006") == []
    host.shell("for i in $(seq 1300); do ls /root/ran-by-* >/dev/null 2>&1 && break; sleep 0.1; done", timeout=200)
    assert host.shell("ls /root | grep ran-by") == "ran-by-new"


def test_old_names_need_tzdata_legacy(new_host):
    """F05 d: after the upgrade to trixie, TZ=PRC is UTC in silence."""
    host = new_host(suite="trixie")
    install(host)
    host.write("/etc/default/cron", "TZ=PRC\n")
    assert of_rule(check(host), "PH-TZ-004") == []
    host.run(["dpkg", "--purge", "tzdata-legacy"])
    assert "old name of Asia/Shanghai, and the package tzdata-legacy is not installed" in only(check(host), "PH-TZ-004", "fail")["message"]
    assert host.shell("TZ=PRC date -d @1700000000 +%H%Z") == "22PRC"
