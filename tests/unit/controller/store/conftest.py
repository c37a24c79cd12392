"""Every test of the store that asks for ``url`` or ``store`` runs on SQLite and on a real PostgreSQL server."""

import itertools
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import postgres_server  # noqa: E402

_number = itertools.count()


@pytest.fixture(scope="session")
def postgresql():
    """The folder of a running server."""
    try:
        manager = postgres_server.running()
        folder = manager.__enter__()
    except postgres_server.Unavailable as error:
        if os.environ.get("PIDHYGIENE_REQUIRE_LAB") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        yield folder
    finally:
        manager.__exit__(None, None, None)


@pytest.fixture
def postgresql_url(postgresql):
    name = "store%d" % next(_number)
    postgres_server.run(postgresql, "CREATE DATABASE %s" % name)
    yield postgres_server.url(postgresql, name)
    postgres_server.run(postgresql, "DROP DATABASE %s WITH (FORCE)" % name)


@pytest.fixture
def sqlite_url(tmp_path):
    return str(tmp_path / "pidhygiene.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """Of an empty database."""
    return request.getfixturevalue(request.param + "_url")


@pytest.fixture
def store(url):
    from controller.store import Store

    with Store.open(url) as opened:
        yield opened
