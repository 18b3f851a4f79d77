"""The stores: where a call's connection comes from, and who commits. What a call does is in calls.py.

The asynchronous store runs the same synchronous calls across SQLAlchemy's own bridge, `run_sync`.
"""

from __future__ import annotations

import asyncio
import functools
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from notistore.conflicts import pauses
from notistore.errors import InvalidArgument, StoreError

from .calls import Calls, Place
from .commits import after_commit
from .errors import commit, is_transient, translated
from .schema import create_schema, notifications_table

__all__ = ["SQLAlchemyStore", "SyncSQLAlchemyStore"]

P = ParamSpec("P")
T = TypeVar("T")

_BATCH: Final = 1000


def _blocking(
    call: Callable[Concatenate[Calls, P], T], *, changes: bool = True
) -> Callable[Concatenate[_Blocking, P], T]:
    """The call as a store's method. One that `changes` nothing needs no COMMIT."""

    def method(self: _Blocking, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(lambda calls: call(calls, *args, **kwargs), changes)

    functools.update_wrapper(method, call)
    return method


def _awaited(
    call: Callable[Concatenate[Calls, P], T], *, changes: bool = True
) -> Callable[Concatenate[_Awaited, P], Coroutine[Any, Any, T]]:
    async def method(self: _Awaited, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(lambda calls: call(calls, *args, **kwargs), changes)

    functools.update_wrapper(method, call)
    return method


class _Blocking(ABC):
    @abstractmethod
    def _run(self, work: Callable[[Calls], T], changes: bool = True) -> T: ...

    insert = _blocking(Calls.insert)
    insert_many = _blocking(Calls.insert_many)
    upsert = _blocking(Calls.upsert)
    get = _blocking(Calls.get, changes=False)
    page = _blocking(Calls.page, changes=False)
    count = _blocking(Calls.count, changes=False)
    unread_count = _blocking(Calls.unread_count, changes=False)
    unread_counts = _blocking(Calls.unread_counts, changes=False)
    mark_read = _blocking(Calls.mark_read)
    mark_unread = _blocking(Calls.mark_unread)
    mark_all_read = _blocking(Calls.mark_all_read)
    delete = _blocking(Calls.delete)
    erase = _blocking(Calls.erase)
    erase_tenant = _blocking(Calls.erase_tenant)


class _Awaited(ABC):
    @abstractmethod
    async def _run(self, work: Callable[[Calls], T], changes: bool = True) -> T: ...

    insert = _awaited(Calls.insert)
    insert_many = _awaited(Calls.insert_many)
    upsert = _awaited(Calls.upsert)
    get = _awaited(Calls.get, changes=False)
    page = _awaited(Calls.page, changes=False)
    count = _awaited(Calls.count, changes=False)
    unread_count = _awaited(Calls.unread_count, changes=False)
    unread_counts = _awaited(Calls.unread_counts, changes=False)
    mark_read = _awaited(Calls.mark_read)
    mark_unread = _awaited(Calls.mark_unread)
    mark_all_read = _awaited(Calls.mark_all_read)
    delete = _awaited(Calls.delete)
    erase = _awaited(Calls.erase)
    erase_tenant = _awaited(Calls.erase_tenant)


class SyncSQLAlchemyStore(_Blocking):
    """The contract without `async`, over an Engine: SQLite, PostgreSQL, MariaDB or MySQL 8, with any of their drivers.

    Each call is a transaction of its own, tried again when another one was in its way. Whoever made the engine
    disposes of it. May be used from many threads.

    Args:
        engine: with the isolation level of your choice, except AUTOCOMMIT, which would take `insert_many` apart.
        table: what `notifications_table` made on your own MetaData; by default one of its own.
    """

    def __init__(self, engine: Engine, *, table: Table | None = None) -> None:
        if not isinstance(engine, Engine):
            raise InvalidArgument("engine", f"expected an Engine, got {engine!r}; an AsyncEngine is SQLAlchemyStore's")
        self.table = notifications_table() if table is None else table
        self._engine = engine

    def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """As the contract says. Each batch is a transaction: after an error those before it stay done."""
        pruned, after = 0, None
        while (batch := _next_batch(limit, pruned)) > 0:
            removed, after = self._run(_prune_batch(after, older_than, only_read, batch))
            pruned += removed
            if after is None:
                break
        return pruned

    def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns."""
        self._run(lambda calls: create_schema(calls.connection, self.table))

    def bind(self, session: object) -> BoundSyncSQLAlchemyStore:
        """A store inside the transaction of `session`, a Session or a Connection: it joins, and never commits."""
        host = session() if isinstance(session, scoped_session) else session
        if not isinstance(host, Session | Connection):
            raise InvalidArgument("session", f"expected a Session or a Connection, got {host!r}")
        return BoundSyncSQLAlchemyStore(host, self.table)

    def _run(self, work: Callable[[Calls], T], changes: bool = True) -> T:
        waits = None
        while True:
            try:
                with translated, self._engine.connect() as connection:
                    return _perform(connection, self.table, work, changes)
            except StoreError as error:
                waits = waits or pauses()
                if not is_transient(error) or (pause := next(waits, None)) is None:
                    raise
            time.sleep(pause)


class SQLAlchemyStore(_Awaited):
    """A NotificationStore over an AsyncEngine: SQLite, PostgreSQL, MariaDB or MySQL 8, with any of their async drivers.

    It has every optional part of the contract. Each call is a transaction of its own, tried again when another one
    was in its way. Whoever made the engine disposes of it.

    Args:
        engine: with the isolation level of your choice, except AUTOCOMMIT, which would take `insert_many` apart.
        table: what `notifications_table` made on your own MetaData; by default one of its own.
    """

    def __init__(self, engine: AsyncEngine, *, table: Table | None = None) -> None:
        if not isinstance(engine, AsyncEngine):
            raise InvalidArgument(
                "engine", f"expected an AsyncEngine, got {engine!r}; an Engine is SyncSQLAlchemyStore's"
            )
        self.table = notifications_table() if table is None else table
        self._engine = engine

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """As the contract says. Each batch is a transaction: after an error those before it stay done."""
        pruned, after = 0, None
        while (batch := _next_batch(limit, pruned)) > 0:
            removed, after = await self._run(_prune_batch(after, older_than, only_read, batch))
            pruned += removed
            if after is None:
                break
        return pruned

    async def create_schema(self) -> None:
        """Create the table and indexes that are missing; StoreError when a table of that name has other columns."""
        await self._run(lambda calls: create_schema(calls.connection, self.table))

    def bind(self, session: object) -> BoundSQLAlchemyStore:
        """A store inside the transaction of an AsyncSession or AsyncConnection: it joins, and never commits."""
        host = session() if isinstance(session, async_scoped_session) else session
        if not isinstance(host, AsyncSession | AsyncConnection):
            raise InvalidArgument(
                "session",
                f"expected an AsyncSession or an AsyncConnection, got {host!r}; "
                "a synchronous one is for SyncSQLAlchemyStore",
            )
        return BoundSQLAlchemyStore(host, self.table)

    async def _run(self, work: Callable[[Calls], T], changes: bool = True) -> T:
        waits = None
        while True:
            try:
                with translated:
                    async with self._engine.connect() as connection:
                        return await connection.run_sync(_perform, self.table, work, changes)
            except StoreError as error:
                waits = waits or pauses()
                if not is_transient(error) or (pause := next(waits, None)) is None:
                    raise
            except asyncio.CancelledError as cancelled:
                # A closed sqlite3 connection keeps its locks until its cursors are gone, and frames hold on to them.
                traceback.clear_frames(cancelled.__traceback__)
                raise
            await asyncio.sleep(pause)


class BoundSyncSQLAlchemyStore(_Blocking):
    """Made by `SyncSQLAlchemyStore.bind`."""

    def __init__(self, host: Session | Connection, table: Table) -> None:
        self._host = host
        self._table = table

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed; Unsupported for a two-phase one."""
        after_commit(_connection(self._host, self._table), callback)

    def _run(self, work: Callable[[Calls], T], changes: bool = True) -> T:
        with translated:
            return work(Calls(_connection(self._host, self._table), self._table))


class BoundSQLAlchemyStore(_Awaited):
    """Made by `SQLAlchemyStore.bind`."""

    def __init__(self, host: AsyncSession | AsyncConnection, table: Table) -> None:
        self._host = host
        self._table = table
        self._joined: Connection | None = None

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed; Unsupported for a two-phase one.

        Raises:
            StoreError: in this transaction nothing has been done through this store yet, so that it does not know it.
        """
        if self._joined is None or not self._joined.in_transaction():
            raise StoreError("there is no transaction to wait for yet: call after_commit() after what it is to follow")
        after_commit(self._joined, callback)

    async def _run(self, work: Callable[[Calls], T], changes: bool = True) -> T:
        if isinstance(self._host, AsyncSession):
            return await self._host.run_sync(self._join, work)
        return await self._host.run_sync(self._join, work)

    def _join(self, host: Session | Connection, work: Callable[[Calls], T]) -> T:
        with translated:
            self._joined = _connection(host, self._table)
            return work(Calls(self._joined, self._table))


def _perform(connection: Connection, table: Table, work: Callable[[Calls], T], changes: bool) -> T:
    result = work(Calls(connection, table))
    if changes:
        commit(connection)
    return result


def _connection(host: Session | Connection, table: Table) -> Connection:
    """The session's own, for this table where it has several databases; unlike `execute` this flushes nothing."""
    return host if isinstance(host, Connection) else host.connection(bind_arguments={"clause": table})


def _next_batch(limit: int | None, pruned: int) -> int:
    return _BATCH if limit is None else min(_BATCH, limit - pruned)


def _prune_batch(
    after: Place | None, older_than: datetime, only_read: bool, at_most: int
) -> Callable[[Calls], tuple[int, Place | None]]:
    return lambda calls: calls.prune_batch(after, older_than=older_than, only_read=only_read, at_most=at_most)
