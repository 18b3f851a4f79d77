"""A store over an ORM that notistore does not ship: Piccolo on PostgreSQL. It CONFORMS.

`notistore.sql` has the statements and the calls. What is left for an adapter is here: how a statement is sent on the
ORM's connection, whose transaction a call joins, and what the driver's own error is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from piccolo.engine.postgres import PostgresEngine

from notistore.errors import InvalidArgument, StoreError, Unsupported
from notistore.sql import AsyncHost, BoundSQLStore, Dialect, SQLStore, Table, Work, statements_for

T = TypeVar("T")

STATEMENTS: Final = statements_for(Table(), Dialect("postgresql", "$"))


class PiccoloStore(SQLStore):
    """A NotificationStore over a PostgresEngine of Piccolo, whose connection pool is started.

    Inside `async with engine.transaction()` a call of the same task joins; outside it is a transaction of its own.
    """

    def __init__(self, engine: PostgresEngine) -> None:
        self.engine = engine
        super().__init__(PiccoloHost(engine))

    def bind(self, session: object = None) -> BoundSQLStore:
        """A store that refuses to work outside of a transaction of this engine."""
        if session is not None and getattr(session, "engine", None) is not self.engine:
            raise InvalidArgument("session", f"expected None or what `engine.transaction()` gives, got {session!r}")
        return BoundSQLStore(BoundPiccoloHost(self.engine))


class PiccoloHost(AsyncHost):
    """Performs each call in the transaction that the task is in, or on a connection of the pool."""

    def __init__(self, engine: PostgresEngine) -> None:
        self.engine = engine

    async def perform(self, work: Work[T]) -> T:
        transaction = self.engine.current_transaction.get()
        if transaction is None:
            return await self.perform_alone(work)
        needs_savepoint = work.begin(STATEMENTS, joined=True)
        connection = PiccoloConnection(transaction.connection)
        if not needs_savepoint:
            return await work.run_async(connection)
        async with transaction.connection.transaction():
            return await work.run_async(connection)

    async def perform_alone(self, work: Work[T]) -> T:
        if self.engine.pool is None:
            raise StoreError("Piccolo has no connection pool: call `await engine.start_connection_pool()` first")
        async with self.engine.pool.acquire() as connection:
            if not work.begin(STATEMENTS):
                return await work.run_async(PiccoloConnection(connection))
            async with connection.transaction():
                return await work.run_async(PiccoloConnection(connection))


class BoundPiccoloHost(PiccoloHost):
    """Performs each call in the transaction that the task is in."""

    async def perform_alone(self, work: Work[T]) -> T:
        raise StoreError("there is no transaction to join: enter `async with engine.transaction()` first")

    def after_commit(self, callback: Callable[[], None]) -> None:
        raise Unsupported("Piccolo does not tell when a transaction has committed; publish after it yourself")


class PiccoloConnection:
    """The connection of asyncpg that is below Piccolo's engine, as the calls use it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = await self.connection.fetch(sql, *parameters)
        return rows

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        count = (await self.connection.execute(sql, *parameters)).rpartition(" ")[2]  # "UPDATE 3", "INSERT 0 1"
        return int(count) if count.isdecimal() else 0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PiccoloStore]:
    """A store on an engine of its own, with its table."""
    engine = PostgresEngine(config={"dsn": url}, log_queries=False)
    await engine.start_connection_pool()
    try:
        store = PiccoloStore(engine)
        await store.create_schema()
        yield store
    finally:
        await engine.close_connection_pool()
