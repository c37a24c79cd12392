# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule, listed explicitly: what is not imported here is neither run nor shipped."""

import fnmatch
from typing import Any, List, Sequence

from . import (
    clock_changes, containers, deleted, jobs, limits_conf_lines, limits_in_force, limits_promised, orphans, pid_space, restart_order, self_checks,
    sessions, systemd, time_zone, zombies,
)

RULES = (
    zombies.persistent_zombies,
    zombies.growth_hits_a_limit,
    zombies.leader_exited,
    zombies.held_by_tracer,
    zombies.why_not_reaped,
    zombies.init_does_not_reap,
    zombies.restart_hides_leak,
    limits_in_force.user_close_to_nproc,
    limits_in_force.invisible_tasks,
    limits_promised.promise_not_kept,
    limits_promised.hand_start_differs,
    limits_in_force.unit_limit_not_in_force,
    limits_in_force.open_files_near_limit,
    limits_conf_lines.misbehaving_lines,
    limits_conf_lines.shadowed_lines,
    limits_promised.path_without_pam_limits,
    limits_promised.pam_overrides_unit,
    limits_in_force.setuid_into_full_user,
    limits_in_force.forks_failed_in_log,
    systemd.ineffective_limit_line,
    systemd.drop_in_loses,
    systemd.pending_reload,
    systemd.tasks_max_pressure,
    systemd.pids_max_differs,
    systemd.kill_mode_leaves_processes,
    systemd.restarts_nobody_chose,
    pid_space.near_threads_max,
    pid_space.pid_numbers_nearly_used,
    pid_space.kernel_limits_low,
    pid_space.binding_limits,
    pid_space.forks_rejected,
    pid_space.stuck_tasks,
    pid_space.other_fork_budgets,
    pid_space.other_counted_budgets,
    containers.init_does_not_reap,
    containers.pids_budget,
    containers.no_pids_limit,
    containers.init_passes_over_sigterm,
    containers.probes_accumulate,
    orphans.supervised_tree_leaked,
    orphans.duplicate_instances,
    orphans.pidfile_lies,
    orphans.supervisor_leaves_children,
    orphans.members_not_descended,
    orphans.daemon_outside_units,
    orphans.salt_answers_twice,
    deleted.replaced_program,
    deleted.moved_aside,
    deleted.stale_libraries,
    deleted.bus_replaced,
    deleted.core_services_replaced,
    restart_order.unsafe_plan,
    deleted.reboot_pending,
    sessions.leaked_sessions,
    sessions.logind_memory,
    sessions.session_per_job,
    sessions.abandoned_scopes,
    sessions.sessions_refused,
    sessions.logins_blocked,
    jobs.overlapping_runs,
    jobs.never_run,
    clock_changes.jobs_meet_a_change,
    time_zone.sources_disagree,
    time_zone.localtime_is_a_copy,
    time_zone.localtime_unusable,
    time_zone.tz_is_silently_utc,
    time_zone.tz_differs_from_host,
    time_zone.cron_in_old_zone,
    time_zone.daemons_in_old_zone,
    time_zone.database_stale,
    time_zone.crontab_variables,
    time_zone.inverted_sign,
    time_zone.clock_not_synchronised,
    self_checks.visibility,
    self_checks.races,
    self_checks.cgroup_layout,
    self_checks.resolver_agrees,
)


class NoSuchRule(Exception):
    """A pattern that matches no rule: the caller mistyped it."""


def select(patterns: Sequence[str], rules: Sequence[Any] = RULES) -> List[Any]:
    """The rules whose id matches one of these ids or patterns, in catalogue order. Errors: NoSuchRule."""
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(rule.id, pattern) for rule in rules):
            raise NoSuchRule("no rule matches %r; pidhygiene rules list shows them" % pattern)
    return [rule for rule in rules if any(fnmatch.fnmatchcase(rule.id, pattern) for pattern in patterns)]
