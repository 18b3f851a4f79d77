"""The conformance kit on Prisma Client Python, async and sync, over SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from tools.prisma_engine import client_class
from tools.proxy import behind_proxy

from ..backends import backend

VERSION = "SELECT sqlite_version() AS version"  # queried through the client, whose engine bundles its own SQLite


class Suite(NotificationStoreSuite):
    url: str
    Prisma: Any

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("file:")


class AsyncSuite(Suite):
    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        from notistore_prisma import PrismaStore

        with behind_proxy(self.url) as (url, proxy):
            async with self.client(url) as client, self.client(self.url) as other:
                store = PrismaStore(client)
                await store.create_schema()
                yield StoreImplementation(
                    store,
                    peer=PrismaStore(other),
                    transaction=client.tx,
                    savepoint=self.savepoint,
                    outage=proxy and proxy.outage,
                    lose_reply=proxy and proxy.lost_reply,
                    no_outage="an embedded database",
                    processes=True,
                    backend=f"SQLite {(await client.query_raw(VERSION))[0]['version']}"
                    if self.is_sqlite
                    else backend(self.url),
                )

    def client(self, url: str) -> Any:
        return self.Prisma(datasource={"url": url})

    @asynccontextmanager
    async def savepoint(self, transaction: Any) -> AsyncIterator[None]:
        await transaction.execute_raw("SAVEPOINT host")
        try:
            yield
        except BaseException:
            await transaction.execute_raw("ROLLBACK TO SAVEPOINT host")
            raise
        finally:
            await transaction.execute_raw("RELEASE SAVEPOINT host")


class SyncSuite(Suite):
    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        from notistore_prisma import SyncPrismaStore

        with (
            behind_proxy(self.url) as (url, proxy),
            self.client(url) as client,
            self.client(self.url) as other,
        ):
            store = SyncPrismaStore(client)
            store.create_schema()
            yield StoreImplementation(
                store,
                peer=SyncPrismaStore(other),
                transaction=client.tx,
                savepoint=self.savepoint,
                outage=proxy and proxy.outage,
                lose_reply=proxy and proxy.lost_reply,
                no_outage="an embedded database",
                processes=True,
                backend=f"SQLite {client.query_raw(VERSION)[0]['version']}" if self.is_sqlite else backend(self.url),
            )

    def client(self, url: str) -> Any:
        return self.Prisma(datasource={"url": url})

    @contextmanager
    def savepoint(self, transaction: Any) -> Iterator[None]:
        transaction.execute_raw("SAVEPOINT host")
        try:
            yield
        except BaseException:
            transaction.execute_raw("ROLLBACK TO SAVEPOINT host")
            raise
        finally:
            transaction.execute_raw("RELEASE SAVEPOINT host")


class TestPostgres(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str, request: pytest.FixtureRequest) -> None:
        self.url = postgres_url
        self.Prisma = client_class("postgresql", "asyncio", request)


class TestSyncPostgres(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str, request: pytest.FixtureRequest) -> None:
        self.url = postgres_url
        self.Prisma = client_class("postgresql", "sync", request)


class TestSQLite(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
        self.url = f"file:{tmp_path_factory.getbasetemp() / 'prisma.db'}"
        self.Prisma = client_class("sqlite", "asyncio", request)


class TestSyncSQLite(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
        self.url = f"file:{tmp_path_factory.getbasetemp() / 'prisma-sync.db'}"
        self.Prisma = client_class("sqlite", "sync", request)
