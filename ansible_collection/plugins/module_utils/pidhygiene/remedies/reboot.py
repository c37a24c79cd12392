# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reboot: a reboot at a time that was chosen, asked of logind (ScheduleShutdown), which warns those who are logged in. No child process.

What was scheduled here is remembered in a file that goes with the boot: only that is cancelled. A state that is applied again and again
must not reboot a host again and again: without a finding that asks for it, only a date is taken, which passes.
"""

import calendar
import json
import re
import struct
import time
from typing import Any, Dict, List, Tuple

from .. import bus, wording
from ..host import Host
from ..model import FAIL, INFO, WARN
from ..record import NamedTuple
from ..text import shown
from . import judged, logind
from .files import PutFile
from .model import OLD, Difference, Failed, Parameter, Proposal, Refused, Remedy, Step, clean

RULES = ("PH-DEL-004", "PH-DEL-005", "PH-DEL-007", "PH-ZMB-006")
PRESENT, ABSENT = "present", "absent"
REBOOT = "reboot"
OURS = "/run/pidhygiene-reboot.json"
LONGEST_S = 30 * 86400
UTC = "%Y-%m-%dT%H:%M:%SZ"

PARAMETERS = (
    Parameter("when", "text", "In so many minutes (+30), at the next 03:30 of the host's own time, or at a date in UTC (2027-03-31T02:30:00Z)."),
    Parameter("wall_message", "text", "What those who are logged in read.", default="Scheduled reboot"),
    Parameter("state", "choice", "Scheduled, or not; only what was scheduled here is cancelled.", default=PRESENT, choices=(PRESENT, ABSENT)),
)


class Scheduled(NamedTuple):
    """As logind has it (property ScheduledShutdown)."""

    kind: str  # reboot, poweroff, dry-reboot …; empty: nothing is scheduled
    at_us: int  # microseconds since the epoch

    def text(self) -> str:
        return "%s at %s" % (shown(self.kind), time.strftime(UTC, time.gmtime(self.at_us / 1000000.0))) if self.kind else "none"


NOTHING = Scheduled("", 0)


def scheduled() -> Scheduled:
    """Errors: Refused."""
    kind, at_us = logind.get("ScheduledShutdown")
    return Scheduled(str(kind), int(at_us)) if kind and 0 < at_us < 2 ** 64 - 1 else NOTHING


def moment(when: str, now: float) -> float:
    """Seconds since the epoch. Errors: Refused."""
    minutes = re.match(r"\+([0-9]{1,5})\Z", when)
    clock = re.match(r"([0-9]{1,2}):([0-9]{2})\Z", when)
    if minutes:
        at = now + 60 * max(1, int(minutes.group(1)))
    elif clock and int(clock.group(1)) < 24 and int(clock.group(2)) < 60:
        today = time.localtime(now)
        days = [time.mktime((today.tm_year, today.tm_mon, today.tm_mday + day, int(clock.group(1)), int(clock.group(2)), 0, 0, 0, -1)) for day in (0, 1)]
        at = next(each for each in days if each > now or each == days[-1])
    else:
        try:
            at = float(calendar.timegm(time.strptime(when, UTC)))
        except ValueError:
            raise Refused("when must be +MINUTES, HH:MM or a date as 2027-03-31T02:30:00Z, not %r" % when)
    if not now < at <= now + LONGEST_S:
        raise Refused("%s is %s; a reboot can be scheduled for the next %d days" % (when, "past" if at <= now else "too far away", LONGEST_S // 86400))
    return at


class Schedule(Step):
    def __init__(self, before: Scheduled, after: Scheduled, message: str) -> None:
        self.before, self.after, self.message = before, after, message
        self._done = False

    def differences(self) -> List[Difference]:
        return [Difference("scheduled shutdown", self.before.text(), self.after.text())]

    def do(self) -> None:
        if scheduled() != self.before:
            raise Failed("somebody has scheduled or cancelled a shutdown in the meantime; nothing was changed", OLD)
        self._done = True
        _schedule(self.after, self.message)

    def undo(self) -> None:
        if self._done:
            _schedule(self.before, self.message)


def _schedule(wanted: Scheduled, message: str) -> None:
    """Errors: Failed, Refused."""
    if not wanted.kind:
        reply = logind.call("CancelScheduledShutdown")
    else:
        text = bus.packed(message)
        logind.call("SetWallMessage", bus.padded(text, 4) + struct.pack("<I", 1), "sb")  # an old logind knows none: then nobody is warned
        reply = logind.call("ScheduleShutdown", bus.padded(bus.packed(wanted.kind), 8) + struct.pack("<Q", wanted.at_us), "st")
    if reply.error:
        raise Failed("systemd-logind refused it: %s" % reply.error.rpartition(".")[2], OLD)


def _ours(file: PutFile) -> Scheduled:
    """What an earlier run has scheduled in this boot."""
    try:
        noted = json.loads(file.before.text or "{}")
        return Scheduled(str(noted["kind"]), int(noted["at_us"]))
    except (ValueError, KeyError, TypeError):
        return NOTHING


def _refuse_inhibited() -> None:
    """Somebody has said that the host must not go down now. Errors: Refused."""
    reply = logind.call("ListInhibitors")
    if reply.error:
        raise Refused("systemd-logind does not tell whether something holds a shutdown off (%s)" % reply.error.rpartition(".")[2])
    held = ["%s (%s)" % (shown(who), shown(why)) for what, who, why, mode, _uid, _pid in reply.body.value("a(ssssuu)")
            if mode.startswith("block") and "shutdown" in what.split(":")]
    if held:
        raise Refused("a shutdown is held off by %s: let it finish (systemd-inhibit --list)" % wording.listed(held))


def _asks_for_it(host: Host) -> List[str]:
    _evidence, found = judged.findings(host, RULES, statuses=(INFO, WARN, FAIL))
    return ["%s %s" % (finding.subject.type, finding.subject.id) for finding in found if finding.remedy is not None and finding.remedy.state == REBOOT]


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    message, when = clean("wall_message", given["wall_message"]), given["when"]
    if given["state"] == PRESENT and not when:
        raise Refused("when is missing: a reboot needs a time (+30, 03:30, 2027-03-31T02:30:00Z)")
    at = moment(when, host.clock().wall) if given["state"] == PRESENT else 0.0
    file = PutFile(OURS, None, 0o600)
    mine, there = _ours(file), scheduled()
    if given["state"] == ABSENT:
        return _cancelled(file, mine, there, message)
    if there.kind and there != mine:
        raise Refused("somebody else has scheduled a shutdown (%s): ask who, or cancel it with shutdown -c" % there.text())
    if there.kind and when.startswith("+") and there.at_us / 1e6 <= at:
        return Proposal((), ("%s is scheduled already" % there.text(),))
    wanted = Scheduled(REBOOT, int(at * 1000000))
    if there == wanted:
        return Proposal((), ("%s is scheduled already" % there.text(),))
    why = _asks_for_it(host)
    if not why and not when.endswith("Z"):
        return Proposal((), ("no finding asks for a reboot now; name a date (2027-03-31T02:30:00Z) to have one all the same",))
    _refuse_inhibited()
    file.text = json.dumps({"kind": wanted.kind, "at_us": wanted.at_us}, sort_keys=True) + "\n"
    return Proposal((file, Schedule(there, wanted, message)), _notes(why))


def _cancelled(file: PutFile, mine: Scheduled, there: Scheduled, message: str) -> Proposal:
    """The shutdown first: a run that was killed between the two still knows that it was its own."""
    steps: Tuple[Step, ...] = (file,) if file.needed else ()
    if there.kind and there == mine:
        return Proposal((Schedule(there, NOTHING, message),) + steps)
    return Proposal(steps, ("%s was scheduled by somebody else: it stays" % there.text(),) if there.kind else ())


def _notes(why: List[str]) -> Tuple[str, ...]:
    open_now = logind.sessions()
    notes = ["it is for %s" % wording.listed(why)] if why else []
    if open_now:
        notes.append("%s open now" % wording.noun(len(open_now), "session is", "sessions are"))
    return tuple(notes)


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """Read back from logind, whose note is our own."""
    there, mine = scheduled(), _ours(PutFile(OURS, None, 0o600))
    if given["state"] == ABSENT:
        return ["%s is still scheduled" % there.text()] if there.kind and there == mine else []
    if not mine.kind and not there.kind:
        return []  # nothing asked for it
    return [] if there == mine else ["systemd-logind has scheduled %s, not %s" % (there.text(), mine.text())]


REMEDY = Remedy("reboot", "A reboot at a chosen time, with a warning, when a finding asks for it", PARAMETERS, propose, verify)
