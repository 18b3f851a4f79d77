"""The hosts: calls run on a connection of an engine, or on that of the application's session or transaction.

The asynchronous hosts run the same blocking code by SQLAlchemy's `run_sync` (greenlets).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

__all__ = ["AsyncBoundHost", "AsyncEngineHost", "BoundHost", "EngineHost", "StatementsOf"]

T = TypeVar("T")

_PLACEHOLDERS: Final = {"qmark": "?", "numeric_dollar": "$", "format": "%s", "pyformat": "%s"}


class EngineHost:
    """Runs each call on a connection of the engine, in its own transaction."""

    def __init__(self, engine: Engine, statements: StatementsOf) -> None:
        self._engine = engine
        # PostgreSQL's drivers switch to autocommit without a round trip, and save two: BEGIN and COMMIT.
        self._autocommit = engine.dialect.name == "postgresql"
        self._statements = statements

    def perform(self, work: Work[T]) -> T:
        with self._engine.connect() as connection:
            return self.run(connection, work)

    def run(self, connection: Connection, work: Work[T]) -> T:
        """Make one attempt on a connection of the engine."""
        if not self._autocommit:  # MySQL and MariaDB are distinguished once connected
            work.begin(self._statements(connection), autocommit=False)
        elif not work.begin(self._statements(connection)):
            # Not an option of the engine: a task cancelled while `connect` sets it would leave the connection behind.
            connection.execution_options(isolation_level="AUTOCOMMIT")
        commits = work.uncommitted
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

    def cause(self, error: Exception) -> BaseException:
        return driver_error(error)


class AsyncEngineHost:
    """The same for an AsyncEngine."""

    def __init__(self, engine: AsyncEngine, statements: StatementsOf) -> None:
        self._engine = engine
        self._host = EngineHost(engine.sync_engine, statements)
        self.cause = self._host.cause

    async def perform(self, work: Work[T]) -> T:
        if self._engine.dialect.name != "sqlite":
            return await self._perform(work)
        # SQLAlchemy closes the connection of a cancelled statement, which keeps its locks while its thread executes the
        # statement and while something refers to its cursors. So the call ends first, and is cancelled after that.
        return await finished(self._perform(work))

    async def _perform(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(self._host.run, work)


class BoundHost:
    """Runs each call on the connection of the application's session, in its transaction."""

    def __init__(self, session: Session | Connection, statements: StatementsOf) -> None:
        self._session = session
        self._statements = statements

    def perform(self, work: Work[T]) -> T:
        connection = self.connection()
        if not work.begin(self._statements(connection), joined=True):
            return work.run(_Sender(connection))
        if connection.dialect.name == "sqlite":
            _begin_in_sqlite(connection)
        with connection.begin_nested():
            return work.run(_Sender(connection))

    def connection(self) -> Connection:
        """The session's own, for this table where it has several databases; unlike `execute` this flushes nothing."""
        if isinstance(self._session, Connection):
            return self._session
        return self._session.connection(bind_arguments={"clause": self._statements.table})

    def cause(self, error: Exception) -> BaseException:
        return driver_error(error)

    def after_commit(self, callback: Callable[[], None]) -> None:
        after_commit(self.connection(), callback)


class AsyncBoundHost:
    """The same for an AsyncSession or AsyncConnection."""

    def __init__(self, session: AsyncSession | AsyncConnection, statements: StatementsOf) -> None:
        self._session = session
        self._statements = statements
        self._joined: Connection | None = None

    async def perform(self, work: Work[T]) -> T:
        def run(session: Session | Connection) -> T:
            host = BoundHost(session, self._statements)
            self._joined = host.connection()
            return host.perform(work)

        if isinstance(self._session, AsyncSession):
            return await self._session.run_sync(run)
        return await self._session.run_sync(run)

    def cause(self, error: Exception) -> BaseException:
        return driver_error(error)

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


class StatementsOf:
    """The statements for a table, by the dialect and the options of a connection or an engine."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._known: dict[tuple[str, bool, str, str | None], Statements] = {}

    def __call__(self, bind: Connection | Engine) -> Statements:
        dialect, schema = bind.dialect, self.table.schema
        if translated := bind.get_execution_options().get("schema_translate_map"):
            schema = translated.get(schema, schema)
        key = (dialect.name, bool(getattr(dialect, "is_mariadb", False)), dialect.driver, schema)
        if (known := self._known.get(key)) is None:
            known = self._known[key] = statements_for(sql.Table(self.table.name, schema), _dialect(bind))
        return known


def _dialect(bind: Connection | Engine) -> sql.Dialect:
    dialect = bind.dialect
    name = dialect.name
    if name in MYSQL:
        name = "mariadb" if getattr(dialect, "is_mariadb", False) else "mysql"
    return sql.Dialect(
        name,  # type: ignore[arg-type]  # which names there are is checked by Dialect
        _PLACEHOLDERS[dialect.paramstyle],  # type: ignore[arg-type]
        times_as_milliseconds=name == "postgresql" and dialect.driver != "asyncpg",
    )


def driver_error(error: Exception) -> BaseException:
    """The driver's error. SQLAlchemy's error contains the parameters, users' data that must not be logged."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return error
    # The errors of SQLAlchemy's asyncpg dialect lack the detail.
    return error.orig.__cause__ or error.orig


def _begin_in_sqlite(connection: Connection) -> None:
    """Begin the transaction that Python's sqlite3 puts off until the first write: releasing a savepoint, it commits."""
    if not connection.in_transaction():
        connection.begin()  # the engine's own event may have sqlite3 begin here
    if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("BEGIN IMMEDIATE")
