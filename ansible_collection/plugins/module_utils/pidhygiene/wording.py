# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How findings name things: processes, users, durations, shares. One way of saying it, everywhere."""

from typing import Any, Optional, Sequence, Tuple

from .model import UNLIMITED, Remedy, Subject
from .readers.cgroups import USER_MANAGER, user_unit_of
from .text import masked, shown

COMMAND_SHOWN = 120  # characters of a command line


def base_name(program: str) -> str:
    """/opt/VRTSralus/bin/beremote → beremote; "[name]" for a program that could not be read → name."""
    if program.startswith("[") and program.endswith("]"):
        return program[1:-1]
    name = program.rsplit("/", 1)[-1]
    return name[: -len(" (deleted)")] if name.endswith(" (deleted)") else name


def command_line(program: str, arguments: Sequence[str]) -> str:
    return shown(masked(" ".join(arguments) if arguments else program), COMMAND_SHOWN)


def user_name(evidence: Any, uid: int) -> str:
    """The account's name where /etc/passwd has one, else "uid N"."""
    user = evidence.users.by_uid.get(uid) if evidence.has("users") else None
    return user.name if user else "uid %d" % uid


def unit_of(evidence: Any, pid: int) -> Optional[str]:
    """Units of users' managers are told with the way to them: user@1001.service/app.slice/web.service."""
    detail = evidence.details.of.get(pid) if evidence.has("details") else None
    return detail.unit_label if detail else None


def of_user(evidence: Any, unit: str) -> Optional[Tuple[str, str]]:
    """user@1001.service/app.slice/web.service → (web.service, alice); None for units of the system."""
    manager, inside, _rest = unit.partition("/")
    found = USER_MANAGER.match(manager)
    return (unit.rsplit("/", 1)[-1], user_name(evidence, int(found.group(1)))) if found and inside else None


def unit_name(evidence: Any, unit: str) -> str:
    """web.service of user alice; or the unit of the system as it is called."""
    found = of_user(evidence, unit)
    return "%s of user %s" % found if found else unit


def restart_of(evidence: Any, unit: str) -> str:
    found = of_user(evidence, unit)
    return "restart %s as user %s (systemctl --user restart %s)" % (found + found[:1]) if found else "restart %s" % unit


def unit_parameters(evidence: Any, unit: Optional[str]) -> Tuple[Tuple[str, Any], ...]:
    """For a remedy: the unit, and whose manager has it."""
    found = of_user(evidence, unit) if unit else None
    return (("unit", found[0]), ("user", found[1])) if found else (("unit", unit or ""),)


def more_tasks(evidence: Any, group: str, tasks: int) -> Optional[Remedy]:
    """TasksMax= of the unit that has this control group; None where it is of none that could be set, as a scope or the root."""
    unit = user_unit_of(group) or group.rpartition("/")[2]
    return Remedy("unit_limits", unit_parameters(evidence, unit) + (("tasks", tasks),)) if unit.endswith((".service", ".slice")) else None


def parent_restarted(evidence: Any, pid: int) -> Optional[Remedy]:
    """Its zombies go then; None for one that no manager would start again."""
    unit = unit_of(evidence, pid) or ""
    if not unit.endswith(".service"):
        return None
    return Remedy("reap", (("mode", "restart"), ("parent", pid)) + unit_parameters(evidence, unit), disruptive=True)


def process_subject(evidence: Any, pid: int, program: str) -> Subject:
    """Shown with its pid; the same for the fingerprint as long as unit, program and user are the same."""
    name = base_name(program)
    status = evidence.processes.status.get(pid)
    user = user_name(evidence, status.uid) if status else "?"
    return Subject("process", "%s (%d)" % (name, pid), "%s|%s|%s" % (unit_of(evidence, pid) or "", name, user))


def limit(value: int) -> str:
    return "unlimited" if value == UNLIMITED else "%d" % value


def percent(share: float) -> str:
    return "%.1f %%" % (100.0 * share)


def duration(seconds: float) -> str:
    """Two figures are enough for a person: 45 s, 12 min, 7.5 h, 12 d."""
    for size, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            value = seconds / size
            return "%.0f %s" % (value, name) if value >= 10 else "%.1f %s" % (value, name)
    return "%.0f s" % seconds


def ahead(days: float) -> str:
    """Time to exhaustion."""
    return "now" if days <= 0 else "in " + duration(86400 * days)


def counted(pairs: Sequence[Tuple[str, int]], most: int = 3) -> str:
    """[("ora", 18000), ("sh", 94)] → "18000 ora, 94 sh"."""
    text = ", ".join("%d %s" % (count, shown(name, 40)) for name, count in pairs[:most])
    return text + (" and %d other names" % (len(pairs) - most) if len(pairs) > most else "")


def noun(count: int, one: str, many: str = "") -> str:
    return "%d %s" % (count, one if count == 1 else many or one + "s")


def listed(names: Sequence[str], most: int = 5) -> str:
    """["a", "b", … ] → "a, b and 3 more"."""
    text = ", ".join(shown(name, 60) for name in names[:most])
    return text + (" and %d more" % (len(names) - most) if len(names) > most else "")
