"""Random forests of systemd units for the resolver's test on a real host: fragments, drop-ins, aliases, masks, garbage.

Runs on the host itself, with that host's Python and the engine beside it: `python3 unit_trees.py SEED BATCHES UNITS`.
Writes a forest into the load path, reloads the manager once, asks `systemctl show` for every unit and compares each value with the
engine's own search of the same files. Prints one line per disagreement, and a last line of totals. Cleans up what it wrote.
"""

import os
import random
import shutil
import subprocess
import sys

from pidhygiene.host import LiveHost
from pidhygiene.model import UNLIMITED
from pidhygiene.readers import unit_files, units

PLACES = (
    "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/etc/systemd/system",
    "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
GENERATED = ("early", "normal", "late")  # copied by a generator into /run/systemd/generator*, which a reload empties first
STAGE = "/run/unit-trees"
GENERATOR = "/etc/systemd/system-generators/unit-trees"
SYSTEM_CONF = ("/etc/systemd/system.conf.d", "/run/systemd/system.conf.d", "/usr/local/lib/systemd/system.conf.d", "/usr/lib/systemd/system.conf.d")

NUMBERS = ("100", "4096", "65536", "infinity", "1000:2000", "512:infinity", "infinity:infinity", "0x40", "010", "0b101", "7:", " 12", "5: 6",
           "3000:3000", "1:18446744073709551614", "0", "5:6:", "+7", "-0", "0o17", "\\5")
SIZES = ("1G", "64M", "1.5G", "1G 512M", "8K:1M", "infinity", "100", "1K:infinity", "2E", "10.M", "1 K", "3B", "1G:2G", "0.25K", "1G2", "15E", "1.999999999K")
TIMES = ("5s", "2min", "25min:13h", "1h 30min", "infinity", "1.5", "90", "100ms", "2y", "1d:2d", "0", "1.5h", "2min 20s", ".5s", "10us", "1ms", "3\u00b5s", "1h30", "1.5s 2", "2 weeks", "1M", "1m", "1hr 5 minutes")
NICES = ("-7", "+7", "0", "40", "-20", "+19", "13:20", "+0")
GARBAGE = ("", "unlimited", "16k", "9:3", "5:4:3", "abc", "-5", "18446744073709551615", "18446744073709551616", "1 2", "1,000", ":", ":5",
           "5:", "10%", "K", "1G2", "41", "+20", "-21", "12.34.56", "1h30", "0x", "0b2", "09", "\\5", "5\\:6", "max", "--1", "1e3", "∞", "1M 1G", "16E", "1Q", "Infinity", "infinity:5",
           "3.sec", "5 -1", "0b", "0o8", "1_000", "1G:1K", "+ 5", "5h:1h", "-1", "+-5", "1.2.3G")
PLAIN_COUNT = ("NPROC", "NOFILE", "SIGPENDING", "LOCKS", "RTPRIO")
BYTES = ("AS", "CORE", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "RSS", "STACK")
TASKS = ("77", "infinity", "15%", "12.5%", "0.01%", "100%", "0x100", "", "99999", "33‰", "1500‱", "12.5‰")
TASKS_GARBAGE = ("4k", "0", "150%", "-1", "1.234%", "unlimited", "%", "12 %", "99999999999999999999")


class Forest(object):
    def __init__(self, chance, version):
        self.chance = chance
        self.version = version
        self.written = []
        self.made = []

    # -- writing ------------------------------------------------------------------------------------

    def directory(self, path):
        missing = []
        at = path
        while not os.path.isdir(at):
            missing.append(at)
            at = os.path.dirname(at)
        for each in reversed(missing):
            os.mkdir(each)
            self.made.append(each)

    def file(self, path, content):
        self.directory(os.path.dirname(path))
        if os.path.lexists(path):
            return
        with open(path, "wb") as stream:
            stream.write(content)
        self.written.append(path)

    def link(self, path, target):
        self.directory(os.path.dirname(path))
        if not os.path.lexists(path):
            os.symlink(target, path)
            self.written.append(path)

    def clean(self):
        for path in reversed(self.written):
            if os.path.lexists(path):  # else: it was written through a link that has gone before it
                os.unlink(path)
        for path in reversed(self.made):
            if os.path.isdir(path) and not path.startswith(STAGE):
                os.rmdir(path)
        shutil.rmtree(STAGE, ignore_errors=True)

    # -- choosing -----------------------------------------------------------------------------------

    def maybe(self, share):
        return self.chance.random() < share

    def place(self):
        place = self.chance.choice(PLACES + tuple(STAGE + "/" + each for each in GENERATED))
        return place

    def limit(self):
        kind = self.chance.randrange(4)
        if kind == 0:
            key, values = self.chance.choice(PLAIN_COUNT), NUMBERS
        elif kind == 1:
            key, values = self.chance.choice(BYTES), SIZES
        elif kind == 2:
            key, values = self.chance.choice(("CPU", "RTTIME")), TIMES
        else:
            key, values = self.chance.choice(PLAIN_COUNT + BYTES + ("NICE", "CPU", "RTTIME")), NUMBERS + SIZES + TIMES + NICES
        return "Limit" + key, self.chance.choice(GARBAGE if self.maybe(0.25) else values)

    def assignment(self, kind, gentle):
        if kind == "slice" or self.maybe(0.15):
            return "TasksMax", self.chance.choice(TASKS_GARBAGE if self.maybe(0.25) else [each for each in TASKS if not gentle or len(each) > 4])
        pick = self.chance.random()
        if pick < 0.7 or gentle:
            return self.limit()
        return self.chance.choice((
            ("KillMode", self.chance.choice(("control-group", "process", "mixed", "none", "Process", "", "yes"))),
            ("User", self.chance.choice(("root", "nobody", "1234", "", "daemon"))),
            ("User", self.chance.choice(("root", "daemon", "a:b" if self.maybe(0.3) else "bin"))),
            ("PAMName", self.chance.choice(("login", "su", ""))),
            ("PIDFile", self.chance.choice(("/run/x.pid", "x.pid", "/var/run/x.pid", "", "/run//y.pid"))),
            ("RuntimeMaxSec", self.chance.choice(("1h", "infinity", "1week", "", "x", "0"))),
            ("Restart", self.chance.choice(("always", "no", "on-failure", "On-Failure", ""))),
            ("Delegate", self.chance.choice(("yes", "no", "", "pids", "maybe"))),
        ))

    def line(self, kind, gentle):
        key, value = self.assignment(kind, gentle)
        equals = self.chance.choice(("=", "=", "=", " = ", "= "))
        text = key + equals + value
        pick = self.chance.random()
        if pick < 0.05 and len(value) > 1 and " " not in value:
            return key + "=\\\n" + value
        if pick < 0.07:
            return key + equals + "\\\n# in between\n; too\n  " + value
        if pick < 0.10:
            return "  \t" + text + "  "
        if pick < 0.12:
            return "#" + text
        if pick < 0.13:
            return text + " # no comment"
        if pick < 0.14:
            return key
        if pick < 0.15:
            return "=" + value
        if pick < 0.16:
            return text + "\\"
        return text

    def content(self, kind, fragment=False, gentle=False):
        section = {"slice": "Slice", "service": "Service"}[kind]
        lines = []
        if self.maybe(0.1):
            lines.append(self.line(kind, gentle))  # before any section
        if fragment:
            lines += ["[Unit]", "Description=random", "[%s]" % section]
            lines += ["ExecStart=/bin/true"] if kind == "service" else []
        else:
            lines.append("[%s]" % section)
        for _each in range(self.chance.randrange(0, 7)):
            lines.append(self.line(kind, gentle))
            pick = self.chance.random()
            if pick < 0.04:
                lines.append(self.chance.choice(("[Unit]", "[Install]", "[Nonsense]", "[X-Mine]", "[service]", "[Manager]", "[ %s ]" % section)))
            elif pick < 0.08:
                lines.append("[%s]" % section)
            elif pick < 0.09 and not fragment:
                lines.append(self.chance.choice(("[Service", "[", "[a\"b]")))
            elif pick < 0.12:
                lines.append("")
        end = "\r\n" if self.maybe(0.05) else "\n"
        data = end.join(lines).encode()
        if self.maybe(0.8):
            data += end.encode()
        if self.maybe(0.03):
            data = b"\xef\xbb\xbf" + data
        if self.maybe(0.03) and not fragment:
            data = data.replace(b"\n", b"\nX-Note=\xff\xfe\n", 1)
        if self.maybe(0.02):
            data = data.replace(b"\n", b"\0", 1)
        return data

    # -- growing ------------------------------------------------------------------------------------

    def unit(self, number):
        kind = "slice" if self.maybe(0.1) else "service"
        stem = self.chance.choice(("t{n}", "t{n}-a", "t{n}-a-b", "t{n}--x", "t{n}-")).format(n=number)
        if kind == "slice":
            stem = stem.rstrip("-").replace("--", "-")
            name = main = stem + ".slice"
        elif self.maybe(0.25):
            main = stem + "@.service"
            name = stem + "@" + self.chance.choice(("x", "x-y", "a@b", "0")) + ".service"
        else:
            name = main = stem + ".service"
        fragment = main if main == name or self.maybe(0.7) else name
        for _copy in range(self.chance.choice((1, 1, 1, 2, 3))):
            self.fragment(self.place(), fragment, kind)
        names = [name]
        if kind == "service" and self.maybe(0.3):
            names.append(self.alias(stem, name, main))
        for _each in range(self.chance.choice((0, 1, 2, 3, 5, 8))):
            unit = self.chance.choice(names)
            directory = self.chance.choice(unit_files.drop_in_names(unit)) + ".d"
            self.drop_in(self.place(), directory, kind)
        return names

    def fragment(self, place, name, kind):
        path = place + "/" + name
        pick = self.chance.random()
        if pick < 0.04:
            self.link(path, "/dev/null")
        elif pick < 0.07:
            self.file(path, b"")
        elif pick < 0.11:
            outside = STAGE + "/outside/" + name
            self.file(outside, self.content(kind, fragment=True))
            self.link(path, outside)
        elif pick < 0.13:
            self.link(path, "/nonexistent/" + name)
        elif pick < 0.15:
            self.link(path, "other-type.target")
        else:
            self.file(path, self.content(kind, fragment=True))

    def alias(self, stem, name, main):
        at = "@" in name
        alias = "alias-" + stem + ("@" + name.partition("@")[2] if at else ".service")
        place = self.place()
        if at and self.maybe(0.5):
            self.link(place + "/alias-" + stem + "@.service", main)
        elif self.maybe(0.5):
            self.link(place + "/" + alias, self.chance.choice((main, name)))
        else:
            self.link(place + "/" + alias, self.chance.choice(PLACES) + "/" + self.chance.choice((main, name, "nothing.service")))
        return alias

    def drop_in(self, place, directory, kind, gentle=False):
        path = place + "/" + directory
        if self.maybe(0.04) and not os.path.lexists(path):
            aside = STAGE + "/aside/" + place.strip("/").replace("/", "_") + "/" + directory
            self.directory(aside)
            self.link(path, self.chance.choice((aside, aside, os.path.relpath(aside, place), "elsewhere.service.d")))
        if not os.path.isdir(path) and os.path.lexists(path):
            return
        name = self.chance.choice(("10-a.conf", "10-a.conf", "20-b.conf", "5-c.conf", "90-z.conf", "zz.conf", "A.conf", "é.conf", ".hidden.conf",
                                   "30-x.disabled", "noconf", "a.conf.bak"))
        pick = self.chance.random()
        if pick < 0.06:
            self.link(path + "/" + name, "/dev/null")
        elif pick < 0.08:
            self.link(path + "/" + name, "/nonexistent")
        elif pick < 0.10 and not os.path.lexists(path + "/" + name):
            self.directory(path + "/" + name)
        else:
            self.file(path + "/" + name, self.content(kind, gentle=gentle))

    def grow(self, count):
        names = []
        for number in range(count):
            names += self.unit("%04d" % number)
        for _each in range(self.chance.randrange(3)):
            self.drop_in(self.place(), "service.d", "service", gentle=True)
        for _each in range(self.chance.randrange(3)):
            content = ["[Manager]"] if self.maybe(0.9) else []
            content += ["Default%s=%s" % self.limit() for _line in range(3)]
            content += ["DefaultTasksMax=" + self.chance.choice(("50%", "20%", "4k", "30000"))] if self.maybe(0.5) else []
            name = self.chance.choice(("10-a.conf", "20-b.conf"))
            self.file(self.chance.choice(SYSTEM_CONF) + "/" + name, "\n".join(content).encode() + b"\n")
        return names


def generator():
    os.makedirs(os.path.dirname(GENERATOR), exist_ok=True)
    with open(GENERATOR, "w") as stream:
        stream.write("#!/bin/sh\nfor pair in normal:$1 early:$2 late:$3; do\n"
                     "  [ -d %s/${pair%%%%:*} ] && cp -a %s/${pair%%%%:*}/. ${pair#*:}/\ndone\n" % (STAGE, STAGE))
    os.chmod(GENERATOR, 0o755)


def shown(arguments):
    text = subprocess.run(["systemctl", "show", "-a", "--timestamp=unix"] + arguments, stdout=subprocess.PIPE, check=True).stdout
    blocks = [dict(line.split("=", 1) for line in block.split("\n") if "=" in line) for block in text.decode().strip().split("\n\n")]
    return blocks


PROPERTIES = ["Id", "Names", "LoadState", "FragmentPath", "DropInPaths", "TasksMax", "KillMode", "User", "PAMName", "PIDFile", "Restart",
              "RuntimeMaxUSec", "Delegate", "ExecStart"] + [key + half for key in unit_files.LIMIT_KEYS for half in ("", "Soft")]


def number(text):
    return UNLIMITED if text == "infinity" else int(text)


def drop_in_paths(text):
    return tuple(text.split()) if text else ()


def differences(search, names, defaults, machine_tasks):
    """(unit, what, systemd's, ours) for every value that differs; and how many were compared."""
    found, compared = [], 0
    by_name = {}
    for start in range(0, len(names), 200):
        some = names[start:start + 200]
        for name, block in zip(some, shown(["-p", ",".join(PROPERTIES), "--"] + some)):
            by_name[name] = block
    manager, _ineffective = search.manager_settings()
    everything = units.Units(units.Manager(True, True, "", (), None, manager, (), (), {}, None, machine_tasks), {}, (), {}, ())
    for name in names:
        block = by_name[name]
        definition = search.definition(name)
        unit = units.unit_from_files(definition, "")
        expected = {
            "Id": block["Id"], "FragmentPath": block["FragmentPath"], "DropInPaths": drop_in_paths(block["DropInPaths"]),
            "LoadState": {"loaded": "loaded", "masked": "masked", "not-found": "not-found", "bad-setting": "broken", "error": "broken"}[block["LoadState"]],
            "Names": tuple(sorted(block["Names"].split())),
        }
        fragment = definition.fragment or ""
        ours = {
            "Id": definition.id, "FragmentPath": fragment, "DropInPaths": definition.drop_ins, "Names": definition.names,
            "LoadState": "masked" if definition.masked else "broken" if definition.broken else "loaded",
        }
        if block["LoadState"] == "bad-setting" and unit.pam_name and unit.kill_mode not in ("control-group", "mixed"):
            ours["LoadState"] = "broken"  # core/service.c service_verify: right in every line, refused as a whole
        if not fragment or search._state(fragment) == "missing":
            ours["LoadState"] = "loaded" if name.endswith(".slice") and not fragment else "not-found"
        if expected["LoadState"] == "not-found":  # nothing is shown of it
            expected = {key: expected[key] for key in ("LoadState",)}
        elif ours["LoadState"] == "not-found":
            pass
        elif expected["LoadState"] == "masked":  # 252 still lists its drop-ins, 257 does not
            del expected["DropInPaths"]
        else:
            if "TasksMax" in block:
                expected["TasksMax"] = number(block["TasksMax"])
                ours["TasksMax"] = everything.configured_tasks_max(unit)[0].resolve(machine_tasks)
            if name.endswith(".service"):
                for key, item in unit_files.LIMIT_KEYS.items():
                    setting = unit.limit_set_in(item)
                    if setting is None and expected["LoadState"] != "loaded":
                        continue  # a unit that is not loaded never gets the defaults
                    inherited = units.Limit(number(defaults["Default" + key + "Soft"]), number(defaults["Default" + key]))
                    expected[key] = (number(block[key + "Soft"]), number(block[key]))
                    ours[key] = tuple(setting.meaning if setting else inherited)
                for key, value in (("KillMode", unit.kill_mode), ("User", unit.user), ("PAMName", unit.pam_name),
                                   ("PIDFile", unit.pid_file), ("Restart", unit.restart)):
                    expected[key], ours[key] = block[key], value
                expected["Delegate"], ours["Delegate"] = block["Delegate"], "yes" if unit.delegate else "no"
                expected["RuntimeMaxUSec"], ours["RuntimeMaxUSec"] = block["RuntimeMaxUSec"], span(unit.runtime_max_us)
        compared += len(expected)
        found += [(name, key, expected[key], ours[key]) for key in expected if expected[key] != ours[key]]
    for key in unit_files.LIMIT_KEYS:
        setting = manager.get("Default" + key)
        if setting is not None and setting.meaning is not None:
            compared += 1
            now = units.Limit(number(defaults["Default" + key + "Soft"]), number(defaults["Default" + key]))
            if now != setting.meaning:
                found.append(("system.conf", "Default" + key, now, setting.meaning))
    return found, compared


def span(microseconds):
    return {UNLIMITED: "infinity", 3600 * 10 ** 6: "1h", 604800 * 10 ** 6: "1w", 0: "0"}[microseconds]


def main(seed, batches, count):
    chance = random.Random(seed)
    version = subprocess.run(["systemctl", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[1]
    generator()
    totals = [0, 0, 0]
    try:
        for batch in range(batches):
            forest = Forest(chance, version)
            try:
                names = forest.grow(count)
                subprocess.run(["systemctl", "daemon-reload"], check=True)
                everything = shown([])[0]
                host = LiveHost()
                search = unit_files.Search(host, everything["UnitPath"].split())
                found, compared = differences(search, names, everything, units._machine_tasks(host))
                for name, what, theirs, ours in found:
                    print("seed %d batch %d: %s %s: systemd has %r, we have %r" % (seed, batch, name, what, theirs, ours))
                totals = [totals[0] + len(names), totals[1] + compared, totals[2] + len(found)]
                if found and os.environ.get("KEEP", "-1") == str(batch):
                    return 1
            finally:
                if os.environ.get("KEEP", "-1") != str(batch):
                    forest.clean()
    finally:
        if not os.environ.get("KEEP"):
            os.unlink(GENERATOR)
            shutil.rmtree(STAGE, ignore_errors=True)
            subprocess.run(["systemctl", "daemon-reload"], check=True)
    print("systemd %s, seed %d: %d units, %d values compared, %d disagreements" % ((version, seed) + tuple(totals)))
    return 1 if totals[2] else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:4])))
