"""The hosts: calls run on Django's connection for this thread and alias, inside its open transaction.

The asynchronous host runs the same code in Django's thread for synchronous code (`sync_to_async`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.sql import CursorConnection, Dialect, Statements, Table, Work, statements_for
from notistore.sql.dialect import DialectName

from .after_commit import Hook
from .fields import dialect_name

__all__ = ["AsyncDjangoHost", "DjangoHost"]

T = TypeVar("T")

_in_thread: Final = sync_to_async(operator.call)
_last_call: Final[ContextVar[Hook | None]] = ContextVar("notistore_django_last_call", default=None)


class DjangoHost:
    """Runs each call inside the `atomic()` block or the transaction open on this thread, or in autocommit mode."""

    def __init__(self, using: str) -> None:
        self.using = using

    def perform(self, work: Work[T]) -> T:
        connection = self._connection()
        # With autocommit off the application's transaction is open although there is no block.
        joined = connection.in_atomic_block or not connection.autocommit
        try:
            if not work.begin(_statements(dialect_name(connection)), joined=joined):
                return work.run(_Sender(connection))
            with transaction.atomic(self.using):
                return work.run(_Sender(connection))
        except Error:
            broken = not joined and connection.connection is not None and connection.errors_occurred
            if broken and not connection.is_usable():
                connection.close()  # so that the next call opens another
            raise

    def cause(self, error: Exception) -> BaseException:
        return error.__cause__ or error if isinstance(error, Error) else error

    def after_commit(self, callback: Callable[[], None]) -> None:
        Hook(self._connection()).after_commit(callback)

    def _connection(self) -> BaseDatabaseWrapper:
        connection = connections[self.using]
        if connection.connection is None and not connection.in_atomic_block:
            connection.ensure_connection()
        return connection


class AsyncDjangoHost:
    """An asynchronous `DjangoHost`."""

    def __init__(self, using: str) -> None:
        self._host = DjangoHost(using)
        self.cause = self._host.cause

    async def perform(self, work: Work[T]) -> T:
        return await _in_thread(self._perform, work)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the transaction of this task's last call has committed; at once if it was in none."""
        hook = _last_call.get()
        if hook is None or hook.connection.alias != self._host.using:
            callback()
        else:
            hook.after_commit(callback)

    def _perform(self, work: Work[T]) -> T:
        result = self._host.perform(work)
        if work.writes:
            _last_call.set(Hook(connections[self._host.using]))  # asgiref sets it in the caller's context too
        return result


class _Sender(CursorConnection):
    """A Django connection as a `notistore.sql.Connection`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any]) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql, parameters)
        return cursor


@cache
def _statements(name: DialectName) -> Statements:
    # Django sets psycopg's time zone depending on USE_TZ.
    return statements_for(Table(), Dialect(name, "%s", times_as_milliseconds=name == "postgresql"))
