# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Apply a reviewed plan to minions, in batches, and never take a quorum group below its majority.

.. versionadded:: 0.1.0

Needs ``_runners`` and ``_utils`` on the master: ``salt-run saltutil.sync_all``, or ``runner_dirs`` and ``utils_dirs`` in its configuration.
"""

from pidhygiene import fresh  # isort: skip

fresh.refresh()  # before anything else of the engine: an updated engine takes effect without a restart of the master

import pidhygiene
import salt.client
import salt.utils.yaml
from pidhygiene.remedies import plan as _plan
from pidhygiene.remedies import quorum as _quorum
from salt.exceptions import CommandExecutionError, SaltInvocationError

WRITTEN_FOR = "0.1.0"  # version of the engine: a wheel on the master wins over the synced engine
__virtualname__ = "pidhygiene"


def __virtual__():
    if pidhygiene.__version__ != WRITTEN_FOR:
        return False, "the engine found is pidhygiene %s, this adapter is for %s" % (pidhygiene.__version__, WRITTEN_FOR)
    return __virtualname__


def apply_plan(plan, hosts=None, batch=1, test=False, timeout=900, voter_timeout=30):
    """
    What the plan says, minion by minion; it ends at the first that is not well afterwards. Each minion is sent what the plan says of it, and nothing else.

    CLI Example:

    .. code-block:: bash

        salt-run pidhygiene.apply_plan /srv/plans/plan.yml test=True
        salt-run pidhygiene.apply_plan /srv/plans/plan.yml
        salt-run pidhygiene.apply_plan /srv/plans/plan.yml hosts=web1,web2 batch=2

    Batches that hold more voters of a quorum group than may be changed together are refused before anything is changed. Right before a voter is touched the
    others are asked whether they are up, and it must count again afterwards.

    plan
        The plan that ``pidhygiene plan`` wrote: a file on the master. Its names are ids of minions.

    hosts
        Only these, as a list or with commas between them, in this order; all of the plan, in its own order, when not given.

    batch
        So many minions at the same time.

    test
        Look only.

    timeout
        Seconds after which a minion that has not returned counts as failed.

    voter_timeout
        Seconds after which a voter that does not answer counts as down.
    """
    document = _document(plan)
    wanted = _words(hosts) or list(document["hosts"])
    unknown = [host for host in wanted if host not in document["hosts"]]
    if unknown:
        raise SaltInvocationError("The plan says nothing of %s." % ", ".join(unknown))
    if not isinstance(batch, int) or batch < 1:
        raise SaltInvocationError("batch must be a whole number from 1 on, not %r" % (batch,))
    batches = [wanted[start: start + batch] for start in range(0, len(wanted), batch)]
    for reason in _plan.batches_refused(document, batches):
        raise CommandExecutionError("Refused: %s (batch=1); nothing was changed." % reason)
    told = {}
    with salt.client.get_local_client(mopts=__opts__) as client:
        for each in batches:
            told.update(_batch(client, document, each, test, timeout, voter_timeout, told))
    return told


def _batch(client, document, batch, test, timeout, voter_timeout, before):
    voters = _ask(client, document, batch, voter_timeout)
    returned = client.cmd(
        batch, "state.single", ["pidhygiene.plan_applied"], timeout, "list",
        kwarg={"name": "plan", "plan": _plan.part_of(document, batch), "voters": voters, "test": test})
    comments = {host: _outcome(returned.get(host)) for host in batch}
    bad = ["%s: %s" % (host, comment) for host, (good, comment) in comments.items() if not good]
    if bad:
        raise CommandExecutionError("It ended here. %s\nBefore that: %s." % ("\n".join(bad), ", ".join(before) or "nothing"))
    return {host: comment for host, (_good, comment) in comments.items()}


def _ask(client, document, batch, timeout):
    """What every voter of the groups that the batch touches says now. A group has to be asked once for all of them."""
    names = sorted({group.name for host in batch for group in _plan.groups_of(document, host)})
    rows = []
    for group in [_quorum.of_plan(name, document["quorum"][name]) for name in names]:
        acting = _plan.acting(document, group.name) & set(batch)
        answers = client.cmd(list(group.voters), "pidhygiene.voter", [], timeout, "list", kwarg={"units": list(group.units), "probe": group.probe})
        for name in group.voters:
            answer = answers.get(name)
            known = isinstance(answer, dict) and isinstance(answer.get("up"), bool)
            rows.append({"group": group.name, "name": name, "up": known and answer["up"], "acting": name in acting,
                         "why": str(answer.get("why", "")) if known else "cannot be asked (%s)" % (str(answer)[:200] if answer else "no answer")})
    return rows


def _outcome(returned):
    """Whether the state of a minion is well, and its comment."""
    if not returned:
        return False, "the minion did not return"
    if not isinstance(returned, dict):
        return False, str(returned)[:2000]
    states = [state for state in returned.values() if isinstance(state, dict)]
    good = bool(states) and all(state.get("result") is not False for state in states)
    return good, "\n".join(str(state.get("comment", "")) for state in states) or str(returned)[:2000]


def _document(path):
    try:
        with open(path, encoding="utf-8") as stream:
            found = salt.utils.yaml.safe_load(stream.read())
    except (OSError, UnicodeDecodeError, salt.utils.yaml.YAMLError) as error:
        raise CommandExecutionError("The plan %s cannot be read: %s" % (path, error))
    if isinstance(found, dict):
        found = {key: value.strftime(_plan.TIME) if hasattr(value, "strftime") else value for key, value in found.items()}
    try:
        _plan.check(found)
    except _plan.NotAPlan as error:
        raise CommandExecutionError("%s is no plan: %s." % (path, error))
    return found


def _words(given):
    if not given:
        return []
    return [str(word).strip() for word in (given.split(",") if isinstance(given, str) else given)]
