"""The SQL stores: blocking and asynchronous, each with its own transactions or bound to one of the application.

Each method runs one of the calls of calls.py on the host, translates errors, and, if the call has its own transaction,
retries it after a deadlock or a serialization failure.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import NotistoreError
from . import calls
from .connection import AsyncBoundHost, AsyncHost, BoundHost, Host
from .errors import store_error
from .retry import backoff, is_transient
from .schema import create_schema
from .statements import Statements
from .work import Call, Work

__all__ = ["BoundSQLStore", "BoundSyncSQLStore", "SQLStore", "SyncSQLStore"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    call: Callable[Concatenate[Statements, P], Call[T]], *, writes: bool
) -> Callable[Concatenate[_SyncCalls, P], T]:
    def method(self: _SyncCalls, /, *args: P.args, **kwargs: P.kwargs) -> T:
        work = Work(call, args, kwargs, writes)
        try:
            return self.host.perform(work)
        except Exception as error:
            return self._retry(work, error)

    _name(method, call)
    return method


def _awaited(
    call: Callable[Concatenate[Statements, P], Call[T]], *, writes: bool
) -> Callable[Concatenate[_AsyncCalls, P], Coroutine[Any, Any, T]]:
    async def method(self: _AsyncCalls, /, *args: P.args, **kwargs: P.kwargs) -> T:
        work = Work(call, args, kwargs, writes)
        try:
            return await self.host.perform(work)
        except Exception as error:
            return await self._retry(work, error)

    _name(method, call)
    return method


def _name(method: Any, call: Any) -> None:
    functools.update_wrapper(method, call)
    del method.__wrapped__  # its signature is that of the call, and not the method's:
    signature = inspect.signature(call)
    _, *parameters = signature.parameters.values()
    method.__signature__ = signature.replace(
        parameters=[inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *parameters],
        return_annotation=signature.return_annotation.partition("[")[2].removesuffix("]"),  # of "Query[int]"
    )


class _SyncCalls:
    """The contract's calls on a blocking host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    insert = _blocking(calls.insert, writes=True)
    insert_many = _blocking(calls.insert_many, writes=True)
    upsert = _blocking(calls.upsert, writes=True)
    get = _blocking(calls.get, writes=False)
    page = _blocking(calls.page, writes=False)
    count = _blocking(calls.count, writes=False)
    unread_count = _blocking(calls.unread_count, writes=False)
    unread_counts = _blocking(calls.unread_counts, writes=False)
    mark_read = _blocking(calls.mark_read, writes=True)
    mark_unread = _blocking(calls.mark_unread, writes=True)
    mark_all_read = _blocking(calls.mark_all_read, writes=True)
    delete = _blocking(calls.delete, writes=True)
    erase = _blocking(calls.erase, writes=True)
    erase_tenant = _blocking(calls.erase_tenant, writes=True)

    def _retry(self, work: Work[T], error: Exception) -> T:
        """After a failed attempt: retry, or raise the contract's error."""
        waits = backoff()
        while True:
            time.sleep(_wait_or_raise(work, self.host, error, waits))
            work = work.next_attempt()
            try:
                return self.host.perform(work)
            except Exception as another:
                error = another


class _AsyncCalls:
    """The contract's calls on an asynchronous host."""

    def __init__(self, host: AsyncHost) -> None:
        self.host = host

    insert = _awaited(calls.insert, writes=True)
    insert_many = _awaited(calls.insert_many, writes=True)
    upsert = _awaited(calls.upsert, writes=True)
    get = _awaited(calls.get, writes=False)
    page = _awaited(calls.page, writes=False)
    count = _awaited(calls.count, writes=False)
    unread_count = _awaited(calls.unread_count, writes=False)
    unread_counts = _awaited(calls.unread_counts, writes=False)
    mark_read = _awaited(calls.mark_read, writes=True)
    mark_unread = _awaited(calls.mark_unread, writes=True)
    mark_all_read = _awaited(calls.mark_all_read, writes=True)
    delete = _awaited(calls.delete, writes=True)
    erase = _awaited(calls.erase, writes=True)
    erase_tenant = _awaited(calls.erase_tenant, writes=True)

    async def _retry(self, work: Work[T], error: Exception) -> T:
        """After a failed attempt: retry, or raise the contract's error."""
        waits = backoff()
        while True:
            await asyncio.sleep(_wait_or_raise(work, self.host, error, waits))
            work = work.next_attempt()
            try:
                return await self.host.perform(work)
            except Exception as another:
                error = another


class SyncSQLStore(_SyncCalls):
    """A SyncNotificationStore with every optional part of the contract except `bind`, which the adapter adds.

    Each call has its own transaction and is retried after a deadlock or a serialization failure, unless the host joins
    an open transaction.
    """

    prune_batch: int = 1000
    """How many rows `prune` deletes at a time."""

    def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """Delete old rows, as `SupportsPrune` describes. Each batch is a transaction; after an error the batches before
        it remain deleted."""
        pruned, after = 0, None
        while (batch := self.prune_batch if limit is None else min(self.prune_batch, limit - pruned)) > 0:
            removed, after = self._prune_batch(after, older_than, only_read, batch)
            pruned += removed
            if after is None:
                break
        return pruned

    _prune_batch = _blocking(calls.prune_batch, writes=True)
    create_schema = _blocking(create_schema, writes=True)


class SQLStore(_AsyncCalls):
    """A NotificationStore with every optional part of the contract except `bind`, which the adapter adds.

    Each call has its own transaction and is retried after a deadlock or a serialization failure, unless the host joins
    an open transaction.
    """

    prune_batch: int = 1000
    """How many rows `prune` deletes at a time."""

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        """Delete old rows, as `SupportsPrune` describes. Each batch is a transaction; after an error the batches before
        it remain deleted."""
        pruned, after = 0, None
        while (batch := self.prune_batch if limit is None else min(self.prune_batch, limit - pruned)) > 0:
            removed, after = await self._prune_batch(after, older_than, only_read, batch)
            pruned += removed
            if after is None:
                break
        return pruned

    _prune_batch = _awaited(calls.prune_batch, writes=True)
    create_schema = _awaited(create_schema, writes=True)


class BoundSyncSQLStore(_SyncCalls):
    """A store inside a transaction of the application: it never commits, rolls back or retries."""

    host: BoundHost

    def __init__(self, host: BoundHost) -> None:
        super().__init__(host)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed. Raises Unsupported if the driver does not
        report commits."""
        self.host.after_commit(callback)


class BoundSQLStore(_AsyncCalls):
    """An asynchronous store inside a transaction of the application: it never commits, rolls back or retries."""

    host: AsyncBoundHost

    def __init__(self, host: AsyncBoundHost) -> None:
        super().__init__(host)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the outermost transaction has committed. Raises Unsupported if the driver does not
        report commits."""
        self.host.after_commit(callback)


def _wait_or_raise(work: Work[Any], host: Host | AsyncHost, error: Exception, waits: Iterator[float]) -> float:
    """Seconds to wait before the next attempt; raises the contract's error if there is none."""
    if isinstance(error, NotistoreError):
        raise error
    if isinstance(error, TypeError):
        work.check_arguments()
    cause = host.cause(error)
    if not work.joined and is_transient(cause) and (wait := next(waits, None)) is not None:
        return wait
    raise store_error(work, cause) from cause
