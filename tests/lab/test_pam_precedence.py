"""The precedence matrix (fixture F10): small cases with a name, one trap each, and what real sessions make of them.

The results stand in tests/fixtures/pam_precedence.json, where the unit tests of the resolver take them from. PIDHYGIENE_RECORD=1 writes
them anew from real sessions; otherwise real sessions must still give what is written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .pam_real import local_users, real_sessions
from .pam_upstream import LIBRARY, MODULE, upstream_pam
from .tree import Tree

FIXTURE = Path(__file__).parents[1] / "fixtures" / "pam_precedence.json"
SHOWN = ("nproc", "nofile", "as", "cpu")
PROCESS_1 = {"nproc": [20000, 30000], "nofile": [2048, 20000]}
START = {"nproc": [9000, 30000], "nofile": [4000, 20000]}

MAIN = "limits.conf"
CASES = {
    "nothing configured": ("alice", {MAIN: ""}),
    "user, then *": ("alice", {MAIN: "alice soft nproc 100\n* soft nproc 200\n"}),
    "*, user, group": ("alice", {MAIN: "* soft nproc 200\nalice soft nproc 100\n@devs soft nproc 150\n"}),
    "group, then *": ("alice", {MAIN: "@devs soft nproc 150\n* soft nproc 200\n"}),
    "9- is read after 10-": ("alice", {MAIN: "alice soft nproc 100\n", "limits.d/10-a.conf": "alice soft nproc 300\n",
                                       "limits.d/9-b.conf": "alice soft nproc 250\n"}),
    "* in limits.d does not beat the user": ("alice", {MAIN: "alice soft nproc 100\n", "limits.d/99.conf": "* soft nproc 300\n"}),
    "dash loses its hard half": ("alice", {MAIN: "alice soft nproc 100\n* - nproc 500\n"}),
    "dash, then user": ("alice", {MAIN: "* - nproc 500\nalice soft nproc 100\n"}),
    "dash keeps its soft half": ("alice", {MAIN: "alice hard nproc 100\n* - nproc 500\n"}),
    "soft above hard": ("alice", {MAIN: "alice soft nproc 500\nalice hard nproc 100\n"}),
    "hard only lowers soft": ("alice", {MAIN: "alice hard nproc 100\n"}),
    "no limits for the user": ("alice", {MAIN: "alice soft nproc 100\nalice -\n"}),
    "no limits for the group": ("alice", {MAIN: "alice soft nproc 100\n", "limits.d/1.conf": "@devs -\n"}),
    "no limits for all is no line": ("alice", {MAIN: "alice soft nproc 100\n* -\n"}),
    "range, then user": ("alice", {MAIN: "1001: soft nproc 123\nalice soft nproc 100\n* soft nproc 1\n"}),
    "user, then range": ("alice", {MAIN: "alice soft nproc 100\n1001: soft nproc 123\n"}),
    "exact uid": ("alice", {MAIN: ":1001 soft nproc 124\n"}),
    "uid between": ("alice", {MAIN: "1000:1001 soft nproc 125\n1002:2000 soft nproc 126\n"}),
    "bare uid is a name": ("alice", {MAIN: "1001 soft nproc 127\n"}),
    "@gid: is the primary group": ("alice", {MAIN: "@1001: soft nproc 125\n@:1001 soft nproc 126\n"}),
    "@:gid is membership": ("alice", {MAIN: "@:2000 soft nproc 128\n@2000: soft nproc 129\n"}),
    "tail after the digits": ("alice", {MAIN: "alice soft nproc 12k\n"}),
    "hexadecimal is 0": ("alice", {MAIN: "alice soft nproc 0x40\n"}),
    "two values": ("alice", {MAIN: "alice soft nproc 12 34\n"}),
    "case": ("alice", {MAIN: "alice SOFT NPROC 101\nALICE soft nproc 55\n"}),
    "nofile unlimited": ("alice", {MAIN: "alice - nofile unlimited\n"}),
    "nofile above nr_open": ("alice", {MAIN: "alice - nofile 2000000000\n"}),
    "units": ("alice", {MAIN: "alice hard as 1048576\nalice hard cpu 3\n"}),
    "negative": ("alice", {MAIN: "alice soft nproc -5\n"}),
    "unknown type": ("alice", {MAIN: "alice both nproc 9\n"}),
    "unknown item": ("alice", {MAIN: "alice soft nprocs 9\n"}),
    "three fields": ("alice", {MAIN: "alice soft nproc\n"}),
    "%group is for maxlogins": ("alice", {MAIN: "%devs soft nproc 99\n"}),
    "maxlogins 0": ("alice", {MAIN: "alice - maxlogins 0\n"}),
    "root: * and @group": ("root", {MAIN: "* - nproc 50\n@root - nproc 51\n"}),
    "root: uid range": ("root", {MAIN: "0: soft nproc 52\n"}),
    "root: group range": ("root", {MAIN: "@0: soft nproc 52\n"}),
    "root: by name": ("root", {MAIN: "root soft nproc 53\n* soft nproc 54\n"}),
    "limits.conf is missing": ("alice", {}),
    "other suffix": ("alice", {MAIN: "", "limits.d/x.conf.bak": "alice soft nproc 77\n"}),
    "no newline at the end": ("alice", {MAIN: "* soft nproc 40"}),
    "comment after the value": ("alice", {MAIN: "alice soft nproc 100 # comment\n#alice soft nproc 5\n"}),
    "carriage returns": ("alice", {MAIN: "alice soft nproc 100\r\nalice soft nofile unlimited\r\n"}),
    "dangling link in limits.d": ("alice", {MAIN: "alice soft nproc 100\n", "limits.d/x.conf": "->/nowhere"}),
}


def one_case_a_line(recorded: dict[str, dict[str, object]]) -> str:
    parts = []
    for name, cases in recorded.items():
        lines = ",\n".join(f"  {json.dumps(case)}: {json.dumps(seen)}" for case, seen in cases.items())
        parts.append(f" {json.dumps(name)}: {{\n{lines}\n }}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def may_raise() -> bool:
    return bool(int(Path("/proc/self/status").read_text().split("CapEff:\t")[1].split()[0], 16) >> 24 & 1)


@pytest.mark.skipif(may_raise(), reason="recorded without CAP_SYS_RESOURCE, which lets a session raise hard limits")
@pytest.mark.parametrize("name", ["bookworm", "trixie", "upstream"])
def test_real_sessions_are_as_recorded(name: str, tmp_path: Path, lab_base: dict[str, Tree]) -> None:
    tree = upstream_pam(lab_base["bookworm"]) if name == "upstream" else lab_base[name]
    library, module = (LIBRARY, MODULE) if name == "upstream" else ("libpam.so.0", "pam_limits.so")
    local_users(tmp_path)
    cases = [{"user": user, "files": files, "arguments": [], "start": START} for user, files in CASES.values()]
    work = {"library": library, "module": module, "process_1": PROCESS_1, "cases": cases}
    _manager, *answers = real_sessions(tree, work, tmp_path)
    seen = {case: {"opened": answer["result"] == 0, **{item: answer["limits"][item] for item in SHOWN}}
            for case, answer in zip(CASES, answers, strict=True)}
    recorded = json.loads(FIXTURE.read_text()) if FIXTURE.exists() else {}
    if os.environ.get("PIDHYGIENE_RECORD"):
        recorded.update({"process_1": PROCESS_1, "start": START, name: seen})
        recorded["cases"] = {case: {"user": user, "files": files} for case, (user, files) in CASES.items()}
        FIXTURE.write_text(one_case_a_line(recorded))
    assert recorded[name] == seen
