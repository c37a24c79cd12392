# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the readers saw, by name, and the order in which it is read.

A rule names what it needs; only that is read. What could not be read at all is kept as its error, so that
the rule becomes ``unknown`` with that cause instead of passing. To add a source, add one line to SOURCES.
"""

from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple

from .host import Host, HostError
from .model import Gap
from .readers import (
    automatic_reboot,
    cgroups,
    clock,
    containers,
    cron,
    distribution,
    executables,
    fork_failures,
    identity,
    job_runs,
    kernel_budgets,
    leftovers,
    limits_conf,
    memory_maps,
    packages,
    pam_stack,
    password_ages,
    process_details,
    processes,
    reboot,
    session_failures,
    sessions,
    shell_limits,
    stop_kills,
    stuck,
    supervision,
    sysctl_files,
    time_zone,
    timer_calendars,
    tuned,
    units,
    user_namespaces,
    user_units,
    users,
    utmp,
    visibility,
    watches,
    zombies,
    zone_changes,
)
from .record import NamedTuple


class NotSeen(Exception):
    """A rule asked for evidence that could not be read."""

    def __init__(self, source: str, error: HostError) -> None:
        super(NotSeen, self).__init__(source)
        self.source = source
        self.error = error


class Source(NamedTuple):
    name: str
    needs: Tuple[str, ...]  # other sources, read before
    read: Callable[[Host, Any], Any]


class Evidence(object):
    """One attribute per source: ``evidence.processes``. Raises NotSeen for what could not be read."""

    def __init__(self, previous: Optional[Dict[str, Any]] = None) -> None:
        self.previous = previous  # marks of the last audit of this host, same boot or not; None without one
        self.seen: Dict[str, Any] = {}
        self.unseen: Dict[str, HostError] = {}
        self.broken: List[str] = []  # readers that failed by a fault of ours
        self._derived: Dict[Callable[[Any], Any], Any] = {}

    def know(self, name: str, facts: Any) -> None:
        self.seen[name] = facts
        setattr(self, name, facts)

    def __getattr__(self, name: str) -> Any:
        """Asked for what was not read."""
        unseen = self.__dict__.get("unseen", {})
        if name in unseen:
            raise NotSeen(name, unseen[name])
        raise AttributeError("no evidence is called %r" % name)

    def has(self, name: str) -> bool:
        return name in self.seen

    def gaps_of_unseen(self, *names: str) -> Tuple[Gap, ...]:
        """Why these sources are not there; nothing of those that are."""
        return tuple(Gap(self.unseen[name].path, self.unseen[name].reason) for name in names if name in self.unseen)

    def once(self, derive: Callable[["Evidence"], Any]) -> Any:
        """What this pure function makes of the evidence, computed when first asked: on a host in trouble, a count takes a while."""
        if derive not in self._derived:
            self._derived[derive] = derive(self)
        return self._derived[derive]


SOURCES = (
    Source("machine", (), lambda host, seen: host.machine()),
    Source("clock", (), lambda host, seen: host.clock()),
    Source("systemd", (), lambda host, seen: units.ask(host)),  # it answers while the sources between here and "units" are read
    Source("boot_id", (), lambda host, seen: host.read_text("/proc/sys/kernel/random/boot_id").strip()),
    Source("users", (), lambda host, seen: users.read(host)),
    Source("identity", (), lambda host, seen: identity.read(host)),
    Source("distribution", (), lambda host, seen: distribution.read(host)),
    Source("packages", (), lambda host, seen: packages.read(host)),
    Source("processes", (), lambda host, seen: processes.read(host)),
    Source("cron", ("processes", "packages", "users"), lambda host, seen: cron.read(host, seen.processes, seen.packages, seen.users)),
    Source("budgets", (), lambda host, seen: kernel_budgets.read(host)),
    Source("visibility", ("processes",), lambda host, seen: visibility.read(host, seen.processes)),
    Source("hierarchy", (), lambda host, seen: cgroups.read_hierarchy(host)),
    Source("zombies", ("processes",), lambda host, seen: zombies.read(host, seen.processes)),
    Source("fork_failures", (), lambda host, seen: fork_failures.read(host)),
    Source("stuck", ("processes",), lambda host, seen: stuck.read(host, seen.processes)),
    Source("memory_maps", ("processes", "budgets"), lambda host, seen: memory_maps.read(host, seen.processes, seen.budgets)),
    Source("sysctl_files", (), lambda host, seen: sysctl_files.read(host)),
    Source("tuned", (), lambda host, seen: tuned.read(host)),
    Source("details", ("processes", "hierarchy"), lambda host, seen: process_details.read(host, seen.processes, seen.hierarchy)),
    Source("watches", ("processes", "details"), lambda host, seen: watches.read(host, seen.processes, seen.details)),
    Source("user_namespaces", ("processes", "details"), lambda host, seen: user_namespaces.read(host, seen.processes, seen.details)),
    Source("units", ("systemd", "details"),
           lambda host, seen: units.read(host, {detail.unit_group for detail in seen.details.of.values()}, seen.systemd)),
    Source("pam", ("distribution", "packages"), lambda host, seen: limits_conf.flavour_of(seen.distribution, seen.packages)),
    Source("password_ages", ("cron", "distribution", "pam"), lambda host, seen: password_ages.read(
        host, seen.cron, "debian" in seen.distribution.family, seen.pam.version if seen.pam else None)),
    Source("pam_stacks", ("distribution", "pam", "units"), lambda host, seen: pam_stack.read(
        host, "debian" in seen.distribution.family, {unit.pam_name for unit in seen.units.units.values() if unit.pam_name},
        seen.pam.version if seen.pam else None)),
    Source("limits_conf", ("pam", "pam_stacks"), lambda host, seen: limits_conf.read(host, seen.pam, seen.pam_stacks.conf_files)),
    Source("shell_limits", ("users", "units"), lambda host, seen: shell_limits.read(
        host, shell_limits.home_of_root(seen.users), shell_limits.scripts_of(seen.units))),
    Source("user_units", ("processes", "details", "users"), lambda host, seen: user_units.read(host, seen.processes, seen.details, seen.users)),
    Source("containers", ("processes", "details"), lambda host, seen: containers.read(host, seen.processes, seen.details)),
    Source("stop_kills", (), lambda host, seen: stop_kills.read(host)),
    Source("supervision", ("processes", "units", "user_units"), lambda host, seen: supervision.read(
        host, seen.processes, seen.units.units.values(), seen.user_units.units.values())),
    Source("leftovers", ("units", "user_units", "processes", "details"), lambda host, seen: leftovers.read(
        host, list(seen.units.units.values()) + list(seen.user_units.units.values()), seen.processes, seen.details)),
    Source("executables", ("processes", "details", "units"),
           lambda host, seen: executables.read(host, seen.processes, seen.details, seen.units)),
    Source("sessions", (), lambda host, seen: sessions.read(host)),
    Source("utmp", (), lambda host, seen: utmp.read(host)),
    Source("session_failures", (), lambda host, seen: session_failures.read(host)),
    Source("reboot", (), lambda host, seen: reboot.read(host)),
    Source("automatic_reboot", (), lambda host, seen: automatic_reboot.read(host)),
    Source("job_runs", ("processes", "cron"), lambda host, seen: job_runs.read(host, seen.processes, seen.cron)),
    Source("cgroups", ("processes", "details", "hierarchy"), lambda host, seen: cgroups.read(
        host, seen.hierarchy, process_details.group_paths(seen.processes, seen.details))),
    Source("time_zone", ("processes", "cron", "units"), lambda host, seen: time_zone.read(
        host, seen.processes, seen.cron, time_zone.watched(seen.units))),
    Source("calendars", ("units", "user_units", "time_zone"), lambda host, seen: timer_calendars.read(
        host, seen.units.timers + seen.user_units.timers, seen.time_zone.localtime.in_force)),
    Source("zone_changes", ("processes", "time_zone", "cron"), lambda host, seen: zone_changes.read(
        host, seen.processes, seen.time_zone, seen.cron)),
    Source("time_sync", ("processes",), lambda host, seen: clock.read(host, seen.processes)),
)

NAMES = frozenset(source.name for source in SOURCES)


def closure(wanted: Iterable[str]) -> Set[str]:
    """These sources and all that they are read from."""
    by_name = {source.name: source for source in SOURCES}
    found: Set[str] = set()
    left = list(wanted)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left.extend(by_name[name].needs)
    return found


def gather(host: Host, wanted: Iterable[str], previous: Optional[Dict[str, Any]] = None) -> Evidence:
    """Read these sources and what they build on, each once. Never raises."""
    evidence = Evidence(previous)
    names = closure(wanted)
    for source in SOURCES:
        if source.name not in names:
            continue
        missing = [need for need in source.needs if need in evidence.unseen]
        if missing:
            evidence.unseen[source.name] = evidence.unseen[missing[0]]
            continue
        try:
            evidence.know(source.name, source.read(host, evidence))
        except HostError as error:
            evidence.unseen[source.name] = error
        except Exception as error:  # a fault of ours must cost one source, not the audit
            evidence.broken.append("reader %s: %s: %s" % (source.name, type(error).__name__, error))
            evidence.unseen[source.name] = HostError(source.name, "internal error in the reader")
    return evidence
