"""The stores, and their hosts: a connection pool, or a connection of the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from notistore.errors import InvalidArgument, StoreError, Unsupported
from notistore.sql import (
    AsyncBoundHost,
    AsyncHost,
    BoundHost,
    BoundSQLStore,
    BoundSyncSQLStore,
    Dialect,
    Host,
    SQLStore,
    Statements,
    SyncSQLStore,
    Table,
    Work,
    statements_for,
)

__all__ = ["PsycopgStore", "SyncPsycopgStore", "open_store"]

T = TypeVar("T")

_DIALECT: Final = Dialect("postgresql", "%s", times_as_milliseconds=True)
_BEGIN: Final = "SELECT 1"  # psycopg sends BEGIN before it; without, `transaction()` would begin, and then commit


class SyncPsycopgStore(SyncSQLStore):
    """The contract without `async`, over a psycopg_pool.ConnectionPool. It has every optional part.

    Each call has its own transaction, retried after a deadlock or a serialization failure. The application closes the
    pool.

    Args:
        pool: with any settings. Without `check=ConnectionPool.check_connection` one call per idle connection fails
            after an outage. Behind PgBouncer in transaction mode, set `prepare_threshold=None`.
        table: the table to use.
    """

    def __init__(self, pool: ConnectionPool[Any], *, table: Table = Table()) -> None:  # noqa: B008
        if not isinstance(pool, ConnectionPool):
            raise InvalidArgument("pool", f"expected a psycopg_pool.ConnectionPool, got {pool!r}")
        self._statements = statements_for(table, _DIALECT)
        super().__init__(_Pool(pool, self._statements))

    def bind(self, session: object) -> BoundSyncSQLStore:
        """A store inside the transaction of a psycopg.Connection: it joins, and never commits.

        `after_commit` raises Unsupported, since psycopg does not report commits.
        """
        if not isinstance(session, Connection):
            raise InvalidArgument("session", f"expected a psycopg.Connection, got {session!r}")
        return BoundSyncSQLStore(_Bound(session, self._statements))


class PsycopgStore(SQLStore):
    """A NotificationStore over a psycopg_pool.AsyncConnectionPool; otherwise as `SyncPsycopgStore`."""

    def __init__(self, pool: AsyncConnectionPool[Any], *, table: Table = Table()) -> None:  # noqa: B008
        if not isinstance(pool, AsyncConnectionPool):
            raise InvalidArgument("pool", f"expected a psycopg_pool.AsyncConnectionPool, got {pool!r}")
        self._statements = statements_for(table, _DIALECT)
        super().__init__(_AsyncPool(pool, self._statements))

    def bind(self, session: object) -> BoundSQLStore:
        """As `SyncPsycopgStore.bind`, with a psycopg.AsyncConnection."""
        if not isinstance(session, AsyncConnection):
            raise InvalidArgument("session", f"expected a psycopg.AsyncConnection, got {session!r}")
        return BoundSQLStore(_AsyncBound(session, self._statements))


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[PsycopgStore]:
    """The entry point `psycopg` of the group `notistore.stores`: a store with its own pool and its table created.

    Args:
        url: as libpq has it: "postgresql://user@host/database".
    """
    check = AsyncConnectionPool.check_connection
    async with AsyncConnectionPool(url, min_size=1, max_size=10, check=check, open=False) as pool:
        store = PsycopgStore(pool)
        await store.create_schema()
        yield store


class _Sender:
    """A psycopg connection as a `notistore.sql.Connection`, independent of the application's cursor and row
    factories."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        return self._execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        return self._execute(sql, parameters).rowcount

    def _execute(self, sql: str, parameters: Sequence[Any]) -> Cursor[Any]:
        return Cursor(self._connection, row_factory=tuple_row).execute(sql, parameters)


class _AsyncSender:
    __slots__ = ("_connection",)

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        return await (await self._execute(sql, parameters)).fetchall()

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        return (await self._execute(sql, parameters)).rowcount

    async def _execute(self, sql: str, parameters: Sequence[Any]) -> AsyncCursor[Any]:
        return await AsyncCursor(self._connection, row_factory=tuple_row).execute(sql, parameters)


class _Pool(Host):
    """Runs each call on a connection of the pool, in autocommit mode."""

    def __init__(self, pool: ConnectionPool[Any], statements: Statements) -> None:
        self._pool = pool
        self._statements = statements

    def perform(self, work: Work[T], /) -> T:
        with self._pool.connection() as connection:
            if connection.autocommit:
                return self._perform(connection, work)
            connection.autocommit = True
            try:
                return self._perform(connection, work)
            finally:
                if connection.info.transaction_status == TransactionStatus.IDLE:
                    connection.autocommit = False

    def _perform(self, connection: Connection[Any], work: Work[T]) -> T:
        if not work.begin(self._statements):
            return work.run(_Sender(connection))
        with connection.transaction():
            return work.run(_Sender(connection))


class _AsyncPool(AsyncHost):
    def __init__(self, pool: AsyncConnectionPool[Any], statements: Statements) -> None:
        self._pool = pool
        self._statements = statements

    async def perform(self, work: Work[T], /) -> T:
        async with self._pool.connection() as connection:
            if connection.autocommit:
                return await self._perform(connection, work)
            await connection.set_autocommit(True)
            try:
                return await self._perform(connection, work)
            finally:
                if connection.info.transaction_status == TransactionStatus.IDLE:
                    await connection.set_autocommit(False)

    async def _perform(self, connection: AsyncConnection[Any], work: Work[T]) -> T:
        if not work.begin(self._statements):
            return await work.run_async(_AsyncSender(connection))
        async with connection.transaction():
            return await work.run_async(_AsyncSender(connection))


class _Bound(BoundHost):
    """Runs each call on the application's connection, in its transaction."""

    def __init__(self, connection: Connection[Any], statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def perform(self, work: Work[T]) -> T:
        savepoint = work.begin(self._statements, joined=True)
        idle = _is_idle(self._connection)
        if not savepoint:
            return work.run(_Sender(self._connection))
        if idle:
            self._connection.execute(_BEGIN)
        with self._connection.transaction():
            return work.run(_Sender(self._connection))

    def after_commit(self, callback: Callable[[], None]) -> None:
        raise Unsupported("psycopg does not tell when a transaction has committed; publish after it yourself")


class _AsyncBound(AsyncBoundHost):
    def __init__(self, connection: AsyncConnection[Any], statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    async def perform(self, work: Work[T]) -> T:
        savepoint = work.begin(self._statements, joined=True)
        idle = _is_idle(self._connection)
        if not savepoint:
            return await work.run_async(_AsyncSender(self._connection))
        if idle:
            await self._connection.execute(_BEGIN)
        async with self._connection.transaction():
            return await work.run_async(_AsyncSender(self._connection))

    def after_commit(self, callback: Callable[[], None]) -> None:
        raise Unsupported("psycopg does not tell when a transaction has committed; publish after it yourself")


def _is_idle(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Whether the application's transaction begins with the next statement.

    Raises:
        StoreError: none would begin, since the connection is in autocommit mode.
    """
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if idle and connection.autocommit:
        raise StoreError("there is no transaction to join: enter `with connection.transaction()` first")
    return idle
