"""The stores, and their hosts: a connection pool, or a connection of the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final, TypeVar

from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from notistore.errors import InvalidArgument, StoreError
from notistore.sql import (
    AsyncBoundHost,
    AsyncHost,
    BoundHost,
    BoundSQLStore,
    BoundSyncSQLStore,
    CursorConnection,
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
_NO_BLOCK: Final = nullcontext()


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


class _Cursor(Cursor[Any], CursorConnection):
    """A psycopg cursor as a `notistore.sql.Connection`."""


class _AsyncCursor(AsyncCursor[Any]):
    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        await self.execute(sql, parameters)
        return await self.fetchall()

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        await self.execute(sql, parameters)
        return self.rowcount


class _Pool(Host):
    """Runs each call on a connection of the pool, in autocommit mode."""

    def __init__(self, pool: ConnectionPool[Any], statements: Statements) -> None:
        self._pool = pool
        self._statements = statements

    def perform(self, work: Work[T], /) -> T:
        with self._pool.connection() as connection:
            if switched := not connection.autocommit:
                connection.autocommit = True
            try:
                with connection.transaction() if work.begin(self._statements) else _NO_BLOCK:
                    return work.run(_Cursor(connection, row_factory=tuple_row))
            finally:
                if switched and connection.info.transaction_status == TransactionStatus.IDLE:
                    connection.autocommit = False


class _AsyncPool(AsyncHost):
    def __init__(self, pool: AsyncConnectionPool[Any], statements: Statements) -> None:
        self._pool = pool
        self._statements = statements

    async def perform(self, work: Work[T], /) -> T:
        async with self._pool.connection() as connection:
            if switched := not connection.autocommit:
                await connection.set_autocommit(True)
            try:
                async with connection.transaction() if work.begin(self._statements) else _NO_BLOCK:
                    return await work.run_async(_AsyncCursor(connection, row_factory=tuple_row))
            finally:
                if switched and connection.info.transaction_status == TransactionStatus.IDLE:
                    await connection.set_autocommit(False)


class _Bound(BoundHost):
    """Runs each call on the application's connection, in its transaction."""

    def __init__(self, connection: Connection[Any], statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    def perform(self, work: Work[T], /) -> T:
        idle = _is_idle(self._connection)
        cursor = _Cursor(self._connection, row_factory=tuple_row)
        if not work.begin(self._statements, joined=True):
            return work.run(cursor)
        if idle:
            cursor.execute(_BEGIN)
        with self._connection.transaction():
            return work.run(cursor)


class _AsyncBound(AsyncBoundHost):
    def __init__(self, connection: AsyncConnection[Any], statements: Statements) -> None:
        self._connection = connection
        self._statements = statements

    async def perform(self, work: Work[T], /) -> T:
        idle = _is_idle(self._connection)
        cursor = _AsyncCursor(self._connection, row_factory=tuple_row)
        if not work.begin(self._statements, joined=True):
            return await work.run_async(cursor)
        if idle:
            await cursor.execute(_BEGIN)
        async with self._connection.transaction():
            return await work.run_async(cursor)


def _is_idle(connection: Connection[Any] | AsyncConnection[Any]) -> bool:
    """Whether the application's transaction begins with the next statement.

    Raises:
        StoreError: none would begin, since the connection is in autocommit mode.
    """
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if idle and connection.autocommit:
        raise StoreError("there is no transaction to join: enter `with connection.transaction()` first")
    return idle
