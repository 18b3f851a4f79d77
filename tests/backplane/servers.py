"""A NATS server, and a proxy that counts the bytes it forwards and can lose them."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

from tools.servers import Missing, Server, which


class NatsServer(Server):
    install = "NATS (Debian: apt install nats-server; macOS: brew install nats-server)"
    ready_line = b"Server is ready"

    def _find_binaries(self) -> None:
        self._nats = which("nats-server")
        if not self._nats:
            raise Missing(f"no NATS server: install {self.install}")

    def _prepare(self) -> None:
        self.url = f"nats://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [str(self._nats), "--addr", "127.0.0.1", "--port", str(self.port)]


class FaultyProxy:
    """A proxy in front of a server, in the test's own event loop, at `url`.

    Args:
        url: the server's.
        delay: seconds before it forwards anything to the server.

    Attributes:
        received: bytes that the server has sent.
    """

    def __init__(self, url: str, *, delay: float = 0.0) -> None:
        self._server_url = url
        self._delay = delay
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._healthy_since = 0
        self._accepted = 0
        self._restored = asyncio.Event()
        self._restored.set()
        self.received = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self._server_url)
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

    def discard_silently(self) -> None:
        """Discard everything on the existing connections, without closing them. New connections work."""
        self._healthy_since = self._accepted

    def cut(self) -> None:
        """Abort the existing connections. New ones are not forwarded until `restore`."""
        self._restored.clear()
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        self._restored.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._handle(reader, writer))
        self._tasks.add(task)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self._accepted
        self._accepted += 1
        self._writers.add(writer)
        await self._restored.wait()
        parts = urlsplit(self._server_url)
        server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        self._writers.add(server_writer)

        async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, to_server: bool) -> None:
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

        await asyncio.gather(
            forward(reader, server_writer, to_server=True), forward(server_reader, writer, to_server=False)
        )
