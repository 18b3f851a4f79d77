"""A TCP load balancer between browsers and several servers, in the test's own event loop."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit


class Balancer:
    """Accepts connections on one port, `url`, and forwards each to the next of its servers.

    A server that refuses connections is skipped, as a proxy with passive health checks does. If a
    connection breaks on one side, it is closed on the other.

    Attributes:
        servers: addresses ("http://127.0.0.1:8000") to forward to; may be changed at any time.
    """

    def __init__(self) -> None:
        self.servers: list[str] = []
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._handle(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            server_reader, server_writer = await self._connect_to_next()
            writers.append(server_writer)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_forward(reader, server_writer))
                tasks.create_task(_forward(server_reader, writer))
        except* (OSError, EOFError):
            pass
        finally:
            for each in writers:
                each.close()

    async def _connect_to_next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in self.servers:
            self._turn += 1
            parts = urlsplit(self.servers[self._turn % len(self.servers)])
            try:
                return await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                continue
        raise ConnectionError("no server takes connections")


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        target.write(data)
        await target.drain()
    raise EOFError  # closing one direction closes the other
