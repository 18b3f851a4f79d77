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

from ..servers import PostgresServer
from .browsers import Browser, all_show
from .conftest import Service, prefix
from .processes import (
    end_in_the_middle,
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
async def test_a_worker_that_exits_at_once_is_heard(
    service: Service, worker: Callable[..., None], database: str, store: SQLAlchemyStore
) -> None:
    async with service.hub() as hub, hub.subscribe(Recipient("42")) as stream:
        inbox = Inbox(store, hub)
        async with process(worker, *service.parts, database, "42"):
            heard = await until(stream, b'"report.ready"', within=20)
        assert b'"data":{"report":7}' in heard
        assert await inbox.unread_count(Recipient("42")) == 1


async def test_a_program_that_never_closes_its_hub_ends_all_the_same(service: Service) -> None:
    async with process(end_in_the_middle, *service.parts):
        pass


@pytest.mark.parametrize("service", ["redis"], indirect=True)
async def test_what_a_killed_process_told_nobody_is_put_right_when_streams_have_had_their_time(
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


class Site:
    """Two servers, and six users with a page on each.

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
        """Send to each of them, round after round, by way of both servers in turn."""
        for n in range(rounds):
            for user in users:
                answer = await self._clients[n % 2].post(f"/send/{user}", timeout=20)
                assert may_fail or answer.status_code == 200, answer.text
                if answer.status_code == 200:
                    self.acknowledged[user].add(answer.text)

    async def all_is_right(self, store: NotificationStore) -> None:
        """Everything acknowledged is stored, and every page comes to show what is, on the stream it began with."""
        await all_show(self._browsers, self._changed, Inbox(store))
        for user, ids in self.acknowledged.items():
            assert ids <= {row.id for row in await store.page(Recipient(user), limit=1000)}
        assert {each.connects for each in self._browsers} == {1}, "it reconnected, and that heals too"


async def test_every_badge_and_list_is_right_after_the_backplane_was_killed_under_load(
    own_service: Service, database: str, store: SQLAlchemyStore
) -> None:
    """Half of the users only get anything during the outage."""
    assert own_service.server is not None
    async with Site(own_service.parts, database) as site:
        steady = asyncio.create_task(site.load(USERS[:3], 15))
        own_service.server.kill()
        await site.load(USERS[3:], 5)
        await asyncio.to_thread(own_service.server.start)
        await steady
        await site.all_is_right(store)
        assert [len(ids) for ids in site.acknowledged.values()] == [15] * 3 + [5] * 3


async def test_every_badge_and_list_is_right_after_store_and_backplane_were_killed_together(
    own_postgres: PostgresServer,
) -> None:
    """PostgreSQL is both. What hubs count first after the gap they count on connections that broke as well."""
    name = prefix() + "db"  # left to the server's own end: what drops it would have to outlive the kill
    connection = await pytest.importorskip("asyncpg").connect(own_postgres.url)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    url = urlsplit(own_postgres.url)._replace(path=f"/{name}").geturl()
    database = url.replace("postgresql:", "postgresql+asyncpg:")
    async with open_store(database) as store, Site(("postgres", url, prefix()), database) as site:
        await site.load(USERS, 2)
        steady = asyncio.create_task(site.load(USERS[:3], 15, may_fail=True))
        await asyncio.to_thread(own_postgres.kill)
        await site.load(USERS[3:], 2, may_fail=True)
        await asyncio.to_thread(own_postgres.start)
        await steady
        await site.all_is_right(store)
