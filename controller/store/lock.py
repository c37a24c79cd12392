# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer at a time, and a number that tells when something was deleted that others may remember.

SQLite has one writer anyway. On PostgreSQL a lock makes it so too: a batch holds it for a fraction of a second, and whoever finds that a
text, a host or a run is missing is the one who adds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, select, text, update

from .opening import LOCK_OF_WRITERS
from .tables import generation


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes: wholly or not at all."""
    with engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_OF_WRITERS})
        yield connection


def number(connection: Connection) -> int:
    found: int = connection.execute(select(generation.c.number)).scalar_one()
    return found


def next_number(connection: Connection) -> None:
    connection.execute(update(generation).values(number=generation.c.number + 1))
