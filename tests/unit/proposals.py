"""Whether what a rule proposes is what its remedy takes: asked for every finding that a test of rules makes (simulated.judge)."""

from pidhygiene.remedies import dedupe, kernel_limits, pam_limits_line, reap, restart, scheduled_restart, unit_limits
from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import checked
from pidhygiene.remedies.plan import fitted

# What each remedy refuses before it looks at a host.
MISTAKES = {
    "dedupe": lambda given: dedupe.pids_of(given["end"]),
    "kernel_limits": kernel_limits.settings,
    "pam_limits_line": lambda given: (pam_limits_line.file_of(given), pam_limits_line.wanted_of(given)),
    "reap": reap._refuse_incomplete,
    "restart": lambda given: given["how"] == restart.RELOAD or restart._units(given),
    "scheduled_restart": scheduled_restart._refuse_mistakes,
    "unit_limits": lambda given: (unit_limits.unit_name(given["unit"]), list(unit_limits.assignments(given))),
}
OF_THE_USER = "user"  # a unit of a user's own manager: a plan leaves it to the user, who has the same parameters to go by


def fits(finding):
    """Errors: Refused, KeyError for a remedy that is not in the catalogue."""
    proposed = finding["remedy"]
    if proposed is None:
        return
    parameters = {name: value for name, value in proposed["parameters"].items() if name != OF_THE_USER}
    given = checked(BY_NAME[proposed["state"]], fitted(proposed["state"], parameters))
    MISTAKES.get(proposed["state"], lambda given: None)(given)
