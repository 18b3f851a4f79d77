"""Tortoise's connection: `execute_query_dict` for rows, since `execute_query` drops those of an INSERT."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tortoise import Tortoise
from tortoise.connection import get_connection

from notistore_tortoise import TortoiseStore

from . import ASYNCPG, SQLITE, AsyncPeer, Case, Rows


async def fetch(sql: str, parameters: Sequence[Any]) -> Rows:
    return [row.values() for row in await get_connection("default").execute_query_dict(sql, list(parameters))]


async def change(sql: str, parameters: Sequence[Any]) -> int:
    changed, _ = await get_connection("default").execute_query(sql, list(parameters))
    return changed


@asynccontextmanager
async def open_(url: str) -> AsyncIterator[tuple[TortoiseStore, AsyncPeer]]:
    sqlite = url.startswith("sqlite")
    db_url = url.replace("sqlite:///", "sqlite://") if sqlite else url.replace("postgresql://", "asyncpg://")
    await Tortoise.init(db_url=db_url, modules={"models": ["notistore_tortoise.models"]}, _enable_global_fallback=True)
    store = TortoiseStore()
    await store.create_schema()
    yield store, AsyncPeer(SQLITE if sqlite else ASYNCPG, fetch, change)
    await Tortoise.close_connections()


CASES = [
    Case("Tortoise ORM", "aiosqlite", "SQLite", open_),
    Case("Tortoise ORM", "asyncpg", "PostgreSQL", open_),
]
