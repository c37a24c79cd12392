# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Keep the results of ``pidhygiene.check`` in a report folder, whoever asked for them: a schedule of the minions, a reactor, a person.

.. versionadded:: 0.1.0

On the master, in its configuration, beside returners that are there already:

.. code-block:: yaml

    event_return: [pidhygiene]
    event_return_whitelist: ['salt/job/*/ret/*']
    pidhygiene_report_dir: /srv/pidhygiene/report

Then each result that minions return in full (``full=True``) is one file of that folder as it arrives. The compact form holds no evidence and is passed over.
The master loads returners when it starts: it needs ``_returners`` and ``_utils`` (``salt-run saltutil.sync_all``, or ``returner_dirs`` and ``utils_dirs``) and
a restart. A minion that never answers leaves no event: ``salt-run pidhygiene.audit`` is what tells who is missing.

Not for ``master_job_cache`` and ``ext_job_cache``: those would replace the job cache of the master, and the latter runs on the minions. ``--return pidhygiene``
runs on the minion as well, and writes there: for one without a master.
"""

from pidhygiene import fresh  # isort: skip

fresh.refresh()  # before anything else of the engine: an updated engine takes effect without a restart of the minion

import logging
import os
import time
from pathlib import Path

import pidhygiene

try:
    from pidhygiene.controller.render import folder as _folder
except ImportError:  # the engine is the one of _utils, and so is this
    import pidhygiene_folder as _folder

log = logging.getLogger(__name__)

WRITTEN_FOR = "0.1.0"  # version of the engine: a wheel wins over the synced engine
FUNCTION = "pidhygiene.check"
__virtualname__ = "pidhygiene"


def __virtual__():
    if pidhygiene.__version__ != WRITTEN_FOR:
        return False, "the engine found is pidhygiene %s, this adapter is for %s" % (pidhygiene.__version__, WRITTEN_FOR)
    return __virtualname__


def event_return(events):
    """
    Write what minions returned; called by the master with events of its bus.
    """
    for event in events:
        data = event.get("data")
        if isinstance(data, dict) and event.get("tag", "").startswith("salt/job/") and "return" in data:
            returner(data)


def returner(ret):
    """
    Write what one minion returned.
    """
    answer, name = ret.get("return"), ret.get("id")
    if ret.get("fun") != FUNCTION or not isinstance(name, str) or _compact(answer):
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        outcome, _written, why = _folder.record(_report_dir(), name, answer, now, "ask it alone: salt '%s' %s" % (name, FUNCTION))
    except OSError as error:
        log.error("pidhygiene: the result of %s could not be written: %s", name, error)
        return
    if outcome != _folder.AUDITED:
        log.warning("pidhygiene: %s was not audited: %s", name, _folder.harmless(why))


def _compact(answer):
    return isinstance(answer, dict) and "schema" not in answer and "findings" in answer


def _report_dir():
    return Path(__opts__.get("pidhygiene_report_dir") or os.path.join(__opts__["cachedir"], "pidhygiene", "report")).absolute()
