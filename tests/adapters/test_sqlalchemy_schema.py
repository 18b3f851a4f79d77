"""The table: created once by the first of several processes, never over an existing one, and as documented."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, create_engine, inspect, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateSchema

import notistore_sqlalchemy
from notistore import Actor, DuplicateNotification, Notification, Recipient, StoreError
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore, notifications_table, open_store

from .test_sqlalchemy_conforms import with_driver, with_real_transactions

ME = Recipient("42")
DOCS = Path(__file__).parents[2] / "docs" / "schema.md"


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """In an empty database."""
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    elif request.param == "postgresql":
        engine = create_engine(with_driver(request.getfixturevalue("empty_postgres_url"), "postgresql+psycopg"))
    else:
        engine = create_engine(with_driver(request.getfixturevalue("empty_mariadb_url"), "mysql+pymysql"))
    yield engine
    engine.dispose()


def test_many_at_once_create_it_once(engine: Engine) -> None:
    engines = [create_engine(engine.url) for _ in range(6)]
    stores = [SyncSQLAlchemyStore(each) for each in engines]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda store: store.create_schema(), stores))
    assert inspect(engine).get_table_names() == ["notistore_notifications"]
    assert {index["name"] for index in inspect(engine).get_indexes("notistore_notifications")} == {
        f"notistore_notifications_{purpose}" for purpose in ("inbox", "unread", "age")
    }
    for each in engines:
        each.dispose()


def test_it_can_be_on_the_applications_own_metadata(engine: Engine) -> None:
    metadata = MetaData(naming_convention={"ix": "ix_%(column_0_label)s", "pk": "pk_%(table_name)s"})
    Table("users", metadata, Column("id", Integer, primary_key=True))
    table = notifications_table(metadata, "inbox")
    metadata.create_all(engine)
    store = SyncSQLAlchemyStore(engine, table=table)
    store.create_schema()
    kept = Notification.new(ME, "test", {"n": [1, 2.5, None]}, key="k", actor=Actor("7"), trace_id="t")
    assert store.upsert(kept) == kept
    assert sorted(inspect(engine).get_table_names()) == ["inbox", "users"]
    with engine.connect() as connection:
        assert connection.scalar(select(table.c.created_at).where(table.c.data["n"].is_not(None))) == kept.created_at


def test_a_name_that_needs_quotes_has_them_in_every_statement(engine: Engine) -> None:
    store = SyncSQLAlchemyStore(engine, table=notifications_table(name="In Box, 100% of it"))
    store.create_schema()
    one, *more = (Notification.new(ME, "test", key=key) for key in "abc")
    store.insert(one)
    store.insert_many(more)
    with pytest.raises(DuplicateNotification, match=one.id):
        store.insert_many([Notification.new(ME, "test"), one])
    assert store.upsert(one).version == 2
    assert sorted(each.key or "" for each in store.page(ME)) == ["a", "b", "c"]
    assert store.mark_read(ME, one.id, at=one.created_at) == 1
    assert store.unread_count(ME) == store.unread_counts([ME])[ME] == 2
    assert store.delete(ME, one.id) == 1


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_schema_may_be_the_metadatas_and_translated_by_the_engine(driver: str, empty_postgres_url: str) -> None:
    here = create_async_engine(with_driver(empty_postgres_url, f"postgresql+{driver}"))
    there = here.execution_options(schema_translate_map={"per tenant": "Acme"})
    table = notifications_table(MetaData(schema="per tenant"))
    stores = [SQLAlchemyStore(engine, table=table) for engine in (here, there)]
    async with here.begin() as connection:
        for schema in ("per tenant", "Acme"):
            await connection.execute(CreateSchema(schema))
    for engine in (here, there):
        async with engine.begin() as connection:
            await connection.run_sync(table.create)
    rows = [Notification.new(ME, "test") for _ in range(3)]
    await stores[0].insert_many(rows)
    await stores[1].insert(rows[0])
    await stores[1].insert_many(rows[1:2])
    assert [await store.unread_count(ME) for store in stores] == [3, 2]
    assert [await store.mark_all_read(ME, at=rows[0].created_at) for store in stores] == [3, 2]
    await here.dispose()


def test_alembic_finds_nothing_to_change_once_it_was_created(engine: Engine) -> None:
    table = notifications_table(metadata := MetaData())
    SyncSQLAlchemyStore(engine, table=table).create_schema()
    with engine.connect() as connection:
        assert compare_metadata(migrating(connection), metadata) == []


def test_the_migration_alembic_writes_makes_the_same_table(engine: Engine) -> None:
    table = notifications_table(metadata := MetaData())
    with engine.begin() as connection:
        context = migrating(connection)
        written = render_python_code(produce_migrations(context, metadata).upgrade_ops)
        body = textwrap.dedent("    " + written.removeprefix("    "))
        names = {"op": Operations(context), "sa": sqlalchemy, "notistore_sqlalchemy": notistore_sqlalchemy}
        exec(body, names)
    with engine.connect() as connection:
        migrated = describe_table(connection, table.name)
    table.drop(engine)
    SyncSQLAlchemyStore(engine, table=table).create_schema()
    with engine.connect() as connection:
        assert describe_table(connection, table.name) == migrated


def test_the_documentation_shows_the_table_that_is_created(engine: Engine) -> None:
    heading = {"postgresql": "PostgreSQL", "mysql": "MariaDB and MySQL", "sqlite": "SQLite"}[engine.dialect.name]
    section = DOCS.read_text().split(f"## {heading}\n")[1]
    statements = section.split("```sql\n")[1].split("```")[0]
    with engine.begin() as connection:
        for statement in statements.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        documented = describe_table(connection, "notistore_notifications")
    notifications_table().drop(engine)
    SyncSQLAlchemyStore(engine).create_schema()
    with engine.connect() as connection:
        assert describe_table(connection, "notistore_notifications") == documented


def test_rows_survive_a_database_whose_own_character_set_and_clock_are_others(empty_mariadb_url: str) -> None:
    url = with_driver(empty_mariadb_url, "mysql+pymysql")
    engine = create_engine(url, connect_args={"init_command": "SET time_zone = '+09:00'"})
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} CHARACTER SET latin1"))
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    pair = [
        Notification.new(Recipient(name), "🔔", {"text": "née 🎉"}, at=datetime(2039, 7, 1, 12, tzinfo=UTC))
        for name in ("😀", "😁")
    ]
    store.insert_many(pair)
    assert [store.page(each.recipient) for each in pair] == [[each] for each in pair]
    engine.dispose()


def test_a_session_in_another_time_zone_reads_utc(postgres_url: str) -> None:
    engine = create_engine(
        with_driver(postgres_url, "postgresql+psycopg"), connect_args={"options": "-c timezone=Asia/Tokyo"}
    )
    store = SyncSQLAlchemyStore(engine, table=notifications_table(name="notistore_tokyo"))
    store.create_schema()
    kept = Notification.new(ME, "test")
    store.insert(kept)
    got = store.get(ME, kept.id)
    assert got == kept
    assert got.created_at.tzinfo is UTC
    engine.dispose()


def test_a_host_that_has_sqlite_begin_for_itself_can_create_it_too(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with_real_transactions(engine)
    SyncSQLAlchemyStore(engine).create_schema()
    assert inspect(engine).get_table_names() == ["notistore_notifications"]
    engine.dispose()


@pytest.mark.parametrize("fixture", ["postgres_url", "mariadb_url", None])
async def test_open_store_picks_a_driver_creates_the_table_and_closes(
    fixture: str | None, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue(fixture) if fixture else f"sqlite:///{tmp_path / 'x.db'}"
    kept = Notification.new(Recipient("opened"), "test")
    async with open_store(url) as store:
        await store.insert(kept)
    async with open_store(url) as store:
        assert await store.get(kept.recipient, kept.id) == kept
        assert await store.delete(kept.recipient, kept.id) == 1


async def test_a_database_in_memory_serves_many_calls_at_once() -> None:
    async with open_store("sqlite://") as store:
        rows = [Notification.new(ME, "test") for _ in range(20)]
        duplicates = [store.insert(rows[0]) for _ in range(5)]
        answers = await asyncio.gather(*map(store.insert, rows), *duplicates, return_exceptions=True)
        assert sum(isinstance(answer, StoreError) for answer in answers) == 5
        assert await store.count(ME) == 20


def test_importing_it_without_sqlalchemy_names_the_extra() -> None:
    code = "import sys; sys.modules['sqlalchemy'] = None; import notistore_sqlalchemy"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'ImportError: notistore_sqlalchemy needs SQLAlchemy: pip install "notistore[sqlalchemy]"' in done.stderr


def migrating(connection: Connection) -> MigrationContext:
    options = {"compare_type": True, "compare_server_default": True}
    return MigrationContext.configure(connection, opts=options)


def describe_table(connection: Connection, table: str) -> Any:
    """The table's definition, as the database reports it."""
    match connection.dialect.name:
        case "postgresql":
            columns = (
                "SELECT column_name, data_type, character_maximum_length, datetime_precision, is_nullable, "
                "column_default, collation_name FROM information_schema.columns WHERE table_name = :table ORDER BY 1"
            )
            indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = :table ORDER BY 1"
            return [connection.execute(text(query), {"table": table}).all() for query in (columns, indexes)]
        case "mysql":
            shown: str = connection.execute(text(f"SHOW CREATE TABLE {table}")).one()[1]
            return sorted(line.rstrip(",") for line in shown.splitlines())
        case _:
            columns = connection.exec_driver_sql(f"PRAGMA table_info({table})").all()
            indexes = connection.exec_driver_sql(
                f"SELECT sql FROM sqlite_master WHERE tbl_name = '{table}' AND type = 'index' ORDER BY name"
            ).scalars()
            return [
                [(name, kind.lower(), required, default, key) for _, name, kind, required, default, key in columns],
                [re.sub(r'[\s"]', "", sql) for sql in indexes if sql],
            ]
