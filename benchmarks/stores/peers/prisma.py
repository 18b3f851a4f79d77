"""Prisma Client Python's model API, as one calls it by hand, over the engine of tools/prisma_engine (needs Node.js).

Only the client's process is measured: the engine is one of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from importlib import import_module
from typing import Any, Literal

from notistore import Recipient
from notistore.sql.table import REPLACED
from notistore_prisma import PrismaStore, SyncPrismaStore
from tools.prisma_engine import generate

from .. import rows
from ..rows import Row
from . import Case


class Queries:
    def __init__(self, client: Any, provider: str) -> None:
        self.model = client.notistorenotification
        self.sqlite = provider == "sqlite"
        self.json = import_module(type(client).__module__.rpartition(".")[0]).Json

    def values(self, row: Row) -> dict[str, Any]:
        if self.sqlite:
            return rows.as_dict(rows.to_sqlite(row))
        return rows.as_dict(rows.to_postgres(row)) | {"data": self.json(row.data)}

    def inserting(self, row: Row) -> dict[str, Any]:
        return {"data": self.values(row)}

    def upserting(self, row: Row) -> dict[str, Any]:
        new = self.values(row)
        replaced = {name: new[name] for name in REPLACED}
        update = {**replaced, "version": {"increment": 1}, "read_at": None}
        return {"where": {"id": row.id}, "data": {"create": new, "update": update}}

    def counting(self, recipient: Recipient) -> dict[str, Any]:
        return {"where": {**inbox_of(recipient), "read_at": None}}

    def paging(self, recipient: Recipient) -> dict[str, Any]:
        newest_first = [{"created_at": "desc"}, {"id": "desc"}]
        return {"where": inbox_of(recipient), "order": newest_first, "take": 50}

    def marking(self, recipient: Recipient, id: str, at: datetime) -> dict[str, Any]:
        where = {**inbox_of(recipient), "id": id, "read_at": None}
        return {"data": {"read_at": rows.millis(at) if self.sqlite else at}, "where": where}

    def row(self, record: Any) -> Row:
        values = (
            record.id,
            record.tenant,
            record.recipient_type,
            record.recipient_id,
            record.type,
            record.stable_key,
            record.data,
            record.actor_type,
            record.actor_id,
            record.trace_id,
            record.version,
            record.read_at,
            record.created_at,
            record.updated_at,
        )
        return rows.from_values(values)


def inbox_of(recipient: Recipient) -> dict[str, str]:
    return {"tenant": recipient.tenant or "", "recipient_type": recipient.type, "recipient_id": recipient.id}


class Sync(Queries):
    def insert(self, row: Row) -> None:
        self.model.create(**self.inserting(row))

    def upsert(self, row: Row) -> Row:
        return self.row(self.model.upsert(**self.upserting(row)))

    def unread_count(self, recipient: Recipient) -> Any:
        return self.model.count(**self.counting(recipient))

    def page(self, recipient: Recipient) -> list[Row]:
        return [self.row(record) for record in self.model.find_many(**self.paging(recipient))]

    def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        return self.model.update_many(**self.marking(recipient, id, at))


class Async(Queries):
    async def insert(self, row: Row) -> None:
        await self.model.create(**self.inserting(row))

    async def upsert(self, row: Row) -> Row:
        return self.row(await self.model.upsert(**self.upserting(row)))

    async def unread_count(self, recipient: Recipient) -> Any:
        return await self.model.count(**self.counting(recipient))

    async def page(self, recipient: Recipient) -> list[Row]:
        return [self.row(record) for record in await self.model.find_many(**self.paging(recipient))]

    async def mark_read(self, recipient: Recipient, id: str, at: datetime) -> Any:
        return await self.model.update_many(**self.marking(recipient, id, at))


def client(provider: str, interface: str, url: str) -> Any:
    generate(provider)
    made = import_module(f"notistore_{provider}_{interface}").Prisma
    return made(datasource={"url": url.replace("sqlite:///", "file:")})


@contextmanager
def open_sync(provider: str, url: str) -> Iterator[tuple[SyncPrismaStore, Sync]]:
    with client(provider, "sync", url) as connected:
        store = SyncPrismaStore(connected)
        store.create_schema()
        yield store, Sync(connected, provider)


@asynccontextmanager
async def open_async(provider: str, url: str) -> AsyncIterator[tuple[PrismaStore, Async]]:
    async with client(provider, "asyncio", url) as connected:
        store = PrismaStore(connected)
        await store.create_schema()
        yield store, Async(connected, provider)


Open = Callable[..., AbstractContextManager[Any] | AbstractAsyncContextManager[Any]]


def case(driver: str, database: Literal["SQLite", "PostgreSQL"], open_: Open) -> Case:
    return Case("Prisma", driver, database, partial(open_, database.lower()))


CASES = [
    case("sync", "SQLite", open_sync),
    case("asyncio", "SQLite", open_async),
    case("sync", "PostgreSQL", open_sync),
    case("asyncio", "PostgreSQL", open_async),
]
