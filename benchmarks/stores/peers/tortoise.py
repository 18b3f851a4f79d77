"""Tortoise's connection and SQL as text, each statement written once: its queries cannot say most of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from tortoise import Tortoise
from tortoise.connection import get_connection

from notistore import Recipient
from notistore_tortoise import TortoiseStore

from .. import rows
from ..rows import Row
from . import Case


class Peer:
    def __init__(self, sqlite: bool) -> None:
        self.sqlite = sqlite
        write = str if sqlite else rows.numbered
        self.insert_row = write(f"{rows.INSERT} ON CONFLICT (id) DO NOTHING RETURNING id")
        self.upsert_row = write(rows.UPSERT)
        self.count_unread = write(rows.UNREAD_COUNT.replace("count(*)", "count(*) AS found"))
        self.select_page = write(rows.PAGE)
        self.mark = write(f"UPDATE {rows.TABLE} SET read_at = ? WHERE {rows.INBOX} AND read_at IS NULL AND id = ?")
        self.values = rows.to_sqlite if sqlite else rows.to_postgres
        self.row = rows.from_sqlite if sqlite else rows.from_postgres

    async def insert(self, row: Row) -> None:
        [_] = await get_connection("default").execute_query_dict(self.insert_row, self.values(row))

    async def upsert(self, row: Row) -> Row:
        [stored] = await get_connection("default").execute_query_dict(self.upsert_row, self.values(row))
        return self.row(stored.values())

    async def unread_count(self, recipient: Recipient) -> Any:
        [row] = await get_connection("default").execute_query_dict(self.count_unread, inbox_of(recipient))
        return row["found"]

    async def page(self, recipient: Recipient) -> list[Row]:
        found = await get_connection("default").execute_query_dict(self.select_page, [*inbox_of(recipient), 50])
        return [self.row(each.values()) for each in found]

    async def mark_read(self, recipient: Recipient, id: str, at: datetime) -> int:
        values = [rows.millis(at) if self.sqlite else at, *inbox_of(recipient), id]
        marked, _ = await get_connection("default").execute_query(self.mark, values)
        return marked


def inbox_of(recipient: Recipient) -> list[Any]:
    return [recipient.tenant or "", recipient.type, recipient.id]


@asynccontextmanager
async def open_(url: str) -> AsyncIterator[tuple[TortoiseStore, Peer]]:
    sqlite = url.startswith("sqlite")
    db_url = url.replace("sqlite:///", "sqlite://") if sqlite else url.replace("postgresql://", "asyncpg://")
    await Tortoise.init(db_url=db_url, modules={"models": ["notistore_tortoise.models"]}, _enable_global_fallback=True)
    store = TortoiseStore()
    await store.create_schema()
    yield store, Peer(sqlite)
    await Tortoise.close_connections()


CASES = [
    Case("Tortoise ORM", "aiosqlite", "SQLite", open_),
    Case("Tortoise ORM", "asyncpg", "PostgreSQL", open_),
]
