"""What runs once a transaction has really ended committed.

Tortoise has no event for that. All clients of one transaction, savepoints included, are of one class, and whatever
the host uses ends in their `commit`, `rollback`, `savepoint` and `savepoint_rollback`, so those are watched.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient

__all__ = ["after_commit", "outermost"]

_log = logging.getLogger("notistore")

_KEY: Final = "_notistore_after_commit"


@dataclass(slots=True)
class _Waiting:
    """One transaction's callbacks, kept with its outermost client, and how many there were at each savepoint."""

    callbacks: list[Callable[[], None]] = field(default_factory=list)
    savepoints: dict[TransactionalDBClient, int] = field(default_factory=dict)


def after_commit(client: TransactionalDBClient, callback: Callable[[], None]) -> None:
    """Call `callback` when the outermost transaction of `client` has committed; never when it, or a savepoint that is
    open now, is rolled back. An exception it raises is logged: the commit has happened."""
    _watch(type(client))
    vars(outermost(client)).setdefault(_KEY, _Waiting()).callbacks.append(callback)


def outermost(client: TransactionalDBClient) -> TransactionalDBClient:
    """The client of the transaction itself, for that of a savepoint."""
    parent: BaseDBAsyncClient = client._parent
    return outermost(parent) if isinstance(parent, TransactionalDBClient) else client


def _watch(kind: type[TransactionalDBClient]) -> None:
    """Have this database's transactions tell of commits, rollbacks and savepoints, once and for good."""
    if _KEY in vars(kind):
        return
    plain: Any = {name: getattr(kind, name) for name in ("commit", "rollback", "savepoint", "savepoint_rollback")}

    @functools.wraps(plain["commit"])
    async def commit(self: TransactionalDBClient) -> None:
        waiting = _waiting(self)
        if waiting is None or not _ends_all(self):
            await plain["commit"](self)
            return
        # Taken first: a commit that fails may be followed by another.
        callbacks, waiting.callbacks = waiting.callbacks, []
        await plain["commit"](self)
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _log.exception("a callback after the commit failed; the commit stands")

    @functools.wraps(plain["rollback"])
    async def rollback(self: TransactionalDBClient) -> None:
        if waiting := _waiting(self):
            del waiting.callbacks[0 if _ends_all(self) else waiting.savepoints.get(self, 0) :]
        await plain["rollback"](self)

    @functools.wraps(plain["savepoint"])
    async def savepoint(self: TransactionalDBClient) -> None:
        if waiting := _waiting(self):
            waiting.savepoints[self] = len(waiting.callbacks)
        await plain["savepoint"](self)

    @functools.wraps(plain["savepoint_rollback"])
    async def savepoint_rollback(self: TransactionalDBClient) -> None:
        if waiting := _waiting(self):
            # A savepoint that is not known was there before the first callback.
            del waiting.callbacks[waiting.savepoints.get(self, 0) :]
        await plain["savepoint_rollback"](self)

    for method in (commit, rollback, savepoint, savepoint_rollback):
        setattr(kind, method.__name__, method)
    setattr(kind, _KEY, True)


def _ends_all(client: TransactionalDBClient) -> bool:
    """PostgreSQL's clients end a savepoint by the methods that end a transaction; the others' end the transaction."""
    return client is outermost(client) or client.capabilities.dialect != "postgres"


def _waiting(client: TransactionalDBClient) -> _Waiting | None:
    waiting: _Waiting | None = vars(outermost(client)).get(_KEY)
    return waiting
