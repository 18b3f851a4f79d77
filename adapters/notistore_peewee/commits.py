"""What runs once a transaction has really ended committed.

Peewee calls back after the outermost commit (`Database.after_commit`), yet knows nothing of savepoints that were rolled
back on the way. So one callback of ours stands in for all of a transaction, and forgets those that a rollback undid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from peewee import QueryEvent

from notistore.errors import StoreError, Unsupported

__all__ = ["after_commit"]

_log = logging.getLogger("notistore")

_SAVEPOINT: Final = "SAVEPOINT "
_ROLLBACK: Final = "ROLLBACK TO SAVEPOINT "


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
                "Peewee does not tell when a manual_commit() block commits; publish by yourself"
            ) from error
    _watch(database, waiting)
    waiting.callbacks.append(callback)


class _Waiting:
    """One transaction's callbacks, kept among Peewee's own, and how many there were at each savepoint."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.savepoints: dict[str, int] = {}

    def __call__(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("a callback after the commit failed; the commit stands")

    def rolled_back_to(self, count: int) -> None:
        del self.callbacks[count:]


def _waiting(database: Any) -> _Waiting | None:
    return next((each for each in database._state.commit_callbacks if isinstance(each, _Waiting)), None)


def _watch(database: Any, waiting: _Waiting) -> None:
    """Learn of rollbacks. Savepoints are statements that Peewee's query hooks see, but for asyncpg's: those are
    objects, all of them among the open transactions."""
    if not any(isinstance(hook, _SavepointHook) for hook in database.query_hooks):
        database.query_hooks.append(_SavepointHook(database))
    for depth, block in enumerate(database._state.transactions):
        if hasattr(block, "_tx") and "arollback" not in vars(block):
            block.arollback = partial(_rolled_back, block.arollback, waiting, len(waiting.callbacks))
            if depth == 0:
                block.acommit = partial(_committed, block.acommit, waiting)


async def _rolled_back(arollback: Callable[..., Any], waiting: _Waiting, count: int, begin: bool = True) -> None:
    waiting.rolled_back_to(count)
    await arollback(begin)


async def _committed(acommit: Callable[..., Any], waiting: _Waiting, begin: bool = True) -> None:
    await acommit(begin)
    waiting()


class _SavepointHook:
    def __init__(self, database: Any) -> None:
        self._database = database

    def __call__(self, event: QueryEvent) -> None:
        if not event.sql.startswith((_SAVEPOINT, _ROLLBACK)) or (waiting := _waiting(self._database)) is None:
            return
        if event.sql.startswith(_SAVEPOINT):
            waiting.savepoints[event.sql.removeprefix(_SAVEPOINT)] = len(waiting.callbacks)
        else:
            # A savepoint that is not known was there before the first callback.
            waiting.rolled_back_to(waiting.savepoints.get(event.sql.removeprefix(_ROLLBACK), 0))
