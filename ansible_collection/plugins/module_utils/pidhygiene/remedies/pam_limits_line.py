# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pam_limits_line: a line of limits.conf or limits.d that the next session of its users really gets.

Every session is worked out as pam_limits does it (readers/limits_conf.py), before and after the change: nobody loses what he uses, nobody is
locked out, and a line that another one overrules is not written. No session is opened for it. Stacks of PAM are left alone.
"""

import re
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from .. import headroom, sessions, wording
from ..evidence import gather
from ..host import Host
from ..model import UNLIMITED
from ..readers.limits_conf import (
    BUFFER, CONFIG, CONFIG_FOLDER, HARD, LIMIT, LOGINS, RLIMITS, SOFT, Line, Session, Source, class_of, parse, uid_range,
)
from ..record import NamedTuple
from ..text import shown
from . import limits_text
from .files import PutFile
from .limits_text import Wanted, parsed
from .model import Parameter, Proposal, Refused, Remedy, clean

PRESENT, ABSENT = "present", "absent"
FILE = CONFIG_FOLDER + "/zz-pidhygiene.conf"
SOURCES = ("limits_conf", "users", "details", "budgets", "processes", "user_namespaces", "sessions")
EXAMINED = 1000  # users of one line whose sessions are worked out
FIELDS = ("domain", "type", "item", "value")
# Below these no session works: a shell and what it starts need so much. Bytes and counts, as the kernel has them.
LEAST = {"nproc": 8, "nofile": 32, "as": 64 << 20, "data": 16 << 20, "stack": 1 << 20, "fsize": 1 << 20, "cpu": 60}

PARAMETERS = (
    Parameter("domain", "text", "Whom it is for: a user, @group, uid range as 1000:2000, or *."),
    Parameter("type", "choice", "Which half of the limit.", choices=(SOFT, HARD, "-")),
    Parameter("item", "text", "The limit, as nofile, nproc, memlock or maxlogins."),
    Parameter("value", "text", "A whole number in the units of limits.conf(5), or unlimited."),
    Parameter("instead_of", "text", "A line of the file that is replaced, or, with absent and nothing else, taken out; it stays there as a comment."),
    Parameter("file", "text", "limits.conf or a file of limits.d; alone, it is there.", default=FILE),
    Parameter("state", "choice", "absent takes the line out; without domain, type and item all of this remedy's own file.", default=PRESENT,
              choices=(PRESENT, ABSENT)),
)


class Change(NamedTuple):
    """What a session of one user is before and after."""

    account: Any
    before: Session
    after: Session


# -- what is wanted ------------------------------------------------------------------------------------------------


def file_of(given: Dict[str, Any]) -> str:
    """Errors: Refused for a path that pam_limits does not read by itself."""
    path: str = clean("file", given["file"], ("%", "'", '"'))
    folder, _slash, name = path.rpartition("/")
    if path != CONFIG and not (folder == CONFIG_FOLDER and name.endswith(".conf") and not name.startswith(".")):
        raise Refused("%s is not read by pam_limits; use %s, or a name in %s that ends in .conf" % (shown(path), FILE, CONFIG_FOLDER))
    return path


def wanted_of(given: Dict[str, Any]) -> Optional[Wanted]:
    """The line in its four parts; None when no part is given. Errors: Refused."""
    named = [name for name in FIELDS if given[name] is not None]
    if not named:
        return None
    missing = [name for name in (FIELDS if given["state"] == PRESENT else FIELDS[:3]) if name not in named]
    if missing:
        raise Refused("%s missing: a line has a domain, a type, an item and a value" % wording.listed(missing))
    for name in named:
        if not clean(name, given[name], ("'", '"')).strip() or re.search(r"[\s#]", given[name]):
            raise Refused("%s must be one word, and no comment: %r" % (name, given[name]))
    for name in ("item", "value"):
        if given[name] is not None and not re.match(r"[A-Za-z0-9/-]+\Z", given[name]):
            raise Refused("%s must be letters and digits, not %r" % (name, given[name]))
    return Wanted(given["domain"], given["type"], given["item"].lower(), given["value"] or "0")


def _refuse_nonsense(wanted: Wanted, flavour: Any) -> Line:
    """The line as pam_limits reads it: exactly as it stands there, or not at all."""
    if wanted.item not in flavour.items or wanted.item == "chroot":
        raise Refused("pam_limits of this host has no limit %s; it knows %s" % (
            shown(wanted.item), ", ".join(each for each in flavour.items if each != "chroot")))
    if wanted.item in ("nice", "priority"):
        if not re.match(r"-?[0-9]{1,2}\Z", wanted.value) or not -20 <= int(wanted.value) <= 19:
            raise Refused("%s %s: write a whole number from -20 to 19" % (wanted.item, shown(wanted.value)))
    elif wanted.item == "nonewprivs":
        if wanted.value not in ("0", "1"):
            raise Refused("nonewprivs %s: write 0 or 1" % shown(wanted.value))
    elif not re.match(r"[0-9]{1,18}\Z", wanted.value) and (wanted.value != "unlimited" or wanted.item in LOGINS):
        raise Refused("%s %s: write a whole number%s; pam_limits would not look at what follows the digits" % (
            wanted.item, shown(wanted.value), "" if wanted.item in LOGINS else ", or unlimited"))
    line = parsed(wanted.text, flavour)
    if line is None or line.makes != LIMIT or (line.domain, line.type, line.item, line.value) != tuple(wanted) or len(wanted.text) > BUFFER:
        raise Refused("pam_limits would not read \"%s\" as it is meant%s" % (shown(wanted.text), " (%s)" % line.why if line is not None and line.why else ""))
    return line


# -- sessions before and after ---------------------------------------------------------------------------------------


def _sources_with(conf: Any, path: str, text: Optional[str]) -> Tuple[Source, ...]:
    """What pam_limits would read. A file in /etc hides a vendor's of the same name."""
    name = path.rpartition("/")[2]
    main = [source for source in conf.sources if source.path.rpartition("/")[2] == "limits.conf" and not source.path.startswith(CONFIG_FOLDER)]
    others = [source for source in conf.sources if source not in main]
    if text is not None:
        new = Source(path, parse(text.encode("utf-8", "surrogateescape"), path, conf.flavour))
        if path == CONFIG:
            main = [new]
        else:
            others = [source for source in others if source.path.rpartition("/")[2] != name] + [new]
    else:
        others = [source for source in others if source.path != path]
    return tuple(main + sorted(others, key=lambda source: source.path.rpartition("/")[2].encode("utf-8", "surrogateescape")))


def _concerned(evidence: Any, domains: Sequence[str]) -> List[Any]:
    """Root, and the users for whom one of the domains speaks: for all, those who can log in or run something."""
    names = {"root"}
    counts = headroom.user_tasks(evidence)
    for domain in domains:
        if domain in ("*", "%"):
            names.update(user.name for user in sessions.logins(evidence))
            names.update(evidence.users.by_uid[uid].name for uid in counts if uid in evidence.users.by_uid)
        else:
            names.update(sessions.named_by(evidence, domain))
    accounts = [account for account in (evidence.users.account(name) for name in names) if account is not None]
    accounts.sort(key=lambda account: (account.uid != 0, -(counts[account.uid].tasks if account.uid in counts else 0), account.name))
    return accounts[:EXAMINED]


def _changes(evidence: Any, sources: Sequence[Source], domains: Sequence[str]) -> List[Change]:
    return [Change(account, sessions.of_user(evidence, account), sessions.of_user(evidence, account, sources=sources))
            for account in _concerned(evidence, domains)]


def _refuse_harm(evidence: Any, changes: Sequence[Change]) -> None:
    for account, before, after in changes:
        if before.opened and not after.opened:
            raise Refused("%s could not log in any more: %s" % (account.name, shown(after.refusal)))
        if not before.opened:
            continue  # nothing is taken from who could not log in
        for item in RLIMITS:
            if item not in after.limits or after.limits[item] == before.limits.get(item):
                continue
            if item in after.not_raised:
                raise Refused("the kernel would refuse %s to a session of %s, which would keep its old limit" % (item, account.name))
            for part in (0, 1):
                if after.limits[item][part] < before.limits[item][part]:
                    _refuse_lower(evidence, account, item, after.limits[item][part], before.limits[item][part])
        _refuse_logins(evidence, account, before, after)


def _refuse_lower(evidence: Any, account: Any, item: str, now: int, before: int) -> None:
    who = "the next session of %s would have %s %s" % (account.name, item, wording.limit(now))
    if account.uid == 0 and item in LEAST:
        raise Refused("%s instead of %s: what root may do is not lowered, or nobody can repair the host" % (who, wording.limit(before)))
    if now < LEAST.get(item, 0):
        raise Refused("%s, and no session works with less than %d" % (who, LEAST[item]))
    used = _used(evidence, account.uid, item)
    if now < 2 * used:
        raise Refused("%s, less than twice of the %d that are in use now" % (who, used))


def _used(evidence: Any, uid: int, item: str) -> int:
    if item == "nproc":
        counted = headroom.user_tasks(evidence).get(uid)
        return counted.tasks if counted is not None else 0
    if item == "nofile":
        own = [pid for pid, status in evidence.processes.status.items() if status.uid == uid and pid in evidence.details.of]
        return max([evidence.details.of[pid].open_files or 0 for pid in own], default=0)
    return 0


def _refuse_logins(evidence: Any, account: Any, before: Session, after: Session) -> None:
    for item in LOGINS:
        most = after.values.get(item)
        if most is None or most < 0 or most == before.values.get(item) or not evidence.has("sessions"):
            continue
        open_now = len([each for each in evidence.sessions.sessions if each.kind.startswith("user") and each.state != "closing"
                        and (item == "maxsyslogins" or each.uid == account.uid)])
        if most < open_now:
            raise Refused("%s is logged in %d times, and %s %d would keep the next login out" % (account.name, open_now, item, most)
                          if item == "maxlogins" else "%d sessions are open, and %s %d would keep the next login out" % (open_now, item, most))


def _refuse_beyond_kernel(evidence: Any, line: Line) -> None:
    effect = line.effect or 0
    if line.type == SOFT or line.item not in RLIMITS:
        return
    most = sessions.nr_open(evidence)
    if line.item == "nofile" and effect > most and not (effect == UNLIMITED and evidence.limits_conf.flavour.nofile_unlimited_is_nr_open):
        raise Refused("nofile %s is above fs.nr_open (%d): the kernel would refuse it, and on some distributions the login with it; raise fs.nr_open first, "
                      "or write %d" % (line.value, most, most))
    hard = (evidence.details.manager_limits or {}).get(line.item, (UNLIMITED, UNLIMITED))[1]
    status = evidence.processes.status.get(1)
    if status is not None and not status.capabilities & headroom.CAP_SYS_RESOURCE and min(effect, most if line.item == "nofile" else effect) > hard:
        raise Refused("process 1 has a hard limit of %s for %s here, and nobody may raise it (no CAP_SYS_RESOURCE): a container or virtual machine set "
                      "it; raise it there" % (wording.limit(hard), line.item))


# -- who gets it -----------------------------------------------------------------------------------------------------


def _missed(evidence: Any, line: Line, account: Any, session: Session) -> str:
    """Why this user's next session does not have what the line says; empty when it has."""
    if not session.opened:
        return "no session of %s is opened: %s" % (account.name, shown(session.refusal))
    if session.exempt is not None:
        return "%s, \"%s\", frees %s from all limits" % (shown(session.exempt.place), sessions.text_of(session.exempt), account.name)
    effect = line.effect
    if line.item not in RLIMITS:
        winner = session.winners.get((line.item, "")) or next((session.winners[each, ""] for each in LOGINS if (each, "") in session.winners), None)
        if session.values.get(line.item) == effect:
            return ""
        return "%s of %s is set by %s" % (line.item, account.name, _place(winner))
    if line.item == "nofile" and effect == UNLIMITED and evidence.limits_conf.flavour.nofile_unlimited_is_nr_open:
        effect = sessions.nr_open(evidence)
    for number, part in enumerate((SOFT, HARD)):
        value = session.limits.get(line.item, (effect, effect))[number]
        if line.type in (part, "-") and value != effect:
            winner = session.winners.get((line.item, part))
            cut = part == SOFT and (winner is None or winner.effect == line.effect)
            return "the %s limit %s of the next session of %s is %s: %s" % (
                part, line.item, account.name, wording.limit(value or 0), "it is cut to the hard limit (%s)" % _place(session.winners.get((line.item, HARD)))
                if cut else "%s wins" % _place(winner))
    return ""


def _place(line: Optional[Line]) -> str:
    return "%s, \"%s\"," % (shown(line.place), sessions.text_of(line)) if line is not None else "no line sets it"


def _speaks_to(evidence: Any, line: Line, changes: Sequence[Change]) -> List[Change]:
    return [each for each in changes if class_of(line, each.account, evidence.limits_conf.flavour) is not None]


def _refuse_overruled(evidence: Any, line: Line, changes: Sequence[Change]) -> Iterator[str]:
    """A line for one user must be in force for him; a line for many, for one of them. Yields what the operator should know."""
    meant = _speaks_to(evidence, line, changes)
    domain = line.domain
    one = domain[:1] not in ("@", "%", "*") and (":" not in domain or domain.startswith(":"))
    if not meant:
        if evidence.users.complete and (one or (domain[:1] == "@" and not any(group.name == domain[1:] for group in evidence.users.groups)
                                                and uid_range(domain) is None)):
            hint = "; a uid is written :%s" % domain if domain.isdigit() else ""
            raise Refused("\"%s\" would speak for nobody: there is no such user or group on this host%s" % (shown(line.text), hint))
        yield "nobody in the local files is meant by %s, so who gets it could not be checked" % shown(domain)
        return
    missed = [problem for problem in (_missed(evidence, line, each.account, each.after) for each in meant) if problem]
    if missed and (one or len(missed) == len(meant)):
        raise Refused("the line would not be in force: %s; correct that line first (instead_of), or name the user" % missed[0])
    if missed:
        yield "%d of %d users do not get it, as %s" % (len(missed), len(meant), missed[0])


# -- the remedy ------------------------------------------------------------------------------------------------------


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    path, wanted = file_of(given), wanted_of(given)
    instead_of = clean("instead_of", given["instead_of"]) if given["instead_of"] else ""
    if wanted is None and not instead_of and path == FILE and given["state"] == PRESENT:
        raise Refused("no line is given: there is nothing to set")
    if instead_of and wanted is None and given["state"] == PRESENT:
        raise Refused("instead_of needs the new line; to take one out, say state: absent")
    evidence = gather(host, SOURCES)
    _refuse_unread(evidence)
    file = PutFile(path, None)
    file.text = _new_text(evidence, given, wanted, instead_of, file)
    flavour = evidence.limits_conf.flavour
    line = _refuse_nonsense(wanted, flavour) if wanted is not None and given["state"] == PRESENT else None
    if not file.needed:
        if line is not None:  # it stands there: look says what apply would find
            list(_refuse_overruled(evidence, line, _changes(evidence, evidence.limits_conf.sources, [line.domain])))
        return Proposal(())
    old = parsed(instead_of, flavour) if instead_of else None
    domains = [domain for domain in (wanted.domain if wanted else None, old.domain if old else None) if domain is not None]
    if wanted is None and not instead_of:
        domains.extend(line.domain for line in parse((file.before.text or "").encode("utf-8", "surrogateescape"), path, flavour))
    changes = _changes(evidence, _sources_with(evidence.limits_conf, path, file.text), domains)
    notes: List[str] = []
    if line is not None:
        _refuse_beyond_kernel(evidence, line)
    _refuse_harm(evidence, changes)
    if line is not None:
        notes.extend(_refuse_overruled(evidence, line, changes))
    if domains:
        notes.append("sessions that are open, and daemons, keep their limits; the next session has the new ones")
    return Proposal((file,), tuple(notes))


def _refuse_unread(evidence: Any) -> None:
    if not evidence.has("limits_conf") or evidence.limits_conf.flavour is None:
        raise Refused("which pam_limits this host has could not be found out, so what it would make of a line is not known")
    for gap in evidence.limits_conf.gaps:
        raise Refused("%s cannot be read (%s), so what sessions get is not known; look at it first" % (shown(gap.source), gap.reason))
    if not evidence.has("users") or not evidence.has("processes") or not evidence.has("details"):
        raise Refused("users or processes of this host cannot be read, so whom a line would harm is not known")


def _new_text(evidence: Any, given: Dict[str, Any], wanted: Optional[Wanted], instead_of: str, file: PutFile) -> Optional[str]:
    text, flavour, own = file.before.text, evidence.limits_conf.flavour, file.path == FILE
    if file.path == CONFIG and text is None and not flavour.missing_file_refuses:
        raise Refused("there is no %s, and making one would hide the vendor's; use %s" % (CONFIG, FILE))
    if wanted is None and not instead_of:
        if given["state"] == PRESENT:
            return text if text is not None else "# domain type item value\n"
        if file.path != FILE:
            raise Refused("absent needs a line: domain, type and item; %s is not this remedy's own" % file.path)
        return None
    if wanted is None:
        return limits_text.taken_out(text, instead_of, flavour)
    if given["state"] == ABSENT:
        return limits_text.without(text, wanted.key, flavour, own)
    _refuse_nonsense(wanted, flavour)
    if not instead_of:
        return limits_text.put(text, wanted, flavour, own)
    if limits_text.has(text, instead_of, flavour):
        return limits_text.replaced(text, instead_of, wanted, flavour)
    if limits_text.has(text, wanted.text, flavour):
        return text
    raise Refused("%s has no line \"%s\" that could be replaced" % (file.path, shown(instead_of)))


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    """Read back from all files as the next session will read them."""
    path, wanted = file_of(given), wanted_of(given)
    evidence = gather(host, SOURCES)
    _refuse_unread(evidence)
    flavour, text = evidence.limits_conf.flavour, PutFile(path, None).before.text
    if given["state"] == ABSENT and wanted is not None:
        return ["%s still has a line for %s" % (path, " ".join(wanted.key))] if limits_text.without(text, wanted.key, flavour, path == FILE) != text else []
    if given["state"] == ABSENT:
        left = given["instead_of"] and limits_text.has(text, given["instead_of"], flavour)
        return ["%s still has \"%s\"" % (path, shown(given["instead_of"]))] if left else []
    if wanted is None:
        return [] if text is not None else ["%s is not there" % path]
    line = _refuse_nonsense(wanted, flavour)
    if not limits_text.has(text, wanted.text, flavour):
        return ["%s has no line \"%s\"" % (path, wanted.text)]
    try:
        list(_refuse_overruled(evidence, line, _changes(evidence, evidence.limits_conf.sources, [line.domain])))
    except Refused as error:
        return [str(error)]
    return []


REMEDY = Remedy("pam_limits_line", "A line of limits.conf that the next session really gets", PARAMETERS, propose, verify)
