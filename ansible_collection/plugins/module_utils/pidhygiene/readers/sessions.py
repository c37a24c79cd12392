# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What logind keeps of sessions (src/login/logind-session.c session_save), and what keeps people from logging in.

The files are logind's own notes. They are read because they need no logind: one that is full of leftovers may not answer.
"""

from typing import Dict, List, Optional, Tuple

from ..host import Host, HostError, Missing
from ..model import Gap
from ..record import NamedTuple

SESSIONS = "/run/systemd/sessions"
TRANSIENT = "/run/systemd/transient"
NO_LOGIN = ("/run/nologin", "/etc/nologin")  # in the order in which pam_nologin looks for them
SCHEDULED = "/run/systemd/shutdown/scheduled"
CONFIG = "logind.conf"
CONFIG_FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")
SESSIONS_MAX = 8192  # src/login/logind.c manager_reset_config
FILE_LIMIT = 16384  # bytes


class Session(NamedTuple):
    id: str
    uid: int  # -1: not told
    user: str
    state: str  # opening, online, active, closing
    leader: int  # pid; 0: none
    scope: str  # as session-3.scope
    service: str  # PAM's name of it: sshd, crond …
    kind: str  # CLASS: user, background, greeter …
    since: float  # seconds since the epoch; 0: not told


class Sessions(NamedTuple):
    present: bool  # logind has run since boot
    sessions: Tuple[Session, ...]
    maximum: int
    maximum_from: str  # file; "" : built in
    scopes: Tuple[str, ...]  # session-*.scope that systemd still has a transient unit file of
    no_login: Tuple[Tuple[str, float], ...]  # files that block logins, and their ctimes, seconds since the epoch
    shutdown_at: Optional[float]  # seconds since the epoch
    shutdown_mode: str
    gaps: Tuple[Gap, ...]  # about sessions
    blocking_gaps: Tuple[Gap, ...]  # about what blocks logins


def read(host: Host) -> Sessions:
    """Never raises."""
    gaps: List[Gap] = []
    blocking: List[Gap] = []
    names = _names(host, SESSIONS, gaps)
    sessions = []
    for name in names or ():
        if name.endswith(".ref") or name.startswith("."):
            continue
        path = SESSIONS + "/" + name
        try:
            sessions.append(parse(name, host.read_text(path, FILE_LIMIT)))
        except Missing:
            continue  # it ended meanwhile
        except HostError as error:
            gaps.append(Gap(path, error.reason))
        except ValueError:
            gaps.append(Gap(path, "not in the form of logind's session files"))
    maximum, source = _maximum(host, gaps)
    scopes = tuple(name for name in _names(host, TRANSIENT, gaps) or () if name.startswith("session-") and name.endswith(".scope"))
    no_login = []
    for path in NO_LOGIN:
        try:
            no_login.append((path, host.stat(path).ctime))
        except Missing:
            pass
        except HostError as error:
            blocking.append(Gap(path, error.reason))
    at, mode = _scheduled(host, blocking)
    return Sessions(names is not None, tuple(sessions), maximum, source, scopes, tuple(no_login), at, mode, tuple(gaps), tuple(blocking))


def parse(name: str, text: str) -> Session:
    """Errors: ValueError."""
    value = assignments(text)
    return Session(
        name, _number(value.get("UID", "-1")), value.get("USER", ""), value.get("STATE", ""), _number(value.get("LEADER", "0")), value.get("SCOPE", ""),
        value.get("SERVICE", ""), value.get("CLASS", ""), _number(value.get("REALTIME", "0")) / 1e6,
    )


def assignments(text: str) -> Dict[str, str]:
    """KEY=value lines; quotes around a value are dropped."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key.strip()] = value.strip().strip("\"'")
    return found


def _number(text: str) -> int:
    if len(text) > 20:
        raise ValueError("too long")
    return int(text)


def _scheduled(host: Host, gaps: List[Gap]) -> Tuple[Optional[float], str]:
    try:
        value = assignments(host.read_text(SCHEDULED, FILE_LIMIT))
        return _number(value.get("USEC", "")) / 1e6, value.get("MODE", "")
    except Missing:
        return None, ""
    except HostError as error:
        gaps.append(Gap(SCHEDULED, error.reason))
    except ValueError:
        gaps.append(Gap(SCHEDULED, "not in the form of logind's shutdown file"))
    return None, ""


def _maximum(host: Host, gaps: List[Gap]) -> Tuple[int, str]:
    """SessionsMax= of the first logind.conf, overridden by drop-ins in the order of their names; of equal names the first folder's counts."""
    files: List[str] = []
    for folder in CONFIG_FOLDERS:
        path = folder + "/" + CONFIG
        try:
            if host.exists(path):
                files.append(path)
                break
        except HostError as error:
            gaps.append(Gap(path, error.reason))
    drop_ins: Dict[str, str] = {}
    for folder in CONFIG_FOLDERS:
        for name in _names(host, "%s/%s.d" % (folder, CONFIG), gaps) or ():
            if name.endswith(".conf"):
                drop_ins.setdefault(name, "%s/%s.d/%s" % (folder, CONFIG, name))
    files.extend(drop_ins[name] for name in sorted(drop_ins))
    found, source = SESSIONS_MAX, ""
    for path in files:
        try:
            text = host.read_text(path)
        except Missing:
            continue
        except HostError as error:
            gaps.append(Gap(path, error.reason))
            continue
        value = assignments(text).get("SessionsMax", "")
        if value.isdigit() and len(value) < 12:
            found, source = int(value), path
    return found, source


def _names(host: Host, directory: str, gaps: List[Gap]) -> Optional[List[str]]:
    try:
        return host.list(directory)
    except Missing:
        return None
    except HostError as error:
        gaps.append(Gap(directory, error.reason))
        return []
