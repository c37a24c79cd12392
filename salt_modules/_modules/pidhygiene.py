# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Why this minion cannot start one more process, with evidence.

.. versionadded:: 0.1.0

Nothing needs to be configured. The policy (thresholds, expected zone, wanted limits, waivers) is the pillar ``pidhygiene``:

.. code-block:: yaml

    pidhygiene:
      zone:
        expected: Europe/Berlin
      headroom:
        warn: 0.7

An audit starts no process and no thread, so it also answers where no process can be started, as long as the minion runs.
"""

from pidhygiene import fresh  # isort: skip

fresh.refresh()  # before anything else of the engine: an updated engine takes effect without a restart of the minion

import logging
import os

import pidhygiene
from pidhygiene import document, evidence, kept, measures, snapshot, terminal
from pidhygiene.audit import audit
from pidhygiene.explain import NothingToExplain
from pidhygiene.explain import explain as explanation_of
from pidhygiene.host import HostError, LiveHost
from pidhygiene.policy import Policy, PolicyError
from pidhygiene.remedies import relief
from pidhygiene.remedies import revert as _revert
from pidhygiene.remedies import voter as _voter
from pidhygiene.remedies.model import Failed
from pidhygiene.rules.catalogue import NoSuchRule
from salt.exceptions import CommandExecutionError, SaltInvocationError
from salt.utils.dictupdate import update

log = logging.getLogger(__name__)

WRITTEN_FOR = "0.1.0"  # version of the engine: a wheel on the minion wins over the synced engine
FOUND = 100  # exit status of the command line for the same reason
WIDTH = 100  # columns of text
__virtualname__ = "pidhygiene"


def __virtual__():
    if pidhygiene.__version__ != WRITTEN_FOR:
        return False, "the engine found is pidhygiene %s, this adapter is for %s" % (pidhygiene.__version__, WRITTEN_FOR)
    return __virtualname__


def check(policy=None, rules=None, full=False, fail_on="never", tags=None, previous=None, remember=True, deadline=60, snapshot_file=None):
    """
    Audit this minion. Returns the summary and what was found, small enough for the bus of a large fleet.

    CLI Example:

    .. code-block:: bash

        salt '*' pidhygiene.check
        salt '*' pidhygiene.check rules='PH-ZMB-*,PH-PID-002'
        salt web1 pidhygiene.check full=True --out json
        salt '*' pidhygiene.check policy='{headroom: {warn: 0.7}}' fail_on=fail

    policy
        Settings that are laid over those of the pillar ``pidhygiene``. Lists replace lists.

    rules
        Ids or patterns of the rules to run, as a list or separated by commas. All rules when not given.

    full
        Return the whole result document (``pidhygiene.result/1``): evidence, facts, measures and marks too.

    fail_on
        ``fail``, ``warn`` or ``unknown``: set the return code 100 when a finding in force has this status or a graver one.

    tags
        Words that stand in the result as tags of the host and that waivers can name as group.

    previous
        Marks of an earlier audit to compare with, in place of those that the minion remembers.

    remember
        Keep this audit's marks in the minion's cache, so that the next audit can tell growth from size.

    deadline
        Seconds after which the audit stops looking and tells what it did not see.

    snapshot_file
        Audit this snapshot, written by ``pidhygiene snapshot``, in place of the running minion.
    """
    if fail_on not in ("never", "unknown", "warn", "fail"):
        raise SaltInvocationError("fail_on must be never, unknown, warn or fail, not %r" % (fail_on,))
    live = snapshot_file is None
    try:
        host = LiveHost(deadline_s=float(deadline)) if live else snapshot.load(snapshot_file)
        if previous is None and live:
            previous = _remembered()
        result = audit(host, Policy(_policy(policy)), previous, _words(rules), _words(tags))
    except PolicyError as error:
        raise CommandExecutionError("The policy has mistakes: %s" % error)
    except NoSuchRule as error:
        raise CommandExecutionError("%s." % error)
    except (OSError, ValueError, snapshot.NotASnapshot) as error:
        raise CommandExecutionError(str(error))
    if live and remember and not rules:
        _remember(result["marks"])
    if fail_on != "never" and document.gate(result, fail_on):
        __context__["retcode"] = FOUND
    return result if full else _compact(result)


def headroom(deadline=60):
    """
    How full every budget is that the next process of this minion is charged to, the tightest first.

    CLI Example:

    .. code-block:: bash

        salt '*' pidhygiene.headroom

    deadline
        Seconds after which the audit stops looking.
    """
    seen = evidence.gather(LiveHost(deadline_s=float(deadline)), measures.SOURCES)
    found = measures.collect(seen)
    rows = list(found.get("budgets", {}).values()) + list(found.get("groups", []))
    rows.extend(user["binding"] for user in found.get("users", []) if user.get("binding"))
    unique = {(row["kind"], row["holder"]): row for row in rows}
    table = [
        dict(row, free=row["limit"] - row["used"], used_percent=round(100.0 * row["used"] / row["limit"], 1) if row["limit"] else 100.0)
        for row in unique.values()
    ]
    table.sort(key=lambda row: (-row["used_percent"], row["kind"], row["holder"]))
    return {"tasks": found.get("tasks"), "zombies": found.get("zombies", {}).get("total"), "budgets": table}


def explain(what, full=False, deadline=60):
    """
    What will refuse the next fork of a process, and where each of its limits comes from; or what a rule is about.

    CLI Example:

    .. code-block:: bash

        salt web1 pidhygiene.explain nginx.service
        salt web1 pidhygiene.explain 4711
        salt web1 pidhygiene.explain user:oracle full=True
        salt web1 pidhygiene.explain PH-ZMB-001

    what
        Id of a rule, unit, user (``user:NAME`` where a unit has the same name) or pid.

    full
        Return data in place of text.

    deadline
        Seconds after which it stops looking.
    """
    try:
        found = explanation_of(LiveHost(deadline_s=float(deadline)), str(what))
    except NothingToExplain as error:
        raise CommandExecutionError("%s." % error)
    return found.plain() if full else terminal.explanation(found, terminal.Style(False, WIDTH))


def relieve(unit=None, pid_max=False, restart=False, test=None, deadline=20):
    """
    Make a little room for processes by hand, with the same guards as the beacon: by at most a quarter, once a day, until the next boot.

    Like every job of Salt it needs a process, or with ``multiprocessing: False`` a thread, before it can do anything: it is for a minion that is nearly full.
    Where nothing can be started any more, only the beacon of the same name acts, in the process of the minion itself.

    CLI Example:

    .. code-block:: bash

        salt web1 pidhygiene.relieve backup.service test=True
        salt web1 pidhygiene.relieve backup.service
        salt web1 pidhygiene.relieve pid_max=True
        salt web1 pidhygiene.relieve backup.service restart=True

    unit
        The unit whose ``TasksMax=`` is raised.

    pid_max
        Raise ``kernel.pid_max``; without ``unit``.

    restart
        End the leak of ``unit`` in place of giving it room: it is stopped, its zombies are waited for, and it is started.

    test
        Only tell what would be done. The minion's own setting ``test`` when not given.

    deadline
        Seconds after which it stops looking.
    """
    if bool(unit) == bool(pid_max):
        raise SaltInvocationError("either unit or pid_max=True is needed")
    if restart and not unit:
        raise SaltInvocationError("restart needs a unit")
    act = not (__opts__.get("test") if test is None else test)
    outcome = relief.by_hand(LiveHost(deadline_s=float(deadline)), unit, bool(pid_max), bool(restart), act)
    if outcome.kind in ("refused", "failed"):
        __context__["retcode"] = 1
    return outcome.plain()


def voter(units=None, probe=""):
    """
    Whether this minion counts as a voter of a quorum group now: its units are active, its probe is answered, and no remedy is being applied to it.

    CLI Example:

    .. code-block:: bash

        salt 'es*' pidhygiene.voter units=elasticsearch.service probe=tcp:9300

    units
        The units that make it a voter, as a list or with commas between them.

    probe
        ``tcp:PORT``, which must be listened on, or an address as ``http://127.0.0.1:9200/_cluster/health`` that must answer with a status of 2xx.
    """
    why = _voter.problem(_words(units), probe)
    return {"up": not why, "why": why}


def login_confirmed():
    """
    A new login works: the change of how people log in that a plan has made, and that would be taken back, stays. Returns the files.

    CLI Example:

    .. code-block:: bash

        salt web1 pidhygiene.login_confirmed
    """
    try:
        kept = _revert.keep()
    except (Failed, HostError, OSError) as error:
        raise CommandExecutionError("The change could not be kept, and is taken back: %s" % error)
    if not kept:
        raise CommandExecutionError("Nothing waits to be taken back: it was confirmed before, or it is too late.")
    return kept


def _policy(given):
    """The pillar with the argument laid over it. Not through pillar.get: since Salt 3008 that masks every value in a module."""
    wanted = _plain(__pillar__.get("pidhygiene") or {})
    if given is None:
        return wanted
    if isinstance(given, dict) and isinstance(wanted, dict):
        return update(wanted, given)
    return wanted if isinstance(given, dict) else given  # the validator names the mistake


def _plain(value):
    """A copy that is ours, of plain dictionaries and lists."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _words(given):
    if given is None:
        return []
    if isinstance(given, str):
        given = given.split(",")
    return [str(word).strip() for word in given if str(word).strip()]


def _compact(result):
    """Without evidence, facts, measures and marks."""
    kept = ("rule", "status", "severity", "subject", "message", "fingerprint")
    findings = [
        dict({name: finding[name] for name in kept}, waived=not document.in_force(finding)) for finding in result["findings"]
    ]
    return {"host": result["host"]["name"], "summary": result["summary"], "findings": findings, "errors": result["audit"]["errors"],
            "visibility": result["audit"]["visibility"]}


def _marks_file():
    return os.path.join(__opts__["cachedir"], "pidhygiene", "marks.json")


def _remembered():
    return kept.read(_marks_file())


def _remember(marks):
    """A minion that cannot write its cache still answers."""
    try:
        kept.write(_marks_file(), marks)
    except OSError as error:
        log.warning("pidhygiene: marks could not be kept: %s", error)
