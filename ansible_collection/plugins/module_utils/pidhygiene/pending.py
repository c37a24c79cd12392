# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon-reload would bring: what the files of units say that systemd does not have yet. Pure: from evidence to sentences."""

from typing import Any, Iterable, List


def touched(units: Any, paths: Iterable[str]) -> bool:
    """Whether one of the files changed, in content or attributes, after the last load."""
    loaded = units.manager.last_load
    return loaded is not None and any(units.files[path].ctime > loaded for path in paths if path in units.files)


def files_differ(units: Any, unit: Any) -> List[str]:
    """What the manager has otherwise than the files that were touched since it read them."""
    if unit.transient or unit.load_state != "loaded" or not (
            touched(units, unit.files) or tuple(unit.drop_ins) != tuple(unit.files[1 if unit.fragment else 0:])):
        return []
    found = []
    if [unit.fragment] if unit.fragment else []:
        if unit.files and unit.files[0] != unit.fragment and unit.fragment not in unit.files:
            found.append("FragmentPath=%s" % unit.fragment)
    for item, limit in sorted(unit.limits.items()):
        setting = unit.limit_set_in(item)
        if setting is not None and setting.meaning != limit:
            found.append("Limit%s=%s" % (item.upper(), setting.value))
    tasks = unit.configured.get("TasksMax")
    if tasks is not None and tasks.meaning is not None and unit.tasks_max is not None and units.manager.machine_tasks is not None:
        if tasks.meaning.resolve(units.manager.machine_tasks) != unit.tasks_max:
            found.append("TasksMax=%s" % tasks.value)
    for key, value in (("KillMode", unit.kill_mode), ("User", unit.user), ("PAMName", unit.pam_name)):
        setting = unit.configured.get(key)
        if setting is not None and setting.meaning is not None and "%" not in setting.value and value and setting.meaning != value:
            found.append("%s=%s" % (key, setting.value))
    return found


def changed_defaults(units: Any) -> List[str]:
    """DefaultLimit*= and DefaultTasksMax= that the manager does not have yet."""
    manager = units.manager
    if not touched(units, manager.files):
        return []
    found = []
    for key, setting in sorted(manager.defaults.items()):
        if not setting.file or setting.meaning is None:
            continue
        if key == "DefaultTasksMax":
            waits = manager.tasks_max is not None and manager.machine_tasks is not None and (
                setting.meaning.resolve(manager.machine_tasks) != manager.tasks_max)
        else:
            limit = manager.limits.get(key[len("DefaultLimit"):].lower())
            waits = limit is not None and limit != setting.meaning
        if waits:
            found.append("%s=%s (%s:%d)" % (key, setting.value, setting.file, setting.line))
    return found


def of_others(units: Any, own_file: str) -> List[str]:
    """What waits for a reload although nobody asked for it now: all but the one file that a remedy is about to write."""
    found = changed_defaults(units)
    for unit in sorted(units.units.values()):
        waiting = files_differ(units, unit)
        if unit.need_daemon_reload and not waiting:
            waiting = [path for path in unit.files if path != own_file and touched(units, [path])]
            if not waiting and own_file not in unit.files:
                waiting = ["a file was added or removed"]
        found.extend("%s: %s" % (unit.id, text) for text in waiting if own_file not in unit.files or text in unit.files)
    return found
