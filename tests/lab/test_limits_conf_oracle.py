"""limits.conf as we resolve it, against what real PAM sessions get from the real pam_limits.

Random limits.conf and limits.d files, random users, random limits of process 1 and of the process that opens the session. The expected
values are read from the session's process (pam_session.py), never computed. PIDHYGIENE_ORACLE_CASES sets the number of cases for each
of the three, PIDHYGIENE_ORACLE_SEED which ones (oracle_seed.py).
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import oracle_seed
import pytest

from pidhygiene.host import LiveHost
from pidhygiene.readers import limits_conf, users

from .pam_real import flavour_of_tree, local_users, real_sessions
from .pam_upstream import LIBRARY, MODULE, upstream_pam
from .tree import Tree

CASES = int(os.environ.get("PIDHYGIENE_ORACLE_CASES", "400"))
SEED = oracle_seed.seed()
BATCH = 100  # cases that share one process 1, and so its limits
DESCRIPTORS = 32  # with fewer allowed, libpam itself refuses the session: it cannot open the audit socket (libpam/pam_audit.c)
COMPETING = 3  # lines for one item that all speak for the user
CAP_SYS_RESOURCE = 24

ACCOUNTS = {
    "root": (0, 0, ["root", "wheel"]), "alice": (1001, 1001, ["alice", "users", "wheel", "devs"]), "Alice": (1002, 100, ["users", "devs"]),
    "oracle": (54321, 54321, ["oinstall", "wheel", "dba"]), "500": (1500, 100, ["users", "again"]), "lost": (999, 4242, []),
    "vast": (3000000000, 3000000000, ["vast"]),
}  # name to uid, gid, groups: written down, not computed
GROUP_IDS = {"root": 0, "users": 100, "wheel": 10, "devs": 2000, "alice": 1001, "oinstall": 54321, "dba": 54322, "again": 2000,
             "vast": 3000000000}

ITEMS = ["nproc", "nofile", "as", "cpu", "core", "data", "fsize", "memlock", "msgqueue", "nice", "rss", "rtprio", "sigpending", "stack",
         "locks", "rttime"]
ODD_ITEMS = ["priority", "nonewprivs", "maxlogins", "maxsyslogins", "chroot", "nprocs", "NPROC", "rttime", "open_files"]
WORDS = ["unlimited", "infinity", "-1", "-", "UNLIMITED"]
GARBAGE = ["12k", "0x40", "-5", "+7", "abc", "12 34", "99999999999999999999", "18446744073709551615", "18446744073709551614", "1048577",
           "2000000", "0", "1e3", "--1", "-0", "307445734561825861", "18014398509481984", "18014398509481983", "unlimited!", "_", "4:5",
           "-99999999999999999999", "-18446744073709551615"]
UNITS = {"as": 1024, "core": 1024, "data": 1024, "fsize": 1024, "memlock": 1024, "rss": 1024, "stack": 1024, "cpu": 60}
FOLDERS = ["/", "/usr"]  # to change root to; one that is not there refuses the session, which limits.conf alone cannot tell
STARTABLE = ["nproc", "nofile", "core", "memlock", "sigpending", "msgqueue", "locks", "rtprio", "nice", "rss"]  # python lives on without


@dataclass
class Case:
    user: str
    files: dict[str, str | None] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    start: dict[str, list[int]] = field(default_factory=dict)
    competing: int = 0

    def plain(self) -> dict[str, object]:
        return {"user": self.user, "files": self.files, "arguments": self.arguments, "start": self.start}


# -- random files ----------------------------------------------------------------------------------------------------


def domains_for(user: str, dice: random.Random) -> str:
    """A domain that speaks for the user, root apart."""
    uid, gid, groups = ACCOUNTS[user]
    choices = [user, user, "*", f"{uid}:", f":{uid}", f"{max(uid - 5, 0)}:{uid + 5}", f"{uid}:{uid}", f"@{gid}:", f"@{gid}:{gid + 1}"]
    choices += [f"@{group}" for group in groups] * 2 + [f"@:{GROUP_IDS[group]}" for group in groups]
    return dice.choice(choices)


def domains_beside(user: str, dice: random.Random) -> str:
    """A domain that may or may not speak for the user: near misses and garbage."""
    uid, gid, _groups = ACCOUNTS[user]
    return dice.choice([
        "nobody", user.swapcase(), user.upper(), str(uid), f"{uid + 1}:", f":{uid + 1}", f"{uid + 1}:{uid + 9}", f"0:{max(uid - 1, 0)}",
        f"{uid + 5}:{uid - 5}", ":", "@:", "%", "%:", "@", "%" + user, "%wheel", "%:10", "%0:5000", f"%{uid}:", f"@:{gid}", f"@{gid + 1}:",
        "@nogroup", "@Wheel", "a:b", "1:2:3", f"-{2 ** 32 - uid}:", f"+{uid}:", f"{2 ** 32 + uid}:", "99999999999999999999:", f"{uid}:x",
        "**", "*:", f"@{user}", "@0:", "@10:", "@:10", "0:", ":0", "@:2000", "root", "500", "@again", f"{uid}:99999999999", "\xe9\xff",
    ])


def value_for(item: str, dice: random.Random) -> str:
    if item == "chroot":
        return dice.choice([*FOLDERS, "/USR"])
    roll = dice.random()
    if roll < 0.12:
        return dice.choice(GARBAGE)
    if roll < 0.22:
        return dice.choice(WORDS)
    if item in ("nice", "priority"):
        return str(dice.randint(-25, 25))
    if item == "nonewprivs":
        return dice.choice(["0", "1", "1", "2", "yes"])
    if item in ("maxlogins", "maxsyslogins"):
        return dice.choice(["0", "2", "10", "-1", "x", "unlimited"])
    if item == "rtprio":
        return str(dice.randint(0, 99))
    low = 4096 if item in ("as", "data", "stack") else 1  # KiB: below this the session's process may not even come back to tell
    return str(dice.choice([low, low + 63, 1024 + low, 4096 + low, 65536 + low, 500000 + low, dice.randint(low, 2 ** 20), 2 ** 20]))


def line_for(user: str, item: str, dice: random.Random, domain: str | None = None) -> str:
    kind = dice.choice(["soft", "soft", "hard", "hard", "-", "-", "-"] if dice.random() < 0.96 else ["both", "SOFT", "Hard", "--", "s"])
    fields = [domain or domains_beside(user, dice), kind, item, value_for(item, dice)]
    roll = dice.random()
    if roll < 0.02:
        fields.pop(dice.randrange(4))
    elif roll < 0.03:
        fields.append("more")
    gap = dice.choice([" ", " ", " ", "\t", "   ", " \t"])
    text = gap.join(fields)
    roll = dice.random()
    if roll < 0.03:
        text = dice.choice([" ", "\t ", "\v", "\r", "\f "]) + text
    elif roll < 0.06:
        text += dice.choice([" # comment", "#", " ", "\t", "\r", " \r", "\v", "\x00 x", "\xa0"])
    elif roll < 0.07:
        text = "#" + text
    elif roll < 0.08:
        text = text.replace(" ", dice.choice(["\v", "\r", "\xa0"]), 1)
    return text


def long_line(user: str, dice: random.Random) -> str:
    """A line that an old pam reads as two or three."""
    length = dice.choice([1022, 1023, 1024, 2046, 2047]) - dice.choice([0, 0, 1, 5, 14])
    return (f"{user} soft nproc 77" + dice.choice([" ", "#", "x"]) * length)[:length] + f" {user} hard nproc 55"


def random_case(dice: random.Random) -> Case:
    case = Case(dice.choice([*ACCOUNTS, "alice", "oracle", "root"]))
    item = dice.choice(ITEMS if dice.random() < 0.7 else ["nproc", "nofile"])
    lines = []
    if dice.random() < 0.6:
        rivals = [line_for(case.user, item, dice, domains_for(case.user, dice)) for _count in range(dice.randint(COMPETING, 6))]
        case.competing = sum(1 for line in rivals if len(line.split()) == 4 and line.split()[1] in ("soft", "hard", "-") and line[0] != "#")
        lines += rivals
    for _count in range(dice.randint(0, 6)):
        other = dice.choice(ITEMS) if dice.random() < 0.8 else dice.choice(ODD_ITEMS)
        lines.append(line_for(case.user, other, dice, domains_for(case.user, dice) if dice.random() < 0.6 else None))
    if dice.random() < 0.06:
        domain = domains_for(case.user, dice) if dice.random() < 0.5 else domains_beside(case.user, dice)
        lines.append(f"{domain} {dice.choice(['-', '-', '-x', 'soft'])}")
    if dice.random() < 0.05:
        lines.append(long_line(case.user, dice))
    dice.shuffle(lines)
    spread(case, lines, dice)
    if dice.random() < 0.15:
        case.arguments = dice.sample(["set_all", "noaudit", "debug", "utmp_early", "change_uid"], dice.randint(1, 2))
    if dice.random() < 0.08:
        case.arguments += ["conf=/etc/security/" + dice.choice(["own.conf", "missing.conf", "limits.d/10-a.conf"])]
    return case


def spread(case: Case, lines: list[str], dice: random.Random) -> None:
    """Deal the lines out to files."""
    places = ["limits.conf", "limits.d/10-a.conf", "limits.d/9-b.conf", "limits.d/Zz.conf", "limits.d/zz.conf", "limits.d/90-\xe9.conf",
              "limits.d/x.conf.bak", "limits.d/.hidden.conf", "own.conf", "limits.d/conf"]
    texts: dict[str, list[str]] = {"limits.conf": []}
    for line in lines:
        place = "limits.conf" if dice.random() < 0.6 else dice.choice(places[1:6]) if dice.random() < 0.9 else dice.choice(places[6:])
        texts.setdefault(place, []).append(line)
    for place, kept in texts.items():
        end = "\r\n" if dice.random() < 0.04 else "\n"
        case.files[place] = end.join(kept) + (end if dice.random() < 0.8 else "")
    roll = dice.random()
    if roll < 0.02:
        del case.files["limits.conf"]
    elif roll < 0.03:
        case.files["limits.conf"] = None
    elif roll < 0.05:
        case.files["limits.d/50-odd.conf"] = dice.choice([None, "->/nowhere", "->../own.conf", "->50-odd.conf"])


def random_limits(dice: random.Random, above: dict[str, list[int]]) -> dict[str, list[int]]:
    """Limits not above these, for a few items."""
    limits = {}
    for item in dice.sample(STARTABLE, dice.randint(0, 5)):
        most = above[item][1]
        hard = most if dice.random() < 0.4 else dice.randint(min(64, most), min(most, 2 ** 20))
        limits[item] = [hard if dice.random() < 0.3 else dice.randint(min(64, hard), min(hard, 2 ** 20)), hard]
    return limits


# -- both sides --------------------------------------------------------------------------------------------------------


def our_session(folder: Path, case: Case, everybody: users.Users, flavour: limits_conf.Flavour, process_1: limits_conf.Limits,
                nr_open: int, may_raise: bool) -> limits_conf.Session:
    """The same case through our reader and resolver, from files."""
    root = folder / "case"
    shutil.rmtree(root, ignore_errors=True)
    (root / "etc/security/limits.d").mkdir(parents=True)
    for path, text in case.files.items():
        target = os.fsencode(root / "etc/security") + b"/" + path.encode("utf-8")
        if text is None:
            os.mkdir(target)
        elif text.startswith("->"):
            os.symlink(text[2:], target)
        else:
            Path(os.fsdecode(target)).write_bytes(text.encode("latin-1"))
    named = limits_conf.conf_argument(case.arguments)
    conf = limits_conf.read(LiveHost(root=str(root)), flavour, [named] if named else [])
    account = everybody.account(case.user)
    assert account is not None
    start = {**process_1, **{item: (pair[0], pair[1]) for item, pair in case.start.items()}}
    sources = conf.sources_for(case.arguments)
    return limits_conf.session_limits(sources, account, flavour, start, process_1, nr_open, case.arguments, may_raise)


def batches(dice: random.Random, count: int) -> Iterator[list[Case]]:
    for first in range(0, count, BATCH):
        yield [random_case(dice) for _number in range(min(BATCH, count - first))]


def compare(tree: Tree, flavour: limits_conf.Flavour, library: str, module: str, folder: Path, name: str) -> None:
    print(f"seed {SEED}, {CASES} cases, {name}, {flavour}")
    dice = random.Random(f"{SEED} {name}")
    everybody = local_users(folder)
    nr_open = int(Path("/proc/sys/fs/nr_open").read_text())
    may_raise = bool(int(Path("/proc/self/status").read_text().split("CapEff:\t")[1].split()[0], 16) >> CAP_SYS_RESOURCE & 1)
    own = {item: [number % 2 ** 64 for number in resource.getrlimit(index)] for index, item in enumerate(limits_conf.RLIMITS)}
    disagreements, competing, refused = [], 0, 0
    for cases in batches(dice, CASES):
        process_1 = random_limits(dice, own)
        below = {**own, **process_1}
        for case in cases:
            case.start = random_limits(dice, below) if dice.random() < 0.7 else {}
        work = {"library": library, "module": module, "process_1": process_1, "cases": [case.plain() for case in cases]}
        first, *answers = real_sessions(tree, work, folder)
        assert len(answers) == len(cases)
        manager = {item: (soft, hard) for item, (soft, hard) in first["process_1"].items()}
        for case, seen in zip(cases, answers):
            ours = our_session(folder, case, everybody, flavour, manager, nr_open, may_raise)
            difference = differences(ours, seen)
            competing += case.competing >= COMPETING
            refused += seen["result"] != 0
            if difference:
                disagreements.append({"case": case.plain(), "process_1": process_1, "difference": difference, "refusal": ours.refusal})
    print(f"{competing} cases with at least {COMPETING} competing lines, {refused} sessions refused, {len(disagreements)} disagreements")
    assert competing >= 0.3 * CASES
    assert not disagreements, json.dumps(disagreements[:3], indent=1)


def differences(ours: limits_conf.Session, seen: dict[str, object]) -> dict[str, object]:
    """Field to (ours, real)."""
    chroot = ours.winners.get(("chroot", "")) if ours.opened else None
    opened = ours.opened and (chroot is None or chroot.value in FOLDERS)
    mine = {
        "opened": opened, "nice": max(-20, min(19, ours.values.get("priority", 0))),
        "no_new_privs": ours.values.get("nonewprivs", 0), "root": chroot.value if chroot and opened else "/",
        **{item: list(pair) for item, pair in ours.limits.items()},
    }
    real = {"opened": seen["result"] == 0, "nice": seen["nice"], "no_new_privs": seen["no_new_privs"], "root": seen["root"],
            **seen["limits"]}
    if seen["limits"]["nofile"][0] < DESCRIPTORS and ours.opened:
        del real["opened"]
    return {key: (mine[key], real[key]) for key in real if mine[key] != real[key]}


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_debian(suite: str, tmp_path: Path, lab_base: dict[str, Tree]) -> None:
    tree = lab_base[suite]
    flavour = flavour_of_tree(tree)
    assert flavour.debian and flavour.resets == (suite == "bookworm")
    compare(tree, flavour, "libpam.so.0", "pam_limits.so", tmp_path, suite)


def test_upstream(tmp_path: Path, lab_base: dict[str, Tree]) -> None:
    compare(upstream_pam(lab_base["bookworm"]), limits_conf.Flavour((1, 5, 2), False, False), LIBRARY, MODULE, tmp_path, "upstream")
