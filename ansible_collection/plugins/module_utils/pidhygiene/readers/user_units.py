# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of users' managers that have processes, and what their files say. Nobody is asked over a bus: a user's manager may answer what it likes.

The search is that of the system's units, in the user's own directories (src/basic/path-lookup.c acquire_config_dirs, user_data_unit_paths).
Environment variables that move these directories are not followed.
"""

from typing import Dict, List, Tuple

from ..host import Host
from ..model import Gap
from ..record import NamedTuple
from .cgroups import USER_MANAGER
from .process_details import Details
from .processes import ProcessTable
from .unit_files import Search, Setting, UnitFile, kind_of
from .users import Users

MOST_USERS = 50  # whose directories are searched


class UserUnit(NamedTuple):
    label: str  # user@1001.service/app.slice/web.service
    name: str
    user: str
    main_pid: int  # the process whose parent is the manager, else the oldest
    configured: Dict[str, Setting]
    manager_pid: int  # 0: not seen


class UserUnits(NamedTuple):
    units: Dict[str, UserUnit]  # by label
    files: Dict[str, UnitFile]  # every file that was read
    gaps: Tuple[Gap, ...]


def load_path(home: str, uid: int) -> Tuple[str, ...]:
    own, run = home.rstrip("/"), "/run/user/%d/systemd" % uid
    return (
        own + "/.config/systemd/user.control", run + "/user.control", run + "/transient", run + "/generator.early", own + "/.config/systemd/user",
        "/etc/xdg/systemd/user", "/etc/systemd/user", run + "/user", "/run/systemd/user", run + "/generator", own + "/.local/share/systemd/user",
        "/usr/local/share/systemd/user", "/usr/share/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user", run + "/generator.late",
    )


def read(host: Host, table: ProcessTable, details: Details, users: Users) -> UserUnits:
    """Raises no HostError but OutOfTime."""
    members: Dict[str, List[int]] = {}
    managers: Dict[int, int] = {}
    for pid, detail in details.of.items():
        label = detail.unit_label
        found = USER_MANAGER.match(label.partition("/")[0]) if label and "/" in label else None
        if label and found:
            if label.endswith("/init.scope"):
                uid = int(found.group(1))
                managers[uid] = min(pid, managers.get(uid, pid))
            else:
                members.setdefault(label, []).append(pid)
    searches: Dict[int, Search] = {}
    units: Dict[str, UserUnit] = {}
    for label in sorted(members):
        uid, name = int(label[len("user@"):label.index(".")]), label.rpartition("/")[2]
        user = users.by_uid.get(uid)
        if user is None or not name.endswith(".service") or not kind_of(name):
            continue
        if uid not in searches:
            if len(searches) >= MOST_USERS:
                continue
            searches[uid] = Search(host, load_path(user.home, uid))
        manager = managers.get(uid, 0)
        live = [table.processes[pid] for pid in members[label] if pid in table.processes]
        main = min(live, key=lambda process: (process.ppid != manager, process.start, process.pid))
        units[label] = UserUnit(label, name, user.name, main.pid, searches[uid].definition(name).settings, manager)
    files = {path: file for search in searches.values() for path, file in search.files.items()}
    return UserUnits(units, files, tuple(gap for search in searches.values() for gap in search.gaps))
