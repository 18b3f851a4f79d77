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

from notistore import Inbox, InvalidArgument, MemoryStore, Recipient, SseHub, StoreError
from notistore.hub.events import Event
from notistore.web import inbox_app, inbox_websocket

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
        sent = {name: value.format(origin=uvicorn_server.url) for name, value in headers.items()}
        async with connect(url, additional_headers={"x-user": user} | sent) as socket:
            yield socket

    return opened


async def message(socket: ClientConnection) -> Any:
    async with asyncio.timeout(60):
        return json.loads(await socket.recv())


async def ask(socket: ClientConnection, **what: object) -> Any:
    await socket.send(json.dumps(what))
    return await message(socket)


async def test_the_count_comes_first_and_then_each_event(inbox: Inbox, open_socket: Any) -> None:
    await inbox.send(USER, "a")
    async with open_socket() as socket:
        assert await message(socket) == {"event": "notification", "data": {"count": 1}}
        sent = await inbox.send(USER, "b", {"text": 'a\nb: c "d"'})
        received = await message(socket)
        assert (received["event"], received["data"]["id"], received["data"]["data"]) == (
            "notification",
            sent.id,
            sent.data,
        )
        await inbox.delete(USER, sent.id)
        assert await message(socket) == {"event": "delete", "data": {"notificationId": sent.id}}
        assert await message(socket) == {"event": "notification", "data": None}


async def test_marking_and_counting_are_answered(inbox: Inbox, open_socket: Any) -> None:
    mine, other = await inbox.send(USER, "a"), await inbox.send(Recipient("7"), "a")
    async with open_socket() as socket:
        await message(socket)
        await socket.send(json.dumps({"type": "mark_read", "ids": [mine.id, "nonsense"]}))
        received = [await message(socket) for _ in range(3)]  # the answer, and the frames that every stream gets
        assert {"event": "marked", "data": {"updated": 1}} in received
        assert await ask(socket, type="mark_read", ids=[other.id]) == {"event": "marked", "data": {"updated": 0}}
        assert await ask(socket, type="mark_read", ids=[]) == {"event": "marked", "data": {"updated": 0}}
        assert await ask(socket, type="get_unread_count") == {"event": "notification", "data": {"count": 0}}
    assert await inbox.unread_count(Recipient("7")) == 1


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"type":"x"}', '{"type":"mark_read"}', '{"type":"mark_read","ids":[1]}', "x" * 70_000]
)
async def test_an_invalid_message_is_refused_and_the_socket_stays_open(text: str, open_socket: Any) -> None:
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
        ("42", {"Origin": "null"}),
        ("42", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
        ("42", {"Origin": "{origin}", "Sec-Fetch-Site": "cross-site"}),
        ("42", {"Origin": "https://sibling.example.com", "Sec-Fetch-Site": "same-site"}),
        ("42", {"Origin": "{origin}:8080", "Sec-Fetch-Site": "same-site"}),
        ("42", {"Origin": "{origin}0"}),
    ],
    ids=str,
)
async def test_without_a_recipient_or_from_a_foreign_origin_the_handshake_is_refused(
    user: str, headers: dict[str, str], open_socket: Any
) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with open_socket(user, **headers):
            pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "{origin}"},
        {"Origin": "{origin}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://app.example.com"},
        {"Origin": "https://app.example.com", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
async def test_a_page_of_the_same_or_a_trusted_origin_is_accepted(headers: dict[str, str], open_socket: Any) -> None:
    async with open_socket(**headers) as socket:
        assert (await message(socket))["data"] == {"count": 0}


@pytest.mark.parametrize("origins", ["https://app.example.com", "", ["app.example.com"], ["*"]], ids=repr)
def test_origins_are_checked_as_every_mount_checks_them(inbox: Inbox, origins: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^trusted_origins: "):
        inbox_websocket(inbox, lambda connection: USER, trusted_origins=origins)


async def test_an_events_name_cannot_break_the_json(inbox: Inbox, open_socket: Any) -> None:
    assert inbox.hub is not None
    name = '","data":{"count":99},"x":"\\'
    async with open_socket() as socket:
        await message(socket)
        inbox.hub.publish(USER, Event(name, 1))
        assert await message(socket) == {"event": name, "data": 1}


# Tokens


def user_of_token(connection: Any) -> Recipient | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return Recipient("42") if (scheme, token) == ("Bearer", "let.me-in") else None


@pytest.fixture
def open_with_tokens(inbox: Inbox, uvicorn_server: Served) -> Any:
    """`async with open_with_tokens(timeout, *subprotocols) as socket`."""

    @asynccontextmanager
    async def opened(timeout: float | None, *subprotocols: Any) -> AsyncIterator[ClientConnection]:
        uvicorn_server.app = inbox_app(
            inbox, user_of_token, websocket=user_of_token, token_timeout=timeout, close_on_signals=False
        )
        url = uvicorn_server.url.replace("http", "ws", 1) + "/notifications/ws"
        async with connect(url, subprotocols=subprotocols or None) as socket:
            yield socket

    return opened


async def test_a_token_may_be_a_subprotocol(open_with_tokens: Any) -> None:
    async with open_with_tokens(None, "notistore", "bearer.let.me-in") as socket:
        assert socket.subprotocol == "notistore"
        assert (await message(socket))["data"] == {"count": 0}
    for offered in (("notistore", "bearer.wrong"), ("notistore", "bearer."), ("notistore",), ()):
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with open_with_tokens(None, *offered):
                pass
        assert refused.value.response.status_code == 403


async def test_a_token_may_be_the_first_message(inbox: Inbox, open_with_tokens: Any) -> None:
    assert inbox.hub is not None
    async with open_with_tokens(5) as socket:
        await socket.send(json.dumps({"type": "authenticate", "token": "let.me-in"}))
        assert (await message(socket))["data"] == {"count": 0}
        sent = await inbox.send(USER, "t")
        assert (await message(socket))["data"]["id"] == sent.id
    async with open_with_tokens(5, "notistore", "bearer.let.me-in") as socket:  # needs none
        assert (await message(socket))["data"] == {"count": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"authenticate","token":"wrong"}',
        '{"type":"authenticate","token":""}',
        '{"type":"authenticate","token":"let.me-in\\n"}',
        '{"type":"authenticate"}',
        '{"type":"get_unread_count"}',
        "{",
        b"let.me-in",
    ],
)
async def test_any_other_first_message_closes_the_socket(
    text: str | bytes, inbox: Inbox, open_with_tokens: Any, uvicorn_server: Served
) -> None:
    assert inbox.hub is not None
    async with open_with_tokens(5) as socket:
        await socket.send(text)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await message(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    await uvicorn_server.idle()
    assert inbox.hub.stats().ended == {}


async def test_no_first_message_in_time_closes_the_socket(open_with_tokens: Any) -> None:
    async with open_with_tokens(0.01) as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await message(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


async def test_a_client_that_leaves_before_its_token_leaves_no_connection(
    open_with_tokens: Any, uvicorn_server: Served
) -> None:
    async with open_with_tokens(60):
        pass
    await uvicorn_server.idle()


async def test_a_closed_hub_ends_the_socket_and_a_client_that_leaves_leaves_no_connection(
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
        assert closed.value.rcvd.code == 4013


async def test_an_error_of_the_store_is_sent_without_its_message(inbox: Inbox, open_socket: Any) -> None:
    async with open_socket() as socket:
        await message(socket)
        inbox.store = Failing()
        refused = await ask(socket, type="get_unread_count")
        assert (refused["event"], refused["data"]["status"]) == ("error", 503)
        assert "secret" not in refused["data"]["detail"]
