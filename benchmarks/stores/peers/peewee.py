"""Peewee's `execute_sql`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from peewee import SqliteDatabase
from playhouse.pool import PooledPostgresqlDatabase
from playhouse.pwasyncio import AsyncPostgresqlDatabase, AsyncSqliteDatabase

from notistore_peewee import PeeweeStore, SyncPeeweeStore

from . import POSTGRESQL, PSYCOPG, SQLITE, AsyncPeer, Case, Rows, SyncPeer

PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}


@contextmanager
def open_sync(url: str) -> Iterator[tuple[SyncPeeweeStore, SyncPeer]]:
    sqlite = url.startswith("sqlite")
    database = (
        SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=PRAGMAS) if sqlite else PooledPostgresqlDatabase(url)
    )
    database.connect()
    store = SyncPeeweeStore(database)
    store.create_schema()

    def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
        found: Rows = database.execute_sql(sql, parameters).fetchall()
        return found

    def change(sql: str, parameters: Sequence[Any]) -> int:
        changed: int = database.execute_sql(sql, parameters).rowcount
        return changed

    yield store, SyncPeer(SQLITE if sqlite else PSYCOPG, fetch, change)
    database.close()
    if not sqlite:
        database.close_all()


@asynccontextmanager
async def open_async(url: str) -> AsyncIterator[tuple[PeeweeStore, AsyncPeer]]:
    """Each call takes a connection and gives it back, as the store's do in a task that has none."""
    sqlite = url.startswith("sqlite")
    if sqlite:
        database: Any = AsyncSqliteDatabase(url.removeprefix("sqlite:///"), pragmas=PRAGMAS)
    else:
        database = AsyncPostgresqlDatabase(url)
    store = PeeweeStore(database)
    await store.create_schema()

    async def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
        async with database:
            found: Rows = (await database.aexecute_sql(sql, parameters)).fetchall()
            return found

    async def change(sql: str, parameters: Sequence[Any]) -> int:
        async with database:
            changed: int = (await database.aexecute_sql(sql, parameters)).rowcount
            return changed

    yield store, AsyncPeer(SQLITE if sqlite else POSTGRESQL, fetch, change)
    await database.close_pool()


CASES = [
    Case("Peewee", "sqlite3", "SQLite", open_sync),
    Case("Peewee", "aiosqlite", "SQLite", open_async),
    Case("Peewee", "psycopg", "PostgreSQL", open_sync),
    Case("Peewee", "asyncpg", "PostgreSQL", open_async),
]
