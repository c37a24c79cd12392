# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes how people log in is taken back by a timer of systemd, unless a new login has confirmed in time that it works.

The old files wait beside the new ones as further names of themselves (owner, mode and label included), so that taking them back is a rename.
The timer is transient, and goes with the boot. What a boot finds unconfirmed it takes back itself, before anything starts that people log in with:
whoever is locked out can switch the host off and on.
"""

import errno
import json
import os
import struct
from functools import partial
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from . import manager
from .files import PutFile, PutLink, existing
from .model import OLD, Failed, Step

STATE = "/run/pidhygiene-revert.json"
NAME = "pidhygiene-revert"
MARK = ".pidhygiene-old"  # neither PAM nor systemd reads what does not end in .conf
AT_BOOT = "/etc/systemd/system/pidhygiene-revert-at-boot.service"
WANTED = "/etc/systemd/system/sysinit.target.wants/pidhygiene-revert-at-boot.service"
BOOT_TEXT = """# Written by pidhygiene: goes when a new login has worked, or when it has run.
[Unit]
Description=Takes back what no new login has confirmed before this boot
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
ConditionPathExists=!%s

[Service]
Type=oneshot
%s
"""
LOGINS = ("ssh.service", "sshd.service", "systemd-logind.service")
FOR_ALL = ("root", "*", None)  # domains of limits.conf; None: all of the remedy's own file

Property = Tuple[str, str, Any]  # name, signature, value


def touches_logins(remedy: str, given: Mapping[str, Any]) -> bool:
    if remedy == "pam_limits_line":
        return given.get("domain") in FOR_ALL
    return remedy == "unit_limits" and given.get("unit") in LOGINS


def arm(remedy: str, given: Mapping[str, Any], steps: Sequence[Step], after_s: int) -> bool:
    """Before the steps are done. False: there is nothing to take back. Errors: Failed, OSError, HostError; then nothing waits."""
    files = [step.path for step in steps if isinstance(step, PutFile) and step.needed]
    if not files or not touches_logins(remedy, given):
        return False
    state = _read()
    for path in files:
        if path not in state["files"]:
            state["files"][path] = existing(path).text is not None
            _forget(path)
            if state["files"][path]:
                os.link(path, path + MARK)
    if remedy == "unit_limits" and given["unit"] not in state["units"]:
        state["units"].append(given["unit"])
    _write(state)
    _put_at_boot(state)
    _stop()  # one that waits for an earlier step is replaced by one for both
    about = ("Description", "s", "Takes back what no new login has confirmed")
    try:
        start_transient(
            NAME + ".timer", [about, ("OnActiveSec", "t", after_s * 1000000), ("AccuracyUSec", "t", 1000000), ("RemainAfterElapse", "b", False)],
            NAME + ".service", [about, ("Type", "s", "oneshot"), ("ExecStart", "a(sasb)", _way_back(state))])
        if manager.settled(NAME + ".timer").active != "active":
            raise Failed("systemd did not take the timer %s that would take the change back" % NAME, OLD)
    except BaseException:
        keep()
        raise
    return True


def _way_back(state: Mapping[str, Any]) -> List[Tuple[str, ...]]:
    lines: List[Tuple[str, ...]] = []
    for path, was in sorted(state["files"].items()):
        lines.append(("/bin/mv", "-f", "-T", "--", path + MARK, path) if was else ("/bin/rm", "-f", "--", path))
    if state["units"]:
        lines.append(("/bin/systemctl", "daemon-reload"))
        lines.append(("/bin/systemctl", "try-restart", "--") + tuple(state["units"]))
    return lines + [("/bin/rm", "-f", "--", WANTED, AT_BOOT, STATE)]


def _put_at_boot(state: Mapping[str, Any]) -> None:
    """Nothing reads it before the next boot. There the units are started later, with what their files say then. Errors: OSError, Failed."""
    lines = [line for line in _way_back(state) if "try-restart" not in line]
    file = PutFile(AT_BOOT, BOOT_TEXT % (STATE, "\n".join("ExecStart=-" + " ".join(quoted(word) for word in line) for line in lines)))
    link = PutLink(WANTED, AT_BOOT)
    for step in (file, link):
        if step.needed:
            step.do()


def quoted(word: str) -> str:
    """One word of a command line of a unit (systemd.service(5))."""
    for sign, text in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(sign, text)
    return '"%s"' % word


def waits() -> bool:
    """Whether something would be taken back."""
    return os.path.exists(STATE)


def keep() -> List[str]:
    """The change stays; the files it is about. Empty: nothing waited, or it was taken back already. Errors: Failed, HostError, OSError."""
    if not waits():
        return []
    _stop()
    state = _read()  # without files: it went off in this very moment
    for path in state["files"]:
        _forget(path)
    for path in (WANTED, AT_BOOT, STATE):
        _unlink(path)
    return sorted(state["files"])


def _stop() -> None:
    """Waited for: whoever goes on must know whether it went off."""
    if manager.settled(NAME + ".timer").runs:
        manager.job("StopUnit", NAME + ".timer")
    manager.settled(NAME + ".service")


def _read() -> Dict[str, Any]:
    try:
        with open(STATE) as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        found = {}
    return {"files": dict(found.get("files", {})), "units": list(found.get("units", []))}


def _write(state: Mapping[str, Any]) -> None:
    file = PutFile(STATE, json.dumps(state, sort_keys=True), 0o600)
    if file.needed:
        file.do()


def _forget(path: str) -> None:
    _unlink(path + MARK)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


# -- StartTransientUnit: org.freedesktop.systemd1(5) ------------------------------------------------------------------


def start_transient(unit: str, given: Sequence[Property], other: str, others: Sequence[Property]) -> None:
    """A unit that lives until it has done its work, and a second one that it starts. Errors: Failed, HostError."""
    body = _Body()
    body.text(unit)
    body.text("fail")
    body.array(8, [partial(body.row, each) for each in given])

    def auxiliary() -> None:
        body.align(8)
        body.text(other)
        body.array(8, [partial(body.row, each) for each in others])

    body.array(8, [auxiliary])
    manager.call("StartTransientUnit", bytes(body.data), "ssa(sv)a(sa(sv))")


class _Body(object):
    """Arguments of a call; positions count from its beginning, as alignment does."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> None:
        self.data.extend(b"\0" * (-len(self.data) % size))

    def text(self, value: str) -> None:
        data = value.encode("utf-8", "surrogateescape")
        self.align(4)
        self.data.extend(struct.pack("<I", len(data)) + data + b"\0")

    def number(self, form: str, value: int) -> None:
        self.align(struct.calcsize(form))
        self.data.extend(struct.pack("<" + form, value))

    def array(self, alignment: int, items: Sequence[Callable[[], None]]) -> None:
        self.number("I", 0)
        place = len(self.data)
        self.align(alignment)
        start = len(self.data)
        for item in items:
            item()
        self.data[place - 4:place] = struct.pack("<I", len(self.data) - start)

    def row(self, given: Property) -> None:
        name, signature, value = given
        self.align(8)
        self.text(name)
        self.data.extend(bytes([len(signature)]) + signature.encode("ascii") + b"\0")
        if signature == "s":
            self.text(value)
        elif signature == "t":
            self.number("Q", value)
        elif signature == "b":
            self.number("I", 1 if value else 0)
        else:  # a(sasb): program, arguments, whether its failure is ignored
            self.array(8, [partial(self._command, each) for each in value])

    def _command(self, arguments: Sequence[str]) -> None:
        self.align(8)
        self.text(arguments[0])
        self.array(4, [partial(self.text, each) for each in arguments])
        self.number("I", 0)
