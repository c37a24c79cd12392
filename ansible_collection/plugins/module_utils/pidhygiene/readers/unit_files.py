# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files make up a unit, in which order, and which of their lines win: systemd's own search, done again from the files.

Sources, the same in 252 and 257: src/shared/unit-file.c (names, aliases, templates, masks), src/shared/dropin.c
unit_file_find_dropin_paths (order of the directories), src/basic/conf-files.c (one file per name, sorted by name).
"""

import re
import zlib
from functools import lru_cache
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple

from ..answers import FileStat
from ..host import Host, HostError, Missing
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple
from . import unit_syntax

# What systemd searches when it does not say otherwise (src/basic/path-lookup.c lookup_paths_init)
LOAD_PATH = (
    "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early",
    "/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached",
    "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/run/systemd/generator.late",
)
MANAGER_FILES = tuple(place + "/systemd/system.conf" for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))
ALIASES_ALLOWED = frozenset(("service", "socket", "target", "device", "timer", "path"))
TEMPLATES_ALLOWED = frozenset(("service", "socket", "target", "timer", "path"))
NAME_LIMIT = 256
FOLLOW_LIMIT = 8
_NAME = pattern(r"[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]*\Z")  # the first @ may not be the first character
_TYPES = frozenset("service mount swap socket target device automount timer path slice scope".split())
_NOT_A_DROP_IN = (".service", ".config", ".cfg", ".cnf", ".ini", ".override")  # what people write instead of .conf

PLAIN, TEMPLATE, INSTANCE = "plain", "template", "instance"
LATER_LINE, LATER_FILE, SHADOWED, RESET = "later line", "later file", "shadowed", "reset"


class UnitFile(NamedTuple):
    mtime: float  # seconds since the epoch: what systemd compares to decide that a reload is needed
    ctime: float  # seconds since the epoch: what nobody can set back
    digest: int  # CRC-32 of the content


class Loser(NamedTuple):
    value: str
    file: str
    line: int
    why: str  # LATER_LINE, LATER_FILE, SHADOWED (the file is not read), RESET
    by: str  # the file that won


class Setting(NamedTuple):
    """The assignment in force."""

    key: str  # as LimitNPROC
    value: str  # as written; empty: reset to the default
    meaning: Any  # Limit, TasksMax, text, µs … as unit_syntax gives it; None after a reset; a list for keys that add up
    file: str
    line: int
    losers: Tuple[Loser, ...]


class Ineffective(NamedTuple):
    """A line, or a whole file (line 0), that has no effect whatever stands elsewhere."""

    key: str
    text: str
    file: str
    line: int
    why: str


class Definition(NamedTuple):
    id: str  # the primary name
    names: Tuple[str, ...]  # with aliases, sorted
    fragment: Optional[str]
    masked: bool
    broken: Optional[Ineffective]  # systemd refuses to load the unit because of this line
    drop_ins: Tuple[str, ...]  # as read, masks included
    settings: Dict[str, Setting]
    ineffective: Tuple[Ineffective, ...]


# -- names -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Optional[str]:
    """PLAIN, TEMPLATE or INSTANCE; None for what is no name of a unit."""
    stem, dot, suffix = name.rpartition(".")
    if not dot or not stem or suffix not in _TYPES or len(name) >= NAME_LIMIT or not _NAME.match(stem):
        return None
    if "@" not in stem:
        return PLAIN
    return TEMPLATE if stem.index("@") == len(stem) - 1 else INSTANCE


def type_of(name: str) -> str:
    return name.rpartition(".")[2]


def prefix_of(name: str) -> str:
    return name.partition("@")[0] if "@" in name else name.rpartition(".")[0]


def instance_of(name: str) -> str:
    return name.rpartition(".")[0].partition("@")[2]


def template_of(name: str) -> str:
    return "%s@.%s" % (prefix_of(name), type_of(name))


def with_instance(template: str, instance: str) -> str:
    return "%s@%s.%s" % (prefix_of(template), instance, type_of(template))


def drop_in_names(name: str) -> List[str]:
    """Names whose ".d" directories are searched in one load path, most specific first (dropin.c unit_file_find_dirs)."""
    found = [name]
    kind = kind_of(name)
    if kind == INSTANCE:
        found += drop_in_names(template_of(name))
    prefix = prefix_of(name)
    if prefix.endswith("-"):
        prefix = prefix[:-1]
    dash = prefix.rfind("-")
    if dash > 0:
        shorter = prefix[: dash + 1]
        at = "@" + instance_of(name) if kind == INSTANCE else ""
        found += drop_in_names("%s%s.%s" % (shorter, at, type_of(name)))
    return found


# -- what a key means --------------------------------------------------------------------------------------------


class Key(NamedTuple):
    section: str
    parse: Callable[[str], Any]
    empty_resets: bool
    adds_up: bool = False  # every line counts
    fatal: bool = False  # a wrong value makes systemd refuse the unit


def _text(value: str) -> str:
    return value


def _time_zone(value: str) -> str:
    """Of Environment=, only TZ: the rest may be secret and is dropped here."""
    return " ".join(word.strip("\"'") for word in re.findall(r"\"[^\"]*\"|'[^']*'|\S+", value) if word.strip("\"'").startswith("TZ="))


def _limit(item: str) -> Callable[[str], Any]:
    return lambda value: unit_syntax.parse_limit(item, value)


LIMIT_KEYS = {"Limit" + item.upper(): item for item in unit_syntax.LIMITS}
_TASKS = Key("", unit_syntax.parse_tasks_max, True)
_SERVICE = {
    "TasksMax": _TASKS,
    "KillMode": Key("", unit_syntax.one_of(unit_syntax.KILL_MODES), True),
    "Type": Key("", unit_syntax.one_of(unit_syntax.SERVICE_TYPES), False),
    "Restart": Key("", unit_syntax.one_of(unit_syntax.RESTARTS), False),
    "RuntimeMaxSec": Key("", unit_syntax.parse_time, False),
    "User": Key("", unit_syntax.parse_user, True, fatal=True),
    "PAMName": Key("", _text, True),
    "PIDFile": Key("", unit_syntax.parse_pid_file, True),
    "Slice": Key("", _text, False),
    "Delegate": Key("", unit_syntax.parse_delegate, False),
    "ExecStart": Key("", _text, True, adds_up=True),
    "Environment": Key("", _time_zone, True, adds_up=True),
    "EnvironmentFile": Key("", _text, True, adds_up=True),
}
_SERVICE.update({key: Key("", _limit(item), False) for key, item in LIMIT_KEYS.items()})
_TIMER = {key: Key("", _text, True, adds_up=True) for key in
          ("OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec")}
_TIMER.update({key: Key("", _text, False) for key in ("Unit", "RandomizedDelaySec", "Persistent")})
_UNIT = {"SourcePath": Key("Unit", _text, True)}


def _table(section: str, keys: Dict[str, Key]) -> Dict[Tuple[str, str], Key]:
    table = {(key.section or section, name): key for name, key in keys.items()}
    table.update({("Unit", name): key for name, key in _UNIT.items()})
    return table


TABLES = {
    "service": ("Service", _table("Service", _SERVICE)),
    "slice": ("Slice", _table("Slice", {"TasksMax": _TASKS})),
    "timer": ("Timer", _table("Timer", _TIMER)),
}
_MANAGER = {("Manager", "Default" + key): Key("", _limit(item), False) for key, item in LIMIT_KEYS.items()}
_MANAGER[("Manager", "DefaultTasksMax")] = _TASKS
# Reported when they stand where nothing reads them
_WATCHED = frozenset(LIMIT_KEYS) | {"TasksMax", "KillMode"}
_WATCHED_DEFAULTS = frozenset(name for _section, name in _MANAGER)


# -- the search --------------------------------------------------------------------------------------------------


class Search(object):
    """Looks at each directory and file once. What it may not read is in ``gaps``; what it read is in ``files``."""

    def __init__(self, host: Host, load_path: Iterable[str], like: Optional["Search"] = None) -> None:
        """``like``: a search whose answers are used again, and added to."""
        self.host = host
        self.load_path = tuple(load_path)
        self.files: Dict[str, UnitFile] = like.files if like else {}
        self.gaps: List[Gap] = like.gaps if like else []
        self._listings: Dict[str, List[str]] = like._listings if like else {}
        self._drop_in_sets: Dict[str, Dict[str, str]] = like._drop_in_sets if like else {}
        self._drop_in_set_names: Optional[Set[str]] = None
        self._real: Dict[str, Optional[str]] = like._real if like else {"/": "/"}
        self._entries: Dict[str, Tuple[str, str]] = like._entries if like else {}
        self._texts: Dict[str, Optional[str]] = like._texts if like else {}
        self._parsed: Dict[Tuple[str, str], unit_syntax.File] = like._parsed if like else {}
        self._ids: Dict[str, str] = {}
        self._aliases: Dict[str, Set[str]] = {}
        self._search_roots = {real for real in map(self.real, self.load_path) if real} | set(self.load_path)
        self._map_names()

    # names to fragments

    def _map_names(self) -> None:
        for directory in self.load_path:
            for name in self.listing(directory):
                if type_of(name) in TABLES and name not in self._ids and kind_of(name):
                    target = self._entry(directory, name)
                    if target:
                        self._ids[name] = target
        for name in sorted(self._ids):
            fragment = self._follow(name)
            if fragment is None or fragment.rpartition("/")[2] == name or self._state(fragment) != "file":
                continue
            main = fragment.rpartition("/")[2]
            if kind_of(main) == TEMPLATE and kind_of(name) == INSTANCE:
                main = with_instance(main, instance_of(name))
            self._aliases.setdefault(main, set()).add(name)

    def _entry(self, directory: str, name: str) -> Optional[str]:
        """A path for a file, another name for an alias, None for what systemd passes over."""
        path = directory + "/" + name
        try:
            if path not in self._entries:
                kind = self.host.stat(path, follow=False).kind
                self._entries[path] = (kind, self.host.readlink(path) if kind == "link" else "")
            kind, target = self._entries[path]
        except HostError as error:
            self._note(error)
            return None
        if kind != "link":
            return path if kind == "file" else None
        aimed = self._resolve_parent(target if target.startswith("/") else directory + "/" + target)
        if not any(aimed.startswith(root + "/") for root in self._search_roots):
            return path  # a linked unit, or a mask
        main = aimed.rpartition("/")[2]
        return main if _alias_is_valid(name, main) else None

    def _follow(self, name: str) -> Optional[str]:
        """unit_ids_map_get: from a name over aliases to a path."""
        current = name
        for _step in range(FOLLOW_LIMIT):
            target = self._ids.get(current)
            if target is None and current != name and "@" in current:
                target = self._ids.get(template_of(current))
            if target is None or target.startswith("/"):
                return target
            current = target
        return None

    def _names(self, name: str) -> Tuple[Optional[str], Set[str]]:
        """unit_file_find_fragment: the fragment, and every name of the unit."""
        names: Set[str] = set()
        self._add_names(names, name, name, "")
        fragment = self._follow(name)
        if fragment is None and kind_of(name) == INSTANCE:
            fragment = self._follow(template_of(name))
        if fragment is not None:
            base = fragment.rpartition("/")[2]
            if base != name:
                self._add_names(names, name, base, base)
        return fragment, names

    def _add_names(self, names: Set[str], unit: str, name: str, fragment: str) -> None:
        if kind_of(unit) != TEMPLATE and kind_of(name) != TEMPLATE:
            names.add(name)
        for alias in self._aliases.get(name, ()):
            if kind_of(unit) == INSTANCE and kind_of(alias) == TEMPLATE:
                alias = with_instance(alias, instance_of(unit))
                other = self._follow(alias)
                if other is not None and fragment and other.rpartition("/")[2] != fragment:
                    continue
            names.add(alias)

    # directories and files

    def listing(self, directory: str) -> List[str]:
        real = self.real(directory)
        if real is None:
            return []
        if real not in self._listings:
            try:
                self._listings[real] = self._list(real)
            except HostError as error:
                self._note(error)
                self._listings[real] = []
        return self._listings[real]

    def _list(self, real: str) -> List[str]:
        return self.host.list(real)

    def _read(self, path: str, found: FileStat) -> str:
        return self.host.read_text(path)

    def real(self, path: str) -> Optional[str]:
        """The path without links; None when it is not there."""
        if path not in self._real:
            parent, _slash, name = path.rpartition("/")
            base = self.real(parent or "/")
            self._real[path] = None  # a loop of links ends here
            if base is not None:
                here = base.rstrip("/") + "/" + name
                try:
                    link = self.host.stat(here, follow=False).kind == "link"
                    target = self.host.readlink(here) if link else ""
                except HostError as error:
                    self._note(error)
                else:
                    self._real[path] = self.real(_plain(target if target.startswith("/") else base + "/" + target)) if link else here
        return self._real[path]

    def _resolve_parent(self, path: str) -> str:
        parent, _slash, name = _plain(path).rpartition("/")
        return (self.real(parent or "/") or parent) + "/" + name

    def _state(self, path: str) -> str:
        """file, masked (empty or a device), missing."""
        try:
            found = self.host.stat(path)
        except HostError as error:
            self._note(error)
            return "missing"
        return "masked" if found.kind in ("char", "block") or (found.kind == "file" and not found.size) else "file"

    def text(self, path: str) -> Optional[str]:
        """None for what is not there, masked or unreadable."""
        if path not in self._texts:
            self._texts[path] = None
            try:
                found = self.host.stat(path)
                if found.kind in ("char", "block"):
                    return None
                text = self._read(path, found)
            except HostError as error:
                self._note(error)
            else:
                self.files[path] = UnitFile(found.mtime, found.ctime, zlib.crc32(text.encode("utf-8", "surrogateescape")) & 0xFFFFFFFF)
                self._texts[path] = text
        return self._texts[path]

    def parsed(self, path: str, section: str) -> Optional[unit_syntax.File]:
        text = self.text(path)
        if text is None:
            return None
        if (path, section) not in self._parsed:
            self._parsed[path, section] = unit_syntax.parse(text, ("Manager",) if section == "Manager" else ("Unit", section, "Install"))
        return self._parsed[path, section]

    def _note(self, error: HostError) -> None:
        if not isinstance(error, Missing):
            self.gaps.append(Gap(error.path, error.reason))

    # drop-ins

    def drop_in_directories(self, name: str, aliases: Iterable[str]) -> List[str]:
        """Real paths, each once, in the order in which they win."""
        found: List[str] = []
        present = self._all_drop_in_sets()
        for unit in [name] + sorted(aliases):
            chain = [each + ".d" for each in drop_in_names(unit) if each + ".d" in present]
            for directory in self.load_path if chain else ():
                self._add_directories(found, directory, chain)
        for directory in self.load_path:
            self._add_directories(found, directory, [type_of(name) + ".d"])
        return found

    def _all_drop_in_sets(self) -> Set[str]:
        """The names of ".d" directories in any load path: most units have none."""
        if self._drop_in_set_names is None:
            self._drop_in_set_names = {name for directory in self.load_path for name in self._drop_in_set(directory)}
        return self._drop_in_set_names

    def _add_directories(self, found: List[str], directory: str, chain: Iterable[str]) -> None:
        present = self._drop_in_set(directory)
        for each in chain:
            real = present.get(each)
            if real is not None and real not in found:
                found.append(real)

    def _drop_in_set(self, directory: str) -> Dict[str, str]:
        """The ".d" directories in a load path, with their real paths."""
        real = self.real(directory)
        if real is None:
            return {}
        if real not in self._drop_in_sets:
            names = (name for name in self.listing(directory) if name.endswith(".d"))
            self._drop_in_sets[real] = {name: place for name in names for place in [self._drop_in_directory(real, name)] if place}
        return self._drop_in_sets[real]

    def _drop_in_directory(self, directory: str, name: str) -> Optional[str]:
        """systemd asks whether the text of a link, seen from "/", is a directory (unit-file.c, is_dir): most relative ones are lost."""
        path = directory + "/" + name
        try:
            kind = self.host.stat(path, follow=False).kind
            if kind == "link":
                kind = self.host.stat("/" + self.host.readlink(path)).kind
        except HostError as error:
            self._note(error)
            return None
        return self.real(path) if kind == "dir" else None

    def drop_ins(self, directories: Iterable[str]) -> Tuple[List[str], List[Tuple[str, str]], List[str]]:
        """(read, in order), (not read because of another of the same name), (not read for want of .conf)."""
        chosen: Dict[str, str] = {}
        shadowed: List[Tuple[str, str]] = []
        misnamed: List[str] = []
        for directory in directories:
            for name in self.listing(directory):
                if name.startswith("."):
                    continue
                if not name.endswith(".conf"):
                    if "." not in name or name.endswith(_NOT_A_DROP_IN):
                        misnamed.append(directory + "/" + name)
                elif name in chosen:
                    shadowed.append((directory + "/" + name, chosen[name]))
                else:
                    chosen[name] = directory + "/" + name
        ordered = sorted(chosen, key=lambda name: name.encode("utf-8", "surrogateescape"))
        return [chosen[name] for name in ordered], shadowed, misnamed

    # units

    def definition(self, name: str, more_names: Iterable[str] = ()) -> Definition:
        """What systemd would load for this name now. ``more_names``: aliases that only the manager knows."""
        section, table = TABLES[type_of(name)]
        fragment, names = self._names(name)
        unit_id = name
        masked = fragment is not None and self._state(fragment) == "masked"
        if fragment is not None:
            main = fragment.rpartition("/")[2]
            if kind_of(main) != TEMPLATE:
                unit_id = main
            else:
                names.add(with_instance(main, instance_of(name)))
                if not masked:  # else systemd leaves the unit the name it was asked for by
                    unit_id = with_instance(main, instance_of(name))
        names |= set(more_names) | {unit_id}
        lines = _Lines(table, section, _WATCHED)
        parsed = self.parsed(fragment, section) if fragment is not None and not masked else None
        if fragment is not None and parsed is not None:
            lines.read(fragment, parsed)
        if lines.broken:  # refused before its names were joined
            return self._defined(name, set(more_names) | {name}, fragment, masked, (), lines)
        if masked:
            return self._defined(unit_id, names, fragment, masked, (), lines)
        read, shadowed, misnamed = self.drop_ins(self.drop_in_directories(unit_id, names - {unit_id}))
        for path in read:
            parsed = self.parsed(path, section)
            if parsed is not None:
                lines.read(path, parsed, drop_in=True)
        for path, by in shadowed:
            parsed = self.parsed(path, section)
            if parsed is not None:
                lines.pass_over(path, parsed, by)
        for path in misnamed:
            self._misnamed(path, section, lines)
        return self._defined(unit_id, names, fragment, masked, read, lines)

    def _misnamed(self, path: str, section: str, lines: "_Lines") -> None:
        try:
            if self.host.stat(path).kind != "file":
                return
        except HostError as error:
            self._note(error)
            return
        parsed = self.parsed(path, section)
        if parsed is not None and any(each.key in _WATCHED for each in parsed.assignments):
            lines.ineffective.append(Ineffective("", path.rpartition("/")[2], path, 0, "the name of the file does not end in .conf"))

    def _defined(
        self, unit_id: str, names: Set[str], fragment: Optional[str], masked: bool, drop_ins: Iterable[str], lines: "_Lines"
    ) -> Definition:
        return Definition(
            unit_id, tuple(sorted(names)), fragment, masked, lines.broken, tuple(drop_ins), lines.settings(), tuple(lines.ineffective))

    def manager_settings(self) -> Tuple[Dict[str, Setting], Tuple[Ineffective, ...]]:
        """DefaultLimit*= and DefaultTasksMax= of system.conf and its drop-ins."""
        lines = _Lines(_MANAGER, "Manager", _WATCHED_DEFAULTS)
        main = next((path for path in MANAGER_FILES if self.text(path) is not None), None)
        directories: List[str] = []
        for path in MANAGER_FILES:
            real = self.real(path + ".d")
            if real and real not in directories:
                directories.append(real)
        read, shadowed, misnamed = self.drop_ins(directories)
        for path in ([main] if main else []) + read:
            parsed = self.parsed(path, "Manager")
            if parsed is None:
                continue
            lines.read(path, parsed, drop_in=True)
            if parsed.fatal:
                break  # one broken file ends the reading of all (conf-parser.c config_parse_many_files)
        for path, by in shadowed:
            parsed = self.parsed(path, "Manager")
            if parsed is not None:
                lines.pass_over(path, parsed, by)
        for path in misnamed:
            self._misnamed(path, "Manager", lines)
        return lines.settings(), tuple(lines.ineffective)


class _Lines(object):
    """Applies assignments in the order in which systemd does, and remembers what became of each."""

    def __init__(self, table: Dict[Tuple[str, str], Key], section: str, watched: Iterable[str]) -> None:
        self._table, self._section, self._watched = table, section, watched
        self._won: Dict[str, Setting] = {}
        self._lost: Dict[str, List[Loser]] = {}
        self.ineffective: List[Ineffective] = []
        self.broken: Optional[Ineffective] = None

    def read(self, path: str, parsed: unit_syntax.File, drop_in: bool = False) -> None:
        for dropped in parsed.dropped:
            if dropped.key in self._watched:
                self.ineffective.append(Ineffective(dropped.key, dropped.text, path, dropped.line, dropped.why))
        for assignment in parsed.assignments:
            key = self._table.get((assignment.section, assignment.key))
            if key is None:
                if assignment.key in self._watched:
                    self._misplaced(path, assignment)
                continue
            if not self._apply(path, assignment, key):
                self._stop(path, assignment, drop_in)
                return
        if parsed.fatal:
            fatal = parsed.fatal
            text = fatal.key or fatal.text[:60]  # without the value, which may be a secret
            self._refuse(Ineffective("", text, path, fatal.line, fatal.why + ": nothing that follows in this file is read"), drop_in)

    def _misplaced(self, path: str, assignment: unit_syntax.Assignment) -> None:
        text = "%s=%s" % (assignment.key, assignment.value)
        if (self._section, assignment.key) in self._table:
            why = "in section [%s]; it belongs in [%s]" % (assignment.section, self._section)
        else:
            why = "[%s] has no such setting" % assignment.section
        self.ineffective.append(Ineffective(assignment.key, text, path, assignment.line, why))

    def _stop(self, path: str, assignment: unit_syntax.Assignment, drop_in: bool) -> None:
        text = "%s=%s" % (assignment.key, assignment.value)
        why = "is no valid value: nothing that follows in this file is read"
        self._refuse(Ineffective(assignment.key, text, path, assignment.line, why), drop_in)

    def _refuse(self, line: Ineffective, drop_in: bool) -> None:
        self.ineffective.append(line)
        if not drop_in:
            self.broken = line

    def _apply(self, path: str, assignment: unit_syntax.Assignment, key: Key) -> bool:
        name, value, line = assignment.key, assignment.value, assignment.line
        before = self._won.get(name)
        if not value and key.empty_resets:
            self._lose(before, path, RESET)
            self._won[name] = Setting(name, "", None, path, line, ())
            return True
        try:
            meaning = key.parse(value)
        except unit_syntax.BadValue as error:
            if key.fatal:
                return False
            self.ineffective.append(Ineffective(name, "%s=%s" % (name, value), path, line, str(error)))
            return True
        if key.adds_up:
            self._won[name] = Setting(name, meaning, (before.meaning or [] if before else []) + [meaning], path, line, ())
            return True
        self._lose(before, path, LATER_LINE if before and before.file == path else LATER_FILE)
        self._won[name] = Setting(name, value, meaning, path, line, ())
        return True

    def _lose(self, before: Optional[Setting], path: str, why: str) -> None:
        if before is not None:
            self._lost.setdefault(before.key, []).append(Loser(before.value, before.file, before.line, why, path))

    def pass_over(self, path: str, parsed: unit_syntax.File, by: str) -> None:
        for assignment in parsed.assignments:
            key = self._table.get((assignment.section, assignment.key))
            if key is not None and not key.adds_up:
                self._lost.setdefault(assignment.key, []).append(Loser(assignment.value, path, assignment.line, SHADOWED, by))

    def settings(self) -> Dict[str, Setting]:
        found = {}
        for name in sorted(set(self._won) | set(self._lost)):
            losers = tuple(self._lost.get(name, ()))
            won = self._won.get(name) or Setting(name, "", None, "", 0, ())
            found[name] = won._replace(losers=losers)
        return found


def _alias_is_valid(name: str, main: str) -> bool:
    """unit_validate_alias_symlink_or_warn: the same type, plain to plain, template to template, instance to the same or the template."""
    kind, main_kind = kind_of(name), kind_of(main)
    if main_kind is None or name == main or type_of(name) != type_of(main) or type_of(name) not in ALIASES_ALLOWED:
        return False
    if kind != PLAIN and type_of(name) not in TEMPLATES_ALLOWED:
        return False
    if main_kind == INSTANCE and kind == INSTANCE:
        return instance_of(name) == instance_of(main)
    return kind == main_kind or (kind == INSTANCE and main_kind == TEMPLATE)


def _plain(path: str) -> str:
    """Without empty, "." and ".." components."""
    parts: List[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
