"""A deploy: SIGTERM ends a server at once, however many streams are open (issue 451 of uvicorn is why this is here)."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from notistore import Inbox, MemoryStore, SseHub
from notistore.web._shutdown import close_on_signal

from .mounts import MOUNTS

STREAMS = 50


def standalone() -> ASGIApp:
    return MOUNTS["standalone"].build(Inbox(MemoryStore(), SseHub()))


def mounted() -> ASGIApp:
    return MOUNTS["mounted"].build(Inbox(MemoryStore(), SseHub()))


def fastapi() -> ASGIApp:
    return MOUNTS["fastapi"].build(Inbox(MemoryStore(), SseHub()))


def django() -> ASGIApp:
    return MOUNTS["django"].build(Inbox(MemoryStore(), SseHub()))


@asynccontextmanager
async def uvicorn_of(factory: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Start the `uvicorn` command line, and give its process and port."""
    command = [
        "-m",
        "uvicorn",
        "--factory",
        f"{__name__}:{factory}",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-access-log",
    ]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=Path(__file__).parents[2], stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while not (
                found := re.search(rb"running on http://127.0.0.1:(\d+)", line := await process.stderr.readline())
            ):
                assert line, "uvicorn ended before it listened"
        yield process, int(found[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def open_stream(
    port: int, path: str, user: int, header: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: test\r\nx-user: {user}\r\n{header}\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await reader.readuntil(b"\n\n")
    return reader, writer


@pytest.mark.parametrize("name", MOUNTS)
async def test_sigterm_ends_a_server_with_open_streams(name: str) -> None:
    async with uvicorn_of(name) as (process, port):
        path = f"{MOUNTS[name].prefix}/notifications/stream"
        async with asyncio.timeout(60):
            streams = await asyncio.gather(*(open_stream(port, path, user) for user in range(STREAMS)))
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):  # where nobody ends the hub, uvicorn waits for as long as streams last
            rest = await asyncio.gather(*(reader.read() for reader, _ in streams))
            await process.wait()
        for _, writer in streams:
            writer.close()
    assert process.returncode == -signal.SIGTERM, "uvicorn's own handler was not called"
    assert {ending[-5:] for ending in rest} == {b"0\r\n\r\n"}, "a stream was torn, not ended"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")
async def test_with_tcp_user_timeout_a_client_that_does_not_read_delays_no_deployment() -> None:
    """What docs/transports.md says to set behind a proxy, from which the mount closes no connection."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.web.stalled", "500"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
            _, writer = await open_stream(port, "/notifications/stream", 42, "x-forwarded-for: 192.0.2.1\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            assert await process.stdout.readline() == b"backlog\n"
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == -signal.SIGTERM
        writer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_second_server_in_this_process_closes_its_hub_too() -> None:
    received: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    try:
        for _ in range(2):
            hub = SseHub()
            signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
            close_on_signal(hub)
            installed = signal.getsignal(signal.SIGTERM)
            close_on_signal(hub)
            assert signal.getsignal(signal.SIGTERM) is installed
            os.kill(os.getpid(), signal.SIGTERM)
            assert hub.closed
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM] * 2
