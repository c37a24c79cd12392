# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that PAM refuses to cron because of their dates in /etc/shadow: only these are looked at, never a password.

cron asks pam_acct_mgmt(3) before each job and takes anything but success for a refusal, an aged password too (cron do_command.c,
cronie security.c). A locked or missing password and a login shell are nothing to it: pam_unix looks at dates alone
(modules/pam_unix/passverify.c check_shadow_expiry). All of it was tried with Debian's cron on Linux-PAM 1.5.2 and 1.7.0.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple
from .cron import CRONIE_CRON, DEBIAN_CRON, Cron
from .pam_stack import Stack, account_stack

SHADOW, PASSWD = "/etc/shadow", "/etc/passwd"
FILE_LIMIT = 16 * 1024 * 1024  # bytes
SERVICES = {DEBIAN_CRON: "cron", CRONIE_CRON: "crond"}  # the names under which they call PAM

# What pam_unix returns, by the names of pam.conf(5)
EXPIRED, AGED, INACTIVE = "acct_expired", "new_authtok_reqd", "authtok_expired"


class Dates(NamedTuple):
    """Days since 1970-01-01, or of days; None where the field is empty or negative: never, no limit."""

    last_change: Optional[int]  # 0: a new password is wanted at the next login
    maximum: Optional[int]
    inactive: Optional[int]
    expires: Optional[int]

    def refusal(self, today: int) -> str:
        """What pam_unix returns, or "". On the very last day releases differ: then nothing is said."""
        if self.expires is not None and today > self.expires:
            return EXPIRED
        if self.last_change == 0:
            return AGED
        if self.last_change is None or self.maximum is None or today - self.last_change <= self.maximum:
            return ""
        age = today - self.last_change
        return INACTIVE if self.inactive is not None and age > self.inactive and age > self.maximum + self.inactive else AGED


class PasswordAges(NamedTuple):
    dates: Dict[str, Dates]  # user to dates, of those whose password is in /etc/shadow
    stack: Optional[Stack]  # account lines of the running cron; None: no cron runs, or one that is not known
    gaps: Tuple[Gap, ...]

    def refusal(self, user: str, today: int) -> str:
        """As Dates.refusal, where the stack lets nobody in whom pam_unix refuses so."""
        dates = self.dates.get(user)
        result = dates.refusal(today) if dates is not None and self.stack is not None else ""
        if not result or self.stack is None or not self.stack.refuses("pam_unix.so", result):
            return ""
        overlooked = any("no_pass_expiry" in arguments for arguments in self.stack.arguments("pam_unix.so"))
        return "" if overlooked and result != EXPIRED else result


def read(host: Host, cron: Cron, debian: bool, version: Optional[Tuple[int, ...]]) -> PasswordAges:
    """Nothing is read where no cron runs. Never raises."""
    service = SERVICES.get(cron.implementation)
    if not cron.daemons or service is None:
        return PasswordAges({}, None, ())
    gaps: List[Gap] = []
    shadow = _fields(host, SHADOW, gaps)
    shadowed = {fields[0] for fields in _fields(host, PASSWD, gaps) if len(fields) > 1 and fields[1] == "x"}
    dates: Dict[str, Dates] = {}
    for fields in shadow:
        if len(fields) >= 8 and fields[0] in shadowed:
            dates.setdefault(fields[0], Dates(_day(fields[2]), _day(fields[4]), _day(fields[6]), _day(fields[7])))
    stack = account_stack(host, debian, service, version)
    return PasswordAges(dates, stack, tuple(gaps) + stack.gaps)


def _fields(host: Host, path: str, gaps: List[Gap]) -> List[List[str]]:
    try:
        text = host.read_text(path, FILE_LIMIT)
    except Missing:
        return []
    except HostError as error:
        gaps.append(Gap(path, error.reason))
        return []
    return [line.split(":") for line in text.split("\n")]


def _day(text: str) -> Optional[int]:
    return int(text) if text.isdigit() and len(text) < 10 else None
