"""Statements and transactions on a connection of Tortoise: one class for each of its drivers.

Tortoise's own `execute_query` drops rows that an INSERT returns, and its `in_transaction()` is not safe when a call is
cancelled; so both are the driver's own here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

from tortoise.backends.base.client import BaseDBAsyncClient

from notistore.errors import InvalidArgument
from notistore.sql import AsyncConnection, Dialect

__all__ = ["Driver", "driver_of"]


class Driver(AsyncConnection):
    """A driver's connection as a `notistore.sql.AsyncConnection`."""

    dialect: ClassVar[Dialect]
    autocommit: ClassVar[bool] = True
    """Whether calls of one statement are sent without a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """A new transaction, rolled back on an error or a cancellation."""
        async with self._connection.transaction():
            yield


class Asyncpg(Driver):
    dialect = Dialect("postgresql", "$")

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(sql, *parameters)
        return rows

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        # "UPDATE 3", "INSERT 0 1", "CREATE TABLE"
        count = (await self._connection.execute(sql, *parameters)).rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0


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
    dialect = Dialect("postgresql", "%s", times_as_milliseconds=True)

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        return [row.values() for row in await super().fetch(sql, parameters)]


class MySQL(WithCursor):
    dialect = Dialect("mariadb", "%s")
    autocommit = False  # the server would finish and commit the statement of a cancelled call

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._connection.begin()
        try:
            yield
            await self._connection.commit()
        except Exception:
            await self._connection.rollback()
            raise
        # A call that is cancelled leaves its transaction open, and the pool then closes the connection.


class SQLite(Driver):
    dialect = Dialect("sqlite")

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.execute_fetchall(sql, parameters)
        return rows

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        before = self._connection.total_changes  # in place of `rowcount`, whose cursor would take two more turns
        await self._connection.execute_fetchall(sql, parameters)
        count: int = self._connection.total_changes - before
        return count

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            yield
            await self._connection.commit()
        except BaseException:
            await self._connection.rollback()  # waits for its turn in the connection's thread
            raise


_DRIVERS: Final[dict[tuple[str, bool], type[Driver]]] = {
    ("postgres", False): Asyncpg,
    ("postgres", True): Psycopg,
    ("mysql", False): MySQL,
    ("sqlite", False): SQLite,
}


def driver_of(client: BaseDBAsyncClient) -> type[Driver]:
    """The driver below a client of Tortoise's, or of one of its transactions."""
    psycopg = "psycopg" in type(client).query_class.__module__
    dialect = getattr(getattr(client, "capabilities", None), "dialect", None)
    if (driver := _DRIVERS.get((str(dialect), psycopg))) is None:
        raise InvalidArgument("connection", f"expected SQLite, PostgreSQL or MariaDB, got {dialect}")
    return driver
