# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Audit minions in batches into a report folder; apply a reviewed plan to them, and never take a quorum group below its majority.

.. versionadded:: 0.1.0

Needs ``_runners`` and ``_utils`` on the master: ``salt-run saltutil.sync_all``, or ``runner_dirs`` and ``utils_dirs`` in its configuration.
"""

from pidhygiene import fresh  # isort: skip

fresh.refresh()  # before anything else of the engine: an updated engine takes effect without a restart of the master

import getpass
import logging
import math
import os
import time
from pathlib import Path

import pidhygiene
import salt.client
import salt.utils.minions
import salt.utils.yaml
from pidhygiene import document as _results
from pidhygiene.remedies import plan as _plan
from pidhygiene.remedies import quorum as _quorum
from salt.exceptions import CommandExecutionError, SaltInvocationError

try:
    from pidhygiene.controller.render import folder as _folder
except ImportError:  # the engine is the one of _utils, and so is this
    import pidhygiene_folder as _folder

log = logging.getLogger(__name__)

WRITTEN_FOR = "0.1.0"  # version of the engine: a wheel on the master wins over the synced engine
__virtualname__ = "pidhygiene"


def __virtual__():
    if pidhygiene.__version__ != WRITTEN_FOR:
        return False, "the engine found is pidhygiene %s, this adapter is for %s" % (pidhygiene.__version__, WRITTEN_FOR)
    return __virtualname__


FOUND, INCOMPLETE = 100, 1  # exit status, as of the command line
BETWEEN_RUNS_S = 5.0  # run.json of ten thousand minions is a megabyte
NO_ANSWER = (
    "the minion did not answer",
    "salt-run manage.status tells whether it is up; one that is up and answers nothing may be unable to start a process: use its console",
)
NO_KEY = "the master has accepted no key of this name"
NEXT_STEPS = (  # what stands in the answer, and what to do then
    ("is not available", "run: salt-run saltutil.sync_all, and salt '%s' saltutil.sync_all"),
    ("VALUE_TRIMMED", "its result is larger than max_event_size in the configuration of the master: raise it; %s"),
    ("policy has mistakes", "correct the pillar pidhygiene of %s"),
    ("", "look at the log of the minion, and ask it alone: salt '%s' pidhygiene.check"),
)


def audit(tgt="*", tgt_type="glob", batch="10%", report_dir=None, resume=False, policy=None, rules=None, tags=None, deadline=60, timeout=None, fail_on="never"):
    """
    Audit minions in batches. Each result becomes one file of the report folder as it arrives; minions that do not answer are written down, too.

    CLI Example:

    .. code-block:: bash

        salt-run pidhygiene.audit
        salt-run pidhygiene.audit 'web*' batch=50 report_dir=/srv/pidhygiene/report
        salt-run pidhygiene.audit 'role:db' tgt_type=grain fail_on=fail
        salt-run pidhygiene.audit resume=True

    The folder is the same as that of ``audit.yml``: ``python -m pidhygiene.controller report DIR`` makes a page of it, ``ingest DIR`` remembers it. The
    exit status is 0 when all were audited, 1 when not, 100 with findings at or above ``fail_on``.

    tgt
        The minions: by their accepted keys, so that those that are down count as well.

    tgt_type
        How ``tgt`` is written: glob, list, grain, compound, nodegroup ...

    batch
        So many minions at a time, or a part of them with a percent sign.

    report_dir
        Folder on the master. ``pidhygiene_report_dir`` of its configuration, else ``pidhygiene/report`` in its cache.

    resume
        Go on with the last run of that folder: only those of its minions that are not audited yet, and match ``tgt``, are asked.

    policy
        Settings laid over those of the pillar ``pidhygiene``.

    rules
        Ids or patterns of the rules to run.

    tags
        Words that stand in the results as tags, and that waivers can name as group.

    deadline
        Seconds after which a minion stops looking.

    timeout
        Seconds after which a minion is asked whether it still works on it. The master's own setting when not given.

    fail_on
        ``fail``, ``warn`` or ``unknown``: exit with 100 when a minion has a finding in force of this status or a graver one.
    """
    if fail_on not in ("never", "unknown", "warn", "fail"):
        raise SaltInvocationError("fail_on must be never, unknown, warn or fail, not %r" % (fail_on,))
    folder = _report_dir(report_dir)
    run = _Run(folder, resume)
    found = salt.utils.minions.CkMinions(__opts__).check_minions(tgt, tgt_type)
    names, missing = run.target(found.get("minions", []), found.get("missing", []))
    if not run.rows:
        raise CommandExecutionError("No minion matches %s; nothing was audited." % (tgt,))
    arguments = {"full": True, "policy": policy, "rules": rules, "tags": tags, "deadline": deadline}
    run.save(0)
    try:
        for name in missing:
            run.unreachable(name, NO_KEY, "accept it: salt-key -a '%s'; or correct the target" % name)
        with salt.client.get_local_client(mopts=__opts__) as client:
            for some in _in_batches(names, _size(batch, len(names))):
                _audit_some(client, run, some, arguments, timeout)
                run.save(BETWEEN_RUNS_S)
                _tell(run.progress())
    finally:
        run.save(0)
    return run.told(fail_on)


def _tell(line):
    """To whoever waits for it. The scheduler of the master calls runners without a bus of their own."""
    log.info("pidhygiene: %s", line)
    bus = globals().get("__jid_event__")
    if bus is not None:
        bus.fire_event({"message": line}, "progress")


def _audit_some(client, run, names, arguments, timeout):
    left = set(names)
    for answer in client.cmd_iter(names, "pidhygiene.check", (), timeout, "list", kwarg=arguments):
        for name, told in (answer or {}).items():
            if name in left and isinstance(told, dict) and "ret" in told:
                left.discard(name)
                run.answered(name, told["ret"])
    for name in sorted(left):
        run.unreachable(name, *NO_ANSWER)


class _Run:
    """What became of each minion of one run; run.json says the same."""

    def __init__(self, folder, resume):
        self.folder, self.started, self._saved = folder, _now(), 0.0
        self.rows, self.why, self.worst = {}, {}, {}
        self._earlier = _folder.run(folder) if resume else None
        if resume and self._earlier is None:
            raise SaltInvocationError("There is no run in %s to resume." % folder)

    def target(self, names, missing):
        """Whom to ask, and who cannot be asked, of those that the target matches."""
        if self._earlier is None:
            self.rows = {name: {"outcome": _folder.NOT_RECORDED, "sha256": ""} for name in sorted({*names, *missing})}
            return sorted(names), sorted(missing)
        self.started = str(self._earlier.get("started_at") or self.started)
        self.rows = {name: self._row(name, row) for name, row in self._earlier["hosts"].items()}
        return tuple(sorted(name for name in wanted if name in self.rows and self.rows[name]["outcome"] != _folder.AUDITED) for wanted in (names, missing))

    def _row(self, name, row):
        """A run that was killed could not say whom it had audited since it last wrote that down; the files can."""
        row = dict(row) if isinstance(row, dict) else {"outcome": _folder.NOT_RECORDED, "sha256": ""}
        path = self.folder / _folder.RESULTS / _folder.file_name(name)
        try:
            written = time.strftime(_plan.TIME, time.gmtime(path.stat().st_mtime))
            if row.get("outcome") == _folder.NOT_RECORDED and written >= self.started:
                row = {"outcome": _folder.AUDITED, "sha256": _folder.digest_of(path)}
            if row.get("outcome") == _folder.AUDITED:
                self.worst[name] = _worst(_folder.load(path))
        except (OSError, _folder.NotAResult):
            row = dict(row, outcome=_folder.NOT_RECORDED) if row.get("outcome") == _folder.AUDITED else row
        return row

    def answered(self, name, answer):
        step = next(step for words, step in NEXT_STEPS if words in str(answer)[:2000])
        outcome, written, why = _folder.record(self.folder, name, answer, _now(), step % name)
        self._note(name, outcome, written, why)
        if outcome == _folder.AUDITED:
            self.worst[name] = _worst(answer)

    def unreachable(self, name, why, step):
        self._note(name, _folder.UNREACHABLE, _folder.write(self.folder, name, _folder.attempt(name, _folder.UNREACHABLE, _now(), why, step)), why)

    def _note(self, name, outcome, written, why):
        self.rows[name] = {"outcome": outcome, "sha256": written.sha256}
        if why:
            self.why[name] = "%s: %s" % (outcome, _folder.harmless(why.splitlines()[-1]))

    def save(self, apart_s):
        if time.monotonic() - self._saved >= apart_s:
            _folder.write_run(self.folder, _folder.run_document(self.rows, self.started, _now(), _user(), pidhygiene.__version__))
            self._saved = time.monotonic()

    def _number(self, outcome):
        return sum(row.get("outcome") == outcome for row in self.rows.values())

    def progress(self):
        left = self._number(_folder.NOT_RECORDED)
        words = ["%d %s" % (self._number(outcome), outcome) for outcome in (_folder.UNREACHABLE, _folder.FAILED) if self._number(outcome)]
        return "%d of %d minions: %s" % (len(self.rows) - left, len(self.rows), ", ".join(["%d audited" % self._number(_folder.AUDITED)] + words))

    def told(self, fail_on):
        audited = self._number(_folder.AUDITED)
        order = ("fail", "warn", "unknown")
        gating = () if fail_on == "never" else order[: order.index(fail_on) + 1]
        bad = sorted(name for name, worst in self.worst.items() if worst in gating)
        statuses = {status: sum(worst == status for worst in self.worst.values()) for status in order}
        rest = {name: self.why.get(name, str(row.get("outcome"))) for name, row in sorted(self.rows.items()) if row.get("outcome") != _folder.AUDITED}
        return {"retcode": FOUND if bad else 0 if audited == len(self.rows) else INCOMPLETE, "report_dir": str(self.folder), "targeted": len(self.rows),
                "audited": audited, "not_audited": rest, "minions_by_status": statuses, "failing": bad}


def _worst(result):
    return next((status for status in ("fail", "warn", "unknown") if _results.gate(result, status)), "pass")


def _report_dir(given):
    return Path(given or __opts__.get("pidhygiene_report_dir") or os.path.join(__opts__["cachedir"], "pidhygiene", "report")).absolute()


def _in_batches(names, size):
    return [names[start: start + size] for start in range(0, len(names), size)]


def _size(batch, of):
    text = str(batch).strip()
    try:
        size = math.ceil(of * float(text[:-1]) / 100) if text.endswith("%") else int(text)
    except (ValueError, OverflowError):
        size = 0
    if size < 1 and of:
        raise SaltInvocationError("batch must be a number of minions from 1 on, or a part as 10%%, not %r" % (batch,))
    return max(1, size)


def _now():
    return time.strftime(_plan.TIME, time.gmtime())


def _user():
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "uid %d" % os.getuid()


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
        raise CommandExecutionError("The plan says nothing of %s." % ", ".join(unknown))  # an orchestration takes an invocation error for success
    if not isinstance(batch, int) or batch < 1:
        raise CommandExecutionError("batch must be a whole number from 1 on, not %r" % (batch,))
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
        found = _plan.with_times_as_text(found)
    try:
        _plan.check(found)
    except _plan.NotAPlan as error:
        raise CommandExecutionError("%s is no plan: %s." % (path, error))
    return found


def _words(given):
    if not given:
        return []
    return [str(word).strip() for word in (given.split(",") if isinstance(given, str) else given)]
