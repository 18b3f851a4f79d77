"""A store that does not answer: streams of clients that have left do not count towards the caps, and a stream that ends
is answered, so that a server can shut down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app, stream

from .mounts import MOUNTS, Mount, user_of
from .served import Served


class Hanging(MemoryStore):
    """Its counts wait until they are released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def unread_counts(self, recipients: Sequence[Recipient], **options: Any) -> Mapping[Recipient, int]:
        await self.released.wait()
        return await super().unread_counts(recipients, **options)


async def until_streams(hub: SseHub, number: int) -> None:
    async with asyncio.timeout(60):
        while hub.stats().streams != number:  # noqa: ASYNC110 - the hub only has this to say it with
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("mount", MOUNTS.values(), ids=MOUNTS.keys())
async def test_a_client_that_leaves_before_the_first_count_leaves_no_stream(
    uvicorn_server: Served, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_LONG", 0.05)
    hub = SseHub()
    uvicorn_server.app = mount.build(Inbox(Hanging(), hub))
    path = f"{uvicorn_server.url}{mount.prefix}/notifications/stream"
    async with httpx.AsyncClient(headers={"x-user": "42"}) as client:
        leaving = [asyncio.create_task(client.get(path)) for _ in range(5)]
        await until_streams(hub, 5)
        for one in leaving:
            one.cancel()
        await asyncio.wait(leaving)
    await until_streams(hub, 0)
    assert hub.stats().ended == {"left": 5}


@pytest.mark.parametrize("mount", MOUNTS.values(), ids=MOUNTS.keys())
async def test_a_stream_that_ends_before_its_first_count_is_answered(uvicorn_server: Served, mount: Mount) -> None:
    hub = SseHub()
    uvicorn_server.app = mount.build(Inbox(Hanging(), hub))
    path = f"{uvicorn_server.url}{mount.prefix}/notifications/stream"
    async with httpx.AsyncClient(headers={"x-user": "42"}, timeout=60) as client:
        asking = asyncio.create_task(client.get(path))
        await until_streams(hub, 1)
        hub.close()
        answer = await asking
    assert (answer.status_code, answer.text[:7], answer.text[-2:]) == (200, "retry: ", "\n\n")


async def test_a_client_that_waits_for_a_slow_count_gets_its_stream(
    uvicorn_server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_LONG", 0.05)
    hub, store = SseHub(), Hanging()
    inbox = Inbox(store, hub)
    uvicorn_server.app = inbox_app(inbox, user_of)
    asyncio.get_running_loop().call_later(0.3, store.released.set)
    async with uvicorn_server.stream("/notifications/stream") as opened:
        assert b'"count":0' in await opened.frame()
        await inbox.send(Recipient("42"), "t")
        assert b'"type":"t"' in await opened.frame()


@pytest.fixture
def sockets(uvicorn_server: Served, monkeypatch: pytest.MonkeyPatch) -> tuple[str, SseHub, Hanging]:
    monkeypatch.setattr(stream, "_LONG", 0.05)
    hub, store = SseHub(), Hanging()
    uvicorn_server.app = inbox_app(Inbox(store, hub), user_of, websocket=lambda connection: Recipient("42"))
    return uvicorn_server.url.replace("http", "ws", 1) + "/notifications/ws", hub, store


async def test_a_websocket_that_closes_before_the_first_count_leaves_no_stream(
    sockets: tuple[str, SseHub, Hanging],
) -> None:
    url, hub, _ = sockets
    async with connect(url), connect(url) as talking:
        await talking.send("{}")
        await until_streams(hub, 2)
    await until_streams(hub, 0)
    assert hub.stats().ended == {"left": 2}


async def test_messages_that_come_before_the_first_count_are_answered_after_it(
    sockets: tuple[str, SseHub, Hanging],
) -> None:
    url, _, store = sockets
    asked = [{"type": "get_unread_count"}, {"type": "mark_read", "ids": []}] * 10
    async with connect(url) as socket:
        for message in asked:
            await socket.send(json.dumps(message))
        asyncio.get_running_loop().call_later(0.3, store.released.set)
        answers = [json.loads(await socket.recv())["event"] for _ in range(len(asked) + 1)]
    assert answers == ["notification", *["notification", "marked"] * 10]
