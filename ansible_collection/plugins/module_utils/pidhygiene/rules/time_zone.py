# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-TZ: one host, one time zone; what disagrees, what is UTC in silence, and what still lives in the old zone."""

import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import of_users, wording
from ..facts_time import hours_changed, is_covered, previous_marks, remembered, zone_name
from ..model import (
    FAIL, HIGH, INFO, LOW, LOW_CONFIDENCE, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, WARN,
    Finding, Gap, NotApplicable, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..pattern import pattern
from ..readers import cron as crons
from ..readers import zone_database as zones
from ..readers.time_zone import ABSENT, COPY, DAEMON, JOBS, LINK, LOCALTIME, PROCESS, UNIT
from ..readers.zone_info import same_rules
from ..text import shown

NEEDS = ("time_zone", "clock")
TIMEZONE_FILE = "/etc/timezone"
DEBIAN_RECOMPUTES = 152  # cron 3.0pl1-152 asks for the offset every minute (Debian bug 1019716)
TOLERANCE_S = 60.0  # between a change of the zone and a start: clocks are stepped, packages unpacked, while a machine boots
BOOTING_S = 600.0

# Programs that know the zone once and for all, from their start on: Go, Java and Python's own time, and those that say so themselves.
CACHING = {
    "rsyslogd": "rsyslog", "syslog-ng": "syslog-ng", "mysqld": "MySQL", "mariadbd": "MariaDB", "java": "Java", "dockerd": "Docker",
    "containerd": "containerd", "kubelet": "kubelet", "fail2ban-server": "fail2ban", "salt-minion": "salt-minion",
    "salt-master": "salt-master", "supervisord": "supervisord", "mongod": "MongoDB", "telegraf": "telegraf", "grafana": "grafana",
}
WANTS_THE_ZONE = frozenset(
    ["cron", "crond", "rsyslogd", "syslog-ng", "mysqld", "mariadbd", "postgres", "mongod", "oracle", "java", "atd", "anacron"]
)
SERVICE_OF_FILE = {
    "cron": "cron", "crond": "crond", "cronie": "crond", "rsyslog": "rsyslogd", "syslog-ng": "syslog-ng", "mysql": "mysqld",
    "mariadb": "mariadbd", "postgresql": "postgres", "mongod": "mongod", "atd": "atd", "anacron": "anacron",
}
_UTC_WORDS = frozenset(["utc", "gmt", "uct", "zulu", "universal", "etc/utc", "etc/gmt", "etc/uct", "gmt0", "utc0"])
_SIGNED_GMT = pattern(r"^(?:Etc/)?GMT([+-])([1-9]\d?)$")
_NUMBER_NAME = pattern(r"^([+-])(\d\d)(\d\d)?$")


# -- how the rules speak of zones -----------------------------------------------------------------------------------


def _zone_gaps(evidence: Any, settings: bool) -> List[Verdict]:
    """What could not be read: of the zone itself, or of the places that set TZ."""
    gaps = tuple(gap for gap in evidence.time_zone.gaps if _about_settings(gap) == settings)
    if settings:
        gaps += tuple(gap for gap in of_users.unread_of_system(evidence) if gap.source.startswith("/"))
    return [Unknown(gaps)] if gaps else []


def _localtime_gaps(evidence: Any) -> List[Verdict]:
    gaps = tuple(gap for gap in evidence.time_zone.gaps if gap.source == LOCALTIME)
    return [Unknown(gaps)] if gaps else []


def _about_settings(gap: Gap) -> bool:
    return not gap.source.startswith((LOCALTIME, TIMEZONE_FILE, "/etc/sysconfig/clock", "/etc/adjtime", zones.DIRECTORY, "/proc/self/mountinfo"))


def _host_zone(evidence: Any) -> str:
    """The zone that programs without TZ are in, for a sentence."""
    localtime = evidence.time_zone.localtime
    if localtime.zone is None:
        return "UTC"
    return shown(zone_name(localtime) or "a zone without a name")


def _apart(evidence: Any, one: Any, other: Any) -> str:
    """How far two zones are apart now, for a sentence."""
    now = int(evidence.clock.wall)
    seconds = abs(one.shift(now) - other.shift(now))
    return "%s apart" % _hours(seconds) if seconds else "equal today, not all the year"


def _hours(seconds: float) -> str:
    hours = seconds / 3600.0
    return "%d h" % hours if hours == int(hours) else "%.1f h" % hours


def _offset(seconds: int) -> str:
    return "UTC%s%d%s" % ("+" if seconds >= 0 else "-", abs(seconds) // 3600, ":%02d" % (abs(seconds) % 3600 // 60) if seconds % 3600 else "")


def _set_zone(name: Optional[str]) -> Optional[Remedy]:
    return Remedy("time_zone", (("name", name),)) if name else None


def _is_utc(meaning: Any) -> bool:
    """A value that means UTC and says so, whether its file is installed or not."""
    return meaning.kind == zones.ASKED_UTC or meaning.name in ("Etc/UTC", "Etc/GMT", "Etc/UCT") or meaning.value.lstrip(":").lower() in _UTC_WORDS


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))


def _subject(setting: Any) -> Subject:
    if setting.scope == PROCESS:
        return Subject("process", "%s (%s)" % (setting.subject, ", ".join(map(str, setting.pids[:3]))), setting.subject)
    if setting.scope == UNIT:
        return Subject("unit", setting.subject)
    return Subject("file", setting.source)


def _where(setting: Any) -> str:
    """The subject and verb of a sentence about a setting."""
    if setting.scope == PROCESS:
        many = " (%s)" % wording.noun(setting.processes, "process", "processes") if setting.processes > 1 else ""
        return "%s%s runs with" % (shown(setting.subject), many)
    return "%s, line %d, sets" % (shown(setting.source), setting.line)


def _seen(setting: Any) -> Seen:
    name = setting.subject if setting.scope == JOBS else "TZ"
    return Seen(setting.source if not setting.line else "%s:%d" % (setting.source, setting.line), "%s=%s" % (name, shown(setting.meaning.value)))


# -- the sources of the zone ----------------------------------------------------------------------------------------


@rule(
    "PH-TZ-001", "Zone sources disagree", HIGH, "jobs run and logs are stamped at another hour than their readers think",
    NEEDS, ("distribution",),
)
def sources_disagree(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=False)
    zone = evidence.time_zone
    for named in zone.named:
        yield _compare_named(evidence, named)
    if zone.source(TIMEZONE_FILE) is None:
        yield _without_timezone_file(evidence)
    if zone.hardware_clock == "LOCAL":
        yield Finding(
            INFO, SEVERITY_INFO, Subject("file", "/etc/adjtime"),
            "The hardware clock keeps local time: it is an hour off after a change to or from summer time while the machine was off.",
            evidence=(Seen("/etc/adjtime", "LOCAL"),),
        )
    yield _compare_link(evidence)
    if policy["zone.expected"]:
        yield _compare_expected(evidence, policy["zone.expected"])


def _compare_named(evidence: Any, named: Any) -> Verdict:
    localtime, meaning = evidence.time_zone.localtime, named.meaning
    if meaning.kind == zones.UNSEEN:
        return Unknown((Gap(named.path, meaning.reason),))
    subject = Subject("file", named.path)
    proof = (Seen(named.path, shown(named.text) or "empty"), Seen(LOCALTIME, _localtime_text(localtime)))
    own_name = zone_name(localtime)
    if not named.text:
        return Finding(INFO, SEVERITY_INFO, subject, "%s is empty: programs that read it fall back to UTC or to %s." % (named.path, LOCALTIME), proof)
    same_name = evidence.time_zone.canonical(named.text) == own_name
    if same_name and (localtime.zone is not None or _is_utc(meaning)) or _is_utc(meaning) and localtime.zone is None:
        return Passed()
    if meaning.kind == zones.UNKNOWN:
        if not evidence.time_zone.installed:
            return NotApplicable("no zone database is installed: names cannot be compared by their rules")
        return Finding(
            WARN, MED, subject, "%s names %s, which is no zone that is installed here%s; the host runs in %s." % (
                named.path, shown(named.text), " (an old name, of the package tzdata-legacy)" if meaning.legacy else "", _host_zone(evidence)),
            proof, remedy=_set_zone(own_name))
    if same_rules(meaning.zone, localtime.in_force, evidence.clock.wall):
        return Finding(
            INFO, SEVERITY_INFO, subject, "%s says %s where %s is %s: other names for the same hours." % (
                named.path, shown(named.text), LOCALTIME, _host_zone(evidence)), proof)
    ignored = named.path != TIMEZONE_FILE and _ignores_sysconfig(evidence)
    return Finding(
        WARN if ignored else FAIL, MED if ignored else HIGH, subject,
        "%s says %s, but programs run in %s, %s: who reads that file (Java, Python's tzlocal, package scripts) works at the wrong hour; "
        "set one zone for both." % (named.path, shown(named.text), _host_zone(evidence), _apart(evidence, meaning.zone, localtime.in_force)),
        proof, remedy=_set_zone(own_name), references=("man:localtime(5)", "regebro/tzlocal#67", "regebro/tzlocal#166"),
    )


def _ignores_sysconfig(evidence: Any) -> bool:
    """Red Hat from 7 on leaves /etc/sysconfig/clock alone; before, an update of tzdata made /etc/localtime from it."""
    if not evidence.has("distribution"):
        return False
    family = evidence.distribution.family
    return "fedora" in family or ("rhel" in family and evidence.distribution.major >= 7)


def _localtime_text(localtime: Any) -> str:
    if localtime.kind == LINK:
        return "link to %s" % shown(localtime.link)
    if localtime.kind == COPY:
        return "a file with the %s as %s" % (localtime.match.kind, shown(localtime.match.names[0])) if localtime.match else "a file of its own"
    return str(localtime.problem or localtime.kind)


def _without_timezone_file(evidence: Any) -> Verdict:
    distribution = evidence.distribution if evidence.has("distribution") else None
    if distribution is None or distribution.id != "debian" or not 0 < distribution.major <= 12 or not evidence.time_zone.installed:
        return Passed()
    return Finding(
        INFO, SEVERITY_INFO, Subject("file", TIMEZONE_FILE),
        "%s is missing, which Debian %s normally has: tzdata writes it again when it is configured." % (TIMEZONE_FILE, shown(distribution.version)))


def _compare_link(evidence: Any) -> Verdict:
    """A bind mount over the file that the link leads to: glibc reads the content, Java and systemd the name of the link."""
    localtime = evidence.time_zone.localtime
    if not is_covered(localtime):
        return Passed()
    return Finding(
        WARN, HIGH, Subject("file", LOCALTIME),
        "%s is named %s, but what is mounted over it is %s: Java and systemd go by the name, everything else by the content." % (
            LOCALTIME, shown(localtime.name), shown(localtime.match.names[0])),
        (Seen(LOCALTIME, "link to %s" % shown(localtime.link)), Seen("/proc/self/mountinfo", ", ".join(map(shown, localtime.mounts)))),
    )


def _compare_expected(evidence: Any, expected: str) -> Verdict:
    found = zone_name(evidence.time_zone.localtime)
    if found is not None and evidence.time_zone.localtime.zone is not None and evidence.time_zone.canonical(expected) == found:
        return Passed()
    return Finding(
        FAIL, HIGH, Subject("file", LOCALTIME), "The host is in %s, the policy wants %s." % (_host_zone(evidence), expected),
        (Seen(LOCALTIME, _localtime_text(evidence.time_zone.localtime)), Seen("policy", "zone.expected: %s" % expected)),
        remedy=_set_zone(expected),
    )


@rule("PH-TZ-002", "localtime is a regular file", MED, "it stays behind when tzdata is updated, and timedatectl cannot name it", NEEDS)
def localtime_is_a_copy(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=False)
    localtime = evidence.time_zone.localtime
    if localtime.kind != COPY or localtime.zone is None:
        yield Passed()
        return
    subject, name = Subject("file", LOCALTIME), shown(localtime.match.names[0]) if localtime.match else ""
    proof = (Seen(LOCALTIME, "regular file, sha256 %s" % localtime.digest[:16]),)
    if localtime.mounts:
        yield Finding(INFO, SEVERITY_INFO, subject, "%s is mounted into this container%s: its host keeps it." % (
            LOCALTIME, " and is " + name if name else ""), proof)
    elif not evidence.time_zone.installed:
        yield Finding(INFO, SEVERITY_INFO, subject, "%s is a file, and no zone database is installed that it could link to." % LOCALTIME, proof)
    elif localtime.match is None:
        yield Finding(
            FAIL, MED, subject, "%s is a file that matches no installed zone: nobody can tell which zone it was, and updates of tzdata "
            "do not reach it; set the zone by name." % LOCALTIME, proof, references=("man:localtime(5)",))
    elif localtime.match.kind == zones.OLDER_RULES:
        yield Finding(
            FAIL, MED, subject, "%s is an old copy of %s, whose rules have changed since: this host keeps the wrong hours for a part of the "
            "year; make it a link." % (LOCALTIME, name), proof, remedy=_set_zone(localtime.match.names[0]), references=("man:localtime(5)",))
    else:
        yield Finding(
            WARN, MED, subject, "%s is a copy of %s instead of a link: updates of tzdata do not reach it and timedatectl shows no zone; "
            "make it a link." % (LOCALTIME, name), proof, remedy=_set_zone(localtime.match.names[0]), references=("man:localtime(5)",))


@rule("PH-TZ-003", "localtime missing, dangling or invalid", HIGH, "programs fall back to UTC in silence", NEEDS)
def localtime_unusable(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=False)
    localtime, subject = evidence.time_zone.localtime, Subject("file", LOCALTIME)
    if localtime.kind == ABSENT:
        yield Finding(INFO, SEVERITY_INFO, subject, "%s does not exist: this host is in UTC." % LOCALTIME, (Seen(LOCALTIME, "does not exist"),))
        return
    if any(gap.source == LOCALTIME for gap in evidence.time_zone.gaps):
        return
    proof = (Seen(LOCALTIME, _localtime_text(localtime)), Seen("content", localtime.problem or "valid"))
    if localtime.zone is None and localtime.canonical in ("Etc/UTC", "UTC", "Etc/GMT", "GMT") and not evidence.time_zone.installed:
        yield Finding(INFO, SEVERITY_INFO, subject, "%s leads nowhere, because no zone database is installed; it means UTC, and that is what "
                      "programs use." % LOCALTIME, proof)
    elif localtime.zone is None:
        yield Finding(
            FAIL, HIGH, subject, "%s %s: every program here runs in UTC%s; %s." % (
                LOCALTIME, localtime.problem if localtime.problem.startswith(("leads", "is ")) else "cannot be used (%s)" % localtime.problem,
                ", not in " + shown(localtime.name) if localtime.name else "",
                "set the zone again" if evidence.time_zone.installed else "install tzdata"),
            proof, remedy=_set_zone(localtime.canonical or None), references=("man:localtime(5)", "man:tzset(3)"))
    elif localtime.kind == LINK and not localtime.name:
        yield Finding(
            FAIL, MED, subject, "%s leads to %s, outside of the zone database: glibc follows it, but timedatectl and systemd take the host to be "
            "in UTC; link to the zone itself." % (LOCALTIME, shown(localtime.link)),
            proof, remedy=_set_zone(zone_name(localtime)), references=("systemd time-util.c get_timezone",))
    else:
        yield Passed()


# -- TZ -------------------------------------------------------------------------------------------------------------


@rule(
    "PH-TZ-004", "TZ value that is silently UTC", HIGH, "a typing mistake moves every hour of a program, and nothing says so",
    NEEDS + ("processes",), ("cron",),
)
def tz_is_silently_utc(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=True)
    for setting in evidence.time_zone.settings:
        if setting.meaning is None:
            continue
        if setting.meaning.kind == zones.UNSEEN:
            yield Unknown((Gap(setting.source, setting.meaning.reason),))
        elif setting.meaning.kind == zones.UNKNOWN and not _is_utc(setting.meaning):
            yield _silent_utc(evidence, setting)
        elif setting.meaning.kind == zones.PARTLY:
            yield Finding(
                WARN, MED, _subject(setting), "%s TZ=%s, whose rules are not understood and ignored (now it is taken for %s); use the name of a zone." % (
                    _where(setting), shown(setting.meaning.value), _offset(setting.meaning.zone.shift(int(evidence.clock.wall)))),
                (_seen(setting),), references=("man:tzset(3)",))
        else:
            yield Passed()
    yield Passed()


def _silent_utc(evidence: Any, setting: Any) -> Finding:
    name = setting.subject if setting.scope == JOBS else "TZ"
    if setting.meaning.legacy:
        cure = "%s is an old name of %s, and the package tzdata-legacy is not installed; use the new name" % (
            shown(setting.meaning.value), shown(setting.meaning.name))
    elif not evidence.time_zone.installed and not setting.contained:
        cure = "no zone database is installed; install tzdata"
    else:
        cure = "there is no such zone%s; use a name that timedatectl list-timezones shows" % (" in its container" if setting.contained else "")
    return Finding(
        WARN if setting.contained else FAIL, MED if setting.contained else HIGH, _subject(setting),
        "%s %s=%s, which is UTC in silence: %s." % (_where(setting), name, shown(setting.meaning.value), cure),
        (_seen(setting), Seen(zones.DIRECTORY, "no %s" % shown(setting.meaning.value))),
        references=("man:tzset(3)", "glibc time/tzset.c"),
    )


@rule("PH-TZ-005", "TZ override differs from host", MED, "two clocks on one wall: schedules, logs and stored times do not match", NEEDS + ("processes",))
def tz_differs_from_host(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=True)
    yield from _localtime_gaps(evidence)
    host_zone = evidence.time_zone.localtime.in_force
    running = set()
    for setting in evidence.time_zone.settings:
        program = _program_of(setting)
        if program is None or setting.contained or setting.meaning is None or setting.meaning.kind == zones.UNKNOWN:
            continue
        if setting.meaning.zone is None:
            yield Unknown((Gap(setting.source, setting.meaning.reason),))
            continue
        allowed = any(program == each for each in policy["zone.utc_allowed"]) and _is_utc(setting.meaning)
        if allowed or same_rules(setting.meaning.zone, host_zone, evidence.clock.wall) or (program, setting.meaning.value) in running:
            yield Passed()
            continue
        running.add((program, setting.meaning.value))
        effect = "it starts jobs by that clock" if program in ("cron", "crond", "atd", "anacron") else "its stamps and schedules follow that clock"
        yield Finding(
            WARN, MED, _subject(setting), "%s TZ=%s, but the host is in %s, %s: %s; remove it, or allow it in the policy." % (
                _where(setting), shown(setting.meaning.value), _host_zone(evidence), _apart(evidence, setting.meaning.zone, host_zone), effect),
            (_seen(setting), Seen(LOCALTIME, _localtime_text(evidence.time_zone.localtime))), references=("man:environment(7)", "man:tzset(3)"))
    yield Passed()


def _program_of(setting: Any) -> Optional[str]:
    """The service that a setting is about, if it is one that the zone matters to."""
    if setting.scope == PROCESS:
        return setting.subject if setting.subject in WANTS_THE_ZONE else None
    if setting.scope == UNIT:
        return SERVICE_OF_FILE.get(setting.subject.rsplit(".", 1)[0].split("@")[0])
    if setting.scope == DAEMON:
        return SERVICE_OF_FILE.get(setting.source.rsplit("/", 1)[-1])
    return None


# -- what still lives in the old zone ---------------------------------------------------------------------------------


@rule(
    "PH-TZ-006", "cron still schedules in the old zone", HIGH, "every job runs at another hour than its crontab says",
    NEEDS + ("cron", "processes"), ("zone_changes", "packages"),
)
def cron_in_old_zone(evidence: Any, policy: Any) -> Iterator[Verdict]:
    if not evidence.cron.daemons:
        yield NotApplicable("no cron runs here")
    else:
        yield from _localtime_gaps(evidence)
    for daemon in evidence.cron.daemons:
        yield _judge_cron(evidence, daemon)
    if evidence.previous is None:
        yield NotApplicable("that the zone's own rules changed needs marks of an earlier audit")


def _judge_cron(evidence: Any, daemon: Any) -> Verdict:
    keeps = keeps_its_offset(evidence.cron, daemon)
    if keeps is None and (daemon.implementation == crons.DEBIAN_CRON or evidence.cron.gaps):
        return Unknown(tuple(evidence.cron.gaps) or (Gap("/var/lib/dpkg/status", "version of cron not known"),))
    if keeps is None:
        return NotApplicable("it is not known whether this cron (%s) follows a change of the zone" % shown(daemon.implementation))
    if not keeps or has_own_zone(evidence, daemon.process.pid):
        return Passed()
    started = evidence.processes.started_at(daemon.process)
    change = _last_change(evidence, started, evidence.processes.age(daemon.process))
    if change is None or refreshed(evidence, change.at):
        return Passed()
    old = _old_offset(evidence)
    new = evidence.time_zone.localtime.in_force.shift(int(evidence.clock.wall))
    if old is not None and old == new:
        return Finding(INFO, SEVERITY_INFO, _cron_subject(daemon), "%s was started before the zone changed, but old and new zone have the same hours "
                       "today." % shown(daemon.process.comm), change.evidence)
    return _cron_finding(evidence, daemon, started, change, old, new)


def keeps_its_offset(cron: Any, daemon: Any) -> Optional[bool]:
    """Whether this cron goes on by the zone that it was started in; None where nobody knows."""
    if daemon.implementation == crons.DEBIAN_CRON:
        return None if cron.debian_revision is None else bool(cron.debian_revision < DEBIAN_RECOMPUTES)
    return True if daemon.implementation in (crons.CRONIE_CRON, crons.VIXIE) else None


def _cron_subject(daemon: Any) -> Subject:
    return Subject("process", "%s (%d)" % (daemon.process.comm, daemon.process.pid), daemon.process.comm)


def _cron_finding(evidence: Any, daemon: Any, started: float, change: Any, old: Optional[int], new: int) -> Finding:
    shift = ""
    if old is not None and old != new:
        # The daemon's clock shows the old wall time: what is due at 9:00 runs when that clock says 9:00.
        shift = ", %s %s than they should" % (_hours(abs(new - old)), "later" if new > old else "earlier")
    unit = "crond.service" if daemon.process.comm == "crond" else "cron.service"
    status, severity = {"certain": (FAIL, HIGH), "likely": (WARN, MED)}.get(change.sure, (INFO, SEVERITY_INFO))
    return Finding(
        status, severity, _cron_subject(daemon),
        "%s (%d) was started on %s, before the zone changed to %s on %s, and this cron keeps the old offset: jobs run by the old clock%s; "
        "restart %s and see that the process is a new one." % (
            shown(daemon.process.comm), daemon.process.pid, _day(started), _host_zone(evidence), _day(change.at), shift, unit),
        (Seen("/proc/%d/stat" % daemon.process.pid, "started %s" % _day(started)),
         Seen("cron", ("%s %s" % (daemon.implementation, evidence.cron.version)).strip())) + change.evidence,
        confidence="high" if change.sure == "certain" else MEDIUM_CONFIDENCE if change.sure == "likely" else LOW_CONFIDENCE,
        remedy=Remedy("restart", (("unit", unit),), disruptive=False), references=("man:cron(8)", "Debian bug 1019716", "cronie cron.c set_time"),
    )


class _Change(object):
    """A change of the host's zone after a program was started, and how sure it is: certain, likely, possible."""

    def __init__(self, at: float, sure: str, evidence: Tuple[Seen, ...]) -> None:
        self.at = at
        self.sure = sure
        self.evidence = evidence


def _last_change(evidence: Any, started: float, age: float) -> Optional[_Change]:
    """The last time that the hours of the host's zone changed after this start.

    With marks of an earlier audit a link that was only written again, or a file with other bytes and the same hours, is no change.
    """
    localtime = evidence.time_zone.localtime
    if localtime.own is None:
        return None
    tolerance = BOOTING_S if age > evidence.clock.boot - BOOTING_S else TOLERANCE_S  # the clock may have been stepped while it booted
    since = started + tolerance
    told = tuple(Seen("journal of systemd-timedated", "%s: %s" % (_day(change.at), shown(change.message)))
                 for change in (evidence.zone_changes if evidence.has("zone_changes") else ()) if change.at > since)
    marks = previous_marks(evidence)
    if marks and hours_changed(evidence, marks):
        at = max(localtime.changed or 0.0, marks.get("seen_at", 0))
        seen = Seen("marks of %s" % _day(marks["seen_at"]), "zone %s, content %s" % (shown(str(marks.get("name"))), shown(str(marks.get("digest")))[:16]))
        certain = marks["seen_at"] > since
        return _Change(at, "certain" if certain or told else "likely", (seen,) + told) if certain or at > since else None
    changed = marks.get("changed") if marks else localtime.own.ctime
    if isinstance(changed, (int, float)) and changed > since:
        own = Seen(LOCALTIME, "changed %s" % _day(changed))
        return _Change(changed, "certain" if told or marks.get("before") else "likely", (own,) + told)
    if not marks and localtime.changed is not None and localtime.changed > since:
        return _Change(localtime.changed, "possible", (Seen("zone file", "changed %s, as by every update of tzdata" % _day(localtime.changed)),))
    return None


def _old_zone(evidence: Any, moment: float) -> Optional[Tuple[int, bool]]:
    """Offset and summer time that the zone before the change gives: from the last audits, else from /etc/timezone where nobody corrected it."""
    localtime, marks, now = evidence.time_zone.localtime, previous_marks(evidence), int(evidence.clock.wall)
    if marks and hours_changed(evidence, marks):
        return remembered(marks["offsets"], moment)
    if marks and isinstance(marks.get("before"), list):
        return remembered(marks["before"], moment)
    named = evidence.time_zone.source(TIMEZONE_FILE)
    if named is not None and named.meaning.zone is not None and named.meaning.kind in (zones.ZONE, zones.POSIX):
        if named.meaning.zone.shift(now) != localtime.in_force.shift(now):
            return named.meaning.zone.shift(int(moment)), named.meaning.zone.at(int(moment))[1]
    return None


def _old_offset(evidence: Any) -> Optional[int]:
    old = _old_zone(evidence, evidence.clock.wall)
    return old[0] if old is not None else None


def refreshed(evidence: Any, changed: float) -> bool:
    """Both crons ask again when summer time begins or ends, and when the change itself was one from winter to summer (set_time)."""
    zone, now = evidence.time_zone.localtime.in_force, int(evidence.clock.wall)
    after = zone.at(int(changed))[1]
    old = _old_zone(evidence, changed)
    return (old is not None and old[1] != after) or any(zone.at(moment)[1] != after for moment in zone.changes(int(changed), now))


@rule(
    "PH-TZ-007", "Other daemons cache the zone", MED, "logs, bans and stored times are off until they are restarted",
    NEEDS + ("processes",), ("zone_changes", "details"),
)
def daemons_in_old_zone(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=False)
    localtime, marks = evidence.time_zone.localtime, previous_marks(evidence)
    if not marks:
        yield NotApplicable("that the content changed in place needs marks of an earlier audit")
    elif _replaced_in_place(localtime, marks):
        yield Finding(
            WARN, MED, Subject("file", LOCALTIME),
            "The content of %s was replaced, but its inode and time stayed the same: even programs that look again miss it; restart all that "
            "show or use the time." % LOCALTIME, (Seen(LOCALTIME, "sha256 %s" % localtime.digest[:16]), Seen("marks", shown(str(marks.get("digest")))[:16])))
    stale: Dict[str, List[Any]] = {}
    sure = set()
    changed = 0.0
    for process in evidence.processes.live():
        status = evidence.processes.status.get(process.pid)
        if process.comm not in CACHING or (status is not None and len(status.ns_pids) > 1) or has_own_zone(evidence, process.pid):
            continue
        change = _last_change(evidence, evidence.processes.started_at(process), evidence.processes.age(process))
        if change is None or _old_offset(evidence) == localtime.in_force.shift(int(evidence.clock.wall)):
            continue
        sure.add(change.sure)
        changed = max(changed, change.at)
        stale.setdefault(process.comm, []).append(process)
    if stale:
        yield _stale_daemons(evidence, stale, sure, changed)
    else:
        yield Passed()


def has_own_zone(evidence: Any, pid: int) -> bool:
    """A TZ of its own that does not lead back to /etc/localtime: then a change of the host's zone is nothing to it."""
    return any(
        setting.scope == PROCESS and pid in setting.pids and setting.meaning.kind != zones.HOST_ZONE for setting in evidence.time_zone.settings)


def _replaced_in_place(localtime: Any, marks: Dict[str, Any]) -> bool:
    if localtime.target is None or not localtime.digest or marks.get("digest") in (None, "", localtime.digest):
        return False
    return bool(marks.get("file") == [localtime.target.dev, localtime.target.ino, int(localtime.target.mtime)])


def _stale_daemons(evidence: Any, stale: Dict[str, List[Any]], sure: Any, changed: float) -> Finding:
    names = ", ".join("%s (%s)" % (CACHING[comm], ", ".join(str(each.pid) for each in stale[comm][:3])) for comm in sorted(stale))
    certain = bool(sure & {"certain", "likely"})
    named = {wording.unit_of(evidence, each.pid) or "" for comm in stale for each in stale[comm]}
    units = sorted(unit for unit in named if unit.endswith(".service") and wording.of_user(evidence, unit) is None)
    return Finding(
        WARN if certain else INFO, MED if certain else SEVERITY_INFO, Subject("host", "daemons older than the zone", "daemons older than the zone"),
        "%s %s started before the zone %s on %s and %s at their start: restart %s when it suits." % (
            names, "were" if len(stale) > 1 else "was", "changed" if certain else "file was written", _day(changed),
            "read the zone only", "them" if len(stale) > 1 else "it"),
        tuple(Seen("/proc/%d/stat" % each.pid, "%s, started %s" % (shown(each.comm), _day(evidence.processes.started_at(each))))
              for comm in sorted(stale) for each in stale[comm][:3])[:10],
        confidence=MEDIUM_CONFIDENCE if certain else LOW_CONFIDENCE, references=("man:tzset(3)", "glibc time/tzfile.c"),
        remedy=Remedy("restart", (("units", units),), disruptive=True) if units else None,
    )


# -- the database, the jobs, the signs, the clock --------------------------------------------------------------------


@rule(
    "PH-TZ-008", "Zone database is stale", LOW,
    "governments change hours at short notice, and only the newest database of the fleet knows whether a zone in use is among them", NEEDS,
)
def database_stale(evidence: Any, policy: Any) -> Iterator[Verdict]:
    zone, wanted = evidence.time_zone, policy["zone.database_at_least"]
    source = zones.DIRECTORY + "/tzdata.zi"
    gaps = tuple(gap for gap in zone.gaps if gap.source == source)
    if gaps:
        yield Unknown(gaps)
    elif not zone.installed:
        yield NotApplicable("no zone database is installed")
    elif not zone.database:
        yield NotApplicable("this zone database does not tell its release (no tzdata.zi)")
    elif wanted and zone.database < wanted:
        yield Finding(
            WARN, LOW, Subject("host", "zone database"), "The zone database is of release %s, others have %s: update tzdata, then look at PH-TZ-002 "
            "and PH-TZ-007." % (shown(zone.database), wanted),
            (Seen(source, "version %s" % shown(zone.database)), Seen("policy", "zone.database_at_least: %s" % wanted)),
            references=("man:zdump(8)", "https://www.iana.org/time-zones"))
    else:
        yield Passed()
    if not wanted:
        yield NotApplicable("comparison with the fleet needs policy zone.database_at_least")


@rule("PH-TZ-009", "crontab TZ variables misunderstood", MED, "the job runs at the host's hour, not at the one its author meant", NEEDS + ("cron",))
def crontab_variables(evidence: Any, policy: Any) -> Iterator[Verdict]:
    if evidence.cron.gaps:
        yield Unknown(evidence.cron.gaps)
    if not evidence.cron.implementation:
        yield NotApplicable("no cron is installed")
        return
    for setting in evidence.time_zone.settings:
        if setting.scope == JOBS:
            yield _judge_variable(evidence, setting)
    yield Passed()


def _judge_variable(evidence: Any, setting: Any) -> Verdict:
    name, meaning, localtime = setting.subject, setting.meaning, evidence.time_zone.localtime
    if meaning.kind == zones.UNSEEN:
        return Unknown((Gap(setting.source, meaning.reason),))
    cronie = evidence.cron.implementation in (crons.CRONIE_CRON, crons.FCRON)
    anacron = setting.source == crons.ANACRON_TABLE
    if meaning.kind == zones.UNKNOWN and not _is_utc(meaning) and name == "CRON_TZ" and cronie:
        return Finding(
            FAIL, MED, _subject(setting), "%s CRON_TZ=%s, which is no zone: the jobs below it run by UTC." % (_where(setting), shown(meaning.value)),
            (_seen(setting),), references=("man:crontab(5)",))
    if cronie and name == "CRON_TZ" and not anacron or same_rules(meaning.zone, localtime.in_force, evidence.clock.wall):
        return Passed()
    if name == "CRON_TZ":
        return Finding(
            WARN, MED, _subject(setting), "%s CRON_TZ=%s, but this cron (%s) knows no such variable: the jobs below it start by the clock of the host, "
            "%s; convert the hours, or use a systemd timer with a zone." % (
                _where(setting), shown(meaning.value), shown(evidence.cron.implementation), _apart(evidence, meaning.zone, localtime.in_force)),
            (_seen(setting),), references=("man:crontab(5)",))
    return Finding(
        INFO, SEVERITY_INFO, _subject(setting), "%s TZ=%s: the jobs below it see that zone, but start by the clock of the host (%s)." % (
            _where(setting), shown(meaning.value), _host_zone(evidence)), (_seen(setting),), references=("man:crontab(5)",))


@rule("PH-TZ-010", "Inverted sign", MED, "TZ=UTC+8 is eight hours west of UTC, sixteen from where its author lives", NEEDS + ("processes",))
def inverted_sign(evidence: Any, policy: Any) -> Iterator[Verdict]:
    yield from _zone_gaps(evidence, settings=True) + _zone_gaps(evidence, settings=False)
    zone = evidence.time_zone
    inverted = _inverted_name(zone.localtime.canonical)
    if inverted:
        yield Finding(
            WARN, LOW, Subject("file", LOCALTIME), "The host is in %s, which is %s: the sign of these names is that of POSIX, west is plus; use the "
            "name of a place if that was not meant." % (shown(zone.localtime.name), inverted), (Seen(LOCALTIME, _localtime_text(zone.localtime)),))
    for named in zone.named:
        yield _sign_of(evidence, Subject("file", named.path), "%s says" % named.path, named.meaning, Seen(named.path, shown(named.text)))
    for setting in zone.settings:
        if setting.meaning is not None:
            yield _sign_of(evidence, _subject(setting), "%s TZ" % _where(setting), setting.meaning, _seen(setting))
    yield Passed()


def _sign_of(evidence: Any, subject: Subject, where: str, meaning: Any, seen: Seen) -> Verdict:
    if meaning.zone is None:
        return Unknown((Gap(seen.source, meaning.reason),))
    inverted = _inverted_name(meaning.name) if meaning.kind == zones.ZONE else _inverted_string(meaning)
    if not inverted:
        return Passed()
    by_name = meaning.kind == zones.ZONE
    return Finding(
        WARN, LOW if by_name else MED, subject,
        "%s%s%s, which is %s: in POSIX west is plus; use the name of a place%s." % (
            where, " " if where.endswith("says") else "=", shown(meaning.value), inverted, "" if by_name else ", or turn the sign around"),
        (seen,), references=("man:tzset(3)",))


def _inverted_name(name: str) -> str:
    """For Etc/GMT+5, what it really is."""
    found = _SIGNED_GMT.match(name)
    return "UTC%s%s" % ("-" if found.group(1) == "+" else "+", found.group(2)) if found else ""


def _inverted_string(meaning: Any) -> str:
    """For UTC+8 and <+08>+8 what they really are; empty where name and offset agree."""
    if meaning.kind not in (zones.POSIX, zones.PARTLY):
        return ""
    offset, _summer, name = meaning.zone.at(0) if not hasattr(meaning.zone, "name") else (meaning.zone.offset, False, meaning.zone.name)
    if not offset:
        return ""
    if name.upper() in ("UTC", "GMT", "UCT", "Z"):
        return _offset(offset)
    number = _NUMBER_NAME.match(name)
    if number:
        said = int(number.group(2)) * 3600 + int(number.group(3) or 0) * 60
        said = -said if number.group(1) == "-" else said
        return _offset(offset) if said == -offset else ""
    return ""


@rule(
    "PH-TZ-011", "Clock not synchronised, or kept by two", HIGH, "certificates, quorums and logs depend on it, and it drifts by minutes a month",
    ("time_sync", "clock", "processes"),
)
def clock_not_synchronised(evidence: Any, policy: Any) -> Iterator[Verdict]:
    sync, subject = evidence.time_sync, Subject("host", "clock")
    if sync.shared:
        yield NotApplicable(sync.shared)
        return
    if sync.gaps:
        yield Unknown(sync.gaps)
    names = sorted({daemon.name for daemon in sync.daemons})
    seen = (Seen("adjtimex", _kernel_says(sync)), Seen("processes", ", ".join("%s (%d)" % (each.name, each.pid) for each in sync.daemons) or "no time daemon"))
    if len(sync.daemons) > 1:
        yield Finding(
            WARN, MED, subject, "The clock is kept by %d time daemons at once (%s), which work against each other: stop all but one." % (
                len(sync.daemons), ", ".join("%s %d" % (each.name, each.pid) for each in sync.daemons)), seen)
    if sync.synchronised is None:
        return
    if sync.synchronised:
        if names:
            yield Passed()
        else:
            yield Finding(INFO, SEVERITY_INFO, subject, "The clock is right, but no known time daemon runs to keep it so.", seen)
        return
    if evidence.clock.boot <= policy["clock.unsynchronised_after"]:
        yield NotApplicable("booted less than %s ago: time daemons need a while" % wording.duration(policy["clock.unsynchronised_after"]))
    elif sync.agents and not names:
        yield Finding(
            WARN, MED, subject, "The kernel does not know its clock to be right; %s may set it, but does not say so: run a time daemon." % (
                ", ".join(sync.agents)), seen, confidence=MEDIUM_CONFIDENCE)
    else:
        yield Finding(
            FAIL, HIGH, subject, "The clock is not synchronised, %s after boot: %s." % (
                wording.duration(evidence.clock.boot),
                "%s runs, but reaches no server that it trusts" % " and ".join(names) if names else "no time daemon runs; start chrony or systemd-timesyncd"),
            seen, references=("man:adjtimex(2)",))


def _kernel_says(sync: Any) -> str:
    if sync.state is None:
        return "not asked"
    return "maximum error %.3f s, status 0x%04x" % (sync.state.maxerror_us / 1e6, sync.state.status)
