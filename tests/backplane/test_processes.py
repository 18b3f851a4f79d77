"""DESIGN 6: whole applications: workers that send and exit, and servers whose backplane is killed under load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from notistore import Inbox, Recipient

from .browsers import Browser, all_show
from .conftest import Service
from .processes import end_in_the_middle, process, send_and_exit, send_and_exit_without_a_loop, serve
from .reading import until

pytest.importorskip("aiosqlite")

from notistore_sqlalchemy import SQLAlchemyStore


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


async def test_every_badge_and_list_is_right_after_the_backplane_was_killed_under_load(
    own_service: Service, database: str, store: SQLAlchemyStore
) -> None:
    """Two servers, eight users with a page on each; half of the users only get anything during the outage."""
    users = [str(n) for n in range(8)]
    changed = asyncio.Condition()
    sent = dict.fromkeys(users, 0)
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            server = await stack.enter_async_context(process(serve, *own_service.parts, database))
            assert server.stdout is not None
            address = (await server.stdout.readline()).decode().strip()
            client = httpx.AsyncClient(base_url=address, limits=httpx.Limits(max_connections=None))
            clients.append(await stack.enter_async_context(client))
        browsers = [Browser(client, user, changed) for client in clients for user in users]
        for browser in browsers:
            await stack.enter_async_context(browser.open())

        async def load(some: list[str], rounds: int) -> None:
            for n in range(rounds):
                for user in some:
                    answer = await clients[n % 2].post(f"/send/{user}", timeout=20)
                    assert answer.status_code == 200
                    sent[user] += 1

        assert own_service.server is not None
        steady = asyncio.create_task(load(users[:4], 20))
        own_service.server.kill()
        await load(users[4:], 5)
        await asyncio.to_thread(own_service.server.start)
        await steady
        await all_show(browsers, changed, Inbox(store))
        assert sent == {user: await Inbox(store).unread_count(Recipient(user)) for user in users}
        assert min(sent.values()) == 5
        assert {each.connects for each in browsers} == {1}, "a page reconnected, which heals what the hub is to heal"
