"""The conformance kit on every database Django and notistore have in common, async and sync."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

import pytest

pytest.importorskip("django")

from asgiref.sync import sync_to_async
from django.db import transaction

import notistore_django
from notistore_conformance import NotificationStoreSuite, StoreImplementation
from tests.backends import backend
from tests.django_project import close, databases, server, set_up, sqlite
from tools.proxy import Proxy

set_up()


class Suite(NotificationStoreSuite):
    """Two aliases of one database: Django has a connection for each alias and thread, so that two are two clients."""

    entry: dict[str, Any]
    url: str

    @contextmanager
    def aliases(self) -> Iterator[tuple[str, str, Proxy | None, Callable[[], Any] | None]]:
        """The store's alias, which goes through a proxy, its peer's, the proxy, and an outage.

        A thread that called nothing meanwhile is left with a connection that was cut. Django's close_old_connections()
        rids it of that between requests or jobs; here the outage's end does so.
        """
        name = f"django_{uuid.uuid4().hex}"
        peer = f"{name}_peer"
        if not self.entry.get("HOST"):  # Django fills in what is missing
            with databases(**{name: self.entry, peer: self.entry}):
                yield name, peer, None, None
            return
        with Proxy(int(self.entry["PORT"]), self.entry["HOST"]) as proxy:
            through = self.entry | {"HOST": "127.0.0.1", "PORT": str(proxy.port)}
            with databases(**{name: through, peer: self.entry}) as opened:

                @contextmanager
                def outage() -> Iterator[None]:
                    with proxy.outage():
                        yield
                    close(opened)

                yield name, peer, proxy, outage


class AsyncSuite(Suite):
    @asynccontextmanager
    async def make_store(self) -> AsyncIterator[StoreImplementation]:
        with self.aliases() as (name, peer, proxy, outage):
            store = notistore_django.DjangoStore(name)
            await store.create_schema()

            @asynccontextmanager
            async def transaction_or_savepoint(session: object = None) -> AsyncIterator[str]:
                block = transaction.atomic(name)
                await sync_to_async(block.__enter__)()
                try:
                    yield name
                except BaseException as error:
                    await sync_to_async(block.__exit__)(type(error), error, None)
                    raise
                await sync_to_async(block.__exit__)(None, None, None)

            yield StoreImplementation(
                store,
                peer=notistore_django.DjangoStore(peer),
                transaction=transaction_or_savepoint,
                savepoint=transaction_or_savepoint,
                outage=outage,
                lose_reply=proxy and proxy.lost_reply,
                no_outage="an embedded database",
                processes=True,
                backend=backend(self.url),
            )


class SyncSuite(Suite):
    """The kit calls a bound store and enters its transaction on its event loop."""

    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with self.aliases() as (name, peer, proxy, outage), patch.dict(os.environ, DJANGO_ALLOW_ASYNC_UNSAFE="1"):
            store = notistore_django.SyncDjangoStore(name)
            store.create_schema()

            @contextmanager
            def transaction_or_savepoint(session: object = None) -> Iterator[str]:
                with transaction.atomic(name):
                    yield name

            yield StoreImplementation(
                store,
                peer=notistore_django.SyncDjangoStore(peer),
                transaction=transaction_or_savepoint,
                savepoint=transaction_or_savepoint,
                outage=outage,
                lose_reply=proxy and proxy.lost_reply,
                no_outage="an embedded database",
                processes=True,
                backend=backend(self.url),
            )


class TestSqliteAsync(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.entry, self.url = sqlite(tmp_path_factory.getbasetemp() / "django-async.db"), "sqlite:"


class TestSqlite(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.entry, self.url = sqlite(tmp_path_factory.getbasetemp() / "django-sync.db"), "sqlite:"


class TestPostgresAsync(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.entry, self.url = server(postgres_url), postgres_url


class TestPostgres(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, postgres_url: str) -> None:
        self.entry, self.url = server(postgres_url), postgres_url


class TestMariaDBAsync(AsyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.entry, self.url = server(mariadb_url), mariadb_url


class TestMariaDB(SyncSuite):
    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.entry, self.url = server(mariadb_url), mariadb_url
