"""redis-py's commands, and EVALSHA for the scripts the store has: "the same statements" are those."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import redis
import redis.asyncio

from notistore import Recipient
from notistore_redis import RedisStore, SyncRedisStore
from notistore_redis.client import Script

from .. import rows
from ..rows import Row
from . import Case

INSERT, UPSERT, PAGE, MARK = (Script(name) for name in ("insert", "upsert", "page", "mark"))
YEAR_ONE = 62135596800000


def moment(at: datetime) -> str:
    return f"{rows.millis(at) + YEAR_ONE:013x}"


def time(text: str) -> datetime:
    return rows.from_millis(int(text, 16) - YEAR_ONE)


def stem(tenant: str, type: str, id: str) -> str:
    return f"notistore:{{{len(tenant)}:{tenant}{len(type)}:{type}{id}}}"


def keys(stem: str) -> list[str]:
    return [f"{stem}:rows", f"{stem}:all", f"{stem}:unread", f"{stem}:counts"]


def write_keys(stem: str) -> list[str]:
    return [*keys(stem), f"{stem}:call:{secrets.token_hex(8)}"]


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


def inserting(row: Row) -> tuple[str, Sequence[Any]]:
    its = stem(row.tenant, row.recipient_type, row.recipient_id)
    return its, [INSERT.sha, 5, *write_keys(its), 0, 1, row.id, text(row)]


def upserting(row: Row) -> Sequence[Any]:
    its = stem(row.tenant, row.recipient_type, row.recipient_id)
    return [UPSERT.sha, 5, *write_keys(its), 0, 1, row.id, text(row)]


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
    return [PAGE.sha, 4, *keys(stem_of(recipient)), "all", "+", 0, 50]


def paged(recipient: Recipient, answer: Sequence[bytes]) -> list[Row]:
    found = iter(answer[2:])
    return [row(recipient, id.decode(), text.decode()) for id, text in zip(found, found, strict=True)]


def marking(recipient: Recipient, id: str, at: datetime) -> Sequence[Any]:
    return [MARK.sha, 5, *write_keys(stem_of(recipient)), moment(at), id]


def stem_of(recipient: Recipient) -> str:
    return stem(recipient.tenant or "", recipient.type, recipient.id)


class Sync:
    def __init__(self, client: Any) -> None:
        self.client = client

    def insert(self, row: Row) -> None:
        its, arguments = inserting(row)
        assert self.client.hsetnx(f"notistore:ids:{row.id[-4:]}", row.id, its)  # whose id it is
        self.client.evalsha(*arguments)

    def upsert(self, row: Row) -> Row:
        return upserted(row, self.client.evalsha(*upserting(row)))

    def unread_count(self, recipient: Recipient) -> Any:
        return self.client.zcard(f"{stem_of(recipient)}:unread")

    def page(self, recipient: Recipient) -> list[Row]:
        return paged(recipient, self.client.evalsha(*paging(recipient)))

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        return self.client.evalsha(*marking(recipient, id, at))[0]


class Async:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def insert(self, row: Row) -> None:
        its, arguments = inserting(row)
        assert await self.client.hsetnx(f"notistore:ids:{row.id[-4:]}", row.id, its)
        await self.client.evalsha(*arguments)

    async def upsert(self, row: Row) -> Row:
        return upserted(row, await self.client.evalsha(*upserting(row)))

    async def unread_count(self, recipient: Recipient) -> Any:
        return await self.client.zcard(f"{stem_of(recipient)}:unread")

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
