"""The stores without an ORM, on a connection or a pool of the driver's own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from typing import Any

import asyncpg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from notistore_asyncpg import AsyncpgStore
from notistore_psycopg import PsycopgStore, SyncPsycopgStore
from notistore_sqlite import SyncSQLiteStore

from . import ASYNCPG, PSYCOPG, SQLITE, AsyncPeer, Case, Rows, SyncPeer


@contextmanager
def open_sqlite(url: str) -> Iterator[tuple[SyncSQLiteStore, SyncPeer]]:
    path = url.removeprefix("sqlite:///")
    with (
        closing(SyncSQLiteStore(path)) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
    ):
        store.create_schema()
        connection.execute("PRAGMA synchronous = NORMAL")

        def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
            return connection.execute(sql, parameters).fetchall()

        def change(sql: str, parameters: Sequence[Any]) -> int:
            return connection.execute(sql, parameters).rowcount

        yield store, SyncPeer(SQLITE, fetch, change)


@asynccontextmanager
async def open_asyncpg(url: str) -> AsyncIterator[tuple[AsyncpgStore, AsyncPeer]]:
    async with asyncpg.create_pool(url, min_size=1) as pool:
        store = AsyncpgStore(pool)
        await store.create_schema()

        async def fetch(sql: str, parameters: Sequence[Any]) -> Any:
            async with pool.acquire() as connection:
                return await connection.fetch(sql, *parameters)

        async def change(sql: str, parameters: Sequence[Any]) -> int:
            async with pool.acquire() as connection:
                return int((await connection.execute(sql, *parameters)).rpartition(" ")[2])

        yield store, AsyncPeer(ASYNCPG, fetch, change)


@contextmanager
def open_psycopg(url: str) -> Iterator[tuple[SyncPsycopgStore, SyncPeer]]:
    with ConnectionPool(url, min_size=1, kwargs={"autocommit": True}) as pool:
        store = SyncPsycopgStore(pool)
        store.create_schema()

        def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
            with pool.connection() as connection:
                return connection.execute(sql, parameters).fetchall()

        def change(sql: str, parameters: Sequence[Any]) -> int:
            with pool.connection() as connection:
                return connection.execute(sql, parameters).rowcount

        yield store, SyncPeer(PSYCOPG, fetch, change)


@asynccontextmanager
async def open_async_psycopg(url: str) -> AsyncIterator[tuple[PsycopgStore, AsyncPeer]]:
    async with AsyncConnectionPool(url, min_size=1, kwargs={"autocommit": True}, open=False) as pool:
        store = PsycopgStore(pool)
        await store.create_schema()

        async def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
            async with pool.connection() as connection:
                return await (await connection.execute(sql, parameters)).fetchall()

        async def change(sql: str, parameters: Sequence[Any]) -> int:
            async with pool.connection() as connection:
                return (await connection.execute(sql, parameters)).rowcount

        yield store, AsyncPeer(PSYCOPG, fetch, change)


CASES = [
    Case("no ORM", "sqlite3", "SQLite", open_sqlite),
    Case("no ORM", "asyncpg", "PostgreSQL", open_asyncpg),
    Case("no ORM", "psycopg", "PostgreSQL", open_psycopg),
    Case("no ORM", "psycopg, async", "PostgreSQL", open_async_psycopg),
]
