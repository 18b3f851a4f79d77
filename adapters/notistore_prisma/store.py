"""The stores over an async and a sync client; calls.py has the calls."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

from notistore.errors import InvalidArgument, Unsupported
from notistore.sync import run_without_loop

from .calls import Calls
from .client import Client

__all__ = ["BoundPrismaStore", "BoundSyncPrismaStore", "PrismaStore", "SyncPrismaStore"]

P = ParamSpec("P")
T = TypeVar("T")


class PrismaStore(Calls):
    """A NotificationStore over an async Prisma client, on SQLite or PostgreSQL.

    It has every optional part of the contract; `after_commit` of a bound store raises Unsupported. Each call has its
    own transaction and is retried after a deadlock or a serialization failure. The application connects and disconnects
    the client.

    Args:
        client: generated with `interface = "asyncio"`, from a schema with the model NotistoreNotification.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client, asyncio.sleep)
        if not inspect.iscoroutinefunction(client.query_raw):
            raise InvalidArgument("client", "expected an async Prisma client; use SyncPrismaStore for a sync one")

    def bind(self, session: object) -> BoundPrismaStore:
        """A store inside the transaction of `session`, which `client.tx()` gave: it joins, and never commits."""
        return BoundPrismaStore(_in_transaction(session))


class BoundPrismaStore(PrismaStore):
    """A store inside the host application's transaction. One call at a time, as is the transaction."""

    def after_commit(self, callback: Callable[[], None]) -> NoReturn:
        """Raises Unsupported."""
        raise Unsupported(_NO_HOOK)


def _blocking(call: Callable[Concatenate[Calls, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    def method(self: SyncPrismaStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run_without_loop(call(self._calls, *args, **kwargs))

    functools.update_wrapper(method, call)
    return method


class SyncPrismaStore:
    """The contract without `async`, over a sync Prisma client, on SQLite or PostgreSQL. May be used from many threads.

    Args:
        client: generated with `interface = "sync"`, from a schema with the model NotistoreNotification.
    """

    def __init__(self, client: Client) -> None:
        self._calls = Calls(client, _sleep)
        if inspect.iscoroutinefunction(client.query_raw):
            raise InvalidArgument("client", "expected a sync Prisma client; use PrismaStore for an async one")

    def bind(self, session: object) -> BoundSyncPrismaStore:
        """A store inside the transaction of `session`, which `client.tx()` gave: it joins, and never commits."""
        return BoundSyncPrismaStore(_in_transaction(session))

    insert = _blocking(Calls.insert)
    insert_many = _blocking(Calls.insert_many)
    upsert = _blocking(Calls.upsert)
    get = _blocking(Calls.get)
    page = _blocking(Calls.page)
    count = _blocking(Calls.count)
    unread_count = _blocking(Calls.unread_count)
    unread_counts = _blocking(Calls.unread_counts)
    mark_read = _blocking(Calls.mark_read)
    mark_unread = _blocking(Calls.mark_unread)
    mark_all_read = _blocking(Calls.mark_all_read)
    delete = _blocking(Calls.delete)
    erase = _blocking(Calls.erase)
    erase_tenant = _blocking(Calls.erase_tenant)
    prune = _blocking(Calls.prune)
    create_schema = _blocking(Calls.create_schema)


class BoundSyncPrismaStore(SyncPrismaStore):
    """A store inside the host application's transaction. One call at a time, as is the transaction."""

    def after_commit(self, callback: Callable[[], None]) -> NoReturn:
        """Raises Unsupported."""
        raise Unsupported(_NO_HOOK)


_NO_HOOK = "Prisma Client Python has no hook after a commit: publish after the `tx()` block has been left"


def _in_transaction(session: Any) -> Client:
    if not hasattr(session, "is_transaction") or not session.is_transaction():
        raise InvalidArgument("session", f"expected the value of `with client.tx() as ...`, got {session!r}")
    client: Client = session
    return client


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  # there is no event loop
