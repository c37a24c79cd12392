# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One remedy, looked at or applied: parameters checked, difference shown, steps done in order or undone in reverse, effect read back."""

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence

from ..host import Host, HostError, LiveHost
from . import revert
from .model import MIXED, NEW, OLD, Failed, Proposal, Refused, Remedy, Report, Step, checked

LOCK = "/run/pidhygiene.lock"


def look(remedy: Remedy, given: Dict[str, Any], host: Optional[Host] = None) -> Report:
    """What ``apply`` would do now; changes nothing. Errors: Refused, HostError."""
    proposal = remedy.propose(host or LiveHost(), checked(remedy, given))
    return _report(proposal)


def apply(remedy: Remedy, given: Dict[str, Any], host: Optional[Host] = None, revert_after: int = 0) -> Report:
    """Bring the host into the desired state and prove that it is. Errors: Refused (nothing was changed), Failed (its ``state`` says what is left).

    ``revert_after``: seconds after which a change of how people log in is taken back unless it is confirmed (revert.py); 0: never.
    """
    parameters = checked(remedy, given)
    with alone():
        proposal = _proposed(remedy, host or LiveHost(), parameters)
        armed = bool(revert_after) and revert.arm(remedy.name, parameters, proposal.steps, revert_after)
        try:
            run(proposal.steps)
        except Failed as error:
            if armed and error.state == OLD:
                revert.keep()
            raise
        problems = remedy.verify(host or LiveHost(), parameters)
    if problems:
        raise Failed("%s is written, but not in force: %s" % (remedy.name, "; ".join(problems)), NEW)
    return _report(proposal)


def _proposed(remedy: Remedy, host: Host, parameters: Dict[str, Any]) -> Proposal:
    try:
        return remedy.propose(host, parameters)
    except HostError as error:
        raise Refused("what the host has now could not be read (%s: %s); nothing was changed" % (error.path, error.reason))


def _report(proposal: Proposal) -> Report:
    return Report(bool(proposal.steps), tuple(proposal.differences()), proposal.notes)


def run(steps: Sequence[Step]) -> None:
    """In order; undone when one fails. Errors: Failed."""
    done: List[Step] = []
    for step in steps:
        done.append(step)
        try:
            step.do()
        except BaseException as error:  # an interrupt too: the host is not left between two states
            raise _undone(done, error)


def _undone(done: Sequence[Step], error: BaseException) -> Failed:
    """In the same order: a service is restarted after its files are back and the manager has read them."""
    trouble = []
    for step in done:
        try:
            step.undo()
        except Exception as second:
            trouble.append(_text(second))
    if trouble:
        return Failed("%s; and the old state could not be brought back whole: %s" % (_text(error), "; ".join(trouble)), MIXED)
    return Failed("%s; the old state is back" % _text(error), OLD)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return "%s: %s" % (error.filename, error.strerror) if error.filename else error.strerror
    if isinstance(error, HostError):
        return "%s: %s" % (error.path, error.reason)
    return str(error) or type(error).__name__


@contextmanager
def alone() -> Iterator[None]:
    """One remedy at a time on a host: whoever comes second is told, and changes nothing."""
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise Refused("another remedy is being applied on this host (process %s); nothing was changed, try again later" % (
                os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"))
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
        yield
    finally:
        os.close(fd)  # which also unlocks
