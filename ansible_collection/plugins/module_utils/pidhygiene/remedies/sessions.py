# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sessions: logind lets go of sessions that have ended, systemd of session scopes in which nothing is left.

logind ends nothing twice: for a session that is closing, TerminateSession answers and does nothing (logind-session.c session_stop), and
KillSession finds no scope. It looks at a session again when the scope's job ends (so the scope is stopped), and at all of them when
systemd has read its files again (logind-dbus.c match_reloading). So the scope is stopped where there is one, then systemd is reloaded
if logind still has the session. Its files are never touched.
"""

import re
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Sequence, Set, Tuple

from .. import bus, pending, wording
from ..evidence import Evidence, gather
from ..host import Host, LiveHost
from ..record import NamedTuple
from ..restart_plan import BUS
from ..rules.sessions import leaked
from ..text import shown
from . import logind, manager
from .around import gathered, own_units
from .crowded import refuse_crowded
from .model import MIXED, Difference, Failed, Parameter, Proposal, Refused, Remedy, Step, clean

LEAKED, SCOPES = "leaked", "empty scopes"
SOURCES = ("sessions", "processes", "details", "executables", "units", "budgets")
LIVING = ("sessions", "processes", "details")  # what is looked at again right before
CHUNK = 100  # between two looks
GLANCE_S = 0.3  # a session without a scope goes at once, or not before the reload
SETTLE_S = 5.0  # without a single one going, logind is not about to let go
STOP_S = 100.0  # TimeoutStopSec= is 90 by default
GROWTH_KIB = 256 * 1024  # of logind: more for some thousand sessions means that it only gets worse
SCOPE_PATTERN = "session-*.scope"
SCOPE_STATE = ("Id", "LoadState", "ActiveState", "SubState")

PARAMETERS = (
    Parameter("end", "choice", "Sessions that have ended and are kept, or session scopes in which no process is left.", default=LEAKED,
              choices=(LEAKED, SCOPES)),
    Parameter("sessions", "words", "Only these, by their ids; named so, sessions in which somebody works are ended, too."),
    Parameter("batch", "number", "At most so many at once; apply again for the rest.", default=1000),
    Parameter("accept_pending", "flag", "Reload systemd although files of others wait for a reload, too.", default=False),
)


# -- what is there ---------------------------------------------------------------------------------------------------


def _populated(evidence: Evidence) -> Set[str]:
    return {detail.unit for detail in evidence.details.of.values() if detail.unit}


def _empty_scopes(evidence: Evidence, loaded: Dict[str, Any]) -> List[str]:
    """In memory of systemd, without a process, and of no session that logind calls alive."""
    alive = {session.scope for session in evidence.sessions.sessions if session.state != "closing"}
    return sorted(set(loaded) - _populated(evidence) - alive)


def _loaded_scopes(host: Host) -> Dict[str, Any]:
    return {name: seen for name, seen in host.unit_properties((SCOPE_PATTERN,), SCOPE_STATE).items() if seen.get("LoadState") == "loaded"}


def _refuse_stale_bus(evidence: Evidence) -> None:
    """A logind on a bus that was replaced loses the answers: this is how sessions leak. Errors: Refused."""
    for image in evidence.executables.images:
        if image.deleted and not image.container and wording.unit_of(evidence, image.process.pid) in BUS:
            raise Refused("the message bus runs a program that was replaced on disk (PH-DEL-004), and what logind is told over it may be lost: "
                          "schedule a reboot, which ends the sessions, too")


def _loaded_now() -> List[str]:
    return list(_loaded_scopes(LiveHost()))


def _busy_now() -> List[str]:
    return [name for name, seen in _loaded_scopes(LiveHost()).items() if seen.get("ActiveState") not in ("failed", "inactive")]


def _memory_kib() -> int:
    """RssAnon of logind; 0 where it is not told."""
    table = gather(LiveHost(), ("processes",)).processes
    found = [table.status.get(process.pid) for process in table.live() if process.comm == "systemd-logind"]
    return max([int(status.anonymous_kib) for status in found if status is not None] or [0])


# -- steps -----------------------------------------------------------------------------------------------------------


class EndSessions(Step):
    """Chunk by chunk; each session is looked at again right before."""

    def __init__(self, ids: Sequence[str], every: Sequence[str], named: bool) -> None:
        self.ids, self.every, self.named = tuple(ids), tuple(every), named
        self._after = len(every) - len(ids)
        self._told = False

    def differences(self) -> List[Difference]:
        if self.named:
            return [Difference("session %s" % shown(each), "is there", "ended") for each in self.ids]
        return [Difference("leaked sessions of systemd-logind", "%d" % len(self.every), "%d" % self._after)]

    def do(self) -> None:
        memory, told, stopped = _memory_kib(), [], False  # type: int, List[str], bool
        for chunk in _chunks(self.ids):
            wanted = list(chunk) if self.named else self._still_leaked(chunk)
            told.extend(wanted)
            self._told = self._told or bool(wanted)
            stopped = _tell(wanted) or stopped
            if _memory_kib() > memory + GROWTH_KIB:
                raise Failed("systemd-logind grew by more than %d MiB while it was told to end sessions; schedule a reboot" % (GROWTH_KIB // 1024), MIXED)
        left = _wait(told, logind.sessions, STOP_S if stopped else GLANCE_S)
        if left:
            manager.reload()  # logind looks at all its sessions again
            left = _wait(told, logind.sessions, SETTLE_S)
        if left:
            raise Failed("systemd-logind keeps %s (%s) even after systemd was reloaded: schedule a reboot" % (
                wording.noun(len(left), "session"), wording.listed([shown(each) for each in left])), MIXED)
        self._after = len(set(self.every) & set(logind.sessions()))  # a reload ends more than it was for

    def undo(self) -> None:
        if self._told:
            raise Failed("sessions that were ended cannot be brought back", MIXED)

    def _still_leaked(self, chunk: Sequence[str]) -> List[str]:
        now = {session.id for session in leaked(gather(LiveHost(), LIVING))}
        return [each for each in chunk if each in now]


def _tell(ids: Sequence[str]) -> bool:
    """logind to end the session, systemd to stop its scope; whether there was a scope. What is gone by now is what was wanted."""
    evidence, loaded = gather(LiveHost(), ("sessions",)), _loaded_scopes(LiveHost())
    scopes = {session.id: session.scope for session in evidence.sessions.sessions}
    logind.ask([bus.Call(logind.PATH, logind.MANAGER, "TerminateSession", bus.packed(each), "s") for each in ids])
    left = [scopes[each] for each in ids if scopes.get(each) in loaded]
    _stop(left)
    return bool(left)


class StopScopes(Step):
    def __init__(self, scopes: Sequence[str], total: int) -> None:
        self.scopes, self.total = tuple(scopes), total
        self._told = False

    def differences(self) -> List[Difference]:
        return [Difference("session scopes without a process", "%d" % self.total, "%d" % (self.total - len(self.scopes)))]

    def do(self) -> None:
        for chunk in _chunks(self.scopes):
            host = LiveHost()
            loaded = _loaded_scopes(host)
            now = set(_empty_scopes(gather(host, LIVING), loaded))
            wanted = [each for each in chunk if each in now]
            self._told = self._told or bool(wanted)
            _stop(wanted)
            left = _wait(wanted, _busy_now, STOP_S)
            _stop(wanted, "ResetFailedUnit")  # one that failed is kept until then
            left = left or _wait(wanted, _loaded_now, SETTLE_S)
            if left:
                raise Failed("systemd does not let go of %s: systemctl status %s" % (wording.noun(len(left), "scope"), left[0]), MIXED)

    def undo(self) -> None:
        if self._told:
            raise Failed("scopes that were stopped cannot be brought back", MIXED)


def _stop(scopes: Sequence[str], member: str = "StopUnit") -> None:
    """Asked for all, answered one after the other. A scope that has gone is what was wanted. Errors: HostError."""
    more = ("replace",) if member == "StopUnit" else ()
    deadline = time.monotonic() + manager.JOB_S
    connection = bus.Connection(deadline)
    connection.patience_s = manager.JOB_S
    with connection:
        connection.allow(deadline)
        connection.ask([bus.Call(bus.MANAGER_PATH, manager.INTERFACE, member, manager.texts(each, *more), "s" * (1 + len(more))) for each in scopes], 16)
        list(connection.replies())


def _wait(names: Sequence[str], there: Callable[[], Iterable[str]], patience: float) -> List[str]:
    """Those that are still there when none has gone for so many seconds."""
    left, since = list(names), time.monotonic()
    while left and time.monotonic() < since + patience:
        present = set(there())
        now = [each for each in left if each in present]
        if len(now) < len(left):
            left, since = now, time.monotonic()
        if left:
            time.sleep(0.1)
    return left


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[at:at + CHUNK] for at in range(0, len(items), CHUNK))


# -- the remedy ------------------------------------------------------------------------------------------------------


class _Ending(NamedTuple):
    """What would be ended now."""

    ids: List[str]
    notes: Tuple[str, ...]


def _session_id(text: str) -> str:
    """As session_id_valid() of systemd takes it. Errors: Refused."""
    if not re.match(r"[A-Za-z0-9]+\Z", clean("sessions", text)):
        raise Refused("%r is no id of a session; loginctl list-sessions shows those that are" % text)
    return text


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    if given["batch"] < 1:
        raise Refused("batch must be at least 1")
    names = [_session_id(str(each)) for each in given["sessions"] or ()]
    if names and given["end"] == SCOPES:
        raise Refused("sessions names sessions; with end: %s none are ended" % SCOPES)
    evidence = gathered(host, SOURCES)
    if evidence.sessions.gaps:
        raise Refused("%s could not be read (%s)" % (evidence.sessions.gaps[0].source, evidence.sessions.gaps[0].reason))
    if given["end"] == SCOPES:
        return _of_scopes(host, evidence, given["batch"])
    ending = _named(evidence, host, names) if names else _leaked(evidence)
    if not ending.ids:
        return Proposal((), ending.notes)
    _refuse_stale_bus(evidence)
    _refuse_reload(host, evidence, given, ending.ids)
    return Proposal((EndSessions(ending.ids[:given["batch"]], ending.ids, bool(names)),), ending.notes + _rest(len(ending.ids), given["batch"]))


def _of_scopes(host: Host, evidence: Evidence, batch: int) -> Proposal:
    empty = _empty_scopes(evidence, _loaded_scopes(host))
    if not empty:
        return Proposal((), ("no session scope is without a process",))
    _refuse_stale_bus(evidence)
    return Proposal((StopScopes(empty[:batch], len(empty)),), _rest(len(empty), batch))


def _rest(total: int, batch: int) -> Tuple[str, ...]:
    return ("%d of %d at once: apply again for the rest" % (batch, total),) if total > batch else ()


def _leaked(evidence: Evidence) -> _Ending:
    dead = sorted(session.id for session in leaked(evidence))
    known = set(logind.sessions()) if dead else set()
    forgotten = [each for each in dead if each not in known]
    notes = []
    if forgotten:
        notes.append("%s in /run/systemd/sessions are of sessions that logind has forgotten, as %s: they fill nothing, and go at the next boot; do not delete "
                     "them under a running logind" % (wording.noun(len(forgotten), "file"), shown(forgotten[0])))
    return _Ending([each for each in dead if each in known], tuple(notes))


def _named(evidence: Evidence, host: Host, names: Sequence[str]) -> _Ending:
    known, own = set(logind.sessions()), own_units(evidence, host)
    by_id = {session.id: session for session in evidence.sessions.sessions}
    ids = [each for each in names if each in known]
    for each in ids:
        session = by_id.get(each)
        if session is not None and session.scope in own:
            raise Refused("session %s is the one that this runs in: it would end itself half-way; use another one, or the console" % shown(each))
        if session is not None and session.kind.startswith("manager"):
            raise Refused("session %s is a user's manager: it goes with the user's last session, or by loginctl terminate-user" % shown(each))
    gone = [shown(each) for each in names if each not in known]
    return _Ending(ids, ("logind has no session %s" % wording.listed(gone),) if gone else ())


def _refuse_reload(host: Host, evidence: Evidence, given: Dict[str, Any], ids: Sequence[str]) -> None:
    """Where the scope is gone, only a reload makes logind look again. Errors: Refused."""
    loaded = _loaded_scopes(host)
    scopes = {session.id: session.scope for session in evidence.sessions.sessions}
    if all(scopes.get(each) in loaded for each in ids):
        return
    waiting = pending.of_others(evidence.units, "")
    if waiting and not given["accept_pending"]:
        raise Refused("logind looks at these sessions again only when systemd is reloaded, and a daemon-reload would also bring what others have changed "
                      "(%s): look at it, reload systemd yourself, or set accept_pending" % wording.listed(waiting))
    refuse_crowded(evidence)


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    try:
        known = logind.sessions()
    except Refused as error:
        return [str(error)]
    return ["session %s is still there" % shown(each) for each in given["sessions"] or () if each in known]


REMEDY = Remedy("sessions", "Ended sessions leave systemd-logind, empty session scopes leave systemd", PARAMETERS, propose, verify)
