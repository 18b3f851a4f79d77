"""SQLAlchemy's `exec_driver_sql`; on PostgreSQL in autocommit, which saves two round trips as the store does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from notistore.sql import Dialect
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore

from . import ASYNCPG, PSYCOPG, SQLITE, AsyncPeer, Case, Rows, SyncPeer


@asynccontextmanager
async def open_async(url: str, dialect: Dialect) -> AsyncIterator[tuple[SQLAlchemyStore, AsyncPeer]]:
    engine = by_hand = create_async_engine(url)
    if dialect is SQLITE:
        event.listen(engine.sync_engine, "connect", wal)
    else:
        by_hand = engine.execution_options(isolation_level="AUTOCOMMIT")
    store = SQLAlchemyStore(engine)
    await store.create_schema()

    async def fetch(sql: str, parameters: Sequence[Any]) -> Any:
        async with by_hand.begin() as connection:
            return (await connection.exec_driver_sql(sql, tuple(parameters))).fetchall()

    async def change(sql: str, parameters: Sequence[Any]) -> int:
        async with by_hand.begin() as connection:
            return (await connection.exec_driver_sql(sql, tuple(parameters))).rowcount

    yield store, AsyncPeer(dialect, fetch, change)
    await engine.dispose()


@contextmanager
def open_sync(url: str, dialect: Dialect) -> Iterator[tuple[SyncSQLAlchemyStore, SyncPeer]]:
    engine = by_hand = create_engine(url)
    if dialect is SQLITE:
        event.listen(engine, "connect", wal)
    else:
        by_hand = engine.execution_options(isolation_level="AUTOCOMMIT")
    store = SyncSQLAlchemyStore(engine)
    store.create_schema()

    def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
        with by_hand.begin() as connection:
            return connection.exec_driver_sql(sql, tuple(parameters)).fetchall()

    def change(sql: str, parameters: Sequence[Any]) -> int:
        with by_hand.begin() as connection:
            return connection.exec_driver_sql(sql, tuple(parameters)).rowcount

    yield store, SyncPeer(dialect, fetch, change)
    engine.dispose()


def wal(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def opener(open_: Any, driver: str, dialect: Dialect) -> Any:
    return lambda url: open_(url.replace("://", f"+{driver}://", 1), dialect)


CASES = [
    Case("SQLAlchemy", "aiosqlite", "SQLite", opener(open_async, "aiosqlite", SQLITE)),
    Case("SQLAlchemy", "sqlite3", "SQLite", opener(open_sync, "pysqlite", SQLITE)),
    Case("SQLAlchemy", "asyncpg", "PostgreSQL", opener(open_async, "asyncpg", ASYNCPG)),
    Case("SQLAlchemy", "psycopg", "PostgreSQL", opener(open_sync, "psycopg", PSYCOPG)),
]
