"""The conformance kit on every database that Tortoise ORM and notistore both support, with each of its drivers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from tortoise import Tortoise
from tortoise.backends.base.client import TransactionalDBClient
from tortoise.transactions import in_transaction

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from notistore_tortoise import TortoiseStore
from tools.proxy import behind_proxy

from ..backends import backend


def with_scheme(url: str, scheme: str) -> str:
    return scheme + url[url.index(":") :]


@asynccontextmanager
async def tortoise(url: str | dict[str, Any], *names: str) -> AsyncIterator[None]:
    """Tortoise as an application has it, with the connections "default" and `names` to one database."""
    app = {"models": ["notistore_tortoise.models"], "default_connection": "default"}
    config = {"connections": dict.fromkeys(("default", *names), url), "apps": {"notistore": app}}
    context = await Tortoise.init(config=config, _enable_global_fallback=True)
    try:
        yield
    finally:
        await context.close_connections()


class Suite(NotificationStoreSuite):
    scheme: str
    url: str
    waits: ClassVar[bool] = False
    """Whether the pool waits so long for a connection that an outage is left to test_faults.py."""

    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with behind_proxy(self.url) as (url, proxy):
            async with tortoise(with_scheme(url, self.scheme), "other"):
                store = TortoiseStore()
                await store.create_schema()
                yield StoreImplementation(
                    store,
                    peer=TortoiseStore("other"),
                    transaction=lambda: in_transaction("default"),
                    savepoint=self.savepoint,
                    outage=None if proxy is None or self.waits else proxy.outage,
                    lose_reply=proxy and (proxy.lost_commit if self.url.startswith("mysql") else proxy.lost_reply),
                    no_outage="left to test_tortoise_faults.py" if self.waits else "an embedded database",
                    processes=True,
                    backend=backend(self.url),
                )

    @asynccontextmanager
    async def savepoint(self, session: TransactionalDBClient) -> AsyncIterator[None]:
        async with in_transaction("default"):
            yield


class TestAsyncpg(Suite):
    scheme = "asyncpg"

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestPsycopg(Suite):
    scheme = "psycopg"
    waits = True

    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.url = postgres_url


class TestMariaDB(Suite):
    scheme = "mysql"

    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url


class TestSqlite(Suite):
    scheme = "sqlite"

    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.url = f"sqlite://{tmp_path_factory.getbasetemp() / 'tortoise.db'}"
