"""The conformance kit on every driver SQLAlchemy has for the databases notistore supports, async and sync."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from notistore_sqlalchemy import SQLAlchemyStore, SyncSQLAlchemyStore
from tools.proxy import behind_proxy

from ..backends import backend


def with_driver(url: str, driver: str) -> str:
    return driver + url[url.index(":") :]


def with_real_transactions(engine: Engine) -> None:
    """SQLAlchemy's recipe for SQLite. Without it sqlite3 begins late, and releasing a savepoint commits."""

    @event.listens_for(engine, "connect")
    def no_implicit_begin(connection: Any, record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class AsyncSuite(NotificationStoreSuite):
    """The host works through AsyncSession."""

    driver: str
    url: str

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            engine, other = (self.engine(url), self.engine(self.url))
            try:
                store = SQLAlchemyStore(engine)
                await store.create_schema()
                yield StoreImplementation(
                    store,
                    peer=SQLAlchemyStore(other),
                    transaction=functools.partial(self.transaction, engine),
                    savepoint=lambda session: session.begin_nested(),
                    outage=proxy and proxy.outage,
                    lose_reply=proxy and (proxy.lost_commit if self.url.startswith("mysql") else proxy.lost_reply),
                    no_outage="an embedded database",
                    processes=True,
                    backend=backend(self.url),
                )
            finally:
                await engine.dispose()
                await other.dispose()

    def engine(self, url: str) -> AsyncEngine:
        return create_async_engine(with_driver(url, self.driver), max_overflow=20)

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncSession | AsyncConnection]:
        async with AsyncSession(engine) as session, session.begin():
            yield session


class SyncSuite(NotificationStoreSuite):
    """The host works through Session."""

    driver: str
    url: str

    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            engine, other = (self.engine(url), self.engine(self.url))
            try:
                store = SyncSQLAlchemyStore(engine)
                store.create_schema()
                yield StoreImplementation(
                    store,
                    peer=SyncSQLAlchemyStore(other),
                    transaction=functools.partial(self.transaction, engine),
                    savepoint=lambda session: session.begin_nested(),
                    outage=proxy and proxy.outage,
                    lose_reply=proxy and (proxy.lost_commit if self.url.startswith("mysql") else proxy.lost_reply),
                    no_outage="an embedded database",
                    processes=True,
                    backend=backend(self.url),
                )
            finally:
                engine.dispose()
                other.dispose()

    def engine(self, url: str) -> Engine:
        return create_engine(with_driver(url, self.driver), max_overflow=20)

    @contextmanager
    def transaction(self, engine: Engine) -> Iterator[Session]:
        with Session(engine) as session, session.begin():
            yield session


class TestAsyncpg(AsyncSuite):
    driver = "postgresql+asyncpg"

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestAsyncPsycopg(AsyncSuite):
    driver = "postgresql+psycopg"

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestPsycopg(SyncSuite):
    driver = "postgresql+psycopg"

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestAsyncmy(AsyncSuite):
    driver = "mysql+asyncmy"

    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url


class TestAiomysql(AsyncSuite):
    driver = "mariadb+aiomysql"

    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url


class TestPyMySQL(SyncSuite):
    driver = "mysql+pymysql"

    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url


class TestAiosqlite(AsyncSuite):
    """The host works through AsyncConnection."""

    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.url = f"sqlite:///{tmp_path_factory.getbasetemp() / 'async.db'}"

    def engine(self, url: str) -> AsyncEngine:
        engine = create_async_engine(with_driver(url, "sqlite+aiosqlite"))
        with_real_transactions(engine.sync_engine)
        return engine

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with engine.begin() as connection:
            yield connection


class TestSqlite3(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.url = f"sqlite:///{tmp_path_factory.getbasetemp() / 'sync.db'}"

    def engine(self, url: str) -> Engine:
        engine = create_engine(url, max_overflow=20)
        with_real_transactions(engine)
        return engine
