# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""time_zone: one zone for the host in every place that names it, and no daemon left that lives in the old one.

PID 1 watches /etc/localtime, so timers follow without a reload. Databases, Java, container engines and what supervises others are never
restarted here: they are named, and restarted in their own window.
"""

import posixpath
import re
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import wording
from ..host import Host, Missing
from ..readers import zone_database
from ..readers.cron import ANACRON, CRONIE_CRON, FCRON
from ..readers.time_zone import LINK, LOCALTIME
from ..readers.zone_info import Zone, same_rules
from ..record import NamedTuple
from ..rules.time_zone import CACHING, TIMEZONE_FILE, has_own_zone, keeps_its_offset, refreshed
from ..text import masked, shown
from . import firing
from .around import gathered
from .files import PutFile, PutLink, existing
from .manager import Restart
from .model import MIXED, Failed, Parameter, Proposal, Refused, Remedy, Step, clean
from .running import same_process
from .protected import PROTECTED

PRESENT = "present"
CACHED, NONE = "cached", "none"
SOURCES = ("time_zone", "clock", "cron", "processes", "details", "distribution", "units", "calendars")
CLOCK_FILE = "/etc/sysconfig/clock"
PLACES = zone_database.DIRECTORY + "/zone.tab"  # every name of a place that is in use, with its country
# Of those that know the zone from their start on: an outage, or the end of others, if they are restarted.
LEFT_ALONE = frozenset(("mysqld", "mariadbd", "mongod", "java", "dockerd", "containerd", "kubelet", "salt-minion", "salt-master", "supervisord"))
OF_CONTAINERS = ("/.dockerenv", "/run/.containerenv")  # a container of one program gets its zone from its image or its environment
MOST_JOBS = 50
TOLERANCE_S = 1.0  # start times come in ticks, and times of files in those of another clock
GONE_S = 5.0
_ASSIGNMENT = re.compile(r"^([ \t]*(?:ZONE|TIMEZONE)=).*$", re.M)

PARAMETERS = (
    Parameter("name", "text", "The zone, as Europe/Berlin or Etc/UTC; an old name is replaced by the one it stands for.", required=True),
    Parameter("restart", "choice", "Which daemons are restarted: those that keep the zone of their start, or none.", default=CACHED, choices=(CACHED, NONE)),
    Parameter("state", "choice", "A host always has a zone: to undo, set the old one.", default=PRESENT, choices=(PRESENT,)),
)


class Keeper(NamedTuple):
    """A program that goes on by the zone it was started in."""

    process: Any
    unit: Optional[str]  # whose main process it is; None when it is nobody's
    left_alone: bool  # is not restarted here


# -- which zone ----------------------------------------------------------------------------------------------------


def zone_wanted(host: Host, text: str) -> Tuple[str, Zone]:
    """The name that the link shall have, and its hours. Errors: Refused for what is no zone here."""
    clean("name", text, ("..", "%", "\\", "'", '"', " "))
    database = zone_database.Database(host)
    head = text.split("/")[0]
    if not text or text.startswith(("/", "-", ":", ".")) or text.endswith("/") or head in zone_database.OTHER_TREES or head == "localtime":
        raise Refused("%r is no name of a zone; write it as Europe/Berlin" % text)
    name = text if text in _places(host) else database.canonical(text)
    meaning = database.meaning(name)
    if meaning.kind != zone_database.ZONE or meaning.zone is None:
        if not host.exists(zone_database.DIRECTORY):
            raise Refused("no zone database is installed (%s): install tzdata first" % zone_database.DIRECTORY)
        raise Refused("there is no zone %s in %s; timedatectl list-timezones shows those that are" % (shown(text), zone_database.DIRECTORY))
    return name, meaning.zone


def _places(host: Host) -> List[str]:
    """Names in use, also those that share their rules with a larger neighbour, which the database lists as aliases."""
    try:
        text = host.read_text(PLACES)
    except Missing:
        return []
    return [line.split("\t")[2] for line in text.split("\n") if not line.startswith("#") and line.count("\t") >= 2]


def _refuse_foreign(host: Host, evidence: Any) -> None:
    localtime = evidence.time_zone.localtime
    if localtime.mounts:
        raise Refused("%s is mounted into this machine (%s): whoever mounts it sets the zone; set it there" % (LOCALTIME, wording.listed(localtime.mounts)))
    for path in OF_CONTAINERS:
        if host.exists(path):
            raise Refused("this is a container (%s): set TZ or the zone in its image or definition, or it is lost with the container" % path)


# -- files -----------------------------------------------------------------------------------------------------------


def _is_named(localtime: Any, name: str) -> bool:
    """Whether the link itself says this zone, relative or absolute, and leads to it."""
    aimed = posixpath.join(posixpath.dirname(LOCALTIME), localtime.link)
    return bool(localtime.kind == LINK and localtime.zone is not None and zone_database.zone_name(aimed) == name)


def _link(evidence: Any, name: str) -> Optional[PutLink]:
    return None if _is_named(evidence.time_zone.localtime, name) else PutLink(LOCALTIME, "../usr/share/zoneinfo/" + name)


def _files(evidence: Any, name: str) -> Iterator[PutFile]:
    """/etc/timezone where there is one, or Debian expects it; ZONE= in /etc/sysconfig/clock where there is one."""
    distribution = evidence.distribution
    expected = distribution.id == "debian" and 0 < distribution.major <= 12
    for path, wanted in ((TIMEZONE_FILE, expected), (CLOCK_FILE, False)):
        named = evidence.time_zone.source(path)
        if (named is None and not wanted) or (named is not None and named.text == name):
            continue
        file = PutFile(path, name + "\n")
        if path == CLOCK_FILE:
            file.text = clock_text(existing(path).text or "", name)
        yield file


def clock_text(text: str, name: str) -> str:
    """Every assignment of ZONE= or TIMEZONE= says this zone; all else stays."""
    return _ASSIGNMENT.sub(lambda found: '%s"%s"' % (found.group(1), name), text)


# -- who still lives in the old zone ---------------------------------------------------------------------------------


def keepers(evidence: Any) -> List[Keeper]:
    """Running programs of this host that know the zone from their start on, whichever it was."""
    crons = {daemon.process.pid: keeps_its_offset(evidence.cron, daemon) for daemon in evidence.cron.daemons}
    found = []
    for process in evidence.processes.live():
        status = evidence.processes.status.get(process.pid)
        keeps = crons.get(process.pid, False) if process.pid in crons else process.comm in CACHING
        if keeps is False or (status is not None and len(status.ns_pids) > 1) or has_own_zone(evidence, process.pid):
            continue
        unit = _main_of(evidence, process)
        protected = unit is not None and unit.rpartition(".")[0].partition("@")[0] in PROTECTED
        found.append(Keeper(process, unit, process.comm in LEFT_ALONE or protected or unit is None))
    return found


def _main_of(evidence: Any, process: Any) -> Optional[str]:
    """The service that a restart of this process is a restart of; None for a part of something larger."""
    name = wording.unit_of(evidence, process.pid)
    unit = evidence.units.get(name) if name and evidence.units.manager.answers else None
    return unit.id if unit is not None and unit.id.endswith(".service") and unit.main_pid == process.pid else None


def older_than_the_zone(evidence: Any) -> List[Keeper]:
    """Those that were started before /etc/localtime became what it is, and have not asked again since."""
    localtime = evidence.time_zone.localtime
    if localtime.own is None or localtime.own.ctime > evidence.clock.wall:  # a clock that was set back would restart them for ever
        return []
    changed = localtime.own.ctime
    crons = {daemon.process.pid for daemon in evidence.cron.daemons}
    return [each for each in keepers(evidence) if evidence.processes.started_at(each.process) < changed - TOLERANCE_S
            and not (each.process.pid in crons and refreshed(evidence, changed))]


class Renew(Restart):
    """A restart after which the old process is really gone: a stop that left it in place was how jobs stayed in the old zone."""

    def __init__(self, unit: str, process: Any, zone: str) -> None:
        super(Renew, self).__init__(unit, "%s (%d) keeps the zone that it was started in; it starts in %s" % (shown(process.comm), process.pid, zone))
        self.process = process

    def do(self) -> None:
        super(Renew, self).do()
        deadline = time.monotonic() + GONE_S
        while same_process(self.process):
            if time.monotonic() > deadline:
                raise Failed("%s was restarted, but its old process %d (%s) still runs" % (self.unit, self.process.pid, shown(self.process.comm)), MIXED)
            time.sleep(0.05)


# -- what happens to jobs --------------------------------------------------------------------------------------------


def jobs_moved(evidence: Any, old: Zone, new: Zone) -> List[str]:
    """A sentence for each job whose hour moves, with its next firing by both clocks."""
    now = evidence.clock.wall
    if same_rules(old, new, now):
        return []
    own_zone = [daemon for daemon in evidence.cron.daemons if has_own_zone(evidence, daemon.process.pid)]
    by_variable = evidence.cron.implementation in (CRONIE_CRON, FCRON)
    found = []
    for table, job in evidence.cron.jobs() if not own_zone else ():
        if job.schedule is None or table.kind == ANACRON or (by_variable and any(name == "CRON_TZ" for name, _value in job.zone)):
            continue
        found.append(_moved("job %s:%d (%s)" % (table.path, job.line, shown(masked(job.command), wording.COMMAND_SHOWN)), job.schedule, old, new, now))
    found.extend(_timers_moved(evidence, old, new, now))
    moved = [each for each in found if each]
    return moved[:MOST_JOBS] + (["%d more jobs move" % (len(moved) - MOST_JOBS)] if len(moved) > MOST_JOBS else [])


def _moved(job: str, event: firing.Event, old: Zone, new: Zone, now: float) -> str:
    before, after = firing.next_firing(event, old, now), firing.next_firing(event, new, now)
    happens = firing.lost_or_doubled(event, old, new, now)
    if before == after and not happens:
        return ""
    return "%s runs next at %s instead of %s%s" % (
        job, firing.shown_moment(after, new), firing.shown_moment(before, old), "; it " + happens if happens else "")


def _timers_moved(evidence: Any, old: Zone, new: Zone, now: float) -> Iterator[str]:
    """PID 1 reckons timers anew as soon as the link changes, but for those whose event names a zone."""
    for event in evidence.calendars.events:
        if event.zone is None:
            yield _moved("timer %s (%s)" % (event.timer.id, shown(event.text)), event.calendar, old, new, now)
    for gap in evidence.calendars.gaps:
        yield "timer %s could not be read (%s): look at it yourself" % (shown(gap.source), shown(gap.reason))


# -- the remedy ------------------------------------------------------------------------------------------------------


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    name, new = zone_wanted(host, given["name"])
    evidence = gathered(host, SOURCES)
    _refuse_foreign(host, evidence)
    link = _link(evidence, name)
    steps: List[Step] = [link] if link is not None else []
    steps.extend(_files(evidence, name))
    stale = keepers(evidence) if link is not None else older_than_the_zone(evidence)
    notes = jobs_moved(evidence, evidence.time_zone.localtime.in_force, new) if link is not None else []
    if given["restart"] == CACHED:
        steps.extend(Renew(each.unit, each.process, name) for each in stale if each.unit is not None and not each.left_alone)
    left = [each for each in stale if each.left_alone or given["restart"] == NONE]
    if left:
        notes.append("still in the zone of their start: %s; restart each when it suits" % wording.listed(
            ["%s (%d%s)" % (shown(each.process.comm), each.process.pid, ", " + each.unit if each.unit else "") for each in left], 10))
    return Proposal(tuple(steps), tuple(notes))


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """As the audit sees it: the link, every file that names a zone, and the start of every daemon that was to be restarted."""
    name, _hours = zone_wanted(host, given["name"])
    evidence = gathered(host, SOURCES)
    zone = evidence.time_zone
    problems = []
    if not _is_named(zone.localtime, name):
        problems.append("%s does not lead to %s (%s)" % (LOCALTIME, name, zone.localtime.problem or shown(zone.localtime.link) or zone.localtime.kind))
    problems.extend("%s still says %s" % (each.path, shown(each.text)) for each in zone.named if each.text != name)
    if given["restart"] == CACHED:
        problems.extend("%s (%d) is older than the zone" % (shown(each.process.comm), each.process.pid)
                        for each in older_than_the_zone(evidence) if not each.left_alone)
    return problems


REMEDY = Remedy("time_zone", "The host's time zone, and daemons that keep the old one", PARAMETERS, propose, verify)
