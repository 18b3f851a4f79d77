"""The routes in aiohttp: what its server does when a client disconnects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.aiohttp import GetRecipient, inbox_routes

from .served import until

USER = Recipient("42")


@asynccontextmanager
async def serving(inbox: Inbox, recipient: GetRecipient = lambda request: USER, **options: Any) -> AsyncIterator[int]:
    app = web.Application()
    app.add_routes(inbox_routes(inbox, recipient, close_on_signals=False))
    runner = web.AppRunner(app, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A client that disconnects is not logged as an error."""
    yield
    assert not [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


async def test_without_handler_cancellation_leaving_is_noticed_by_the_next_event(inbox: Inbox, hub: SseHub) -> None:
    async with serving(inbox) as port:
        async with ClientSession() as client, client.get(f"http://127.0.0.1:{port}/notifications/stream") as stream:
            await stream.content.readuntil(b"\n\n")
            assert hub.stats().streams == 1
        async with asyncio.timeout(60):
            while hub.stats().streams:
                await inbox.send(USER, "t")
                await asyncio.sleep(0)
    assert hub.stats().ended == {"left": 1}


async def test_a_client_may_leave_before_its_stream_begins() -> None:
    class Waiting(MemoryStore):
        async def unread_count(self, *args: Any, **options: Any) -> int:
            await left.wait()
            return 0

    def recipient(request: web.Request) -> Recipient:
        seen.append(request)
        return USER

    left = asyncio.Event()
    seen: list[web.Request] = []
    async with serving(Inbox(Waiting()), recipient) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /notifications/stream HTTP/1.1\r\nhost: test\r\n\r\n")
        await until(lambda: bool(seen))
        writer.close()
        await until(lambda: seen[0].transport is None)
        left.set()


async def test_a_stream_whose_store_raises_before_it_begins_is_500(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryStore):
        async def unread_count(self, *args: Any, **options: Any) -> int:
            raise RuntimeError("a bug of the store")

    async with serving(Inbox(Broken())) as port, ClientSession() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/notifications/stream")).status == 500
    caplog.clear()  # of that error


@pytest.mark.parametrize("cancellation", [True, False])
async def test_a_client_may_leave_within_a_body(inbox: Inbox, cancellation: bool) -> None:
    await inbox.send(USER, "t")
    async with serving(inbox, handler_cancellation=cancellation) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"PATCH /notifications/read HTTP/1.1\r\nhost: test\r\ncontent-length: 99\r\n\r\n"
        writer.write(head + b'{"ids": ["')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with ClientSession() as client:
            answer = await client.get(f"http://127.0.0.1:{port}/notifications/unread/count")
            assert await answer.json() == {"count": 1}


async def test_a_stream_that_ends_while_its_client_does_not_read_is_aborted(inbox: Inbox, hub: SseHub) -> None:
    async with serving(inbox, handler_cancellation=True) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /notifications/stream HTTP/1.1\r\nhost: test\r\n\r\n")
        await reader.readuntil(b"\n\n")
        for _ in range(600):  # far more than the sockets' own buffers take
            await inbox.send(USER, "t", {"text": "x" * 60_000})
            await asyncio.sleep(0)
        await until(lambda: hub.stats().streams == 0)
        assert hub.stats().ended == {"backlog": 1}
        writer.close()
