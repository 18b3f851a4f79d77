"""`open_store`: opens a store by URL, for the command line and examples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any, Final

from sqlalchemy import AsyncAdaptedQueuePool, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import create_async_engine

from notistore.errors import InvalidArgument

from .store import SQLAlchemyStore

__all__ = ["open_store"]

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[SQLAlchemyStore]:
    """The entry point `sqlalchemy` of the group `notistore.stores`: a store on its own engine, with its table created.

    Args:
        url: SQLAlchemy's; without a driver it gets aiosqlite, asyncpg or asyncmy. A SQLite file is put in WAL mode.
    """
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        parsed.get_dialect()
    except ArgumentError as error:
        raise InvalidArgument("url", f"expected SQLAlchemy's, such as sqlite:///file.db; got {url!r}") from error
    sqlite = parsed.get_backend_name() == "sqlite"
    in_memory = sqlite and parsed.database in (None, "", ":memory:")
    # A database in memory exists per connection, so there is only one connection, with one call at a time.
    options = {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0} if in_memory else {}
    try:
        engine = create_async_engine(parsed, pool_pre_ping=not sqlite, **options)
    except ModuleNotFoundError as error:
        raise ImportError(f"{parsed.drivername} needs a driver: pip install {error.name}") from error
    if sqlite:
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    try:
        store = SQLAlchemyStore(engine)
        await store.create_schema()
        yield store
    finally:
        await engine.dispose()


def _tune_sqlite(connection: Any, record: object) -> None:
    """In WAL mode readers and the one writer do not wait for each other, and each COMMIT needs no fsync of its own."""
    with closing(connection.cursor()) as cursor:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "busy_timeout = 5000"):
            cursor.execute(f"PRAGMA {pragma}")
