# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy document: thresholds, wishes, allow-lists and waivers; one table says what may stand in it.

Front ends hand in plain data (YAML is parsed on the operator's side). No policy is needed: every setting has a default.
``Policy(document)`` validates and raises PolicyError with every mistake: its path, what is wrong, and the nearest key.
The JSON Schema is generated from the same table (schema.py).
"""

import fnmatch
import json
import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .digest import sha256
from .record import NamedTuple


class Setting(NamedTuple):
    key: str  # "family.name"
    kind: str  # see _KINDS
    default: Any
    unit: str
    help: str


SETTINGS = (
    Setting("zombies.warn", "count", 20, "zombies", "PH-ZMB-001: persistent zombies of one parent that warn, growing or not"),
    Setting("zombies.warn_growing", "count", 5, "zombies", "PH-ZMB-001: as few as these warn when they are old and growing"),
    Setting("zombies.old_after", "seconds", 600, "seconds", "PH-ZMB-001: a zombie is old after this time"),
    Setting("zombies.fail", "count", 100, "zombies", "PH-ZMB-001: persistent zombies of one parent that fail"),
    Setting("zombies.fail_share", "share", 0.10, "of a limit", "PH-ZMB-001: this part of the tightest limit they are charged to fails"),
    Setting("zombies.young_parent", "seconds", 60, "seconds", "PH-ZMB-001: below this age of the parent it is information only (a parallel build)"),
    Setting("zombies.exhaustion_warn", "days", 30, "days", "PH-ZMB-002: time to exhaustion that warns"),
    Setting("zombies.exhaustion_fail", "days", 7, "days", "PH-ZMB-002: time to exhaustion that fails"),
    Setting("zombies.init_patience", "seconds", 60, "seconds", "PH-ZMB-006: an init that has not reaped after this time does not reap"),
    Setting("headroom.warn", "share", 0.80, "of a limit", "used part of a limit that warns (users, units, threads-max, pid_max above 32768)"),
    Setting("headroom.fail", "share", 0.95, "of a limit", "used part of a limit that fails"),
    Setting("headroom.small_pid_max_warn", "share", 0.50, "of a limit", "PH-PID-002: the same where pid_max is at most 32768"),
    Setting("headroom.small_pid_max_fail", "share", 0.85, "of a limit", "PH-PID-002: the same where pid_max is at most 32768"),
    Setting("headroom.report_tasks", "count", 1000, "tasks", "PH-PID-004: units from this many tasks on are reported"),
    Setting("headroom.hidden_share", "share", 0.25, "of the tasks", "PH-LIM-002: tasks in user namespaces above this part of a user's tasks warn"),
    Setting("headroom.setuid_margin", "share", 0.05, "of the limit", "PH-LIM-011: a root daemon this near to the limit of its user fails"),
    Setting("open_files.warn", "share", 0.80, "of soft NOFILE", "PH-LIM-006"),
    Setting("open_files.fail", "share", 0.95, "of soft NOFILE", "PH-LIM-006"),
    Setting("open_files.ignore_below", "count", 64, "files", "PH-LIM-006: a soft limit below this is a sandbox, not a budget"),
    Setting("uninterruptible.warn", "count", 5, "tasks", "PH-PID-006: tasks of one program stuck in state D that warn"),
    Setting("uninterruptible.stuck_after", "seconds", 600, "seconds", "PH-PID-006: state D without running for this time is stuck"),
    Setting("clock.unsynchronised_after", "seconds", 3600, "seconds", "PH-TZ-011: uptime after which an unsynchronised clock fails"),
    Setting("zone.expected", "zone", None, "IANA name", "the zone that this host should be in; unset: sources need only agree"),
    Setting("zone.database_at_least", "release", None, "as 2025b", "PH-TZ-008: the newest release of the zone database in the fleet; older warns"),
    Setting("zone.utc_allowed", "names", ("postgres", "mysqld", "mariadbd", "mongod", "java"), "programs", "PH-TZ-005: may run in UTC by intention"),
    Setting("limits.units", "limits", {}, "unit → item → value", "limits that units should run with; validated and kept, no rule judges them yet"),
    Setting("limits.users", "limits", {}, "user → item → value", "limits that sessions of users should get; validated and kept, no rule judges them yet"),
    Setting("limits.interactive_only", "names", (), "users", "PH-LIM-003: limits.conf entries of these are meant for logins only"),
    Setting("tasks.ignore_below", "count", 16, "tasks", "PH-SYS-004: a TasksMax below this is a sandbox, not a budget"),
    Setting("outer_limits_watched", "flag", False, "",
            "limits around a container that is audited from inside are watched on the machine outside: not unknown here"),
    Setting("restarts.warn", "count", 3, "restarts", "PH-SYS-007: restarts by systemd since the last audit that warn"),
    Setting("restarts.owned", "names", (), "units", "PH-SYS-007, PH-ZMB-007: units whose scheduled restarts somebody owns"),
    Setting("units.singletons", "names", (), "units", "services of which one instance may run"),
    Setting("units.leftovers_allowed", "names",
            ("ssh*", "sshd*", "cron*", "crond*", "atd*", "docker*", "containerd*", "libvirtd*", "rescue*", "emergency*", "debug-shell*"),
            "unit patterns", "PH-SYS-006: processes left in these are wanted"),
    Setting("units.drain_time", "seconds", 3600, "seconds", "PH-ORP-005: an old generation may finish its work for this long"),
    Setting("sessions.warn", "count", 50, "sessions", "PH-SES-001: leaked sessions that warn"),
    Setting("sessions.fail", "count", 1000, "sessions", "PH-SES-001: leaked sessions that fail"),
    Setting("sessions.warn_share", "share", 0.10, "of SessionsMax", "PH-SES-001: leaked sessions that warn"),
    Setting("sessions.fail_share", "share", 0.50, "of SessionsMax", "PH-SES-001: leaked sessions that fail"),
    Setting("sessions.scopes_warn", "count", 200, "scopes", "PH-SES-004: session scopes without a process that warn"),
    Setting("sessions.scopes_fail", "count", 2000, "scopes", "PH-SES-004: session scopes without a process that fail"),
    Setting("sessions.per_hour", "count", 600, "jobs an hour", "PH-SES-003: cron jobs that each open a session, and warn"),
    Setting("sessions.errors", "count", 3, "errors", "PH-SES-005: sessions that could not be opened in a day, in two hours or more"),
    Setting("sessions.blocked_after", "seconds", 600, "seconds", "PH-SES-006: uptime after which blocked logins fail"),
    Setting("sessions.logind_warn", "count", 100, "MiB", "PH-SES-002: memory of logind that warns"),
    Setting("sessions.logind_fail", "count", 1024, "MiB", "PH-SES-002: memory of logind that fails"),
    Setting("processes.ignore", "names", (), "command names", "programs that no rule should speak of; validated and kept, no rule passes them over yet"),
    Setting("sixteen_bit_pids", "flag", False, "", "PH-PID-003: software here needs pid_max at most 32768"),
    Setting("patch_window", "days", 30, "days", "time an update may wait for a restart"),
    Setting("quorum_groups", "quorums", {}, "name → voters, units, probe",
            "hosts of which a majority must be up, and what makes one of them count: no plan and no run takes a group below it"),
    Setting("fleet.interval", "seconds", 86400, "seconds", "PH-FLT-008: time between two audits of a host; after two of them it is stale"),
    Setting("fleet.unknown", "share", 0.10, "of the rules", "PH-FLT-008: rules that could not be judged on a host, from which it is blind"),
    Setting("fleet.smallest_group", "count", 5, "hosts", "PH-FLT-001, 002, 003, 007: fewer hosts agree on nothing"),
    Setting("fleet.minority", "share", 0.20, "of a group", "PH-FLT-001, 003, 007: those who differ are told up to this part, more are another way of doing it"),
    Setting("fleet.leaking", "share", 0.30, "of a group", "PH-FLT-002: from this part on it is the software that leaks, not the host"),
    Setting("fleet.geo_groups", "names", ("geo", "geo-*", "geo_*", "zone=*"), "group patterns", "PH-FLT-003: hosts of these live in zones of their own"),
    Setting("fleet.maintenance", "names", ("maintenance",), "group patterns", "PH-FLT-008: hosts of these may be silent"),
    Setting("store.keep", "days", 396, "days", "how long the store of the fleet keeps runs; 0: for ever"),
    Setting("store.keep_documents", "days", 0, "days", "how long it keeps the results as they were received; 0: as long as the run"),
    Setting("controls", "controls", {}, "rule → control ids", "mapping of rules to the ids of CIS, PCI, ISO …"),
    Setting("waivers", "waivers", (), "", "findings that somebody accepts until a date: they stay visible"),
)

# Forms of values, as both Python and JSON Schema read them.
RELEASE = r"^(19|20)\d\d[a-z]?$"
ZONE = r"^[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+){0,3}$"
LIMIT = r"^(\d+|infinity)(:(\d+|infinity))?$"
DAY = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"

PROBE = r"^(tcp:[1-9][0-9]{0,4}|http://[A-Za-z0-9.:\[\]_-]+(/[!-~]*)?)$"

BY_KEY = {setting.key: setting for setting in SETTINGS}
WAIVER_FIELDS = {
    "rule": True, "subject": False, "host": False, "group": False, "justification": True, "owner": True, "expires": True,
}  # name to required
QUORUM_FIELDS = ("voters", "units", "probe")


class Mistake(NamedTuple):
    path: str  # in the document, as "zombies.warn" or "waivers[0].expires"
    message: str


class PolicyError(Exception):
    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super(PolicyError, self).__init__("; ".join("%s: %s" % mistake for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class Waiver(NamedTuple):
    rule: str
    subject: str
    host: str
    group: str
    justification: str
    owner: str
    expires: str  # YYYY-MM-DD, the last day on which it holds

    def matches(self, rule: str, subject: str, host: str, tags: Sequence[str]) -> bool:
        return (
            fnmatch.fnmatchcase(rule, self.rule) and fnmatch.fnmatchcase(subject, self.subject)
            and fnmatch.fnmatchcase(host, self.host) and (self.group == "*" or any(fnmatch.fnmatchcase(tag, self.group) for tag in tags))
        )


class Policy(object):
    """``policy["zombies.warn"]`` is the value in force. Errors: PolicyError from the constructor, KeyError for a setting that does not exist."""

    def __init__(self, document: Optional[Dict[str, Any]] = None) -> None:
        mistakes = list(check(document))
        if mistakes:
            raise PolicyError(mistakes)
        self.document = document or {}
        self._values = dict(_flatten(self.document))

    def __getitem__(self, key: str) -> Any:
        setting = BY_KEY[key]
        return self._values.get(key, setting.default)

    def is_set(self, key: str) -> bool:
        return key in self._values

    def waivers(self) -> List[Waiver]:
        return [
            Waiver(each["rule"], each.get("subject", "*"), each.get("host", "*"), each.get("group", "*"),
                   each["justification"], each["owner"], str(each["expires"]))
            for each in self["waivers"]
        ]

    def digest(self) -> str:
        """Of the document's meaning, not of its layout; the same for "no policy" everywhere."""
        canonical = json.dumps(self.document, sort_keys=True, default=str)
        return "sha256:" + sha256(canonical.encode("utf-8")).hexdigest()[:16]


def _flatten(document: Dict[str, Any]) -> Iterator[Tuple[str, Any]]:
    for name, value in document.items():
        if name in BY_KEY:
            yield name, value
        elif isinstance(value, dict):
            for inner, inner_value in value.items():
                yield "%s.%s" % (name, inner), inner_value


def check(document: Any) -> Iterator[Mistake]:
    """Every mistake in a policy document."""
    if document is None:
        return
    if not isinstance(document, dict):
        yield Mistake("policy", "must be a mapping of settings, not %s" % _kind_name(document))
        return
    families = {key.split(".")[0] for key in BY_KEY if "." in key}
    for name in sorted(document, key=str):
        value = document[name]
        if name in BY_KEY:
            yield from _check_value(BY_KEY[name], value)
        elif name in families:
            yield from _check_family(name, value)
        else:
            top = sorted(families | {key for key in BY_KEY if "." not in key})
            yield Mistake(str(name), "is no setting%s" % _nearest(str(name), top))


def _check_family(name: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(name, "must be a mapping of settings, not %s" % _kind_name(value))
        return
    for inner in sorted(value, key=str):
        key = "%s.%s" % (name, inner)
        if key in BY_KEY:
            yield from _check_value(BY_KEY[key], value[inner])
        else:
            known = sorted(each.split(".", 1)[1] for each in BY_KEY if each.startswith(name + "."))
            yield Mistake(key, "is no setting%s" % _nearest(str(inner), known))


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib  # only for mistakes

    close = difflib.get_close_matches(name, known, 1, 0.6)
    return "; did you mean %r?" % close[0] if close else "; known here: %s" % ", ".join(known)


def _kind_name(value: Any) -> str:
    if value is None:
        return "nothing"
    return {"dict": "a mapping", "list": "a list", "tuple": "a list", "str": "text", "bool": "true or false"}.get(
        type(value).__name__, "a number")


def _check_value(setting: Setting, value: Any) -> Iterator[Mistake]:
    return _KINDS[setting.kind](setting.key, value)


def _number(key: str, value: Any, minimum: float, whole: bool) -> Iterator[Mistake]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and isinstance(value, float) and not value.is_integer()):
        yield Mistake(key, "must be a %snumber, not %s" % ("whole " if whole else "", _kind_name(value)))
    elif not value >= minimum:  # also refuses not-a-number
        yield Mistake(key, "must be at least %g, not %r" % (minimum, value))


def _count(key: str, value: Any) -> Iterator[Mistake]:
    return _number(key, value, 1, True)


def _duration(key: str, value: Any) -> Iterator[Mistake]:
    return _number(key, value, 0, False)


def _share(key: str, value: Any) -> Iterator[Mistake]:
    mistakes = list(_number(key, value, 0, False))
    if not mistakes and value > 1:
        mistakes.append(Mistake(key, "is a part of a limit: between 0 and 1, not %r" % value))
    return iter(mistakes)


def _flag(key: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, bool):
        yield Mistake(key, "must be true or false, not %s" % _kind_name(value))


def _zone(key: str, value: Any) -> Iterator[Mistake]:
    if value is not None and not (isinstance(value, str) and re.match(ZONE, value)):
        yield Mistake(key, "must be the name of a zone, as Europe/Berlin")


def _release(key: str, value: Any) -> Iterator[Mistake]:
    if value is not None and not (isinstance(value, str) and re.match(RELEASE, value)):
        yield Mistake(key, "must be a release of the zone database, as 2025b")


def _names(key: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        yield Mistake(key, "must be a list of names")


LIMIT_ITEMS = (
    "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime tasks".split()
)


def _limits(key: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(key, "must be a mapping of names to limits, not %s" % _kind_name(value))
        return
    for name in sorted(value, key=str):
        items = value[name]
        if not isinstance(items, dict):
            yield Mistake("%s.%s" % (key, name), "must be a mapping of items to values, not %s" % _kind_name(items))
            continue
        for item in sorted(items, key=str):
            path = "%s.%s.%s" % (key, name, item)
            if item not in LIMIT_ITEMS:
                yield Mistake(path, "is no limit%s" % _nearest(str(item), LIMIT_ITEMS))
            elif isinstance(items[item], bool) or not re.match(LIMIT, str(items[item])):
                yield Mistake(path, "must be a number, infinity, or soft:hard, not %r" % (items[item],))


def _controls(key: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(key, "must be a mapping of rules to lists of control ids")
        return
    for name in sorted(value, key=str):
        if not isinstance(value[name], (list, tuple)) or not all(isinstance(each, str) for each in value[name]):
            yield Mistake("%s.%s" % (key, name), "must be a list of control ids")


def _quorums(key: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, dict):
        yield Mistake(key, "must be a mapping of names to groups, not %s" % _kind_name(value))
        return
    for name in sorted(value, key=str):
        path, group = "%s.%s" % (key, name), value[name]
        if not isinstance(group, dict):
            yield Mistake(path, "must be a mapping with voters, not %s" % _kind_name(group))
            continue
        for field in sorted(group, key=str):
            if field not in QUORUM_FIELDS:
                yield Mistake("%s.%s" % (path, field), "is no field of a group%s" % _nearest(str(field), sorted(QUORUM_FIELDS)))
        if not group.get("voters"):
            yield Mistake(path + ".voters", "is missing: the names of the hosts that vote, or patterns of them")
        for field in ("voters", "units"):
            if not isinstance(group.get(field, []), (list, tuple)) or not all(isinstance(each, str) and each for each in group.get(field, [])):
                yield Mistake("%s.%s" % (path, field), "must be a list of names")
        if "probe" in group and not (isinstance(group["probe"], str) and re.match(PROBE, group["probe"])):
            yield Mistake(path + ".probe", "must be tcp:PORT or http://ADDRESS, not %r" % (group["probe"],))


def _waivers(key: str, value: Any) -> Iterator[Mistake]:
    if not isinstance(value, (list, tuple)):
        yield Mistake(key, "must be a list")
        return
    for index, waiver in enumerate(value):
        path = "%s[%d]" % (key, index)
        if not isinstance(waiver, dict):
            yield Mistake(path, "must be a mapping with rule, justification, owner and expires")
            continue
        for name in sorted(waiver, key=str):
            if name not in WAIVER_FIELDS:
                yield Mistake("%s.%s" % (path, name), "is no field of a waiver%s" % _nearest(str(name), sorted(WAIVER_FIELDS)))
        for name in sorted(WAIVER_FIELDS):
            if WAIVER_FIELDS[name] and not waiver.get(name):
                yield Mistake("%s.%s" % (path, name), "is missing: a waiver needs %s" % name)
            elif name in waiver and name != "expires" and not isinstance(waiver[name], str):
                yield Mistake("%s.%s" % (path, name), "must be text, not %s" % _kind_name(waiver[name]))
        if waiver.get("expires") and not re.match(DAY, str(waiver["expires"])):
            yield Mistake("%s.expires" % path, "must be a day as 2027-03-31, not %r" % str(waiver["expires"]))


_KINDS = {
    "count": _count, "seconds": _duration, "days": _duration, "share": _share, "flag": _flag, "zone": _zone, "release": _release, "names": _names,
    "limits": _limits, "controls": _controls, "quorums": _quorums, "waivers": _waivers,
}
