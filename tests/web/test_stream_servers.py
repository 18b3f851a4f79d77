"""Streams on each supported server: every event once and in order, with and without direct writes, and none is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tools.web_servers import ASGI_SERVERS, running

from .served import Stream
from .stream_host import event

UVICORN = ASGI_SERVERS["uvicorn"]
SERVERS = {
    "uvicorn, httptools and uvloop": [*UVICORN, "--http=httptools", "--loop=uvloop"],
    "uvicorn, h11 and asyncio": [*UVICORN, "--http=h11", "--loop=asyncio"],
    "gunicorn with a uvicorn worker": [
        "gunicorn",
        "{app}",
        "--worker-class=uvicorn_worker.UvicornWorker",
        "--bind=127.0.0.1:{port}",
        "--log-level=warning",
    ],
    **{name: command for name, command in ASGI_SERVERS.items() if name != "uvicorn"},
}
SETTINGS = {
    "as it comes": {},
    "without direct writes": {"NOTISTORE_DIRECT_WRITES": "0"},
    "behind a middleware": {"NOTISTORE_AROUND": "1"},
}
STREAMS, EVENTS = 5, 200


@asynccontextmanager
async def open_stream(client: httpx.AsyncClient) -> AsyncIterator[Stream]:
    async with client.stream("GET", "/notifications/stream") as response:
        stream = Stream(response)
        assert b'"count":0' in await stream.frame()
        yield stream


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS.keys())
async def test_every_event_arrives_once_and_in_order_and_no_stream_stays(
    command: list[str], setting: dict[str, str]
) -> None:
    expected = [event(number).encode() for number in range(EVENTS)]
    async with (
        running(command, app="tests.web.stream_host:app", env={**os.environ, **setting}) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client,
    ):
        async with AsyncExitStack() as opened:
            streams = [await opened.enter_async_context(open_stream(client)) for _ in range(STREAMS)]
            publishing = asyncio.create_task(client.post(f"/publish?n={EVENTS}"))
            for stream in streams:
                assert await stream.frames(EVENTS) == expected
            assert (await publishing).json() == {"ended": {}, "streams": STREAMS}
        async with asyncio.timeout(60):
            while (stats := (await client.get("/stats")).json())["streams"]:  # noqa: ASYNC110 - the server only says so
                await asyncio.sleep(0.05)
        assert stats == {"ended": {"left": STREAMS}, "streams": 0}
        assert "Traceback" not in server.log
