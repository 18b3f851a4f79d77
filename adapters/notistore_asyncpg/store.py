"""AsyncpgStore, and its hosts: a connection pool, or a connection of the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]

from notistore.errors import InvalidArgument, StoreError
from notistore.sql import (
    AsyncBoundHost,
    AsyncHost,
    BoundSQLStore,
    Dialect,
    SQLStore,
    Statements,
    Table,
    TransactionCallbacks,
    Work,
    statements_for,
)
from notistore.sql.connection import AsyncpgConnection

__all__ = ["AsyncpgStore", "open_store"]

T = TypeVar("T")

_DIALECT: Final = Dialect("postgresql", "$")


class AsyncpgStore(SQLStore):
    """A NotificationStore over an asyncpg.Pool. It has every optional part of the contract.

    Each call has its own transaction, retried after a deadlock or a serialization failure. The application closes the
    pool.

    Args:
        pool: with any settings. Behind PgBouncer in transaction mode it needs `statement_cache_size=0`.
        table: the table to use.
    """

    def __init__(self, pool: asyncpg.Pool, *, table: Table = Table()) -> None:  # noqa: B008
        if not isinstance(pool, asyncpg.Pool):
            raise InvalidArgument("pool", f"expected an asyncpg.Pool, got {pool!r}")
        self._statements = statements_for(table, _DIALECT)
        super().__init__(_Pool(pool, self._statements))

    def bind(self, session: object) -> BoundSQLStore:
        """A store inside the open transaction of an asyncpg connection, which it never commits.

        `after_commit` raises StoreError before the first call of this store in the transaction; callbacks run in the
        tick of the event loop after the commit.
        """
        if not isinstance(session, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy):
            raise InvalidArgument("session", f"expected an asyncpg connection, got {session!r}")
        return BoundSQLStore(_Bound(session, self._statements))


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[AsyncpgStore]:
    """The entry point `asyncpg` of the group `notistore.stores`: a store with its own pool and its table created.

    Args:
        url: as libpq has it: "postgresql://user@host/database".
    """
    async with asyncpg.create_pool(url, min_size=1) as pool:
        store = AsyncpgStore(pool)
        await store.create_schema()
        yield store


class _Pool(AsyncHost):
    """Runs each call on a connection of the pool, in autocommit mode."""

    def __init__(self, pool: Any, statements: Statements) -> None:
        self._pool = pool
        self._statements = statements

    async def perform(self, work: Work[T]) -> T:
        async with self._pool.acquire() as connection:
            if not work.begin(self._statements):
                return await work.run_async(AsyncpgConnection(connection))
            async with connection.transaction():
                return await work.run_async(AsyncpgConnection(connection))


class _Bound(AsyncBoundHost):
    """Runs each call on the application's connection, in its transaction."""

    def __init__(self, connection: Any, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements
        self._callbacks = TransactionCallbacks()
        self._watching = False

    async def perform(self, work: Work[T], /) -> T:
        savepoint = work.begin(self._statements, joined=True)
        if not self._connection.is_in_transaction():
            raise StoreError("there is no transaction to join: enter `async with connection.transaction()` first")
        if not self._watching:
            self._watching = True
            self._connection.add_query_logger(self._watch)
        if not savepoint:
            return await work.run_async(AsyncpgConnection(self._connection))
        async with self._connection.transaction():
            return await work.run_async(AsyncpgConnection(self._connection))

    def after_commit(self, callback: Callable[[], None], /) -> None:
        if not self._watching or not self._connection.is_in_transaction():
            raise StoreError("no call of this store has joined a transaction yet: call after_commit() after one")
        # asyncpg reports statements in the next tick of the event loop, so this runs after those reports.
        asyncio.get_running_loop().call_soon(self._callbacks.add, callback)

    def _watch(self, query: Any) -> None:
        """asyncpg's query logger reports every statement, including those of its own transactions."""
        if isinstance(query.exception, asyncpg.PostgresError):
            self._callbacks.failed()
        elif query.exception is None and self._callbacks.executed(query.query):
            self._watching = False
            self._connection.remove_query_logger(self._watch)
