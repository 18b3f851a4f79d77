"""The hosts: calls run on Django's connection for this thread and alias, inside its open transaction.

The asynchronous host runs the same code in Django's thread for synchronous code (`sync_to_async`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from notistore.sql import Dialect, Statements, Table, Work, statements_for

from .after_commit import Commit, after_commit, after_last_call
from .models import Notification as Row

__all__ = ["AsyncDjangoHost", "DjangoHost"]

T = TypeVar("T")

_TABLE: Final = Table(Row._meta.db_table)
_in_thread: Final = sync_to_async(operator.call)


class DjangoHost:
    """Runs each call inside the `atomic()` block or the transaction open on this thread, or in autocommit mode."""

    def __init__(self, using: str) -> None:
        self.using = using

    def perform(self, work: Work[T]) -> T:
        connection = connections[self.using]
        if connection.connection is None and not connection.in_atomic_block:
            connection.ensure_connection()
        # With autocommit off the application's transaction is open although there is no block.
        joined = connection.in_atomic_block or not connection.autocommit
        try:
            if not work.begin(_statements(connection), joined=joined):
                return work.run(_Sender(connection))
            with transaction.atomic(self.using):
                return work.run(_Sender(connection))
        except Error:
            if not joined:
                _close_if_broken(connection)
            raise

    def cause(self, error: Exception) -> BaseException:
        return error.__cause__ or error if isinstance(error, Error) else error

    def after_commit(self, callback: Callable[[], None]) -> None:
        after_commit(connections[self.using], callback)


class AsyncDjangoHost:
    """An asynchronous `DjangoHost`."""

    def __init__(self, using: str) -> None:
        self._host = DjangoHost(using)
        self.cause = self._host.cause

    async def perform(self, work: Work[T]) -> T:
        if not work.writes:
            return await _in_thread(partial(self._host.perform, work))
        result, commit = await _in_thread(partial(self._perform, work))
        commit.remember()
        return result

    def after_commit(self, callback: Callable[[], None]) -> None:
        after_last_call(self._host.using, callback)

    def _perform(self, work: Work[T]) -> tuple[T, Commit]:
        return self._host.perform(work), Commit.of_call(connections[self._host.using])


class _Sender:
    """A Django connection as a `notistore.sql.Connection`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: Sequence[Any] = cursor.fetchall()
            return rows

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            count: int = cursor.rowcount
            return count


def _statements(connection: Any) -> Statements:
    vendor = connection.vendor
    return _statements_in("mariadb" if vendor == "mysql" and connection.mysql_is_mariadb else vendor)


@cache
def _statements_in(name: Any) -> Statements:
    # Django sets psycopg's time zone depending on USE_TZ.
    return statements_for(_TABLE, Dialect(name, "%s", times_as_milliseconds=name == "postgresql"))


def _close_if_broken(connection: BaseDatabaseWrapper) -> None:
    """So that the next call opens another."""
    if connection.connection is not None and connection.errors_occurred and not connection.is_usable():
        connection.close()
