"""The stores of test_faults.py, each with a function that opens it on a connection pool of a given size.

An adapter adds itself to `FAULTY`. With a pool of one connection, a connection that is not released blocks the next
call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
from asgiref.sync import sync_to_async
from django.db import connections as django_connections
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.connection import ConnectionHandler

from notistore_asyncpg import AsyncpgStore
from notistore_peewee import PeeweeStore, SyncPeeweeStore
from notistore_psycopg import PsycopgStore, SyncPsycopgStore
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore
from notistore_sqlite import SQLiteStore, SyncSQLiteStore
from notistore_tortoise import TortoiseStore

from ..django_project import databases, server, set_up, sqlite
from .test_peewee_conforms import closing_all
from .test_peewee_conforms import database as peewee_database
from .test_sqlalchemy_conforms import with_driver

__all__ = ["FAULTY", "Faulty"]

LOCK_TIMEOUT = 0.3  # seconds that each attempt waits for a SQLite file

Open = Callable[[str, int], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True)
class Faulty:
    """One store on one driver.

    Attributes:
        name: as in the test's id.
        server: the kind of database.
        open: opens the store on a URL without a driver ("postgresql://", "mysql://", "sqlite:///path"), with at most
            this number of connections. Its table is not created yet.
        is_sync: whether its calls block.
        autocommit: whether a call of one statement runs in autocommit, so that its reply shows the outcome.
        interrupts: whether cancelling a call ends its statement. In a thread it continues.
    """

    name: str
    server: Literal["postgres", "mariadb", "sqlite"]
    open: Open
    is_sync: bool = False
    autocommit: bool = True
    interrupts: bool = True


class InThreads:
    """Runs each call of a blocking store in a thread, of `threads` or of the event loop's default executor."""

    def __init__(self, store: Any, threads: Executor | None = None) -> None:
        self._store = store
        self._threads = threads

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(method, *args, **kwargs))

        return call


@asynccontextmanager
async def open_sqlite(url: str, connections: int) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(url.removeprefix("sqlite:///"), timeout=LOCK_TIMEOUT)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_sync_sqlite(url: str, connections: int) -> AsyncIterator[Any]:
    store = SyncSQLiteStore(url.removeprefix("sqlite:///"), timeout=LOCK_TIMEOUT)
    try:
        yield InThreads(store)
    finally:
        store.close()


@asynccontextmanager
async def open_asyncpg(url: str, connections: int) -> AsyncIterator[AsyncpgStore]:
    async with asyncpg.create_pool(url, min_size=0, max_size=connections) as pool:
        yield AsyncpgStore(pool)


POOL: dict[str, Any] = {"min_size": 0, "open": False, "timeout": 5, "reconnect_timeout": 0.1}


@asynccontextmanager
async def open_psycopg(url: str, connections: int) -> AsyncIterator[PsycopgStore]:
    check = AsyncConnectionPool.check_connection
    async with AsyncConnectionPool(url, max_size=connections, check=check, **POOL) as pool:
        yield PsycopgStore(pool)


@asynccontextmanager
async def open_sync_psycopg(url: str, connections: int) -> AsyncIterator[Any]:
    pool = ConnectionPool(url, max_size=connections, check=ConnectionPool.check_connection, **POOL)
    await asyncio.to_thread(pool.open)
    try:
        yield InThreads(SyncPsycopgStore(pool))
    finally:
        await asyncio.to_thread(pool.close)


def open_sqlalchemy(driver: str) -> Open:
    @asynccontextmanager
    async def open_(url: str, connections: int) -> AsyncIterator[Any]:
        engine = create_async_engine(with_driver(url, driver), **engine_options(url, connections))
        try:
            yield SQLAlchemyStore(engine)
        finally:
            await engine.dispose()

    return open_


def open_sync_sqlalchemy(driver: str) -> Open:
    @asynccontextmanager
    async def open_(url: str, connections: int) -> AsyncIterator[Any]:
        engine = create_engine(with_driver(url, driver), **engine_options(url, connections))
        try:
            yield InThreads(SyncSQLAlchemyStore(engine))
        finally:
            await asyncio.to_thread(engine.dispose)

    return open_


def engine_options(url: str, connections: int) -> dict[str, Any]:
    arguments = {"timeout": LOCK_TIMEOUT} if url.startswith("sqlite") else {}
    return {"pool_size": connections, "max_overflow": 0, "connect_args": arguments}


set_up()


@asynccontextmanager
async def open_django(url: str, connections: int) -> AsyncIterator[Any]:
    """It has one connection: all calls run in one thread."""
    from notistore_django import DjangoStore

    name = f"django_{uuid4().hex}"
    with databases(**{name: django_entry(url)}):
        yield DjangoStore(name)
        await sync_to_async(lambda: django_connections[name].close())()


@asynccontextmanager
async def open_sync_django(url: str, connections: int) -> AsyncIterator[Any]:
    """Django has a connection for each thread."""
    from notistore_django import SyncDjangoStore

    name = f"django_{uuid4().hex}"
    with databases(**{name: django_entry(url)}), ThreadPoolExecutor(connections) as threads:
        yield InThreads(SyncDjangoStore(name), threads)


def django_entry(url: str) -> dict[str, Any]:
    if not url.startswith("sqlite"):
        return server(url)
    entry = sqlite(url.removeprefix("sqlite:///"))
    return entry | {"OPTIONS": entry["OPTIONS"] | {"timeout": LOCK_TIMEOUT}}


@asynccontextmanager
async def open_peewee(url: str, connections: int) -> AsyncIterator[PeeweeStore]:
    options = {"timeout": LOCK_TIMEOUT} if url.startswith("sqlite") else {}
    database = peewee_database(url, asynchronous=True, pool_size=connections, **options)
    try:
        yield PeeweeStore(database)
    finally:
        await database.close_pool()


@asynccontextmanager
async def open_sync_peewee(url: str, connections: int) -> AsyncIterator[Any]:
    limits = {"timeout": LOCK_TIMEOUT} if url.startswith("sqlite") else {"max_connections": connections, "timeout": 30}
    with closing_all(peewee_database(url, asynchronous=False, **limits)) as database:
        yield InThreads(SyncPeeweeStore(database))


def open_tortoise(scheme: str) -> Open:
    @asynccontextmanager
    async def open_(url: str, connections: int) -> AsyncIterator[TortoiseStore]:
        # Tortoise takes a path after two slashes.
        config = expand_db_url(scheme + url[url.index(":") :].replace("///", "//", 1 if scheme == "sqlite" else 0))
        options: dict[str, dict[str, Any]] = {
            "sqlite": {"busy_timeout": int(LOCK_TIMEOUT * 1000)},
            "psycopg": {"timeout": POOL["timeout"], "reconnect_timeout": POOL["reconnect_timeout"]},
        }
        pool = {} if scheme == "sqlite" else {"minsize": 0 if scheme == "psycopg" else 1, "maxsize": connections}
        config["credentials"] |= options.get(scheme, {}) | pool
        handler = ConnectionHandler()
        await handler._init({"faults": config}, create_db=False)
        client = handler.get("faults")
        try:
            yield TortoiseStore(client)
        finally:
            await client.close()

    return open_


def faulty_orms() -> Iterable[Faulty]:
    yield Faulty("SQLAlchemy, aiosqlite", "sqlite", open_sqlalchemy("sqlite+aiosqlite"))
    yield Faulty("SQLAlchemy, sqlite3", "sqlite", open_sync_sqlalchemy("sqlite"), is_sync=True)
    yield Faulty("SQLAlchemy, asyncpg", "postgres", open_sqlalchemy("postgresql+asyncpg"))
    yield Faulty("SQLAlchemy, psycopg", "postgres", open_sqlalchemy("postgresql+psycopg"))
    yield Faulty("SQLAlchemy, psycopg, sync", "postgres", open_sync_sqlalchemy("postgresql+psycopg"), is_sync=True)
    for driver in ("asyncmy", "aiomysql"):
        yield Faulty(f"SQLAlchemy, {driver}", "mariadb", open_sqlalchemy(f"mysql+{driver}"), autocommit=False)
    sync = open_sync_sqlalchemy("mysql+pymysql")
    yield Faulty("SQLAlchemy, PyMySQL", "mariadb", sync, is_sync=True, autocommit=False)
    for scheme, database in (
        ("sqlite", "sqlite"),
        ("asyncpg", "postgres"),
        ("psycopg", "postgres"),
        ("mysql", "mariadb"),
    ):
        yield Faulty(f"Tortoise, {scheme}", database, open_tortoise(scheme), autocommit=scheme != "mysql")  # type: ignore[arg-type]
    servers: tuple[Literal["sqlite", "postgres", "mariadb"], ...] = ("sqlite", "postgres", "mariadb")
    for each in servers:
        yield Faulty(f"Peewee, {each}", each, open_peewee, autocommit=each != "mariadb")
        yield Faulty(f"Peewee, {each}, sync", each, open_sync_peewee, is_sync=True)
        yield Faulty(f"Django, {each}", each, open_django, interrupts=False)
        yield Faulty(f"Django, {each}, sync", each, open_sync_django, is_sync=True)


FAULTY = [
    Faulty("sqlite3", "sqlite", open_sqlite),
    Faulty("sqlite3, sync", "sqlite", open_sync_sqlite, is_sync=True),
    Faulty("asyncpg", "postgres", open_asyncpg),
    Faulty("psycopg", "postgres", open_psycopg),
    Faulty("psycopg, sync", "postgres", open_sync_psycopg, is_sync=True),
    *faulty_orms(),
]
