"""`RedisStore` over an async client, `SyncRedisStore` over a sync one; calls.py is what both do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.cluster

from notistore.errors import InvalidArgument
from notistore.model import Cursor, Notification, Recipient
from notistore.sync import run_plain

from .calls import Calls

__all__ = ["RedisStore", "SyncRedisStore", "open_store"]

_PREFIX: Final = "notistore:"


class RedisStore:
    """A `NotificationStore` in Redis, with insert_many (not on a cluster), unread_counts, prune and erase.

    Every call on one inbox is one script or command, so it is atomic; unread counts, per type too, cost the same for
    any number of rows. A script that the client sends twice, because the answer was lost, is done once and answered
    alike for two minutes. An id of another recipient is refused as in every store: whose an id is, is kept beside.

    Args:
        client: a `redis.asyncio.Redis` or `redis.asyncio.RedisCluster` of the application's, set up in any way
            (`decode_responses`, `protocol`, `retry`); whoever made it closes it.
        prefix: what every key begins with; no braces.
        keep_last: how many notifications an inbox keeps; a new one pushes the oldest out. None keeps all.

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
        self._calls = Calls(client, prefix, keep_last)

    async def insert(self, notification: Notification) -> None:
        await self._calls.insert(notification)

    @property
    def insert_many(self) -> Callable[[Sequence[Notification]], Coroutine[Any, Any, None]] | None:
        """One script for all rows; None on a cluster, where inboxes on several nodes cannot change as one."""
        return None if self._calls.is_cluster else self._calls.insert_many

    async def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        return await self._calls.upsert(notification, renotify=renotify)

    async def get(self, recipient: Recipient, id: str) -> Notification | None:
        return await self._calls.get(recipient, id)

    async def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        return await self._calls.page(
            recipient, unread_only=unread_only, types=types, before=before, offset=offset, limit=limit
        )

    async def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return await self._calls.count(recipient, types=types)

    async def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return await self._calls.unread_count(recipient, types=types, at_most=at_most)

    async def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        return await self._calls.unread_counts(recipients, types=types, at_most=at_most)

    async def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return await self._calls.mark_read(recipient, *ids, at=at)

    async def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return await self._calls.mark_unread(recipient, *ids)

    async def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        return await self._calls.mark_all_read(recipient, types=types, seen=seen, at=at)

    async def delete(self, recipient: Recipient, *ids: str) -> int:
        return await self._calls.delete(recipient, *ids)

    async def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        return await self._calls.prune(older_than=older_than, only_read=only_read, limit=limit)

    async def erase(self, recipient: Recipient) -> int:
        return await self._calls.erase(recipient)

    async def erase_tenant(self, tenant: str) -> int:
        return await self._calls.erase_tenant(tenant)


class SyncRedisStore:
    """`RedisStore` without `async`, over a `redis.Redis` or `redis.RedisCluster`; threads may share it."""

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, *, prefix: str = _PREFIX, keep_last: int | None = None
    ) -> None:
        if not isinstance(client, (redis.Redis, redis.RedisCluster)):
            raise InvalidArgument("client", f"expected one of redis-py's sync ones (or use RedisStore), got {client!r}")
        self._calls = Calls(client, prefix, keep_last)

    def insert(self, notification: Notification) -> None:
        run_plain(self._calls.insert(notification))

    @property
    def insert_many(self) -> Callable[[Sequence[Notification]], None] | None:
        """One script for all rows; None on a cluster, where inboxes on several nodes cannot change as one."""
        return None if self._calls.is_cluster else lambda rows: run_plain(self._calls.insert_many(rows))

    def upsert(self, notification: Notification, *, renotify: bool = True) -> Notification:
        return run_plain(self._calls.upsert(notification, renotify=renotify))

    def get(self, recipient: Recipient, id: str) -> Notification | None:
        return run_plain(self._calls.get(recipient, id))

    def page(
        self,
        recipient: Recipient,
        *,
        unread_only: bool = False,
        types: Sequence[str] | None = None,
        before: Cursor | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Sequence[Notification]:
        return run_plain(
            self._calls.page(recipient, unread_only=unread_only, types=types, before=before, offset=offset, limit=limit)
        )

    def count(self, recipient: Recipient, *, types: Sequence[str] | None = None) -> int:
        return run_plain(self._calls.count(recipient, types=types))

    def unread_count(
        self, recipient: Recipient, *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> int:
        return run_plain(self._calls.unread_count(recipient, types=types, at_most=at_most))

    def unread_counts(
        self, recipients: Sequence[Recipient], *, types: Sequence[str] | None = None, at_most: int | None = None
    ) -> Mapping[Recipient, int]:
        return run_plain(self._calls.unread_counts(recipients, types=types, at_most=at_most))

    def mark_read(self, recipient: Recipient, *ids: str, at: datetime) -> int:
        return run_plain(self._calls.mark_read(recipient, *ids, at=at))

    def mark_unread(self, recipient: Recipient, *ids: str) -> int:
        return run_plain(self._calls.mark_unread(recipient, *ids))

    def mark_all_read(
        self,
        recipient: Recipient,
        *,
        types: Sequence[str] | None = None,
        seen: datetime | None = None,
        at: datetime,
    ) -> int:
        return run_plain(self._calls.mark_all_read(recipient, types=types, seen=seen, at=at))

    def delete(self, recipient: Recipient, *ids: str) -> int:
        return run_plain(self._calls.delete(recipient, *ids))

    def prune(self, *, older_than: datetime, only_read: bool = False, limit: int | None = None) -> int:
        return run_plain(self._calls.prune(older_than=older_than, only_read=only_read, limit=limit))

    def erase(self, recipient: Recipient) -> int:
        return run_plain(self._calls.erase(recipient))

    def erase_tenant(self, tenant: str) -> int:
        return run_plain(self._calls.erase_tenant(tenant))


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[RedisStore]:
    """The `redis` entry of the group `notistore.stores`.

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
