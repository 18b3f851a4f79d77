"""daphne's `send` never waits; what a client does not read is bounded nevertheless."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tools.web_servers import ASGI_SERVERS, running

REQUEST = b"GET /notifications/stream HTTP/1.1\r\nhost: test\r\nx-user: 42\r\n\r\n"


@pytest.mark.parametrize("host", ["starlette", "django"])
async def test_a_stream_is_ended_once_it_has_been_sent_what_may_wait_for_a_reader(host: str) -> None:
    async with (
        running(ASGI_SERVERS["daphne"], app=f"tests.web.daphne_host:{host}") as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
        asyncio.timeout(60),
    ):
        _, dead = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        reader, alive = await asyncio.open_connection("127.0.0.1", server.port, limit=2**21)
        for writer in (dead, alive):
            writer.write(REQUEST)
        while (await client.get("/test/state")).json()["streams"] < 2:
            pass
        published = 0
        while (state := (await client.get("/test/state")).json())["streams"]:
            await client.post("/test/publish")
            published += 1
        assert state["ended"] == {"backlog": 2}
        assert 4 <= published <= 20  # of 60 KB, for 256 KiB
        received = await reader.readuntil(b"0\r\n\r\n")  # the response is complete, so a browser reconnects
        assert received.count(b"event: filler") >= 4
        dead.transport.abort()
        alive.close()
