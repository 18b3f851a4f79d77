"""Callbacks after the commit of a transaction.

Tortoise has no event for that. All clients of a database's transactions and savepoints are of one class, whose
`commit`, `rollback`, `savepoint` and `savepoint_rollback` end every transaction, so these methods are wrapped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient

from notistore.sql import TransactionCallbacks, is_aborted

__all__ = ["after_commit", "outermost"]

_KEY: Final = "_notistore_after_commit"


def after_commit(client: TransactionalDBClient, callback: Callable[[], None]) -> None:
    """Call `callback` when the outermost transaction of `client` has committed; never when it, or a savepoint that is
    open now, is rolled back. An exception it raises is logged: the commit has happened."""
    _wrap(type(client))
    vars(outermost(client)).setdefault(_KEY, TransactionCallbacks()).add(callback)


def outermost(client: TransactionalDBClient) -> TransactionalDBClient:
    """The client of the transaction itself, for that of a savepoint."""
    parent: BaseDBAsyncClient = client._parent
    return outermost(parent) if isinstance(parent, TransactionalDBClient) else client


def _wrap(kind: type[TransactionalDBClient]) -> None:
    """Make this database's transactions report commits, rollbacks and savepoints; once per class."""
    if _KEY in vars(kind):
        return
    plain: Any = {name: getattr(kind, name) for name in ("commit", "rollback", "savepoint", "savepoint_rollback")}

    @functools.wraps(plain["commit"])
    async def commit(self: TransactionalDBClient) -> None:
        if not _ends_all(self) or not _waiting(self):
            await plain["commit"](self)
            return
        # Removed before the commit: a failed commit may be followed by another.
        callbacks: TransactionCallbacks = vars(outermost(self)).pop(_KEY)
        committed = not await _is_rollback(self)
        await plain["commit"](self)
        if committed:
            callbacks.committed()

    @functools.wraps(plain["rollback"])
    async def rollback(self: TransactionalDBClient) -> None:
        if callbacks := _waiting(self):
            if _ends_all(self):
                callbacks.rolled_back()
            else:
                callbacks.rolled_back_to(self)
        await plain["rollback"](self)

    @functools.wraps(plain["savepoint"])
    async def savepoint(self: TransactionalDBClient) -> None:
        if callbacks := _waiting(self):
            callbacks.savepoint(self)
        await plain["savepoint"](self)

    @functools.wraps(plain["savepoint_rollback"])
    async def savepoint_rollback(self: TransactionalDBClient) -> None:
        if callbacks := _waiting(self):
            callbacks.rolled_back_to(self)
        await plain["savepoint_rollback"](self)

    for method in (commit, rollback, savepoint, savepoint_rollback):
        setattr(kind, method.__name__, method)
    setattr(kind, _KEY, True)


def _ends_all(client: TransactionalDBClient) -> bool:
    """PostgreSQL's clients end a savepoint by the methods that end a transaction; the others' end the transaction."""
    return client is outermost(client) or client.capabilities.dialect != "postgres"


def _waiting(client: TransactionalDBClient) -> TransactionCallbacks | None:
    callbacks: TransactionCallbacks | None = vars(outermost(client)).get(_KEY)
    return callbacks


async def _is_rollback(client: Any) -> bool:
    """Whether the COMMIT will roll back, as PostgreSQL does without an error after a failed statement."""
    if client.capabilities.dialect != "postgres":
        return False
    if (aborted := is_aborted(client._connection)) is not None:
        return aborted
    try:
        await client._connection.execute("SELECT 1")
    except Exception:
        return True
    return False
