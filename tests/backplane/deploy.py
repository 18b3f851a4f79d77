"""An application as it is deployed: two servers over one store, a load balancer, and a process that sends."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from .balancer import Balancer
from .processes import process, send_continuously, serve


class Deployment:
    """Two servers behind a load balancer, at `url`. Each can be restarted.

    Args:
        parts: `Service.parts` of the backplane.
        database: the URL of the store's database.
    """

    def __init__(self, parts: tuple[str, str, str], database: str) -> None:
        self._arguments = (*parts, database)
        self._stack = AsyncExitStack()
        self._balancer = Balancer()
        self._servers: list[asyncio.subprocess.Process] = []

    @property
    def url(self) -> str:
        return self._balancer.url

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        await self._stack.enter_async_context(self._balancer)
        for server, address in await asyncio.gather(self._start(), self._start()):
            self._servers.append(server)
            self._balancer.servers.append(address)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def restart(self, turn: int, how: signal.Signals) -> None:
        """End a server with a signal, wait until that signal has ended it, and start another in its place."""
        self._servers[turn].send_signal(how)
        async with asyncio.timeout(60):
            assert await self._servers[turn].wait() == -how
        self._servers[turn], self._balancer.servers[turn] = await self._start()

    @asynccontextmanager
    async def sending(self, users: Sequence[str]) -> AsyncIterator[Sender]:
        """Run a process that continuously sends to these users."""
        async with process(send_continuously, *self._arguments, self.url, users, 0.08) as running:
            sender = Sender(running)
            await sender.expect_line(b"sending\n")
            yield sender

    async def _start(self) -> tuple[asyncio.subprocess.Process, str]:
        server = await self._stack.enter_async_context(process(serve, *self._arguments))
        assert server.stdout is not None
        async with asyncio.timeout(60):
            return server, (await server.stdout.readline()).decode().strip()


class Sender:
    """A process that sends continuously: half of the notifications by itself, half through the servers."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        assert running.stdin is not None
        assert running.stdout is not None
        self._stdin, self._stdout = running.stdin, running.stdout

    async def stop_using_servers(self) -> None:
        """Make it send only by itself."""
        self._stdin.write(b"\n")
        await self.expect_line(b"alone\n")

    async def stop(self) -> dict[str, list[str]]:
        """Stop it. Returns the ids of the acknowledged sends by user."""
        self._stdin.close()
        async with asyncio.timeout(60):
            acknowledged: dict[str, list[str]] = json.loads(await self._stdout.readline())
        return acknowledged

    async def expect_line(self, line: bytes) -> None:
        async with asyncio.timeout(60):
            assert await self._stdout.readline() == line
