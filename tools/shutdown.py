"""How long each server takes to exit on SIGTERM with a thousand open streams.

The streams are closed by the hub, which the mount closes before the server's own handler runs, or, where hypercorn's
workers get an event instead, as soon as that is set.
"""

from __future__ import annotations

import asyncio
import signal
from time import monotonic

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

from .web_servers import ASGI_SERVERS, running

STREAMS = 1000

app = inbox_app(Inbox(MemoryStore(), SseHub(streams_per_recipient=STREAMS)), lambda request: Recipient("ada"))

SERVERS = {
    "uvicorn": ASGI_SERVERS["uvicorn"],
    "uvicorn with two workers": [*ASGI_SERVERS["uvicorn"], "--workers=2"],
    "gunicorn with two uvicorn workers": [
        "gunicorn",
        "{app}",
        "--worker-class=uvicorn_worker.UvicornWorker",
        "--workers=2",
        "--bind=127.0.0.1:{port}",
        "--log-level=warning",
    ],
    "granian": [*ASGI_SERVERS["granian"], "--no-ws"],
    "hypercorn": ASGI_SERVERS["hypercorn"],
    "hypercorn with two workers": [*ASGI_SERVERS["hypercorn"], "--workers=2"],
    "hypercorn with --workers=0": [*ASGI_SERVERS["hypercorn"], "--workers=0"],
}


async def open_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /notifications/stream HTTP/1.1\r\nhost: test\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1] == b"200"
    await reader.readuntil(b"\n\n")
    return reader, writer


async def shutdown(name: str, *options: str) -> tuple[float, int]:
    """Seconds from SIGTERM to the server's exit, and how many of its responses were complete."""
    async with running([*SERVERS[name], *options], app="tools.shutdown:app") as (process, port, _):
        async with asyncio.timeout(60):
            streams = [pair for _ in range(10) for pair in await asyncio.gather(*map(open_stream, [port] * 100))]
        signalled = monotonic()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            rest = await asyncio.gather(*(reader.read() for reader, _ in streams), return_exceptions=True)
            code = await process.wait()
        took = monotonic() - signalled
        assert code in (0, -signal.SIGTERM), f"{name} ended with {code}"
        for _, writer in streams:
            writer.close()
    return took, sum(isinstance(ending, bytes) and ending.endswith(b"0\r\n\r\n") for ending in rest)
