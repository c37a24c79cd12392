# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and groups from the local files only: /etc/passwd, /etc/group, /etc/subuid, /etc/login.defs.

The name service is never asked, because a directory that is down makes every caller wait. Where nsswitch.conf
names one, a user that is not in the files is *unknown*, not absent. Of two entries with one name or one
number the first counts, as for glibc (nss/nss_files).
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

FILE_LIMIT = 16 * 1024 * 1024  # bytes; some hosts write a whole directory into /etc/passwd
UID_MIN = 1000  # of shadow-utils, when login.defs does not say otherwise

# Sources of nsswitch.conf that are answered from this machine alone. systemd: users of units with DynamicUser=, homed, machined.
LOCAL_SOURCES = frozenset("files compat db systemd mymachines myhostname extrausers altfiles".split())


class User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Group(NamedTuple):
    name: str
    gid: int
    members: Tuple[str, ...]  # as listed; users whose primary group it is are usually not among them


class SubordinateIds(NamedTuple):
    owner: str  # name or number, as written
    first: int
    size: int  # how many


class Account(NamedTuple):
    """What PAM can know of a user: subuids apart, all that decides his limits."""

    name: str
    uid: int
    gid: int
    groups: Tuple[Tuple[str, int], ...]  # name and number of every group that has him, the primary one too


class Users(NamedTuple):
    by_name: Dict[str, User]
    by_uid: Dict[int, User]
    groups: Tuple[Group, ...]
    memberships: Dict[str, Tuple[int, ...]]  # user to the numbers of the groups that list him
    group_names: Dict[int, Tuple[str, ...]]  # number to names, of the entries that a look-up by name finds
    subordinate_uids: Tuple[SubordinateIds, ...]
    uid_min: int  # first uid of people, not of services
    directories: Tuple[str, ...]  # name services beyond this machine, as nsswitch.conf names them
    gaps: Tuple[Gap, ...]

    @property
    def complete(self) -> bool:
        """Whether a user who is not here does not exist."""
        return not self.directories and not any(gap.source in ("/etc/passwd", "/etc/nsswitch.conf") for gap in self.gaps)

    def name_of(self, uid: int) -> str:
        """The name, or the number as text."""
        user = self.by_uid.get(uid)
        return user.name if user else str(uid)

    def account(self, name: str) -> Optional[Account]:
        """None when the local files have no such user."""
        user = self.by_name.get(name)
        if user is None:
            return None
        numbers = {user.gid}.union(self.memberships.get(name, ()))
        return Account(name, user.uid, user.gid, tuple(sorted(
            (group, gid) for gid in numbers for group in self.group_names.get(gid, ()))))


def read(host: Host) -> Users:
    """Never raises."""
    gaps: List[Gap] = []

    def lines(path: str, needed: bool) -> List[str]:
        try:
            return host.read_text(path, FILE_LIMIT).split("\n")
        except Missing as error:
            if needed:
                gaps.append(Gap(path, error.reason))
        except HostError as error:
            gaps.append(Gap(path, error.reason))
        return []

    passwd = lines("/etc/passwd", True)
    users = parse_passwd(passwd)
    by_name: Dict[str, User] = {}
    by_uid: Dict[int, User] = {}
    for user in users:
        by_name.setdefault(user.name, user)
        by_uid.setdefault(user.uid, user)
    groups = parse_group(lines("/etc/group", True))
    return Users(
        by_name,
        by_uid,
        groups,
        _memberships(groups),
        _group_names(groups),
        parse_subordinate_ids(lines("/etc/subuid", False)),
        parse_uid_min(lines("/etc/login.defs", False)),
        parse_nsswitch(lines("/etc/nsswitch.conf", False), any(line.startswith("+") for line in passwd)),
        tuple(gaps),
    )


def _memberships(groups: Tuple[Group, ...]) -> Dict[str, Tuple[int, ...]]:
    found: Dict[str, Tuple[int, ...]] = {}
    for group in groups:
        for member in group.members:
            found[member] = found.get(member, ()) + (group.gid,)
    return found


def _group_names(groups: Tuple[Group, ...]) -> Dict[int, Tuple[str, ...]]:
    found: Dict[int, Tuple[str, ...]] = {}
    seen = set()
    for group in groups:
        if group.name not in seen:
            seen.add(group.name)
            found[group.gid] = found.get(group.gid, ()) + (group.name,)
    return found


def parse_passwd(lines: List[str]) -> Tuple[User, ...]:
    """Lines that are no entry (comments, "+" of compat, too few fields, no number) are passed over, as glibc does."""
    users = []
    for line in lines:
        fields = line.split(":")
        if len(fields) < 4 or not _is_name(fields[0]):
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            home, shell = (fields[5:7] + ["", ""])[:2]
            users.append(User(fields[0], uid, gid, home, shell))
    return tuple(users)


def parse_group(lines: List[str]) -> Tuple[Group, ...]:
    groups = []
    for line in lines:
        fields = line.split(":")
        if len(fields) < 3 or not _is_name(fields[0]):
            continue
        gid = _number(fields[2])
        if gid is not None:
            members = fields[3].split(",") if len(fields) > 3 else []
            groups.append(Group(fields[0], gid, tuple(name.strip() for name in members if name.strip())))
    return tuple(groups)


def parse_subordinate_ids(lines: List[str]) -> Tuple[SubordinateIds, ...]:
    found = []
    for line in lines:
        fields = line.strip().split(":")
        if len(fields) == 3 and _is_name(fields[0]):
            first, size = _number(fields[1]), _number(fields[2])
            if first is not None and size:
                found.append(SubordinateIds(fields[0], first, size))
    return tuple(found)


def parse_uid_min(lines: List[str]) -> int:
    """The last UID_MIN line counts (shadow-utils lib/getdef.c)."""
    uid_min = UID_MIN
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "UID_MIN":
            number = _number(words[1])
            uid_min = uid_min if number is None else number
    return uid_min


def parse_nsswitch(lines: List[str], compat_entries: bool = False) -> Tuple[str, ...]:
    """The sources for users and groups that are answered by others, in order, once each."""
    found: List[str] = []
    for line in lines:
        database, colon, sources = line.partition("#")[0].partition(":")
        if not colon or database.strip() not in ("passwd", "group", "initgroups", "passwd_compat"):
            continue
        for source in _without_actions(sources).split():
            if source == "compat" and compat_entries and "nis" not in found:
                found.append("nis")
            if source not in LOCAL_SOURCES and source not in found:
                found.append(source)
    return tuple(found)


def _without_actions(sources: str) -> str:
    """nsswitch.conf(5): reactions such as [NOTFOUND=return] stand between the sources."""
    parts = sources.split("[")
    return " ".join([parts[0]] + [part.partition("]")[2] for part in parts[1:]])


def _is_name(text: str) -> bool:
    return bool(text) and text[0] not in "#+-" and not text[0].isspace()


def _number(text: str) -> Optional[int]:
    return int(text) if text.isdigit() and len(text) < 12 and all("0" <= char <= "9" for char in text) else None
