"""Servers that die, connections that break, calls that are cancelled, transactions in each other's way."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, MetaData, UniqueConstraint, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from notistore import DuplicateNotification, Notification, OutcomeUnknown, Recipient, StoreError
from notistore.model import utc_now
from notistore_conformance import Subject, check_store
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore, notifications_table

from ..servers import Server
from .test_sqlalchemy_conforms import with_driver

ME = Recipient("42")
HOLD = text("UPDATE notistore_notifications SET version = version WHERE id = :id")
DRIVERS = [
    ("postgres", "postgresql+asyncpg"),
    ("postgres", "postgresql+psycopg"),
    ("mariadb", "mysql+asyncmy"),
    ("mariadb", "mysql+aiomysql"),
]


def row(key: str | None = None) -> Notification:
    return Notification.new(ME, "test", key=key)


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[tuple[SQLAlchemyStore, AsyncEngine]]:
    engine = create_async_engine(url, **options)
    try:
        store = SQLAlchemyStore(engine)
        await store.create_schema()
        yield store, engine
    finally:
        await engine.dispose()


@pytest.mark.parametrize(("server", "driver"), DRIVERS)
async def test_calls_raise_store_error_while_the_server_is_down_and_work_once_it_is_back(
    server: str, driver: str, request: pytest.FixtureRequest
) -> None:
    running: Server = request.getfixturevalue(f"own_{server}")

    @contextmanager
    def outage() -> Iterator[None]:
        running.kill()
        try:
            yield
        finally:
            running.start()

    @asynccontextmanager
    async def make_store() -> AsyncIterator[Subject]:
        async with opened(with_driver(running.url, driver)) as (store, _):
            yield Subject(store, outage=outage)

    report = await check_store(make_store, only="calls/errors")
    assert [(result.outcome.name, result.message) for result in report.results] == [("PASSED", "")]


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_a_connection_lost_during_commit_leaves_the_outcome_unknown(driver: str, postgres_url: str) -> None:
    async with opened(with_driver(postgres_url, driver)) as (store, engine):
        lost = row()

        def cut(connection: Connection) -> None:
            process = connection.scalar(text("SELECT pg_backend_pid()"))
            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])

        event.listen(engine.sync_engine, "commit", cut)
        with pytest.raises(OutcomeUnknown) as raised:
            await store.insert(lost)
        assert isinstance(raised.value.__cause__, DBAPIError)
        event.remove(engine.sync_engine, "commit", cut)
        assert await store.get(ME, lost.id) is None
        assert checked_out(engine) == 0


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_a_connection_lost_before_commit_did_nothing_and_says_so(driver: str, postgres_url: str) -> None:
    async with opened(with_driver(postgres_url, driver)) as (store, engine), engine.connect() as blocker:
        stored = await store.upsert(row("k"))
        await blocker.execute(HOLD, {"id": stored.id})
        call = asyncio.create_task(store.upsert(row("k")))
        process = await waiting_for_a_lock(postgres_url)
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])
        with pytest.raises(StoreError, match="nothing was changed") as raised:
            await call
        assert type(raised.value) is StoreError
        await blocker.rollback()
        assert (await store.upsert(row("k"))).version == stored.version + 1


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_a_call_cancelled_while_it_waits_for_a_lock_changes_nothing_and_gives_its_connection_back(
    driver: str, postgres_url: str
) -> None:
    async with opened(with_driver(postgres_url, driver)) as (store, engine):
        stored = await store.upsert(row("k"))
        async with engine.connect() as blocker:
            await blocker.execute(HOLD, {"id": stored.id})
            call = asyncio.create_task(store.mark_read(ME, stored.id, at=utc_now()))
            await waiting_for_a_lock(postgres_url)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert checked_out(engine) == 1
        assert checked_out(engine) == 0
        assert await store.get(ME, stored.id) == stored


async def test_a_cancelled_write_leaves_no_lock_on_a_sqlite_file(tmp_path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}") as (store, engine):
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None, timeout=0.2)) as other:
            other.execute("BEGIN IMMEDIATE")
            call = asyncio.create_task(store.upsert(row("k")))
            await asyncio.wait([call], timeout=0.1)
            call.cancel()
            await asyncio.sleep(0)
            other.execute("ROLLBACK")  # its thread gets the lock now, for a call that is no more
            [answer] = await asyncio.gather(call, return_exceptions=True)
            assert isinstance(answer, asyncio.CancelledError)  # and is kept: its frames must not keep the cursor alive
            other.execute("BEGIN EXCLUSIVE")
            assert other.execute("SELECT count(*) FROM notistore_notifications").fetchone() == (0,)
        assert checked_out(engine) == 0


@pytest.mark.parametrize("isolation", ["SERIALIZABLE", "REPEATABLE READ"])
@pytest.mark.parametrize(("server", "driver"), DRIVERS)
async def test_serialisation_failures_are_tried_again(
    server: str, driver: str, isolation: str, request: pytest.FixtureRequest
) -> None:
    url = with_driver(request.getfixturevalue(f"{server}_url"), driver)
    async with opened(url, isolation_level=isolation, max_overflow=5) as (store, _):
        await store.erase(ME)
        answers = await asyncio.gather(*(store.upsert(row("k")) for _ in range(20)))
        assert sorted(answer.version for answer in answers) == list(range(1, 21))


@pytest.mark.parametrize(("server", "driver"), DRIVERS)
async def test_calls_on_the_same_rows_in_any_order_end_without_an_error(
    server: str, driver: str, request: pytest.FixtureRequest
) -> None:
    url = with_driver(request.getfixturevalue(f"{server}_url"), driver)
    async with opened(url, max_overflow=5) as (store, engine):
        await store.erase(ME)
        rows = [row() for _ in range(60)]
        await store.insert_many(rows)
        ids = [each.id for each in rows]
        shuffled = random.Random(7)
        marked, unmarked = [], []
        for _ in range(30):
            some = shuffled.sample(ids, 40)
            marked.append(store.mark_read(ME, *some, at=utc_now()))
            unmarked.append(store.mark_unread(ME, *reversed(some)))
            marked.append(store.mark_all_read(ME, at=utc_now()))
        counts = await asyncio.gather(*marked, *unmarked)
        read = sum(counts[: len(marked)]) - sum(counts[len(marked) :])
        assert await store.unread_count(ME) == len(ids) - read
        deleted = await asyncio.gather(*(store.delete(ME, *shuffled.sample(ids, 60)) for _ in range(5)))
        assert sum(deleted) == len(ids)
        assert checked_out(engine) == 0


async def test_postgresql_calls_that_would_meet_rows_in_opposite_orders_do_not_deadlock(postgres_url: str) -> None:
    """Ids rise while created_at falls: one call finds its rows by id, the other by the index of the unread."""
    by_index = {"enable_seqscan": "off", "enable_bitmapscan": "off"}
    url = with_driver(postgres_url, "postgresql+asyncpg")
    async with opened(url, connect_args={"server_settings": by_index}) as (store, engine):
        failed: list[str] = []
        event.listen(engine.sync_engine, "handle_error", lambda context: failed.append(str(context.original_exception)))
        await store.erase(ME)
        rows = [Notification.new(ME, "test", at=utc_now() - timedelta(seconds=n)) for n in range(300)]
        await store.insert_many(rows)
        first, middle, last = rows[0].id, rows[150].id, rows[-1].id
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE notistore_notifications"))
        async with engine.begin() as blocker:
            await blocker.execute(HOLD, {"id": middle})
            deletion = asyncio.create_task(store.delete(ME, first, middle, last))
            await waiting_for_a_lock(postgres_url)
            marking = asyncio.create_task(store.mark_all_read(ME, at=utc_now()))
            await waiting_for_a_lock(postgres_url, processes=2)
        assert await asyncio.gather(deletion, marking) == [3, 297]
        assert failed == []


def test_a_commit_that_sqlite_was_too_busy_for_is_tried_again_from_the_start(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", connect_args={"timeout": 0.01})
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    failed: list[str] = []
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notistore_notifications").fetchall()

        @event.listens_for(engine, "handle_error")
        def make_way(context: Any) -> None:
            failed.append(str(context.original_exception))
            if reader.in_transaction:
                reader.execute("ROLLBACK")

        stored = store.upsert(row("k"))
    engine.dispose()
    assert failed == ["database is locked"]
    assert stored.version == 1


def test_a_lock_that_is_never_released_ends_in_store_error(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}", connect_args={"timeout": 0.01})
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="database is locked"):
            store.insert(row())
        writer.execute("ROLLBACK")
    store.insert(row())
    engine.dispose()


@pytest.mark.parametrize("fixture", ["postgres_url", "mariadb_url"])
def test_only_the_primary_key_makes_a_duplicate(fixture: str, request: pytest.FixtureRequest) -> None:
    """An index of the application's own that is violated is another error, and the application's to understand."""
    driver = {"postgres_url": "postgresql+psycopg", "mariadb_url": "mysql+pymysql"}[fixture]
    table = notifications_table(MetaData(), "notistore_unique_trace")
    table.append_constraint(UniqueConstraint(table.c.trace_id))
    engine = create_engine(with_driver(request.getfixturevalue(fixture), driver))
    store = SyncSQLAlchemyStore(engine, table=table)
    store.create_schema()
    first, second = (Notification.new(ME, "test", trace_id="same") for _ in range(2))
    store.insert(first)
    for call in (lambda: store.insert(second), lambda: store.insert_many([row(), second])):
        with pytest.raises(StoreError) as raised:
            call()
        assert type(raised.value) is StoreError
    for again in (lambda: store.insert(first), lambda: store.insert_many([row(), first])):
        with pytest.raises(DuplicateNotification, match=first.id):
            again()
    assert store.count(ME) == 1
    table.drop(engine)
    engine.dispose()


async def test_a_server_that_is_not_there_raises_store_error_from_the_drivers_own() -> None:
    for driver in ("postgresql+asyncpg", "postgresql+psycopg", "mysql+asyncmy", "mysql+aiomysql"):
        engine = create_async_engine(f"{driver}://nobody@127.0.0.1:1/none")
        with pytest.raises(StoreError) as raised:
            await SQLAlchemyStore(engine).count(ME)
        assert raised.value.__cause__ is not None
        await engine.dispose()


async def test_a_pool_that_has_run_dry_raises_store_error(postgres_url: str) -> None:
    url = with_driver(postgres_url, "postgresql+asyncpg")
    async with opened(url, pool_size=1, max_overflow=0, pool_timeout=0.05) as (store, engine):
        async with engine.connect():
            with pytest.raises(StoreError, match="QueuePool limit"):
                await store.count(ME)
        assert await store.count(Recipient("nobody")) == 0


async def waiting_for_a_lock(url: str, processes: int = 1) -> int:
    """A server process that waits for a lock in this database, once there are that many."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            found = await (await connection.execute(query)).fetchall()
            if len(found) >= processes:
                process: int = found[0][0]
                return process


def checked_out(engine: AsyncEngine) -> int:
    count: int = engine.pool.checkedout()  # type: ignore[attr-defined]
    return count
