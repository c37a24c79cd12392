# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units and timers of users' managers: from their files, their groups and their processes. Nobody is asked over a bus, which may answer what it likes.

The search is that of the system's units, in the user's own directories (src/basic/path-lookup.c acquire_config_dirs, user_data_unit_paths).
Environment variables that move these directories are not followed. Two traces in /run/user/UID/systemd tell what else only the manager knows:

* units/invocation:NAME is there while a service is active, leads to the id that its processes have as INVOCATION_ID, and is as old as its
  present run (src/core/unit.c unit_export_invocation_id, unit_unlink_state_files; 246 and newer);
* the directory itself was changed by the last reload, or later: directories for generators are made in it and taken away (src/core/manager.c
  manager_run_generators, src/basic/path-lookup.c lookup_paths_trim_generator). Where there is no generator, a reload leaves no trace.
"""

from typing import Dict, Iterable, List, Optional, Set, Tuple

from ..answers import FileStat
from ..host import ON_A_SERVER, Host, HostError, Missing, OutOfTime, Unsafe
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from .cgroups import USER_MANAGER
from .process_details import Details
from .processes import Process, ProcessTable
from .unit_files import Search, UnitFile, kind_of, template_of
from .units import Timer, Unit, timer_of, unit_from_files
from .users import Account, User, Users

MOST_USERS = 50  # whose directories are searched
MOST_UNITS = 200  # of each user; as many timers
MOST_NAMES = 2000  # in a directory of a user
DIRECTORY_LIMIT = 1024 * 1024  # bytes: a directory of that size is not listed
FILE_LIMIT = 64 * 1024  # bytes of a user's file
MOST_READ = 1024 * 1024  # bytes of all files of one user
MOST_ASKED = 50  # processes of one unit whose environment is read
WANTS = (".wants", ".requires", ".upholds")
GENERATORS = tuple(place + "/systemd/user-generators" for place in ("/run", "/etc", "/usr/local/lib", "/usr/lib"))
_OF_ADMINISTRATORS = ("/etc/", "/usr/")
_INVOCATION = "invocation:"
_SPECIFIER = pattern(r"%(.)")


class UserUnits(NamedTuple):
    """Units as those of the system, but ``id`` is the way to them (user@1001.service/app.slice/web.service; timers: user@1001.service/b.timer),
    ``user`` the name of the user, ``exec_main_start_wall`` the start of their present run. ``main_pid``: of its run, the first whose parent is the manager."""

    units: Dict[str, Unit]  # by label: services that are active or have processes, slices with processes
    timers: Tuple[Timer, ...]  # that something wants (enabled), or that were made while the manager runs
    files: Dict[str, UnitFile]  # every file that was read
    managers: Dict[int, int]  # uid to the pid of his manager; 0: not seen
    last_load: Dict[int, float]  # uid to the last moment at which his manager can have read all files anew; seconds since the epoch
    gaps: Tuple[Gap, ...]
    not_read: Tuple[str, ...]  # why some users' files were left alone


class UserSearch(Search):
    """What a user's manager may not read is not there for it; and no user makes an audit read for long."""

    def __init__(self, host: Host, account: Account, load_path: Iterable[str], like: Optional[Search]) -> None:
        self._account = account
        self._left = MOST_READ
        super(UserSearch, self).__init__(host, load_path, like)

    def _list(self, real: str) -> List[str]:
        if real.startswith(_OF_ADMINISTRATORS):
            return self.host.list(real)
        names = self.host.list(real) if self.host.stat(real).size <= DIRECTORY_LIMIT else None
        if names is None or len(names) > MOST_NAMES:
            raise Unsafe(real, "more than %d names" % MOST_NAMES)
        return names

    def _read(self, path: str, found: FileStat) -> str:
        if path.startswith(_OF_ADMINISTRATORS):
            return self.host.read_text(path)
        if not self._may_read(found):
            raise Missing(path, "not for this user to read")  # as his manager finds it
        if self._left <= 0:
            raise Unsafe(path, "more than %d bytes of unit files of one user" % MOST_READ)
        text = self.host.read_text(path, FILE_LIMIT)
        self._left -= len(text)
        return text

    def _may_read(self, found: FileStat) -> bool:
        if found.uid == self._account.uid:
            return bool(found.mode & 0o400)
        groups = {self._account.gid}.union(gid for _name, gid in self._account.groups)
        return bool(found.mode & (0o040 if found.gid in groups else 0o004))


def load_path(home: str, uid: int) -> Tuple[str, ...]:
    own, run = home.rstrip("/"), runtime(uid)
    return (
        own + "/.config/systemd/user.control", run + "/user.control", run + "/transient", run + "/generator.early", own + "/.config/systemd/user",
        "/etc/xdg/systemd/user", "/etc/systemd/user", run + "/user", "/run/systemd/user", run + "/generator", own + "/.local/share/systemd/user",
        "/usr/local/share/systemd/user", "/usr/share/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user", run + "/generator.late",
    )


def runtime(uid: int) -> str:
    return "/run/user/%d/systemd" % uid


def read(host: Host, table: ProcessTable, details: Details, users: Users) -> UserUnits:
    """Raises no HostError but OutOfTime."""
    members, groups = _members(details)
    managers = _managers(table, details)
    gaps: List[Gap] = []
    not_read: Set[str] = set()
    found = UserUnits({}, (), {}, {}, {}, (), ())
    timers: List[Timer] = []
    search: Optional[UserSearch] = None
    for uid in sorted(set(members) | set(managers)):
        user = users.by_uid.get(uid)
        if user is None and users.gaps:
            gaps.extend(users.gaps)
        elif user is None:
            not_read.add("units of users that are not in /etc/passwd are not read")
        elif len(found.managers) >= MOST_USERS:
            not_read.add("units of more than %d users are not read" % MOST_USERS)
        else:
            account = users.account(user.name) or Account(user.name, uid, user.gid, ())
            search = UserSearch(host, account, load_path(user.home, uid), search)
            one = _OfUser(host, table, user, managers.get(uid, 0), _runs(host, uid, gaps), search)
            own = one.timers()
            units = one.units(members.get(uid, {}), groups, {timer.unit for timer in own})
            labels = {label.rpartition("/")[2]: label for label in units}
            timers.extend(timer._replace(unit=labels.get(timer.unit, "user@%d.service/%s" % (uid, timer.unit))) for timer in own)
            found.units.update(units)
            found.managers[uid] = one.manager
            if max(len(units), len(own)) >= MOST_UNITS:
                not_read.add("units of a user beyond the first %d are not read" % MOST_UNITS)
    if found.units:
        _last_loads(host, found)
    if search is not None:
        gaps.extend(search.gaps)
        found.files.update(search.files)
    if any(gap.reason == ON_A_SERVER for gap in gaps):
        not_read.add("unit files in homes on remote file systems are not read")
    return found._replace(
        timers=tuple(timers), gaps=tuple(gap for gap in gaps if gap.reason != ON_A_SERVER), not_read=tuple(sorted(not_read)))


def uid_of(label: str) -> Optional[int]:
    """1001 for user@1001.service/app.slice/web.service; None for units of the system."""
    manager, inside, _rest = label.partition("/")
    matched = USER_MANAGER.match(manager) if inside else None
    return int(matched.group(1)) if matched else None


def _members(details: Details) -> Tuple[Dict[int, Dict[str, List[int]]], Dict[str, str]]:
    """User to label to pids, of services and of the slices that they are in; label to its group."""
    members: Dict[int, Dict[str, List[int]]] = {}
    groups: Dict[str, str] = {}
    for pid, detail in sorted(details.of.items()):
        label = detail.unit_label
        uid = uid_of(label) if label else None
        if label is None or uid is None or not label.endswith(".service") or not kind_of(label.rpartition("/")[2]):
            continue
        before = detail.unit_group.partition("/" + label)[0]
        parts = label.split("/")
        for end in range(2, len(parts) + 1):
            part = "/".join(parts[:end])
            groups[part] = "%s/%s" % (before, part)
            members.setdefault(uid, {}).setdefault(part, []).extend([pid] if end == len(parts) else [])
    return members, groups


def _managers(table: ProcessTable, details: Details) -> Dict[int, int]:
    """User to the process in his init.scope that PID 1 has started."""
    found: Dict[int, int] = {}
    for pid, detail in sorted(details.of.items()):
        label = detail.unit_label
        uid = uid_of(label) if label and label.endswith("/init.scope") else None
        if uid is not None and pid in table.processes and (uid not in found or table.processes[pid].ppid == 1):
            found[uid] = pid
    return found


class _Run(NamedTuple):
    """Of a service that is active."""

    id: str
    since: float  # seconds since the epoch


def _runs(host: Host, uid: int, gaps: List[Gap]) -> Optional[Dict[str, _Run]]:
    """Of each active service. None: the manager does not tell (before systemd 246)."""
    place = runtime(uid) + "/units"
    found: Dict[str, _Run] = {}
    try:
        names = [name for name in host.list(place) if name.startswith(_INVOCATION) and name.endswith(".service")][:MOST_UNITS]
        for name in names:
            try:
                found[name[len(_INVOCATION):]] = _Run(host.readlink(place + "/" + name), host.stat(place + "/" + name, follow=False).mtime)
            except Missing:
                pass
    except Missing:
        return None
    except OutOfTime:
        raise
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        return None
    return found


def _last_loads(host: Host, found: UserUnits) -> None:
    try:
        if not any(host.exists(place) for place in GENERATORS):
            return
    except HostError:
        return
    for uid in found.managers:
        try:
            found.last_load[uid] = host.stat(runtime(uid)).mtime
        except OutOfTime:
            raise
        except HostError:
            pass


class _OfUser(object):
    """The units of one user."""

    def __init__(
        self, host: Host, table: ProcessTable, user: User, manager: int, runs: Optional[Dict[str, _Run]], search: UserSearch
    ) -> None:
        self._host, self._table, self._user, self.manager, self._runs, self._search = host, table, user, manager, runs, search
        self._prefix = "user@%d.service/" % user.uid

    def units(self, members: Dict[str, List[int]], groups: Dict[str, str], started: Set[str]) -> Dict[str, Unit]:
        """``started``: by timers."""
        found: Dict[str, Unit] = {}
        named = {label.rpartition("/")[2] for label in members}
        more = [self._prefix + name for name in sorted(started.union(self._runs or ()))
                if name not in named and kind_of(name) and name.endswith(".service")]
        for label in (sorted(members) + more)[:MOST_UNITS]:
            name = label.rpartition("/")[2]
            unit = unit_from_files(self._search.definition(name), groups.get(label))
            run = self._runs.get(name) if self._runs is not None else None
            live = sorted((self._table.processes[pid] for pid in members.get(label, ()) if pid in self._table.processes),
                          key=lambda process: (process.start, process.pid))
            told = self._runs is not None and not name.endswith(".slice")
            found[label] = unit._replace(
                id=label, names=(label,), user=self._user.name, load_state="loaded", main_pid=self._main(live, run),
                active_state=("active" if run else "inactive") if told else None, exec_main_start_wall=run.since if run else None,
                transient=(unit.fragment or "").startswith(runtime(self._user.uid) + "/transient/"), pid_file=self._pid_file(unit))
        return found

    def _main(self, live: List[Process], run: Optional[_Run]) -> Optional[int]:
        """What stayed from earlier runs was adopted by the manager too: of several, only the present run's count."""
        if not live or (self._runs is not None and run is None):
            return None
        own = [process for process in live if process.ppid == self.manager] or live
        if run is not None and len(own) > 1:
            mark = "\0INVOCATION_ID=%s\0" % run.id
            own = [process for process in own[-MOST_ASKED:] if mark in "\0%s\0" % self._environment(process.pid)] or own
        return own[0].pid

    def _environment(self, pid: int) -> str:
        try:
            return self._host.read_text("/proc/%d/environ" % pid)
        except OutOfTime:
            raise
        except HostError:
            return ""

    def _pid_file(self, unit: Unit) -> str:
        """Empty where it holds more than the usual specifiers (systemd.unit(5)). A relative path is below $XDG_RUNTIME_DIR."""
        setting, run = unit.configured.get("PIDFile"), "/run/user/%d" % self._user.uid
        path = setting.value if setting is not None else ""
        meant = {"t": run, "h": self._user.home, "u": self._user.name, "U": "%d" % self._user.uid, "%": "%"}
        if not path or not set(_SPECIFIER.findall(path)) <= set(meant):
            return ""
        whole = _SPECIFIER.sub(lambda found: meant[found.group(1)], path)
        return whole if whole.startswith("/") else "%s/%s" % (run, whole)

    # timers

    def timers(self) -> List[Timer]:
        """Whether one rests is known to the manager alone: what is enabled counts."""
        found = []
        for name in sorted(self._wanted())[:MOST_UNITS]:
            definition = self._search.definition(name)
            if definition.fragment is None or definition.masked:
                continue
            found.append(timer_of(name, None, definition, self._search)._replace(id=self._prefix + name))
        return found

    def _wanted(self) -> Set[str]:
        names: Set[str] = set()
        made = runtime(self._user.uid) + "/transient"
        for directory in self._search.load_path:
            for name in self._search.listing(directory):
                if directory == made and name.endswith(".timer"):
                    names.add(name)
                elif name.endswith(WANTS):
                    names.update(each for each in self._search.listing(directory + "/" + name) if each.endswith(".timer"))
        return {name for name in names if kind_of(name) and name != template_of(name)}
