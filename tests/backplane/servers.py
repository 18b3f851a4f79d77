"""A NATS server, and a proxy that counts what passes and can lose it: what these tests need besides databases."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

from ..servers import Missing, Server, _which


class NatsServer(Server):
    install = "NATS (Debian: apt install nats-server; macOS: brew install nats-server)"
    ready_line = b"Server is ready"

    def _find_binaries(self) -> None:
        self._nats = _which("nats-server")
        if not self._nats:
            raise Missing(f"no NATS server: install {self.install}")

    def _prepare(self) -> None:
        self.url = f"nats://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [str(self._nats), "--addr", "127.0.0.1", "--port", str(self.port)]


class Wire:
    """A proxy before a server, in the test's own event loop. `url` leads through it.

    Args:
        url: the server's.
        delay: seconds that what is sent to the server takes to get there.

    Attributes:
        received: bytes that have come from the server.
    """

    def __init__(self, url: str, *, delay: float = 0.0) -> None:
        self._behind = url
        self._delay = delay
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._healthy_since = 0
        self._joined = 0
        self._mended = asyncio.Event()
        self._mended.set()
        self.received = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self._behind)
        account, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{account}{at}127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def go_dead(self) -> None:
        """Lose everything on the connections there are, without closing them; new ones work."""
        self._healthy_since = self._joined

    def cut(self) -> None:
        """Break the connections there are; new ones get nowhere until `mend`."""
        self._mended.clear()
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._mended.set()

    def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self._joined
        self._joined += 1
        self._writers.add(writer)
        await self._mended.wait()
        parts = urlsplit(self._behind)
        server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        self._writers.add(server_writer)

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, to_server: bool) -> None:
            try:
                while data := await source.read(1 << 16):
                    if number < self._healthy_since:
                        continue
                    if to_server:
                        await asyncio.sleep(self._delay)
                    else:
                        self.received += len(data)
                    target.write(data)
                    await target.drain()
            except OSError:
                pass
            target.close()

        await asyncio.gather(pump(reader, server_writer, to_server=True), pump(server_reader, writer, to_server=False))
