"""Crontabs as cron itself reads them: Debian's cron of bookworm and trixie, and cronie. Expected values come from the daemons' own logs."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import sys
from pathlib import Path

import oracle_seed
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / "ansible_collection/plugins/module_utils"), str(REPOSITORY / "tests/unit/readers")]

import random_crontabs  # noqa: E402
from pidhygiene.readers import crontab  # noqa: E402

CASES = int(os.environ.get("PIDHYGIENE_CRONTAB_CASES", "400"))

DIALECTS = {"bookworm": crontab.OLD_DEBIAN, "trixie": crontab.DEBIAN}

PUT = """
import base64, json, os, sys
for name, text in json.load(sys.stdin).items():
    with open(os.path.join(sys.argv[1], name), "wb") as stream:
        stream.write(base64.b64decode(text))
"""


def put(host, folder, tables):
    host.run(["mkdir", "-p", folder])
    host.run(["python3", "-c", PUT, folder], stdin=json.dumps({name: base64.b64encode(text.encode()).decode() for name, text in tables.items()}))


def random_tables(count, user=""):
    seed = oracle_seed.seed()
    print("seed", seed)
    dice = random.Random(seed)
    return {"t%04d" % number: random_crontabs.table(dice, user) for number in range(count)}


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_own_tables_of_users(new_host, suite):
    """`crontab -n` checks a table with the code of the daemon (load_env, load_entry)."""
    host = new_host(suite=suite)
    tables = random_tables(CASES)
    put(host, "/root/tables", tables)
    verdicts = host.shell("cd /root/tables; for each in *; do crontab -n $each >/dev/null 2>&1 && echo $each good || echo $each bad; done", timeout=300)
    compare(tables, dict(line.split() for line in verdicts.splitlines()), False, DIALECTS[suite])


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_tables_in_cron_d(new_host, suite):
    """The daemon logs each table that it drops."""
    host = new_host(suite=suite)
    tables = random_tables(CASES, "root")
    host.run(["systemctl", "stop", "cron"])
    put(host, "/etc/cron.d", tables)
    host.run(["systemctl", "start", "cron"])
    log = wait_for(host, "cron.service", "Running @reboot jobs|Skipping @reboot")
    dropped = set(re.findall(r"\(\*system\*(t\d+)\) ERROR \((?:Syntax error|Missing newline)[^)]*ignored\)", log))
    compare(tables, {name: "bad" if name in dropped else "good" for name in tables}, True, DIALECTS[suite])


def test_tables_of_cronie(new_host):
    """cronie logs each line that it passes over, with the name of the table."""
    host = new_host(suite="trixie", packages=("cronie",))
    tables = {name: text for name, text in random_tables(CASES, "root").items() if len(text) < 900}
    host.run(["systemctl", "stop", "crond"], check=False)
    host.run(["systemctl", "stop", "cronie"], check=False)
    put(host, "/etc/cron.d", tables)
    unit = host.shell("systemctl list-unit-files --no-legend 'cron*.service' | awk '{print $1}' | grep -E 'crond|cronie' | head -n 1")
    host.run(["systemctl", "start", unit])
    log = wait_for(host, unit, r"INFO \(@reboot")
    failed = set(re.findall(r"(?:bad [a-z-]+|missing newline before EOF|bad time specifier)\s*\(/etc/cron\.d/(t\d+)\)", log))
    compare(tables, {name: "bad" if name in failed else "good" for name in tables}, True, crontab.CRONIE)


def wait_for(host, unit, pattern):
    """The log of the unit's last start, once it holds the pattern: the tables have been read by then."""
    script = (
        "id=$(systemctl show -p InvocationID --value %s); for i in $(seq 300); do journalctl --sync; "
        "journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$id > /root/log; grep -qE '%s' /root/log && break; sleep 0.1; done; cat /root/log" % (unit, pattern)
    )
    log = host.shell(script, timeout=120)
    assert re.search(pattern, log), log[-2000:]
    return log


def compare(tables, verdicts, with_user, dialect):
    wrong, bad = [], 0
    for name, text in sorted(tables.items()):
        table = crontab.parse(text, with_user, dialect)
        unknown = dialect != crontab.CRONIE and any(job.user not in ("", "root") for job in table.jobs)
        ours = "bad" if table.mistakes or unknown else "good"
        bad += ours == "bad"
        if "~" in text and dialect == crontab.CRONIE and verdicts[name] == "bad":
            continue  # 0~11 for a month is good by chance
        if ours != verdicts[name]:
            wrong.append("%r: cron says %s, we %s %r" % (text, verdicts[name], ours, table.mistakes))
    assert not wrong, "\n".join(wrong[:20])
    assert len(tables) * 0.1 < bad < len(tables) * 0.9
