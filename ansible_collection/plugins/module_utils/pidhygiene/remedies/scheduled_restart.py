# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scheduled_restart: a service is restarted on schedule, with an owner and a line in the journal, until its leak is mended.

A timer and a service of its own: try-restart (what was stopped stays stopped), never two at once, and none made up for after a boot, as a booted
host has a fresh daemon. A line of cron that did the same is set aside in the same step, and comes back when the timer goes. Where there is no
systemd, a table of cron does it (cron_restart.py).
"""

import hashlib
import os
import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .. import pending, wording
from ..evidence import gather
from ..host import Host, Missing
from ..model import UNLIMITED
from ..readers import calendar_syntax, posix_tz, unit_files, zone_database
from ..readers.cron import ANACRON
from ..record import NamedTuple
from ..restarts import OWN, SHORTEST_S
from ..text import masked, shown
from . import cron_lines, cron_restart, firing, manager
from .cron_restart import HEADER
from .crowded import refuse_crowded
from .files import PutFile, PutLink, existing
from .model import MIXED, NEW, OLD, Difference, Failed, Parameter, Proposal, Refused, Remedy, Step, clean
from .protected import refuse_protected
from .unit_limits import ABSENT, PRESENT, refuse_unusable

FOLDER = "/etc/systemd/system/"
WANTS = FOLDER + "timers.target.wants/"
SOURCES = ("units", "cron", "processes", "budgets", "time_zone", "clock")
TIMER = ("LoadState", "ActiveState", "NextElapseUSecRealtime", "NextElapseUSecMonotonic", "NeedDaemonReload")
BOOTED = "/run/systemd/system"  # sd_booted(3)
FIXED_DELAY = 247  # first systemd with FixedRandomDelay=
SPECIAL = ("%", "$", "\\", '"', ";", "`")  # they mean something in a unit file or behind ExecStart=
CALENDAR_SIGNS = SPECIAL + ("'", "=", "#")

PARAMETERS = (
    Parameter("unit", "text", "The service, as agent.service.", required=True),
    Parameter("calendar", "text", "When, as OnCalendar= takes it: Sat 14:00. Without it and interval, that of the line that is taken over."),
    Parameter("interval", "number", "Or how often, in seconds; at most half of the time in which a leak fills its limit."),
    Parameter("spread_s", "number", "Spread over so many seconds, by an offset that stays the same on each host.", default=0),
    Parameter("owner", "text", "Who answers for it: it is no restart nobody chose then.", default=""),
    Parameter("reason", "text", "Why, as a ticket.", default=""),
    Parameter("take_over", "text", "The line of a crontab that restarts it now, as /etc/crontab:17 or the line itself: it is set aside."),
    Parameter("restart_protected", "flag", "Although it is a database, a container engine, sshd or the like.", default=False),
    Parameter("accept_pending", "flag", "Reload systemd although files of others wait for a reload, too.", default=False),
    Parameter("state", "choice", "absent removes the timer and gives a line that was taken over back.", default=PRESENT, choices=(PRESENT, ABSENT)),
)


class Schedule(NamedTuple):
    calendars: Tuple[str, ...]
    interval: int  # seconds; 0: by the calendar
    spread: int
    offset: int  # of this host, within the spread


# -- names and what is given ---------------------------------------------------------------------------------------


def service_name(text: str) -> str:
    """Errors: Refused for what is no service that can be restarted by name."""
    clean("unit", text, ("/", "..", "%", "'", '"', "$"))
    if unit_files.kind_of(text) not in (unit_files.PLAIN, unit_files.INSTANCE) or unit_files.type_of(text) != "service" or len(text) > 200:
        raise Refused("%r is no name of a service; write it with its type, as agent.service" % text)
    if text.startswith(OWN):
        raise Refused("%s is itself a scheduled restart" % text)
    return text


def own_name(unit: str) -> str:
    return OWN + unit.rpartition(".")[0]


def checked_calendar(host: Host, text: str) -> Tuple[str, calendar_syntax.Calendar, Optional[Any]]:
    """The event with single blanks, read, and its zone if it names one. Errors: Refused for what systemd would not read."""
    text = " ".join(clean("calendar", text, CALENDAR_SIGNS).split())
    event, word = calendar_syntax.split_zone(text)
    zone = None
    if word[:1].isalpha():
        zone = zone_database.Database(host).meaning(word)
        if word.upper() != "UTC" and zone.kind != zone_database.ZONE:
            raise Refused("calendar %r: there is no zone %s on this host" % (text, word))
    else:
        event = text
    try:
        return text, calendar_syntax.parse(event), zone.zone if zone is not None else None
    except ValueError as error:
        raise Refused("calendar %r is nothing that systemd reads as a repeated event (%s); systemd-analyze calendar %r shows how it would" % (
            text, error, text))


def _refuse_mistakes(given: Dict[str, Any]) -> None:
    service_name(given["unit"])
    for name in ("owner", "reason"):
        if len(clean(name, given[name], SPECIAL)) > 200:
            raise Refused("%s is longer than 200 characters" % name)
    for name, signs in (("calendar", CALENDAR_SIGNS), ("take_over", ())):
        clean(name, (given[name] or "").replace("\t", " "), signs)
    if given["state"] == ABSENT:
        return
    if given["calendar"] and given["interval"]:
        raise Refused("calendar and interval are both given: which of them?")
    if not given["calendar"] and not given["interval"] and not given["take_over"]:
        raise Refused("neither calendar nor interval is given, and no line that tells when: say when to restart")
    if given["interval"] and given["interval"] < SHORTEST_S:
        raise Refused("an interval of %d s is shorter than %d s: what leaks so fast must be mended or stopped" % (given["interval"], SHORTEST_S))
    if not 0 <= given["spread_s"] <= 86400:
        raise Refused("spread_s must be from 0 to 86400")


def offset_of(host: Host, unit: str, spread: int) -> int:
    """Seconds within the spread: the same on each host for ever, another one on the next host."""
    try:
        machine = host.read_text("/etc/machine-id").strip()
    except Missing:
        machine = ""
    return int(hashlib.sha256((machine + unit).encode("utf-8", "surrogateescape")).hexdigest()[:8], 16) % (spread + 1)


# -- what is written -------------------------------------------------------------------------------------------------


def service_text(unit: str, owner: str, reason: str, systemctl: str, delay: int = 0) -> str:
    """``delay``: seconds to sleep before, where systemd cannot spread by itself."""
    name = unit.replace("\\", "\\\\")
    said = "Scheduled restart of %s%s%s" % (name, "; owner: " + owner if owner else "", "; because: " + reason if reason else "")
    rows = ["ExecStartPre=/bin/sleep %d" % delay] if delay else []
    rows += ['ExecStart=-/bin/echo "%s"' % said, "ExecStart=%s try-restart -- %s" % (systemctl, name)]
    return HEADER + "[Unit]\nDescription=Scheduled restart of %s\n\n[Service]\nType=oneshot\n%s\n" % (unit, "\n".join(rows))


def timer_text(unit: str, schedule: Schedule, fixed_delay: bool) -> str:
    rows = ["OnCalendar=" + each for each in schedule.calendars]
    if schedule.interval:  # earlier by the offset: later might be too late
        rows = ["OnActiveSec=%d" % max(schedule.interval // 2, schedule.interval - schedule.offset), "OnUnitActiveSec=%d" % schedule.interval]
    elif schedule.spread and fixed_delay:
        rows += ["RandomizedDelaySec=%d" % schedule.spread, "FixedRandomDelay=yes"]
    return HEADER + "[Unit]\nDescription=Scheduled restart of %s\n\n[Timer]\n%s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n" % (
        unit, "\n".join(rows))


def _systemctl() -> str:
    return next((path for path in ("/usr/bin/systemctl", "/bin/systemctl") if os.access(path, os.X_OK)), "/bin/systemctl")


class TimerUnits(Step):
    """Timer and service as files, read by systemd, and running; or gone. An active timer must not lose its file: it would be left as failed."""

    def __init__(self, timer: str, files: Sequence[Step], run: bool, active: bool) -> None:
        self.timer, self.run, self.active = timer, run, active
        self.steps = tuple(files)
        self._asked = False

    def differences(self) -> List[Difference]:
        found = [difference for step in self.steps for difference in step.differences()]
        if self.run != self.active:
            found.append(Difference("state of " + self.timer, *("active" if running else "inactive" for running in (self.active, self.run))))
        return found

    def do(self) -> None:
        self._asked = True
        if not self.run:
            self._stop()
        for step in self.steps:
            step.do()
        if self.run:
            self._start()

    def undo(self) -> None:
        if not self._asked:
            return
        if not self.active:
            self._stop()
        for step in self.steps:
            step.undo()
        if self.active:
            manager.job("RestartUnit", self.timer)

    def _stop(self) -> None:
        if manager.properties(TIMER, self.timer).get("ActiveState") == "active" and manager.job("StopUnit", self.timer).runs:
            raise Failed("%s does not stop" % self.timer, MIXED)

    def _start(self) -> None:
        loaded = manager.properties(TIMER, self.timer).get("LoadState")
        if loaded != "loaded":
            raise Failed("systemd does not take %s (%s): journalctl -u %s says why" % (self.timer, loaded, self.timer), OLD)
        ended = manager.job("RestartUnit", self.timer)
        if not ended.runs:
            raise Failed("%s did not start: it is %s (%s, result %s)" % (self.timer, ended.active, ended.sub, ended.result), NEW)


# -- the line that is taken over -------------------------------------------------------------------------------------


def _texts(evidence: Any) -> Dict[str, str]:
    return {table.path: existing(table.path).text or "" for table in evidence.cron.tables if table.kind != ANACRON and table.stat.kind == "file"}


def _taken_over(evidence: Any, given: Dict[str, Any], texts: Dict[str, str]) -> Optional[cron_lines.Line]:
    """The line that is meant. Errors: Refused when it is not one line that restarts this unit and nothing else."""
    if not given["take_over"]:
        return None
    asked, unit = clean("take_over", given["take_over"].replace("\t", " ").strip()), given["unit"]
    found = cron_lines.wanted(list(cron_lines.lines(evidence.cron.tables, texts, unit)), asked)
    if len(found) > 1 and any(line.taken for line in found):
        found = [line for line in found if not line.taken]
    if not found:
        raise Refused("there is no line %r in the crontabs of this host that restarts anything" % shown(asked))
    if len(found) > 1:
        raise Refused("%r stands in %s: say which, as path:line" % (shown(asked), wording.listed(["%s:%d" % line[:2] for line in found])))
    line = found[0]
    if not cron_lines.restarts_only(line, unit):
        raise Refused("%s:%d restarts %s, not %s" % (line.path, line.number, wording.listed(line.services) or "nothing", unit))
    if not line.alone:
        raise Refused("%s:%d does more than restart %s (%s): take the restart out of it by hand" % (
            line.path, line.number, unit, shown(masked(line.text), wording.COMMAND_SHOWN)))
    return line


# -- the remedy ------------------------------------------------------------------------------------------------------


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    _refuse_mistakes(given)
    evidence = gather(host, SOURCES)
    if "cron" in evidence.unseen:
        raise evidence.unseen["cron"]
    if evidence.has("units") and not evidence.units.manager.present:
        return _by_cron(host, evidence, given)
    if not evidence.has("units") or not evidence.units.manager.answers:
        raise Refused("systemd does not answer on this host: a timer needs it")
    return _present(host, evidence, given) if given["state"] == PRESENT else _absent(evidence, given)


def _present(host: Host, evidence: Any, given: Dict[str, Any]) -> Proposal:
    unit, own = given["unit"], own_name(given["unit"])
    refuse_unusable(unit, manager.properties(("LoadState",), unit))
    refuse_protected(unit, given["restart_protected"], "restart it in a window of its own")
    texts = _texts(evidence)
    line = _taken_over(evidence, given, texts)
    schedule = _schedule(host, given, line)
    notes = [_next(host, evidence, schedule)]
    version = re.match(r"[0-9]+", evidence.units.manager.version)
    fixed = version is not None and int(version.group()) >= FIXED_DELAY
    service, timer = PutFile(FOLDER + own + ".service", None), PutFile(FOLDER + own + ".timer", None)
    service.text = service_text(unit, given["owner"], given["reason"], _systemctl(), 0 if fixed or schedule.interval else schedule.offset)
    timer.text = timer_text(unit, schedule, fixed)
    active = manager.properties(TIMER, own + ".timer").get("ActiveState") == "active"
    files: List[Step] = []
    files.extend(step for step in (service, timer, PutLink(WANTS + own + ".timer", FOLDER + own + ".timer")) if step.needed)
    if files or _is_stale(own):
        _refuse_pending(evidence, given, own)
        refuse_crowded(evidence)
        files.append(manager.Reload())
    steps: List[Step] = [TimerUnits(own + ".timer", files, True, active)] if files or not active else []
    if line is not None and not line.taken:
        steps.append(_crontab(line.path, texts[line.path], cron_lines.set_aside(texts[line.path], line.number, unit)))
    return Proposal(tuple(steps), tuple(note for note in notes if note) if steps else ())


def _by_cron(host: Host, evidence: Any, given: Dict[str, Any]) -> Proposal:
    """Where there is no systemd."""
    unit, steps, notes = given["unit"], [], []  # type: str, List[Step], List[str]
    texts = _texts(evidence)
    if given["state"] == ABSENT:
        table = cron_restart.file_for(host, evidence, unit, None)
        given_back = {path: cron_lines.given_back(text, unit) for path, text in sorted(texts.items())}
        steps.extend(_crontab(path, texts[path], back) for path, back in given_back.items() if back != texts[path])
        return Proposal(tuple(steps + ([table] if table.needed else [])))  # in this order: at no moment is nobody left to restart it
    refuse_protected(unit, given["restart_protected"], "restart it in a window of its own")
    script = cron_restart.script_of(host, unit)
    line = _taken_over(evidence, given, texts)
    spread = offset_of(host, unit, given["spread_s"])
    table = cron_restart.file_for(host, evidence, unit, cron_restart.text(
        unit, _cron_fields(host, given, line), script, given["owner"], given["reason"], spread))
    notes = cron_restart.notes(script, evidence)
    if table.needed:
        steps.append(table)
    if line is not None and not line.taken:
        steps.append(_crontab(line.path, texts[line.path], cron_lines.set_aside(texts[line.path], line.number, unit)))
    return Proposal(tuple(steps), tuple(notes) if steps else ())


def _cron_fields(host: Host, given: Dict[str, Any], line: Optional[cron_lines.Line]) -> str:
    if given["interval"]:
        return cron_restart.by_interval(given["interval"], offset_of(host, given["unit"], 7 * 86400 - 1))
    if given["calendar"]:
        text, event, zone = checked_calendar(host, given["calendar"])
        if zone is not None or text.upper().endswith(" UTC"):
            raise Refused("calendar %r names a zone: there is no systemd here, and cron knows that of the host only" % text)
        return cron_restart.by_calendar(text, event)
    if line is None or line.schedule is None or line.schedule.never:
        raise Refused("the line that is taken over tells no time: give calendar or interval")
    return cron_restart.by_line(line.schedule)


def _is_stale(own: str) -> bool:
    """Whether systemd has not read the two files as they are."""
    return any(seen.get("NeedDaemonReload") or seen.get("LoadState") == "not-found"
               for seen in (manager.properties(TIMER, own + kind) for kind in (".timer", ".service")))


def _crontab(path: str, before: str, after: str) -> PutFile:
    file = PutFile(path, after)
    if file.before.text != before:
        raise Refused("%s changes while it is looked at; try again" % path)
    return file


def _schedule(host: Host, given: Dict[str, Any], line: Optional[cron_lines.Line]) -> Schedule:
    spread = given["spread_s"]
    offset = offset_of(host, given["unit"], spread)
    if given["interval"]:
        return Schedule((), given["interval"], spread, offset)
    if given["calendar"]:
        text, event, _zone = checked_calendar(host, given["calendar"])
        if firing.next_firing(event, posix_tz.UTC, host.clock().wall) is None:
            raise Refused("calendar %r never comes" % text)
        return Schedule((text,), 0, spread, offset)
    if line is None or line.schedule is None or line.schedule.never:
        raise Refused("the line that is taken over tells no time: give calendar or interval")
    return Schedule(tuple(cron_lines.calendars(line.schedule)), 0, spread, offset)


def _next(host: Host, evidence: Any, schedule: Schedule) -> str:
    """The next restart by both clocks."""
    if not schedule.calendars or not evidence.has("time_zone"):
        return ""
    found = []
    for text in schedule.calendars:
        _text, event, zone = checked_calendar(host, text)
        zone = zone or evidence.time_zone.localtime.in_force
        moment = firing.next_firing(event, zone, evidence.clock.wall)
        if moment is not None:
            found.append((moment, firing.shown_moment(moment, zone)))
    spread = ", and up to %s later" % wording.duration(schedule.spread) if schedule.spread else ""
    return "the next restart is due at %s%s" % (min(found)[1], spread) if found else ""


def _refuse_pending(evidence: Any, given: Dict[str, Any], own: str) -> None:
    waiting = [each for each in pending.of_others(evidence.units, FOLDER + own + ".timer") if not each.startswith((own + ".timer:", own + ".service:"))]
    if waiting and not given["accept_pending"]:
        raise Refused("a daemon-reload would also bring what others have changed (%s): look at it, reload systemd yourself, or set accept_pending" % (
            wording.listed(waiting)))


def _absent(evidence: Any, given: Dict[str, Any]) -> Proposal:
    unit, own = given["unit"], own_name(given["unit"])
    steps: List[Step] = []
    for path, text in sorted(_texts(evidence).items()):
        back = cron_lines.given_back(text, unit)
        if back != text:
            steps.append(_crontab(path, text, back))
    files: List[Step] = []
    files.extend(step for step in (PutLink(WANTS + own + ".timer", None), PutFile(FOLDER + own + ".timer", None), PutFile(FOLDER + own + ".service", None))
                 if step.needed)
    seen = manager.properties(TIMER, own + ".timer")
    active = seen.get("ActiveState") == "active"
    if files or seen.get("LoadState") == "loaded":
        _refuse_pending(evidence, given, own)
        refuse_crowded(evidence)
        files.append(manager.Reload())
    if files or active:
        steps.append(TimerUnits(own + ".timer", files, False, active))
    return Proposal(tuple(steps))


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """As systemd has it now; and the line of cron is none any more."""
    own, unit = own_name(given["unit"]), given["unit"]
    if not host.exists(BOOTED):
        return cron_restart.problems(gather(host, ("cron",)), unit, given, given["state"] == PRESENT)
    seen = manager.properties(TIMER, own + ".timer")
    if given["state"] == ABSENT:
        return ["%s.timer is still there" % own] if seen.get("ActiveState") == "active" or seen.get("LoadState") == "loaded" else []
    problems = []
    if seen.get("ActiveState") != "active":
        problems.append("%s.timer is %s" % (own, seen.get("ActiveState")))
    elif all(seen.get(key) in (None, 0, UNLIMITED, 2 ** 64 - 1) for key in ("NextElapseUSecRealtime", "NextElapseUSecMonotonic")):
        problems.append("%s.timer does not know when it elapses next" % own)
    if given["take_over"]:
        evidence = gather(host, SOURCES)
        line = _taken_over(evidence, given, _texts(evidence))
        if line is None or not line.taken:
            problems.append("cron still restarts %s by itself" % unit)
    return problems


REMEDY = Remedy("scheduled_restart", "A service restarted on schedule, by a timer with an owner", PARAMETERS, propose, verify)
