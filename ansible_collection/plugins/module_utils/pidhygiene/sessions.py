# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new session of a user would get from limits.conf on this host. Pure: from evidence to limits."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from .model import UNLIMITED, Gap, Seen
from .readers.limits_conf import RLIMITS, Line, Session, Source, session_limits, uid_range
from .text import shown

NR_OPEN = 1048576  # fs/file.c sysctl_nr_open, where it could not be read
NO_LOGIN_SHELLS = ("nologin", "false", "sync", "shutdown", "halt", "true")
FIRST_USER = 100  # uids below are the distribution's own (Debian policy 9.2.2); an old RHEL gave people 500 and more


def config_gaps(evidence: Any) -> Tuple[Gap, ...]:
    """An unknown pam matters only where there is something to read."""
    conf = evidence.limits_conf
    return tuple(gap for gap in conf.gaps if conf.flavour is not None or conf.lines or gap.source != "pam_limits")


def nr_open(evidence: Any) -> int:
    """The most open files that the kernel lets anybody have."""
    return (evidence.budgets.nr_open if evidence.has("budgets") else None) or NR_OPEN


def of_user(
    evidence: Any, account: Any, arguments: Sequence[str] = (), start: Optional[Dict[str, Tuple[int, int]]] = None,
    sources: Optional[Sequence[Source]] = None,
) -> Session:
    """Opened by a process that runs with the limits of process 1, unless ``start`` says otherwise. The flavour must be known.

    ``sources``: files to read instead of those that are there.
    """
    conf = evidence.limits_conf
    manager = evidence.details.manager_limits or {}
    limits = {item: (UNLIMITED, UNLIMITED) for item in RLIMITS}
    limits.update(manager)
    limits.update(start or {})
    return session_limits(conf.sources_for(arguments) if sources is None else sources, account, conf.flavour, limits, manager, nr_open(evidence), arguments)


def account_of(evidence: Any, user: str) -> Any:
    """Of User= in a unit: a name, or a number. None when the local files do not have it."""
    users = evidence.users
    if user.isdigit() and user not in users.by_name and int(user) in users.by_uid:
        user = users.by_uid[int(user)].name
    return users.account(user)


def logins(evidence: Any) -> List[Any]:
    """Users who can log in: those with a shell, daemons of the distribution apart."""
    return [user for user in sorted(evidence.users.by_name.values())
            if user.shell.rpartition("/")[2] not in NO_LOGIN_SHELLS and (user.uid == 0 or user.uid >= FIRST_USER)]


def named_by(evidence: Any, domain: str) -> List[str]:
    """Local users for whom a domain speaks by name, group or range; none for a wildcard."""
    users = evidence.users
    if domain in users.by_name:
        return [domain]
    scope = uid_range(domain)
    of_groups = domain[:1] in ("@", "%")
    if scope is None:
        groups = [group for group in users.groups if of_groups and group.name == domain[1:]]
    else:
        high = scope.high if scope.kind != "from" else 2 ** 32
        groups = [group for group in users.groups if of_groups and scope.low <= group.gid <= high]
        if not of_groups:
            return sorted(user.name for user in users.by_name.values() if scope.low <= user.uid <= high)
    numbers = {group.gid for group in groups}
    members = {name for group in groups for name in group.members if name in users.by_name}
    return sorted(members.union(user.name for user in users.by_name.values() if user.gid in numbers))


def text_of(line: Line) -> str:
    return shown(line.text, 120)


def seen(line: Line) -> Seen:
    return Seen(line.place, text_of(line))
