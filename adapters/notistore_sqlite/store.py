"""The stores, and their hosts: a pool of sqlite3 connections, or a connection of the application."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from os import PathLike, fspath
from typing import Any, Final, TypeVar

from notistore.errors import InvalidArgument, StoreError
from notistore.sql import (
    AsyncBoundHost,
    AsyncHost,
    BoundHost,
    BoundSQLStore,
    BoundSyncSQLStore,
    CursorConnection,
    Dialect,
    Host,
    SQLStore,
    Statements,
    SyncSQLStore,
    Table,
    Work,
    statements_for,
)
from notistore.sql.cancellation import finished

__all__ = ["SQLiteStore", "SyncSQLiteStore", "open_store"]

T = TypeVar("T")

_DIALECT: Final = Dialect("sqlite")
_THREADS: Final = 4


class SyncSQLiteStore(SyncSQLStore):
    """The contract without `async`, over a SQLite file, in WAL mode. It has every optional part; threads may share it.

    It opens a connection for each call that runs at the same time as others, and keeps them until `close`.

    Args:
        path: the file, which is created if missing; ":memory:" is a database that lasts as long as the store.
        table: the table to use.
        timeout: seconds to wait for another connection's write to end.
    """

    def __init__(self, path: str | PathLike[str], *, table: Table = Table(), timeout: float = 5.0) -> None:  # noqa: B008
        self._pool = _pool(path, table, timeout)
        super().__init__(self._pool)

    def bind(self, session: object) -> BoundSyncSQLStore:
        """A store inside the transaction of a sqlite3.Connection, which it never commits.

        Where the connection begins transactions by itself, as sqlite3's do by default, the first write begins one.
        `after_commit` raises Unsupported, since sqlite3 does not report commits.
        """
        return BoundSyncSQLStore(_Bound(session, self._pool.statements))

    def close(self) -> None:
        """Close the connections. No call may be running."""
        self._pool.close()


class SQLiteStore(SQLStore):
    """A NotificationStore over a SQLite file, in WAL mode, whose calls run in threads of its own. It has every optional
    part of the contract. Arguments as for `SyncSQLiteStore`."""

    def __init__(self, path: str | PathLike[str], *, table: Table = Table(), timeout: float = 5.0) -> None:  # noqa: B008
        self._threads = _Threads(_pool(path, table, timeout))
        super().__init__(self._threads)

    def bind(self, session: object) -> BoundSQLStore:
        """As `SyncSQLiteStore.bind`; calls run in the calling thread, where the application uses its connection."""
        return BoundSQLStore(_AsyncBound(_Bound(session, self._threads.pool.statements)))

    async def close(self) -> None:
        """Wait for running calls, then close the connections."""
        await self._threads.close()


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[SQLiteStore]:
    """The entry point `sqlite` of the group `notistore.stores`: a store on this file, with its table created.

    Args:
        url: a path, or "sqlite:///" and a path; "" or ":memory:" is a database that lasts as long as the store.
    """
    store = SQLiteStore(url.removeprefix("sqlite://").removeprefix("/" if "://" in url else "") or ":memory:")
    try:
        await store.create_schema()
        yield store
    finally:
        await store.close()


class _Connection(sqlite3.Connection, CursorConnection):
    """A connection of sqlite3 as a `notistore.sql.Connection`."""


class _Pool(Host):
    """Runs each call on a connection that no other call is using, in autocommit mode."""

    def __init__(self, path: str, table: Table, timeout: float) -> None:
        self.statements = statements_for(table, _DIALECT)
        self._path = path
        self._timeout = timeout
        self._idle: list[_Connection] = []

    def perform(self, work: Work[T], /, in_use: _InUse | None = None) -> T:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        if in_use is not None:
            in_use[work] = connection
        try:
            if not work.begin(self.statements):
                return work.run(connection)
            connection.execute("BEGIN IMMEDIATE")
            result = work.run(connection)
            connection.execute("COMMIT")
            return result
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            if in_use is not None:
                del in_use[work]
            self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> _Connection:
        connection = sqlite3.connect(
            self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            # Readers and the one writer do not wait for each other, and a COMMIT needs no fsync of its own.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


class _OneConnection(_Pool):
    """A database in memory exists per connection, so there is only one, used by one call at a time."""

    def __init__(self, path: str, table: Table, timeout: float) -> None:
        super().__init__(path, table, timeout)
        self._turn = threading.Lock()

    def perform(self, work: Work[T], /, in_use: _InUse | None = None) -> T:
        with self._turn:
            return super().perform(work, in_use)


class _InUse(dict[Work[Any], _Connection]):
    """The connections that calls are using."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __delitem__(self, work: Work[Any]) -> None:
        with self._lock:
            super().__delitem__(work)

    def interrupt(self, work: Work[Any]) -> None:
        """Interrupt the statement of a call, if it is running."""
        with self._lock:
            if (connection := self.get(work)) is not None:
                connection.interrupt()


class _Threads(AsyncHost):
    """Runs each call of a pool in a thread, and rolls back a cancelled one."""

    def __init__(self, pool: _Pool) -> None:
        self.pool = pool
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="notistore-sqlite")
        self._in_use = _InUse()

    async def perform(self, work: Work[T], /) -> T:
        call = self._threads.submit(self.pool.perform, work, self._in_use)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            if not call.cancelled():  # until its thread has finished, it may still commit
                self._in_use.interrupt(work)
                with suppress(Exception):
                    await finished(asyncio.wrap_future(call))
            raise

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self.pool.close()


class _Bound(BoundHost, CursorConnection):
    """Runs each call on the application's connection, in its transaction."""

    def __init__(self, session: object, statements: Statements) -> None:
        if not isinstance(session, sqlite3.Connection):
            raise InvalidArgument("session", f"expected a sqlite3.Connection, got {session!r}")
        self._connection = session
        self._statements = statements

    def perform(self, work: Work[T], /) -> T:
        savepoint = work.begin(self._statements, joined=True)
        if work.writes and not self._connection.in_transaction:
            if self._connection.isolation_level is None:
                raise StoreError("there is no transaction to join: execute BEGIN on the connection first")
            self.execute("BEGIN IMMEDIATE")
        if not savepoint:
            return work.run(self)
        self.execute("SAVEPOINT notistore")
        try:
            return work.run(self)
        except BaseException:
            self.execute("ROLLBACK TO notistore")
            raise
        finally:
            self.execute("RELEASE notistore")

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # the application may have set another for the connection
        return cursor.execute(sql, parameters)


class _AsyncBound(AsyncBoundHost):
    def __init__(self, bound: _Bound) -> None:
        self._bound = bound

    async def perform(self, work: Work[T], /) -> T:
        return self._bound.perform(work)


def _pool(path: str | PathLike[str], table: Table, timeout: float) -> _Pool:
    return (_OneConnection if fspath(path) == ":memory:" else _Pool)(fspath(path), table, timeout)
