"""An application as it is deployed: two servers over one store, a balancer in front of them, and who sends."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from .balancer import Balancer
from .processes import process, send_all_the_time, serve


class Deploy:
    """Its servers can be restarted in turn; `url` leads to whichever there is.

    Args:
        parts: of the backplane's service, as processes take them.
        database: the store's.
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
        """End a server, see that it ends soon and as told, and put another in its place."""
        self._servers[turn].send_signal(how)
        async with asyncio.timeout(10):
            assert await self._servers[turn].wait() == -how
        self._servers[turn], self._balancer.servers[turn] = await self._start()

    @asynccontextmanager
    async def sending(self, users: Sequence[str]) -> AsyncIterator[Sender]:
        """Somebody sends to these users all the time, in a process apart."""
        async with process(send_all_the_time, *self._arguments, self.url, users, 0.08) as running:
            sender = Sender(running)
            await sender.says(b"sending\n")
            yield sender

    async def _start(self) -> tuple[asyncio.subprocess.Process, str]:
        server = await self._stack.enter_async_context(process(serve, *self._arguments))
        assert server.stdout is not None
        async with asyncio.timeout(20):
            return server, (await server.stdout.readline()).decode().strip()


class Sender:
    """Who sends all the time, in a process apart: half of it by itself, half by way of the servers."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        assert running.stdin is not None
        assert running.stdout is not None
        self._stdin, self._stdout = running.stdin, running.stdout

    async def leave_the_servers_alone(self) -> None:
        """Return once it sends only by itself."""
        self._stdin.write(b"\n")
        await self.says(b"alone\n")

    async def stop(self) -> dict[str, list[str]]:
        """The ids of what was acknowledged, for each user."""
        self._stdin.close()
        async with asyncio.timeout(20):
            acknowledged: dict[str, list[str]] = json.loads(await self._stdout.readline())
        return acknowledged

    async def says(self, line: bytes) -> None:
        async with asyncio.timeout(20):
            assert await self._stdout.readline() == line
