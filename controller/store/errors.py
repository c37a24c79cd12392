# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a store, a class for each that callers treat differently. The text is one sentence for a person, with what to do."""

from __future__ import annotations


class StoreError(Exception):
    """Base of all others."""


class StoreTooNew(StoreError):
    """The tables are of a later version of pidhygiene."""


class StoreUnavailable(StoreError):
    """The database cannot be opened, or went away."""


class NoSuchRun(StoreError):
    """There is no run of that name or number."""


class NotKept(StoreError):
    """That host has no document in that run, or none any more."""


class Refused(StoreError):
    """What was handed in is no result that can be taken in: the reason, and the next step."""

    def __init__(self, why: str, next_step: str) -> None:
        super().__init__(why)
        self.why = why
        self.next_step = next_step
