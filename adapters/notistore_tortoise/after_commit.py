"""Callbacks after the commit of a transaction.

Tortoise has no event for that. All clients of a database's transactions and savepoints are of one class, whose
`commit`, `rollback`, `savepoint` and `savepoint_rollback` end every transaction, so these methods are wrapped.
"""

from __future__ import annotations

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
    _callbacks(client).add(callback)


def outermost(client: TransactionalDBClient) -> TransactionalDBClient:
    """The client of the transaction itself, for that of a savepoint."""
    parent: BaseDBAsyncClient = client._parent
    return outermost(parent) if isinstance(parent, TransactionalDBClient) else client


def _wrap(kind: Any) -> None:
    """Make this database's transactions report commits, rollbacks and savepoints; once per class."""
    if _KEY in vars(kind):
        return
    commit = kind.commit

    async def reporting_commit(client: TransactionalDBClient) -> None:
        callbacks = _callbacks(client) if _ends_all(client) else TransactionCallbacks()
        if callbacks and await _is_aborted(client):
            callbacks.failed()
        with callbacks.committing():
            await commit(client)

    kind.commit = reporting_commit
    kind.rollback = _reporting(_rolled_back, kind.rollback)
    kind.savepoint = _reporting(TransactionCallbacks.savepoint, kind.savepoint)
    kind.savepoint_rollback = _reporting(TransactionCallbacks.rolled_back_to, kind.savepoint_rollback)
    setattr(kind, _KEY, True)


def _reporting(report: Callable[[TransactionCallbacks, Any], None], method: Callable[..., Any]) -> Callable[..., Any]:
    async def reporting(client: TransactionalDBClient) -> None:
        report(_callbacks(client), client)
        await method(client)

    return reporting


def _callbacks(client: TransactionalDBClient) -> TransactionCallbacks:
    callbacks: TransactionCallbacks = vars(outermost(client)).setdefault(_KEY, TransactionCallbacks())
    return callbacks


def _rolled_back(callbacks: TransactionCallbacks, client: TransactionalDBClient) -> None:
    if _ends_all(client):
        callbacks.rolled_back()
    else:
        callbacks.rolled_back_to(client)


def _ends_all(client: TransactionalDBClient) -> bool:
    """PostgreSQL's clients end a savepoint by the methods that end a transaction; the others' end the transaction."""
    return client is outermost(client) or client.capabilities.dialect != "postgres"


async def _is_aborted(client: Any) -> bool:
    if client.capabilities.dialect != "postgres":
        return False
    if (aborted := is_aborted(client._connection)) is not None:
        return aborted
    try:
        await client._connection.execute("SELECT 1")
    except Exception:
        return True
    return False
