"""The conformance kit on the store over asyncpg."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from notistore_asyncpg import AsyncpgStore
from notistore_conformance import NotificationStoreSuite, StoreImplementation
from tools.proxy import behind_proxy

from ..backends import backend


class TestAsyncpg(NotificationStoreSuite):
    url: str

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            async with asyncpg.create_pool(url, min_size=0) as pool, asyncpg.create_pool(self.url, min_size=0) as other:
                store = AsyncpgStore(pool)
                await store.create_schema()

                @asynccontextmanager
                async def transaction() -> AsyncIterator[Any]:
                    async with pool.acquire() as connection, connection.transaction():
                        yield connection

                yield StoreImplementation(
                    store,
                    peer=AsyncpgStore(other),
                    transaction=transaction,
                    savepoint=lambda connection: connection.transaction(),
                    outage=proxy and proxy.outage,
                    lose_reply=proxy and proxy.lost_reply,
                    processes=True,
                    backend=backend(self.url),
                )
