# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord's configuration: which programs it stops without their children. The form is that of supervisor's options.py."""

import fnmatch
from typing import List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

SEARCHED = ("/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")  # the fixed places of its search, after those beside the program
SECTIONS = ("program:", "fcgi-program:", "eventlistener:")
YES = ("yes", "true", "on", "1", "t", "y")
MOST_FILES = 200


class Program(NamedTuple):
    name: str
    stop_as_group: bool
    kill_as_group: bool  # as in force: stopasgroup=true implies it
    file: str


class Configuration(NamedTuple):
    supervisor: int  # pid
    file: str
    programs: Tuple[Program, ...]


def read(host: Host, supervisor: int, arguments: Tuple[str, ...], root: str, gaps: List[Gap]) -> Optional[Configuration]:
    """The main file and what it includes, as they are now. ``root``: where the supervisord's files are. Never raises."""
    path = named(arguments)
    for candidate in (path,) if path else SEARCHED:
        if not candidate.startswith("/"):
            gaps.append(Gap(candidate, "a relative path: the directory it was started in is not known"))
            return None
        try:
            text = host.read_text(candidate, root=root)
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(candidate, error.reason))
            return None
        return Configuration(supervisor, candidate, tuple(_all_programs(host, candidate, text, root, gaps)))
    gaps.append(Gap(path or SEARCHED[-1], "supervisord's configuration was not found"))
    return None


def named(arguments: Tuple[str, ...]) -> str:
    """-c FILE, --configuration=FILE and their forms; empty where neither is given."""
    for index, word in enumerate(arguments):
        if word in ("-c", "--configuration") and index + 1 < len(arguments):
            return arguments[index + 1]
        if word.startswith("--configuration="):
            return word.partition("=")[2]
        if word.startswith("-c") and not word.startswith("--") and len(word) > 2 and index > 0:
            return word[2:]
    return ""


def _all_programs(host: Host, path: str, text: str, root: str, gaps: List[Gap]) -> List[Program]:
    found, include = parse(text, path)
    if include is None:
        gaps.append(Gap(path, "not in the form of a supervisord configuration"))
        return []
    here = path.rsplit("/", 1)[0]
    for each in include[:MOST_FILES]:
        pattern = each.replace("%(here)s", here)
        folder, _slash, last = (pattern if pattern.startswith("/") else here + "/" + pattern).rpartition("/")
        if "%(" in pattern or any(char in folder for char in "*?["):
            gaps.append(Gap(pattern, "a pattern of folders or names of the environment in [include]"))
            continue
        try:
            names = fnmatch.filter(host.list(folder or "/", root=root), last)
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(folder, error.reason))
            continue
        for name in sorted(names)[:MOST_FILES]:
            inner = folder + "/" + name
            try:
                programs, nested = parse(host.read_text(inner, root=root), inner)
            except HostError as error:
                gaps.append(Gap(inner, error.reason))
                continue
            if nested is None:
                gaps.append(Gap(inner, "not in the form of a supervisord configuration"))
            found = found + programs
    return found


def parse(text: str, path: str) -> Tuple[List[Program], Optional[List[str]]]:
    """Programs, and the patterns of [include]; None instead of these where the text is no configuration."""
    import configparser  # most hosts have no supervisord

    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))
    try:
        parser.read_string(text)
    except configparser.Error:
        return [], None
    found = []
    for section in parser.sections():
        kind = next((each for each in SECTIONS if section.startswith(each)), None)
        if kind is not None:
            stop = parser.get(section, "stopasgroup", fallback="false").strip().lower() in YES
            kill = parser.get(section, "killasgroup", fallback=str(stop)).strip().lower() in YES
            found.append(Program(section[len(kind):].strip(), stop, kill, path))
    include = parser.get("include", "files", fallback="") if parser.has_section("include") else ""
    return found, include.split()
