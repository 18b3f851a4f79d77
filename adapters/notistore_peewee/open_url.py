"""`open_store`: opens a store by URL, for the command line and examples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from notistore.errors import InvalidArgument

from .store import PeeweeStore

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[PeeweeStore]:
    """The entry point `peewee` of the group `notistore.stores`: a store on its own database object, with its table
    created.

    Args:
        url: "sqlite:///file.db" (put in WAL mode), "postgresql://...", "mysql://..." or "mariadb://...".
    """
    database = _database(url)
    try:
        store = PeeweeStore(database)
        await store.create_schema()
        yield store
    finally:
        await database.close_pool()


def _database(url: str) -> Any:
    from playhouse.pwasyncio import (  # type: ignore[import-untyped]
        AsyncMySQLDatabase,
        AsyncPostgresqlDatabase,
        AsyncSqliteDatabase,
    )

    parts = urlsplit(url)
    name = unquote(parts.path.removeprefix("/"))
    match parts.scheme:
        case "sqlite":
            return AsyncSqliteDatabase(name or ":memory:", pragmas={"journal_mode": "wal", "synchronous": "normal"})
        case "postgresql":
            return AsyncPostgresqlDatabase(url)
        case "mysql" | "mariadb":
            account = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
            return AsyncMySQLDatabase(name, host=parts.hostname, port=parts.port or 3306, **account)
    raise InvalidArgument("url", f"expected one of sqlite, postgresql, mysql or mariadb, got {url!r}")
