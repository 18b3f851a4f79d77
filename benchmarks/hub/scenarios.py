"""What is measured. Each scenario takes an implementation and gives one figure, and how many events were lost."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from .load import Client, Reader, Tally, close_streams, make_ready, open_deaf_stream, open_streams
from .server import BARE, NESTJS, NOTISTORE, NOTISTORE_FASTAPI, NOTISTORE_MOUNTED, Implementation, Server


@dataclass(frozen=True)
class Figure:
    """What was measured.

    Attributes:
        value: the figure, in the scenario's unit.
        lost: events that never arrived at a stream.
        dead: streams that never got any.
        bytes: what a reader received for each event, HTTP's chunks included; 0 where no events were counted.
    """

    value: float
    lost: int = 0
    dead: int = 0
    bytes: float = 0


@dataclass(frozen=True)
class Setting:
    """How large the scenarios are, and where what they need is."""

    places: Mapping[str, str]
    ours: bool = False
    scale: float = 1.0
    cpu: float = 0.5
    redis: str | None = None
    postgres: str | None = None

    def of(self, n: int) -> int:
        return max(2, int(n * self.scale))

    def on(self, *, redis: str | None = None, postgres: str | None = None) -> Setting:
        return replace(self, redis=redis or self.redis, postgres=postgres or self.postgres)

    def has(self, implementation: Implementation) -> bool:
        """Whether this implementation is installed: ours alone, or all but what needs a missing Node."""
        if self.ours:
            return implementation in (BARE, NOTISTORE, NOTISTORE_MOUNTED, NOTISTORE_FASTAPI)
        return implementation is not NESTJS or "node" in self.places


Run = Callable[[Implementation, Setting], Awaitable[Figure]]


@dataclass(frozen=True)
class Scenario:
    name: str
    unit: str
    run: Run
    implementations: tuple[Implementation, ...]
    rounds: int = 3


async def _deliver(
    servers: list[Server], client: Client, tally: Tally, each: int, setting: Setting, **publish: int
) -> Figure:
    """CPU seconds of the servers per 100,000 deliveries, over at least `setting.cpu` seconds of it."""
    before, received, asked, bytes = sum(server.cpu() for server in servers), tally.received, 0, tally.bytes
    deadline = time.monotonic() + 10 * setting.cpu
    while True:
        await client.publish(**publish)
        asked += each
        whole = await tally.reach(received + asked)
        used = sum(server.cpu() for server in servers) - before
        if used >= setting.cpu or time.monotonic() > deadline or not whole:
            break
    delivered = tally.received - received
    size = (tally.bytes - bytes) / max(delivered, 1)
    return Figure(used / max(delivered, 1) * 100_000, asked - delivered, bytes=size)


def fanout(streams: int, *, events: int = 1) -> Run:
    """All streams are one recipient's; `events` are published to it in one tick."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        n, tally = setting.of(streams), Tally()
        with Server(implementation, setting.places) as server:
            readers = await open_streams(server, tally, [0] * n)
            async with Client(server) as client:
                await make_ready(client, tally, readers)
                figure = await _deliver([server], client, tally, n * events, setting, events=events)
            close_streams(readers)
        return figure

    return run


def many_keys(keys: int) -> Run:
    """Each stream is a recipient's of its own; one event for each is published in one request."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        n, tally = setting.of(keys), Tally()
        with Server(implementation, setting.places) as server:
            readers = await open_streams(server, tally, range(n))
            async with Client(server) as client:
                await make_ready(client, tally, readers, keys=n)
                figure = await _deliver([server], client, tally, n, setting, keys=n)
            close_streams(readers)
        return figure

    return run


def through_redis(keys: int) -> Run:
    """Two nodes, each with a stream of every second recipient; one of them publishes to all."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        assert setting.redis is not None
        n, tally, env = setting.of(keys), Tally(), {"BENCH_REDIS": setting.redis}
        with Server(implementation, setting.places, env) as near, Server(implementation, setting.places, env) as far:
            async with Client(near) as client:
                # One each first, until it is live: Litestar's first subscribes race for connections to Redis.
                readers = await open_streams(near, tally, [0]) + await open_streams(far, tally, [1])
                await make_ready(client, tally, readers, keys=n)
                readers += await open_streams(near, tally, range(2, n, 2))
                readers += await open_streams(far, tally, range(3, n, 2))
                alive = await make_ready(client, tally, readers, keys=n)
                figure = await _deliver([near, far], client, tally, alive, setting, keys=n)
            close_streams(readers)
        return replace(figure, dead=n - alive)

    return run


def beside_redis(keys: int) -> Run:
    """What a node with one stream of its own spends while another's recipients get 100,000 events."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        assert setting.redis is not None
        n, tally, idle, env = setting.of(keys), Tally(), Tally(), {"BENCH_REDIS": setting.redis}
        with Server(implementation, setting.places, env) as busy, Server(implementation, setting.places, env) as beside:
            async with Client(busy) as client:
                readers = await open_streams(busy, tally, [0])
                bystander = await open_streams(beside, idle, [n])
                await make_ready(client, tally, readers)
                await make_ready(client, idle, bystander, keys=n + 1)
                readers += await open_streams(busy, tally, range(1, n))
                alive = await make_ready(client, tally, readers, keys=n)
                before, received = beside.cpu(), tally.received
                figure = await _deliver([busy], client, tally, alive, setting, keys=n)
                spent = (beside.cpu() - before) / (tally.received - received) * 100_000
            close_streams(readers + bystander)
        return Figure(spent, figure.lost, n - alive)

    return run


def memory(streams: int) -> Run:
    """Growth of the process per idle stream, in KB, with every buffer that a heartbeat needs already in use."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        n, tally = setting.of(streams), Tally()
        with Server(implementation, setting.places) as server:
            readers: list[Reader] = []
            async with Client(server) as client:
                for wanted in (setting.of(200), n):
                    before = server.memory()
                    more = await open_streams(server, tally, range(len(readers), len(readers) + wanted))
                    readers += more
                    await make_ready(client, tally, more, keys=len(readers))
            grown = server.memory() - before
            close_streams(readers)
        return Figure(grown / n / 1024)

    return run


def deaf_reader(events: int) -> Run:
    """Growth of the process, in MB, while one reader of two reads nothing."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        tally, batch, n = Tally(), 200, setting.of(events)
        with Server(implementation, setting.places) as server:
            readers = await open_streams(server, tally, [0])
            async with Client(server) as client:
                await make_ready(client, tally, readers)
                for _ in range(10):  # buffers and allocator warm
                    target = tally.received + batch
                    await client.publish(events=batch)
                    await tally.reach(target)
                with open_deaf_stream(server, 0):
                    before, lost = server.memory(), 0
                    for _ in range(n // batch):
                        target = tally.received + batch
                        await client.publish(events=batch)
                        if not await tally.reach(target):
                            lost += target - tally.received
                    grown = server.memory() - before
            close_streams(readers)
        return Figure(grown / 1024 / 1024, lost)

    return run


def polling(*, etag: bool = False, sqlite: bool = False) -> Run:
    """CPU seconds for 100,000 polls of the unread count over kept-alive connections.

    Many pages ask at once, so that a busy machine does not add to each request what it takes to wake a server.
    """

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        path, env = "/notifications/unread/count", {}
        async with AsyncExitStack() as closing:
            if sqlite:
                folder = closing.enter_context(tempfile.TemporaryDirectory())
                env["BENCH_DATABASE"] = f"sqlite+aiosqlite:///{folder}/notifications.db"
            server = closing.enter_context(Server(implementation, setting.places, env))
            clients = [await closing.enter_async_context(Client(server)) for _ in range(50)]
            _, head = await clients[0].request("GET", path)
            tag = head.split(b"etag: ")[1].split(b"\r\n")[0].decode()
            header = f"if-none-match: {tag}\r\n" if etag else ""

            async def ask(client: Client) -> None:
                for _ in range(20):
                    status, _ = await client.request("GET", path, header)
                    assert status == (304 if etag else 200), status

            await asyncio.gather(*map(ask, clients))
            before, n = server.cpu(), 0
            while server.cpu() - before < setting.cpu:
                await asyncio.gather(*map(ask, clients))
                n += 20 * len(clients)
            used = server.cpu() - before
        return Figure(used / n * 100_000)

    return run


def heartbeats(streams: int) -> Run:
    """CPU seconds for 100,000 heartbeats of idle streams."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        n, tally = setting.of(streams), Tally(b":")  # a heartbeat is a comment; nothing else is sent meanwhile
        with Server(implementation, setting.places, {"BENCH_HEARTBEAT": "1"}) as server:
            readers = await open_streams(server, tally, range(n))
            await tally.reach(tally.received + n, quiet=3)
            before, received = server.cpu(), tally.received
            await tally.reach(received + 4 * n, quiet=3)
            used, beats = server.cpu() - before, tally.received - received
            close_streams(readers)
        return Figure(used / beats * 100_000)

    return run


def connects(streams: int) -> Run:
    """CPU milliseconds for each of many streams that begin at once, as after a restart, with rows in PostgreSQL."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        assert setting.postgres is not None
        n, tally = setting.of(streams), Tally()
        env = {"BENCH_DATABASE": setting.postgres.replace("postgresql:", "postgresql+asyncpg:")}
        with Server(implementation, setting.places, env) as server:
            readers = await open_streams(server, tally, range(200))  # the pool's connections are open
            before = server.cpu()
            readers += await open_streams(server, tally, range(1_000, 1_000 + n), together=n)
            used = server.cpu() - before
            close_streams(readers)
        return Figure(used / n * 1_000)

    return run


def send_many(recipients: int) -> Run:
    """The longest that a `send_many`, each of whose recipients has a stream, keeps the event loop from other work, in
    milliseconds of CPU; without what a database takes."""

    async def run(implementation: Implementation, setting: Setting) -> Figure:
        n = setting.of(recipients)
        with Server(implementation, setting.places) as server:
            async with Client(server) as client:
                _, head = await client.request("POST", f"/send-many?n={n}")
        return Figure(float(head.split(b"x-longest-turn: ")[1].split(b"\r\n")[0]))

    return run
