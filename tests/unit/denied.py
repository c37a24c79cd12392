"""Where a rule has found something, it must not pass once a place that it looked at may not be read: then it is unknown, or still finds it.

One place is denied for each finding that a test of rules makes; PIDHYGIENE_DENIED=60 denies so many of each.
"""

from __future__ import annotations

import copy
import copyreg
import json
import os
import random
from typing import Any

from pidhygiene import host as hosts
from pidhygiene.audit import audit
from pidhygiene.host import Denied, Host
from pidhygiene.policy import Policy
from pidhygiene.snapshot import RecordingHost

PRIMITIVES = ("read", "list", "readlink", "stat")
MOST = int(os.environ.get("PIDHYGIENE_DENIED", "1"))
# Which program a process runs is told by its name where the link may not be followed. Root may, and so may who has CAP_SYS_PTRACE; for others, all of them are named so.
# Whoever sees a process may read its command line (fs/proc/base.c), so that nobody is denied it alone.
OPEN_TO_ALL = "/cmdline"
BY_NAME = ("PH-ORP-001", "PH-ORP-002", "PH-ORP-005")


for _kind in (hosts.HostError, hosts.Missing, hosts.Denied, hosts.Unsafe, hosts.NotRecorded, hosts.OutOfTime, hosts.Unreadable):
    copyreg.pickle(_kind, lambda error: (type(error), (error.path, error.reason)))


class Denying:
    """The host, but for one place."""

    def __init__(self, behind: Host, primitive: str, path: str) -> None:
        self._behind, self._primitive, self._path = behind, primitive, path

    def __getattr__(self, name: str) -> Any:
        answer = getattr(self._behind, name)
        if name != self._primitive:
            return answer

        def denied(path: str, *arguments: Any, **named: Any) -> Any:
            if path == self._path:
                raise Denied(path, "permission denied")
            return answer(path, *arguments, **named)
        return denied

    def read_text(self, path: str, *arguments: Any, **named: Any) -> str:
        return Host.read_text(self, path, *arguments, **named)  # type: ignore[arg-type]

    def exists(self, path: str, *arguments: Any, **named: Any) -> bool:
        return Host.exists(self, path, *arguments, **named)  # type: ignore[arg-type]


def places(host: Host, rule: str, policy: Policy, previous: Any) -> list[tuple[str, str]]:
    """What the rule looks at: primitive and path."""
    recording = RecordingHost(host)
    audit(recording, policy, previous, [rule])
    looks = (json.loads(key) for sample in recording._samples for key in sample)
    return sorted({(look[0], look[1]) for look in looks if look[0] in PRIMITIVES})


def never_passes(host: Host, rule: str, policy: Policy, previous: Any) -> None:
    """``host`` as it was before it was judged."""
    seen = places(copy.deepcopy(host), rule, policy, previous)
    chosen = random.Random("%s %d" % (rule, len(seen))).sample(seen, min(MOST, len(seen)))
    for primitive, path in chosen:
        if path.endswith(OPEN_TO_ALL) or (rule in BY_NAME and path.endswith("/exe")):
            continue
        result = audit(Denying(copy.deepcopy(host), primitive, path), policy, previous, [rule])  # type: ignore[arg-type]
        row = result["rules"][0]
        assert result["audit"]["errors"] == [], (primitive, path)
        assert row["status"] not in ("pass", "n/a"), "%s is %s where %s %s is denied" % (rule, row["status"], primitive, path)
