"""redis-py's commands, and EVALSHA for the scripts the store has: "the same statements" are those."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import redis
import redis.asyncio

from notistore import Recipient
from notistore_redis import RedisStore, SyncRedisStore
from notistore_redis.calls import _INSERT as INSERT
from notistore_redis.calls import _MARK as MARK
from notistore_redis.calls import _PAGE as PAGE
from notistore_redis.calls import _UPSERT as UPSERT
from notistore_redis.keys import Keys, inbox, owner, receipt

from .. import rows
from ..rows import Row
from . import Case

KEYS = Keys("notistore:")
YEAR_ONE = 62135596800000


def moment(at: datetime) -> str:
    return f"{rows.millis(at) + YEAR_ONE:013x}"


def time(text: str) -> datetime:
    return rows.from_millis(int(text, 16) - YEAR_ONE)


def stem(row: Row) -> str:
    return KEYS.stem(Recipient(row.recipient_id, row.recipient_type, row.tenant or None))


def write_keys(stem: str) -> list[str]:
    return [*inbox(stem), receipt(stem)]


def text(row: Row) -> str:
    key, actor_type, actor_id, trace = (
        value or "" for value in (row.stable_key, row.actor_type, row.actor_id, row.trace_id)
    )
    return (
        f"{moment(row.created_at)}\n{moment(row.updated_at)}\n{moment(row.read_at) if row.read_at else '-' * 13}\n"
        f"{row.type}\n{row.version}\n{key}\n{actor_type}\n{actor_id}\n{trace}\n{rows.to_json(row.data)}"
    )


def row(recipient: Recipient, id: str, text: str) -> Row:
    created, updated, read, type, version, key, actor_type, actor_id, trace_id, data = text.split("\n", 9)
    return Row(
        id,
        recipient.tenant or "",
        recipient.type,
        recipient.id,
        type,
        key or None,
        json.loads(data),
        actor_type or None,
        actor_id or None,
        trace_id or None,
        int(version),
        None if read == "-" * 13 else time(read),
        time(created),
        time(updated),
    )


def inserting(row: Row) -> Sequence[Any]:
    return [INSERT.sha, 5, *write_keys(stem(row)), 0, 1, row.id, text(row)]


def upserting(row: Row) -> Sequence[Any]:
    return [UPSERT.sha, 5, *write_keys(stem(row)), 0, 1, row.id, text(row)]


def upserted(given: Row, answer: Sequence[bytes]) -> Row:
    created, read, version, key = (part.decode() for part in answer[:4])
    return Row(
        given.id,
        given.tenant,
        given.recipient_type,
        given.recipient_id,
        given.type,
        key or None,
        given.data,
        given.actor_type,
        given.actor_id,
        given.trace_id,
        int(version),
        None if read == "-" * 13 else time(read),
        time(created),
        given.updated_at,
    )


def paging(recipient: Recipient) -> Sequence[Any]:
    return [PAGE.sha, 4, *inbox(KEYS.stem(recipient)), "all", "+", 0, 50]


def paged(recipient: Recipient, answer: Sequence[bytes]) -> list[Row]:
    found = iter(answer[2:])
    return [row(recipient, id.decode(), text.decode()) for id, text in zip(found, found, strict=True)]


def marking(recipient: Recipient, id: str, at: datetime) -> Sequence[Any]:
    return [MARK.sha, 5, *write_keys(KEYS.stem(recipient)), moment(at), id]


def owning(row: Row) -> Sequence[str]:
    return [KEYS.owners(row.id), row.id, owner(stem(row))]


def counting(recipient: Recipient) -> Sequence[Any]:
    return [f"{KEYS.stem(recipient)}:counts", ["job", "unread:"]]


class Sync:
    def __init__(self, client: Any) -> None:
        self.client = client

    def insert(self, row: Row) -> None:
        assert self.client.hsetnx(*owning(row))
        self.client.evalsha(*inserting(row))

    def upsert(self, row: Row) -> Row:
        return upserted(row, self.client.evalsha(*upserting(row)))

    def unread_count(self, recipient: Recipient) -> Any:
        return int(self.client.hmget(*counting(recipient))[1] or 0)

    def page(self, recipient: Recipient) -> list[Row]:
        return paged(recipient, self.client.evalsha(*paging(recipient)))

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        return self.client.evalsha(*marking(recipient, id, at))[0]


class Async:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def insert(self, row: Row) -> None:
        assert await self.client.hsetnx(*owning(row))
        await self.client.evalsha(*inserting(row))

    async def upsert(self, row: Row) -> Row:
        return upserted(row, await self.client.evalsha(*upserting(row)))

    async def unread_count(self, recipient: Recipient) -> Any:
        return int((await self.client.hmget(*counting(recipient)))[1] or 0)

    async def page(self, recipient: Recipient) -> list[Row]:
        return paged(recipient, await self.client.evalsha(*paging(recipient)))

    async def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        return (await self.client.evalsha(*marking(recipient, id, at)))[0]


@contextmanager
def open_sync(url: str) -> Iterator[tuple[SyncRedisStore, Sync]]:
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        for script in (INSERT, UPSERT, PAGE, MARK):
            client.script_load(script.text)
        yield SyncRedisStore(client), Sync(client)


@asynccontextmanager
async def open_async(url: str) -> AsyncIterator[tuple[RedisStore, Async]]:
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.flushdb()
        for script in (INSERT, UPSERT, PAGE, MARK):
            await client.script_load(script.text)
        yield RedisStore(client), Async(client)


CASES = [
    Case("Redis", "redis-py", "Redis", open_sync),
    Case("Redis", "redis-py, async", "Redis", open_async),
]
