"""The example of a store over Piccolo, an ORM without an adapter of ours, keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("piccolo")

from piccolo.engine.postgres import PostgresTransaction

from examples.piccolo_store import opened
from notistore_conformance import NotificationStoreSuite, StoreImplementation
from tools.proxy import behind_proxy

from ..backends import backend


class TestPiccolo(NotificationStoreSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            async with opened(url) as store, opened(self.url) as peer:

                @asynccontextmanager
                async def savepoint(session: PostgresTransaction) -> AsyncIterator[None]:
                    point = await session.savepoint()
                    try:
                        yield
                    except BaseException:
                        await point.rollback_to()
                        raise
                    await point.release()

                yield StoreImplementation(
                    store,
                    peer=peer,
                    transaction=store.engine.transaction,
                    savepoint=savepoint,
                    outage=proxy and proxy.outage,
                    backend=backend(self.url),
                )
