"""Session stacks as we resolve them, against what libpam really runs.

Random service files with includes, substacks, controls and jumps; whether pam_limits ran is read from the limits of the session's process.
PIDHYGIENE_ORACLE_CASES sets the number of cases for each tree, PIDHYGIENE_ORACLE_SEED which ones (oracle_seed.py).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import oracle_seed
import pytest

from pidhygiene.host import LiveHost
from pidhygiene.readers import pam_stack
from pidhygiene.readers.limits_conf import Flavour

from .pam_real import flavour_of_tree, local_users, real_sessions
from .pam_upstream import LIBRARY, MODULE, upstream_pam
from .tree import Tree

CASES = int(os.environ.get("PIDHYGIENE_ORACLE_CASES", "400"))
SEED = oracle_seed.seed()
BATCH = 200
MARK = 77  # KiB of rss: nobody else sets it
SERVICE = "ph-Stack"

NAMES = ["common", "deep", "deeper", "ph-stack", "other"]
BELOW = {"ph-stack": ("common", "deep", "deeper"), "other": ("common", "deep"), "common": ("deep", "deeper"), "deep": ("deeper",)}
ACTIONS = ["ok", "done", "bad", "die", "ignore", "1", "2", "3", "0"]


ODD_LINES = [
    "session", "session required", "sesion required pam_permit.so", "auth required pam_deny.so", "# session", "   ", "account include nowhere",
    "session [bad pam_permit.so", "session [success=what default=ok] pam_permit.so",
]
CONDITIONS = [
    " quiet service = ph-stack", " service in a:ph-stack:b quiet", " service != ph-stack", " service notin x:ph-stack", " service =~ ph-*",
    " quiet_fail service !~ ph-?tack",
]
CONTROLS = ["required", "Required", "requisite", "optional", "optional", "sufficient", "", ""]


def random_line(dice: random.Random, includable: list[str], limits: str, others: str, top: bool) -> str:
    """``top``: the file is a service's own. A nested @include that fails is left out: it acts on memory that nobody has set."""
    roll = dice.random()
    if roll < 0.22 and includable:
        keyword = dice.choice(["session include", "session substack", "-session include", "session\tsubstack", "@include" if top else "session include"])
        return f"{keyword} {dice.choice([*includable, *includable, 'missing', '/etc/pam.d/' + includable[0]])}"
    if roll < 0.27:
        return dice.choice(ODD_LINES)
    module = dice.choice([limits, others + dice.choice(["pam_permit.so", "pam_permit.so", "pam_deny.so", "pam_succeed_if.so"])])
    if module.endswith("pam_succeed_if.so"):
        module += dice.choice(CONDITIONS)
    control = dice.choice(CONTROLS) or random_control(dice)
    line = f"{dice.choice(['', '-', ' '])}{dice.choice(['session', 'session', 'SESSION'])}{dice.choice([' ', '  ', chr(9)])}{control} {module}"
    if dice.random() < 0.1:
        return line.replace(" " + module, " \\\n  " + module)
    return line + (dice.choice([" # session required pam_deny.so", "  "]) if dice.random() < 0.1 else "")


def random_control(dice: random.Random) -> str:
    pairs = [f"success={dice.choice(ACTIONS)}", f"default={dice.choice(ACTIONS)}"]
    if dice.random() < 0.3:
        pairs.append(f"{dice.choice(['session_err', 'auth_err', 'ignore', 'new_authtok_reqd'])}={dice.choice(ACTIONS)}")
    dice.shuffle(pairs)
    return f"[{dice.choice(['', ' '])}{' '.join(pairs[:dice.choice([1, 2, 3])])}]"


def random_stack(dice: random.Random, limits: str, others: str, loops: bool) -> dict[str, str]:
    """Path to text. Without ``loops`` files include only those further down: an old libpam would recurse until it falls over."""
    chosen = NAMES if dice.random() < 0.8 else [name for name in NAMES if dice.random() < 0.7]
    files = {}
    for name in chosen:
        top, looping = name in ("ph-stack", "other"), loops and dice.random() < 0.1
        folder = "/usr/lib/pam.d" if dice.random() < 0.15 else "/etc/pam.d"
        includable = [] if looping else list(BELOW.get(name, ()))
        lines = [random_line(dice, includable, limits, others, top) for _count in range(dice.randint(0, 5))]
        if looping:  # one line at most: libpam follows 16 levels of branches, and we say that we do not
            lines.append(f"session include {dice.choice(BELOW['ph-stack'])}")
        if name == "ph-stack" and dice.random() < 0.5:
            lines.append(f"session required {others}pam_permit.so")
        if dice.random() < 0.01:
            lines.append("session optional pam_permit.so \\")
        files[f"{folder}/{name}"] = "\n".join(lines) + dice.choice(["\n", ""])
    return files


def our_answer(folder: Path, stack: dict[str, str], flavour: Flavour) -> str:
    root = folder / "case"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("etc/pam.d", "usr/lib/pam.d"):
        (root / name).mkdir(parents=True)
    for path, text in stack.items():
        (root / path.lstrip("/")).write_text(text)
    found = pam_stack.read(LiveHost(root=str(root)), flavour.debian, [SERVICE], flavour.version).of(SERVICE)
    assert found is not None
    return found.calls("pam_limits.so")


def compare(tree: Tree, flavour: Flavour, library: str, module: str, folder: Path, name: str) -> None:
    loops = flavour.version >= pam_stack.ENDS_LOOPS
    others = "" if flavour.debian else next(tree.layers[-1].glob("usr/lib/*/security/pam_permit.so")).parent
    others = f"/{others.relative_to(tree.layers[-1])}/" if others else ""
    print(f"seed {SEED}, {CASES} stacks, {name}")
    dice = random.Random(f"{SEED} {name}")
    local_users(folder)
    stacks = [random_stack(dice, module, others, loops) for _number in range(CASES)]
    disagreements, counts = [], {}
    for first in range(0, CASES, BATCH):
        chosen = stacks[first:first + BATCH]
        cases = [{"user": "alice", "files": {"limits.conf": f"alice - rss {MARK}\n"}, "arguments": [], "start": {}, "service": SERVICE,
                  "stack": stack} for stack in chosen]
        _manager, *answers = real_sessions(tree, {"library": library, "module": module, "process_1": {}, "cases": cases}, folder)
        for stack, seen in zip(chosen, answers, strict=True):
            ours = our_answer(folder, stack, flavour)
            ran = seen["result"] == 0 and seen["limits"]["rss"][0] == MARK * 1024
            really = "crashed" if seen["result"] is None else "refused" if seen["result"] else "ran" if ran else "did not run"
            counts[(ours, really)] = counts.get((ours, really), 0) + 1
            if (ours, really) not in {("always", "ran"), ("never", "did not run"), ("refused", "refused")} and (ours != "unknown" or not loops):
                disagreements.append({"stack": stack, "ours": ours, "really": really})
    print(f"{counts}, {len(disagreements)} disagreements")
    assert counts.get(("always", "ran"), 0) > 0.05 * CASES and counts.get(("never", "did not run"), 0) > 0.05 * CASES
    assert sum(number for (ours, _really), number in counts.items() if ours == "unknown") <= 0.02 * CASES, "loops with too many branches are rare"
    assert not disagreements, json.dumps(disagreements[:3], indent=1)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_debian(suite: str, tmp_path: Path, lab_base: dict[str, Tree]) -> None:
    compare(lab_base[suite], flavour_of_tree(lab_base[suite]), "libpam.so.0", "pam_limits.so", tmp_path, suite)


def test_upstream(tmp_path: Path, lab_base: dict[str, Tree]) -> None:
    compare(upstream_pam(lab_base["bookworm"]), Flavour((1, 5, 2), False, False), LIBRARY, MODULE, tmp_path, "upstream")
