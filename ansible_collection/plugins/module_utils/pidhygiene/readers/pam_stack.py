# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What PAM runs when a session is opened: the session stack of each service, with every include followed; of cron the account stack, too.

Follows libpam/pam_handlers.c (which file, which lines) and libpam/pam_dispatch.c (which modules are reached). /etc/pam.conf
counts only where there is no folder of services at all, and ``other`` stands in for a service without session lines.
``@include`` is Debian's own; elsewhere such a line is an error.
"""

import fnmatch
import re
from typing import Dict, FrozenSet, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..pattern import pattern
from ..record import NamedTuple

# Ways to a session that people, cron and systemd take. Units add the services they name with PAMName=.
SERVICES = ("sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron", "crond", "atd", "systemd-user")

FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")
VENDOR_FOLDERS = ("/usr/etc/pam.d", "/usr/share/pam.d")  # where a distribution builds one in; Debian does not
CONFIG = "/etc/pam.conf"
MOST_LINES = 5000  # of one stack; files that include each other many times over have no end
DEPTH = 16  # PAM_SUBSTACK_MAX_LEVEL; of includes too since ENDS_LOOPS, before that a loop of includes ends in a crash
ENDS_LOOPS = (1, 6)  # Linux-PAM

SSHD_CONFIG = "/etc/ssh/sshd_config"

ALWAYS, SOMETIMES, NEVER, REFUSED, UNKNOWN = "always", "sometimes", "never", "refused", "unknown"

# What becomes of the stack after a module; a number of modules to jump over is given in digits.
OK, DONE, BAD, DIE, IGNORE, RESET = "ok", "done", "bad", "die", "ignore", "reset"

CONTROLS = {
    "required": {"success": OK, "new_authtok_reqd": OK, "ignore": IGNORE, "default": BAD},
    "requisite": {"success": OK, "new_authtok_reqd": OK, "ignore": IGNORE, "default": DIE},
    "optional": {"success": OK, "new_authtok_reqd": OK, "default": IGNORE},
    "sufficient": {"success": DONE, "new_authtok_reqd": DONE, "default": IGNORE},
}
FAILS = {"default": BAD}

NumberedLine = Tuple[int, Optional[str]]
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
        """Whether a session that is opened has run this module: ALWAYS, SOMETIMES (a control decides), NEVER,
        REFUSED (no session can be opened), UNKNOWN (a file could not be read).
        """
        if self.gaps:
            return UNKNOWN
        ran = _outcomes(self.steps, self.service, module)
        if not ran:
            return REFUSED
        if len(ran) > 1:
            return SOMETIMES
        return ALWAYS if True in ran else NEVER

    def refuses(self, module: str, result: str) -> bool:
        """Whether it refuses for certain when this module returns that (new_authtok_reqd, acct_expired …), whatever the others return."""
        return not self.gaps and any(step.module == module for step in self.steps) and not _outcomes(self.steps, self.service, module, result)

    def fails_with(self, module: str) -> bool:
        """Whether a session is refused when this module fails."""
        return any(step.module == module and step.actions.get("service_err", step.actions["default"]) in (BAD, DIE) for step in self.steps)

    def arguments(self, module: str) -> Tuple[Tuple[str, ...], ...]:
        """Of each of its lines, in order."""
        return tuple(step.arguments for step in self.steps if step.module == module)


class PamStacks(NamedTuple):
    stacks: Dict[str, Stack]  # service to stack, of those asked for
    sshd_uses_pam: Optional[bool]  # None: there is no sshd_config, or it could not be read
    gaps: Tuple[Gap, ...]

    def of(self, service: str) -> Optional[Stack]:
        """PAM takes the name after the last slash, in lower case (pam_start)."""
        return self.stacks.get(service_name(service))

    @property
    def conf_files(self) -> Tuple[str, ...]:
        """The files that pam_limits is told to read with conf=."""
        found: Set[str] = set()
        for stack in self.stacks.values():
            for arguments in stack.arguments("pam_limits.so"):
                found.update(argument[len("conf="):] for argument in arguments if argument.startswith("conf="))
        return tuple(sorted(found))


def service_name(name: str) -> str:
    return name.rpartition("/")[2].lower()


def read(host: Host, debian: bool, services: Iterable[str] = (), version: Optional[Tuple[int, ...]] = None) -> PamStacks:
    """``services``: more of them than SERVICES, such as PAMName= of units. ``version`` of Linux-PAM, where it is known. Never raises."""
    files = _Files(host, debian, version)
    stacks = {}
    for name in sorted({service_name(service) for service in SERVICES + tuple(services)}):
        if name and name not in (".", ".."):
            stacks[name] = _stack(files, name)
    gaps = list(files.gaps)
    uses_pam = sshd_uses_pam(host, gaps)
    return PamStacks(stacks, uses_pam, tuple(gaps))


def account_stack(host: Host, debian: bool, service: str, version: Optional[Tuple[int, ...]] = None) -> Stack:
    """Who may use this service (pam_acct_mgmt). Never raises."""
    return _stack(_Files(host, debian, version, "account"), service)


# -- files -----------------------------------------------------------------------------------------------------------


class _Files(object):
    """Reads each file once."""

    def __init__(self, host: Host, debian: bool, version: Optional[Tuple[int, ...]], kind: str = "session") -> None:
        self.host = host
        self.kind = kind  # of the lines that are wanted
        self.debian = debian
        self.version = version
        self.gaps: List[Gap] = []
        self.left = MOST_LINES
        self._lines: Dict[str, Optional[List[NumberedLine]]] = {}
        self.folders = [folder for folder in FOLDERS + (() if debian else VENDOR_FOLDERS) if self._is_folder(folder)]

    def _is_folder(self, path: str) -> bool:
        try:
            return self.host.stat(path).kind == "dir"
        except Missing:
            return False
        except HostError as error:
            self.gaps.append(Gap(path, error.reason))
            return True

    def lines(self, path: str) -> Optional[List[NumberedLine]]:
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

    def enter_loop(self, path: str) -> None:
        """Errors: _Endless where libpam never comes back from a loop of includes, _Unread where that is not known."""
        if self.version is None:
            gap = Gap(path, "includes itself, and the version of Linux-PAM is not known")
            self.gaps.append(gap)
            raise _Unread(gap)
        if self.version < ENDS_LOOPS:
            raise _Endless()

    def service(self, name: str) -> Tuple[str, Optional[List[NumberedLine]]]:
        for folder in self.folders:
            path = "%s/%s" % (folder, name)
            lines = self.lines(path)
            if lines is not None:
                return path, lines
        return "", None

    def included(self, name: str) -> Tuple[str, Optional[List[NumberedLine]]]:
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


def assembled(text: str) -> Iterator[NumberedLine]:
    """Lines with a number: without comments, and with a backslash at the end joined to the next one; None where that is missing."""
    held, first = "", 0
    rows = text.split("\n")
    for number, raw in enumerate(rows if rows[-1] else rows[:-1], 1):
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
    if held:
        yield first, None


def words(line: str) -> List[str]:
    """Words apart by blanks; [...] is one word, without its brackets, and a backslash in it saves a closing one (_pam_tokenize)."""
    found = []
    for bracketed, plain in re.findall(r"\[((?:\\\]|[^\]])*)\]?|([^ \t\n\[][^ \t\n]*)", line):
        found.append(plain if plain else bracketed.replace("\\]", "]"))
    return found


# -- one stack -----------------------------------------------------------------------------------------------------------


class _Endless(Exception):
    """A loop of includes that libpam follows until its process has no stack left."""


class _Broken(Exception):
    """A file that libpam gives up on: the line that includes it fails, or the whole service, where it is the service's own file."""


def _stack(files: _Files, service: str) -> Stack:
    files.left = MOST_LINES
    path = CONFIG
    try:
        if not files.folders:
            return Stack(service, "", tuple(_from_config(files, service)), ())
        path, lines = files.service(service)
        steps = list(_session_steps(files, (path,), lines, False, 0)) if lines is not None else []
        other, default = files.service("other")  # read in any case: a mistake in it breaks every service
        instead = list(_session_steps(files, (other,), default, False, 0)) if default is not None else []
        return Stack(service, path, tuple(steps or instead), ())
    except _Unread as error:
        return Stack(service, error.gap.source, (), (error.gap,))
    except (_Broken, _Endless):
        return Stack(service, path, (_broken((path,), 0, 0),), ())


def _from_config(files: _Files, service: str) -> Iterator[Step]:
    """/etc/pam.conf has the service in front of each line."""
    lines = files.lines(CONFIG) or []
    for wanted in (service, "other"):
        chosen = []
        for number, line in lines:
            if line is None:
                raise _Broken()
            head, _blank, rest = line.strip(" \t").replace("\t", " ").partition(" ")
            if head.lower() == wanted:
                chosen.append((number, rest))
        steps = list(_session_steps(files, (CONFIG,), chosen, False, 0))
        if steps:
            return iter(steps)
    return iter(())


def _session_steps(files: _Files, chain: Chain, lines: Sequence[NumberedLine], only: bool, level: int) -> Iterator[Step]:
    """``only``: the file was included for its session lines, so that a line of no known type counts as one, and fails."""
    for number, line in lines:
        files.count_line(chain[0])
        if line is None:
            raise _Broken()
        fields = words(line)
        kind = (fields.pop(0) if fields else "").lstrip("-").lower()
        if kind == "@include" and files.debian:
            yield from _include(files, chain, number, fields[:1], only, level)
        elif kind == files.kind:
            yield from _session_line(files, chain, number, fields, level)
        elif only and kind not in ("auth", "account", "password", "session"):
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
    yield from _include(files, chain, number, names, True, level, level + 1)


def _include(
    files: _Files, chain: Chain, number: int, names: List[str], only: bool, level: int, deeper: Optional[int] = None
) -> Iterator[Step]:
    """A failure counts on the level of the line, what is included on the ``deeper`` one, if it is a substack."""
    target, lines = files.included(names[0]) if names else ("", None)
    try:
        if lines is not None and target in chain:
            files.enter_loop(target)
        if lines is None or len(chain) >= DEPTH:
            raise _Broken()
        yield from _session_steps(files, chain + (target,), lines, only, level if deeper is None else deeper)
    except _Broken:
        if not only:  # the line has no type under which its failure could be kept
            raise
        yield _broken(chain, number, level)


def _broken(chain: Chain, number: int, level: int) -> Step:
    return Step(chain[-1], number, BROKEN, FAILS, "", (), level)


_PAIR = pattern(r"\s*([a-z_]+)\s*=\s*([a-z]+|[0-9]+)")
_RETURNS = frozenset((
    "success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err", "cred_insufficient",
    "authinfo_unavail", "user_unknown", "maxtries", "new_authtok_reqd", "acct_expired", "session_err", "cred_unavail", "cred_expired",
    "cred_err", "no_module_data", "conv_err", "authtok_err", "authtok_recover_err", "authtok_lock_busy", "authtok_disable_aging",
    "try_again", "ignore", "abort", "authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete", "default",
))
_ACTIONS = frozenset((OK, DONE, BAD, DIE, IGNORE, RESET))


def parse_control(text: str) -> Dict[str, str]:
    """value=action pairs; one mistake, and every outcome is bad (_pam_parse_control). No jump is 0 long."""
    actions: Dict[str, str] = {}
    for value, action in _PAIR.findall(text):
        if value not in _RETURNS or not (action in _ACTIONS or action.strip("0")) or (action not in _ACTIONS and not action.isdigit()):
            return dict(FAILS)
        if value != "default" or "default" not in actions:
            actions[value] = action
    if _PAIR.sub("", text).strip():
        return dict(FAILS)
    actions.setdefault("default", BAD)
    return actions


# -- which modules are reached --------------------------------------------------------------------------------------------------

_UNDECIDED, _POSITIVE, _SPOILT, _NEGATIVE = range(4)  # spoilt: a module that failed was counted as ok, so its error is the result


def _outcomes(steps: Sequence[Step], service: str, module: str, result: str = "") -> Set[bool]:
    """Of all ways in which the stack can succeed: whether the module was run. Modules may return whatever they can, this one ``result`` alone."""
    found: Set[bool] = set()
    seen: Set[Tuple[int, int, bool]] = set()
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
        fixed = result and step.kind == MODULE and step.module == module
        for succeeded, action in ((False, step.actions.get(result, step.actions["default"])),) if fixed else _possible(step, service):
            index_after, impression_after = _next(steps, index, impression, succeeded, action)
            todo.append((index_after, impression_after, ran or step.module == module))
    return found


def _next(steps: Sequence[Step], index: int, impression: int, succeeded: bool, action: str) -> Tuple[int, int]:
    if action.isdigit():
        return _jumped(steps, index, int(action), impression)
    if action in (OK, DONE) and impression in (_UNDECIDED, _POSITIVE):
        impression = _POSITIVE if succeeded else _SPOILT
    if action in (BAD, DIE):
        impression = _NEGATIVE
    if action == RESET:
        impression = _UNDECIDED
    if action == DIE or (action == DONE and impression in (_POSITIVE, _SPOILT)):
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


def _possible(step: Step, service: str) -> FrozenSet[Tuple[bool, str]]:
    """Whether the module succeeded, and what becomes of the stack: all that can happen."""
    default = step.actions["default"]
    succeeds = (True, step.actions.get("success", default))
    if step.kind == BROKEN or step.module in DENIES:
        return frozenset(((False, step.actions.get("session_err", default)),))
    if step.module in SUCCEEDS:
        return frozenset((succeeds,))
    if step.module == "pam_succeed_if.so":
        answer = _service_condition(step.arguments, service)
        if answer is not None:
            return frozenset((succeeds if answer else (False, step.actions.get("auth_err", default)),))
    return frozenset([(False, action) for value, action in step.actions.items() if value != "success"] + [succeeds])


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
    """UsePAM of sshd_config(5): the first value counts, Match blocks cannot hold it, and without it sshd does not use PAM.

    None when there is no sshd_config, or a file of it could not be read.
    """
    before = len(gaps)
    for value in _sshd_values(host, SSHD_CONFIG, "usepam", 0, gaps):
        return value.lower() == "yes" if len(gaps) == before else None
    try:
        return False if host.exists(SSHD_CONFIG) and len(gaps) == before else None
    except HostError:
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
                    yield from _sshd_values(host, each, keyword, depth + 1, gaps)
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
