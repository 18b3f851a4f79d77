"""The conformance kit on every database that Peewee and notistore have in common, async and sync."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("peewee")

from peewee import SqliteDatabase
from playhouse.pool import PooledMySQLDatabase, PooledPostgresqlDatabase
from playhouse.pwasyncio import AsyncMySQLDatabase, AsyncPostgresqlDatabase, AsyncSqliteDatabase

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from notistore_peewee import PeeweeStore, SyncPeeweeStore
from tools.proxy import behind_proxy

from ..backends import backend


def database(url: str, *, asynchronous: bool, **options: Any) -> Any:
    """Peewee's database for a URL without a driver."""
    parts = urlsplit(url)
    match parts.scheme:
        case "sqlite":
            kind = AsyncSqliteDatabase if asynchronous else SqliteDatabase
            return kind(parts.path[1:], pragmas={"journal_mode": "wal"}, lock_type="IMMEDIATE", **options)
        case "postgresql":
            return (AsyncPostgresqlDatabase if asynchronous else PooledPostgresqlDatabase)(url, **options)
        case _:
            account = {"user": parts.username or "root", "password": parts.password or ""}
            kind = AsyncMySQLDatabase if asynchronous else PooledMySQLDatabase
            return kind(parts.path[1:], host=parts.hostname, port=parts.port, **account, **options)


@contextmanager
def closing_all(database: Any) -> Iterator[Any]:
    """Close the connections that Peewee's pools keep open."""
    yield database
    if hasattr(database, "close_all"):
        database.close_all()


class AsyncSuite(NotificationStoreSuite):
    url: str

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            one, other = (database(each, asynchronous=True) for each in (url, self.url))
            try:
                store = PeeweeStore(one)
                await store.create_schema()

                @asynccontextmanager
                async def transaction() -> AsyncIterator[Any]:
                    async with one, one.atomic():
                        yield one

                yield StoreImplementation(
                    store,
                    peer=PeeweeStore(other),
                    transaction=transaction,
                    savepoint=lambda session: session.atomic(),
                    outage=proxy and proxy.outage,
                    lose_reply=proxy and (proxy.lost_commit if self.url.startswith("mysql") else proxy.lost_reply),
                    no_outage="an embedded database",
                    processes=True,
                    backend=backend(self.url),
                )
            finally:
                await one.close_pool()
                await other.close_pool()


class SyncSuite(NotificationStoreSuite):
    url: str

    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with (
            behind_proxy(self.url) as (url, proxy),
            closing_all(database(url, asynchronous=False)) as one,
            closing_all(database(self.url, asynchronous=False)) as other,
        ):
            store = SyncPeeweeStore(one)
            store.create_schema()

            @contextmanager
            def transaction() -> Iterator[Any]:
                with one:
                    yield one

            yield StoreImplementation(
                store,
                peer=SyncPeeweeStore(other),
                transaction=transaction,
                savepoint=lambda session: session.atomic(),
                outage=proxy and proxy.outage,
                lose_reply=proxy and proxy.lost_reply,
                no_outage="an embedded database",
                processes=True,
                backend=backend(self.url),
            )


class TestSqliteAsync(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.url = f"sqlite:///{tmp_path_factory.getbasetemp() / 'peewee-async.db'}"


class TestSqlite(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.url = f"sqlite:///{tmp_path_factory.getbasetemp() / 'peewee-sync.db'}"


class TestPostgresAsync(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestPostgres(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestMariaDBAsync(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url


class TestMariaDB(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url
