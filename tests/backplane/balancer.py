"""What stands between browsers and several servers: a balancer of TCP connections, in the test's own event loop."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit


class Balancer:
    """Takes connections on one port and leads each to the next of its servers; `url` is its own.

    A server that refuses is passed over, as a proxy with passive health checks does; a connection that breaks on one
    side is broken on the other.

    Attributes:
        servers: addresses ("http://127.0.0.1:8000") that take part; may be changed at any time.
    """

    def __init__(self) -> None:
        self.servers: list[str] = []
        self._turn = 0
        self._carrying: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            server_reader, server_writer = await self._next()
            writers.append(server_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, server_writer))
                both.create_task(_pump(server_reader, writer))
        except* (OSError, EOFError):
            pass
        finally:
            for each in writers:
                each.close()

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self.servers:
            self._turn += 1
            parts = urlsplit(self.servers[self._turn % len(self.servers)])
            try:
                return await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                continue
        raise ConnectionError("no server takes connections")


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()
    raise EOFError  # a half that is closed closes the other
