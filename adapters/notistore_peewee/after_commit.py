"""Callbacks after the commit of a transaction.

Peewee's `Database.after_commit` calls back after the outermost commit, but also for savepoints that were rolled back,
and for a COMMIT that PostgreSQL turns into a rollback after an error. So one callback is registered for all of a
transaction's, and both are detected by Peewee's query hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from peewee import PostgresqlDatabase, QueryEvent

from notistore.errors import StoreError, Unsupported
from notistore.sql import TransactionCallbacks

__all__ = ["after_commit"]


def after_commit(database: Any, callback: Callable[[], None]) -> None:
    """Call `callback` when the outermost transaction of this thread or task has committed; never when it, or a
    savepoint that is open now, is rolled back. An exception it raises is logged: the commit has happened."""
    if not database.in_transaction():
        raise StoreError("there is no transaction to wait for: expected to be called inside `database.atomic()`")
    if (waiting := _waiting(database)) is None:
        waiting = _Waiting()
        try:
            database.after_commit(waiting)
        except ValueError as error:
            raise Unsupported(
                "Peewee does not report the commits of a manual_commit() block; publish after the commit yourself"
            ) from error
    _watch(database, waiting)
    waiting.add(callback)


class _Waiting(TransactionCallbacks):
    """The callbacks of one transaction, kept among Peewee's own."""

    def __call__(self) -> None:
        self.committed()


def _waiting(database: Any) -> _Waiting | None:
    return next((each for each in database._state.commit_callbacks if isinstance(each, _Waiting)), None)


def _watch(database: Any, waiting: _Waiting) -> None:
    """Detect rollbacks. Savepoints are statements that Peewee's query hooks report, except asyncpg's, which are objects
    in the list of open transactions."""
    if not any(isinstance(hook, _QueryHook) for hook in database.query_hooks):
        database.query_hooks.append(_QueryHook(database))
    for depth, block in enumerate(database._state.transactions):
        if hasattr(block, "_tx") and "arollback" not in vars(block):
            waiting.savepoint(block)
            block.arollback = partial(_rolled_back, block.arollback, waiting, block)
            if depth == 0:
                block.acommit = partial(_committed, block.acommit, waiting)


async def _rolled_back(arollback: Callable[..., Any], waiting: _Waiting, block: object, begin: bool = True) -> None:
    waiting.rolled_back_to(block)
    await arollback(begin)


async def _committed(acommit: Callable[..., Any], waiting: _Waiting, begin: bool = True) -> None:
    await acommit(begin)
    waiting()


class _QueryHook:
    def __init__(self, database: Any) -> None:
        self._database = database
        self._aborts = isinstance(database, PostgresqlDatabase)

    def __call__(self, event: QueryEvent) -> None:
        if (waiting := _waiting(self._database)) is None:
            return
        if event.exception is not None:
            if self._aborts:
                waiting.failed()
        elif "SAVEPOINT" in event.sql:
            waiting.executed(event.sql)
