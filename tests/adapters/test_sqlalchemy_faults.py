"""Faults that are SQLAlchemy's own; those of every SQL store are in test_faults.py."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from notistore import Notification, Recipient, StoreError
from notistore.model import utc_now
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

from .test_sqlalchemy_conforms import with_driver

ME = Recipient("42")
HOLD = text("UPDATE notistore_notifications SET version = version WHERE id = :id")


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


@pytest.mark.parametrize("isolation", ["SERIALIZABLE", "REPEATABLE READ"])
@pytest.mark.parametrize(("server", "driver"), [("postgres", "postgresql+asyncpg"), ("mariadb", "mysql+asyncmy")])
async def test_serialization_failures_are_retried_at_the_isolation_level_of_the_engine(
    server: str, driver: str, isolation: str, request: pytest.FixtureRequest
) -> None:
    url = with_driver(request.getfixturevalue(f"{server}_url"), driver)
    async with opened(url, isolation_level=isolation, max_overflow=5) as (store, _):
        await store.erase(ME)
        answers = await asyncio.gather(*(store.upsert(row("k")) for _ in range(20)))
        assert sorted(answer.version for answer in answers) == list(range(1, 21))


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


def test_a_commit_that_fails_with_sqlite_busy_is_retried_from_the_start(tmp_path: Path) -> None:
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


async def test_the_cause_of_an_error_is_the_drivers_which_shows_no_parameters(empty_postgres_url: str) -> None:
    engine = create_async_engine(with_driver(empty_postgres_url, "postgresql+asyncpg"))
    with pytest.raises(StoreError) as raised:
        await SQLAlchemyStore(engine).count(ME)  # of a table that is not there
    assert raised.value.__cause__ is not None
    assert not isinstance(raised.value.__cause__, DBAPIError)
    await engine.dispose()


async def test_an_exhausted_pool_raises_store_error(postgres_url: str) -> None:
    url = with_driver(postgres_url, "postgresql+asyncpg")
    async with opened(url, pool_size=1, max_overflow=0, pool_timeout=0.05) as (store, engine):
        async with engine.connect():
            with pytest.raises(StoreError, match="QueuePool limit"):
                await store.count(ME)
        assert await store.count(Recipient("nobody")) == 0


async def waiting_for_a_lock(url: str, processes: int = 1) -> int:
    """Wait until this number of server processes waits for a lock in this database, and return one of them."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60), await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            found = await (await connection.execute(query)).fetchall()
            if len(found) >= processes:
                process: int = found[0][0]
                return process
