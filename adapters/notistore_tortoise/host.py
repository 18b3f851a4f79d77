"""The hosts: calls run in the task's transaction, or on a connection of Tortoise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import cache
from typing import Any, Final, TypeVar

from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.context import require_context
from tortoise.exceptions import ConfigurationError, DBConnectionError

from notistore.errors import StoreError
from notistore.sql import Statements, Table, Work, statements_for
from notistore.sql.cancellation import acquired, in_background

from .after_commit import after_commit, outermost
from .drivers import Driver, Psycopg, SQLite, driver_of
from .models import Notification

__all__ = ["BoundTortoiseHost", "TortoiseHost"]

T = TypeVar("T")

_TABLE: Final = Table(Notification._meta.db_table)
_LOCK_TIMEOUT: Final = 5.0  # seconds, as SQLite's own busy timeout


class TortoiseHost:
    """Runs each call on a connection by its name, looked up at every call, or on a client."""

    def __init__(self, connection: str | BaseDBAsyncClient) -> None:
        self.connection = connection

    async def perform(self, work: Work[T]) -> T:
        client = self.client()
        driver = driver_of(client)
        statements = _statements(driver)
        if isinstance(client, TransactionalDBClient):
            if work.begin(statements, joined=True):
                async with client._in_transaction() as savepoint, savepoint.acquire_connection() as connection:
                    return await work.run_async(driver(connection))
            async with client.acquire_connection() as connection:
                return await work.run_async(driver(connection))
        needs_block = work.begin(statements, autocommit=driver.autocommit)
        if driver is SQLite:
            lent: AbstractAsyncContextManager[Any] = _sqlite_connection(client)
        else:
            lent = _psycopg_connection(client) if driver is Psycopg else client.acquire_connection()
        async with lent as raw:
            own = driver(raw)
            if not needs_block:
                return await work.run_async(own)
            async with own.transaction():
                return await work.run_async(own)

    def client(self) -> BaseDBAsyncClient:
        """The client for a call: that of the task's transaction, or of the connection."""
        return self.connection if isinstance(self.connection, BaseDBAsyncClient) else _ambient(self.connection)

    def cause(self, error: Exception) -> BaseException:
        inner = error.__context__ if isinstance(error, DBConnectionError) else next(iter(error.args), None)
        return inner if isinstance(inner, BaseException) else error


class BoundTortoiseHost(TortoiseHost):
    """Runs each call in a transaction of the application."""

    def client(self) -> BaseDBAsyncClient:
        if isinstance(self.connection, str):
            return _ambient(self.connection)
        bound: Any = self.connection
        if bound._finalized or outermost(bound)._finalized:
            raise StoreError("the transaction that this store was bound to has ended; bind it to another")
        return self.connection

    def after_commit(self, callback: Callable[[], None]) -> None:
        client = self.client()
        if isinstance(client, TransactionalDBClient):
            after_commit(client, callback)
        else:
            callback()


@cache
def _statements(driver: type[Driver]) -> Statements:
    return statements_for(_TABLE, driver.dialect)


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


@asynccontextmanager
async def _sqlite_connection(client: Any) -> AsyncIterator[Any]:
    """There is one, with a lock. A block of the application's keeps the lock until it is left, also when its
    transaction has been committed before: a call inside would wait for ever."""
    try:
        async with asyncio.timeout(_LOCK_TIMEOUT if _in_ended_block(client) else None):
            await client._lock.acquire()
    except TimeoutError:
        raise StoreError(
            f"the connection was in use for {_LOCK_TIMEOUT} s: leave the in_transaction() block whose transaction was "
            "committed or rolled back by hand before calling the store"
        ) from None
    try:
        if client._connection is None:
            # Here and not by Tortoise, which never releases its lock when that fails or is cancelled.
            await client.create_connection(with_db=True)
        try:
            yield client._connection
        except asyncio.CancelledError:
            # A statement that waits for the file goes on in the connection's thread, and would commit later.
            await client._connection.interrupt()
            await client._connection.rollback()  # waits for its turn there
            raise
    finally:
        client._lock.release()


def _in_ended_block(client: BaseDBAsyncClient) -> bool:
    with suppress(RuntimeError, ConfigurationError):
        return require_context().connections.get(client.connection_name) is not client
    return False


@asynccontextmanager
async def _psycopg_connection(client: Any) -> AsyncIterator[Any]:
    """psycopg's pool loses a connection that it is checking, or taking back, when the call is cancelled."""
    lent = client.acquire_connection()
    connection = await acquired(lent.__aenter__(), lambda _: lent.__aexit__(None, None, None))
    try:
        yield connection
    finally:
        await asyncio.shield(in_background(lent.__aexit__(None, None, None)))
