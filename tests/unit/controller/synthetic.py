"""Result documents of hosts that never were: whole, valid, as ``pidhygiene check --format json`` writes them, and cheap to make by the thousand.

One healthy result is the mould (audited once per process on a simulated host); what differs between hosts and runs is put in. A fleet is
deterministic: the same host and run give the same document.
"""

import copy
import functools
import hashlib
import json
import random
import time

from pidhygiene.audit import audit
from render import folder
from simulated import SimulatedHost

START = 1_790_000_000  # when run 0 began: 2026-09-21
DAY = 86400
GROUPS = ("web", "db", "backup", "build")
FINDINGS_PER_HOST = 8  # a fresh host of the lab has as many


@functools.lru_cache(maxsize=1)
def _mould():
    return json.dumps(audit(SimulatedHost()))


def mould():
    """A healthy result, to be changed at will."""
    return json.loads(_mould())


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def host_name(number):
    return "%s%05d.example.org" % (GROUPS[number % len(GROUPS)], number)


def finding(rule="PH-ZMB-001", status="fail", severity="HIGH", **changed):
    """One finding as document.py writes it."""
    made = {
        "rule": rule, "title": "Persistent zombies under one parent", "status": status, "severity": severity,
        "subject": {"type": "process", "id": "beremote (8102)"}, "message": "beremote (8102) holds 18,094 zombies; restart VRTSralus.service.",
        "evidence": [{"source": "/proc/8102/stat", "value": "state S, parent 1"}], "binding": None, "confidence": "high",
        "remedy": {"state": "reap", "parameters": {"mode": "restart", "parent": 8102, "unit": "VRTSralus.service"}, "disruptive": True},
        "references": ["man:wait(2)"], "waiver": None, "fingerprint": "",
    }
    made.update(changed)
    made["fingerprint"] = made["fingerprint"] or fingerprint(rule, made["subject"]["type"], "beremote")
    return made


def fingerprint(*words):
    return hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def result(name="web1", findings=(), at=START, tags=(), **sections):
    """A whole document; of a section given as a dict, only those members change."""
    made = mould()
    made["host"].update(name=name, machine_id=hashlib.md5(name.encode("utf-8", "surrogatepass")).hexdigest(), tags=sorted(tags))
    made["audit"]["started_at"] = stamp(at)
    for section, change in sections.items():
        made[section] = {**made[section], **change} if isinstance(change, dict) and isinstance(made.get(section), dict) else change
    made["findings"] = [copy.deepcopy(each) for each in findings]
    _count(made)
    return made


def _count(made):
    """Rules and summary follow the findings."""
    worst = {}
    for each in made["findings"]:
        worst.setdefault(each["rule"], []).append(each["status"])
    rules = []
    for row in made["rules"]:
        statuses = worst.pop(row["rule"], [])
        counts = {status: statuses.count(status) for status in statuses}
        rules.append({"rule": row["rule"], "status": min(statuses, key=("fail", "warn", "unknown", "info").index) if statuses else "pass",
                      "counts": counts or {"pass": 1}})
    rules.extend({"rule": rule, "status": statuses[0], "counts": {statuses[0]: 1}} for rule, statuses in worst.items())
    made["rules"] = sorted(rules, key=lambda row: row["rule"])
    for name in made["summary"]["rules_by_status"]:
        made["summary"]["rules_by_status"][name] = sum(row["status"] == name for row in made["rules"])
    for name in made["summary"]["findings_by_severity"]:
        made["summary"]["findings_by_severity"][name] = sum(each["severity"] == name and each["status"] in ("fail", "warn") for each in made["findings"])


def attempt(name="web1", outcome=folder.UNREACHABLE, at=START, message="no route to host", next_step="look at the cable"):
    return folder.attempt(name, outcome, stamp(at), message, next_step)


def of_fleet(number, run, hosts=10_000):
    """Host ``number`` in run ``run``: every twentieth leaks zombies, every hundredth has another zone, all have findings that stay."""
    seed = random.Random(number)
    name, group = host_name(number), GROUPS[number % len(GROUPS)]
    at = START + run * DAY + number % 3600
    leak = number % 20 == 0
    zombies = 400 * (run % 12) + number % 50 if leak else number % 3
    tasks = 150 + number % 400 + zombies + random.Random(number * 1000 + run).randrange(40)
    found = [
        finding(rule, "info", "INFO", title="Vendor default", subject={"type": "unit", "id": unit}, fingerprint=fingerprint(rule, unit), remedy=None,
                message="%s runs with %s as its vendor ships it; nothing to do unless it grows." % (unit, rule),
                evidence=[{"source": "/usr/lib/systemd/system/%s" % unit, "value": "KillMode=process"}] * 3)
        for rule, unit in [("PH-SYS-006", "ssh.service"), ("PH-SYS-006", "cron.service"), ("PH-ORP-004", "salt-minion.service"), ("PH-PID-003", "kernel.pid_max"),
                           ("PH-DEL-003", "libssl3"), ("PH-LIM-004", "%s.service" % group)]
    ]
    if number % 7 == 0:
        found.append(finding("PH-DEL-007", "warn", "MED", subject={"type": "host", "id": "kernel"}, fingerprint=fingerprint("PH-DEL-007", "kernel"),
                             message="the newest kernel waits for a reboot since %d days." % (run + number % 30)))
    if leak:
        found.append(finding("PH-ZMB-001", "fail" if zombies > 2000 else "warn", "HIGH", fingerprint=fingerprint("PH-ZMB-001", "process", "beremote"),
                             message="beremote (%d) holds %d zombies; restart VRTSralus.service." % (8000 + run, zombies)))
    units = {
        unit: {"configured": {"LimitNOFILE": {"value": "65536", "file": "/etc/systemd/system/%s.d/limits.conf" % unit}}, "running": {"nofile": "65536:65536"}}
        for unit in ("%s.service" % group, "cron.service", "salt-minion.service", "rsyslog.service", "postfix.service")
    }
    made = result(
        name, found, at, tags=[group, "site%d" % (number % 5)],
        measures={
            "tasks": tasks, "zombies": {"total": zombies, "by_parent": [
                {"parent": "/opt/VRTSralus/bin/beremote", "pid": 8000 + run, "unit": "VRTSralus.service", "count": zombies, "persistent": zombies, "oldest_s": 3600.0 * (run % 12)},
            ] if leak else []},
            "budgets": {"pid_max": {"kind": "pid_max", "holder": "this machine", "used": tasks, "limit": 32468},
                        "threads-max": {"kind": "threads-max", "holder": "this machine", "used": tasks, "limit": 127000}},
            "users": [{"uid": uid, "tasks": tasks // (2 + place), "zombies": 0, "hidden": 0,
                       "binding": {"kind": "RLIMIT_NPROC", "holder": "uid %d" % uid, "used": tasks // (2 + place), "limit": 16384}} for place, uid in enumerate((0, 101, 1000, 54321))],
            "groups": [{"kind": "pids.max", "holder": "/system.slice/%s" % unit, "used": 1 + (number + run + place) % 9, "limit": 4915}
                       for place, unit in enumerate((*units, "ssh.service", "systemd-journald.service", "dbus.service"))],
        },
        facts={"units": units, "identity": {"salt_minion_id": name, "ssh_host_keys": {"ssh-ed25519": "%064x" % seed.getrandbits(256)}},
               "kernel": {"pid_max": 32768, "threads_max": 127000 + number % 7}})
    made["host"]["boot_id"] = "%032x" % random.Random(number * 1000 + run // 12).getrandbits(128)
    zone = made["facts"].get("time", {}).get("zone")
    if isinstance(zone, dict) and number % 100 == 0:
        zone["name"] = "Europe/Berlin"
    return made


def run_of(documents, digests, started=START, by="ops", **changed):
    """run.json over these documents (name: result, attempt, or None: not recorded) and the digests of their files, as audit_report writes it."""
    rows = {}
    for name, document in documents.items():
        outcome = folder.NOT_RECORDED if document is None else folder.AUDITED if document["schema"] == folder.RESULT else document["outcome"]
        rows[name] = {"outcome": outcome, "sha256": digests.get(name, "")}
    return {"schema": folder.RUN, "started_at": stamp(started), "ended_at": stamp(started + 600), "by": by, "engine_version": "0.1.0",
            "inventory_digest": "sha256:" + fingerprint(*sorted(documents)), "hosts": rows, **changed}


def write_folder(place, documents, **run):
    """A report folder as audit.yml leaves it."""
    digests = {name: folder.write(place, name, document).sha256 for name, document in documents.items() if document is not None}
    folder.write_run(place, run_of(documents, digests, **run))
    return place


_STAMP, _TASKS, _ZOMBIES, _USER = "1999-09-09T09:09:09Z", 777_000_001, 777_000_002, 777_000_010


def template(number):
    """Of bulk(): the document of a host as bytes, with marks where runs differ."""
    made = of_fleet(number, 1)
    made["audit"]["started_at"] = _STAMP
    made["measures"]["tasks"] = _TASKS
    for row in made["measures"]["budgets"].values():
        row["used"] = _TASKS
    for place, row in enumerate(made["measures"]["users"]):
        row["tasks"] = row["binding"]["used"] = _USER + place
    if made["measures"]["zombies"]["by_parent"]:
        made["measures"]["zombies"]["total"] = made["measures"]["zombies"]["by_parent"][0]["count"] = _ZOMBIES
        for each in made["findings"]:
            if each["rule"] == "PH-ZMB-001":
                each["message"] = "beremote (8001) holds %d zombies; restart VRTSralus.service." % _ZOMBIES
    return json.dumps(made, sort_keys=True).encode()


def bulk(template, number, run):
    """The same host in a run, two milliseconds sooner than of_fleet."""
    zombies = 400 * (run % 12) + number % 50
    tasks = 150 + number % 400 + (zombies if number % 20 == 0 else 0) + (number * 31 + run * 17) % 40
    for mark, value in [(_STAMP, stamp(START + run * DAY + number % 3600)), (_TASKS, tasks), (_ZOMBIES, zombies), *((_USER + place, tasks // (2 + place)) for place in range(4))]:
        template = template.replace(b"%s" % str(mark).encode(), str(value).encode())
    return template
