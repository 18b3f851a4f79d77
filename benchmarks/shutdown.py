"""How long each server takes to end on SIGTERM with a thousand open streams: `python -m benchmarks.shutdown`.

The streams are closed by the hub, which the mount closes before the server's own handler runs, or, where hypercorn's
workers are told by an event instead, as soon as that is set.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web import inbox_app

STREAMS = 1000
ROOT = Path(__file__).parents[1]

app = inbox_app(Inbox(MemoryStore(), SseHub(streams_per_recipient=STREAMS)), lambda request: Recipient("ada"))

APP = "benchmarks.shutdown:app"
UVICORN = ["uvicorn", APP, "--host=127.0.0.1", "--port={port}", "--no-access-log", "--log-level=warning"]
HYPERCORN = ["hypercorn", APP, "--bind=127.0.0.1:{port}", "--graceful-timeout=1"]
SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn with two workers": [*UVICORN, "--workers=2"],
    "gunicorn with two uvicorn workers": [
        "gunicorn",
        APP,
        "--worker-class=uvicorn_worker.UvicornWorker",
        "--workers=2",
        "--bind=127.0.0.1:{port}",
        "--log-level=warning",
    ],
    "granian": ["granian", "--interface=asgi", APP, "--host=127.0.0.1", "--port={port}", "--no-ws"],
    "hypercorn": HYPERCORN,
    "hypercorn with two workers": [*HYPERCORN, "--workers=2"],
    "hypercorn with --workers=0": [*HYPERCORN, "--workers=0"],
}


@asynccontextmanager
async def running(command: list[str]) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *(argument.format(port=port) for argument in command),
        cwd=ROOT,
        start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert process.returncode is None, f"{command[0]} ended before it listened"
                    await asyncio.sleep(0.05)  # there is nothing to wait on but the port itself
                else:
                    writer.close()
                    break
        yield process, port
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def open_stream(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /notifications/stream HTTP/1.1\r\nhost: test\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1] == b"200"
    await reader.readuntil(b"\n\n")
    return reader, writer


async def shutdown(name: str, *options: str) -> tuple[float, int]:
    """Seconds from SIGTERM to the end of the server, and how many of its streams ended whole."""
    async with running([*SERVERS[name], *options]) as (process, port):
        async with asyncio.timeout(30):
            streams = [pair for _ in range(10) for pair in await asyncio.gather(*map(open_stream, [port] * 100))]
        told = monotonic()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            rest = await asyncio.gather(*(reader.read() for reader, _ in streams), return_exceptions=True)
            code = await process.wait()
        took = monotonic() - told
        assert code in (0, -signal.SIGTERM), f"{name} ended with {code}"
        for _, writer in streams:
            writer.close()
    return took, sum(isinstance(ending, bytes) and ending.endswith(b"0\r\n\r\n") for ending in rest)


async def main() -> None:
    print(f"| server, {STREAMS} open streams | seconds to end | streams ended whole |")
    print("|---|---|---|")
    for name in SERVERS:
        took, whole = await shutdown(name)
        print(f"| {name} | {took:.1f} | {whole} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
