# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-SES: sessions that logind never lets go, what they cost, and what keeps people from logging in."""

from typing import Any, Dict, Iterator, List, Optional, Tuple

from .. import wording
from ..model import (
    CRIT, FAIL, HIGH, INFO, MED, SEVERITY_INFO, WARN, Finding, Gap, NotApplicable, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..readers.crontab import runs_per_hour
from ..readers.pam_stack import ALWAYS, SOMETIMES
from ..readers.sessions import SCHEDULED, SESSIONS, TRANSIENT
from ..readers.utmp import PATH
from ..record import NamedTuple
from ..sessions import config_gaps, logins, of_user, text_of
from ..text import shown

LOGIND = Subject("unit", "systemd-logind.service")
NEARLY_FULL = 0.95  # of SessionsMax: new sessions are refused any moment
PER_SESSION_KIB = 50
MANY_LEAKED = 10  # sessions of cron: it leaks, whatever its rate
STEP_S = 60.0  # a clock may have been set since a login
NO_LOGIND = "logind has not run here since boot"


def leaked(evidence: Any) -> List[Any]:
    """Closing, its leader gone (or another process under its number), and nothing left in its scope."""
    table = evidence.processes
    populated = {detail.unit for detail in evidence.details.of.values() if detail.unit}
    found = []
    for session in evidence.sessions.sessions:
        if session.state != "closing" or session.scope in populated:
            continue
        leader = table.processes.get(session.leader)
        if leader is None or leader.zombie or (session.since and table.started_at(leader) > session.since + 1):
            found.append(session)
    return found


def _by_service(sessions: List[Any]) -> List[Tuple[str, int]]:
    counts: Dict[str, int] = {}
    for session in sessions:
        name = session.service or "?"
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


@rule(
    "PH-SES-001", "Sessions that logind never let go", CRIT, "at SessionsMax new sessions are refused",
    ("sessions", "processes", "details"),
)
def leaked_sessions(evidence: Any, policy: Any) -> Iterator[Verdict]:
    sessions = evidence.sessions
    if sessions.gaps:
        yield Unknown(sessions.gaps)
    if not sessions.present:
        yield NotApplicable(NO_LOGIND)
        return
    found = leaked(evidence)
    share = len(found) / float(max(1, sessions.maximum))
    yield Passed(max(0, len(sessions.sessions) - len(found)))
    if len(found) < policy["sessions.warn"] and share < policy["sessions.warn_share"]:
        yield Passed()
        return
    total = len(sessions.sessions) / float(max(1, sessions.maximum))
    fails = len(found) >= policy["sessions.fail"] or share >= policy["sessions.fail_share"]
    severity = (CRIT if total >= NEARLY_FULL else HIGH) if fails else MED
    yield Finding(
        FAIL if fails else WARN, severity, LOGIND._replace(key="systemd-logind.service|leaked"),
        "systemd-logind keeps %d dead sessions (opened by %s; %d live) of at most %d%s: with the bus in order (PH-DEL-004), systemctl daemon-reload "
        "makes it look at them again; then look at what opens them, and never delete their files under a running logind." % (
            len(found), wording.counted(_by_service(found)), len(sessions.sessions) - len(found), sessions.maximum,
            ", so new ones are refused at any moment" if total >= NEARLY_FULL else ""),
        evidence=tuple(Seen("%s/%s" % (SESSIONS, shown(each.id)), "STATE=closing LEADER=%d (gone) SCOPE=%s" % (each.leader, shown(each.scope)))
                       for each in found[:3]),
        binding="SessionsMax: %d of %d" % (len(sessions.sessions), sessions.maximum),
        remedy=Remedy("sessions", (("end", "leaked"),), disruptive=True),
        references=("systemd issue 37880", "systemd issue 43745"),
    )


@rule("PH-SES-002", "Memory of logind", MED, "it grows with every session that it never lets go", ("processes", "sessions"), ("details",))
def logind_memory(evidence: Any, policy: Any) -> Iterator[Verdict]:
    table = evidence.processes
    found = [process for process in table.live() if process.comm == "systemd-logind"]
    if not found:
        yield NotApplicable("no logind runs")
        return
    for process in found:
        status = table.status.get(process.pid)
        if status is None:
            yield Unknown((Gap("/proc/%d/status" % process.pid, "could not be read"),))
            continue
        used = status.anonymous_kib or status.peak_kib  # kernels before 4.5 do not tell what is anonymous
        allowed = PER_SESSION_KIB * len([session for session in evidence.sessions.sessions if session.state != "closing"])
        warn, fail = policy["sessions.logind_warn"] * 1024 + allowed, policy["sessions.logind_fail"] * 1024 + allowed
        if status.anonymous_kib == 0:
            warn = fail  # an address space is always larger than what is used of it
        if used <= warn:
            yield Passed()
            continue
        yield Finding(
            FAIL if used > fail else WARN, MED, LOGIND._replace(key="systemd-logind.service|memory"),
            "systemd-logind (%d) uses %d MiB, usual is less than %d: look for dead sessions (PH-SES-001) first; restarted with them, "
            "it grows again." % (process.pid, used // 1024, policy["sessions.logind_warn"]),
            evidence=(Seen("/proc/%d/status" % process.pid, "RssAnon %d kB, VmPeak %d kB" % (status.anonymous_kib, status.peak_kib)),),
            remedy=Remedy("sessions", (("end", "leaked"),), disruptive=True),
        )


@rule(
    "PH-SES-003", "cron opens a session for every job", MED, "load on logind and systemd, and the source of most leaks",
    ("pam_stacks", "cron", "distribution", "processes"), ("sessions", "details"),
)
def session_per_job(evidence: Any, policy: Any) -> Iterator[Verdict]:
    cron = evidence.cron
    if not cron.daemons:
        yield NotApplicable("no cron runs")
        return
    service = "cron" if "debian" in evidence.distribution.family else "crond"
    stack = evidence.pam_stacks.of(service)
    if stack is None or stack.gaps:
        yield Unknown(stack.gaps if stack is not None else (Gap("/etc/pam.d/" + service, "its stack is not known"),))
        return
    if stack.calls("pam_systemd.so") not in (ALWAYS, SOMETIMES):
        yield Passed()
        return
    if evidence.has("sessions") and evidence.sessions.gaps:
        yield Unknown(evidence.sessions.gaps)
    rate = sum(runs_per_hour(job.schedule) for _table, job in cron.jobs() if job.schedule is not None)
    known = evidence.has("sessions") and evidence.has("details")
    leaks = [session for session in leaked(evidence) if session.service == service] if known else []
    step = [each for each in stack.steps if each.module == "pam_systemd.so"][0]
    wrong = rate >= policy["sessions.per_hour"] or len(leaks) >= MANY_LEAKED
    if not wrong and service == "crond":
        yield Passed()  # as the vendor ships it
        return
    text = "cron opens a session for each of about %d jobs an hour (%s)" % (round(rate), shown(step.place))
    if leaks:
        text += " and %s of it never ended" % wording.noun(len(leaks), "session")
    yield Finding(
        WARN if wrong else INFO, MED if wrong else SEVERITY_INFO, Subject("file", step.file, "cron|pam_systemd"),
        text + ": %s." % ("leave pam_systemd out for cron, or make frequent jobs timers" if wrong else
                          "a local edit, Debian does not; leave pam_systemd out for cron unless jobs need it"),
        evidence=(Seen(step.place, "pam_systemd.so"),), remedy=_of_leaks_alone(evidence, policy, rate, leaks),
        references=("systemd issue 23569",),
    )


def _of_leaks_alone(evidence: Any, policy: Any, rate: float, leaks: List[Any]) -> Optional[Remedy]:
    """A stack of PAM is edited by people: a remedy ends what has leaked, where that is all that is wrong."""
    few = rate < policy["sessions.per_hour"] and "debian" not in evidence.distribution.family
    return Remedy("sessions", (("end", "leaked"),), disruptive=True) if leaks and few else None


@rule("PH-SES-004", "Session scopes without a process pile up", MED, "systemd walks through all of them", ("sessions", "processes", "details"))
def abandoned_scopes(evidence: Any, policy: Any) -> Iterator[Verdict]:
    sessions = evidence.sessions
    if sessions.gaps:
        yield Unknown(sessions.gaps)
    populated = {detail.unit for detail in evidence.details.of.values() if detail.unit}
    empty = [scope for scope in sessions.scopes if scope not in populated]
    if len(empty) < policy["sessions.scopes_warn"]:
        yield Passed()
        return
    fails = len(empty) >= policy["sessions.scopes_fail"]
    yield Finding(
        FAIL if fails else WARN, MED, Subject("host", "session scopes", "scopes"),
        "systemd keeps %d session scopes in which no process is left (limit %d): stop them in batches with systemctl stop, then look at what "
        "opens sessions so often." % (len(empty), policy["sessions.scopes_fail" if fails else "sessions.scopes_warn"]),
        evidence=tuple(Seen("%s/%s" % (TRANSIENT, shown(name)), "no process") for name in empty[:3]),
        remedy=Remedy("sessions", (("end", "empty scopes"),), disruptive=True), references=("systemd issue 1961",),
    )


@rule("PH-SES-005", "Sessions could not be opened", HIGH, "logins and jobs wait for the bus, or go without a session", ("session_failures",))
def sessions_refused(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """A single error during a reboot is no trouble; errors in separate hours are."""
    failures = evidence.session_failures
    if failures.gaps:
        yield Unknown(failures.gaps)
        return
    found = failures.failures
    if len(found) < policy["sessions.errors"] or len({each.hour for each in found}) < 2:
        yield Passed()
        return
    full = [each for each in found if "maximum number of sessions" in each.message.lower()]
    yield Finding(
        FAIL, HIGH, LOGIND._replace(key="systemd-logind.service|refused"),
        "%d sessions could not be opened within a day (%s): look for dead sessions (PH-SES-001) and a replaced message bus (PH-DEL-004)." % (
            len(found), "the maximum is reached" if full else "logind or the bus did not answer"),
        evidence=tuple(Seen("log", shown(each.message)) for each in (full or list(found))[:3]),
        references=("systemd issue 21885", "systemd issue 27024"),
    )


@rule(
    "PH-SES-006", "Logins are blocked", HIGH, "nobody but root may log in",
    ("sessions", "clock"), ("utmp", "limits_conf", "users", "pam_stacks", "processes", "details"),
)
def logins_blocked(evidence: Any, policy: Any) -> Iterator[Verdict]:
    sessions, clock = evidence.sessions, evidence.clock
    if sessions.blocking_gaps:
        yield Unknown(sessions.blocking_gaps)
    patience = policy["sessions.blocked_after"]
    stale = sessions.shutdown_at is not None and clock.wall - sessions.shutdown_at > patience
    coming = sessions.shutdown_at is not None and not stale
    if stale:
        yield Finding(
            FAIL, HIGH, Subject("file", SCHEDULED),
            "A shutdown (%s) was scheduled for %s ago and never came: cancel it with shutdown -c." % (
                shown(sessions.shutdown_mode) or "?", wording.duration(clock.wall - sessions.shutdown_at)),
            evidence=(Seen(SCHEDULED, "USEC=%d" % int(sessions.shutdown_at * 1e6)),),
        )
    for path, since in sessions.no_login[:1] or (("", clock.wall),):  # the first is the one that PAM reads
        yield _no_login(path, since, clock, patience, coming) or Passed()
    yield from _too_many_logins(evidence)


def _no_login(path: str, since: float, clock: Any, patience: float, coming: bool) -> Optional[Finding]:
    age = max(0.0, clock.wall - since)
    if age <= patience or clock.boot <= patience:
        return None
    if coming:
        return Finding(INFO, SEVERITY_INFO, Subject("file", path), "%s blocks logins until the shutdown that is scheduled." % path,
                       evidence=(Seen(path, "exists"),))
    return Finding(
        FAIL, HIGH, Subject("file", path),
        "%s has blocked all logins but root's for %s, and no shutdown is scheduled: remove it%s." % (
            path, wording.duration(age), ", and look at systemd-user-sessions.service" if path.startswith("/run/") else ""),
        evidence=(Seen(path, "exists"),), references=("man:pam_nologin(8)",),
    )


class _Counted(NamedTuple):
    """A login as pam_limits counts it."""

    user: str
    seen: Seen
    running: bool  # some process has its number: else maxlogins passes it over, maxsyslogins does not
    over: bool  # nobody is logged in with it any more


def _too_many_logins(evidence: Any) -> Iterator[Verdict]:
    """Whom pam_limits refuses because of logins that have ended. It asks logind where it is built so (Debian from 1.7.0), else utmp."""
    needed = ("utmp", "limits_conf", "users", "processes", "details", "pam_stacks")
    unseen = evidence.gaps_of_unseen(*needed)
    if unseen:
        yield Unknown(unseen)
        return
    flavour = evidence.limits_conf.flavour
    if flavour is None:
        return
    stack = evidence.pam_stacks.of("sshd")
    if stack is None or stack.calls("pam_limits.so") not in (ALWAYS, SOMETIMES):
        if stack is not None and stack.gaps:
            yield Unknown(stack.gaps)
        return
    if flavour.version < (1, 6):
        gaps = evidence.utmp.gaps
        counted = [_of_utmp(evidence, login) for login in evidence.utmp.logins]
    elif flavour.debian and flavour.version >= (1, 7):
        gaps = evidence.sessions.gaps
        counted = _of_logind(evidence)
    else:
        return  # whether it was built with logind cannot be told
    if gaps:
        yield Unknown(gaps)
    if not any(each.over for each in counted):
        return
    if config_gaps(evidence):
        yield Unknown(config_gaps(evidence))
    for user in logins(evidence):
        account = evidence.users.account(user.name)
        if account is not None and account.uid != 0:
            yield from _refused_login(user.name, of_user(evidence, account), counted)


def _of_utmp(evidence: Any, login: Any) -> _Counted:
    """A process that is younger than the login got the number later. Times from before the boot are of a clock that was set since."""
    table = evidence.processes
    process = table.processes.get(login.pid)
    told = login.since > table.clock.wall - table.clock.boot
    reused = process is not None and told and table.started_at(process) > login.since + STEP_S
    return _Counted(login.user, Seen(PATH, "%s on %s, process %d %s" % (
        shown(login.user), shown(login.line), login.pid, "does not exist" if process is None else "was started later" if reused else "runs")),
        process is not None, process is None or reused)


def _of_logind(evidence: Any) -> List[_Counted]:
    dead = {session.id for session in leaked(evidence)}
    return [
        _Counted(session.user, Seen("%s/%s" % (SESSIONS, shown(session.id)), "%s, STATE=%s" % (shown(session.user), shown(session.state))),
                 True, session.id in dead)
        for session in evidence.sessions.sessions if session.kind.startswith("user")
    ]


def _refused_login(user: str, session: Any, counted: List[_Counted]) -> Iterator[Finding]:
    """The next login is one more: it is refused when as many as may be are counted (pam_limits.c check_logins)."""
    for item in ("maxlogins", "maxsyslogins"):
        maximum, line = session.values.get(item, 0), session.winners.get((item, ""))
        of_all = item == "maxsyslogins"
        against = [each for each in counted if of_all or (each.user == user and each.running)]
        over = [each for each in against if each.over]
        if line is None or line.domain.startswith("%") or not over or not 0 < maximum <= len(against):
            continue
        yield Finding(
            FAIL, HIGH, Subject("user", user, "logins|" + user),
            "The next login of %s is refused: %s allows %s, %d are counted, and %d of these ended long ago: %s." % (
                shown(user), line.place, wording.noun(maximum, "login"), len(against), len(over),
                "empty %s, or take out their entries" % PATH if over[0].seen.source == PATH else "end them with loginctl terminate-session"),
            evidence=(Seen(line.place, text_of(line)),) + tuple(each.seen for each in over[:5]),
            references=("man:limits.conf(5)", "man:utmp(5)"),
        )
