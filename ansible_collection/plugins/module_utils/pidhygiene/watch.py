# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few numbers that tell whether processes can still be started, cheap enough for every few seconds: /proc/loadavg and two files per watched group.

Rules, subjects and fingerprints are those of an audit; what fills a limit is an audit's business. Starts nothing.
"""

from typing import Any, Dict, List, Optional, Tuple

from . import wording
from .headroom import Budget
from .host import Host, HostError, Missing
from .model import CRIT, FAIL, HIGH, INFO, MED, SEVERITY_INFO, UNLIMITED, WARN, Finding, Gap, Rule, Seen, Subject
from .readers import cgroups
from .readers.kernel_budgets import OWN_PID_MAX, RESERVED_PIDS, kernel_before
from .readers.processes import parse_stat
from .readers.visibility import INITIAL_PID_NAMESPACE
from .record import NamedTuple
from .rules.pid_space import THIS_HOST, near_threads_max, pid_numbers_nearly_used
from .rules.systemd import tasks_max_pressure
from .text import shown
from .watch_settings import Settings

LOAD, PID_MAX, THREADS_MAX = "/proc/loadavg", "/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"
ASK_AGAIN_S = 10.0  # a unit that has no group (it does not run) is asked for again after this time: the manager has other things to do
NUMBERS, TASKS = "pid_max", "threads-max"  # keys of the levels of the machine; those of groups are their paths


class Level(NamedTuple):
    """One budget as it is now."""

    key: str
    rule: Rule
    subject: Subject
    budget: Budget
    counted: str  # where the used part was read
    ours: bool  # whether this process is charged to it, too
    unit: str = ""  # of a group

    @property
    def share(self) -> float:
        return self.budget.share


class Look(NamedTuple):
    levels: Tuple[Level, ...]  # the machine's first
    gaps: Tuple[Gap, ...]
    unseen: Tuple[str, ...]  # keys of levels that could not be read now, though they may be there
    located: bool  # whether the manager has told where the units are that we do not see


def look(host: Host, settings: Settings, places: Dict[str, Any]) -> Look:
    """Never raises. ``places``: empty at first; remembers where groups are, so that a pass asks nobody."""
    levels: List[Level] = []
    gaps: List[Gap] = []
    unseen: List[str] = []
    load = _Load(host)
    for key, read in ((NUMBERS, _numbers), (TASKS, _tasks)):
        try:
            levels.append(read(host, places, load))
        except HostError as error:
            gaps.append(Gap(error.path, error.reason))
            unseen.append(key)
        except (ValueError, IndexError):
            gaps.append(Gap(LOAD, "not in the form of proc_loadavg(5)"))
            unseen.append(key)
    if settings.units:
        _groups(host, settings, places, levels, gaps, unseen)
    return Look(tuple(levels), tuple(sorted(set(gaps))), tuple(unseen), not places.get("not_told", False))


def machine(host: Host, places: Dict[str, Any]) -> Tuple[Level, ...]:
    """The budgets of the machine alone."""
    return look(host, Settings(), places).levels


# -- the machine -------------------------------------------------------------------------------------------------------


def _number(host: Host, path: str) -> int:
    return int(host.read_text(path, limit=4096).split()[0])


class _Load(object):
    """All tasks of the machine, threads and zombies included (fs/proc/loadavg.c), read at most once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tasks: Optional[int] = None

    def tasks(self) -> int:
        """Errors: HostError, ValueError, IndexError."""
        if self._tasks is None:
            self._tasks = int(self._host.read_text(LOAD, limit=4096).split()[-2].split("/")[1])
        return self._tasks


def _numbers(host: Host, places: Dict[str, Any], load: _Load) -> Level:
    """A pid namespace of our own has a pid_max of its own since Linux 6.14; there /proc/loadavg, which has no namespace, says nothing of it."""
    if "whole" not in places:
        places["whole"] = _whole(host)
    used, counted, holder = (load.tasks(), LOAD, "this machine") if places["whole"] else (_visible_tasks(host), "/proc/*/stat", "this pid namespace")
    budget = Budget("pid_max", holder, used, _number(host, PID_MAX) - RESERVED_PIDS, PID_MAX)
    return Level(NUMBERS, pid_numbers_nearly_used, Subject("host", holder, holder), budget, counted, True)


def _whole(host: Host) -> bool:
    try:
        if host.readlink("/proc/self/ns/pid") == INITIAL_PID_NAMESPACE:
            return True
    except HostError:
        return True
    return kernel_before(host.read_text("/proc/sys/kernel/osrelease", limit=4096).strip(), OWN_PID_MAX)


def _visible_tasks(host: Host) -> int:
    count = 0
    for name in host.list("/proc"):
        if name.isdigit():
            try:
                count += max(1, parse_stat(host.read("/proc/%s/stat" % name)).threads)
            except (HostError, ValueError):  # it has ended
                continue
    return count


def _tasks(host: Host, places: Dict[str, Any], load: _Load) -> Level:
    budget = Budget("threads-max", "this machine", load.tasks(), _number(host, THREADS_MAX), THREADS_MAX)
    return Level(TASKS, near_threads_max, THIS_HOST, budget, LOAD, True)


# -- groups ------------------------------------------------------------------------------------------------------------


def _groups(host: Host, settings: Settings, places: Dict[str, Any], levels: List[Level], gaps: List[Gap], unseen: List[str]) -> None:
    try:
        hierarchy = places.get("hierarchy") or places.setdefault("hierarchy", cgroups.read_hierarchy(host))
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        places["not_told"] = True
        return
    if hierarchy.pids_mount is None:
        gaps.append(Gap("/proc/self/mountinfo", "no pids controller is mounted"))
        return
    known: Dict[str, str] = places.setdefault("groups", {})
    read: Dict[str, Optional[Level]] = {}
    _locate(host, settings, known, places, gaps)
    gone = [unit for unit in settings.units if unit in known and not _read_group(host, places, known[unit], read, gaps, unseen)]
    if gone:  # started anew elsewhere, or ended
        for unit in gone:
            del known[unit]
        places.pop("ask_after", None)
        _locate(host, settings, known, places, gaps)
        for unit in gone:
            if unit in known and not _read_group(host, places, known[unit], read, gaps, unseen):
                del known[unit]
    if settings.ancestors:
        for path in [path for unit in settings.units if unit in known for path in cgroups.ancestry(known[unit])[1:]]:
            _read_group(host, places, path, read, gaps, unseen)
    levels.extend(level for level in read.values() if level is not None)


def _locate(host: Host, settings: Settings, known: Dict[str, str], places: Dict[str, Any], gaps: List[Gap]) -> None:
    """Where units that we do not know are: the manager is asked, by one question for all of them, and not again at every pass."""
    missing = [unit for unit in settings.units if unit not in known]
    now = host.clock().boot
    if not missing or now < places.get("ask_after", 0.0):
        return
    places["ask_after"] = now + ASK_AGAIN_S
    try:
        found = host.unit_properties(missing, ("Id", "ControlGroup"))
    except HostError as error:
        gaps.append(Gap(error.path, error.reason))
        places["not_told"] = True
        return
    places["not_told"] = False
    for unit in missing:
        group = found.get(unit, {}).get("ControlGroup")
        if isinstance(group, str) and group.startswith("/") and len(group) > 1 and ".." not in group.split("/"):
            known[unit] = group


def _read_group(host: Host, places: Dict[str, Any], path: str, read: Dict[str, Optional[Level]], gaps: List[Gap], unseen: List[str]) -> bool:
    """Adds the level of this group to ``read``, None where nothing limits it. False: there is no such group, or it has no limit files."""
    if path in read:
        return True
    base = cgroups.folder(places["hierarchy"], path)
    try:
        maximum, current = cgroups.parse_count(host.read(base + "/pids.max")), cgroups.parse_count(host.read(base + "/pids.current"))
    except Missing:
        return False
    except (HostError, ValueError) as error:
        gaps.append(Gap(base, error.reason if isinstance(error, HostError) else "not a number"))
        unseen.append(path)
        return True
    read[path] = None
    if maximum != UNLIMITED:
        name = path.rsplit("/", 1)[-1]
        subject = Subject("unit", name, name) if "." in name else Subject("cgroup", path)
        ours = (_own_group(host, places) + "/").startswith(path.rstrip("/") + "/")
        budget = Budget("pids.max", path, current, maximum, base + "/pids.max")
        read[path] = Level(path, tasks_max_pressure, subject, budget, base + "/pids.current", ours, name)
    return True


def _own_group(host: Host, places: Dict[str, Any]) -> str:
    if "own" not in places:
        try:
            membership = cgroups.parse_membership(host.read_text("/proc/self/cgroup"))
            places["own"] = cgroups.pids_path(membership, places["hierarchy"].mode)
        except HostError:
            places["own"] = "/"
    own: str = places["own"]
    return own


# -- in words ----------------------------------------------------------------------------------------------------------


def finding(level: Level, settings: Settings) -> Finding:
    """As the rule would find it at these thresholds, without what only an audit can tell."""
    failing = level.share >= settings.full
    machines = level.unit == ""
    severity = (CRIT if machines else HIGH) if failing else (HIGH if machines else MED)
    return Finding(
        FAIL if failing else WARN, severity, level.subject,
        "%s (%s); see what fills it with pidhygiene.check." % (_sentence(level), wording.percent(level.share)),
        evidence=(Seen(level.counted, "%d tasks" % level.budget.used), Seen(level.budget.source, "%d" % _written(level))),
        binding=level.budget.text(),
    )


def over(level: Level) -> Finding:
    """There is room again."""
    return Finding(
        INFO, SEVERITY_INFO, level.subject, "%s again (%s)." % (_sentence(level), wording.percent(level.share)),
        evidence=(Seen(level.counted, "%d tasks" % level.budget.used), Seen(level.budget.source, "%d" % _written(level))),
        binding=level.budget.text(),
    )


def _written(level: Level) -> int:
    """The limit as it stands in its file."""
    return level.budget.limit + (RESERVED_PIDS if level.key == NUMBERS else 0)


def _sentence(level: Level) -> str:
    budget = level.budget
    if level.key == NUMBERS:
        return "%s uses %d of %d process numbers" % (budget.holder[:1].upper() + budget.holder[1:], budget.used, budget.limit)
    if level.key == TASKS:
        return "This host has %d tasks of %d allowed by threads-max" % (budget.used, budget.limit)
    return "%s has %d tasks of %d allowed" % (shown(level.unit if "." in level.unit else budget.holder), budget.used, budget.limit)
