"""What two reports on the same hosts must have in common: all but what tells one moment, or one door, from the other."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

DURATION = re.compile(r"\b\d+(\.\d+)? (s|min|h|d)\b")  # the second run is later, so everything in it is older
OWN_PID = re.compile(r"\bNSpid \d+")  # of the audit itself
AGES = "/proc/*/sched"  # how many zombies are older than each of some steps
# Of the run itself, and what only the second can say: there is one before it.
OF_THE_RUN = {"made_at", "run", "at", "received", "sha256", "changes", "first_at", "new", "trend"}
# Threads of this whole machine, which is the hosts' kernel: others work on it, too.
OF_THE_MACHINE = {"tasks"}
SMALL = 0.05  # of a limit: which budget is the fullest depends on the machine until one is used


def settled(told: Any) -> Any:
    """Without what must differ."""
    if isinstance(told, str):
        return OWN_PID.sub("NSpid N", DURATION.sub("a while", told))
    if isinstance(told, list):
        return [settled(each) for each in told if not (isinstance(each, dict) and each.get("source") == AGES)]
    if isinstance(told, dict):
        kept = {name: settled(value) for name, value in told.items() if name not in OF_THE_RUN | OF_THE_MACHINE}
        limit = kept.get("tightest_limit")
        if limit and limit["used"] < SMALL * limit["limit"]:
            del kept["tightest_limit"]
        return kept
    return told


def of_json(path: Path) -> Any:
    return settled(json.loads(path.read_text()))


def of_ndjson(path: Path) -> Any:
    """Without the line of the run."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [settled(line) for line in lines if line["type"] != "run"]


def of_pack(folder: Path) -> Any:
    """The tables of an auditor pack but the one of the results' digests, and the policies of the run."""
    tables = {}
    for name in ("host_controls.csv", "evidence.csv", "fleet.csv"):
        with (folder / name).open(newline="") as stream:
            tables[name] = [settled(row) for row in csv.DictReader(stream) if row.get("source") != AGES]
    return tables, json.loads((folder / "policy_difference.json").read_text())["this_run"]


def of_text(path: Path) -> list[str]:
    """Its lines as far as ages do not move their ends, without those about the run; a digest has twenty, so the last cause may have had to make room."""
    lines = path.read_text().splitlines()
    kept = [settled(line) for line in lines if not line.startswith(("policy sha256:", "Since the run before", "… and "))]
    return [line[:100] for line in kept[:17]]


def steady(result: dict[str, Any]) -> dict[str, Any]:
    """Of one result: what does not depend on the moment, nor on who asked. Units come and go with the login of the one who asks."""
    host = {name: value for name, value in result["host"].items() if name != "tags"}
    findings = sorted((each["rule"], each["status"], each["fingerprint"]) for each in result["findings"])
    facts = {name: value for name, value in result["facts"].items() if name != "units"}
    return {"schema": result["schema"], "host": host, "findings": findings, "rules": sorted((row["rule"], row["status"]) for row in result["rules"]), "facts": facts}
