"""The protocols that an adapter implements: a connection that executes statements, and a host that runs calls on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import Unsupported

if TYPE_CHECKING:
    from .work import Work

__all__ = [
    "AsyncBoundHost",
    "AsyncConnection",
    "AsyncHost",
    "AsyncpgConnection",
    "BoundHost",
    "Connection",
    "CursorConnection",
    "Host",
]

T = TypeVar("T")


class Connection(Protocol):
    """Executes statements on one connection of the driver."""

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        """Execute a statement. Returns its rows, each an iterable of the columns' values in the order selected."""
        ...

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        """Execute a statement. Returns how many rows it inserted, updated or deleted."""
        ...


class CursorConnection:
    """A `Connection` for drivers with the DB-API's cursors (PEP 249)."""

    __slots__ = ()

    execute: Callable[..., Any]
    """`execute(sql, parameters)`, which the subclass has: it executes a statement and returns its cursor."""

    def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = self.execute(sql, parameters).fetchall()
        return rows

    def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        count: int = self.execute(sql, parameters).rowcount
        return count


class AsyncConnection(Protocol):
    """An asynchronous `Connection`."""

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]: ...

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int: ...


class AsyncpgConnection:
    """An `AsyncConnection` for a connection of asyncpg."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Sequence[Any], /) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(sql, *parameters)
        return rows

    async def change(self, sql: str, parameters: Sequence[Any], /) -> int:
        status: str = await self._connection.execute(sql, *parameters)
        return int(status.rpartition(" ")[2]) if status[-1].isdecimal() else 0  # "UPDATE 3", but "CREATE TABLE"


class Host(Protocol):
    """Runs calls on connections to one database, through an ORM or a driver."""

    def perform(self, work: Work[T], /) -> T:
        """Make one attempt at a call. In this order:

        1. Get a connection: the application's, if it has a transaction open that the call joins.
        2. Call `work.begin(statements, ...)`, with the statements of the connection's dialect. It returns whether the
           call needs a block: a savepoint if it joined a transaction, else a transaction.
        3. `return work.run(connection)`, inside that block if one is needed.
        4. Release the connection.

        On an error, roll back the block and let the driver's exception propagate: the store translates it, and retries
        if that is safe. On cancellation, an asynchronous host rolls back too and releases the connection.
        """
        ...

    def cause(self, error: Exception, /) -> BaseException:
        """The driver's error that the ORM wrapped in `error`; by default `error`."""
        return error


class AsyncHost(Protocol):
    """An asynchronous `Host`: it calls `work.run_async`, or `work.run` in a thread or greenlet."""

    async def perform(self, work: Work[T], /) -> T: ...

    def cause(self, error: Exception, /) -> BaseException:
        """As `Host.cause`."""
        return error


class _AfterCommit(Protocol):
    def after_commit(self, callback: Callable[[], None], /) -> None:
        """Call `callback` once the outermost transaction has committed; never if it, or a savepoint that is open now,
        is rolled back. By default raises Unsupported, for drivers that do not report commits; for those that do see
        `TransactionCallbacks`."""
        raise Unsupported("this driver does not report when a transaction has committed; publish after it yourself")


class BoundHost(_AfterCommit, Host, Protocol):
    """A host inside a transaction of the application: every call joins it, and the host never commits."""


class AsyncBoundHost(_AfterCommit, AsyncHost, Protocol):
    """An asynchronous `BoundHost`."""
