# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PH-LIM, part three: lines of limits.conf that do not do what they say, or lose to others."""

import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .. import sessions, wording
from ..model import (
    CRIT, FAIL, HIGH, INFO, MED, MEDIUM_CONFIDENCE, SEVERITY_INFO, UNLIMITED, WARN,
    Finding, Gap, Passed, Remedy, Seen, Subject, Unknown, Verdict, rule,
)
from ..readers.limits_conf import (
    CONFIG, CONFIG_FOLDER, GROUP, HARD, IGNORED, LIMIT, LOGINS, NO_LIMITS, RLIMITS, SOFT, USER, Line, Loser, Session, class_of, uid_range,
)
from ..record import NamedTuple
from ..text import shown

MANY_USERS = 50  # of one line: that many sessions are resolved, no more
VENDOR_FILES = ("20-nproc.conf", "90-nproc.conf")  # RHEL 7 and 6: `* soft nproc`, read after limits.conf
PAM_LIMITS = "pam_limits.so"


# -- PH-LIM-007 --------------------------------------------------------------------------------------------------


class _Mistake(NamedTuple):
    status: str
    severity: str
    what: str  # after the line's place, as "is ignored: …"
    advice: str
    confidence: str = "high"
    instead: Optional[Dict[str, str]] = None  # the parts of the line that are to be others, where only one thing can be meant; empty: no line


@rule(
    "PH-LIM-007", "limits.conf lines that misbehave silently", HIGH, "0x40 locks a user out; with an old pam a missing file refuses all logins",
    ("limits_conf", "pam_stacks", "users"), ("budgets",),
)
def misbehaving_lines(evidence: Any, policy: Any) -> Iterator[Verdict]:
    conf = evidence.limits_conf
    gaps = sessions.config_gaps(evidence)
    if gaps:
        yield Unknown(gaps)
    if conf.flavour is None:
        return
    yield from _missing_files(evidence)
    lines = list(conf.lines) + [line for path in sorted(conf.named) for line in conf.named[path].lines]
    for line in lines:
        mistake = _mistake(evidence, line, lines)
        if mistake is not None:
            yield _line_finding(line, mistake)
        elif _of_a_directory(evidence, line):
            yield Unknown((Gap("%s: %s" % (line.place, shown(line.domain)), "users of a directory are not looked up"),))
        else:
            yield Passed()
    if not lines and not gaps:
        yield Passed()


def _line_finding(line: Line, mistake: _Mistake) -> Finding:
    return Finding(
        mistake.status, mistake.severity, Subject("file", line.place, "%s|%s" % (line.file, line.text)),
        "%s, \"%s\", %s; %s." % (shown(line.place), sessions.text_of(line), mistake.what, mistake.advice),
        evidence=(sessions.seen(line),), confidence=mistake.confidence,
        remedy=_correction(line, mistake.instead), references=("man:limits.conf(5)",),
    )


def _correction(line: Line, instead: Optional[Dict[str, str]]) -> Optional[Remedy]:
    if instead is None or (instead and line.makes != LIMIT) or (line.file != CONFIG and not line.file.startswith(CONFIG_FOLDER + "/")):
        return None
    if not instead:
        return Remedy("pam_limits_line", (("file", line.file), ("instead_of", line.text), ("state", "absent")))
    parts = {"domain": line.domain, "type": line.type, "item": line.item, "value": line.value}
    parts.update(instead)
    return Remedy("pam_limits_line", (("file", line.file), ("instead_of", line.text)) + tuple(sorted(parts.items())))


def _line_of_our_own(line: Line, part: str) -> Optional[Remedy]:
    """The same, last in the folder, so that nobody else's file is touched. None for a value that is not what it looks like."""
    value = "unlimited" if line.effect == UNLIMITED else line.value
    if value != "unlimited" and not re.match(r"-?[0-9]+\Z", value):
        return None
    return Remedy("pam_limits_line", (("domain", line.domain), ("type", part), ("item", line.item), ("value", value)))


def _missing_files(evidence: Any) -> Iterator[Finding]:
    """A missing limits.conf, or a dangling link in limits.d, makes pam_limits fail before Linux-PAM 1.5.3."""
    refusing = sorted(name for name, stack in evidence.pam_stacks.stacks.items() if stack.path and stack.fails_with(PAM_LIMITS))
    for source in evidence.limits_conf.sources:
        if source.missing and evidence.limits_conf.flavour.missing_file_refuses and refusing:
            yield Finding(
                FAIL, CRIT, Subject("file", source.path),
                "%s is missing, so every session of %s is refused: create it, empty if need be, from a session that is still open." % (
                    shown(source.path), wording.listed(refusing)),
                evidence=(Seen(source.path, source.problem),),
                confidence="high" if evidence.limits_conf.flavour.certain else MEDIUM_CONFIDENCE,
                remedy=Remedy("pam_limits_line", (("file", source.path),)), references=("man:pam_limits(8)",),
            )


def _mistake(evidence: Any, line: Line, lines: Sequence[Line]) -> Optional[_Mistake]:
    if line.makes == IGNORED:
        return _ignored(line)
    if line.makes == NO_LIMITS:
        return _no_limits_mistake(line) or _domain_mistake(evidence, line)
    return _value_mistake(evidence, line, lines) or _domain_mistake(evidence, line)


def _ignored(line: Line) -> _Mistake:
    advice = "write domain, type, item and value"
    if line.why.startswith("unknown"):
        advice = "correct it or delete it"
    if line.value.endswith("\r"):
        advice = "the file has carriage returns: write it anew without them"
    return _Mistake(FAIL, HIGH, "is ignored without a word (%s)" % line.why, advice)


def _no_limits_mistake(line: Line) -> Optional[_Mistake]:
    if line.domain in ("*", "%"):
        return _Mistake(FAIL, MED, "has no effect: only a user, a group or a range can be freed from limits", "delete it", instead={})
    if line.type != "-":
        return _Mistake(FAIL, HIGH, "frees the domain from all limits, whatever stands after the dash", "write all four fields, or a dash alone")
    return None


def _value_mistake(evidence: Any, line: Line, lines: Sequence[Line]) -> Optional[_Mistake]:
    if line.item == "nonewprivs" and line.value not in ("0", "1"):
        return _Mistake(FAIL, MED, "switches nonewprivs off: its value is neither 0 nor 1", "write 0 or 1")
    if line.effect is None or line.value in ("unlimited", "infinity", "-1", "-"):
        return _login_mistake(evidence, line)
    if line.value.startswith("-") and line.item not in ("nice", "priority"):
        return _Mistake(FAIL, HIGH, "means %s, because a minus sign wraps around" % wording.limit(line.effect), "write a number, or unlimited")
    if not re.match(r"[+-]?[0-9]+\Z", line.value.strip()):
        number = re.match(r"\s*[+-]?[0-9]+", line.value)
        severity = CRIT if line.effect == 0 and line.item in ("nproc", "nofile") and _people(evidence, line) else HIGH
        return _Mistake(FAIL, severity, "is read as %s: what follows the digits is not looked at" % (
            number.group(0).strip() if number else "0"), "write a plain number")
    return _login_mistake(evidence, line) or _bound_mistake(evidence, line) or _crossed(line, lines)


def _login_mistake(evidence: Any, line: Line) -> Optional[_Mistake]:
    flavour = evidence.limits_conf.flavour
    if line.item == "maxlogins" and line.effect == 1 and flavour.debian and flavour.version >= (1, 7):
        return _Mistake(WARN, MED, "is not enforced: with logind pam_limits counts from 2 on", "write 2, or leave it out", MEDIUM_CONFIDENCE)
    return None


def _bound_mistake(evidence: Any, line: Line) -> Optional[_Mistake]:
    flavour = evidence.limits_conf.flavour
    if line.item in ("nproc", "nofile") and line.effect == 0:
        people = _people(evidence, line)
        if people:
            return _Mistake(FAIL, CRIT, "leaves %s no %s at all, so that no session works" % (
                wording.listed(people), "process" if line.item == "nproc" else "file"), "write what they need")
    nr_open = sessions.nr_open(evidence)
    if line.item == "nofile" and line.type != SOFT and line.effect is not None and line.effect > nr_open:
        if flavour.debian:
            return _Mistake(FAIL, HIGH, "is not set: nofile above fs.nr_open (%d) is refused by the kernel, and the old limit stays" % nr_open,
                            "write at most %d" % nr_open, instead={"value": "%d" % nr_open})
        return _Mistake(FAIL, CRIT, "makes pam_limits fail: nofile above fs.nr_open (%d) is refused by the kernel, and so is the session" % nr_open,
                        "write at most %d" % nr_open, instead={"value": "%d" % nr_open})
    return None


def _crossed(line: Line, lines: Sequence[Line]) -> Optional[_Mistake]:
    """A soft limit above the hard one of the same domain, where both are the last of their kind."""
    if line.type != SOFT or line.item not in RLIMITS:
        return None
    same = [each for each in lines if each.makes == LIMIT and (each.domain, each.item) == (line.domain, line.item)]
    softs = [each for each in same if each.type != HARD]
    hards = [each for each in same if each.type != SOFT]
    if softs[-1:] != [line] or not hards or hards[-1].effect is None or line.effect is None or line.effect <= hards[-1].effect:
        return None
    return _Mistake(WARN, MED, "is cut to the hard limit %s of %s" % (wording.limit(hards[-1].effect), shown(hards[-1].place)), "raise that, or lower this")


def _people(evidence: Any, line: Line) -> List[str]:
    """Users with a login shell for whom the line speaks, root apart."""
    return [user.name for user in sessions.logins(evidence) if user.uid != 0 and _speaks_for(evidence, line, user.name)]


def _speaks_for(evidence: Any, line: Line, name: str) -> bool:
    return class_of(line, evidence.users.account(name), evidence.limits_conf.flavour) is not None


def _domain_mistake(evidence: Any, line: Line) -> Optional[_Mistake]:
    name, groups = _name_in(line.domain)
    if name is None or _exists(evidence, name, groups):
        return None
    if name.isdigit() and not groups:
        return _Mistake(FAIL, HIGH, "speaks for a user *named* %s, and there is none" % name, "write :%s for the user with that uid" % name,
                        instead={"domain": ":" + name} if name in {str(uid) for uid in evidence.users.by_uid} else None)
    other = next((each for each in _names(evidence, groups) if each.lower() == name.lower()), None)
    if other is not None:
        return _Mistake(WARN, MED, "speaks for nobody: names are compared with their case", "write %s" % shown(other),
                        instead={"domain": line.domain[:1] + other if groups else other})
    if _of_a_directory(evidence, line):
        return None
    return _Mistake(INFO, SEVERITY_INFO, "speaks for nobody: there is no %s %s" % ("group" if groups else "user", shown(name)),
                    "delete it if nobody of that name is to come")


def _name_in(domain: str) -> Tuple[Optional[str], bool]:
    """The name in a domain, and whether it is a group's; None for ranges and wildcards."""
    if uid_range(domain) is not None or domain in ("*", "%"):
        return None, False
    return (domain[1:], True) if domain[:1] in ("@", "%") else (domain, False)


def _names(evidence: Any, groups: bool) -> List[str]:
    return sorted({group.name for group in evidence.users.groups} if groups else set(evidence.users.by_name))


def _exists(evidence: Any, name: str, groups: bool) -> bool:
    return any(group.name == name for group in evidence.users.groups) if groups else name in evidence.users.by_name


def _of_a_directory(evidence: Any, line: Line) -> bool:
    name, groups = _name_in(line.domain)
    return name is not None and line.makes != IGNORED and not _exists(evidence, name, groups) and not evidence.users.complete


# -- PH-LIM-008 --------------------------------------------------------------------------------------------------


@rule(
    "PH-LIM-008", "Shadowed limits lines", MED, "what the administrator meant is not in force",
    ("limits_conf", "users", "details"), ("budgets",),
)
def shadowed_lines(evidence: Any, policy: Any) -> Iterator[Verdict]:
    """That a user's line beats his group's, and both beat `*`, is what they are for; so is a later file that overrides an earlier one."""
    conf = evidence.limits_conf
    gaps = sessions.config_gaps(evidence) + evidence.users.gaps
    if gaps:
        yield Unknown(gaps)
    if conf.flavour is None:
        return
    found: Dict[Tuple[str, str], Tuple[Finding, List[str]]] = {}
    accounts = _accounts_spoken_of(evidence)
    for account in accounts:
        session = sessions.of_user(evidence, account)
        for finding in _shadowed(evidence, account, session):
            found.setdefault((finding.subject.id, finding.subject.key), (finding, []))[1].append(account.name)
    for key in sorted(found):
        finding, names = found[key]
        yield finding._replace(message=finding.message.replace(_WHOM, wording.listed(names, 3)))
    yield from _wildcard_spares_root(evidence)
    yield Passed(max(0, len(conf.lines) - len(found)) or 1)


_WHOM = "\0users\0"  # replaced once all users are known whom a line concerns


def _accounts_spoken_of(evidence: Any) -> List[Any]:
    """Users for whom a line speaks by name, group or range; where `*` speaks, one ordinary user stands for all."""
    chosen = set()
    for line in evidence.limits_conf.lines:
        if line.makes in (LIMIT, NO_LIMITS):
            chosen.update(sessions.named_by(evidence, line.domain)[:MANY_USERS])
    if any(line.domain == "*" and line.makes == LIMIT for line in evidence.limits_conf.lines):
        chosen.update([user.name for user in sessions.logins(evidence) if user.uid != 0 and user.name not in chosen][:1])
    return [evidence.users.account(name) for name in sorted(chosen)]


def _shadowed(evidence: Any, account: Any, session: Session) -> Iterator[Finding]:
    if session.exempt is not None:
        yield from _voided(evidence, account, session.exempt)
        return
    told = set()  # a dash line that loses both halves to the same line is one finding
    for loser in session.losers:
        winner = session.winners.get((loser.line.item, loser.part))
        if winner is None and loser.why.startswith("its soft half lost"):
            yield _lost_half(loser, session)
        elif winner is not None and winner.effect != loser.line.effect:
            reason = _unmeant(evidence, account, loser, winner)
            if reason and (loser.line.place, winner.place) not in told:
                told.add((loser.line.place, winner.place))
                yield _lost_line(loser, winner, reason)


def _voided(evidence: Any, account: Any, exempt: Line) -> Iterator[Finding]:
    """A line that frees a user is meant to; not so beside lines that set limits for him."""
    flavour = evidence.limits_conf.flavour
    own = [line for line in evidence.limits_conf.lines if line.makes == LIMIT and class_of(line, account, flavour) in (USER, GROUP)]
    if own:
        yield Finding(
            WARN, MED, Subject("file", exempt.place, "%s|%s" % (exempt.file, exempt.text)),
            "%s, \"%s\", voids every limit of %s, those of other files too (%s, \"%s\"); delete one of them." % (
                shown(exempt.place), sessions.text_of(exempt), _WHOM, shown(own[0].place), sessions.text_of(own[0])),
            evidence=(sessions.seen(exempt),) + tuple(sessions.seen(line) for line in own[:4]),
            remedy=_correction(exempt, {}), references=("man:limits.conf(5)",),
        )


def _lost_half(loser: Loser, session: Session) -> Finding:
    line = loser.line
    return Finding(
        WARN, MED, Subject("file", line.place, "%s|%s|hard" % (line.file, line.text)),
        "%s, \"%s\", does not set the hard limit of %s (it stays %s), because another line sets the soft one and a dash line goes as a whole; "
        "write a hard line of its own." % (shown(line.place), sessions.text_of(line), _WHOM, wording.limit(session.limits[line.item][1])),
        evidence=(sessions.seen(line), Seen(line.place, loser.why)),
        remedy=_line_of_our_own(line, HARD),
        references=("pam_limits.c process_limit",),
    )


def _unmeant(evidence: Any, account: Any, loser: Loser, winner: Line) -> str:
    """Why an administrator would be surprised; empty when it is what such lines are for."""
    line, flavour = loser.line, evidence.limits_conf.flavour
    if line.item not in RLIMITS and line.item not in LOGINS:
        return ""
    if class_of(line, account, flavour) != class_of(winner, account, flavour) or line.file == winner.file:
        return ""
    name, winning = line.file.rpartition("/")[2], winner.file.rpartition("/")[2]
    if winning in VENDOR_FILES:
        return "%s, which the vendor ships, is read later" % winning
    if line.file.startswith(CONFIG_FOLDER) and winner.file.startswith(CONFIG_FOLDER):
        mine, theirs = re.match(r"\d+", name), re.match(r"\d+", winning)
        if mine and theirs and int(mine.group(0)) > int(theirs.group(0)):
            return "%s sorts after %s, as text" % (winning, name)
    mtimes = {source.path: source.mtime for source in evidence.limits_conf.sources}
    if mtimes.get(line.file, 0.0) > mtimes.get(winner.file, 0.0) and line.file == CONFIG:
        return "%s is read later, though it is older" % winning
    return ""


def _lost_line(loser: Loser, winner: Line, reason: str) -> Finding:
    line = loser.line
    return Finding(
        WARN, MED, Subject("file", line.place, "%s|%s|%s" % (line.file, line.text, loser.part if line.type != "-" else "")),
        "%s, \"%s\", is overruled for %s by %s, \"%s\": %s; move it to a file that sorts last (zz-), or name the user." % (
            shown(line.place), sessions.text_of(line), _WHOM, shown(winner.place), sessions.text_of(winner), shown(reason)),
        evidence=(sessions.seen(line), sessions.seen(winner)),
        remedy=_line_of_our_own(line, line.type),
        references=("man:limits.conf(5)",),
    )


def _wildcard_spares_root(evidence: Any) -> Iterator[Finding]:
    """Debian and Ubuntu: `*` never speaks for root. Said once, where nothing speaks for root."""
    conf = evidence.limits_conf
    if not conf.flavour.debian:
        return
    root = evidence.users.account("root")
    stars = [line for line in conf.lines if line.makes == LIMIT and line.domain == "*" and line.item in RLIMITS]
    spoken = {line.item for line in conf.lines if line.makes == LIMIT and root is not None and class_of(line, root, conf.flavour) is not None}
    missing = [line for line in stars if line.item not in spoken]
    if missing:
        yield Finding(
            INFO, SEVERITY_INFO, Subject("file", missing[0].place, "* spares root"),
            "What limits.conf sets for * (%s) does not apply to root on this distribution; write lines for root where they are wanted." % (
                wording.listed(sorted({line.item for line in missing}))),
            evidence=tuple(sessions.seen(line) for line in missing[:5]), references=("man:limits.conf(5)",),
        )
