"""The readers: one asyncio Protocol per stream that counts a byte, and one connection that asks to publish."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

from .server import Server

EVENT: Final = b"~"
QUIET: Final = 5.0  # seconds without any arrival after which what is missing counts as lost


class Tally:
    """What all readers have received."""

    def __init__(self, mark: bytes = EVENT) -> None:
        self.mark = mark
        self.received = 0
        self.bytes = 0
        self._target = 0
        self._reached: asyncio.Future[None] | None = None

    def add(self, n: int) -> None:
        self.received += n
        if self._reached is not None and self.received >= self._target and not self._reached.done():
            self._reached.set_result(None)

    async def reach(self, target: int, *, quiet: float = QUIET) -> bool:
        """Wait until so many have arrived; False once none has for `quiet` seconds."""
        while self.received < target:
            before = self.received
            self._target, self._reached = target, asyncio.get_running_loop().create_future()
            await asyncio.wait([self._reached], timeout=quiet)
            if self.received == before:
                return False
        return True


class Reader(asyncio.Protocol):
    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request
        self.seen = 0
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self) -> None:
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.begun.done():
            if not data.startswith(b"HTTP/1.1 200"):
                self.begun.set_exception(RuntimeError(f"a stream was refused: {data[:200]!r}"))
                return
            self.begun.set_result(None)
        self._tally.bytes += len(data)
        if n := data.count(self._tally.mark):
            self.seen += n
            self._tally.add(n)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if not self.begun.done():
            self.begun.set_exception(exc or ConnectionResetError("a stream was closed before it began"))


async def open_streams(server: Server, tally: Tally, keys: Iterable[int], *, together: int = 100) -> list[Reader]:
    """Open one stream for each of `keys`, and wait until each has begun. So many are connected, then ask at once."""
    waiting, readers = list(keys), []
    while waiting:
        some, waiting = waiting[:together], waiting[together:]
        opened = []
        for key in some:
            path = server.implementation.stream.format(key=key)
            request = f"GET {path} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n".encode()
            _, reader = await asyncio.get_running_loop().create_connection(
                lambda request=request: Reader(tally, request), "127.0.0.1", server.port
            )
            opened.append(reader)
        for reader in opened:
            reader.ask()
        async with asyncio.timeout(60):
            await asyncio.gather(*(reader.begun for reader in opened))
        readers += opened
    return readers


def close_streams(readers: Iterable[Reader]) -> None:
    for reader in readers:
        reader.transport.abort()


def open_deaf_stream(server: Server, key: int) -> socket.socket:
    """A stream whose reader reads nothing, ever."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", server.port))
    deaf.sendall(f"GET {server.implementation.stream.format(key=key)} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
    return deaf


class Client:
    """One kept-alive connection, one request at a time."""

    def __init__(self, server: Server) -> None:
        self._port = server.port

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()

    async def request(self, method: str, path: str, headers: str = "") -> tuple[int, bytes]:
        """The answer's status and head."""
        length = "content-length: 0\r\n" if method == "POST" else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\nhost: bench\r\n{length}{headers}\r\n".encode())
        async with asyncio.timeout(60):
            head = await self._reader.readuntil(b"\r\n\r\n")
            if b"content-length: " in head.lower():
                await self._reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        return int(head.split(b" ")[1]), head

    async def publish(self, *, first: int = 0, keys: int = 1, events: int = 1) -> None:
        status, _ = await self.request("POST", f"/publish?first={first}&keys={keys}&events={events}")
        assert 200 <= status < 300, f"/publish answered {status}"


async def make_ready(client: Client, tally: Tally, readers: list[Reader], *, keys: int = 1) -> int:
    """Publish until an event has reached every stream, for some have begun before they are subscribed.

    How many it has: a peer that has lost a subscription never gets there, and is not waited for after twenty events.
    """
    for _ in range(20):
        await client.publish(keys=keys)
        await tally.reach(tally.received + len(readers), quiet=0.5)
        if all(reader.seen for reader in readers):
            break
    while await tally.reach(tally.received + 1, quiet=0.5):
        pass
    return sum(reader.seen > 0 for reader in readers)
