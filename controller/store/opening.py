# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a URL to a database with the tables of this version."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from .errors import StoreError, StoreTooNew, StoreUnavailable

DEFAULT = "pidhygiene.db"
VERSION_TABLE = "alembic_version"
BUSY_S = 60  # a writer waits this long for another
LOCK_OF_SCHEMA = 0x70696468_0001  # of PostgreSQL's advisory locks: "pidh"
LOCK_OF_WRITERS = 0x70696468_0002


def url_of(given: str) -> URL:
    """A file name is a file of SQLite; ``postgresql://`` goes through psycopg. Errors: StoreError."""
    if "://" not in given:
        return URL.create("sqlite", database=given)
    try:
        url = make_url(given)
    except ArgumentError:
        raise StoreError("the URL of the database cannot be read: write a file name, or postgresql://USER@HOST/DATABASE")
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise StoreError("no database called %s is supported: write a file name, or postgresql://USER@HOST/DATABASE" % url.drivername)
    return url


def shown(url: URL) -> str:
    """For messages; without the password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database or "a database in memory")
    return url.render_as_string(hide_password=True).replace("+psycopg", "")


def engine_of(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        except ModuleNotFoundError as error:
            raise StoreError("%s is missing, which talks to PostgreSQL: install pidhygiene[postgresql]" % error.name)
    if url.database and url.database != ":memory:":
        _for_its_owner(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _settle)
    event.listen(engine, "begin", _begin)
    return engine


def _for_its_owner(path: Path) -> None:
    """The file holds command lines of other people's hosts."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable("%s cannot be opened: %s" % (path, error.strerror))


def _settle(connection: Any, _record: Any) -> None:
    """Each connection of SQLite. WAL: a report reads while an audit is taken in; NORMAL: what was committed survives the death of a program."""
    connection.isolation_level = None  # transactions are begun below, where it is known whether they will write
    for setting in ("foreign_keys = ON", "synchronous = NORMAL", "cache_size = -65536", "temp_store = MEMORY"):
        connection.execute("PRAGMA " + setting)
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    end = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:  # another opener is at it; the busy timeout does not cover this change
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    """Who will write says so at once: a reader who turns writer later is refused when another was first."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def speaking(url: URL) -> Iterator[None]:
    """Errors of the database become StoreUnavailable or StoreError, in one sentence and without the statement."""
    try:
        yield
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        if isinstance(error, OperationalError) or error.connection_invalidated:
            raise StoreUnavailable("the database %s does not answer as it should: %s; what was recorded before stays, run the command again" % (
                shown(url), said[0]))
        raise StoreError("the database %s refused: %s" % (shown(url), said[0]))


def migrate(engine: Engine) -> None:
    """Bring the tables to this version; whoever comes first does it, the others wait. Errors: StoreTooNew, DBAPIError."""
    script = ScriptDirectory.from_config(_config())
    newest = script.get_current_head()
    with engine.connect() as connection:
        if _version(connection, engine, script) == newest:
            return
    with engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_OF_SCHEMA})
        if _version(connection, engine, script) == newest:
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _version(connection: Connection, engine: Engine, script: ScriptDirectory) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM %s" % VERSION_TABLE)).scalar()
    known = {revision.revision for revision in script.walk_revisions()}
    if found is not None and found not in known:
        raise StoreTooNew(
            "the tables of %s are of a later pidhygiene (version %s, this one knows up to %s): upgrade pidhygiene here, or name another database"
            % (shown(engine.url), found, script.get_current_head()))
    return found
