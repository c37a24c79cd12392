# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cron runs here, and everything it has been told to do: every table and every job, as *that* cron reads them."""

import re
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ..host import FileStat, Host, HostError, Missing, OutOfTime, Unsafe
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import crontab
from .crontab import CRONIE, DEBIAN, OLD_DEBIAN, Job, Table
from .packages import Packages
from .processes import Process, ProcessTable, read_command
from .users import Users

DEBIAN_CRON, CRONIE_CRON, VIXIE, BUSYBOX, SYSTEMD_CRON, FCRON, OTHER, NONE = (
    "debian", "cronie", "vixie", "busybox", "systemd-cron", "fcron", "other", ""
)
COMMANDS = frozenset(["cron", "crond", "fcron", "bcron-sched"])
BINARIES = ("/usr/sbin/cron", "/usr/sbin/crond", "/sbin/crond")
BINARY_LIMIT = 4 * 1024 * 1024  # bytes; no cron daemon is larger, busybox is the largest
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron")
SYSTEM_TABLE, FRAGMENTS, ANACRON_TABLE = "/etc/crontab", "/etc/cron.d", "/etc/anacrontab"
PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
TABLE_LIMIT = 1024 * 1024  # bytes
ACCEPTS_EMPTY = 187  # revision of Debian's cron that takes NAME= for an assignment (its changelog, bug 773602)

SYSTEM, FRAGMENT, USER, ANACRON = "system", "fragment", "user", "anacron"

_PLAIN_NAME = pattern(r"^[a-zA-Z0-9_-]+$")  # database.c valid_name, and run-parts
_PROGRAMS = (".sh", ".bash", ".py", ".pl", ".rb", ".php")
_LSB_NAME = pattern(r"^_?([a-z0-9_.]+-)+[a-z0-9]+$")
_LSB_BACKUP = pattern(r"^[a-z0-9-].*dpkg-(old|dist)$")
_LSB_PLAIN = pattern(r"^[a-z0-9][a-z0-9-]*$")
_DEBIAN_VERSION = pattern(r"^3\.0pl1-(\d+)")
_CRONIE_VERSION = pattern(rb"cronie (\d[\w.]{0,20})")

_RESTART = pattern(
    r"systemctl\s+(?:-\S+\s+)*(?:try-restart|restart|reload-or-restart|try-reload-or-restart)((?:\s+-\S+|\s+[\w@:.\\-]+(?![\w@:.\\<>-]))+)"
    r"|(?:\bservice|rc-service|invoke-rc\.d)\s+([\w@.-]+)\s+(?:re|try-re|condre)start"
    r"|/etc/(?:rc\.d/)?init\.d/([\w@.-]+)\s+(?:try-|cond)?restart"
    r"|supervisorctl\s+(?:-\S+\s+)*restart\s+([\w:.-]+)"
)


class Daemon(NamedTuple):
    """A cron that runs."""

    process: Process
    implementation: str
    program: str
    arguments: Tuple[str, ...]


class Crontab(NamedTuple):
    path: str
    kind: str  # system, fragment, user, anacron
    user: str  # whose it is; empty for tables that name a user in each line
    stat: FileStat  # of the file, links followed
    table: Table
    not_run: str  # why this cron does not take the file at all; empty when it does


class Script(NamedTuple):
    """A file in /etc/cron.daily and its like."""

    path: str
    not_run: str  # why run-parts passes it over; empty when it does not


class Restart(NamedTuple):
    """A job that restarts a service."""

    source: str  # path:line
    service: str  # without its ".service"
    interval_s: float  # seconds, the longest between two runs
    line: str  # to be masked when shown


class Cron(NamedTuple):
    implementation: str  # of the daemon that runs, else of what is installed; empty: none
    version: str  # of its package, or as the program says it; empty when it cannot be told
    daemons: Tuple[Daemon, ...]
    tables: Tuple[Crontab, ...]
    scripts: Tuple[Script, ...]
    gaps: Tuple[Gap, ...]

    @property
    def debian_revision(self) -> Optional[int]:
        """162 for 3.0pl1-162."""
        found = _DEBIAN_VERSION.match(self.version)
        return int(found.group(1)) if found and self.implementation == DEBIAN_CRON else None

    def jobs(self) -> Iterator[Tuple[Crontab, Job]]:
        """Those that this cron really runs."""
        for table in self.tables:
            if not table.not_run and not table.table.dropped:
                for job in table.table.jobs:
                    yield table, job

    def restarts(self) -> List[Restart]:
        """Jobs that restart a service at fixed times."""
        found = []
        for table, job in self.jobs():
            services = restarted(job.command)
            pause = crontab.longest_pause(job.schedule) if services and job.schedule is not None else None
            if pause is not None:
                for service in services:
                    found.append(Restart("%s:%d" % (table.path, job.line), service, float(pause), "%s %s" % (job.when, job.command)))
        return found


def read(host: Host, table: ProcessTable, packages: Packages, users: Users) -> Cron:
    """Never raises but OutOfTime."""
    gaps = list(packages.gaps) if packages.manager == "dpkg" else []
    daemons = tuple(_daemons(host, table, gaps))
    implementation, version = _identity(host, daemons, packages, gaps)
    dialect = _dialect(implementation, version)
    lsb_names = any("l" in argument[1:] for daemon in daemons for argument in daemon.arguments[1:] if re.match(r"^-[a-zA-Z]*l", argument))
    tables = list(_system_tables(host, dialect, lsb_names, gaps))
    tables.extend(_user_tables(host, implementation, dialect, gaps))
    tables.extend(_anacron(host, gaps))
    if dialect != CRONIE and users.complete:
        tables = [_with_known_users(each, users) for each in tables]
    return Cron(implementation, version, daemons, tuple(tables), tuple(_scripts(host, gaps)), tuple(gaps))


def _with_known_users(table: Crontab, users: Users) -> Crontab:
    """Debian's cron drops the whole table for a user that does not exist (entry.c load_entry, "bad username")."""
    for job in table.table.jobs:
        if job.user and job.user not in users.by_name and table.kind != ANACRON and not table.table.dropped:
            return table._replace(table=table.table._replace(dropped="unknown user in line %d" % job.line))
    if table.kind == USER and table.user not in users.by_name:
        return table._replace(not_run="there is no such user")
    return table


def _dialect(implementation: str, version: str) -> str:
    if implementation != DEBIAN_CRON:
        return CRONIE
    found = _DEBIAN_VERSION.match(version)
    return OLD_DEBIAN if found and int(found.group(1)) < ACCEPTS_EMPTY else DEBIAN


def restarted(command: str, by_user: bool = False) -> List[str]:
    """The services that a command line restarts."""
    return [name[:-8] if name.endswith(".service") else name for _at, name in restarts_in(command, by_user)]


def restarts_in(command: str, by_user: bool = False) -> Iterator[Tuple[int, str]]:
    """(where it stands, service as written). Of the system, or ``by_user``: of the user's own manager."""
    for match in _RESTART.finditer(command):
        group = [number for number, text in enumerate(match.groups(), 1) if text][0]
        if ("--user" in match.group().split()) != by_user:
            continue
        for name in re.finditer(r"\S+", match.group(group)):
            if not name.group().startswith("-"):
                yield match.start(group) + name.start(), name.group()


# -- which cron --------------------------------------------------------------------------------------------------


def _daemons(host: Host, table: ProcessTable, gaps: List[Gap]) -> Iterator[Daemon]:
    """Not its children, which carry the same name and outlive it; not those of containers.

    Who watches a job calls itself /usr/sbin/CRON or CROND (do_command.c child_process), and belongs to PID 1 once cron was restarted.
    """
    own = table.status.get(table.machine.own_pid)
    depth = len(own.ns_pids) if own else 1
    for process in sorted(table.live(), key=lambda each: (each.start, each.pid)):
        parent = table.processes.get(process.ppid)
        if process.comm not in COMMANDS or (parent is not None and parent.comm in COMMANDS):
            continue
        status = table.status.get(process.pid)
        if status is not None and len(status.ns_pids) > depth:
            continue
        command = read_command(host, process)
        if command.arguments and command.arguments[0].rpartition("/")[2].isupper():
            continue
        yield Daemon(process, _implementation(host, "/proc/%d/exe" % process.pid, command.program, gaps), command.program, command.arguments)


def _implementation(host: Host, binary: str, name: str, gaps: List[Gap]) -> str:
    """From the program itself: the name "crond" is used by four of them."""
    base = name.rsplit("/", 1)[-1].replace(" (deleted)", "")
    if base.startswith("busybox"):
        return BUSYBOX
    if base == "fcron":
        return FCRON
    try:
        data = host.read(binary, BINARY_LIMIT)
    except (Missing, Unsafe):
        data = b""
    except HostError as error:
        gaps.append(_gap(error))
        return OTHER
    if _CRONIE_VERSION.search(data):
        return CRONIE_CRON
    if b"INSECURE MODE (mode 0600 expected)" in data:  # features of Debian's patches (database.c process_crontab)
        return DEBIAN_CRON
    if b"systemd-cron" in data:
        return SYSTEMD_CRON
    return VIXIE if b"CRON" in data and b"ORPHAN" in data else OTHER


def _identity(host: Host, daemons: Sequence[Daemon], packages: Packages, gaps: List[Gap]) -> Tuple[str, str]:
    versions = packages.versions
    if daemons:
        implementation, binary = daemons[0].implementation, "/proc/%d/exe" % daemons[0].process.pid
    else:
        implementation, binary = _installed(host, versions, gaps)
    if implementation == DEBIAN_CRON:
        return implementation, versions.get("cron", "")
    if implementation == CRONIE_CRON:
        return implementation, versions.get("cronie") or _cronie_version(host, binary)
    if implementation == SYSTEMD_CRON:
        return implementation, versions.get("systemd-cron", "")
    return implementation, ""


def _installed(host: Host, versions: Dict[str, str], gaps: List[Gap]) -> Tuple[str, str]:
    for package, implementation in (("cron", DEBIAN_CRON), ("cronie", CRONIE_CRON), ("systemd-cron", SYSTEMD_CRON)):
        if package in versions:
            return implementation, BINARIES[0]
    for path in BINARIES:
        try:
            if host.exists(path):
                return _implementation(host, path, path, gaps), path
        except HostError as error:
            gaps.append(_gap(error))
    return NONE, ""


def _cronie_version(host: Host, binary: str) -> str:
    try:
        found = _CRONIE_VERSION.search(host.read(binary, BINARY_LIMIT))
    except HostError:
        return ""
    return found.group(1).decode("ascii") if found else ""


# -- its tables --------------------------------------------------------------------------------------------------


def _system_tables(host: Host, dialect: str, lsb_names: bool, gaps: List[Gap]) -> Iterator[Crontab]:
    yield from _table(host, SYSTEM_TABLE, SYSTEM, "", dialect, gaps)
    for name in _names(host, FRAGMENTS, gaps):
        not_run = name_passed_over(name, dialect, lsb_names)
        if name.startswith("."):
            continue
        for each in _table(host, FRAGMENTS + "/" + name, FRAGMENT, "", dialect, gaps):
            yield each._replace(not_run=not_run or each.not_run)


def name_passed_over(name: str, dialect: str, lsb_names: bool = False) -> str:
    """Why a file in /etc/cron.d is not read because of its name; empty when it is."""
    if dialect == CRONIE:
        if name.startswith((".", "#")) or name.endswith("~") or any(
            name.endswith(suffix) and len(name) > len(suffix) for suffix in (".rpmsave", ".rpmorig", ".rpmnew")
        ) or name == ".cron.hostname":
            return "cron passes over this name"
        return ""
    if lsb_names:
        good = bool(_LSB_PLAIN.match(name)) if not _LSB_NAME.match(name) else not _LSB_BACKUP.match(name)
    else:
        good = bool(_PLAIN_NAME.match(name))
    return "" if good else "cron passes over names with other characters than letters, digits, _ and -"


def _user_tables(host: Host, implementation: str, dialect: str, gaps: List[Gap]) -> Iterator[Crontab]:
    for spool in SPOOLS:
        if implementation == DEBIAN_CRON and spool != SPOOLS[0]:
            continue
        names = _names(host, spool, gaps)
        for name in names:
            path = spool + "/" + name
            if name.startswith((".", "tmp.")) or name.endswith("~") or path in SPOOLS or path == "/var/spool/cron/lastrun":
                continue
            yield from _table(host, path, USER, name, dialect, gaps)


def _table(host: Host, path: str, kind: str, user: str, dialect: str, gaps: List[Gap]) -> Iterator[Crontab]:
    """One or none."""
    try:
        own = host.stat(path, follow=False)
        stat = host.stat(path) if own.kind == "link" else own
        if stat.kind == "dir":
            return
        text = host.read_text(path, TABLE_LIMIT)
    except Missing:
        return
    except HostError as error:
        gaps.append(_gap(error))
        return
    table = crontab.parse(text, kind != USER, dialect)
    yield Crontab(path, kind, user, stat, table, refused(own, stat, kind, dialect))


def refused(own: FileStat, stat: FileStat, kind: str, dialect: str) -> str:
    """Why cron does not trust the file (database.c process_crontab; check_open in cronie); empty when it does.

    Whether a user's table belongs to him is for those to say who know his uid.
    """
    if dialect == CRONIE:
        if stat.mode & 0o7533 != 0o400:
            return "mode %04o: others may write it, or its owner may not read it" % stat.mode
        return "more than one hard link" if kind == USER and stat.nlink != 1 else ""
    if kind == USER:
        if own.kind == "link":
            return "is a link"
        if stat.mode != 0o600:
            return "mode %04o instead of 0600" % stat.mode
    else:
        if own.kind == "link" and own.uid != 0:
            return "is a link that belongs to uid %d" % own.uid
        if stat.uid != 0:
            return "belongs to uid %d instead of root" % stat.uid
        if stat.mode & 0o022:
            return "mode %04o: others than root may write it" % stat.mode
    return "more than one hard link" if stat.nlink != 1 else ""


def _anacron(host: Host, gaps: List[Gap]) -> Iterator[Crontab]:
    try:
        stat = host.stat(ANACRON_TABLE)
        text = host.read_text(ANACRON_TABLE, TABLE_LIMIT)
    except Missing:
        return
    except HostError as error:
        gaps.append(_gap(error))
        return
    yield Crontab(ANACRON_TABLE, ANACRON, "", stat, crontab.parse_anacron(text), "")


def _scripts(host: Host, gaps: List[Gap]) -> Iterator[Script]:
    for period in PERIODS:
        directory = "/etc/cron." + period
        for name in _names(host, directory, gaps):
            if name.startswith(".") or name == "README":
                continue
            path = directory + "/" + name
            try:
                stat = host.stat(path)
            except Missing:
                yield Script(path, "leads nowhere")
                continue
            except HostError as error:
                gaps.append(_gap(error))
                continue
            if stat.kind == "file":
                yield Script(path, script_passed_over(name, stat))


def script_passed_over(name: str, stat: FileStat) -> str:
    """As Debian's run-parts; that of Red Hat takes names with dots too, except those of backups. README.txt and data of scripts are no jobs."""
    plain = _PLAIN_NAME.match(name)
    if not stat.mode & 0o111:
        return "is not executable" if plain or name.endswith(_PROGRAMS) else ""
    return "" if plain else "run-parts passes over names with other characters than letters, digits, _ and -"


def _names(host: Host, directory: str, gaps: List[Gap]) -> List[str]:
    try:
        return host.list(directory)
    except Missing:
        return []
    except HostError as error:
        gaps.append(_gap(error))
        return []


def _gap(error: HostError) -> Gap:
    if isinstance(error, OutOfTime):
        raise error
    return Gap(error.path, error.reason)
