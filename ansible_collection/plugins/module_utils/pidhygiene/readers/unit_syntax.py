# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a unit file, a drop-in or system.conf, and what its values mean, exactly as systemd reads them.

Sources, the same in 252 and 257 unless noted: src/shared/conf-parser.c (files), src/basic/fileio.c read_line_full (ends of lines),
src/basic/rlimit-util.c (Limit*=), src/core/load-fragment.c config_parse_tasks_max, src/basic/time-util.c parse_time,
src/basic/parse-util.c (numbers, sizes, booleans), src/basic/percent-util.c.
"""

import re
from typing import Any, Callable, Dict, Iterable, List, NoReturn, Optional, Tuple

from ..model import UNLIMITED
from ..pattern import pattern
from ..record import NamedTuple

BLANKS = " \t\n\r"  # WHITESPACE in systemd's macro.h
_END_OF_LINE = pattern(r"\n\r?\0?|\r\n?\0?|\0")
_NEEDS_SECTION = "before the first section"


class Assignment(NamedTuple):
    section: str
    key: str
    value: str
    line: int  # the last one, where the line is continued


class Dropped(NamedTuple):
    """A line that systemd passes over, whatever its value."""

    key: str  # empty where the line is no assignment
    text: str
    line: int
    why: str


class File(NamedTuple):
    assignments: Tuple[Assignment, ...]
    dropped: Tuple[Dropped, ...]
    fatal: Optional[Dropped]  # here systemd stopped: what follows in this file is not read, and a unit file with it is not loaded


class BadValue(Exception):
    """systemd says "Failed to parse" and keeps the value it had."""


# -- files -------------------------------------------------------------------------------------------------------


def parse(text: str, sections: Iterable[str]) -> File:
    """``text`` may hold surrogates for bytes that are not UTF-8. ``sections`` are those that systemd reads in such a file."""
    known = frozenset(sections)
    assignments: List[Assignment] = []
    dropped: List[Dropped] = []
    section, unread = "", _NEEDS_SECTION
    for number, line in _logical_lines(text):
        problem = _fatal(line)
        if problem:
            return File(tuple(assignments), tuple(dropped), Dropped(_key(line), line, number, problem))
        if line[0] == "[":
            name = line[1:-1]
            section, unread = (name, "") if name in known else ("", _unread(name, known))
            continue
        key, equals, value = line.partition("=")
        if not equals or not key:
            dropped.append(Dropped("", line, number, "no assignment"))
        elif not section:
            if unread:
                dropped.append(Dropped(key.strip(BLANKS), line, number, unread))
        else:
            assignments.append(Assignment(section, key.strip(BLANKS), value.strip(BLANKS), number))
    return File(tuple(assignments), tuple(dropped), None)


def _unread(section: str, known: Iterable[str]) -> str:
    """Why nothing in this section is read; empty for one that is made to be passed over."""
    return "" if section.startswith("X-") else "in section [%s], which is not read here" % section


def _key(line: str) -> str:
    return line.partition("=")[0].strip(BLANKS) if "=" in line and line[0] != "[" else ""


def _logical_lines(text: str) -> Iterable[Tuple[int, str]]:
    """Stripped, joined and not empty lines, with the number of their last physical line. Comments within a continued line are left out."""
    pending: Optional[str] = None
    bom_seen = False
    number = 0
    for number, line in enumerate(_lines(text), 1):
        start = line.lstrip(BLANKS)[:1]
        if start and start in "#;":
            continue
        if not bom_seen and line.startswith("\ufeff"):
            line, bom_seen = line[1:], True
        if pending is not None:
            line = pending + line
        if line.endswith("\\") and _continues(line):
            pending = line[:-1] + " "
            continue
        pending = None
        line = line.strip(BLANKS)
        if line:
            yield number, line
    if pending is not None and pending.strip(BLANKS):
        yield number + 1, pending.strip(BLANKS)


def _lines(text: str) -> List[str]:
    if "\r" not in text and "\0" not in text:
        lines = text.split("\n")
    else:
        lines = _END_OF_LINE.split(text)
    return lines[:-1] if lines and not lines[-1] else lines


def _continues(line: str) -> bool:
    """A backslash at the end that is not itself escaped."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _fatal(line: str) -> str:
    if not _is_ascii(line) and not _is_valid(line):
        return "not UTF-8"
    if line[0] == "[":
        if line[-1] != "]" or len(line) < 2:
            return "a section header without its end"
        if any(char < " " or char in "\"'\\\x7f" for char in line[1:-1]):
            return "bad characters in a section header"
    return ""


def _is_ascii(text: str) -> bool:
    try:
        text.encode("ascii")
    except UnicodeEncodeError:
        return False
    return True


def _is_valid(text: str) -> bool:
    """src/basic/utf8.c unichar_is_valid: no lone surrogates, no noncharacters."""
    return not any(0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE for code in map(ord, text))


# -- numbers, sizes, times ---------------------------------------------------------------------------------------

_INTEGER = pattern(r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)")
_BASES = {"0b": (2, "01"), "0o": (8, "01234567")}
_DECIMAL = pattern(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_SIZES = (("E", 1 << 60), ("P", 1 << 50), ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("B", 1), ("", 1))
_SECOND = 1000000  # µs
_UNITS = (
    ("seconds", _SECOND), ("second", _SECOND), ("sec", _SECOND), ("s", _SECOND),
    ("minutes", 60 * _SECOND), ("minute", 60 * _SECOND), ("min", 60 * _SECOND),
    ("months", 2629800 * _SECOND), ("month", 2629800 * _SECOND), ("M", 2629800 * _SECOND),
    ("msec", 1000), ("ms", 1000), ("m", 60 * _SECOND),
    ("hours", 3600 * _SECOND), ("hour", 3600 * _SECOND), ("hr", 3600 * _SECOND), ("h", 3600 * _SECOND),
    ("days", 86400 * _SECOND), ("day", 86400 * _SECOND), ("d", 86400 * _SECOND),
    ("weeks", 604800 * _SECOND), ("week", 604800 * _SECOND), ("w", 604800 * _SECOND),
    ("years", 31557600 * _SECOND), ("year", 31557600 * _SECOND), ("y", 31557600 * _SECOND),
    ("usec", 1), ("us", 1), ("\u03bcs", 1), ("\u00b5s", 1),
)
_TRUE = frozenset(("1", "yes", "y", "true", "t", "on"))
_FALSE = frozenset(("0", "no", "n", "false", "f", "off"))


def parse_integer(text: str) -> int:
    """safe_atou64: decimal, 0x, 0b, 0o and octal with a leading 0; no suffix."""
    text = text.lstrip(BLANKS)
    prefix = text[:2].lower()
    if prefix in _BASES:
        base, digits = _BASES[prefix]
        match = re.match(r"[ \t\n\v\f\r]*([+-]?)([%s]+)\Z" % digits, text[2:])
        if not match:
            _bad("is not a number")
        return _in_range(match.group(1), int(match.group(2), base))
    match = _INTEGER.match(text)
    if not match or match.end() != len(text):
        _bad("is not a number")
    digits = match.group(2)
    if digits[:2] in ("0x", "0X"):
        return _in_range(match.group(1), int(digits, 16))
    if digits[0] == "0" and len(digits) > 1:
        if any(char in "89" for char in digits):
            _bad("is not a number")
        return _in_range(match.group(1), int(digits, 8))
    return _in_range(match.group(1), int(digits))


def _in_range(sign: str, number: int) -> int:
    if number > UNLIMITED or (sign == "-" and number):
        _bad("is out of range")
    return number


def parse_size(text: str) -> int:
    """Bytes: sums of numbers with K M G T P E (1024), largest first, fractions allowed."""
    total, first = 0, 0
    while True:
        text = text.lstrip(BLANKS)
        match = _DECIMAL.match(text)
        if not match:
            _bad("is not a size")
        if int(match.group(2)) > UNLIMITED or text[0] == "-":
            _bad("is out of range")
        number = int(match.group(2)) if match.group(1) != "-" else (UNLIMITED + 1 - int(match.group(2))) & UNLIMITED
        text = text[match.end():]
        fraction = 0.0
        if text.startswith("."):
            digits = re.match(r"[0-9]*", text[1:])
            text = text[1:]
            if digits and digits.group():
                if int(digits.group()) > UNLIMITED:
                    _bad("is out of range")
                fraction = float(int(digits.group()))
                for _digit in digits.group():
                    fraction /= 10
                text = text[digits.end():]
        text = text.lstrip(BLANKS)
        for index in range(first, len(_SIZES)):
            suffix, factor = _SIZES[index]
            if text.startswith(suffix):
                break
        else:
            _bad("is not a size")
        if number + (fraction > 0) > UNLIMITED // factor:
            _bad("is out of range")
        total += number * factor + int(fraction * factor)
        if total > UNLIMITED:
            _bad("is out of range")
        text, first = text[len(suffix):], index + 1
        if not text:
            return total


def parse_time(text: str, unit: int = _SECOND) -> int:
    """µs; UNLIMITED for infinity. ``unit`` is that of a number without one."""
    text = text.lstrip(BLANKS)
    if text.startswith("infinity"):
        if text[8:].lstrip(BLANKS):
            _bad("is not a time")
        return UNLIMITED
    total, something = 0, False
    while True:
        text = text.lstrip(BLANKS)
        if not text:
            if not something:
                _bad("is not a time")
            return total
        if text[0] == "-":
            _bad("is out of range")
        match = _DECIMAL.match(text)
        number = int(match.group(2)) if match else 0
        if match and (match.group(1) == "-" or number > (1 << 63) - 1):
            _bad("is out of range")
        rest = text[match.end():] if match else text
        digits = ""
        if rest.startswith("."):
            found = re.match(r"\.([0-9]*)", rest)
            digits = found.group(1) if found else ""
            fractional, rest = True, rest[1 + len(digits):]
        elif not match:
            _bad("is not a time")
        else:
            fractional = False
        after = rest.lstrip(BLANKS)
        name, multiplier = next(((name, size) for name, size in _UNITS if after.startswith(name)), ("", unit))
        after = after[len(name):]
        if after == rest and after:
            _bad("is not a time")
        if number >= UNLIMITED // multiplier or number * multiplier >= UNLIMITED - total:
            _bad("is out of range")
        total += number * multiplier
        if fractional:
            if not digits:
                _bad("is not a time")
            part = multiplier // 10
            for digit in digits:
                total += int(digit) * part
                part //= 10
        text, something = after, True


def parse_boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    return _bad("is neither yes nor no")


def _bad(why: str) -> NoReturn:
    raise BadValue(why)


# -- resource limits ---------------------------------------------------------------------------------------------


class Limit(NamedTuple):
    soft: int  # in the kernel's unit of this limit; UNLIMITED for infinity
    hard: int


def _seconds(text: str) -> int:
    time = parse_time(text)
    return UNLIMITED if time == UNLIMITED else -(-time // _SECOND)


def _nice(text: str) -> int:
    if text[:1] == "+":
        number = parse_integer(text[1:])
        return 20 - number if number < 20 else _bad("is out of range: nice levels are -20 to +19")
    if text[:1] == "-":
        number = parse_integer(text[1:])
        return 20 + number if number <= 20 else _bad("is out of range: nice levels are -20 to +19")
    number = parse_integer(text)
    return number if number <= 40 else _bad("is out of range: 0 to 40")


def _count(text: str) -> int:
    try:
        return parse_integer(text)
    except BadValue:
        if text.lower() in ("unlimited", "-1", "infinite", "inf", "max"):
            _bad("is no value here: systemd spells it infinity")
        if re.match(r"[0-9]+ *[KMGTkmgt]i?[Bb]?\Z", text):
            _bad("has a suffix, and this limit takes plain numbers only")
        raise


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except BadValue:
        if text.lower() in ("unlimited", "-1", "infinite", "inf", "max"):
            _bad("is no value here: systemd spells it infinity")
        raise


LIMITS: Dict[str, Callable[[str], int]] = {
    "cpu": _seconds, "fsize": _size, "data": _size, "stack": _size, "core": _size, "rss": _size, "nofile": _count, "as": _size,
    "nproc": _count, "memlock": _size, "locks": _count, "sigpending": _count, "msgqueue": _size, "nice": _nice, "rtprio": _count,
    "rttime": lambda text: parse_time(text, 1),
}


def parse_limit(item: str, text: str) -> Limit:
    """The value of Limit<ITEM>=: N, soft:hard, infinity. Errors: BadValue. An empty value is none: it resets nothing."""
    if not text:
        _bad("is empty: an empty assignment does not reset a limit")
    soft_text, rest = _word(text)
    soft = _one(item, soft_text)
    if rest is None:
        return Limit(soft, soft)
    hard_text, rest = _word(rest)
    if rest:
        _bad("has more than two parts")
    hard = _one(item, hard_text)
    if soft > hard:
        _bad("has a soft limit above the hard one")
    return Limit(soft, hard)


def _one(item: str, text: str) -> int:
    if text == "infinity" and item != "nice":
        return UNLIMITED
    number = LIMITS[item](text)
    if number >= UNLIMITED and item not in ("cpu", "rttime"):
        _bad("is out of range")
    return number


def _word(text: str) -> Tuple[str, Optional[str]]:
    """extract_first_word() with ":": up to the colon, a backslash taking the next character as it is; then what follows the colon."""
    word = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == ":":
            return word, text[at + 1:]
        if char == "\\":
            at += 1
            if at == len(text):
                _bad("ends in a backslash")
            char = text[at]
        word += char
        at += 1
    return word, None


class TasksMax(NamedTuple):
    tasks: Optional[int]  # UNLIMITED for infinity; None: a share of what the machine allows
    share: int  # hundredths of a percent

    def resolve(self, machine: int) -> int:
        """Tasks. ``machine`` is min(threads-max, pid_max − 1, pids.max of the root group) (limits-util.c system_tasks_max)."""
        if self.tasks is not None:
            return self.tasks
        return machine if self.share == 10000 else machine * self.share // 10000

    def text(self) -> str:
        if self.tasks is not None:
            return "infinity" if self.tasks == UNLIMITED else str(self.tasks)
        return "%g%%" % (self.share / 100.0)


NO_TASKS_MAX = TasksMax(UNLIMITED, 0)
DEFAULT_TASKS_MAX = TasksMax(None, 1500)  # 15 %, systemd 231 and later


def parse_tasks_max(text: str) -> TasksMax:
    """The value of TasksMax= when it is not empty. Errors: BadValue."""
    if text == "infinity":
        return NO_TASKS_MAX
    try:
        return TasksMax(None, _permyriad(text))
    except BadValue:
        number = _count(text)
    if number <= 0 or number >= UNLIMITED:
        _bad("is out of range")
    return TasksMax(number, 0)


def _permyriad(text: str) -> int:
    if text.endswith("\u2031"):
        share = _int(text[:-1])
    elif text.endswith("\u2030"):
        share = _parts(text[:-1], 1)
    elif text.endswith("%"):
        share = _parts(text[:-1], 2)
    else:
        _bad("is not a share")
    return share if share <= 10000 else _bad("is above 100 %")


def _parts(text: str, places: int) -> int:
    whole, dot, fraction = text.partition(".")
    if dot and not (1 <= len(fraction) <= places and re.match(r"[0-9]+\Z", fraction)):
        _bad("is not a share")
    scale = 100 if places == 2 else 10
    return _int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if dot else 0)


def _int(text: str) -> int:
    number = parse_integer(text)
    return number if number <= 0x7FFFFFFF else _bad("is out of range")


# -- the other assignments ---------------------------------------------------------------------------------------

KILL_MODES = frozenset(("control-group", "process", "mixed", "none"))
SERVICE_TYPES = frozenset(("simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"))
RESTARTS = frozenset(("no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"))


def one_of(words: Iterable[str]) -> Callable[[str], Any]:
    allowed = frozenset(words)

    def parse_word(text: str) -> str:
        return text if text in allowed else _bad("is not one of %s" % ", ".join(sorted(allowed)))

    return parse_word


def parse_user(text: str) -> str:
    """src/basic/user-util.c valid_user_group_name, relaxed. A wrong one makes systemd refuse the unit (ENOEXEC)."""
    if re.match(r"[0-9]+\Z", text):
        return text if int(text) < 0xFFFFFFFF and int(text) != 0xFFFF and (text == "0" or text[0] != "0") else _bad("is no user")
    if text in (".", "..") or re.match(r"-[0-9]*\Z", text) or any(char in ":/" or char < " " or char == "\x7f" for char in text):
        _bad("is no user")
    return text


def parse_delegate(text: str) -> bool:
    """A list of controllers delegates too."""
    try:
        return parse_boolean(text)
    except BadValue:
        return True


def parse_pid_file(text: str) -> str:
    path = re.sub("/+", "/", text if text.startswith("/") else "/run/" + text)
    return "/run/" + path[9:] if path.startswith("/var/run/") else path
