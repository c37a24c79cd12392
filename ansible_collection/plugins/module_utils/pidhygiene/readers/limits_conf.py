# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""limits.conf and limits.d as pam_limits reads them, and what a session gets from them.

Everything here follows modules/pam_limits/pam_limits.c of Linux-PAM, release by release, and Debian's patches to it
(027 reset and explicit root, 032 and 040 EPERM, 008 chroot, nofile-fd-setsize-cap). Where the manual page and the code
differ, the code is followed. Nothing is judged: a line that does nothing is kept, with the reason.
"""

import re
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from ..host import Host, HostError, Missing
from ..model import UNLIMITED, Gap
from ..pattern import pattern
from ..record import NamedTuple
from .distribution import Distribution
from .packages import Packages, compare_versions, numbers, upstream
from .process_details import Limits
from .users import Account

CONFIG = "/etc/security/limits.conf"
CONFIG_FOLDER = "/etc/security/limits.d"
BUFFER = 1023  # characters that fgets(3) fits into LINE_LENGTH; the rest of a longer line is a line of its own (before 1.6.0)
FD_SETSIZE = 1024

# The order is the kernel's (include/uapi/asm-generic/resource.h), in which limits are set.
RLIMITS = ("cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue",
           "nice", "rtprio", "rttime")
LOGINS = ("maxlogins", "maxsyslogins")  # one slot for both: the stronger line wins, whichever of the two it names
IN_KIB = frozenset(("fsize", "data", "stack", "core", "rss", "memlock", "as"))

SOFT, HARD = "soft", "hard"

# How strong a line is: a weaker class never overrides a stronger one, whatever the order (LIMITS_DEF_* in pam_limits.c).
USER, GROUP, ALL_GROUP, ALL, DEFAULT, KERNEL, NONE = range(7)
CLASS_NAMES = ("user", "group", "%group", "%", "*", "process 1", "none")

# What pam_limits makes of a line.
LIMIT, NO_LIMITS, IGNORED = "limit", "no limits", "ignored"

# Why it ignores one. The first is logged as a warning, the others at debug level only: nobody sees them.
BAD_FIELDS, BAD_RANGE, BAD_ITEM, BAD_TYPE, BAD_VALUE = (
    "not four fields", "no valid range", "unknown item", "unknown type", "value is no number")


class Flavour(NamedTuple):
    """How this host's pam_limits differs from the others."""

    version: Tuple[int, ...]  # of Linux-PAM
    debian: bool  # chroot item; `*`, `@` and `%` spare root; setrlimit's EPERM is passed over
    resets: bool  # every session first gets the limits of process 1 (Debian and Ubuntu before 1.7.0)
    vendor: Optional[str] = None  # second place for limits.conf and limits.d, where the distribution builds one in
    certain: bool = True  # False: the version follows from the release of the distribution, and a vendor backports fixes

    @property
    def splits_long_lines(self) -> bool:
        return self.version < (1, 6)

    @property
    def trims_value(self) -> bool:
        """1.6.0 alone takes the blanks around a value for a part of it."""
        return self.version >= (1, 6, 1)

    @property
    def missing_file_refuses(self) -> bool:
        return self.version < (1, 5, 3)

    @property
    def nofile_unlimited_is_nr_open(self) -> bool:
        return self.version >= (1, 5, 2) or not self.certain

    @property
    def items(self) -> Tuple[str, ...]:
        items: Tuple[str, ...] = RLIMITS[:-1] + LOGINS + ("priority",)
        if self.version >= (1, 7, 1):
            items += ("rttime",)
        if self.version >= (1, 5):
            items += ("nonewprivs",)
        return items + ("chroot",) if self.debian else items


# Linux-PAM by major release, where no package version can be read; 1.1.8 and 1.3.1 are those of the vendors' spec files.
_RELEASES: Dict[str, Dict[int, Tuple[int, ...]]] = {
    "rhel": {6: (1, 1, 1), 7: (1, 1, 8), 8: (1, 3, 1), 9: (1, 5, 1), 10: (1, 6, 1)},
    "amzn": {2: (1, 1, 8), 2023: (1, 5, 1)},
}


def flavour_of(distribution: Distribution, packages: Packages) -> Optional[Flavour]:
    """None when neither the package nor the release tells the version."""
    version = packages.versions.get("libpam-modules")
    if version is not None:
        number = numbers(upstream(version))
        return Flavour(number, True, compare_versions(version, "1.7.0-1") < 0) if number else None
    for name in distribution.family:
        release = _RELEASES.get(name, {}).get(distribution.major)
        if release is not None:
            return Flavour(release, False, False, "/usr/share/security" if release >= (1, 5, 3) else None, certain=False)
        if name in _RELEASES:
            return None
    return None


class Line(NamedTuple):
    """One line that is neither empty nor a comment. Texts are as written; type, item and value in lower case, as pam_limits takes them."""

    file: str
    number: int
    domain: str
    type: str
    item: str
    value: str
    makes: str  # LIMIT, NO_LIMITS, IGNORED
    why: str  # of an ignored line
    effect: Optional[int]  # the number that is set: bytes, seconds, counts; None where the value is not a number (chroot)

    @property
    def place(self) -> str:
        return "%s:%d" % (self.file, self.number)

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.domain, self.type, self.item, self.value) if part)


class Source(NamedTuple):
    """One file, or why there is none."""

    path: str
    lines: Tuple[Line, ...]
    problem: str = ""  # "", or the reason of the error
    missing: bool = False
    mtime: float = 0.0  # seconds since the epoch


class LimitsConf(NamedTuple):
    flavour: Optional[Flavour]  # None: which pam this is could not be found out; lines are then read as the newest would
    sources: Tuple[Source, ...]  # limits.conf and limits.d, in the order they are read
    named: Dict[str, Source]  # files that a service names with conf=
    gaps: Tuple[Gap, ...]

    @property
    def lines(self) -> Tuple[Line, ...]:
        return tuple(line for source in self.sources for line in source.lines)

    def sources_for(self, arguments: Sequence[str]) -> Tuple[Source, ...]:
        """What a session reads whose stack calls pam_limits with these arguments."""
        path = conf_argument(arguments)
        if path is None:
            return self.sources
        return (self.named.get(path, Source(path, (), "not read")),)


def conf_argument(arguments: Sequence[str]) -> Optional[str]:
    """The file named with conf=; the last one counts."""
    paths = [argument[len("conf="):] for argument in arguments if argument.startswith("conf=")]
    return paths[-1] if paths else None


# -- reading ---------------------------------------------------------------------------------------------------


def read(host: Host, flavour: Optional[Flavour], named: Iterable[str] = ()) -> LimitsConf:
    """``named``: files that services name with conf=. Never raises."""
    reading = flavour or Flavour((99,), False, False)
    gaps = [] if flavour else [Gap("pam_limits", "the version of pam is not known")]
    sources = []
    for path in _config_files(host, reading, gaps):
        sources.append(_source(host, path, reading, gaps))
    others = {path: _source(host, path, reading, gaps) for path in sorted(set(named))}
    return LimitsConf(flavour, tuple(sources), others, tuple(gaps))


def _config_files(host: Host, flavour: Flavour, gaps: List[Gap]) -> List[str]:
    main = CONFIG
    folders = [CONFIG_FOLDER]
    if flavour.vendor and flavour.version >= (1, 5, 3):
        folders.append(flavour.vendor + "/limits.d")
        try:
            if not host.exists(CONFIG):
                main = flavour.vendor + "/limits.conf"
        except HostError as error:
            gaps.append(Gap(error.path, error.reason))
    names: Dict[str, str] = {}
    for folder in folders:
        try:
            for name in host.list(folder):
                if name.endswith(".conf") and not name.startswith("."):  # as the pattern *.conf of glob(7)
                    names.setdefault(name, "%s/%s" % (folder, name))
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(folder, error.reason))
    in_byte_order = sorted(names, key=lambda name: name.encode("utf-8", "surrogateescape"))
    return [main] + [names[name] for name in in_byte_order]


def _source(host: Host, path: str, flavour: Flavour, gaps: List[Gap]) -> Source:
    try:
        data = host.read(path)
        return Source(path, parse(data, path, flavour), mtime=host.stat(path).mtime)
    except Missing as error:
        return Source(path, (), error.reason, missing=True)
    except HostError as error:
        if _is_directory(host, path):
            return Source(path, ())  # fopen(3) opens it, and no line can be read
        gaps.append(Gap(path, error.reason))
        return Source(path, (), error.reason)


def _is_directory(host: Host, path: str) -> bool:
    try:
        return host.stat(path).kind == "dir"
    except HostError:
        return False


# -- one file ----------------------------------------------------------------------------------------------------


def parse(data: bytes, path: str, flavour: Flavour) -> Tuple[Line, ...]:
    """Never raises; bytes that are not UTF-8 survive as surrogates."""
    return tuple(_line(path, number, piece, flavour) for number, piece in _pieces(data, flavour))


def _pieces(data: bytes, flavour: Flavour) -> Iterator[Tuple[int, bytes]]:
    """Number and relevant part of each line that has one."""
    for number, whole in enumerate(data.split(b"\n"), 1):
        for piece in _chunks(whole) if flavour.splits_long_lines else (whole,):
            kept = piece.partition(b"\0")[0].lstrip(b" \t\n\v\f\r").partition(b"#")[0]
            if kept:
                yield number, kept


def _chunks(line: bytes) -> Iterator[bytes]:
    for start in range(0, max(len(line), 1), BUFFER):
        yield line[start:start + BUFFER]


def _fields(piece: bytes, flavour: Flavour) -> List[bytes]:
    if flavour.splits_long_lines:  # sscanf("%s%s%s%s"): what follows the fourth word is not looked at
        return re.split(b"[ \t\n\v\f\r]+", piece.strip(b" \t\n\v\f\r"))[:4]
    words = re.split(b"[ \t]+", piece.lstrip(b" \t"), maxsplit=3)
    if len(words) < 4:
        return [word for word in words if word]
    if flavour.trims_value:
        value = words[3].strip(b" \t")
    else:
        before = re.match(b"[ \t]*(?:[^ \t]+[ \t]+){2}[^ \t]+[ \t]", piece)
        value = piece[before.end():] if before else words[3]
    return words[:3] + ([value] if value else [])


def _line(path: str, number: int, piece: bytes, flavour: Flavour) -> Line:
    fields = _fields(piece, flavour)
    domain, kind, item, value = [field.decode("utf-8", "surrogateescape") for field in fields + [b""] * (4 - len(fields))]
    kind, item, value = _lower(kind), _lower(item), _lower(value)
    makes, why, effect = _made_of(domain, kind, item, value, len(fields), flavour)
    return Line(path, number, domain, kind, item, value, makes, why, effect)


def _made_of(domain: str, kind: str, item: str, value: str, fields: int, flavour: Flavour) -> Tuple[str, str, Optional[int]]:
    if uid_range(domain) is INVALID_RANGE:
        return IGNORED, BAD_RANGE, None
    if fields == 2 and kind.startswith("-"):
        return NO_LIMITS, "", None
    if fields != 4:
        return IGNORED, BAD_FIELDS, None
    if item not in flavour.items:
        return IGNORED, BAD_ITEM, None
    if kind not in (SOFT, HARD, "-") and item not in LOGINS and item != "nonewprivs":
        return IGNORED, BAD_TYPE, None
    if item == "chroot":
        return LIMIT, "", None
    effect = effect_of(item, value)
    return (IGNORED, BAD_VALUE, None) if effect is None else (LIMIT, "", effect)


def _lower(text: str) -> str:
    """tolower(3) in the C locale."""
    return "".join(char.lower() if "A" <= char <= "Z" else char for char in text)


class Range(NamedTuple):
    kind: str  # "one", "from", "between"
    low: int
    high: int


INVALID_RANGE = Range("invalid", 0, 0)


def uid_range(domain: str) -> Optional[Range]:
    """The range that a domain stands for (parse_uid_range): None without a colon, INVALID_RANGE when the line is skipped for it."""
    if ":" not in domain:
        return None
    text = domain[1:] if domain[0] in "@%" else domain
    low_text, _colon, high_text = text.partition(":")
    exact = text.startswith(":")
    low = 0 if exact else _whole_number(low_text)
    if low is None:
        return INVALID_RANGE
    if not high_text:
        return INVALID_RANGE if exact else Range("from", _uid(low), 0)
    high = _whole_number(high_text)
    if high is None:
        return INVALID_RANGE
    return Range("one", _uid(high), _uid(high)) if exact else Range("between", _uid(low), _uid(high))


def _uid(number: int) -> int:
    return number & 0xFFFFFFFF  # uid_t


_NUMBER = pattern("[ \t\n\v\f\r]*([+-]?)([0-9]+)")


def _whole_number(text: str) -> Optional[int]:
    """strtoul(3) that must take the whole text and fit."""
    found = _NUMBER.match(text)
    if not found or found.end() != len(text) or int(found.group(2)) >= 2 ** 64:
        return None
    return _unsigned(found.group(1), int(found.group(2)))


def _unsigned(sign: str, number: int) -> int:
    """strtoull(3): a minus sign is taken, and wraps; what does not fit is the largest."""
    if number >= 2 ** 64:
        return UNLIMITED
    return (2 ** 64 - number) % 2 ** 64 if sign == "-" else number


def effect_of(item: str, value: str) -> Optional[int]:
    """The number a value stands for, in the kernel's unit; None when pam_limits rejects it. A tail after the digits is not seen."""
    if item == "nonewprivs":
        return 1 if value == "1" else 0
    if item not in ("priority", "nice") and value in ("-1", "-", "unlimited", "infinity"):
        return -1 if item in LOGINS else UNLIMITED
    found = _NUMBER.match(value)
    if not found:
        return None
    sign, digits = found.groups()
    if item in LOGINS or item in ("priority", "nice"):
        number = max(min(int(sign + digits), 2 ** 31 - 1), -2 ** 31)
        return 20 - max(min(number, 19), -20) if item == "nice" else number
    return _scaled(item, _unsigned(sign, int(digits)))


def _scaled(item: str, number: int) -> int:
    factor = 60 if item == "cpu" else 1024 if item in IN_KIB else 1
    if factor > 1 and number >= UNLIMITED // factor:
        return UNLIMITED
    return number * factor


# -- one session -------------------------------------------------------------------------------------------------


class Loser(NamedTuple):
    line: Line
    part: str  # SOFT, HARD, or "" for what has no halves
    why: str


class Session(NamedTuple):
    """What a new session gets."""

    limits: Limits  # item to (soft, hard), for every item of the limits it started with
    opened: bool
    refusal: str  # why it is not opened; limits may have been set nevertheless
    exempt: Optional[Line]  # the no-limits line because of which nothing at all is applied
    winners: Dict[Tuple[str, str], Line]  # (item, part) to the line that set it
    losers: Tuple[Loser, ...]  # lines meant for this user that another one, or the kernel, overruled
    values: Dict[str, int]  # maxlogins, priority, nonewprivs, as far as lines set them
    not_raised: Tuple[str, ...]  # items that stay as they were because setrlimit is refused (EPERM)


def session_limits(
    sources: Sequence[Source],
    account: Account,
    flavour: Flavour,
    start: Limits,
    process_1: Optional[Limits],
    nr_open: int,
    arguments: Sequence[str] = (),
    may_raise: bool = True,
) -> Session:
    """What pam_limits makes of a session that is opened for ``account``.

    ``start``: limits of the process that opens it (sshd, login, su). ``process_1``: limits of PID 1, for a pam that resets to them.
    ``arguments``: those of pam_limits in the service's stack. ``may_raise``: the process has CAP_SYS_RESOURCE.
    """
    slots = _Slots(start, account, flavour, nr_open)
    if flavour.resets or "set_all" in arguments:
        slots.reset(process_1)
    must_exist = flavour.missing_file_refuses or conf_argument(arguments) is not None
    for source in sources:
        if source.problem and (must_exist or not source.missing):
            return Session(dict(start), False, "%s %s" % (source.path, source.problem), None, {}, (), {}, ())
        for line in source.lines:
            if line.makes == NO_LIMITS and _no_limits_for(line, account):
                return Session(dict(start), True, "", line, {}, (), {}, ())
            if line.makes == LIMIT:
                slots.take(line)
    return slots.session(may_raise)


def class_of(line: Line, account: Account, flavour: Flavour) -> Optional[int]:
    """How strongly a line speaks for this user, or None when it does not speak for him."""
    domain = line.domain
    if domain == account.name:
        return USER
    if flavour.debian and account.uid == 0:  # spares root `*` and groups; of "@0:" and "%0:" only the range is then looked at
        scope = uid_range(domain)
        return USER if scope is not None and _within(account.uid, scope) else None
    if domain.startswith("@"):
        return GROUP if _in_group(domain, account) else None
    if domain.startswith("%"):
        return _all_group_class(line, account)
    if domain == "*":
        return DEFAULT
    scope = uid_range(domain)
    return USER if scope is not None and _within(account.uid, scope) else None


def _all_group_class(line: Line, account: Account) -> Optional[int]:
    if line.item != "maxlogins":
        return None
    if line.domain == "%":
        return ALL
    scope = uid_range(line.domain)
    return ALL_GROUP if (scope is None or scope.kind == "one") and _in_group(line.domain, account) else None


def _in_group(domain: str, account: Account) -> bool:
    """A name or ``:gid`` asks for membership; ``min:`` and ``min:max`` look at the primary group only."""
    scope = uid_range(domain)
    if scope is None:
        return any(name == domain[1:] for name, _gid in account.groups)
    if scope.kind == "one":
        return any(gid == scope.high for _name, gid in account.groups)
    return _within(account.gid, scope)


def _within(number: int, scope: Range) -> bool:
    if scope.kind == "from":
        return number >= scope.low
    return scope.low <= number <= scope.high


def _no_limits_for(line: Line, account: Account) -> bool:
    """Root is not spared here, and % with a range is taken for a range of uids: the code for these lines is older than both."""
    if line.domain == account.name:
        return True
    if line.domain.startswith("@"):
        return _in_group(line.domain, account)
    scope = uid_range(line.domain)
    return scope is not None and _within(account.uid, scope)


class _Slot(object):
    """One half of one limit: its value and who set it."""

    def __init__(self, value: int) -> None:
        self.value = value
        self.strength = NONE
        self.line: Optional[Line] = None


# When /proc/1/limits cannot be read (Debian's fallback defaults).
_FALLBACK = {
    "cpu": (UNLIMITED, UNLIMITED), "fsize": (UNLIMITED, UNLIMITED), "data": (UNLIMITED, UNLIMITED), "rss": (UNLIMITED, UNLIMITED),
    "nproc": (UNLIMITED, UNLIMITED), "as": (UNLIMITED, UNLIMITED), "locks": (UNLIMITED, UNLIMITED), "memlock": (65536, 65536),
    "sigpending": (16382, 16382), "msgqueue": (819200, 819200), "core": (0, UNLIMITED), "stack": (8388608, UNLIMITED),
    "nofile": (1024, 1024),
}


class _Slots(object):
    """The state that pam_limits fills line by line."""

    def __init__(self, start: Limits, account: Account, flavour: Flavour, nr_open: int) -> None:
        self.start = start
        self.account = account
        self.flavour = flavour
        self.nr_open = nr_open
        self.slots: Dict[Tuple[str, str], _Slot] = {}
        for item, (soft, hard) in start.items():
            self.slots[(item, SOFT)], self.slots[(item, HARD)] = _Slot(soft), _Slot(hard)
        self.logins = _Slot(-2)
        self.others: Dict[str, Line] = {}
        self.losers: List[Loser] = []

    def reset(self, process_1: Optional[Limits]) -> None:
        found = process_1 or {}
        for item in self.start:
            if item in found:
                soft, hard = found[item]
                self._set_both(item, min(soft, FD_SETSIZE) if item == "nofile" and self.flavour.debian else soft, hard, KERNEL)
            elif self.flavour.debian and item in _FALLBACK:
                self._set_both(item, _FALLBACK[item][0], _FALLBACK[item][1], DEFAULT)

    def _set_both(self, item: str, soft: int, hard: int, strength: int) -> None:
        for part, value in ((SOFT, soft), (HARD, hard)):
            slot = self.slots[(item, part)]
            slot.value, slot.strength = value, strength

    def take(self, line: Line) -> None:
        strength = class_of(line, self.account, self.flavour)
        if strength is None:
            return
        if line.item in RLIMITS:
            self._take_limit(line, strength)
        elif line.item in LOGINS:
            self._put(self.logins, line, strength, "")
        else:  # priority, nonewprivs, chroot: the last line wins, whatever its class
            earlier = self.others.get(line.item)
            if earlier is not None:
                self.losers.append(Loser(earlier, "", "a later line counts: %s" % line.place))
            self.others[line.item] = line

    def _take_limit(self, line: Line, strength: int) -> None:
        if (line.item, SOFT) not in self.slots:
            return
        if line.type != HARD and not self._put(self.slots[(line.item, SOFT)], line, strength, SOFT):
            if line.type == "-":  # process_limit() returns at once: the hard half is not even looked at
                setter = self.slots[(line.item, SOFT)].line
                self.losers.append(Loser(line, HARD, "its soft half lost, and both halves go together%s" % _to(setter)))
            return
        if line.type != SOFT:
            self._put(self.slots[(line.item, HARD)], line, strength, HARD)

    def _put(self, slot: _Slot, line: Line, strength: int, part: str) -> bool:
        if slot.strength < strength:
            self.losers.append(Loser(line, part, "a %s line is stronger than a %s line%s" % (
                CLASS_NAMES[slot.strength], CLASS_NAMES[strength], _to(slot.line))))
            return False
        if slot.line is not None:
            why = "a later line counts" if slot.strength == strength else "a %s line is stronger than a %s line" % (
                CLASS_NAMES[strength], CLASS_NAMES[slot.strength])
            self.losers.append(Loser(slot.line, part, why + _to(line)))
        effect = line.effect or 0
        if line.item == "nofile" and effect == UNLIMITED and self.flavour.nofile_unlimited_is_nr_open:
            effect = self.nr_open
        slot.value, slot.strength, slot.line = effect, strength, line
        return True

    def session(self, may_raise: bool) -> Session:
        limits = dict(self.start)
        not_raised = []
        for item in RLIMITS:
            if item not in self.start:
                continue
            soft, hard = self.slots[(item, SOFT)], self.slots[(item, HARD)]
            if soft.strength == NONE and hard.strength == NONE:
                continue
            refused = hard.value > self.start[item][1] and not may_raise
            if refused or (item == "nofile" and hard.value > self.nr_open):  # kernel/sys.c do_prlimit
                not_raised.append(item)
            else:
                limits[item] = (min(soft.value, hard.value), hard.value)
        refusal = self._refusal(not_raised)
        return Session(limits, not refusal, refusal, None, self._winners(), tuple(self.losers), self._values(), tuple(not_raised))

    def _refusal(self, not_raised: Sequence[str]) -> str:
        if not_raised and not self.flavour.debian:
            return "setrlimit is refused for %s" % ", ".join(not_raised)
        if self.logins.line is not None and self.logins.value == 0 and self.account.uid != 0:
            return "%s allows no login" % self.logins.line.place
        return ""

    def _winners(self) -> Dict[Tuple[str, str], Line]:
        winners = {key: slot.line for key, slot in self.slots.items() if slot.line is not None}
        if self.logins.line is not None:
            winners[(self.logins.line.item, "")] = self.logins.line
        for item, line in self.others.items():
            winners[(item, "")] = line
        return winners

    def _values(self) -> Dict[str, int]:
        values = {item: line.effect for item, line in self.others.items() if line.effect is not None}
        if self.logins.line is not None:
            values[self.logins.line.item] = self.logins.value
        return values


def _to(line: Optional[Line]) -> str:
    return ": %s" % line.place if line is not None else ""
