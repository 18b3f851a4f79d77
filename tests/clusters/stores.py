"""Every store and backplane of the cluster tests by name, opened as an application does.

A URL is the database's own, without a driver: "postgresql://...", "mysql://...", "redis://...". Redis has two more:
"redis+cluster://host:port" is any node of a cluster, "redis+sentinel://host:port,host:port/name" a primary that
Sentinels know by this name.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from sqlalchemy import NullPool

from notistore.discovery import find_store
from notistore.hub.backplane import Backplane
from notistore.store import NotificationStore

Open: TypeAlias = Callable[[str], AbstractAsyncContextManager[NotificationStore]]


def sqlalchemy(driver: str, **options: Any) -> Open:
    """A store on an engine with these options."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[NotificationStore]:
        from sqlalchemy.ext.asyncio import create_async_engine

        from notistore_sqlalchemy import SQLAlchemyStore

        engine = create_async_engine(with_scheme(url, driver), pool_pre_ping=True, **options)
        try:
            yield await with_schema(SQLAlchemyStore(engine))
        finally:
            await engine.dispose()

    return opened


def by_entry_point(name: str, scheme: str | None = None, query: str = "") -> Open:
    """A store opened through its entry point; `scheme` replaces the URL's if the ORM needs another one."""

    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[NotificationStore]:
        opener, rest = find_store(f"{name}:{with_scheme(url, scheme) if scheme else url}{query}")
        async with opener(rest) as store:
            yield store

    return opened


@asynccontextmanager
async def tortoise_psycopg_pooled(url: str) -> AsyncIterator[NotificationStore]:
    from psycopg.rows import dict_row
    from tortoise.backends.psycopg import PsycopgClient

    from notistore_tortoise import TortoiseStore

    parts = urlsplit(url)
    client = PsycopgClient(
        user=parts.username,
        password="",
        database=parts.path.removeprefix("/"),
        host=parts.hostname,
        port=parts.port or 5432,
        connection_name="default",
        kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": None},  # in place of Tortoise's own
    )
    await client.create_connection(with_db=True)
    try:
        yield await with_schema(TortoiseStore(client))
    finally:
        await client.close()


@asynccontextmanager
async def peewee_asyncpg_pooled(url: str) -> AsyncIterator[NotificationStore]:
    from playhouse.pwasyncio import AsyncPostgresqlDatabase

    from notistore_peewee import PeeweeStore

    database = AsyncPostgresqlDatabase(url, statement_cache_size=0)
    try:
        yield await with_schema(PeeweeStore(database))
    finally:
        await database.close_pool()


@asynccontextmanager
async def asyncpg_pooled(url: str) -> AsyncIterator[NotificationStore]:
    import asyncpg

    from notistore_asyncpg import AsyncpgStore

    async with asyncpg.create_pool(url, min_size=1, statement_cache_size=0) as pool:
        yield await with_schema(AsyncpgStore(pool))


@asynccontextmanager
async def psycopg_pooled(url: str) -> AsyncIterator[NotificationStore]:
    from psycopg_pool import AsyncConnectionPool

    from notistore_psycopg import PsycopgStore

    async with AsyncConnectionPool(url, kwargs={"prepare_threshold": None}, open=False) as pool:
        yield await with_schema(PsycopgStore(pool))


@asynccontextmanager
async def redis(url: str) -> AsyncIterator[NotificationStore]:
    from notistore_redis import RedisStore

    async with redis_client(url) as client:
        yield RedisStore(client)


POSTGRES: Final[dict[str, Open]] = {
    "SQLAlchemy, asyncpg": sqlalchemy("postgresql+asyncpg"),
    "SQLAlchemy, psycopg": sqlalchemy("postgresql+psycopg"),
    "Tortoise, asyncpg": by_entry_point("tortoise", "postgres"),
    "Tortoise, psycopg": by_entry_point("tortoise", "psycopg"),
    "Peewee, asyncpg": by_entry_point("peewee"),
    "Django, psycopg": by_entry_point("django"),
    "asyncpg": by_entry_point("asyncpg"),
    "psycopg": by_entry_point("psycopg"),
}
MARIADB: Final[dict[str, Open]] = {
    "SQLAlchemy, asyncmy": sqlalchemy("mysql+asyncmy"),
    "SQLAlchemy, aiomysql": sqlalchemy("mysql+aiomysql"),
    "Tortoise, asyncmy": by_entry_point("tortoise"),
    "Peewee, aiomysql": by_entry_point("peewee"),
    "Django, PyMySQL": by_entry_point("django"),
}
# Through PgBouncer 1.18 in transaction mode: no prepared statement may outlive its transaction.
POOLED: Final[dict[str, Open]] = {
    "SQLAlchemy, asyncpg, pooled": sqlalchemy(
        "postgresql+asyncpg",
        poolclass=NullPool,
        connect_args={
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__asyncpg_{uuid.uuid4()}__",
        },
    ),
    "SQLAlchemy, psycopg, pooled": sqlalchemy("postgresql+psycopg", connect_args={"prepare_threshold": None}),
    "Tortoise, asyncpg, pooled": by_entry_point("tortoise", "postgres", "?statement_cache_size=0"),
    "Tortoise, psycopg, pooled": tortoise_psycopg_pooled,
    "Peewee, asyncpg, pooled": peewee_asyncpg_pooled,
    "Django, psycopg, pooled": by_entry_point("django"),
    "asyncpg, pooled": asyncpg_pooled,
    "psycopg, pooled": psycopg_pooled,
}
STORES: Final[dict[str, Open]] = {**POSTGRES, **POOLED, **MARIADB, "Redis": redis}


@asynccontextmanager
async def open_backplane(url: str) -> AsyncIterator[Backplane]:
    if url.startswith("redis"):
        from notistore_redis import RedisBackplane

        async with redis_client(url) as client:
            yield RedisBackplane(client)
    else:
        from notistore_postgres import PostgresBackplane

        yield PostgresBackplane(url)


@asynccontextmanager
async def redis_client(url: str) -> AsyncIterator[Any]:
    import redis.asyncio
    from redis.asyncio.sentinel import Sentinel

    parts = urlsplit(url)
    async with AsyncExitStack() as stack:
        match parts.scheme:
            case "redis+cluster":
                client = redis.asyncio.RedisCluster(host=str(parts.hostname), port=parts.port or 6379)
            case "redis+sentinel":
                addresses = [address.rpartition(":") for address in parts.netloc.split(",")]
                watchers = Sentinel([(host, int(port)) for host, _, port in addresses], socket_timeout=1)
                for sentinel in watchers.sentinels:
                    stack.push_async_callback(sentinel.aclose)
                client = watchers.master_for(parts.path.removeprefix("/"))
            case _:
                client = redis.asyncio.Redis.from_url(url)
        stack.push_async_callback(client.aclose)
        yield client


async def with_schema(store: Any) -> NotificationStore:
    """Create the store's table, and return the store."""
    await store.create_schema()
    return store  # type: ignore[no-any-return]


def with_scheme(url: str, scheme: str) -> str:
    return scheme + url[url.index(":") :]
