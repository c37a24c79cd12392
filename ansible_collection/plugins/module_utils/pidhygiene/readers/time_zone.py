# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which time zone this host is in, by every source that some program believes, and every TZ that overrides it.

Of environments and of the files that make them, only the variable TZ leaves this reader.
"""

import posixpath
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ..digest import sha256
from ..host import FileStat, Host, HostError, Missing, OutOfTime, Unsafe, unescape_mount
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import environment_files, posix_tz, zone_database, zone_info
from .cron import Cron
from .processes import Process, ProcessTable
from .zone_database import Database, Match, Meaning
from .zone_info import NotAZone, Zone

LOCALTIME = zone_database.LOCALTIME
MANY = 3000  # processes; above, a sample of each kind is asked for its TZ
SAMPLED = 20
EXAMPLES = 10
FILE_LIMIT = 64 * 1024  # bytes of a file in /etc/default
MOST_FILES = 500  # of one directory

LINK, COPY, ABSENT, OTHER = "link", "file", "missing", "other"
PROCESS, UNIT, LOGIN, DAEMON, JOBS = "process", "unit", "login", "daemon", "jobs"  # whose environment a setting makes

# Services whose schedule, log stamps or stored times follow the zone: their unit files are read for TZ.
WATCHED_UNITS = pattern(
    r"^(cron|crond|cronie|atd|anacron|rsyslog|syslog|syslog-ng|mysql\w*|mariadb|postgresql|mongod|oracle|influxdb|elasticsearch|"
    r"jenkins|tomcat\d*|supervisor|supervisord|salt-minion|salt-master)(@[^.]*)?(-\w+)*\.service$"
)


class LocalTime(NamedTuple):
    """/etc/localtime: what every program without TZ uses."""

    kind: str  # link, file, missing, other
    link: str  # its text; empty for no link
    own: Optional[FileStat]  # of /etc/localtime itself
    target: Optional[FileStat]  # of what it leads to; None when that is not there
    mounts: Tuple[str, ...]  # mount points that lie over the file, or over what it links to
    name: str  # of the zone, by the link; empty for a copy
    canonical: str
    digest: str  # sha256 of the content; empty when there is none
    zone: Optional[Zone]  # None: no valid content, so programs use UTC
    problem: str  # why there is none
    match: Optional[Match]  # which installed zone the content is; looked for only when the name does not tell

    @property
    def in_force(self) -> Zone:
        return self.zone if self.zone is not None else posix_tz.UTC

    @property
    def changed(self) -> Optional[float]:
        """When /etc/localtime itself or its content last changed, by ctime: also moves at tzdata updates, relabels and image unpacking."""
        times = [each.ctime for each in (self.own, self.target) if each is not None]
        return max(times) if times else None


class NamedZone(NamedTuple):
    """A file that names the zone for somebody."""

    path: str
    text: str  # as it stands there
    meaning: Meaning


class Setting(NamedTuple):
    """TZ=value somewhere."""

    scope: str  # process, unit, login, daemon, jobs
    source: str  # path of the file, or /proc/PID/environ of one of the processes
    line: int  # 0 for processes
    subject: str  # program, unit or file that it is about; for jobs the name of the variable, TZ or CRON_TZ
    meaning: Optional[Meaning]  # None: computed when the file is run
    pids: Tuple[int, ...]  # some of the processes
    processes: int  # how many
    contained: bool  # in a pid namespace or a root of its own: judged by its own zone database


class TimeZone(NamedTuple):
    localtime: LocalTime
    named: Tuple[NamedZone, ...]  # /etc/timezone, /etc/sysconfig/clock: those that exist
    hardware_clock: str  # third line of /etc/adjtime: UTC, LOCAL or "" (never written: UTC)
    database: str  # release of the zone database as "2025b"; empty when it cannot be told
    installed: bool  # whether there is a zone database at all
    aliases: Dict[str, str]  # old names to canonical ones
    settings: Tuple[Setting, ...]
    gaps: Tuple[Gap, ...]

    def source(self, path: str) -> Optional[NamedZone]:
        return next((each for each in self.named if each.path == path), None)

    def canonical(self, name: str) -> str:
        """The zone that a name stands for."""
        for _step in range(zone_database.MOST_LINKS):
            if name not in self.aliases:
                break
            name = self.aliases[name]
        return name


def read(host: Host, table: ProcessTable, cron: Cron, unit_files: Sequence[Tuple[str, Tuple[str, ...]]] = ()) -> TimeZone:
    """``unit_files``: (unit, paths of its files) of services that are watched. Raises no HostError but OutOfTime."""
    gaps: List[Gap] = []
    database = Database(host)
    if database.error is not None and not isinstance(database.error, Missing):
        gaps.append(Gap(database.error.path, database.error.reason))
    named = tuple(_named(host, database, gaps))
    likely = tuple(each.meaning.name for each in named if each.meaning.name)
    localtime = _localtime(host, database, likely, table.clock.wall, gaps)
    settings = list(_file_settings(host, database, gaps))
    settings.extend(_unit_settings(host, database, unit_files, gaps))
    settings.extend(_process_settings(host, database, table, gaps))
    settings.extend(_job_settings(database, cron))
    return TimeZone(
        localtime, named, _hardware_clock(host, gaps), database.version or "", _installed(host), database.aliases, tuple(settings), tuple(gaps)
    )


def watched(units: object) -> List[Tuple[str, Tuple[str, ...]]]:
    """(unit, paths of its files) of the running services that the zone matters to, from the facts of units.py."""
    found = getattr(units, "units", {})
    return [(name, unit.files) for name, unit in sorted(found.items()) if unit.running and WATCHED_UNITS.match(name)]


# -- /etc/localtime ----------------------------------------------------------------------------------------------


def _localtime(host: Host, database: Database, likely: Tuple[str, ...], now: float, gaps: List[Gap]) -> LocalTime:
    nothing = LocalTime(ABSENT, "", None, None, (), "", "", "", None, "", None)
    try:
        own = host.stat(LOCALTIME, follow=False)
    except Missing:
        return nothing._replace(problem="does not exist")
    except HostError as error:
        gaps.append(_gap(error))
        return nothing._replace(kind=OTHER, problem=error.reason)
    link = name = ""
    if own.kind == "link":
        link, name = _links(host, gaps)
    found = nothing._replace(
        kind=own.kind if own.kind in (LINK, COPY) else OTHER, link=link, own=own, name=name, canonical=database.canonical(name) if name else "",
        mounts=tuple(_mounts(host, name, gaps)),
    )
    try:
        found = found._replace(target=host.stat(LOCALTIME))
        data = host.read(LOCALTIME, zone_info.SIZE_LIMIT)
    except (Missing, Unsafe) as error:
        return found._replace(problem="leads nowhere" if isinstance(error, Missing) else error.reason)
    except HostError as error:
        gaps.append(_gap(error))
        return found._replace(problem=error.reason)
    found = found._replace(digest=sha256(data).hexdigest())
    try:
        found = found._replace(zone=zone_info.parse(data))
    except NotAZone as error:
        return found._replace(problem="is no compiled zone: %s" % error)
    if found.kind == COPY or not found.name or found.mounts:
        try:
            found = found._replace(match=database.find(data, now, likely, name if found.mounts else ""))
        except Missing:
            pass  # no zone database to look in
        except HostError as error:
            gaps.append(_gap(error))
    return found


def _links(host: Host, gaps: List[Gap]) -> Tuple[str, str]:
    """The text of the link, and the name of the zone it leads to: also through links outside the database (/etc/alternatives)."""
    first, path = "", LOCALTIME
    for _step in range(zone_database.MOST_LINKS):
        try:
            text = host.readlink(path)
        except HostError as error:
            if path == LOCALTIME:
                gaps.append(_gap(error))
            break
        first = first or text
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
        name = zone_database.zone_name(path)
        if name is not None:
            return first, name if name != "localtime" else ""
    return first, ""


def _mounts(host: Host, name: str, gaps: List[Gap]) -> Iterator[str]:
    """A bind mount over /etc/localtime, or over the file it links to: then the name of the link and its content are two things."""
    try:
        text = host.read_text("/proc/self/mountinfo", 16 * 1024 * 1024)
    except HostError as error:
        gaps.append(_gap(error))
        return
    over = {LOCALTIME, zone_database.DIRECTORY + "/" + name} if name else {LOCALTIME}
    for line in text.splitlines():
        field = line.split(" ")
        if len(field) > 4 and unescape_mount(field[4]) in over:
            yield unescape_mount(field[4])


# -- files that name a zone --------------------------------------------------------------------------------------


def _named(host: Host, database: Database, gaps: List[Gap]) -> Iterator[NamedZone]:
    for path, parse in (("/etc/timezone", _first_line), ("/etc/sysconfig/clock", _clock_variable)):
        try:
            text = parse(host.read_text(path, FILE_LIMIT))
        except Missing:
            continue
        except HostError as error:
            gaps.append(_gap(error))
            continue
        if text is not None:
            yield NamedZone(path, text, database.meaning(text.replace(" ", "_")))


def _first_line(text: str) -> Optional[str]:
    """/etc/timezone: the first line that says something. CR and blanks at its end are no part of the name."""
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return line.strip()
    return ""


def _clock_variable(text: str) -> Optional[str]:
    """/etc/sysconfig/clock: ZONE= (Red Hat up to 6) or TIMEZONE= (SUSE)."""
    for name in ("ZONE", "TIMEZONE"):
        for assignment in reversed(environment_files.shell(text, name)):
            if assignment.value:
                return assignment.value
    return None


def _hardware_clock(host: Host, gaps: List[Gap]) -> str:
    try:
        lines = host.read_text("/etc/adjtime", FILE_LIMIT).split("\n")
    except Missing:
        return ""
    except HostError as error:
        gaps.append(_gap(error))
        return ""
    return lines[2].strip() if len(lines) > 2 else ""


def _installed(host: Host) -> bool:
    try:
        return host.exists(zone_database.DIRECTORY + "/Etc/UTC") or host.exists(zone_database.DIRECTORY + "/UTC")
    except HostError:
        return True


# -- TZ ------------------------------------------------------------------------------------------------------------


def _file_settings(host: Host, database: Database, gaps: List[Gap]) -> Iterator[Setting]:
    places = [("/etc/environment", LOGIN, "shell"), ("/etc/security/pam_env.conf", LOGIN, "pam"), ("/etc/profile", LOGIN, "profile")]
    places.extend((path, LOGIN, "profile") for path in _below(host, "/etc/profile.d", gaps) if path.endswith(".sh"))
    for directory in ("/etc/default", "/etc/sysconfig"):
        places.extend((path, DAEMON, "shell") for path in _below(host, directory, gaps) if path != "/etc/sysconfig/clock")
    for path, scope, form in places:
        text = _text(host, path, gaps)
        if not text or "TZ" not in text:
            continue
        found = environment_files.pam_env(text, "TZ") if form == "pam" else environment_files.shell(text, "TZ")
        if form == "profile":
            found = [each for each in found if each.exported]
        if found:
            yield _setting(database, scope, path, path, found[-1])


def _unit_settings(host: Host, database: Database, unit_files: Sequence[Tuple[str, Tuple[str, ...]]], gaps: List[Gap]) -> Iterator[Setting]:
    for unit, paths in unit_files:
        for path in paths:
            text = _text(host, path, gaps) or ""
            found, more = environment_files.unit(text, "TZ")
            for assignment in found:
                yield _setting(database, UNIT, path, unit, assignment)
            for other in more:
                if not other.startswith(("/etc/default/", "/etc/sysconfig/")):  # those are read anyway
                    for assignment in environment_files.shell(_text(host, other, gaps) or "", "TZ"):
                        yield _setting(database, UNIT, other, unit, assignment)


def _setting(database: Database, scope: str, path: str, subject: str, assignment: environment_files.Assignment) -> Setting:
    meaning = database.meaning(assignment.value) if assignment.value is not None else None
    return Setting(scope, path, assignment.line, subject, meaning, (), 0, False)


def _job_settings(database: Database, cron: Cron) -> Iterator[Setting]:
    for table in cron.tables:
        for variable in table.table.variables:
            yield Setting(JOBS, table.path, variable.line, variable.name, database.meaning(variable.value), (), 0, False)


def _below(host: Host, directory: str, gaps: List[Gap]) -> List[str]:
    try:
        return [directory + "/" + name for name in host.list(directory) if not name.startswith(".") and not name.endswith("~")][:MOST_FILES]
    except Missing:
        return []
    except HostError as error:
        gaps.append(_gap(error))
        return []


def _text(host: Host, path: str, gaps: List[Gap]) -> Optional[str]:
    """None for what is not there, no file, or no configuration by its size."""
    try:
        return host.read_text(path, FILE_LIMIT)
    except (Missing, Unsafe):
        return None
    except HostError as error:
        gaps.append(_gap(error))
        return None


class _Group(NamedTuple):
    pids: List[int]
    meaning: Meaning
    contained: bool


def _process_settings(host: Host, database: Database, table: ProcessTable, gaps: List[Gap]) -> Iterator[Setting]:
    """Of daemons: what has a terminal is somebody's session, and his own affair."""
    groups: Dict[Tuple[str, str, bool], _Group] = {}
    elsewhere: Dict[str, Database] = {}
    for process in _asked(table):
        path = "/proc/%d/environ" % process.pid
        try:
            value = environment_files.process(host.read(path), "TZ")
            if value is None:
                continue
            own = _own_database(host, process, table, elsewhere)
        except (Missing, Unsafe):
            continue
        except HostError as error:
            gaps.append(_gap(error))
            continue
        key = (process.comm, value, own is not None)
        if key not in groups:
            groups[key] = _Group([], (own or database).meaning(value), own is not None)
        groups[key].pids.append(process.pid)
    for (comm, _value, contained), group in sorted(groups.items()):
        pids = sorted(group.pids)
        yield Setting(PROCESS, "/proc/%d/environ" % pids[0], 0, comm, group.meaning, tuple(pids[:EXAMPLES]), len(pids), contained)


def _asked(table: ProcessTable) -> Iterator[Process]:
    """Not tasks in state D: reading their environment takes the lock of a memory map that may be held."""
    live = [process for process in table.live() if process.tty == 0 and process.state != "D"]
    if len(live) <= MANY:
        return iter(live)
    kinds: Dict[Tuple[str, int], List[Process]] = {}
    for process in live:
        kinds.setdefault((process.comm, process.ppid), []).append(process)
    return iter([process for kind in kinds.values() for process in kind[:SAMPLED]])


def _own_database(host: Host, process: Process, table: ProcessTable, known: Dict[str, Database]) -> Optional[Database]:
    """The zone database of a container, which is not ours; None for processes of the host."""
    status = table.status.get(process.pid)
    own = table.status.get(table.machine.own_pid)
    if status is None or len(status.ns_pids) <= (len(own.ns_pids) if own else 1):
        return None
    namespace = host.readlink("/proc/%d/ns/mnt" % process.pid)
    if namespace not in known:
        known[namespace] = Database(host, "/proc/%d/root" % process.pid)
    return known[namespace]


def _gap(error: HostError) -> Gap:
    if isinstance(error, OutOfTime):
        raise error
    return Gap(error.path, error.reason)
