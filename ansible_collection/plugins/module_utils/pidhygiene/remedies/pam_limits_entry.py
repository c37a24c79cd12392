# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pam_limits_entry: sessions of a service run pam_limits, by a profile that the distribution's own tool (pam-auth-update) puts into the common stack.

This remedy starts processes: the tool, and one that opens a session as the service does, before and after. A session that could be
opened before and cannot be opened afterwards brings the old files back. Without a second way in nothing is begun.
"""

import os
import re
import subprocess
import sys
from typing import Any, Dict, List, Sequence

from .. import sessions
from ..evidence import Evidence, gather
from ..host import Host, LiveHost, Missing
from ..readers.pam_stack import ALWAYS, NEVER, REFUSED, service_name
from ..text import shown
from .around import gathered, own_units
from .crowded import crowded
from .files import PutFile
from .model import OLD, Difference, Failed, Parameter, Proposal, Refused, Remedy, Step, clean

PRESENT, ABSENT = "present", "absent"
SOURCES = ("distribution", "pam_stacks", "users", "processes", "details", "sessions", "budgets")
MODULE = "pam_limits.so"
PROFILE = "pidhygiene-limits"
PATH = "/usr/share/pam-configs/" + PROFILE  # the only folder that the tool reads
TOOL = "/usr/sbin/pam-auth-update"
COMMON = ("/etc/pam.d/common-session", "/etc/pam.d/common-session-noninteractive")
OF_AUTHSELECT = ("/etc/pam.d/system-auth", "/etc/pam.d/password-auth")
SELECTED = "/etc/authselect/authselect.conf"
LINE = "session required pam_limits.so"
MANAGED = COMMON + ("/etc/pam.d/common-account", "/etc/pam.d/common-auth", "/etc/pam.d/common-password") + tuple(
    "/var/lib/pam/" + name for name in ("account", "auth", "password", "seen", "session", "session-noninteractive"))
TEXT = "Name: Limits of limits.conf (pidhygiene)\nDefault: no\nPriority: 0\nSession-Type: Additional\nSession:\n\trequired\tpam_limits.so\n"
TOOL_S, SESSION_S = 120, 60
OPENS = """
import ctypes, os, pwd, sys
pam, handle = ctypes.CDLL("libpam.so.0"), ctypes.c_void_p()
Talk = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
class Conversation(ctypes.Structure):
    _fields_ = [("talk", Talk), ("data", ctypes.c_void_p)]
silent = Conversation(Talk(lambda *_args: 19), None)
service, user = (text.encode() for text in sys.argv[1:])
failed = pam.pam_start(service, user, ctypes.byref(silent), ctypes.byref(handle)) or pam.pam_open_session(handle, 0)
if failed:
    sys.exit(1)
child = os.fork()  # what a login does then: become the user, start a shell, and a program from it
if not child:
    try:
        account = pwd.getpwnam(sys.argv[2])
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.execv("/bin/sh", ["sh", "-c", "/bin/true && exit 0; exit 1"])
    finally:
        os._exit(1)
status = os.waitpid(child, 0)[1]
pam.pam_close_session(handle, 0)
sys.exit(1 if status else 0)
"""

PARAMETERS = (
    Parameter("service", "text", "The service of PAM, as sshd, whose sessions shall have the limits of limits.conf.", required=True),
    Parameter("other_way_in", "flag", "There is another way in than the one this comes by, as a console, and it was tried.", default=False),
    Parameter("state", "choice", "In the common stack, or taken out again.", default=PRESENT, choices=(PRESENT, ABSENT)),
)


class Profile(Step):
    """The profile and what the tool makes of it, all or nothing; no session is lost by it."""

    def __init__(self, service: str, users: Sequence[str], there: bool) -> None:
        self.service, self.users, self.there = service, tuple(users), there
        self._file = PutFile(PATH, TEXT if there else None)
        self._before: List[PutFile] = []

    def differences(self) -> List[Difference]:
        with_it = "session required pam_limits.so (profile %s)" % PROFILE
        words = ("no pam_limits", with_it) if self.there else (with_it, "as without the profile")
        return [Difference("sessions of %s" % self.service, *words)] + self._file.differences()

    def do(self) -> None:
        opened = [user for user in self.users if _opens(self.service, user)]
        if not opened:
            raise Failed("no session of %s can be opened as it is, so whether one can be afterwards would not be known: mend that first" % self.service, OLD)
        self._before = [PutFile(path, None) for path in MANAGED]
        try:
            self._change()
            lost = [user for user in opened if not _opens(self.service, user)]
            if lost:
                raise Failed("a session of %s for %s can no longer be opened with it" % (self.service, shown(lost[0])), OLD)
        except BaseException:
            self.undo()
            raise

    def _change(self) -> None:
        if self.there:
            self._file.do()
        _run([TOOL, "--package", "--enable" if self.there else "--remove", PROFILE])
        if not self.there:
            self._file.do()
        calls = _stack(gather(LiveHost(), SOURCES), self.service).calls(MODULE)
        if self.there and calls != ALWAYS:
            raise Failed("pam-auth-update has not put it in: it leaves files alone that somebody has edited; look at %s, then run pam-auth-update" % (
                COMMON[0],), OLD)

    def undo(self) -> None:
        for each in self._before:
            back = PutFile(each.path, each.before.text)
            if back.needed:
                back.do()
        self._before = []
        self._file.undo()


def _run(argv: Sequence[str]) -> None:
    """Errors: Failed."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    try:
        done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TOOL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed("%s could not be run (%s)" % (argv[0], error), OLD)
    if done.returncode:
        raise Failed("%s ended with %d: %s" % (argv[0], done.returncode, shown(done.stdout.decode("utf-8", "replace")[-300:])), OLD)


def _opens(service: str, user: str) -> bool:
    """Whether a session can be opened as the service opens it, and a program be started in it as the user; by a process of its own, which ends with it."""
    try:
        return subprocess.run([sys.executable, "-c", OPENS, service, user], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=SESSION_S, check=False, cwd="/").returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _stack(evidence: Evidence, service: str) -> Any:
    stack = evidence.pam_stacks.of(service) if evidence.has("pam_stacks") else None
    if stack is None or not stack.path:
        raise Refused("PAM has no service %s of its own here; known are those of logins and of units with PAMName=" % shown(service))
    if stack.gaps:
        raise Refused("%s cannot be read (%s), so what its sessions run is not known" % (shown(stack.gaps[0].source), stack.gaps[0].reason))
    return stack


def propose(host: Host, given: Dict[str, Any]) -> Proposal:
    service = service_name(clean("service", given["service"], ("/", "..", "%", "'", '"', " ")))
    evidence = gathered(host, SOURCES)
    there = PutFile(PATH, None).before.text is not None
    if given["state"] == ABSENT:
        if not there:
            return Proposal(())
    else:
        stack = _stack(evidence, service)
        if stack.calls(MODULE) == ALWAYS:
            return Proposal(())
        _refuse_foreign(host, evidence, stack)
    _refuse_locked_in(evidence, host, given)
    full = crowded(evidence)
    if full is not None:
        raise Refused("%s: no process can start now, and this starts the distribution's tool; make room first" % full.text())
    users = ["root"] + [account.name for account in sessions.logins(evidence) if account.uid != 0][:1]
    return Proposal((Profile(service, users, given["state"] == PRESENT),),
                    ("sessions that are open keep their limits", "it holds for every service that includes %s" % COMMON[0]))


def _refuse_foreign(host: Host, evidence: Evidence, stack: Any) -> None:
    """What pam-auth-update does not manage. Errors: Refused, with the text to add."""
    common, by_hand = COMMON, "debian" not in evidence.distribution.family or not os.path.exists(TOOL)
    if by_hand:
        common = OF_AUTHSELECT
    if stack.calls(MODULE) == REFUSED:
        raise Refused("%s lets no session be opened at all: mend that first" % shown(stack.path))
    if stack.calls(MODULE) != NEVER:
        raise Refused("a control in %s can pass over pam_limits: look at the lines before it" % shown(stack.path))
    if not any(step.file in common for step in stack.steps):
        raise Refused("%s does not include the common stack, and a service's own file is not edited: add \"session required pam_limits.so\" to it" % (
            shown(stack.path),))
    if by_hand:
        raise Refused("no tool of this distribution puts it in by itself; with a second session of root open: %s" % _authselect(host))


def _authselect(host: Host) -> str:
    """The commands for the profile that is selected: its own line, then its features (/etc/authselect/authselect.conf)."""
    try:
        words = host.read_text(SELECTED).split()
    except Missing:
        words = []
    if not words or not all(re.match(r"[A-Za-z0-9][A-Za-z0-9+._/-]*\Z", word) for word in words):
        return "add \"%s\" to %s" % (LINE, " and ".join(OF_AUTHSELECT))
    if words[0].startswith("custom/"):
        return "add \"%s\" to system-auth and password-auth in /etc/authselect/%s, then authselect apply-changes" % (LINE, words[0])
    return "authselect create-profile limits -b %s, add \"%s\" to system-auth and password-auth in /etc/authselect/custom/limits, then authselect select %s" % (
        words[0], LINE, " ".join(["custom/limits"] + words[1:]))


def _refuse_locked_in(evidence: Evidence, host: Host, given: Dict[str, Any]) -> None:
    """Whoever came by a session and loses PAM needs another one that is open already. Errors: Refused."""
    own = own_units(evidence, host)
    through_login = any(unit.startswith("session-") for unit in own)
    others = [each for each in evidence.sessions.sessions if each.uid == 0 and each.state in ("active", "online") and each.scope and each.scope not in own]
    if through_login and not others and not given["other_way_in"]:
        raise Refused("no second way in is open: keep another session of root open meanwhile, or say other_way_in when a console was tried")


def verify(host: Host, given: Dict[str, Any]) -> List[str]:
    if given["state"] == ABSENT:
        return ["%s is still there" % PATH] if os.path.exists(PATH) else []
    service = service_name(given["service"])
    if _stack(gather(host, SOURCES), service).calls(MODULE) != ALWAYS:
        return ["sessions of %s do not run pam_limits" % service]
    return []


REMEDY = Remedy("pam_limits_entry", "Sessions of a service run pam_limits, by the distribution's own tool", PARAMETERS, propose, verify)
