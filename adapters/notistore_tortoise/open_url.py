"""`open_store`: opens a store by URL, for the command line and examples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tortoise.connection import ConnectionHandler

from .store import TortoiseStore

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[TortoiseStore]:
    """The entry point `tortoise` of the group `notistore.stores`: a store on its own connection, with its table
    created.

    Args:
        url: Tortoise's: "sqlite://notifications.db", "postgres://...", "psycopg://...", "mysql://..."; "mariadb://..."
            is the same as the last.
    """
    scheme, rest = url.split("://", 1)
    connections = ConnectionHandler()
    name = "notistore"
    await connections._init({name: f"{'mysql' if scheme == 'mariadb' else scheme}://{rest}"}, create_db=False)
    client = connections.get(name)
    try:
        store = TortoiseStore(client)
        await store.create_schema()
        yield store
    finally:
        await client.close()
