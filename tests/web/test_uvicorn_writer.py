"""Direct writes to uvicorn's transport: when they are used, when not, and that clients receive the same bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.hub import Writer
from notistore.hub.events import Event
from notistore.web import inbox_app
from notistore.web._uvicorn import UvicornWriter
from notistore.web.fastapi import inbox_router

from .mounts import async_user_of, user_of
from .served import Served, serving

PATH = "/notifications/stream"
USER = Recipient("42")


@pytest.fixture(scope="module", params=["httptools", "h11"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """uvicorn with each of its parsers."""
    pytest.importorskip(request.param)
    async with serving(http=request.param) as served:
        yield served


class PassesThrough:
    """Middleware around every `send`, as Starlette's and FastAPI's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def wrapped(message: Message) -> None:
            await send(message)

        await self._app(scope, receive, wrapped)


def without_middleware(inbox: Inbox) -> ASGIApp:
    return inbox_app(inbox, user_of)


def wrapped(inbox: Inbox) -> ASGIApp:
    return PassesThrough(without_middleware(inbox))


def mounted(inbox: Inbox) -> ASGIApp:
    return Starlette(routes=[Mount("/", without_middleware(inbox))])


def with_middleware(inbox: Inbox) -> ASGIApp:
    app = inbox_app(inbox, user_of)
    app.add_middleware(PassesThrough)
    return app


def in_fastapi(inbox: Inbox) -> ASGIApp:
    app = FastAPI(middleware=[Middleware(PassesThrough)])
    app.include_router(inbox_router(inbox, async_user_of))
    return app


def writers(hub: SseHub) -> set[type[Writer | None]]:
    return {type(stream._writer) for stream in hub._streams}


async def test_a_uvicorn_with_nothing_around_its_send_is_written_to_directly(server: Served) -> None:
    """If this fails, uvicorn has changed: streams work as before, at twice the cost."""
    hub = SseHub()
    server.app = without_middleware(Inbox(MemoryStore(), hub))
    async with server.stream(PATH) as stream:
        await stream.frame()
        assert writers(hub) == {UvicornWriter}


@pytest.mark.parametrize("build", [wrapped, mounted, with_middleware, in_fastapi])
async def test_whatever_is_around_send_is_awaited(server: Served, build: object) -> None:
    hub = SseHub()
    server.app = build(Inbox(MemoryStore(), hub))  # type: ignore[operator]
    async with server.stream(PATH) as stream:
        await stream.frame()
        assert writers(hub) == {Writer}


async def test_direct_writes_can_be_turned_off(server: Served) -> None:
    hub = SseHub(direct_writes=False)
    server.app = without_middleware(Inbox(MemoryStore(), hub))
    async with server.stream(PATH) as stream:
        await stream.frame()
        assert writers(hub) == {Writer}


@asynccontextmanager
async def raw_stream(server: Served, version: str = "1.1", *, buffer: int = 0) -> AsyncIterator[asyncio.StreamReader]:
    """The bytes of a stream as they are on the connection."""
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096 if buffer else 2**20)
    writer.write(f"GET {PATH} HTTP/{version}\r\nhost: test\r\nx-user: 42\r\n\r\n".encode())
    try:
        yield reader
    finally:
        writer.transport.abort()


async def read_all(hub: SseHub, reader: asyncio.StreamReader) -> bytes:
    """What comes after the first count, until the end of the response, of events of many sizes."""
    async with asyncio.timeout(60):
        await reader.readuntil(b'{"count":0}')
        await reader.readuntil(b"\n\n")
        for n in range(30):
            hub.publish(USER, Event("number", "x" * 7 ** (n % 6)))
            if n % 3:
                await asyncio.sleep(0)
        await hub.flush()
        hub.broadcast(Event("last"))
        await asyncio.sleep(0)
        hub.close()
        return await reader.readuntil(b"0\r\n\r\n")


def unchunked(data: bytes) -> bytes:
    """The body of a response from behind a chunk's data on (RFC 9112, 7.1)."""
    body, rest = b"", data.removeprefix(b"\r\n")
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        assert rest[int(size, 16) :][:2] == b"\r\n"
        rest = rest[int(size, 16) + 2 :]
    return body


async def test_a_client_is_sent_the_same_either_way(server: Served) -> None:
    bodies = []
    for direct in (True, False):
        hub = SseHub(direct_writes=direct)
        server.app = without_middleware(Inbox(MemoryStore(), hub))
        async with raw_stream(server) as reader:
            bodies.append(unchunked(await read_all(hub, reader)))
        await server.idle()
        assert hub.stats().ended == {"closed": 1}
    direct_body, awaited_body = bodies
    assert direct_body == awaited_body
    assert direct_body.count(b"event: number") == 30
    assert direct_body.endswith(b"event: last\ndata:\n\n")


async def test_an_http_1_0_client_is_sent_no_chunks(server: Served) -> None:
    hub = SseHub()
    server.app = without_middleware(Inbox(MemoryStore(), hub))
    async with raw_stream(server, "1.0") as reader, asyncio.timeout(60):
        await reader.readuntil(b'{"count":0}')
        assert writers(hub) == {Writer}


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "awaited"])
async def test_a_client_that_does_not_read_is_dropped_and_others_get_everything(server: Served, direct: bool) -> None:
    hub = SseHub(backlog=100_000, direct_writes=direct)
    server.app = without_middleware(Inbox(MemoryStore(), hub))
    async with raw_stream(server, buffer=4096) as slow, server.stream(PATH) as quick:
        await quick.frame()
        await slow.readuntil(b'{"count":0}')
        sent = 0
        async with asyncio.timeout(60):
            while not hub.stats().ended:
                event = Event("number", f"{sent}" + "x" * 20_000)
                hub.publish(USER, event)
                assert await quick.frame() == event.encode()
                sent += 1
        assert hub.stats().ended == {"backlog": 1}
        hub.publish(USER, Event("last"))
        assert await quick.frame() == Event("last").encode()


async def test_a_stalled_reader_holds_no_connection_after_the_hub_has_closed(server: Served) -> None:
    """uvicorn itself would wait until a connection has taken everything, and a deploy with it."""
    hub = SseHub(backlog=10_000_000)
    server.app = without_middleware(Inbox(MemoryStore(), hub))
    async with raw_stream(server, buffer=4096) as stalled:
        await stalled.readuntil(b'{"count":0}')
        hub.publish(USER, Event("large", "x" * 8_000_000))
        await hub.flush()
        hub.close()
        await server.idle()
        assert not server.connections


async def test_a_client_that_leaves_ends_its_stream(server: Served) -> None:
    hub = SseHub()
    server.app = without_middleware(Inbox(MemoryStore(), hub))
    async with raw_stream(server) as reader:
        await reader.readuntil(b'{"count":0}')
    hub.publish(USER, Event("too late"))
    await server.idle()
    hub.publish(USER, Event("much too late"))
    assert hub.stats().ended == {"left": 1}
