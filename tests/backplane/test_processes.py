"""Whole applications: workers that send and exit, and servers whose backplane is killed under load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest

from notistore import Inbox, NotificationStore, Recipient
from tools.servers import PostgresServer

from .browsers import Browser, all_show
from .conftest import Service, prefix
from .processes import (
    exit_without_closing,
    process,
    send_and_exit,
    send_and_exit_without_a_loop,
    serve,
    store_and_be_killed,
)
from .reading import DONE, until, until_done

pytest.importorskip("aiosqlite")

from notistore_sqlalchemy import SQLAlchemyStore, open_store


@pytest.mark.parametrize("worker", [send_and_exit, send_and_exit_without_a_loop])
async def test_the_send_of_a_worker_that_exits_at_once_arrives(
    service: Service, worker: Callable[..., None], database: str, store: SQLAlchemyStore
) -> None:
    async with service.hub() as hub, hub.subscribe(Recipient("42")) as stream:
        inbox = Inbox(store, hub)
        async with process(worker, *service.parts, database, "42"):
            received = await until(stream, b'"report.ready"')
        assert b'"data":{"report":7}' in received
        assert await inbox.unread_count(Recipient("42")) == 1


async def test_a_program_that_never_closes_its_hub_exits(service: Service) -> None:
    async with process(exit_without_closing, *service.parts):
        pass


@pytest.mark.parametrize("service", ["redis"], indirect=True)
async def test_what_a_killed_process_stored_without_publishing_is_corrected_when_streams_reconnect(
    service: Service, database: str, store: SQLAlchemyStore
) -> None:
    changed = asyncio.Condition()
    async with (
        process(serve, *service.parts, database, 1.0) as server,
        service.hub() as hub,
        service.hub() as other,
        hub.subscribe(Recipient("42")) as stream,
    ):
        assert server.stdout is not None
        async with httpx.AsyncClient(base_url=(await server.stdout.readline()).decode().strip()) as client:
            browser = Browser(client, "42", changed)
            async with browser.open():
                async with process(store_and_be_killed, *service.parts, database, "42"):
                    pass
                other.publish(Recipient("42"), DONE)
                assert await until_done(stream) == []
                await all_show([browser], changed, Inbox(store))
                assert browser.shown[0] == 1


USERS = [str(n) for n in range(6)]


class ApplicationUnderLoad:
    """Two server processes, and six users with a browser on each.

    Attributes:
        acknowledged: ids of what was sent, by user.
    """

    def __init__(self, parts: tuple[str, str, str], database: str) -> None:
        self._arguments = (*parts, database)
        self._stack = AsyncExitStack()
        self._clients: list[httpx.AsyncClient] = []
        self._changed = asyncio.Condition()
        self._browsers: list[Browser] = []
        self.acknowledged: dict[str, set[str]] = {user: set() for user in USERS}

    async def __aenter__(self) -> Self:
        servers = [await self._stack.enter_async_context(process(serve, *self._arguments)) for _ in range(2)]
        for server in servers:
            assert server.stdout is not None
            address = (await server.stdout.readline()).decode().strip()
            client = httpx.AsyncClient(base_url=address, limits=httpx.Limits(max_connections=None))
            self._clients.append(await self._stack.enter_async_context(client))
        self._browsers = [Browser(client, user, self._changed) for client in self._clients for user in USERS]
        for browser in self._browsers:
            await self._stack.enter_async_context(browser.open())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def load(self, users: Sequence[str], rounds: int, *, may_fail: bool = False) -> None:
        """Send to each of these users in each round, alternating between the servers."""
        for n in range(rounds):
            for user in users:
                answer = await self._clients[n % 2].post(f"/send/{user}", timeout=60)
                assert may_fail or answer.status_code == 200, answer.text
                if answer.status_code == 200:
                    self.acknowledged[user].add(answer.text)

    async def verify(self, store: NotificationStore) -> None:
        """Assert that every acknowledged send is stored, and that every page shows it without having reconnected."""
        await all_show(self._browsers, self._changed, Inbox(store))
        for user, ids in self.acknowledged.items():
            assert ids <= {row.id for row in await store.page(Recipient(user), limit=1000)}
        assert {each.connects for each in self._browsers} == {1}, "a stream reconnected, which also refreshes a page"


async def test_every_badge_and_list_is_right_after_the_backplane_was_killed_under_load(
    own_service: Service, database: str, store: SQLAlchemyStore
) -> None:
    """To half of the users everything is sent during the outage."""
    assert own_service.server is not None
    async with ApplicationUnderLoad(own_service.parts, database) as application:
        background = asyncio.create_task(application.load(USERS[:3], 15))
        own_service.server.kill()
        await application.load(USERS[3:], 5)
        await asyncio.to_thread(own_service.server.start)
        await background
        await application.verify(store)
        assert [len(ids) for ids in application.acknowledged.values()] == [15] * 3 + [5] * 3


async def test_every_badge_and_list_is_right_after_store_and_backplane_were_killed_together(
    own_postgres: PostgresServer,
) -> None:
    """PostgreSQL is both. The first counts after the gap run on connections that broke as well."""
    name = prefix() + "db"  # dropped with the server, which the test kills
    connection = await pytest.importorskip("asyncpg").connect(own_postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    url = urlsplit(own_postgres.url)._replace(path=f"/{name}").geturl()
    database = url.replace("postgresql:", "postgresql+asyncpg:")
    async with (
        open_store(database) as store,
        ApplicationUnderLoad(("postgres", url, prefix()), database) as application,
    ):
        await application.load(USERS, 2)
        background = asyncio.create_task(application.load(USERS[:3], 15, may_fail=True))
        await asyncio.to_thread(own_postgres.kill)
        await application.load(USERS[3:], 2, may_fail=True)
        await asyncio.to_thread(own_postgres.start)
        await background
        await application.verify(store)
