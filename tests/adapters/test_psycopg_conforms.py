"""The conformance kit on the stores over psycopg 3, async and sync."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from notistore_psycopg import PsycopgStore, SyncPsycopgStore
from tools.proxy import Proxy, behind_proxy

from ..backends import backend

OPTIONS: dict[str, Any] = {"min_size": 0, "max_size": 20, "timeout": 1, "reconnect_timeout": 0.1, "open": False}


@contextmanager
def outage(pool: ConnectionPool[Any], proxy: Proxy) -> Iterator[None]:
    """Cut the connection for the block. At its end, wait until the pool, which reconnects in the background on a
    schedule of its own, has a working connection again."""
    with proxy.outage():
        yield
    while True:
        with suppress(PoolTimeout), pool.connection():
            return


@asynccontextmanager
async def async_outage(pool: AsyncConnectionPool[Any], proxy: Proxy) -> AsyncIterator[None]:
    with proxy.outage():
        yield
    while True:
        with suppress(PoolTimeout):
            async with pool.connection():
                return


class TestAsync(NotificationStoreSuite):
    url: str

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            async with (
                AsyncConnectionPool(url, check=AsyncConnectionPool.check_connection, **OPTIONS) as pool,
                AsyncConnectionPool(self.url, **OPTIONS) as other,
            ):
                store = PsycopgStore(pool)
                await store.create_schema()
                yield StoreImplementation(
                    store,
                    peer=PsycopgStore(other),
                    transaction=pool.connection,
                    savepoint=lambda connection: connection.transaction(),
                    outage=proxy and partial(async_outage, pool, proxy),
                    lose_reply=proxy and proxy.lost_reply,
                    processes=True,
                    backend=backend(self.url),
                )


class TestSync(NotificationStoreSuite):
    url: str

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url

    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with (
            behind_proxy(self.url) as (url, proxy),
            ConnectionPool(url, check=ConnectionPool.check_connection, **OPTIONS) as pool,
            ConnectionPool(self.url, **OPTIONS) as other,
        ):
            store = SyncPsycopgStore(pool)
            store.create_schema()
            yield StoreImplementation(
                store,
                peer=SyncPsycopgStore(other),
                transaction=pool.connection,
                savepoint=lambda connection: connection.transaction(),
                outage=proxy and partial(outage, pool, proxy),
                lose_reply=proxy and proxy.lost_reply,
                processes=True,
                backend=backend(self.url),
            )
