"""`RedisStore` over an async client, `SyncRedisStore` over a sync one; calls.py has the calls of both."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from notistore.errors import InvalidArgument
from notistore.model import Notification
from notistore.sync import run_without_loop

from .calls import Calls

__all__ = ["RedisStore", "SyncRedisStore", "open_store"]

P = ParamSpec("P")
T = TypeVar("T")

_PREFIX: Final = "notistore:"


class RedisStore(Calls):
    """A `NotificationStore` in Redis, with every optional part but bind, and insert_many on a cluster.

    Every call on one inbox is one script or command, so it is atomic; unread counts, per type too, cost the same for
    any number of rows. A script that the client resends after a lost reply, within two minutes, takes effect once and
    returns the same reply. The owner of each id is stored, so that another recipient's id is refused.

    Args:
        client: a `redis.asyncio.Redis` or `redis.asyncio.RedisCluster` of the application's, set up in any way
            (`decode_responses`, `protocol`, `retry`); the application closes it.
        prefix: the prefix of every key, without braces.
        keep_last: the maximum number of notifications in an inbox, of which a new one deletes the oldest. None for no
            limit.

    Raises:
        InvalidArgument: another kind of client, or one whose encoding is not UTF-8; a bad prefix or keep_last.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        *,
        prefix: str = _PREFIX,
        keep_last: int | None = None,
    ) -> None:
        if not isinstance(client, (redis.asyncio.Redis, redis.asyncio.RedisCluster)):
            raise InvalidArgument("client", f"expected one of redis.asyncio's (or use SyncRedisStore), got {client!r}")
        super().__init__(client, prefix, keep_last)

    @property
    def insert_many(self) -> Callable[[Sequence[Notification]], Coroutine[Any, Any, None]] | None:
        """One script for all rows; None on a cluster, where inboxes on several nodes cannot change as one."""
        return None if self._client.is_cluster else self._insert_many


def _blocking(call: Callable[Concatenate[Calls, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[Any, P], T]:
    def method(self: SyncRedisStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run_without_loop(call(self._calls, *args, **kwargs))

    functools.update_wrapper(method, call)
    return method


class SyncRedisStore:
    """`RedisStore` without `async`, over a `redis.Redis` or `redis.RedisCluster`; threads may share it."""

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, *, prefix: str = _PREFIX, keep_last: int | None = None
    ) -> None:
        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise InvalidArgument("client", f"expected one of redis-py's sync ones (or use RedisStore), got {client!r}")
        self._calls = Calls(client, prefix, keep_last)

    @property
    def insert_many(self) -> Callable[[Sequence[Notification]], None] | None:
        """One script for all rows; None on a cluster, where inboxes on several nodes cannot change as one."""
        return None if self._calls._client.is_cluster else lambda rows: run_without_loop(self._calls._insert_many(rows))

    insert = _blocking(Calls.insert)
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
    prune = _blocking(Calls.prune)
    erase = _blocking(Calls.erase)
    erase_tenant = _blocking(Calls.erase_tenant)
    create_schema = _blocking(Calls.create_schema)


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[RedisStore]:
    """The entry point `redis` of the group `notistore.stores`.

    Args:
        url: what redis-py takes, "redis://", "rediss://" or "unix://"; "redis+cluster://" and "rediss+cluster://"
            name one node of a cluster.
    """
    scheme, colon, rest = url.partition(":")
    if scheme.endswith("+cluster"):
        plain = scheme.removesuffix("+cluster") + colon + rest
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster = redis.asyncio.RedisCluster.from_url(plain)
    else:
        client = redis.asyncio.Redis.from_url(url)
    try:
        yield RedisStore(client)
    finally:
        await client.aclose()
