# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PAM runs when a session is opened: the session stack of each service, with every include followed.

Follows libpam/pam_handlers.c (which file, which lines) and libpam/pam_dispatch.c (which modules are reached). /etc/pam.conf
counts only where there is no folder of services at all, and ``other`` stands in for a service without session lines.
``@include`` is Debian's own; elsewhere such a line is an error.
"""

import fnmatch
import re
from typing import Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap

# Ways to a session that people, cron and systemd take. Units add the services they name with PAMName=.
SERVICES = ("sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron", "crond", "atd", "systemd-user")

FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")
VENDOR_FOLDERS = ("/usr/etc/pam.d", "/usr/share/pam.d")  # where a distribution builds one in; Debian does not
CONFIG = "/etc/pam.conf"
MOST_LINES = 5000  # of one stack; files that include each other many times over have no end
DEPTH = 16  # PAM_SUBSTACK_MAX_LEVEL; of includes too since 1.6.0, before that a loop of includes ends in a crash

SSHD_CONFIG = "/etc/ssh/sshd_config"

ALWAYS, SOMETIMES, NEVER, UNKNOWN = "always", "sometimes", "never", "unknown"

# What becomes of the stack after a module; a number of modules to jump over is given in digits.
OK, DONE, BAD, DIE, IGNORE, RESET = "ok", "done", "bad", "die", "ignore", "reset"

CONTROLS = {
    "required": {"success": OK, "new_authtok_reqd": OK, "ignore": IGNORE, "default": BAD},
    "requisite": {"success": OK, "new_authtok_reqd": OK, "ignore": IGNORE, "default": DIE},
    "optional": {"success": OK, "new_authtok_reqd": OK, "default": IGNORE},
    "sufficient": {"success": DONE, "new_authtok_reqd": DONE, "default": IGNORE},
}
FAILS = {"default": BAD}

Chain = Tuple[str, ...]  # the service's file, and the files included on the way to a line
MODULE, SUBSTACK, BROKEN = "module", "substack", "broken"

# Modules whose session part always succeeds or always fails.
SUCCEEDS = frozenset(("pam_permit.so", "pam_limits.so", "pam_umask.so"))
DENIES = frozenset(("pam_deny.so",))


class Step(NamedTuple):
    file: str
    number: int
    kind: str  # MODULE; SUBSTACK opens a deeper level; BROKEN always fails
    actions: Dict[str, str]  # return value to what becomes of the stack; "default" for the others
    module: str  # file name, without folder
    arguments: Tuple[str, ...]
    level: int  # of substacks

    @property
    def place(self) -> str:
        return "%s:%d" % (self.file, self.number)


class Stack(NamedTuple):
    service: str
    path: str  # its own file; "" when it has none and ``other`` decides
    steps: Tuple[Step, ...]
    gaps: Tuple[Gap, ...]  # with one, nothing certain can be said

    def calls(self, module: str) -> str:
        """Whether a session that is opened has run this module: ALWAYS, SOMETIMES (a control decides), NEVER, UNKNOWN."""
        if not any(step.module == module for step in self.steps):
            return UNKNOWN if self.gaps else NEVER
        ran = _outcomes(self.steps, self.service, module)
        if self.gaps:
            return UNKNOWN
        if ran == {True}:
            return ALWAYS
        return SOMETIMES if True in ran else NEVER

    def arguments(self, module: str) -> Tuple[Tuple[str, ...], ...]:
        """Of each of its lines, in order."""
        return tuple(step.arguments for step in self.steps if step.module == module)


class PamStacks(NamedTuple):
    stacks: Dict[str, Stack]  # service to stack, of those asked for
    sshd_uses_pam: Optional[bool]  # None: there is no sshd_config, or it does not say
    gaps: Tuple[Gap, ...]

    def of(self, service: str) -> Optional[Stack]:
        """PAM takes the name after the last slash, in lower case (pam_start)."""
        return self.stacks.get(service_name(service))

    @property
    def conf_files(self) -> Tuple[str, ...]:
        """The files that pam_limits is told to read with conf=."""
        found = set()  # type: Set[str]
        for stack in self.stacks.values():
            for arguments in stack.arguments("pam_limits.so"):
                found.update(argument[len("conf="):] for argument in arguments if argument.startswith("conf="))
        return tuple(sorted(found))


def service_name(name: str) -> str:
    return name.rpartition("/")[2].lower()


def read(host: Host, debian: bool, services: Iterable[str] = ()) -> PamStacks:
    """``services``: more of them than SERVICES, such as PAMName= of units. Never raises."""
    files = _Files(host, debian)
    stacks = {}
    for name in sorted({service_name(service) for service in SERVICES + tuple(services)}):
        if name and name not in (".", ".."):
            stacks[name] = _stack(files, name)
    gaps = list(files.gaps)
    uses_pam = sshd_uses_pam(host, gaps)
    return PamStacks(stacks, uses_pam, tuple(gaps))


# -- files -----------------------------------------------------------------------------------------------------------


class _Files(object):
    """Reads each file once."""

    def __init__(self, host: Host, debian: bool) -> None:
        self.host = host
        self.debian = debian
        self.gaps = []  # type: List[Gap]
        self.left = MOST_LINES
        self._lines = {}  # type: Dict[str, Optional[List[Tuple[int, str]]]]
        self.folders = [folder for folder in FOLDERS + (() if debian else VENDOR_FOLDERS) if self._is_folder(folder)]

    def _is_folder(self, path: str) -> bool:
        try:
            return self.host.stat(path).kind == "dir"
        except Missing:
            return False
        except HostError as error:
            self.gaps.append(Gap(path, error.reason))
            return True

    def lines(self, path: str) -> Optional[List[Tuple[int, str]]]:
        """None when there is no such file. Errors: _Unread."""
        if path not in self._lines:
            try:
                self._lines[path] = list(assembled(self.host.read_text(path)))
            except Missing:
                self._lines[path] = None
            except HostError as error:
                gap = Gap(path, error.reason)
                if gap not in self.gaps:
                    self.gaps.append(gap)
                raise _Unread(gap) from error
        return self._lines[path]

    def count_line(self, path: str) -> None:
        """Errors: _Unread, when one stack has too many."""
        self.left -= 1
        if self.left < 0:
            gap = Gap(path, "more than %d lines with all that it includes" % MOST_LINES)
            self.gaps.append(gap)
            raise _Unread(gap)

    def service(self, name: str) -> Tuple[str, Optional[List[Tuple[int, str]]]]:
        for folder in self.folders:
            path = "%s/%s" % (folder, name)
            lines = self.lines(path)
            if lines is not None:
                return path, lines
        return "", None

    def included(self, name: str) -> Tuple[str, Optional[List[Tuple[int, str]]]]:
        """Debian looks for what is included in /etc/pam.d only (patch 031), others where services are."""
        if name.startswith("/"):
            return name, self.lines(name)
        if self.debian:
            path = "%s/%s" % (FOLDERS[0], name)
            return path, self.lines(path)
        return self.service(name)


class _Unread(Exception):
    def __init__(self, gap: Gap) -> None:
        super(_Unread, self).__init__(gap.source)
        self.gap = gap


def assembled(text: str) -> Iterator[Tuple[int, str]]:
    """Lines with a number: without comments, and with a backslash at the end joined to the next one."""
    held, first = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        whole, comment, _rest = raw.partition("\0")[0].lstrip(" \t").partition("#")
        if not held:
            first = number
        if not comment and whole.rstrip(" \t").endswith("\\"):
            held += whole.rstrip(" \t")[:-1] + " "
            continue
        held += whole
        if held.strip(" \t"):
            yield first, held
        held = ""


def words(line: str) -> List[str]:
    """Words apart by blanks; [...] is one word, without its brackets, and a backslash in it saves a closing one (_pam_tokenize)."""
    found = []
    for bracketed, plain in re.findall(r"\[((?:\\\]|[^\]])*)\]?|([^ \t\n\[][^ \t\n]*)", line):
        found.append(plain if plain else bracketed.replace("\\]", "]"))
    return found


# -- one stack -----------------------------------------------------------------------------------------------------------


def _stack(files: _Files, service: str) -> Stack:
    files.left = MOST_LINES
    try:
        if not files.folders:
            return Stack(service, "", tuple(_from_config(files, service)), ())
        path, lines = files.service(service)
        steps = list(_session_steps(files, (path,), lines, False, 0)) if lines is not None else []
        if not steps:
            other, default = files.service("other")
            steps = list(_session_steps(files, (other,), default, False, 0)) if default is not None else []
        return Stack(service, path, tuple(steps), ())
    except _Unread as error:
        return Stack(service, error.gap.source, (), (error.gap,))


def _from_config(files: _Files, service: str) -> Iterator[Step]:
    """/etc/pam.conf has the service in front of each line."""
    lines = files.lines(CONFIG) or []
    for wanted in (service, "other"):
        chosen = []
        for number, line in lines:
            head, _blank, rest = line.strip(" \t").replace("\t", " ").partition(" ")
            if head.lower() == wanted:
                chosen.append((number, rest))
        steps = list(_session_steps(files, (CONFIG,), chosen, False, 0))
        if steps:
            return iter(steps)
    return iter(())


def _session_steps(files: _Files, chain: Chain, lines: Sequence[Tuple[int, str]], only: bool, level: int) -> Iterator[Step]:
    """``only``: the file was included for its session lines, so that a line of no known type counts as one, and fails."""
    for number, line in lines:
        files.count_line(chain[0])
        fields = words(line)
        kind = (fields.pop(0) if fields else "").lstrip("-").lower()
        if kind == "@include" and files.debian:
            for step in _include(files, chain, number, fields[:1], only, level):
                yield step
        elif kind == "session":
            for step in _session_line(files, chain, number, fields, level):
                yield step
        elif only and kind not in ("auth", "account", "password"):
            yield _broken(chain, number, level)


def _session_line(files: _Files, chain: Chain, number: int, fields: List[str], level: int) -> Iterator[Step]:
    control = fields[0].lower() if fields else ""
    if control == "include":
        return _include(files, chain, number, fields[1:2], True, level)
    if control == "substack":
        return _substack(files, chain, number, fields[1:2], level)
    if len(fields) < 2:
        return iter((_broken(chain, number, level),))
    actions = CONTROLS.get(control) or parse_control(fields[0])
    return iter((Step(chain[-1], number, MODULE, actions, fields[1].rpartition("/")[2], tuple(fields[2:]), level),))


def _substack(files: _Files, chain: Chain, number: int, names: List[str], level: int) -> Iterator[Step]:
    yield Step(chain[-1], number, SUBSTACK, {}, "", tuple(names), level)
    for step in _include(files, chain, number, names, True, level + 1):
        yield step


def _include(files: _Files, chain: Chain, number: int, names: List[str], only: bool, level: int) -> Iterator[Step]:
    target, lines = files.included(names[0]) if names else ("", None)
    if lines is None or target in chain or len(chain) >= DEPTH:
        yield _broken(chain, number, level)
        return
    for step in _session_steps(files, chain + (target,), lines, only, level):
        yield step


def _broken(chain: Chain, number: int, level: int) -> Step:
    return Step(chain[-1], number, BROKEN, FAILS, "", (), level)


def parse_control(text: str) -> Dict[str, str]:
    """value=action pairs; a mistake makes every outcome bad (_pam_parse_control)."""
    actions = {}
    pairs = re.findall(r"\s*([a-z_]+)\s*=\s*([a-z]+|[0-9]+)", text)
    if re.sub(r"\s*([a-z_]+)\s*=\s*([a-z]+|[0-9]+)", "", text).strip():
        return dict(FAILS)
    for value, action in pairs:
        if not action.isdigit() and action not in (OK, DONE, BAD, DIE, IGNORE, RESET):
            return dict(FAILS)
        actions[value] = IGNORE if action.isdigit() and int(action) == 0 else action
    actions.setdefault("default", BAD)
    return actions


# -- which modules are reached --------------------------------------------------------------------------------------------------

_UNDECIDED, _POSITIVE, _NEGATIVE = range(3)


def _outcomes(steps: Sequence[Step], service: str, module: str) -> Set[bool]:
    """Of all ways in which the session can be opened: whether the module was run. Modules may return whatever they can."""
    found = set()  # type: Set[bool]
    seen = set()  # type: Set[Tuple[int, int, bool]]
    todo = [(0, _UNDECIDED, False)]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        index, impression, ran = state
        if index >= len(steps):
            if impression == _POSITIVE:
                found.add(ran)
            continue
        step = steps[index]
        if step.kind == SUBSTACK:
            todo.append((index + 1, impression, ran))
            continue
        ran = ran or step.module == module
        for action in _possible_actions(step, service):
            todo.append(_next(steps, index, impression, action) + (ran,))
    return found


def _next(steps: Sequence[Step], index: int, impression: int, action: str) -> Tuple[int, int]:
    if action.isdigit():
        return _jumped(steps, index, int(action), impression)
    if action in (OK, DONE) and impression == _UNDECIDED:
        impression = _POSITIVE
    if action in (BAD, DIE):
        impression = _NEGATIVE
    if action == RESET:
        impression = _UNDECIDED
    if action == DIE or (action == DONE and impression == _POSITIVE):
        level = steps[index].level
        while index + 1 < len(steps) and steps[index + 1].level >= level:
            index += 1
    return index + 1, impression


def _jumped(steps: Sequence[Step], index: int, count: int, impression: int) -> Tuple[int, int]:
    """A substack counts as one; a jump beyond the end fails."""
    level = steps[index].level
    while count > 0 and index + 1 < len(steps) and steps[index + 1].level >= level:
        index += 1
        while index + 1 < len(steps) and steps[index + 1].level > level:
            index += 1
        count -= 1
    return index + 1, _NEGATIVE if count else impression


def _possible_actions(step: Step, service: str) -> FrozenSet[str]:
    success = step.actions.get("success", step.actions["default"])
    failure = {action for value, action in step.actions.items() if value not in ("success", "ignore")}
    if step.kind == BROKEN or step.module in DENIES:
        return frozenset((step.actions.get("session_err", step.actions["default"]),))
    if step.module in SUCCEEDS:
        return frozenset((success,))
    if step.module == "pam_succeed_if.so":
        answer = _service_condition(step.arguments, service)
        if answer is not None:
            return frozenset((success if answer else step.actions.get("auth_err", step.actions["default"]),))
    return frozenset(failure | {success, step.actions.get("ignore", step.actions["default"])})


def _service_condition(arguments: Sequence[str], service: str) -> Optional[bool]:
    """pam_succeed_if(8), where all its conditions ask for the service; None when one asks for something else."""
    flags = ("debug", "use_uid", "quiet", "quiet_fail", "quiet_success", "audit")
    conditions = [argument for argument in arguments if argument not in flags]
    if not conditions or len(conditions) % 3:
        return None
    answers = []
    for left, test, right in zip(conditions[::3], conditions[1::3], conditions[2::3]):
        if left != "service" or test not in ("=", "eq", "!=", "ne", "in", "notin", "=~", "!~"):
            return None
        if test in ("in", "notin"):
            holds = service in right.split(":")
        elif test in ("=~", "!~"):
            holds = fnmatch.fnmatchcase(service, right)
        else:
            holds = service == right
        answers.append(holds == (test in ("=", "eq", "in", "=~")))
    return all(answers)


# -- sshd ------------------------------------------------------------------------------------------------------------------------


def sshd_uses_pam(host: Host, gaps: List[Gap]) -> Optional[bool]:
    """UsePAM of sshd_config(5): the first value counts; Match blocks cannot hold it. None when nothing says."""
    for value in _sshd_values(host, SSHD_CONFIG, "usepam", 0, gaps):
        return value.lower() == "yes"
    return None


def _sshd_values(host: Host, path: str, keyword: str, depth: int, gaps: List[Gap]) -> Iterator[str]:
    try:
        text = host.read_text(path)
    except Missing:
        return
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return
    for line in text.split("\n"):
        found = re.match(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*?)\s*$", line)
        if not found:
            continue
        word, rest = found.group(1).lower(), found.group(2)
        values = re.findall(r'"([^"]*)"|([^\s"]+)', rest)
        if word == "match":
            return
        if word == "include" and depth < DEPTH:
            for quoted, plain in values:
                for each in _expanded(host, quoted or plain, gaps):
                    for value in _sshd_values(host, each, keyword, depth + 1, gaps):
                        yield value
        elif word == keyword and values:
            yield values[0][0] or values[0][1]


def _expanded(host: Host, pattern: str, gaps: List[Gap]) -> List[str]:
    """glob(7) in the last component; relative to sshd_config's folder."""
    folder, _slash, name = (pattern if pattern.startswith("/") else "/etc/ssh/" + pattern).rpartition("/")
    if not any(char in name for char in "*?["):
        return ["%s/%s" % (folder, name)]
    try:
        names = host.list(folder or "/")
    except Missing:
        return []
    except HostError as error:
        gaps.append(Gap(folder, error.reason))
        return []
    return ["%s/%s" % (folder, each) for each in names if fnmatch.fnmatchcase(each, name) and not each.startswith(".")]
