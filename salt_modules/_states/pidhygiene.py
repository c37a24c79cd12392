# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Repair what ``pidhygiene.check`` finds: the same desired states as the modules of the Ansible collection.

.. versionadded:: 0.1.0

.. code-block:: yaml

    nginx.service:
      pidhygiene.unit_limits:
        - limits:
            nofile: 65536

With ``test=True`` nothing is changed, and the changes are shown. After a change the value is read back from the running host; a state fails, and says why,
when it is not in force, or when it would do harm.
"""

from pidhygiene import fresh  # isort: skip

fresh.refresh()  # before anything else of the engine: an updated engine takes effect without a restart of the minion

import pidhygiene
import salt.utils.yaml
from pidhygiene.host import HostError
from pidhygiene.policy import Policy, PolicyError
from pidhygiene.remedies import apply as engine
from pidhygiene.remedies import plan as _plan
from pidhygiene.remedies.catalogue import BY_NAME
from pidhygiene.remedies.model import Failed, Refused

WRITTEN_FOR = "0.1.0"  # version of the engine: a wheel on the minion wins over the synced engine
__virtualname__ = "pidhygiene"


def __virtual__():
    if pidhygiene.__version__ != WRITTEN_FOR:
        return False, "the engine found is pidhygiene %s, this adapter is for %s" % (pidhygiene.__version__, WRITTEN_FOR)
    return __virtualname__


def kernel_limits(name, values=None, ensure="present"):
    """
    The kernel's own budgets, as they run and as the next boot sets them, in ``/etc/sysctl.d/zz-pidhygiene.conf``.

    name
        Any name of the state.

    values
        Name of the setting, as ``kernel.pid_max``, to its value, a whole number. Settings that are not named stay as they are.

    ensure
        ``present``; ``absent`` takes away what this state has set: the named settings, or all of them.
    """
    return _done(name, BY_NAME["kernel_limits"], {"values": values, "state": ensure})


def pam_limits_entry(name, service=None, other_way_in=False, ensure="present"):
    """
    Sessions of a service run pam_limits, by a profile for ``pam-auth-update``; a session that can no longer be opened brings the old files back.

    name
        The service of PAM, as ``sshd``, unless ``service`` says it.

    other_way_in
        There is another way in than the one this comes by, as a console, and it was tried.

    ensure
        ``present``; ``absent`` takes the profile out again.
    """
    return _done(name, BY_NAME["pam_limits_entry"], {"service": service or name, "other_way_in": other_way_in, "state": ensure})


def pam_limits_line(name, domain=None, type=None, item=None, value=None, instead_of=None, file=None, ensure="present"):
    """
    A line of limits.conf that the next session of its users really gets.

    name
        Any name of the state.

    domain, type, item, value
        The line, as in limits.conf(5): whom it is for, ``soft``, ``hard`` or ``-``, the limit, and a whole number or ``unlimited``.

    instead_of
        A line of the file that is replaced, or, with ``ensure: absent`` and no ``domain``, taken out; it stays there as a comment.

    file
        ``/etc/security/limits.conf`` or a file of ``/etc/security/limits.d``; ``zz-pidhygiene.conf`` there unless said.

    ensure
        ``present``; ``absent`` takes the line out, or, without ``domain``, all of this state's own file.
    """
    return _done(name, BY_NAME["pam_limits_line"], {
        "domain": domain, "type": type, "item": item, "value": None if value is None else str(value), "instead_of": instead_of, "file": file, "state": ensure})


def unit_limits(name, unit=None, limits=None, kill_mode=None, apply="restart", restart_protected=False, accept_pending=False, ensure="present"):
    """
    Limits, ``TasksMax=`` and ``KillMode=`` of a unit, in one drop-in of its own, and in force for what runs.

    name
        The unit, with its type, as ``nginx.service``, unless ``unit`` says it.

    limits
        Limit (``nofile``, ``nproc``, ``memlock`` ...) to value: a number, ``soft:hard`` or ``infinity``. ``tasks`` is ``TasksMax=``.

    kill_mode
        ``control-group``, ``mixed`` or ``process``.

    apply
        How processes that run get the limits: ``restart`` the unit, leave them until its ``next_start``, or change them while they are ``running``.

    restart_protected
        Restart it although it is a database, a container engine, sshd or the like.

    accept_pending
        Reload systemd although files of others wait for a reload, too.

    ensure
        ``present``; ``absent`` takes away what this state has set: the named limits, or all of them.
    """
    return _done(name, BY_NAME["unit_limits"], {
        "unit": unit or name, "limits": limits, "kill_mode": kill_mode, "apply": apply, "restart_protected": restart_protected,
        "accept_pending": accept_pending, "state": ensure})


def reap(name, mode="restart", parent=None, unit=None, tracer=None, restart_protected=False):
    """
    Zombies go, because their parent is restarted, continued, or freed of its tracer. Does nothing when there are none by then.

    name
        Free to choose.

    mode
        ``restart`` the unit of the parent, ``continue`` a stopped parent, or ``detach``: end the tracer that holds the zombies.

    parent
        Pid of the process that does not reap.

    unit
        The unit of the parent.

    tracer
        Pid of the tracer, with ``detach``.

    restart_protected
        Restart it although it is a database, a container engine, sshd or the like.
    """
    return _done(name, BY_NAME["reap"], {"mode": mode, "parent": parent, "unit": unit, "tracer": tracer, "restart_protected": restart_protected})


def dedupe(name, keep, end):
    """
    Leaked copies of a service end, and the managed one stays. Only what an audit names as a copy at this moment is ended.

    name
        Free to choose.

    keep
        Pid of the managed instance.

    end
        Pids of the leaked ones, with commas between them, as the finding names them.
    """
    return _done(name, BY_NAME["dedupe"], {"keep": keep, "end": str(end)})


def restart(name, unit=None, units=None, how="unit", restart_protected=False):
    """
    Units run what is on disk and configured; with ``how: daemon-reload``, systemd has read its files. Does nothing when no finding asks for it.

    name
        Free to choose.

    unit
        One unit, with its type.

    units
        Several units, restarted one after the other.

    how
        ``unit``, or ``daemon-reload``.

    restart_protected
        Restart it although it is a database, a container engine, sshd or the like.
    """
    return _done(name, BY_NAME["restart"], {"unit": unit, "units": units, "how": how, "restart_protected": restart_protected})


def scheduled_restart(name, unit=None, calendar=None, interval=None, spread_s=0, owner="", reason="", take_over=None, restart_protected=False,
                      accept_pending=False, ensure="present"):
    """
    A service restarted on schedule, by a timer of its own with an owner, until its leak is mended.

    name
        The service, with its type, as ``agent.service``, unless ``unit`` says it.

    calendar
        When, as ``OnCalendar=`` takes it: ``Sat 14:00``. Without it and ``interval``, that of the line that is taken over.

    interval
        Or how often, in seconds; at most half of the time in which the leak fills its limit.

    spread_s
        Spread over so many seconds, by an offset that stays the same on each host.

    owner
        Who answers for it.

    reason
        Why, as a ticket.

    take_over
        The line of a crontab that restarts it now, as ``/etc/crontab:17`` or the line itself: it is set aside.

    restart_protected
        Although it is a database, a container engine, sshd or the like.

    accept_pending
        Reload systemd although files of others wait for a reload, too.

    ensure
        ``present``; ``absent`` removes the timer and gives a line that was taken over back.
    """
    return _done(name, BY_NAME["scheduled_restart"], {
        "unit": unit or name, "calendar": calendar, "interval": interval, "spread_s": spread_s, "owner": owner, "reason": reason,
        "take_over": take_over, "restart_protected": restart_protected, "accept_pending": accept_pending, "state": ensure})


def reboot(name, when=None, wall_message="Scheduled reboot", ensure="present"):
    """
    A reboot at a chosen time, with a warning, when a finding of an audit asks for it.

    name
        Any name of the state.

    when
        In so many minutes (``+30``), at the next ``03:30`` of the minion's own time, or at a date in UTC (``2027-03-31T02:30:00Z``).

    wall_message
        What those who are logged in read.

    ensure
        ``present``; ``absent`` cancels, but only what this state has scheduled.
    """
    return _done(name, BY_NAME["reboot"], {"when": when, "wall_message": wall_message, "state": ensure})


def sessions(name, end="leaked", sessions=None, batch=1000, accept_pending=False):
    """
    Ended sessions leave systemd-logind, empty session scopes leave systemd.

    name
        Any name of the state.

    end
        ``leaked``: sessions that have ended and are kept; ``empty scopes``: session scopes in which no process is left.

    sessions
        Only these, by their ids; named so, sessions in which somebody works are ended, too, but never the one that this runs in.

    batch
        At most so many at once.

    accept_pending
        Reload systemd although files of others wait for a reload, too.
    """
    return _done(name, BY_NAME["sessions"], {"end": end, "sessions": sessions, "batch": batch, "accept_pending": accept_pending})


def time_zone(name, restart="cached", ensure="present"):
    """
    One time zone for the host, in every file that names it, and no daemon left that lives in the old one.

    name
        The zone, as ``Europe/Berlin`` or ``Etc/UTC``.

    restart
        ``cached`` restarts the daemons that keep the zone they were started in, but for databases, Java, container engines and supervisors, which are
        named in the comment; ``none`` restarts nothing.

    ensure
        ``present``. A host always has a zone: to undo, set the old one.
    """
    return _done(name, BY_NAME["time_zone"], {"name": name, "restart": restart, "state": ensure})


def plan_applied(name, host=None, policy=None, voters=None, plan=None, revert_after=0):
    """
    What a reviewed plan says of this minion, step by step, and nothing else; then the rules that it was made for are evaluated again.

    name
        The plan that ``pidhygiene plan`` wrote: ``salt://plan.yml``, a file on the minion, or the plan itself.

    host
        The name of this minion in the plan; its id when not given.

    policy
        The policy of the audit afterwards; the pillar ``pidhygiene`` when not given.

    voters
        What the other voters of its quorum groups say now; ``salt-run pidhygiene.apply_plan`` asks them. Without it nothing is done that touches a group.

    plan
        The plan itself, in place of a file.

    revert_after
        Seconds after which a change of how people log in is taken back by a timer of systemd, unless ``pidhygiene.login_confirmed`` is called by then: after
        a new login, as a minion is none. 0 takes nothing back.
    """
    answer = {"name": name if isinstance(name, str) else "plan", "result": False, "comment": "", "changes": {}}
    try:
        wanted = Policy(_plain(__pillar__.get("pidhygiene")) if policy is None else policy)
        asked = None if voters is None else [_voter(row) for row in _plain(voters)]
        document = _document(name if plan is None else plan)
        report = _plan.apply_host(document, host or __opts__["id"], __opts__["test"], wanted, asked=asked, revert_after=revert_after)
    except (_plan.NotAPlan, PolicyError, OSError) as error:
        return dict(answer, comment="%s." % error)
    except Refused as error:
        return dict(answer, comment="Refused: %s." % error)
    if not report.outcomes:
        return dict(answer, result=True, comment="The plan says nothing of this minion.")
    lines = ["%s: %s%s" % (each.remedy, each.status, " (%s)" % each.message if each.message else "") for each in report.outcomes]
    lines.extend("still found: %s" % each for each in report.remaining)
    if report.armed:
        lines.append("In %d s the change is taken back: log in anew, and call pidhygiene.login_confirmed." % revert_after)
    changes = {each.what: {"old": each.before, "new": each.after} for outcome in report.outcomes for each in outcome.differences}
    result = (None if __opts__["test"] and report.changed else True) if report.succeeded else False
    return dict(answer, result=result, changes=changes, comment="\n".join(lines))


def _voter(row):
    if not isinstance(row, dict) or not {"group", "name", "up"} <= set(row) <= set(_plan.Voter._fields):
        raise _plan.NotAPlan("voters must be a list of mappings with group, name and up, not %r" % (row,))
    return _plan.Voter(**row)


def _document(name):
    if not isinstance(name, str):
        return _plain(name)
    if name.startswith("salt://"):
        text = __salt__["cp.get_file_str"](name)
        if not text:
            raise OSError("%s is not on the master" % name)
    else:
        with open(name, encoding="utf-8") as stream:
            text = stream.read()
    return _plan.with_times_as_text(salt.utils.yaml.safe_load(text))


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _done(name, remedy, given):
    """Salt's answer for one state. Never raises for what the host has."""
    answer = {"name": name, "result": False, "comment": "", "changes": {}}
    given = {key: value for key, value in given.items() if value is not None}
    try:
        report = (engine.look if __opts__["test"] else engine.apply)(remedy, given)
    except Refused as error:
        return dict(answer, comment="Refused: %s." % error)
    except Failed as error:
        return dict(answer, comment="%s (state left: %s)." % (error, error.state))
    except HostError as error:
        return dict(answer, comment="What the host has now could not be read (%s: %s)." % (error.path, error.reason))
    changes = {each.what: {"old": each.before, "new": each.after} for each in report.differences}
    if not report.changed:
        return dict(answer, result=True, comment=" ".join(("As it shall be.",) + _sentences(report)))
    if __opts__["test"]:
        return dict(answer, result=None, changes=changes, comment=" ".join(("Would be changed.",) + _sentences(report)))
    return dict(answer, result=True, changes=changes or {remedy.name: "applied"}, comment=" ".join(("Changed, and in force.",) + _sentences(report)))


def _sentences(report):
    return tuple(note[:1].upper() + note[1:] + "." for note in report.notes)
