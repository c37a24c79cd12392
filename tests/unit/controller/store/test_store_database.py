"""The database itself: versions of the tables, several at once, death in the middle, a server that goes away, what is deleted in time."""

import json
import os
import pathlib
import signal
import sqlite3
import stat
import subprocess
import sys
import threading

import postgres_server
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from controller.store import NotKept, Store, StoreError, StoreTooNew, StoreUnavailable, opening, retention, tables, writing
from controller.store import intake as intakes
from synthetic import DAY, START, attempt, finding, result, write_folder

REPOSITORY = pathlib.Path(__file__).resolve().parents[4]
NOW = START + 3600
PATHS = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "ansible_collection/plugins/module_utils")))


def python(code, *arguments, **options):
    """A process of its own, with the controller of this checkout."""
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=dict(os.environ, PYTHONPATH=PATHS), cwd="/", text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)


def many(count, start=0, **more):
    return {"web%03d" % number: result("web%03d" % number, [finding(message="m%d" % number)], **more) for number in range(start, start + count)}


def take(store, place, run=None):
    intake = store.intake(run, now=lambda: NOW)
    intake.paths([place])
    return intake.account


def whole(store, run_id):
    """Every host of the run is there with all that belongs to it."""
    found = list(store.hosts(run_id))
    for host in found:
        if host.outcome == "audited":
            assert len(host.findings) == 1 and host.facts and host.measures and host.rules
            assert store.document(host.name, run_id)["host"]["name"] == host.name
    return [host.name for host in found]


def engine_of(url):
    return opening.engine_of(opening.url_of(url))


# Versions of the tables


def test_migrations_make_the_tables_that_the_code_expects(store):
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


LATER = '''
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "%s"
def upgrade():
    op.add_column("runs", sa.Column("ticket", sa.String(20)))
'''


def newest():
    return opening.ScriptDirectory.from_config(opening._config()).get_current_head()


@pytest.fixture
def later_version(tmp_path, monkeypatch):
    """A next version of the tables, as it may come; called: this program becomes that of the next version, or again the old one."""
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "v9999.py").write_text(LATER % newest())
    config = opening._config

    def extended():
        made = config()
        made.set_main_option("version_locations", os.pathsep.join([str(pathlib.Path(opening.__file__).parent / "migrations/versions"), str(tmp_path / "later")]))
        return made

    return lambda yes: monkeypatch.setattr(opening, "_config", extended if yes else config)


def test_an_older_store_is_brought_to_the_new_version_and_keeps_what_it_holds(url, tmp_path, later_version):
    with Store.open(url) as store:
        take(store, write_folder(tmp_path / "report", many(3)))
    later_version(True)
    with Store.open(url) as store:
        assert "ticket" in {column["name"] for column in sqlalchemy.inspect(store._engine).get_columns("runs")}
        assert whole(store, store.last_run().id) == ["web000", "web001", "web002"]
    later_version(False)
    with pytest.raises(StoreTooNew, match="are of a later pidhygiene .version 9999, this one knows up to %s.: upgrade pidhygiene here" % newest()):
        Store.open(url)


def test_a_migration_that_fails_leaves_the_store_as_it_was(url, tmp_path, later_version, monkeypatch):
    with Store.open(url) as store:
        take(store, write_folder(tmp_path / "report", many(2)))
    later_version(True)
    path = tmp_path / "later" / "v9999.py"
    path.write_text(path.read_text() + '    op.execute("INSERT INTO absent VALUES (1)")\n')
    with pytest.raises(StoreError):
        Store.open(url)
    later_version(False)
    with Store.open(url) as store:
        assert "ticket" not in {column["name"] for column in sqlalchemy.inspect(store._engine).get_columns("runs")}
        assert len(whole(store, store.last_run().id)) == 2


OPENS = "import sys; from controller.store import Store; sys.stdin.read(); Store.open(sys.argv[1]).close(); print('open')"


def test_many_open_an_empty_store_at_once(url):
    openers = [python(OPENS, url) for _ in range(4)]
    for opener in openers:
        opener.stdin.close()
        opener.stdin = None
    assert [opener.communicate()[0] for opener in openers] == ["open\n"] * 4
    with Store.open(url) as store:
        assert store.runs() == []


@pytest.mark.parametrize("url, why", [
    ("mysql://u@h/d", "no database called mysql is supported"), ("sqlite:pidhygiene://[::", "cannot be read"), ("/proc/absent/x.db", "cannot be opened"),
    ("postgresql://u:geheim@/d?host=/nowhere", "does not answer"),
])
def test_a_url_that_leads_nowhere_is_one_sentence_without_the_password(url, why, capsys):
    from controller.__main__ import main

    assert main(["runs", "--store", url]) == 1
    said = capsys.readouterr().err
    assert why in said and said.count("\n") == 1 and "geheim" not in said


def test_a_file_that_is_no_database(tmp_path, capsys):
    from controller.__main__ import main

    (tmp_path / "x.db").write_text("no database" * 1000)
    assert main(["runs", "--store", str(tmp_path / "x.db")]) == 1
    assert "file is not a database" in capsys.readouterr().err


def test_the_file_is_for_its_owner_only(sqlite_url):
    with Store.open(sqlite_url) as store:
        store.runs()
        for path in pathlib.Path(sqlite_url).parent.glob("pidhygiene.db*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


# Several at once, and ends in the middle


INGESTS = """
import sys
from pathlib import Path
from controller.store import Store, intake
intake.MOST_IN_A_BATCH = 7
store = Store.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
taking = store.intake("nightly")
taking.paths([Path(sys.argv[2])])
print(taking.account.recorded, taking.account.already)
"""


def test_two_writers_at_once(url, tmp_path):
    """Half of the hosts are in both folders."""
    for name, hosts in (("one", many(60)), ("two", many(60, 30))):
        for host, document in hosts.items():
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / (host + ".json")).write_text(json.dumps(document))
    writers = [python(INGESTS, url, tmp_path / name) for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.close()
        writer.stdin = None
    counts = [tuple(map(int, writer.communicate()[0].split())) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sum(recorded for recorded, _already in counts) == 90 and sum(already for _recorded, already in counts) == 30
    with Store.open(url) as store:
        (run,) = store.runs()
        assert whole(store, run.id) == ["web%03d" % number for number in range(90)]


STOPS = """
import sys
from pathlib import Path
from controller.store import Store, intake, writing
intake.MOST_IN_A_BATCH = 5
batches = 0
plain = writing._insert
def insert(connection, table, rows):
    global batches
    plain(connection, table, rows)
    if table.name == "audits":
        batches += 1
        if batches == 3:
            print("middle", flush=True)
            sys.stdin.read()
writing._insert = insert
Store.open(sys.argv[1]).intake().paths([Path(sys.argv[2])])
"""


def test_kill_9_in_the_middle_of_an_ingest_loses_no_finished_host(url, tmp_path):
    place = write_folder(tmp_path / "report", many(30))
    with python(STOPS, url, place) as killed:
        assert killed.stdout.readline() == "middle\n"
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    with Store.open(url) as store:
        assert len(whole(store, store.last_run().id)) == 10, "two batches, wholly; the third not at all"
        account = take(store, place)
        assert (account.recorded, account.already) == (20, 10)
        assert len(whole(store, store.last_run().id)) == 30 and len(store.runs()) == 1


def test_a_server_that_goes_away_in_the_middle(postgresql, postgresql_url, tmp_path, monkeypatch, capsys):
    from controller.__main__ import main

    name = postgresql_url.rpartition("/")[0] and postgresql_url.split("@/")[1].split("?")[0]
    place = write_folder(tmp_path / "report", many(30))
    monkeypatch.setattr(intakes, "MOST_IN_A_BATCH", 5)
    batches, plain = [], writing._insert

    def insert(connection, table, rows):
        if table.name == "findings":
            batches.append(table)
            if len(batches) == 3:
                postgres_server.run(postgresql, "ALTER DATABASE %s ALLOW_CONNECTIONS false" % name)
                postgres_server.run(postgresql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'" % name)
        plain(connection, table, rows)

    monkeypatch.setattr(writing, "_insert", insert)
    assert main(["ingest", str(place), "--store", postgresql_url, "--keep", "0"]) == 1
    said = capsys.readouterr().err
    assert "stopped after 10 hosts; the same command again takes in the rest" in said and "does not answer as it should" in said
    postgres_server.run(postgresql, "ALTER DATABASE %s ALLOW_CONNECTIONS true" % name)
    with Store.open(postgresql_url) as store:
        assert len(whole(store, store.last_run().id)) == 10
    assert main(["ingest", str(place), "--store", postgresql_url, "--keep", "0"]) == 0
    assert "20 hosts of 30 targeted recorded" in capsys.readouterr().out


def test_a_file_that_stays_locked(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "BUSY_S", 0.05)
    with Store.open(sqlite_url) as store:
        place = write_folder(tmp_path / "report", many(3))
        holder = sqlite3.connect(sqlite_url, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            take(store, place)
        holder.close()
        assert take(store, place).recorded == 3


def test_a_full_disk(sqlite_url, tmp_path):
    with Store.open(sqlite_url) as store:
        place = write_folder(tmp_path / "report", many(20))

        def limit(connection, _record):
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute("PRAGMA max_page_count = %d" % (pages + 5))

        sqlalchemy.event.listen(store._engine, "connect", limit)
        store._engine.dispose()
        with pytest.raises(StoreUnavailable, match="full"):
            take(store, place)
        sqlalchemy.event.remove(store._engine, "connect", limit)
        store._engine.dispose()
        assert store.runs() == []
        assert take(store, place).recorded == 20


def test_reading_while_another_writes(url, tmp_path, monkeypatch):
    """A report sees the run as it is, and neither waits for the other."""
    monkeypatch.setattr("controller.store.reading.PAGE", 4)
    with Store.open(url) as store:
        take(store, write_folder(tmp_path / "report", many(12)))
        hosts = store.hosts(store.last_run().id)
        first = next(hosts)
        writer = threading.Thread(target=take, args=(store, write_folder(tmp_path / "next", many(12, at=START + DAY), started=START + DAY)))
        writer.start()
        writer.join()
        assert [first.name, *(host.name for host in hosts)] == ["web%03d" % number for number in range(12)]
        assert len(store.runs()) == 2


# Deleting in time


def three_runs(store, tmp_path):
    for day in range(3):
        take(store, write_folder(tmp_path / str(day), {**many(3, at=START + day * DAY), "gone%d" % day: attempt("gone%d" % day, at=START + day * DAY)},
                                 started=START + day * DAY))


def test_runs_that_are_too_old_go_with_all_that_only_they_needed(store, tmp_path):
    three_runs(store, tmp_path)
    pruned = store.prune(1.5 * DAY, now=START + 3 * DAY)
    assert (pruned.runs, pruned.documents) == (2, 8)
    (run,) = store.runs()
    assert whole(store, run.id) == ["gone2", "web000", "web001", "web002"]
    with store._engine.connect() as connection:
        counts = {table.name: connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar() for table in tables.metadata.sorted_tables}
    assert (counts["hosts"], counts["audits"], counts["findings"], counts["documents"], counts["finding_keys"]) == (4, 4, 3, 4, 1)
    assert store.prune(1.5 * DAY, now=START + 3 * DAY).runs == 0


def test_documents_may_go_earlier(store, tmp_path):
    three_runs(store, tmp_path)
    pruned = store.prune(100 * DAY, 1.5 * DAY, now=START + 3 * DAY)
    assert (pruned.runs, pruned.documents) == (0, 8)
    first, _second, third = store.runs()
    assert len(list(store.hosts(first.id))) == 4 and store.document("web000", third.id)
    with pytest.raises(NotKept, match="no document of web000 is kept of run %d" % first.id):
        store.document("web000", first.id)


def test_an_ingest_that_remembers_what_a_prune_deletes(store, tmp_path):
    """Texts that the first batch wrote are gone before the second refers to them."""
    intake = store.intake(now=lambda: NOW)
    intake.paths([write_folder(tmp_path / "old", many(2))])
    with Store.open(str(store._engine.url.render_as_string(hide_password=False))) as other:
        assert other.prune(DAY, now=START + 10 * DAY).runs == 1
    intake.paths([write_folder(tmp_path / "new", many(2, at=START + 10 * DAY), started=START + 10 * DAY)])
    assert whole(store, store.last_run().id) == ["web000", "web001"]


def test_advice_to_give_the_disk_back(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "LEAST_FREE", 1)
    monkeypatch.setattr(retention, "VACUUM_SHARE", 0.01)
    with Store.open(sqlite_url) as store:
        three_runs(store, tmp_path)
        advice = store.prune(DAY, now=START + 100 * DAY).advice
    assert "VACUUM" in advice and sqlite_url in advice


def test_a_role_that_may_only_read(postgresql, postgresql_url, tmp_path):
    """As docs/fleet/store.md grants it."""
    name = postgresql_url.split("@/")[1].split("?")[0]
    with Store.open(postgresql_url) as store:
        place = write_folder(tmp_path / "report", many(2))
        take(store, place)
    for statement in ("CREATE ROLE reader LOGIN", "GRANT CONNECT ON DATABASE %s TO reader" % name, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"):
        postgres_server.run(postgresql, statement, name)
    try:
        with Store.open(postgres_server.url(postgresql, name, "reader")) as store:
            assert whole(store, store.last_run().id) == ["web000", "web001"]
            with pytest.raises(StoreError, match="permission denied"):
                take(store, write_folder(tmp_path / "next", many(2, at=START + DAY), started=START + DAY))
    finally:
        postgres_server.run(postgresql, "DROP OWNED BY reader", name)
        postgres_server.run(postgresql, "DROP ROLE reader")
