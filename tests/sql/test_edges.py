"""What is specific to one dialect or driver: names that must be quoted, sessions with settings of their own, duplicates
in one batch of many, and calls that send nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from notistore import DuplicateNotification, Notification, Recipient, StoreError
from notistore.model import utc_now
from notistore.sql import BoundSyncSQLStore, Dialect, Host, SyncSQLStore, Table, Work, statements_for
from notistore.sql.schema import create_schema
from notistore.sql.table import COLUMNS, INDEXES
from notistore_asyncpg import AsyncpgStore
from notistore_psycopg import SyncPsycopgStore
from notistore_sqlite import SyncSQLiteStore

from .hosts import PyMySQLStore, connect, transaction

ME = Recipient("me")
QUOTED_NAME = 'Odd "name" of `mine`, 100%s'


@contextmanager
def opened(database: str, table: Table, request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        if database == "sqlite":
            yield stack.enter_context(closing(SyncSQLiteStore(folder / "x.db", table=table)))
        elif database == "postgresql":
            url = request.getfixturevalue("empty_postgres_url")
            pool = stack.enter_context(ConnectionPool(url, min_size=1, open=True))
            yield SyncPsycopgStore(pool, table=table)
        else:
            url = request.getfixturevalue("empty_mariadb_url")
            yield stack.enter_context(closing(PyMySQLStore(url, table=table, dialect=database)))


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_a_name_that_must_be_quoted_works_in_every_statement(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with opened(database, Table(QUOTED_NAME), request, tmp_path) as store:
        for _ in range(2):
            store.create_schema()
        rows = [Notification.new(ME, "t", {"n": n}, key=str(n)) for n in range(3)]
        store.insert_many(rows)
        assert store.upsert(rows[0]).version == 2
        assert [row.id for row in store.page(ME, unread_only=True, before=rows[2].cursor)] == [
            row.id for row in sorted(rows, key=lambda row: row.cursor, reverse=True) if row.cursor < rows[2].cursor
        ]
        assert store.unread_counts([ME], types=["t"], at_most=2) == {ME: 2}
        assert store.mark_read(ME, *(row.id for row in rows), at=utc_now()) == 3
        assert store.mark_unread(ME, rows[0].id, rows[1].id) == 2
        assert store.mark_all_read(ME, types=["t"], seen=utc_now(), at=utc_now()) == 2
        assert store.delete(ME, rows[0].id, rows[1].id) == 2
        assert store.prune(older_than=utc_now().replace(year=2200), only_read=True) == 1
        assert store.erase(ME) == store.erase_tenant("nobody") == store.count(ME) == 0


def test_a_table_in_a_schema_of_postgresql(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "Of Ours"')
    with ConnectionPool(empty_postgres_url, min_size=1, open=True) as pool:
        store = SyncPsycopgStore(pool, table=Table(schema="Of Ours"))
        for _ in range(2):
            store.create_schema()
        row = store.upsert(Notification.new(ME, "t", key="k"))
        assert store.upsert(row).version == 2
        with pytest.raises(StoreError, match="does not exist"):
            SyncPsycopgStore(pool).count(ME)


def test_a_table_in_an_attached_file_of_sqlite(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS other", [str(tmp_path / "other.db")])
        store = SyncSQLStore(_OneConnection(connection, Table(schema="other")))
        for _ in range(2):
            store.create_schema()
        store.insert(Notification.new(ME, "t"))
        assert connection.execute("SELECT count(*) FROM other.notistore_notifications").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM main.sqlite_master").fetchone() == (0,)


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
def test_a_table_with_other_columns_is_refused_and_stays(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with opened(database, Table("other_columns"), request, tmp_path) as store:
        create = Work(_sent, ("CREATE TABLE other_columns (id integer, version integer)",), {}, True)
        store.host.perform(create)
        with pytest.raises(StoreError, match="unexpected none"):
            store.create_schema()
        store.host.perform(Work(_sent, ("INSERT INTO other_columns (id, version) VALUES (1, 1)",), {}, True))


def test_mariadb_accepts_a_table_that_another_process_created_just_before() -> None:
    call = create_schema(statements_for(Table(), Dialect("mariadb")))
    next(call)
    assert call.send([])[0].sql.startswith("CREATE TABLE")
    call.throw(StoreError("the table exists already"))
    call.send([(name,) for name in COLUMNS])
    with pytest.raises(StopIteration):
        call.send([(Table().index(suffix),) for suffix in INDEXES])


def test_mariadb_reports_why_a_table_could_not_be_created() -> None:
    call = create_schema(statements_for(Table(), Dialect("mariadb")))
    next(call)
    call.send([])
    call.throw(StoreError("the disk is full"))
    with pytest.raises(StoreError, match="the disk is full"):
        call.send([])


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "mariadb"])
@pytest.mark.parametrize("place", [0, 1500, 2499])
def test_a_duplicate_anywhere_among_many_is_named_and_none_is_inserted(
    database: str, place: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with opened(database, Table(), request, tmp_path) as store:
        store.create_schema()
        rows = [Notification.new(ME, "t") for _ in range(2500)]
        there = rows[place]
        store.insert(there)
        with pytest.raises(DuplicateNotification) as raised:
            store.insert_many(rows)
        assert raised.value.id == there.id
        assert store.count(ME) == 1
        with pytest.raises(DuplicateNotification, match=there.id):
            store.insert_many([there, rows[1], there])
        assert store.count(ME) == 1


def test_mariadb_reads_no_more_unread_rows_than_a_count_may_reach(empty_mariadb_url: str) -> None:
    others = [Recipient(str(n)) for n in range(3)]
    with closing(PyMySQLStore(empty_mariadb_url)) as store:
        store.create_schema()
        store.insert_many([Notification.new(ME, "ab"[n % 2]) for n in range(1000)])
        store.insert_many([Notification.new(others[0], "a")])
        with closing(connect(empty_mariadb_url)) as connection, connection.cursor() as cursor:
            statements = store.statements
            for types, sizes in (None, 0), (["a", "b"], 2):
                parameters = statements.counts_parameters([ME, *others], types, 10)
                cursor.execute("FLUSH STATUS")
                cursor.execute(statements.unread_counts(4, sizes, True).sql, parameters)
                assert [found for *_, found in cursor.fetchall()] == [10, 1, 0, 0]
                cursor.execute("SHOW SESSION STATUS LIKE 'Handler_read_next'")
                assert int(cursor.fetchone()[1]) < 50
                assert store.unread_counts([ME, *others], types=types, at_most=10) == dict(
                    zip([ME, *others], [10, 1, 0, 0], strict=True)
                )


def test_an_upsert_without_returning_inside_a_transaction_of_the_host(empty_mariadb_url: str) -> None:
    with closing(PyMySQLStore(empty_mariadb_url)) as store:
        store.create_schema()
    with closing(PyMySQLStore(empty_mariadb_url, dialect="mysql")) as store:
        row = Notification.new(ME, "t", key="k")
        with transaction(empty_mariadb_url) as connection:
            bound: BoundSyncSQLStore = store.bind(connection)
            assert [bound.upsert(row).version for _ in range(2)] == [1, 2]
            assert store.count(ME) == 0, "nothing was committed"
        assert store.count(ME) == 1


@pytest.mark.parametrize("setting", ["DateStyle=SQL,DMY", "timezone=Asia/Tokyo", "DateStyle=German"])
def test_psycopg_reads_times_whatever_the_session_says(setting: str, empty_postgres_url: str) -> None:
    row = Notification.new(ME, "t", {"x": 1}, key="k")
    with ConnectionPool(empty_postgres_url, kwargs={"options": f"-c {setting}"}, min_size=1, open=True) as pool:
        store = SyncPsycopgStore(pool)
        store.create_schema()
        stored = store.upsert(row)
        assert stored == row
        assert store.page(ME, before=replace(row, id="f" * 36).cursor) == [row]
        assert store.prune(older_than=row.updated_at) == 0
        assert store.prune(older_than=row.updated_at.replace(year=2200)) == 1


async def test_asyncpg_reads_and_writes_json_whatever_codec_the_connection_has(empty_postgres_url: str) -> None:
    import json

    async def with_codec(connection: Any) -> None:
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")

    rows = [Notification.new(ME, "t", {"text": "naïve 🔔", "list": [1, None]}, key=str(n)) for n in range(3)]
    async with asyncpg.create_pool(empty_postgres_url, init=with_codec, min_size=1) as pool:
        store = AsyncpgStore(pool)
        await store.create_schema()
        await store.insert(rows[0])
        await store.insert_many(rows[1:])
        assert [await store.get(ME, row.id) for row in rows] == rows
        assert replace(await store.upsert(rows[0]), version=1) == rows[0]
        kind = await pool.fetchval("SELECT jsonb_typeof(data) FROM notistore_notifications LIMIT 1")
        assert kind == "object"


def test_calls_that_name_nothing_send_nothing() -> None:
    host = _NoConnection()
    store = SyncSQLStore(host)
    assert store.mark_read(ME, at=utc_now()) == store.mark_unread(ME) == store.delete(ME) == 0
    assert store.erase_tenant("") == 0
    assert store.unread_counts([]) == {}
    store.insert_many([])
    assert host.attempts == 6


@pytest.mark.parametrize("dialect", ["postgresql", "mariadb", "mysql", "sqlite"])
def test_no_statement_holds_a_literal_percent_sign_and_each_selects_names_of_its_own(dialect: Any) -> None:
    statements = statements_for(Table(), Dialect(dialect, "?", times_as_milliseconds=dialect == "postgresql"))
    made = [
        *(each for each in vars(statements).values() if hasattr(each, "sql")),
        statements.page(True, 1, True, True),
        statements.count(True, 1, True),
        statements.unread_counts(2, 1, True),
        statements.insert_many(2),
        statements.old_rows(True, True),
        statements.prune(2, True),
        statements.mark_all_read(1, True),
    ]
    assert len(made) > 15
    assert not [each for each in made if "%" in each.sql]
    selected = statements.get.sql.partition(" FROM ")[0]
    assert all(selected.count(name) >= 1 for name in COLUMNS)


def test_threads_share_a_sqlite_store_in_memory() -> None:
    with closing(SyncSQLiteStore(":memory:")) as store:
        store.create_schema()

        async def insert_all() -> None:
            await asyncio.gather(*(asyncio.to_thread(store.insert, Notification.new(ME, "t")) for _ in range(30)))

        asyncio.run(insert_all())
        assert store.count(ME) == 30


class _OneConnection(Host):
    def __init__(self, connection: sqlite3.Connection, table: Table) -> None:
        self._connection = connection
        self._statements = statements_for(table, Dialect("sqlite"))

    def perform(self, work: Work[Any], /) -> Any:
        work.begin(self._statements)
        return work.run(self)

    def fetch(self, sql: str, parameters: Any, /) -> Any:
        return self._connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Any, /) -> int:
        return self._connection.execute(sql, parameters).rowcount


class _NoConnection(Host):
    """A host without a connection: any statement fails."""

    attempts = 0

    def perform(self, work: Work[Any], /) -> Any:
        self.attempts += 1
        assert not work.begin(statements_for(Table(), Dialect("sqlite")))
        return work.run(None)  # type: ignore[arg-type]


def _sent(statements: Any, sql: str) -> Any:
    from notistore.sql import Statement

    yield Statement(sql, fetches=False), []
