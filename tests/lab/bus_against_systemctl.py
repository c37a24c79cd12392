"""Compares the bus client with `systemctl show -a`, on the host itself: every property that the project uses, every unit in memory.

Prints one line per difference and a last line of totals. What moves between two looks (counts, restarts) is asked again once.
"""

import subprocess
import sys
import time

from pidhygiene import bus
from pidhygiene.evidence import gather
from pidhygiene.host import LiveHost
from pidhygiene.model import UNLIMITED
from pidhygiene.readers import unit_files, unit_syntax, units


def loaded():
    listing = subprocess.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "--full"], stdout=subprocess.PIPE, check=True)
    return [line.split()[0].decode() for line in listing.stdout.splitlines() if line.split()[1] != b"not-found"]


def shown(names):
    text = subprocess.run(["systemctl", "show", "-a", "--timestamp=unix", "-p", ",".join(units.UNIT_PROPERTIES), "--", *names],
                          stdout=subprocess.PIPE, check=True).stdout.decode("utf-8", "surrogateescape")
    blocks = [dict(line.split("=", 1) for line in block.split("\n") if "=" in line) for block in text.strip().split("\n\n")]
    return {block["Id"]: block for block in blocks}


def told(name, value):
    """The value as systemctl prints it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(value)
    if name.endswith("Timestamp"):
        return "@%d" % (value // 1000000) if value else ""
    if name == "TasksCurrent" and value == UNLIMITED:
        return "[not set]"
    if name.startswith(("Limit", "Tasks")) and value == UNLIMITED:
        return "infinity"
    return str(value)


def same(name, value, text):
    if name == "RuntimeMaxUSec":
        return value == unit_syntax.parse_time(text)
    if name in ("Names", "DropInPaths"):
        return sorted(value) == sorted(text.split())
    return told(name, value) == text


def differences(names):
    by_bus = bus.unit_properties(names, units.UNIT_PROPERTIES, time.monotonic() + 60)
    by_systemctl = shown(names)
    compared, found = 0, []
    for name in names:
        for key, text in by_systemctl[name].items():
            if name not in by_bus or key not in by_bus[name]:
                found.append((name, key, None, text))
            else:
                compared += 1
                if not same(key, by_bus[name][key], text):
                    found.append((name, key, by_bus[name][key], text))
    return compared, found


DERIVED = ("id", "names", "load_state", "active_state", "main_pid", "control_group", "fragment", "drop_ins", "need_daemon_reload", "transient", "user",
           "pam_name", "slice", "delegate", "kill_mode", "restart", "n_restarts", "pid_file", "runtime_max_us", "limits", "tasks_max")


def derivations():
    """Running services of which only four values were asked: the others, from files, against those that the manager has."""
    evidence = gather(LiveHost(), ["units"])
    quick = {name: unit for name, unit in evidence.units.units.items() if not unit.complete and unit.main_pid}
    full = bus.unit_properties(sorted(quick), units.UNIT_PROPERTIES, time.monotonic() + 60)
    compared, found = 0, []
    for name, unit in sorted(quick.items()):
        told_by_bus = units._from_bus(name, full[name], unit_files.Definition(name, (), None, False, None, (), {}, ()))
        for field in DERIVED:
            compared += 1
            if getattr(unit, field) != getattr(told_by_bus, field):
                found.append((name, field, getattr(unit, field), getattr(told_by_bus, field)))
    return len(quick), compared, found


def main():
    quick, derived, found = derivations()
    for name, field, ours, theirs in found:
        print("%s %s: the files say %r, the bus %r" % (name, field, ours, theirs))
    print("%d running services, %d values derived, %d differences" % (quick, derived, len(found)))
    if found:
        return 1
    names = loaded()
    compared, found = differences(names)
    again = sorted({name for name, _key, _ours, _theirs in found})
    if again:
        found = [each for each in differences(again)[1] if each[:2] in {other[:2] for other in found}]
    for name, key, ours, theirs in found:
        print("%s %s: the bus says %r, systemctl %r" % (name, key, ours, theirs))
    print("%d units, %d values compared, %d differences" % (len(names), compared, len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
