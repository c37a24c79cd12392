"""A PostgreSQL server of Debian's binaries for the tests: a folder of its own, a socket and no port, gone with whoever started it."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg

STARTUP_S = 120
TARGET = "postgres"


class Unavailable(Exception):
    """This machine has no server to start; the text is the reason of a skipped test."""


def binaries():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: float(path.split("/")[4]))
    if not found:
        raise Unavailable("no PostgreSQL server in /usr/lib/postgresql: install postgresql")
    return os.path.dirname(found[-1])


@contextlib.contextmanager
def running():
    """Yields the folder of its socket, which is host= of a connection."""
    place = binaries()
    folder = tempfile.mkdtemp(prefix="pidhygiene-pg-", dir="/tmp")  # a socket's path holds 107 bytes
    prefix = _as_its_user(folder)
    try:
        data = os.path.join(folder, "data")
        done = subprocess.run(
            [*prefix, os.path.join(place, "initdb"), "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", data],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=folder, check=False)
        if done.returncode:
            raise Unavailable("initdb failed: " + done.stderr.strip())
        with open(os.path.join(folder, "log"), "wb") as log:
            server = subprocess.Popen(
                [*prefix, os.path.join(place, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off",
                 "-c", "synchronous_commit=off", "-c", "shared_buffers=32MB", "-c", "max_connections=60", "-c", "autovacuum=off"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(server, folder)
            yield folder
        finally:
            server.send_signal(signal.SIGQUIT)  # at once; the data goes anyway
            server.wait()
    finally:
        shutil.rmtree(folder)


def _as_its_user(folder):
    """The server refuses root; it ends with the process that started it, however that ends."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "QUIT"]
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise Unavailable("no user postgres: install postgresql")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups", "--pdeathsig", "QUIT"]


def _wait(server, folder):
    end = time.monotonic() + STARTUP_S
    while True:
        try:
            psycopg.connect(host=folder, user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                with open(os.path.join(folder, "log"), errors="replace") as log:
                    raise RuntimeError("PostgreSQL does not start: %s\n%s" % (error, log.read()))
            time.sleep(0.05)


def url(folder, database, user="postgres"):
    return "postgresql://%s@/%s?host=%s" % (user, database, folder)


def run(folder, statement, database="postgres"):
    """One statement, outside of a transaction; its rows."""
    with psycopg.connect(host=folder, user="postgres", dbname=database, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []
