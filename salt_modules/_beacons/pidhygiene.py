# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Tell the master when this minion is about to run out of processes, and, if allowed, make a little room.

.. versionadded:: 0.1.0

At each pass the beacon reads ``/proc/loadavg``, two limits of the kernel, and ``pids.max`` and ``pids.current`` of each watched unit. It runs in the
minion's own process and starts none, nor a thread: it works when fork gives EAGAIN, where no job of Salt does.

.. code-block:: yaml

    beacons:
      pidhygiene:
        - units: [backup.service, salt-minion.service]
        - interval: 10

Configuration
    ``units``
        Services, slices and scopes of the system's manager, by their full names. Default: none, only the machine itself is watched.

    ``threshold``
        Used part of a limit that is told, in percent: 1 to 100, default 80. It is told once more at 95.

    ``ancestors``
        Watch the slices that the units are in, too. Default: False.

    ``interval``
        Seconds between two passes: Salt's own setting for every beacon; without it the beacon runs once a second (``loop_interval``).

    ``relief``
        Off by default. ``True`` allows ``tasks_max`` and ``pid_max``; or a mapping:

        ``tasks_max``
            Raise ``TasksMax=`` of a watched unit that is full (95 percent), by at most a quarter, once a day, until the next boot, and never above what
            the machine has left.

        ``pid_max``
            Raise ``kernel.pid_max`` when 95 percent of the numbers are used, likewise.

        ``restart``
            Units that may be stopped and started, after their zombies are reaped, when they or the machine are full and most of their tasks are zombies.
            The minion stands still meanwhile. Never salt-minion itself, databases, container engines, sshd.

    ``disable_during_state_run``, ``enabled``
        As for every beacon of Salt.

Events
    ``salt/beacon/MINION/pidhygiene/reached`` when a threshold is crossed, when relief did something, and once when it refused;
    ``salt/beacon/MINION/pidhygiene/over`` when the use has fallen below 95 percent of the threshold. Not at every pass. Salt starts a thread to send an event,
    and drops it where none can start; what is told at such a moment is told again, until there is room.

    Data: ``state`` (``reached``, ``over``), ``finding`` (as in a result of ``pidhygiene.check``: ``rule`` PH-PID-001, PH-PID-002 or PH-SYS-004, ``status``,
    ``severity``, ``subject``, ``message``, ``evidence``, ``binding``, ``fingerprint`` ...), ``relief`` (null, or ``state``: ``done``, ``refused``, ``failed``;
    ``message``; ``changes``: ``what``, ``before``, ``after``) and ``id``, the minion.
"""

import copy
import logging
import os
import sys

# Salt's loader of beacons knows nothing of synchronised utils (those of modules and states do), but puts the folder of this file, which has the
# engine's name, on the path: the engine is looked for right before that, and a wheel before both, as everywhere.
_HERE = os.path.dirname(os.path.abspath(__file__))
_UTILS = [os.path.join(os.path.dirname(_HERE), name) for name in ("utils", "_utils")]
_AT = sys.path.index(_HERE) if _HERE in sys.path else len(sys.path)
sys.path[_AT:_AT] = _UTILS
try:
    from pidhygiene import fresh

    fresh.refresh()  # before anything else of the engine: an updated engine takes effect without a restart of the minion

    import pidhygiene
    from pidhygiene import kept, watch_news, watch_settings
    from pidhygiene.host import HostError, LiveHost
    from pidhygiene.remedies import relief
finally:
    for _FOLDER in _UTILS:
        sys.path.remove(_FOLDER)

log = logging.getLogger(__name__)

WRITTEN_FOR = "0.1.0"  # version of the engine: a wheel on the minion wins over the synced engine
PASS_S = 5.0  # a pass looks no longer: the minion waits for it
__virtualname__ = "pidhygiene"


def __virtual__():
    if pidhygiene.__version__ != WRITTEN_FOR:
        return False, "the engine found is pidhygiene %s, this adapter is for %s" % (pidhygiene.__version__, WRITTEN_FOR)
    return __virtualname__


def validate(config):
    """Whether the configuration can be used, and every mistake in it."""
    mistakes = watch_settings.checked(config)[1]
    return not mistakes, "; ".join(mistakes) or "Valid beacon configuration"


def beacon(config):
    """One pass: the events."""
    settings, mistakes = watch_settings.checked(config)
    if mistakes:
        log.error("pidhygiene: %s", "; ".join(mistakes))
        return []
    host = LiveHost(deadline_s=PASS_S)
    memory = __context__.setdefault("pidhygiene.beacon", {})
    if "told" not in memory:
        memory["told"] = _remembered(host)
    before = copy.deepcopy(memory["told"])
    events = watch_news.news(host, settings, memory, lambda level: relief.of(host, level, settings.relief))
    if memory["told"] != before:
        _remember(host, memory["told"])
    gaps = ["%s: %s" % gap for gap in memory["gaps"]]
    if gaps != memory.get("logged", []):
        memory["logged"] = gaps
        log.warning("pidhygiene: not seen: %s", "; ".join(gaps) or "nothing, all is seen again")
    return [dict(event, tag=event["state"]) for event in events]


def _file():
    return os.path.join(__opts__["cachedir"], "pidhygiene", "beacon.json")


def _boot(host):
    try:
        return host.read_text("/proc/sys/kernel/random/boot_id").strip()
    except HostError:
        return ""


def _remembered(host):
    """What was told in this boot before the minion, or the loader of its beacons, started anew."""
    found = kept.read(_file())
    return watch_news.usable(found["told"]) if isinstance(found, dict) and found.get("boot_id") == _boot(host) and "told" in found else {}


def _remember(host, told):
    """A minion that cannot write its cache still tells."""
    try:
        kept.write(_file(), {"boot_id": _boot(host), "told": told})
    except OSError as error:
        log.warning("pidhygiene: what was told could not be kept: %s", error)
