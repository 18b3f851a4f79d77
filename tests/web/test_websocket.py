"""The WebSocket route: the same events, and two messages answered (docs/transports.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from notistore import Inbox, MemoryStore, Recipient, SseHub, StoreError
from notistore.web import inbox_app

from .served import Served

USER = Recipient("42")


class Failing(MemoryStore):
    async def unread_count(self, *args: Any, **options: Any) -> int:
        raise StoreError("secret words")


@pytest.fixture
def inbox() -> Inbox:
    return Inbox(MemoryStore(), SseHub())


@pytest.fixture
def open_socket(inbox: Inbox, uvicorn_server: Served) -> Any:
    def who(connection: Any) -> Recipient | None:
        name = connection.headers.get("x-user")
        return Recipient(name) if name else None

    uvicorn_server.app = inbox_app(
        inbox, who, websocket=who, close_on_signals=False, trusted_origins=["https://app.example.com"]
    )

    @asynccontextmanager
    async def opened(user: str = "42", **headers: str) -> AsyncIterator[ClientConnection]:
        url = uvicorn_server.url.replace("http", "ws", 1) + "/notifications/ws"
        async with connect(url, additional_headers={"x-user": user} | headers) as socket:
            yield socket

    return opened


async def message(socket: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await socket.recv())


async def ask(socket: ClientConnection, **what: object) -> Any:
    await socket.send(json.dumps(what))
    return await message(socket)


async def test_the_count_comes_first_and_then_each_event(inbox: Inbox, open_socket: Any) -> None:
    await inbox.send(USER, "a")
    async with open_socket() as socket:
        assert await message(socket) == {"event": "notification", "data": {"count": 1}}
        sent = await inbox.send(USER, "b", {"text": 'a\nb: c "d"'})
        told = await message(socket)
        assert (told["event"], told["data"]["id"], told["data"]["data"]) == ("notification", sent.id, sent.data)
        await inbox.delete(USER, sent.id)
        assert await message(socket) == {"event": "delete", "data": {"notificationId": sent.id}}
        assert await message(socket) == {"event": "notification", "data": None}


async def test_marking_and_counting_are_answered(inbox: Inbox, open_socket: Any) -> None:
    mine, other = await inbox.send(USER, "a"), await inbox.send(Recipient("7"), "a")
    async with open_socket() as socket:
        await message(socket)
        await socket.send(json.dumps({"type": "mark_read", "ids": [mine.id, "nonsense"]}))
        told = [await message(socket) for _ in range(3)]  # the answer, and what every stream is told
        assert {"event": "marked", "data": {"updated": 1}} in told
        assert await ask(socket, type="mark_read", ids=[other.id]) == {"event": "marked", "data": {"updated": 0}}
        assert await ask(socket, type="get_unread_count") == {"event": "notification", "data": {"count": 0}}
    assert await inbox.unread_count(Recipient("7")) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"type":"x"}', '{"type":"mark_read"}', '{"type":"mark_read","ids":[1]}', "x" * 70_000]
)
async def test_what_cannot_be_understood_is_refused_and_the_socket_goes_on(text: str, open_socket: Any) -> None:
    async with open_socket() as socket:
        await message(socket)
        await socket.send(text)
        refused = await message(socket)
        assert (refused["event"], refused["data"]["status"]) == ("error", 422)
        await socket.send(b"bytes")
        assert (await message(socket))["data"]["field"] == "message"
        assert (await ask(socket, type="get_unread_count"))["data"] == {"count": 0}


@pytest.mark.parametrize(
    ("user", "headers"),
    [
        ("", {}),
        ("u" * 200, {}),
        ("42", {"Origin": "https://evil.example"}),
        ("42", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
    ],
    ids=["nobody", "no possible name", "another origin", "marked cross-site"],
)
async def test_who_may_not_is_refused_at_the_handshake(user: str, headers: dict[str, str], open_socket: Any) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with open_socket(user, **headers):
            pass
    assert refused.value.response.status_code == 403


async def test_a_trusted_origin_may(open_socket: Any) -> None:
    async with open_socket(Origin="https://app.example.com") as socket:
        assert (await message(socket))["data"] == {"count": 0}


async def test_a_closed_hub_ends_the_socket_and_a_leaver_leaves_nothing(
    inbox: Inbox, open_socket: Any, uvicorn_server: Served
) -> None:
    assert inbox.hub is not None
    async with open_socket() as socket:
        await message(socket)
    await uvicorn_server.idle()
    assert inbox.hub.stats().ended == {"left": 1}
    async with open_socket() as socket:
        await message(socket)
        inbox.hub.close()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await message(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def test_a_store_that_fails_is_told_without_its_words(inbox: Inbox, open_socket: Any) -> None:
    async with open_socket() as socket:
        await message(socket)
        inbox.store = Failing()
        refused = await ask(socket, type="get_unread_count")
        assert (refused["event"], refused["data"]["status"]) == ("error", 503)
        assert "secret" not in refused["data"]["detail"]
