"""A real uvicorn for tests, and a reader of the event streams it serves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

HANDSHAKE: Final = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "A" * 22 + "==",
}
"""The headers of a WebSocket's handshake, for clients that read only as much as a test wants."""


async def until(condition: Callable[[], bool]) -> None:
    """Poll until the condition is true, for conditions that no event announces."""
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


class Stream:
    """An open event stream, read frame by frame as it was sent."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self._chunks = response.aiter_raw()
        self._unread = b""

    async def frame(self) -> bytes:
        """The next frame or comment, its blank line included; b"" at the end of the stream."""
        async with asyncio.timeout(60):
            while b"\n\n" not in self._unread:
                try:
                    self._unread += await anext(self._chunks)
                except StopAsyncIteration:
                    assert not self._unread, "the stream ended within a frame"
                    return b""
        frame, self._unread = self._unread.split(b"\n\n", 1)
        return frame + b"\n\n"

    async def frames(self, number: int) -> list[bytes]:
        return [await self.frame() for _ in range(number)]


class Served:
    """A real uvicorn on a random port, in this event loop. It serves the current value of `app`."""

    def __init__(self) -> None:
        self.app: ASGIApp
        self.connections: set[Any]
        self.url = ""
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._running += 1
        self._idle.clear()
        try:
            await self.app(scope, receive, send)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def idle(self) -> None:
        """Return once no request is being handled."""
        async with asyncio.timeout(60):
            await self._idle.wait()

    @asynccontextmanager
    async def stream(self, path: str, **headers: str) -> AsyncIterator[Stream]:
        sent = {"x-user": "42"} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            httpx.AsyncClient(base_url=self.url, headers=sent) as client,
            client.stream("GET", path) as response,
        ):
            yield Stream(response)


class _Server(uvicorn.Server):
    def capture_signals(self) -> nullcontext[None]:
        return nullcontext()  # the test run's signals are not this server's


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Served]:
    """Run a server, with these options of uvicorn in addition to the tests' own."""
    served = Served()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # asyncio sets it by itself only on sockets of its own; without it each answer waits 40 ms for an ACK.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        served.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = _Server(uvicorn.Config(served, lifespan="off", log_config=None, **options))
        served.connections = server.server_state.connections
        running = asyncio.create_task(server.serve(sockets=[listening]))
        yield served
        server.should_exit = True
        await running
