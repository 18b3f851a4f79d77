"""The hosts: calls run on the open connection of this thread or task, or on one that is closed after the call.

Peewee's connections and transactions are local to a thread, or to a task with an asynchronous database. This code is
synchronous; for an asynchronous database it runs in `database.run` (greenlets).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from peewee import MySQLDatabase, PeeweeException, SqliteDatabase

from notistore.errors import StoreError
from notistore.sql import Statements, Table, Work, statements_for
from notistore.sql.cancellation import acquired

from .after_commit import after_commit
from .model import dialect_of, is_async

__all__ = ["AsyncPeeweeHost", "PeeweeHost"]

T = TypeVar("T")

_log = logging.getLogger("notistore")


class PeeweeHost:
    """Performs each call in the transaction that is open where it is called, or else by itself.

    Args:
        model: what `notification_model` made, bound to its database.
        bound: whether a call is to be refused where no transaction is open to join.
    """

    def __init__(self, model: Any, *, bound: bool = False) -> None:
        self.database = model._meta.database
        self._table = Table(model._meta.table_name, model._meta.schema)
        self._bound = bound
        self._is_async = is_async(self.database)
        # MySQL and MariaDB would finish and commit the statement of a cancelled call.
        self._autocommit = not (self._is_async and isinstance(self.database, MySQLDatabase))
        self._begin = ("IMMEDIATE",) if isinstance(self.database, SqliteDatabase) else ()
        self._known: Statements | None = None

    def perform(self, work: Work[T]) -> T:
        database = self.database
        if database.in_transaction():
            if not work.begin(self._statements(), joined=True):
                return work.run(self)
            with database.savepoint():
                return work.run(self)
        if self._bound:
            raise StoreError("there is no transaction to join: expected to be called inside `database.atomic()`")
        if not self._is_async and not database.is_closed():  # which is open on this thread, and stays so
            return self._perform_alone(work)
        with _connected(database):
            return self._perform_alone(work)

    def _perform_alone(self, work: Work[T]) -> T:
        if not work.begin(self._statements(), autocommit=self._autocommit):
            return work.run(self)
        with self.database.atomic(*self._begin):
            return work.run(self)

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = self.database.execute_sql(sql, parameters).fetchall()
        return rows

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        count: int = self.database.execute_sql(sql, parameters).rowcount
        return count

    def cause(self, error: Exception) -> BaseException:
        original: Exception | None = getattr(error, "orig", None) if isinstance(error, PeeweeException) else None
        return original or error

    def after_commit(self, callback: Callable[[], None]) -> None:
        after_commit(self.database, callback)

    def _statements(self) -> Statements:
        if self._known is None:  # MySQL and MariaDB are distinguished once connected
            self._known = statements_for(self._table, dialect_of(self.database))
        return self._known


class AsyncPeeweeHost:
    """The same across Peewee's bridge."""

    def __init__(self, host: PeeweeHost) -> None:
        self._host = host
        self.cause = host.cause
        self.after_commit = host.after_commit

    async def perform(self, work: Work[T]) -> T:
        task = asyncio.current_task()
        cancelled = 0 if task is None else task.cancelling()
        try:
            result: T = await self._host.database.run(self._host.perform, work)
            return result
        except Exception:
            # aiomysql raises an error when a cancelled call rolls back, which would hide the cancellation.
            if task is not None and task.cancelling() > cancelled:
                raise asyncio.CancelledError from None
            raise


@contextmanager
def _connected(database: Any) -> Iterator[None]:
    opened = database.is_closed()
    if opened and is_async(database):
        from playhouse.pwasyncio import await_  # type: ignore[import-untyped]

        # `aconnect` loses a connection that the pool hands to a task cancelled meanwhile.
        connection = await_(acquired(database._acquire_conn_async(), database._release_conn))
        database._state.set_connection(connection)
    elif opened or is_async(database):  # an asynchronous one replaces a connection that broke
        database.connect()
    try:
        yield
    except asyncio.CancelledError:
        if isinstance(database, SqliteDatabase):
            _finish_cancelled(database)
        raise
    finally:
        if opened:
            _close(database)


def _finish_cancelled(database: Any) -> None:
    """A cancelled statement continues in aiosqlite's thread. Wait for it, and roll back its transaction."""
    database.execute_sql("SELECT 1")
    if database.connection().conn.in_transaction:
        database.execute_sql("ROLLBACK")


def _close(database: Any) -> None:
    try:
        database.close()
    except Exception:
        _log.warning("closing a connection failed; its transactions are not affected", exc_info=True)
