"""The hosts: calls run on a connection of an engine, or on that of the application's session or transaction.

The asynchronous hosts run the same blocking code by SQLAlchemy's `run_sync` (greenlets).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from notistore import sql
from notistore.errors import StoreError
from notistore.sql import Statements, Work, statements_for
from notistore.sql.cancellation import finished

from .after_commit import after_commit
from .schema import MYSQL

__all__ = ["AsyncBoundHost", "AsyncEngineHost", "BoundHost", "EngineHost"]

T = TypeVar("T")

_PLACEHOLDERS: Final[dict[str, Any]] = {"qmark": "?", "numeric_dollar": "$", "format": "%s", "pyformat": "%s"}


class _Host:
    def cause(self, error: Exception) -> BaseException:
        """The driver's error. SQLAlchemy's error contains the parameters, users' data that must not be logged."""
        if not isinstance(error, DBAPIError) or error.orig is None:
            return error
        # The errors of SQLAlchemy's asyncpg dialect lack the detail.
        return error.orig.__cause__ or error.orig


class EngineHost(_Host):
    """Runs each call on a connection of the engine, in its own transaction."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        # PostgreSQL's drivers switch to autocommit without a round trip, and save two: BEGIN and COMMIT.
        self._autocommit = engine.dialect.name == "postgresql"
        self._table = table

    def perform(self, work: Work[T]) -> T:
        with self._engine.connect() as connection:
            return self.run(connection, work)

    def run(self, connection: Connection, work: Work[T]) -> T:
        """Make one attempt on a connection of the engine."""
        commits = work.begin(_statements_of(self._table, connection), autocommit=self._autocommit)
        if self._autocommit and not commits:
            # Not an option of the engine: a task cancelled while `connect` sets it would leave the connection behind.
            connection.execution_options(isolation_level="AUTOCOMMIT")
        result = work.run(_Sender(connection))
        if commits:
            try:
                connection.commit()
            except DBAPIError as error:
                if not error.connection_invalidated:
                    # On SQLite a transaction remains open after a failed COMMIT, and SQLAlchemy would return the
                    # connection to the pool.
                    connection.connection.rollback()
                raise
        return result


class AsyncEngineHost(_Host):
    """The same for an AsyncEngine."""

    def __init__(self, engine: AsyncEngine, table: Table) -> None:
        self._engine = engine
        self._host = EngineHost(engine.sync_engine, table)

    async def perform(self, work: Work[T]) -> T:
        call = self._perform(work)
        # SQLAlchemy closes the connection of a cancelled statement, which keeps its locks while its thread executes the
        # statement and while something refers to its cursors. So there the call ends before it is cancelled.
        return await (finished(call) if self._engine.dialect.name == "sqlite" else call)

    async def _perform(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(self._host.run, work)


class BoundHost(_Host):
    """Runs each call on the connection of the application's session, in its transaction."""

    def __init__(self, session: Session | Connection, table: Table) -> None:
        self._session = session
        self._table = table

    def perform(self, work: Work[T]) -> T:
        connection = self.connection()
        if not work.begin(_statements_of(self._table, connection), joined=True):
            return work.run(_Sender(connection))
        if connection.dialect.name == "sqlite":
            _begin_in_sqlite(connection)
        with connection.begin_nested():
            return work.run(_Sender(connection))

    def connection(self) -> Connection:
        """The session's own, for this table where it has several databases; unlike `execute` this flushes nothing."""
        if isinstance(self._session, Connection):
            return self._session
        return self._session.connection(bind_arguments={"clause": self._table})

    def after_commit(self, callback: Callable[[], None]) -> None:
        after_commit(self.connection(), callback)


class AsyncBoundHost(_Host):
    """The same for an AsyncSession or AsyncConnection."""

    def __init__(self, session: AsyncSession | AsyncConnection, table: Table) -> None:
        self._run_sync: Any = session.run_sync
        self._table = table
        self._joined: Connection | None = None

    async def perform(self, work: Work[T]) -> T:
        def run(session: Session | Connection) -> T:
            self._joined = BoundHost(session, self._table).connection()
            return BoundHost(self._joined, self._table).perform(work)

        result: T = await self._run_sync(run)
        return result

    def after_commit(self, callback: Callable[[], None]) -> None:
        if self._joined is None or not self._joined.in_transaction():
            raise StoreError("no call of this store has joined a transaction yet: call after_commit() after one")
        after_commit(self._joined, callback)


class _Sender:
    """A SQLAlchemy connection as a `notistore.sql.Connection`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, statement: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        return self._connection.exec_driver_sql(statement, tuple(parameters)).fetchall()

    def change(self, statement: str, parameters: Sequence[Any], /) -> int:
        return self._connection.exec_driver_sql(statement, tuple(parameters)).rowcount


def _statements_of(table: Table, connection: Connection) -> Statements:
    """The statements for a table, by the dialect and the options of a connection. MySQL and MariaDB are distinguished
    once connected."""
    dialect, schema = connection.dialect, table.schema
    if translated := connection.get_execution_options().get("schema_translate_map"):
        schema = translated.get(schema, schema)
    mariadb = getattr(dialect, "is_mariadb", False)
    return _statements(table.name, schema, dialect.name, mariadb, dialect.driver, dialect.paramstyle)


@cache
def _statements(table: str, schema: str | None, name: Any, mariadb: bool, driver: str, paramstyle: str) -> Statements:
    if name in MYSQL:
        name = "mariadb" if mariadb else "mysql"
    milliseconds = name == "postgresql" and driver != "asyncpg"
    dialect = sql.Dialect(name, _PLACEHOLDERS[paramstyle], times_as_milliseconds=milliseconds)
    return statements_for(sql.Table(table, schema), dialect)


def _begin_in_sqlite(connection: Connection) -> None:
    """Begin the transaction that Python's sqlite3 puts off until the first write: releasing a savepoint, it commits."""
    if not connection.in_transaction():
        connection.begin()  # the engine's own event may have sqlite3 begin here
    if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("BEGIN IMMEDIATE")
