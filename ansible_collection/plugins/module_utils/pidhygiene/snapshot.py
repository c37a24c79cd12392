# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on file: what an audit looked at, recorded at the primitives of Host, per sample, errors included.

``RecordingHost`` wraps a live host; ``SnapshotHost`` answers from the recording alone, so an audit of it gives the same findings
byte for byte, on any machine. What was not looked at then is NotRecorded: unknown, never passed.
Environments and credentials on command lines are masked before anything is recorded.
"""

import base64
import gzip
import json
from typing import Any, Callable, Dict, List, Sequence, Type

from . import __version__
from . import host as hosts
from .host import Clock, ClockState, Effort, FileStat, Host, HostError, JournalPage, Machine, NotRecorded
from .pattern import pattern
from .readers import automatic_reboot, utmp
from .text import masked

SCHEMA = "pidhygiene.snapshot/1"
ENVIRONMENT_KEPT = ("TZ=", "SUPERVISOR_ENABLED=", "SUPERVISOR_PROCESS_NAME=", "SUPERVISOR_GROUP_NAME=", "container=", "INVOCATION_ID=")

UNIT_FILES = (".service", ".slice", ".timer", ".conf")
_ENVIRONMENT = pattern(rb"(?m)^([ \t]*(?:Environment|SetCredential|SetCredentialEncrypted)[ \t]*=)((?:[^\\\n]|\\\n|\\.)*)")

_ERRORS: Dict[str, Type[HostError]] = {
    kind.__name__: kind for kind in (
        hosts.Missing, hosts.Denied, hosts.Unsafe, hosts.NotRecorded, hosts.OutOfTime, hosts.Unreadable, hosts.HostError)
}

CRONTABS = ("/etc/crontab", "/etc/cron.d/", "/etc/anacrontab", "/var/spool/cron/")
# Shell files full of other people's settings, of which readers take two things: limits and the time zone. The other lines are recorded empty.
SHELL_SETTINGS = ("/etc/default/", "/etc/sysconfig/", "/etc/environment", "/etc/profile", "/etc/security/pam_env.conf")
# supervisord's configuration holds passwords and environments: sections, includes and group settings are recorded, other lines empty.
_READ_OF_SUPERVISOR = pattern(rb"\[|[ \t]|(?i:files|stopasgroup|killasgroup)[ \t]*[=:]")
_READ_OF_SETTINGS = pattern(rb"\bTZ\b|\bulimit\b")


class NotASnapshot(Exception):
    """The file is no snapshot that this engine can read."""


class RecordingHost(Host):
    """Answers as the host behind it, and remembers every answer. Within one sample, a repeated look gets the first answer."""

    def __init__(self, behind: Host) -> None:
        self._behind = behind
        self._samples: List[Dict[str, Any]] = [{}]

    def _look(self, primitive: str, arguments: Sequence[Any], ask: Callable[[], Any]) -> Any:
        looks = self._samples[-1]
        key = _key(primitive, arguments)
        if key not in looks:
            try:
                looks[key] = ("ok", ask())
            except HostError as error:
                looks[key] = (type(error).__name__, error)
        outcome, answer = looks[key]
        if outcome != "ok":
            raise type(answer)(answer.path, answer.reason)
        return answer

    def read(self, path: str, limit: int = hosts.READ_LIMIT, root: str = "/") -> bytes:
        def ask() -> bytes:
            return without_secrets(path, self._behind.read(path, limit, root))

        data: bytes = self._look("read", (path, limit, root), ask)
        return data

    def read_tail(self, path: str, size: int) -> bytes:
        data: bytes = self._look("read_tail", (path, size), lambda: without_secrets(path, self._behind.read_tail(path, size)))
        return data

    def list(self, path: str, root: str = "/") -> List[str]:
        names: List[str] = self._look("list", (path, root), lambda: self._behind.list(path, root))
        return names

    def readlink(self, path: str, root: str = "/") -> str:
        text: str = self._look("readlink", (path, root), lambda: self._behind.readlink(path, root))
        return text

    def stat(self, path: str, follow: bool = True, root: str = "/") -> FileStat:
        found: FileStat = self._look("stat", (path, follow, root), lambda: self._behind.stat(path, follow, root))
        return found

    def namespace_owner(self, path: str) -> int:
        uid: int = self._look("namespace_owner", (path,), lambda: self._behind.namespace_owner(path))
        return uid

    def manager_properties(self, names: Sequence[str]) -> Dict[str, Any]:
        found: Dict[str, Any] = self._look("manager_properties", (list(names),), lambda: self._behind.manager_properties(names))
        return found

    def unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        found: Dict[str, Dict[str, Any]] = self._look(
            "unit_properties", (list(patterns), list(names)), lambda: self._behind.unit_properties(patterns, names))
        return found

    def expect_unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> None:
        self._behind.expect_unit_properties(patterns, names)

    def journal(self, matches: Sequence[str], contains: Sequence[str], since: float, limit: int) -> JournalPage:
        page: JournalPage = self._look(
            "journal", (list(matches), list(contains), limit), lambda: self._behind.journal(matches, contains, since, limit))
        return page

    def clock(self) -> Clock:
        clock: Clock = self._look("clock", (), self._behind.clock)
        return clock

    def clock_state(self) -> ClockState:
        state: ClockState = self._look("clock_state", (), self._behind.clock_state)
        return state

    def machine(self) -> Machine:
        machine: Machine = self._look("machine", (), self._behind.machine)
        return machine

    def effort(self) -> Effort:
        effort: Effort = self._look("effort", (), self._behind.effort)
        return effort

    def look_again_after(self, seconds: float) -> None:
        self._look("look_again_after", (seconds,), lambda: self._behind.look_again_after(seconds))
        self._samples.append({})

    def document(self) -> Dict[str, Any]:
        """Everything recorded, as plain data."""
        samples = []
        for looks in self._samples:
            samples.append({
                key: {"ok": _plain(answer)} if outcome == "ok" else {"error": outcome, "path": answer.path, "reason": answer.reason}
                for key, (outcome, answer) in looks.items()
            })
        return {"schema": SCHEMA, "engine_version": __version__, "samples": samples}


class SnapshotHost(Host):
    """A recorded host. Errors of every primitive: what was recorded, or NotRecorded."""

    def __init__(self, document: Dict[str, Any]) -> None:
        if not isinstance(document, dict) or document.get("schema") != SCHEMA or not isinstance(document.get("samples"), list):
            raise NotASnapshot("no %s document" % SCHEMA)
        self._samples: List[Dict[str, Any]] = document["samples"]
        self._at = 0

    def _recall(self, primitive: str, arguments: Sequence[Any], path: str) -> Any:
        look = self._samples[self._at].get(_key(primitive, arguments)) if self._at < len(self._samples) else None
        if look is None:
            raise NotRecorded(path, "not in snapshot")
        if "error" in look:
            raise _ERRORS.get(look["error"], HostError)(look["path"], look["reason"])
        return look["ok"]

    def read(self, path: str, limit: int = hosts.READ_LIMIT, root: str = "/") -> bytes:
        return _bytes(self._recall("read", (path, limit, root), path))

    def read_tail(self, path: str, size: int) -> bytes:
        return _bytes(self._recall("read_tail", (path, size), path))

    def list(self, path: str, root: str = "/") -> List[str]:
        return [str(name) for name in self._recall("list", (path, root), path)]

    def readlink(self, path: str, root: str = "/") -> str:
        return str(self._recall("readlink", (path, root), path))

    def stat(self, path: str, follow: bool = True, root: str = "/") -> FileStat:
        return FileStat(*self._recall("stat", (path, follow, root), path))

    def namespace_owner(self, path: str) -> int:
        return int(self._recall("namespace_owner", (path,), path))

    def manager_properties(self, names: Sequence[str]) -> Dict[str, Any]:
        return dict(self._recall("manager_properties", (list(names),), "systemd"))

    def unit_properties(self, patterns: Sequence[str], names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        return dict(self._recall("unit_properties", (list(patterns), list(names)), "systemd"))

    def journal(self, matches: Sequence[str], contains: Sequence[str], since: float, limit: int) -> JournalPage:
        entries, looked_at, complete = self._recall("journal", (list(matches), list(contains), limit), "journal")
        return JournalPage(tuple(entries), looked_at, complete)

    def clock(self) -> Clock:
        return Clock(*self._recall("clock", (), "clock"))

    def clock_state(self) -> ClockState:
        return ClockState(*self._recall("clock_state", (), "clock"))

    def machine(self) -> Machine:
        return Machine(*self._recall("machine", (), "machine"))

    def effort(self) -> Effort:
        return Effort(*self._recall("effort", (), "effort"))

    def look_again_after(self, seconds: float) -> None:
        self._recall("look_again_after", (seconds,), "second look")
        self._at += 1


def without_secrets(path: str, data: bytes) -> bytes:
    """What may be recorded of a file: environments keep the few variables that rules know, command lines lose credentials."""
    if "/systemd/" in path and path.endswith(UNIT_FILES):
        return b"\n".join(_masked_line(line) for line in _ENVIRONMENT.sub(_time_zone_only, data).split(b"\n"))
    if path.startswith(CRONTABS):
        return b"\n".join(_masked_line(line) for line in data.split(b"\n"))
    if path.startswith(automatic_reboot.FOLDER):
        return automatic_reboot.without_the_rest(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if path == utmp.PATH:
        return utmp.without_hosts(data)
    if path.endswith(("/shadow", "/passwd")):
        return b"\n".join(_without_password(line) for line in data.split(b"\n"))
    if path.startswith(SHELL_SETTINGS) and path != "/etc/sysconfig/clock":
        return b"\n".join(_masked_line(line) if _READ_OF_SETTINGS.search(line) else b"" for line in data.split(b"\n"))
    if "supervis" in path and not path.startswith(("/proc/", "/sys/", "/run/", "/var/run/")):  # its cgroup and pidfile are called after it, too
        return b"\n".join(line if _READ_OF_SUPERVISOR.match(line) else b"" for line in data.split(b"\n"))
    if not path.startswith("/proc/"):
        return data
    if path.endswith("/environ"):
        kept = [each for each in data.split(b"\0") if each.decode("utf-8", "replace").startswith(ENVIRONMENT_KEPT)]
        return b"".join(each + b"\0" for each in kept)
    if path.endswith("/cmdline"):
        # NUL separates arguments; a blank does for the pattern, and no argument may hold the stand-in
        text = data.decode("utf-8", "surrogateescape").replace(" ", "\1").replace("\0", " ")
        return masked(text).replace(" ", "\0").replace("\1", " ").encode("utf-8", "surrogateescape")
    return data


def _without_password(line: bytes) -> bytes:
    """In the second field x says that it is in /etc/shadow, and nothing that there is none; all else becomes a star, misplaced hashes too."""
    fields = line.split(b":")
    return b":".join(
        b"*" if each.startswith(b"$") or (number == 1 and each not in (b"x", b"")) else each for number, each in enumerate(fields))


def _time_zone_only(found: Any) -> bytes:
    """An assignment without its values, TZ apart, and as many lines as before, so that line numbers stay."""
    kept = b" ".join(word for word in found.group(2).replace(b"\\\n", b" ").split() if word.strip(b"\"'").startswith(b"TZ="))
    line: bytes = found.group(1) + kept + b"\n" * found.group(2).count(b"\n")
    return line


def _masked_line(line: bytes) -> bytes:
    return masked(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def save(document: Dict[str, Any], path: str) -> None:
    """Written whole or not at all; compressed when the name ends in .gz. Errors: OSError."""
    import os
    import tempfile

    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode("utf-8")
    directory = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(prefix=".pidhygiene-", dir=directory)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(gzip.compress(text, 6) if path.endswith(".gz") else text)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str) -> SnapshotHost:
    """Errors: OSError, NotASnapshot."""
    with open(path, "rb") as stream:
        data = stream.read()
    try:
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        document = json.loads(text.decode("utf-8"))
    except (ValueError, OSError, EOFError) as error:
        raise NotASnapshot("%s: %s" % (path, error))
    return SnapshotHost(document)


def _key(primitive: str, arguments: Sequence[Any]) -> str:
    return json.dumps([primitive] + list(arguments))


def _plain(answer: Any) -> Any:
    """Bytes as text where they are UTF-8, else as base64."""
    if isinstance(answer, bytes):
        try:
            return answer.decode("utf-8")
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(answer).decode("ascii")}
    return answer


def _bytes(value: Any) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    text: str = value
    return text.encode("utf-8", "surrogateescape")
