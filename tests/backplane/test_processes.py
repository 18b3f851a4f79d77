"""DESIGN 6: whole applications: workers that send and exit, and servers whose backplane is killed under load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from notistore import Inbox, Recipient

from .conftest import Service
from .processes import end_in_the_middle, process, send_and_exit, send_and_exit_without_a_loop, serve
from .reading import until

pytest.importorskip("aiosqlite")

from notistore_sqlalchemy import SQLAlchemyStore, open_store


@pytest.fixture
async def database(tmp_path: Path) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path}/inbox.db"
    async with open_store(url):
        pass  # now it has its table
    return url


@pytest.fixture
async def store(database: str) -> AsyncIterator[SQLAlchemyStore]:
    async with open_store(database) as store:
        yield store


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


class Browser:
    """A page with a badge: it shows the counts it is given, and fetches one whenever something else has happened."""

    def __init__(self, client: httpx.AsyncClient, user: str, changed: asyncio.Condition) -> None:
        self.user = user
        self.badge = -1
        self._client = client
        self._headers = {"x-user": user}
        self._changed = changed

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self._client.stream("GET", "/notifications/stream", headers=self._headers, timeout=None) as stream:
            showing = asyncio.create_task(self._show(stream.aiter_lines()))
            try:
                yield
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)

    async def _show(self, lines: AsyncIterator[str]) -> None:
        async for line in lines:
            if not line.startswith("data:"):
                continue
            data = json.loads(line[5:] or "{}")
            if "count" not in data:
                answer = await self._client.get("/notifications/unread/count", headers=self._headers, timeout=20)
                data = answer.json()
            async with self._changed:
                self.badge = data["count"]
                self._changed.notify_all()


async def test_every_badge_is_right_after_the_backplane_was_killed_under_load(
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
                    assert answer.status_code == 204
                    sent[user] += 1

        async def badges(some: list[str]) -> None:
            async with asyncio.timeout(15), changed:
                await changed.wait_for(
                    lambda: all(each.badge == sent[each.user] for each in browsers if each.user in some)
                )

        assert own_service.server is not None
        steady = asyncio.create_task(load(users[:4], 20))
        await badges([])
        own_service.server.kill()
        await load(users[4:], 5)
        await asyncio.to_thread(own_service.server.start)
        await steady
        await badges(users)
        assert sent == {user: await Inbox(store).unread_count(Recipient(user)) for user in users}
        assert min(sent.values()) == 5
