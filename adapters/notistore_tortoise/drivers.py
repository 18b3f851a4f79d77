"""Statements and transactions on a connection of Tortoise: one class for each of its drivers.

Tortoise's own `execute_query` drops rows that an INSERT returns, and its `in_transaction()` is not safe when a call is
cancelled; so both are the driver's own here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, ClassVar, Final

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.context import require_context
from tortoise.exceptions import ConfigurationError

from notistore.errors import InvalidArgument, StoreError
from notistore.sql import AsyncConnection, Dialect, Statements, Table, statements_for
from notistore.sql.cancellation import acquired, in_background
from notistore.sql.connection import AsyncpgConnection

__all__ = ["Driver", "driver_of"]

_LOCK_TIMEOUT: Final = 5.0  # seconds, as SQLite's own busy timeout


class Driver(AsyncConnection):
    """A driver's connection as a `notistore.sql.AsyncConnection`."""

    statements: ClassVar[Statements]
    autocommit: ClassVar[bool] = True
    """Whether calls of one statement are sent without a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    def lent(cls, client: Any) -> AbstractAsyncContextManager[Any]:
        """A connection for a call that is in no transaction."""
        return client.acquire_connection()  # type: ignore[no-any-return]

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A new transaction, rolled back on an error or a cancellation."""
        return self._connection.transaction()  # type: ignore[no-any-return]


class Asyncpg(AsyncpgConnection, Driver):
    statements = statements_for(Table(), Dialect("postgresql", "$"))


class WithCursor(Driver):
    """A connection whose statements are sent by a cursor."""

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, parameters)
            rows: Sequence[Any] = await cursor.fetchall()
            return rows

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        async with self._connection.cursor() as cursor:
            await cursor.execute(sql, parameters)
            count: int = cursor.rowcount
            return count


class Psycopg(WithCursor):
    # psycopg reads times by the session's zone and DateStyle.
    statements = statements_for(Table(), Dialect("postgresql", "%s", times_as_milliseconds=True))

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        return [row.values() for row in await super().fetch(sql, parameters)]

    @classmethod
    @asynccontextmanager
    async def lent(cls, client: Any) -> AsyncIterator[Any]:
        # psycopg's pool loses a connection that it is checking, or taking back, when the call is cancelled.
        lent = client.acquire_connection()
        connection = await acquired(lent.__aenter__(), lambda _: lent.__aexit__(None, None, None))
        try:
            yield connection
        finally:
            await asyncio.shield(in_background(lent.__aexit__(None, None, None)))


class ByHand(Driver):
    """A connection whose driver has no block for a transaction."""

    begin: ClassVar[str] = "BEGIN"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self.change(self.begin, ())
        try:
            yield
            await self._connection.commit()
        except Exception:
            await self._connection.rollback()
            raise
        # That of a cancelled call stays open: `SQLite.lent` rolls it back, and the pool of MySQL closes the connection.


class MySQL(ByHand, WithCursor):
    statements = statements_for(Table(), Dialect("mariadb", "%s"))
    autocommit = False  # the server would finish and commit the statement of a cancelled call


class SQLite(ByHand):
    statements = statements_for(Table(), Dialect("sqlite"))
    begin = "BEGIN IMMEDIATE"

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.execute_fetchall(sql, parameters)
        return rows

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        before = self._connection.total_changes  # in place of `rowcount`, whose cursor would take two more turns
        await self.fetch(sql, parameters)
        count: int = self._connection.total_changes - before
        return count

    @classmethod
    @asynccontextmanager
    async def lent(cls, client: Any) -> AsyncIterator[Any]:
        # There is one connection, with a lock. A block of the application's keeps the lock until it is left, also when
        # its transaction has been committed before: a call inside would wait for ever.
        try:
            async with asyncio.timeout(_LOCK_TIMEOUT if _in_ended_block(client) else None):
                await client._lock.acquire()
        except TimeoutError:
            raise StoreError(
                f"the connection was in use for {_LOCK_TIMEOUT} s: leave the in_transaction() block whose transaction "
                "was committed or rolled back by hand before calling the store"
            ) from None
        try:
            if client._connection is None:
                # Here and not by Tortoise, which never releases its lock when that fails or is cancelled.
                await client.create_connection(with_db=True)
            try:
                yield client._connection
            except asyncio.CancelledError:
                # A statement that waits for the file goes on in the connection's thread, and would commit later.
                await client._connection.interrupt()
                await client._connection.rollback()  # waits for its turn there
                raise
        finally:
            client._lock.release()


_DRIVERS: Final[dict[str, type[Driver]]] = {
    "PostgreSQLQuery": Asyncpg,
    "PsycopgSQLQuery": Psycopg,
    "MySQLQuery": MySQL,
    "SQLLiteQuery": SQLite,
}


def driver_of(client: BaseDBAsyncClient) -> type[Driver]:
    """The driver below a client of Tortoise's, or of one of its transactions."""
    if (driver := _DRIVERS.get(client.query_class.__name__)) is None:
        raise InvalidArgument("connection", f"expected SQLite, PostgreSQL or MariaDB, got {client!r}")
    return driver


def _in_ended_block(client: BaseDBAsyncClient) -> bool:
    with suppress(RuntimeError, ConfigurationError):
        return require_context().connections.get(client.connection_name) is not client
    return False
