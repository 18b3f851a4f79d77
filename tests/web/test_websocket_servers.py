"""On every supported server a WebSocket is closed when its stream ends: nothing is sent, read or counted after that."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from websockets import ConnectionClosed
from websockets.asyncio.client import ClientConnection, connect

from tools.web_servers import ASGI_SERVERS, running

from .served import HANDSHAKE

UVICORN = ASGI_SERVERS["uvicorn"]
SERVERS = {
    "uvicorn with websockets": [*UVICORN, "--ws=websockets"],
    "uvicorn with websockets-sansio": [*UVICORN, "--ws=websockets-sansio"],
    "uvicorn with wsproto": [*UVICORN, "--ws=wsproto"],
    "hypercorn": ASGI_SERVERS["hypercorn"],
    "granian": ASGI_SERVERS["granian"],
    # It buffers without limit what a client does not read, and closes that client's socket when a ping times out.
    "daphne": [*ASGI_SERVERS["daphne"], "--ping-interval=1", "--ping-timeout=2"],
}


class Host:
    """One inbox of `socket_host`, and a user that no other test uses."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self._http = http
        self._name = name
        self.user = uuid.uuid4().hex
        self.http_headers = {"x-user": self.user}

    @asynccontextmanager
    async def raw_socket(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A WebSocket connection without a client library: it reads nothing and answers no ping by itself."""
        url = self._http.base_url
        reader, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
        headers = {"host": "test", "x-user": self.user, **HANDSHAKE}
        lines = [
            f"GET /{self._name}/notifications/ws HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "\r\n"]).encode())
        try:
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            yield reader, writer
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[ClientConnection]:
        url = f"{self._http.base_url}/{self._name}/notifications/ws".replace("http", "ws", 1).replace("//n", "/n")
        async with connect(url, additional_headers=self.http_headers, close_timeout=1, **options) as socket:
            yield socket

    async def post(self, what: str) -> Any:
        answer = await self._http.post(f"/{self._name}/{what}", headers=self.http_headers)
        assert answer.is_success
        return answer.json() if answer.content else None

    async def unread(self) -> int:
        answer = await self._http.get(f"/{self._name}/notifications/unread/count", headers=self.http_headers)
        count: int = answer.json()["count"]
        return count

    async def wait_for_state(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll the host's state until the condition holds, and return it."""
        state: dict[str, Any] = {}
        try:
            async with asyncio.timeout(60):
                while True:
                    state = (await self._http.get(f"/{self._name}/state")).json()
                    if condition(state):
                        return state
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"the state stayed {state}") from None


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
async def server(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running(request.param, app="tests.web.socket_host:app") as (_, port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        yield client


async def message(socket: ClientConnection) -> Any:
    async with asyncio.timeout(60):
        return json.loads(await socket.recv())


async def closed_with(socket: ClientConnection) -> int | None:
    """Read everything up to the server's close frame, and return its code."""
    with suppress(ConnectionClosed):
        while True:
            await message(socket)
    return socket.close_code


def frame(**message: object) -> bytes:
    """A text frame as a client sends it, with a mask of zeros."""
    text = json.dumps(message).encode()
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def no_streams_or_handlers(state: dict[str, Any]) -> bool:
    return state["streams"] == state["handlers"] == 0


async def test_at_the_end_of_its_lifetime_a_socket_is_closed_and_its_handler_ends(server: httpx.AsyncClient) -> None:
    host = Host(server, "lifetime")
    async with host.socket() as socket:
        assert (await message(socket))["data"] == {"count": 0}
        assert await closed_with(socket) == 4013
    await host.wait_for_state(no_streams_or_handlers)


async def test_a_client_that_closes_leaves_no_handler(server: httpx.AsyncClient) -> None:
    host = Host(server, "bounded")
    async with host.socket() as socket:
        await message(socket)
        await host.wait_for_state(lambda state: state["streams"] == state["handlers"] == 1)
    await host.wait_for_state(no_streams_or_handlers)


async def test_a_client_that_aborts_leaves_no_handler(server: httpx.AsyncClient) -> None:
    host = Host(server, "bounded")
    async with host.socket() as socket:
        await message(socket)
        socket.transport.abort()
        await host.wait_for_state(no_streams_or_handlers)


async def test_past_the_cap_a_socket_gets_the_count_and_is_closed(server: httpx.AsyncClient) -> None:
    host = Host(server, "bounded")
    async with host.socket() as first, host.socket() as second:
        for socket in (first, second):
            await message(socket)
        for _ in range(5):
            async with host.socket() as third:
                assert (await message(third))["data"] == {"count": 0}
                assert await closed_with(third) == 4029
        await host.wait_for_state(lambda state: state["streams"] == state["handlers"] == 2)
    await host.wait_for_state(no_streams_or_handlers)


async def test_a_reader_past_its_backlog_is_ended_and_what_it_sends_changes_nothing(server: httpx.AsyncClient) -> None:
    host = Host(server, "bounded")
    sent = await host.post("send")
    async with host.raw_socket() as (_, writer):
        while (await host.wait_for_state(lambda state: True))["streams"]:
            await host.post("publish")
        await host.wait_for_state(no_streams_or_handlers)
        writer.write(frame(type="mark_read", ids=[sent["id"]]))
        await host.unread()  # the server has had time to read it
        assert await host.unread() == 1


async def test_a_message_that_comes_after_the_close_changes_nothing(server: httpx.AsyncClient) -> None:
    host = Host(server, "closing")
    sent = await host.post("send")
    async with host.raw_socket() as (reader, writer):
        await host.wait_for_state(lambda state: bool(state["streams"]))
        await host.post("close")
        await host.wait_for_state(lambda state: state["streams"] == 0)
        writer.write(frame(type="mark_read", ids=[sent["id"]]))
        await host.wait_for_state(no_streams_or_handlers)
        async with asyncio.timeout(60):
            while (4013).to_bytes(2, "big") not in await reader.read(1024):
                pass
    assert await host.unread() == 1
