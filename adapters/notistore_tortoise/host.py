"""The host: calls run in the task's transaction, or on a connection of Tortoise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import require_context
from tortoise.exceptions import ConfigurationError, DBConnectionError

from notistore.errors import StoreError
from notistore.sql import Work

from .after_commit import after_commit, outermost
from .drivers import driver_of

__all__ = ["TortoiseHost"]

T = TypeVar("T")


class TortoiseHost:
    """Runs each call on a connection by its name, looked up at every call, on a client, or in a transaction."""

    def __init__(self, connection: str | BaseDBAsyncClient) -> None:
        self._connection = connection

    async def perform(self, work: Work[T]) -> T:
        client = self.client()
        driver = driver_of(client)
        if isinstance(client, TransactionalDBClient):
            block = client._in_transaction() if work.begin(driver.statements, joined=True) else nullcontext(client)
            async with block as joined, joined.acquire_connection() as connection:
                return await work.run_async(driver(connection))
        needs_block = work.begin(driver.statements, autocommit=driver.autocommit)
        async with driver.lent(client) as lent:
            own = driver(lent)
            if not needs_block:
                return await work.run_async(own)
            async with own.transaction():
                return await work.run_async(own)

    def client(self) -> BaseDBAsyncClient:
        """The client for a call: that of the task's transaction, or of the connection."""
        client = self._connection
        if isinstance(client, str):
            return _ambient(client)
        if isinstance(client, TransactionalDBClient) and (client._finalized or outermost(client)._finalized):
            raise StoreError("the transaction that this store was bound to has ended; bind it to another")
        return client

    def cause(self, error: Exception) -> BaseException:
        inner = error.__context__ if isinstance(error, DBConnectionError) else next(iter(error.args), None)
        return inner if isinstance(inner, BaseException) else error

    def after_commit(self, callback: Callable[[], None]) -> None:
        client = self.client()
        if isinstance(client, TransactionalDBClient):
            after_commit(client, callback)
        else:
            callback()


def _ambient(name: str) -> BaseDBAsyncClient:
    """The connection of that name, or the transaction this task is in."""
    try:
        client = require_context().connections.get(name)
    except (RuntimeError, ConfigurationError) as error:
        raise StoreError(
            f"Tortoise has no connection {name!r} in this task: {error}. Call Tortoise.init() first, with "
            "_enable_global_fallback=True for tasks that were not started by the one that called it"
        ) from error
    if isinstance(client, TransactionalDBClient) and outermost(client)._finalized:
        # A task that was started inside the transaction, or a callback after its commit, has outlived it.
        return outermost(client)._parent
    return client
