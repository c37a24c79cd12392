"""Hosts of a fleet as the rules over it take them: a healthy mixed one, made cheaply, and single ones to be spoilt."""

import copy
import dataclasses
import hashlib
import random

from controller.fleet.model import AUDITED, FleetHost
from pidhygiene.policy import Policy

NOW = 1_795_400_000.0  # 2026-11-23
RELEASES = {
    ("debian", "12"): {"tzdata": "2026b-0+deb12u1", "systemd": "252.39-1~deb12u2"},
    ("debian", "13"): {"tzdata": "2026b-0+deb13u1", "systemd": "257.8-1~deb13u2"},
    ("rocky", "9.6"): {},
}
ROLES = {
    "web": {"nginx.service": {"LimitNOFILE": ("65536", "/etc/systemd/system/nginx.service.d/limits.conf")}},
    "db": {"postgresql.service": {"LimitMEMLOCK": ("infinity", "/etc/systemd/system/postgresql.service.d/huge.conf"), "KillMode": ("mixed", "/lib/systemd/system/x")}},
    "backup": {"beremote.service": {"TasksMax": ("20000", "/etc/systemd/system/beremote.service.d/tasks.conf")}, "nginx.service": {"LimitNOFILE": ("1024", "/etc/systemd/system/nginx.service")}},
    "build": {"runner.service": {"TasksMax": ("33%", "/etc/systemd/system/runner.service")}},
}
VENDOR = {"ssh.service": {"KillMode": ("process", "/lib/systemd/system/ssh.service")}, "user@1000.service": {"TasksMax": ("infinity", "/lib/systemd/system/user@.service")},
          "cron.service": {"KillMode": ("process", "/lib/systemd/system/cron.service")}}
RULES = {"PH-ZMB-001": "pass", "PH-LIM-001": "pass", "PH-TZ-001": "pass", "PH-DEL-004": "pass", "PH-SYS-006": "info", "PH-CTR-001": "n/a"}


def rows(settings):
    return {unit: {"configured": {key: {"value": value, "file": file} for key, (value, file) in keys.items()}} for unit, keys in settings.items()}


def finding(rule="PH-ZMB-001", status="fail", severity="HIGH", subject=("process", "beremote (8102)"), message="", remedy=None, **changed):
    return dict({
        "rule": rule, "title": "Title of %s" % rule, "status": status, "severity": severity, "subject": {"type": subject[0], "id": subject[1]},
        "message": message or "%s is not well." % subject[1], "evidence": [], "binding": None, "confidence": "high", "remedy": remedy, "references": [],
        "waiver": None, "fingerprint": hashlib.sha256("\0".join((rule, *subject)).encode()).hexdigest()[:16]}, **changed)


def host(name="web1", groups=("web",), role="web", release=("debian", "12"), zone="Europe/Berlin", findings=(), **changed):
    seed = random.Random(name)
    memory = seed.choice((2, 8, 64, 512))
    packages = RELEASES[release]
    facts = {
        "kernel": {"pid_max": 4194304 if release[0] == "debian" else seed.choice((32768, 49152, 4194304)), "threads_max": 7800 * memory},
        "packages": dict(packages), "restarts": [], "pid1_limits": {"nproc": "%d:%d" % (3900 * memory, 3900 * memory)},
        "identity": {"ssh_host_keys": {"ssh_host_ed25519_key.pub": "%016x" % seed.getrandbits(64)}, "salt_minion_id": name},
        "systemd": {"version": packages.get("systemd", ""), "defaults": {}, "default_tasks_max": 1170 * memory},
        "units": rows({**VENDOR, **ROLES.get(role, {})}),
        "time": {"zone": {"name": zone, "localtime": "link", "digest": hashlib.sha256((zone + release[1]).encode()).hexdigest(), "sources": {"/etc/timezone": zone},
                          "database": "2026b", "offset_s": 3600 if zone.startswith("Europe") else 0},
                 "cron": {"implementation": "debian", "lines": [
                     {"table": "/etc/crontab", "user": "root", "hash": "9f00aa0000000000"}, {"table": "/etc/cron.d/e2scrub_all", "user": "root", "hash": "1" * 16}]}},
    }
    made = FleetHost(
        name, AUDITED, at=NOW - 3600, received=NOW - 3500, status="pass", groups=tuple(groups),
        host={"name": name, "machine_id": hashlib.md5(name.encode()).hexdigest(), "boot_id": "boot-" + name, "distro": dict(zip(("id", "version"), release))},
        audit={"engine_version": "0.1.0", "errors": [], "visibility": "full"}, facts=facts,
        measures={"tasks": 200, "zombies": {"total": 1, "by_parent": [{"parent": "/usr/bin/monit", "unit": "monit.service", "count": 2, "persistent": 1, "oldest_s": 400.0}]}},
        findings=tuple(findings), rules={**RULES, **{each["rule"]: each["status"] for each in findings}})
    return dataclasses.replace(made, **changed)


def without(made, *path):
    """The same host, without this fact."""
    facts = copy.deepcopy(made.facts)
    place = facts
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return dataclasses.replace(made, facts=facts)


def having(made, value, *path):
    """The same host with another fact."""
    facts = copy.deepcopy(made.facts)
    place = facts
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    return dataclasses.replace(made, facts=facts)


def broken(name="web9", groups=("web",), outcome="unreachable"):
    return FleetHost(name, outcome, groups=tuple(groups), message="no route to host", next_step="look at the cable", received=NOW)


def healthy(count=200):
    """Four roles, three releases, two places with zones of their own, machines of every size."""
    for number in range(count):
        role, release = sorted(ROLES)[number % 4], sorted(RELEASES)[number // 4 % 3]
        place = "tokyo" if number % 10 == 9 else "berlin"
        yield host("%s%03d" % (role, number), (role, place), role, release, "Asia/Tokyo" if place == "tokyo" else "Europe/Berlin")


def group(count=10, **changed):
    """So many web servers that are alike."""
    return [host("web%d" % number, **changed) for number in range(1, count + 1)]


def policy(**document):
    return Policy(document)
